"""Tests of watching/web/ that need no browser."""
