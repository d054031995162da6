"""Tests of copying/metadata/ that need no server."""
