"""Tests of the archive that need no server."""
