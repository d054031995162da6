"""Tests on two real InfluxDB servers."""
