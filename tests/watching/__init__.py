"""Tests of watching/ and logger_config.py."""
