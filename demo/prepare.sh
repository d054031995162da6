#!/bin/sh
# Sees to what pip cannot bring: Python's venv module, influxd ($INFLUXD, or on the PATH) and, when the second argument
# is `tests`, Chromium ($CHROMIUM, or on the PATH), prometheus with promtool, and systemd-analyze. As root on Debian they
# are installed with apt when they are missing; otherwise the message says what to install.
set -eu
python=${1:-python3}

install() { # package, what it is for, what else would do, options of apt-get
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "$2 is missing: installing Debian's package $1"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq ${4:-} "$1" >/dev/null
    else
        echo "$2 is missing. Install it (Debian: apt-get install $1)$3." >&2
        exit 1
    fi
}

"$python" -c 'import ensurepip, venv' 2>/dev/null || install python3-venv "Python's venv module" ""
if [ -z "${INFLUXD:-}" ] && ! PATH="$PATH:/usr/bin:/usr/sbin" command -v influxd >/dev/null; then
    install influxdb influxd ", or set INFLUXD to the path of the program"
fi
if [ "${2:-}" = tests ] && [ -z "${CHROMIUM:-}" ] && ! command -v chromium >/dev/null; then
    install chromium "Chromium, for the tests of the status page," ", or set CHROMIUM to the path of the program"
fi
if [ "${2:-}" = tests ] && ! { command -v prometheus && command -v promtool; } >/dev/null; then
    install prometheus "Prometheus with promtool, for the tests of metrics and alerts," "" --no-install-recommends
    { systemctl disable --now prometheus || service prometheus stop; } >/dev/null 2>&1 || true  # not as a service
fi
if [ "${2:-}" = tests ] && ! command -v systemd-analyze >/dev/null; then
    install systemd "systemd-analyze, for the test of the unit in deploy/systemd," "" --no-install-recommends
fi
