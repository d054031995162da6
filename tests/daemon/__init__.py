"""Tests of scheduler.py and of daemon/ that need no server."""
