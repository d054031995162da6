#!/bin/sh
# What one InfluxDB alone cannot show:
#
#   tests/support/versions.sh                       everything: the facts on each version but Debian's, on which `make
#                                                   test` has them, the tests that copy between versions
#                                                   (tests/versions), and those of Loki's log lines
#   tests/support/versions.sh facts [VERSION...]    the facts alone, on these versions
#
# The versions are those of influxd_versions. One that cannot be built fails by its name, and all others are tested.
set -u
cd "$(dirname "$0")/../.."
failed=''
processes=$(($(nproc) + 2)) # much of the time is spent waiting for servers

fail() {
    failed="$failed
  $1"
}

facts() { # version
    if [ -x ".cache/influxd/$1/influxd" ]; then
        echo "== facts on InfluxDB $1"
        INFLUXD_VERSION=$1 .venv/bin/python -m pytest tests/facts -n "$processes" || fail "facts on InfluxDB $1"
    else
        fail "facts on InfluxDB $1, which could not be had"
    fi
}

only_facts=''
if [ "${1:-}" = facts ]; then
    only_facts=yes
    shift
fi
[ $# -gt 0 ] || set -- $(cat tests/support/influxd_versions)
for version; do
    tests/support/programs.sh influxd "$version" || fail "building InfluxDB $version"
done
[ -n "$only_facts" ] || tests/support/programs.sh victorialogs || fail "building VictoriaLogs"
[ -n "$only_facts" ] || tests/support/programs.sh versitygw || fail "building versitygw"
for version; do
    [ -z "$only_facts" ] && [ "$version" = 1.6 ] || facts "$version"
done
if [ -z "$only_facts" ]; then
    echo "== from version to version, log lines to VictoriaLogs, archives to an object store and to DuckDB"
    .venv/bin/pip --disable-pip-version-check install --quiet --no-cache-dir -r tests/versions/requirements.txt &&
        VERSION_TESTS=1 .venv/bin/python -m pytest tests/versions tests/integration/test_loki.py \
            tests/integration/test_archive.py::test_duckdb_reads_the_files -n "$processes" --dist worksteal ||
        fail "tests/versions, tests/integration/test_loki.py and DuckDB"
fi
[ -z "$failed" ] || echo "FAILED:$failed" >&2
[ -z "$failed" ]
