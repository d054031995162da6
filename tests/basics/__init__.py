"""Tests of basics/."""
