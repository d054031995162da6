"""Tests of copying/ that need no server."""
