"""Tests of influx/ that need no server."""
