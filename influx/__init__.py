"""One InfluxDB 1.x server: its language, its answers, its points. Its face is `influx_client.py`.

Begin with `influxql` (what is asked), `transport` (how a request is made), and `pages` (how points are read).
"""
