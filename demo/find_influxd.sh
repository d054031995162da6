#!/bin/sh
# Finds influxd ($INFLUXD, or on the PATH), or installs Debian's package when that is possible.
set -eu
found=${INFLUXD:-$(PATH="$PATH:/usr/bin:/usr/sbin" command -v influxd || true)}
if [ -n "$found" ]; then
    echo "influxd: $found"
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "influxd is missing: installing Debian's package influxdb"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq influxdb >/dev/null
else
    echo "influxd is missing. Install InfluxDB 1.x (Debian: apt-get install influxdb)," >&2
    echo "or set INFLUXD to the path of the program." >&2
    exit 1
fi
