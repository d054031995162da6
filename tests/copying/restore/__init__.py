"""Tests of copying/restore/ that need no server."""
