#!/bin/sh
# The command line beside the service, for root: as the service's user, with its environment and in its folder.
#
#   influxdb-backup check        influxdb-backup verify --full        influxdb-backup run --once
set -eu
set -a
. /etc/influxdb-backup/environment
set +a
cd /var/lib/influxdb-backup
exec runuser -u influxdb-backup -- /opt/influxdb-backup/.venv/bin/python /opt/influxdb-backup/main.py "$@"
