"""What InfluxDB does, as far as the tool relies on it: each test is one fact, docs/influxdb.md is made of them."""
