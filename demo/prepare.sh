#!/bin/sh
# Sees to what pip cannot bring, all at once and before anything else is done:
#
#   sh demo/prepare.sh PYTHON [python|demo|tests|versions|faults|containers]
#
# As root on Debian what is missing is installed. Otherwise one message names all of it, with the command that
# installs it. Services that Debian starts for a package that was installed here are stopped, and not started again.
# INFLUXD and CHROMIUM name programs that are elsewhere; with INFLUXD_VERSION influxd is built, see programs.sh.
set -eu
python=${1:-python3}
purpose=${2:-demo}
usual=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin:/usr/lib/go/bin:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
PATH=$PATH:${USUAL_PLACES-$usual} # programs are looked for there, too
packages='' missing='' services='' notes='' release=''
newline='
'

need() { # packages, what is missing
    packages="$packages $1"
    missing="$missing${missing:+; }$2"
}

note() {
    notes="$notes$newline$1"
}

has() {
    command -v "$1" >/dev/null
}

at_least() { # version, version that is wanted
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

candidate() { # the version of a package that apt would install
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9]*:\)\{0,1\}\([0-9][0-9.]*\).*/\2/p'
}

need_python() {
    if ! has "$python"; then
        need "python3 python3-venv" "Python 3.11 or newer ($python)"
    elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "$python is $("$python" --version), and 3.11 or newer is needed: make PYTHON=... names another" >&2
        exit 1
    elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        need "$(basename "$python")-venv" "Python's module venv"
    fi
}

need_influxd() {
    if [ -z "${INFLUXD:-}${INFLUXD_VERSION:-}" ] && ! has influxd; then
        need influxdb "influxd, that is InfluxDB 1.x (INFLUXD can name the program)"
        services="$services influxdb"
    fi
}

need_test_programs() {
    has systemd-analyze || need systemd "systemd-analyze, for the unit in deploy/systemd"
    [ -n "${CHROMIUM:-}" ] || has chromium || has chromium-headless-shell ||
        need chromium-headless-shell "Chromium, for the status page (CHROMIUM can name the program)"
    if has ldconfig && ! ldconfig -p | grep -q 'libatomic\.so\.1'; then
        need libatomic1 "libatomic, for what drives Chromium"
    fi
    if ! { has prometheus && has promtool; }; then
        need prometheus "Prometheus with promtool, for metrics and alerts"
        services="$services prometheus"
    fi
    need_faketime
}

need_faketime() {
    for file in /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/local/lib/*/faketime/libfaketimeMT.so.1; do
        [ ! -e "$file" ] || return 0
    done
    need faketime "libfaketime, for clocks that are off"
}

need_disks() { # mounted by root, or by an ordinary user in a name space of his own
    [ "$(id -u)" = 0 ] || unshare --map-root-user --mount true 2>/dev/null ||
        note "Small disks that fill up cannot be mounted: be root, or allow user name spaces (sysctl user.max_user_namespaces)."
}

need_go() { # 1.21 and newer fetch the Go that a program wants by themselves
    if has go && at_least "$(cd / && go env GOVERSION | sed 's/^go//')" 1.21; then
        return
    fi
    need golang-go "Go 1.21 or newer"
    if has apt-cache && ! at_least "$(candidate golang-go)" 1.21; then
        backports=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)-backports
        release=" --target-release $backports"
        note "Debian's own golang-go is too old here. That of its backports fetches newer ones by itself; before the command above:
    echo deb http://deb.debian.org/debian $backports main >/etc/apt/sources.list.d/backports.list; apt-get update"
    fi
}

need_rust() { # for the library of Flux in InfluxDB 1.12
    if has cargo && at_least "$(cargo --version | cut -d ' ' -f 2)" 1.70; then
        return
    fi
    if has apt-cache && ! at_least "$(candidate cargo)" 1.70; then
        need cargo-web "cargo 1.70 or newer"
    else
        need cargo "cargo 1.70 or newer"
    fi
}

need_compiler() {
    printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | cc -x c -o /dev/null - 2>/dev/null ||
        need "gcc libc6-dev" "a C compiler with its library"
    has pkg-config || need pkg-config pkg-config
}

need_engine() {
    { has docker && has dockerd; } || need docker.io "a Docker engine"
    has docker-compose || docker compose version >/dev/null 2>&1 || need docker-compose "Docker Compose"
    has mmdebstrap || need mmdebstrap "mmdebstrap, which makes the base images"
    [ "$(id -u)" = 0 ] || note "The containers' tests have to be run by root."
}

stop_services() { # Debian starts what it installs, and at every boot
    for service in $services; do
        {
            systemctl disable "$service" || update-rc.d "$service" disable
            systemctl stop "$service" || service "$service" stop
        } >/dev/null 2>&1 || true
    done
}

need_python
case $purpose in
python) ;;
demo) need_influxd ;;
tests) need_influxd && need_test_programs && need_disks ;;
versions) need_influxd && need_test_programs && need_go && need_rust && need_compiler ;;
faults) need_influxd && need_faketime && need_disks ;;
containers) need_influxd && need_engine ;;
*) echo "usage: $0 PYTHON [python|demo|tests|versions|faults|containers]" >&2 && exit 2 ;;
esac
[ -n "$missing$notes" ] || exit 0

install="apt-get install --yes --no-install-recommends$release$packages"
if [ -z "$notes" ] && [ "$(id -u)" = 0 ] && has apt-get; then
    echo "Missing: $missing."
    echo "Installing from Debian: $install"
    had_lists=$(find /var/lib/apt/lists -name '*Packages*' 2>/dev/null | head -n 1)
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $install -qq -o DPkg::Lock::Timeout=300 -o APT::Keep-Downloaded-Packages=false >/dev/null
    [ -n "$had_lists" ] || rm -rf /var/lib/apt/lists/* # as small as it was found
    stop_services
    exit 0
fi
{
    [ -z "$missing" ] || echo "Missing: $missing."
    [ -z "$packages" ] || printf 'On Debian, as root:\n    %s\n' "$install"
    [ -z "$services" ] || echo "Debian starts what it installs; this ends it again: systemctl disable --now$services"
    [ -z "$notes" ] || echo "${notes#"$newline"}"
} >&2
exit 1
