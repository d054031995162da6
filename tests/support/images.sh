#!/bin/sh
# Makes the images that the container tests need, from Debian's packages alone: no registry is asked.
#
#   local/influxdb:1.6           what `influxdb:1.8.10` is in production (Debian has InfluxDB 1.6)
#   local/python:3.11-slim       what `python:3.11.x-slim-bookworm` is in production
#   local/influxdb-backup:test   the Dockerfile of this project, built on it
#
# An image that exists is kept; `tests/support/images.sh --fresh` makes all again. Needs root, a Docker engine
# and mmdebstrap (a debootstrap that needs no clean-up: it writes the tar that `docker import` reads).
# DEBIAN_MIRROR names another mirror. The host's pip configuration and its certificate authorities go into the
# Python base, as they would go into a company's own base image: so the Dockerfile needs neither.
set -eu
cd "$(dirname "$0")/../.."
fresh=${1:-}

wanted() {
    [ "$fresh" = --fresh ] || ! docker image inspect "$1" >/dev/null 2>&1
}

# debian PACKAGES [mmdebstrap option...]: a minimal Debian 12 with these packages, as tar
debian() {
    packages=$1
    shift
    mmdebstrap --quiet --variant=minbase --include="ca-certificates,$packages" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$@" bookworm - "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
}

make_influxdb() {
    debian influxdb,influxdb-client >"$work/influxdb.tar"
    docker import --change 'CMD ["influxd"]' --change 'EXPOSE 8086' --change 'VOLUME /var/lib/influxdb' \
        "$work/influxdb.tar" local/influxdb:1.6
}

make_python() {
    set -- --customize-hook='ln -s python3 "$1/usr/bin/python"'
    for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -f "$file" ] || set -- "$@" --customize-hook="copy-in $file $(dirname "$file")"
    done
    debian python3,python3-venv,python3-pip "$@" >"$work/python.tar"
    docker import --change 'CMD ["python3"]' "$work/python.tar" local/python:3.11-slim
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jobs=
if wanted local/influxdb:1.6; then make_influxdb & jobs="$jobs $!"; fi
if wanted local/python:3.11-slim; then make_python & jobs="$jobs $!"; fi
for job in $jobs; do wait "$job"; done

# The network of the host, because its resolver may not be one that a container can reach.
docker build --network host --build-arg BASE_IMAGE=local/python:3.11-slim --tag local/influxdb-backup:test .
