"""Exactness and kills on every version of InfluxDB, and from one version to another."""
