"""Tests of settings/ and config.py."""
