"""Tests of checking/ that need no server."""
