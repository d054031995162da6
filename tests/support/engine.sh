#!/bin/sh
# Sees to it that a Docker engine runs, with Compose and mmdebstrap, all from Debian's packages. Needs root.
set -eu
for program in docker docker-compose dockerd mmdebstrap; do
    if ! PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null; then
        echo "$program is missing: installing Debian's packages"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq docker.io docker-compose mmdebstrap >/dev/null
        break
    fi
done
if ! docker info >/dev/null 2>&1; then
    log=$(mktemp /tmp/dockerd.XXXXXX.log)
    echo "no Docker engine answers: starting one, with its log in $log"
    PATH="$PATH:/usr/sbin:/sbin" setsid dockerd >"$log" 2>&1 </dev/null &
    for _ in $(seq 60); do
        docker info >/dev/null 2>&1 && break
        sleep 1
    done
    docker info >/dev/null || { tail -20 "$log" >&2; exit 1; }
fi
