#!/bin/sh
# The first contact: a new minimal Debian in a folder, a clone of what is committed here, `make demo` and `make test`.
#
#   tests/support/fresh_debian.sh [bookworm|trixie] [root|user] [target...]
#
# Its packages are python3, python3-venv, make, git, ca-certificates, and nothing else. `user`: as an ordinary user, for
# whom the command that each target prints is run by root, once. The targets are `demo test` unless others are named.
# Prints how long each took, and what it added to the disk.
#
# Needs root, mmdebstrap and the right to mount. Everything happens in name spaces of its own: what was mounted and
# started is gone with them, whatever happens, and the folder is removed. DEBIAN_MIRROR names another mirror. The
# host's pip configuration, proxies and certificate authorities are taken along, as a company's machine would have them.
set -eu

say() {
    printf '\n== %s\n' "$*"
}

used() { # megabytes on the disk of the new system
    du -sxm / 2>/dev/null | cut -f 1
}

# ------------------------------------------------------------------------------------------------ outside

make_system() { # suite, folder
    mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,make,git,ca-certificates \
        "$1" "$2" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
    for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt /etc/resolv.conf /etc/hosts; do
        [ ! -f "$file" ] || cp --remove-destination --dereference "$file" "$2$file"
    done
    mkdir -p "$2/usr/local/share/ca-certificates"
    cp -r /usr/local/share/ca-certificates/. "$2/usr/local/share/ca-certificates"
    echo fresh >"$2/etc/hostname"
}

enter() { # folder, suite, then a command and its arguments: runs it with the folder as the root of everything
    mount --make-rprivate /
    make_system "$2" "$1"
    git clone --quiet --no-hardlinks "file://$(cd "$(dirname "$0")/../.." && pwd)" "$1/srv/influxdb-backup"
    cd "$1"
    shift 2
    mount --bind . .
    cd "$PWD"
    mount -t proc proc proc
    mount --rbind /dev dev
    mount -t tmpfs tmpfs dev/shm
    mount -t sysfs -o ro sysfs sys 2>/dev/null || true
    mkdir -p old
    pivot_root . old
    cd /
    umount --lazy old
    rmdir old
    hostname fresh 2>/dev/null || true
    exec env -i HOME=/root TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        ${no_proxy:+no_proxy="$no_proxy"} ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} "$@"
}

outside() { # suite, kind of user, targets
    [ "$(id -u)" = 0 ] || { echo "$0 needs root" >&2 && exit 1; }
    command -v mmdebstrap >/dev/null || { echo "Missing: mmdebstrap. apt-get install mmdebstrap" >&2 && exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf --one-file-system "$work"' EXIT
    say "a minimal Debian $1"
    mkdir "$work/system"
    unshare --mount --pid --uts --mount-proc --fork --kill-child "$0" enter "$work/system" "$1" \
        /srv/influxdb-backup/tests/support/fresh_debian.sh inside "$@" &
    system=$!
    trap 'kill -KILL "$system"; exit 1' HUP INT TERM # and with it all that runs inside
    wait "$system"
}

# ------------------------------------------------------------------------------------------------ inside

as_user() {
    setpriv --reuid tester --regid tester --init-groups env HOME=/home/tester USER=tester LOGNAME=tester "$@"
}

attempt() { # target: its time in seconds, and what it added, in a line of the table
    begun=$(date +%s) before=$(used)
    if [ "$kind" = root ]; then make "$1"; else as_user make "$1"; fi || return 1
    table="$table
$(printf '%-16s %6d s %6d MB' "make $1" $(($(date +%s) - begun)) $(($(used) - before)))"
}

install_what_it_prints() { # target: it fails, and one command mends that
    begun=$(date +%s) before=$(used)
    if as_user make "$1" >/tmp/printed 2>&1; then
        return 0
    fi
    cat /tmp/printed
    [ "$(grep -c '^    apt-get install' /tmp/printed)" = 1 ] || { say "FAILED: not one apt-get line" && exit 1; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive sh -c "$(grep '^    apt-get install' /tmp/printed)" >/dev/null
    table="$table
$(printf '%-16s %6d s %6d MB' "apt for $1" $(($(date +%s) - begun)) $(($(used) - before)))"
}

assert_no_services() { # of packages that the targets have installed
    for name in influxdb prometheus; do
        for link in /etc/systemd/system/*.wants/"$name".service /etc/rc[2-5].d/S[0-9][0-9]"$name"; do
            [ ! -e "$link" ] && [ ! -L "$link" ] || { say "FAILED: the service $name is enabled: $link" && exit 1; }
        done
    done
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe" || true) in
        */influxd | */prometheus) say "FAILED: a service was left running" && exit 1 ;;
        esac
    done
}

inside() { # suite, kind of user, targets
    suite=$1 kind=$2 table=''
    shift 2
    cd /srv/influxdb-backup
    if [ "$kind" = user ]; then
        useradd --create-home tester
        chown -R tester:tester .
    fi
    start=$(used)
    for target; do
        say "make $target"
        [ "$kind" = root ] || install_what_it_prints "$target"
        attempt "$target" || { say "FAILED: make $target on Debian $suite, $kind" && exit 1; }
        [ "$kind" != root ] || assert_no_services
    done
    say "Debian $suite, $(python3 --version), $kind, $(nproc) cores; $start MB before"
    printf '%s\n' "${table#?}"
    printf '%-16s %15d MB, .venv %d MB\n' "all of it" $(($(used) - start)) "$(du -sm .venv | cut -f 1)"
    say "what is large now, in MB"
    du -xm --max-depth=3 / 2>/dev/null | sort -rn | sed -n '2,16p'
}

main() {
    case ${1:-} in
    enter | inside)
        "$@"
        return
        ;;
    esac
    suite=${1:-bookworm} kind=${2:-root}
    case $suite-$kind in
    bookworm-root | bookworm-user | trixie-root | trixie-user) ;;
    *) echo "usage: $0 [bookworm|trixie] [root|user] [target...]" >&2 && exit 2 ;;
    esac
    shift $(($# < 2 ? $# : 2))
    [ $# -gt 0 ] || set -- demo test
    outside "$suite" "$kind" "$@"
}

main "$@"; exit # in one line: this file may change while it runs
