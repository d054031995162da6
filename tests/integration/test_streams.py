"""Standard streams that are closed, full, broken or of another encoding cost output, no backup, no exit code."""

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.integration.harness import MONDAY, ROOT, Pair, write_job


def in_shell(redirections: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """`python main.py ...` with redirections as a shell makes them."""
    command = ["bash", "-c", f'exec "$0" main.py "$@" {redirections}', sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, timeout=300, check=False
    )


BROKEN: Mapping[str, str] = {
    "stderr closed": "2>&-",
    "stdout closed": ">&-",
    "stdin closed": "<&-",
    "all closed": "<&- >&- 2>&-",
    "stdout full": ">/dev/full",
    "stderr full": "2>/dev/full",
    "both full": ">/dev/full 2>&1",
    "nobody reads stdout": "> >(true)",
    "nobody reads stderr": "2> >(true)",
}


@pytest.mark.parametrize(("how", "words"), [*((how, []) for how in BROKEN), ("stdout full", ["--json"])])
def test_a_broken_stream_costs_no_backup_and_no_exit_code(how: str, words: list[str], pair: Pair) -> None:
    """The run is made, and its exit code is that of the run; another stream has no traceback."""
    pair.write("\n".join(f"m v={i} {MONDAY + i}" for i in range(100)))
    path = write_job(pair.directory, pair.config())
    done = in_shell(BROKEN[how], "--config", str(path), *words)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert b"Traceback" not in output
    assert b"bug" not in output
    pair.assert_equal(points=100)


@pytest.mark.parametrize("how", ["stdout full", "all closed", "both full"])
def test_a_run_that_fails_says_so_by_its_exit_code_whatever_the_streams(how: str, pair: Pair) -> None:
    """1, as with streams that work."""
    config = pair.config({"options": {"retries": 0}})
    config["destination"]["url"] = "http://127.0.0.1:9"
    path = write_job(pair.directory, config)
    assert in_shell(BROKEN[how], "--config", str(path)).returncode == 1


@pytest.mark.parametrize("command", ["check", "verify", "--help"])
def test_other_commands_keep_their_exit_code_too(command: str, pair: Pair) -> None:
    """What they would print is lost, and nothing else."""
    pair.write(f"m v=1 {MONDAY}")
    path = write_job(pair.directory, pair.config())
    assert in_shell("", "--config", str(path)).returncode == 0
    for how in ("stdout full", "all closed", "both full"):
        done = in_shell(BROKEN[how], command, "--config", str(path))
        assert done.returncode == 0, (how, done)


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1", "cp1252"])
def test_names_that_the_encoding_lacks_are_escaped(encoding: str, pair: Pair) -> None:
    """The table and the log show them with escapes, whatever the locale."""
    pair.write(f"m v=1 {MONDAY}")
    path = write_job(pair.directory, pair.config(), "jöb_日本")
    done = in_shell("", "--config", str(path), PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"\\u65e5" in done.stdout
    assert b"Traceback" not in done.stderr
    pair.assert_equal(points=1)
