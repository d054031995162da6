#!/bin/sh
# Sees to it that a Docker engine runs. Needs root, and what `demo/prepare.sh python3 containers` looks for.
set -eu
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
