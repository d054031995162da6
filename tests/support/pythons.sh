#!/bin/sh
# The unit tests, those that need no server, on each of these versions of Python that is here: on the PATH, as pyenv has
# it, or as uv has it. Says which ones it ran; each has an environment of its own in .cache/pythons.
#
#   tests/support/pythons.sh 3.11 3.12
set -u
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/pythons
versions=$*

# What is left out of `tests` needs servers or browsers. A test that starts one here all the same, fails.
servers='browser containers facts faults integration security soak versions test_support.py test_proxy.py'
ignored=''
for name in $servers; do ignored="$ignored --ignore tests/$name"; done

find_python() { # version
    for found in "$(command -v "python$1")" /usr/bin/python"$1" /usr/local/bin/python"$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python"$1" \
        "${XDG_DATA_HOME:-$HOME/.local/share}/uv/python/cpython-$1".*/bin/python"$1"; do
        if [ -x "$found" ] && "$found" -c '' 2>/dev/null; then # a shim of pyenv may refuse
            echo "$found"
            return
        fi
    done
}

run() { # version, program
    environment=$cache/$1
    [ -n "$(find "$environment/made" -newer requirements.txt -newer influx/requirements.txt \
        -newer tests/requirements.txt 2>/dev/null)" ] || {
        "$2" -m venv "$environment" &&
            "$environment/bin/python" -m pip --disable-pip-version-check install --quiet --no-cache-dir --no-compile \
                -r influx/requirements.txt -c tests/requirements.txt \
                cryptography hypothesis jsonschema pyte pytest pytest-timeout pytest-xdist &&
            touch "$environment/made"
    } || return
    # shellcheck disable=SC2086
    INFLUXD=/nonexistent INFLUX_SERVERS=local "$environment/bin/python" -m pytest tests $ignored -n "$(($(nproc) + 1))" --quiet
}

ran='' failed=''
for version in $versions; do
    program=$(find_python "$version")
    [ -n "$program" ] || continue
    echo "== $("$program" --version) ($program)"
    if run "$version" "$program"; then ran="$ran $version"; else failed="$failed $version"; fi
done
echo "The unit tests ran on Python$ran${failed:+ and failed on$failed}; not here:$(
    for version in $versions; do
        case " $ran $failed " in *" $version "*) ;; *) printf ' %s' "$version" ;; esac
    done
)."
[ -n "$ran" ] && [ -z "$failed" ]
