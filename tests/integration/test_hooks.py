"""`options.hooks`: the user's own commands around real runs."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from copying.results import JobResult
from tests.integration.daemon import children, running, wait_until
from tests.integration.harness import MONDAY, Pair, write_job
from tests.support.servers import InfluxServer


def run(pair: Pair, **hooks: object) -> JobResult:
    """A run of one point with these commands."""
    pair.write(f"m v=1 {MONDAY}")
    return pair.backup({"options": {"hooks": hooks}})


def noting(file: Path, word: str) -> str:
    """A command that writes a word, and what it was told, to the end of a file."""
    about = "$INFLUXDB_BACKUP_JOB,$INFLUXDB_BACKUP_RESULT,$INFLUXDB_BACKUP_FAILURE"
    return f"sh -c 'echo {word}:{about} >> {file}'"


def notes(pair: Pair, **hooks: object) -> tuple[JobResult, list[str]]:
    """What a run gave, and what its commands wrote."""
    file = pair.directory / "notes"
    given: Mapping[str, object] = {word: noting(file, word) for word in ("before", "after", "on_failure")}
    result = run(pair, **{**given, **hooks})
    return result, file.read_text().splitlines()


def test_commands_come_before_and_after_a_run(pair: Pair) -> None:
    """They know the job, and what came of it; nothing failed, so nobody is told that."""
    result, lines = notes(pair)
    assert (result.failures, result.cautions) == ((), ())
    assert lines == ["before:job,,", "after:job,ok,"]
    pair.assert_equal(points=1)


def test_a_command_that_fails_before_a_run_fails_it(pair: Pair) -> None:
    """Nothing is copied, not even asked for; those after it come all the same."""
    result, lines = notes(pair, before="sh -c 'echo no disk; exit 3'")
    (failure,) = result.failures
    assert failure == "options.hooks.before: sh failed with exit code 3"
    assert lines == [f"on_failure:job,FAILED,{failure}", f"after:job,FAILED,{failure}"]
    assert pair.database not in {row[0] for row in pair.destination.rows("SHOW DATABASES")}


def test_a_run_that_fails_is_told_to_the_command_for_that(pair: Pair) -> None:
    """With its first failure."""
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m v=1i {MONDAY}", pair.database)
    result, lines = notes(pair)
    assert len(result.failures) == 1
    assert [line.partition(":")[0] for line in lines] == ["before", "on_failure", "after"]
    assert "FAILED,copy" in lines[1]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/nowhere/at/all x", "/nowhere/at/all cannot be started: No such file or directory"),
        ("false", "false failed with exit code 1"),
        ("sh -c 'kill -9 $$'", "sh was ended by signal 9"),
        ("sleep 600", "sleep did not end within 1s (options.hooks.time_limit)"),
        ("sh -c 'sleep 600 & wait'", "sh did not end within 1s (options.hooks.time_limit)"),
    ],
)
def test_a_command_that_fails_after_a_run_is_a_warning(command: str, told: str, pair: Pair) -> None:
    """The copy is whole all the same, and the run goes on, whatever the command does."""
    result = run(pair, after=command, time_limit="1s")
    assert (result.failures, result.cautions) == ((), (f"options.hooks.after: {told}",))
    pair.assert_equal(points=1)


def test_the_output_of_a_command_is_in_the_log(pair: Pair, capfd: pytest.CaptureFixture[str]) -> None:
    """Line by line, each of them plain, and not without end; no shell sees what is not given to one."""
    run(pair, before=["printf", "one\\n\\033[2Jtwo $HOME;\\n"], after="sh -c 'seq 1 300; echo bad >&2'")
    log = capfd.readouterr().err
    assert "[job] options.hooks.before: one\n" in log
    assert "[job] options.hooks.before: \\x1b[2Jtwo $HOME;\n" in log
    assert "options.hooks.after: 200\n" in log
    assert "options.hooks.after: 201\n" not in log
    assert "options.hooks.after: and 101 lines more" in log


def test_a_command_may_leave_something_behind(pair: Pair) -> None:
    """That holds its output open: the run does not wait for its end."""
    file = pair.directory / "pid"
    assert run(pair, before=f"sh -c 'sleep 600 & echo $! > {file}'").failures == ()
    os.kill(int(file.read_text()), signal.SIGTERM)  # it was still there
    pair.assert_equal(points=1)


def test_a_command_makes_a_server_reachable(source: InfluxServer, database: str, tmp_path: Path) -> None:
    """So a daemon does not wait for that server before it."""
    with InfluxServer.start("sleeping") as destination:
        pair = Pair(source, destination, database, tmp_path)
        pair.write(f"m v=1 {MONDAY}")
        destination.pause()
        options = {"incremental": {"schedule": "0 0 1 1 *", "run_on_start": True}}
        wake = f"sh -c 'kill -CONT {destination.pid}'"  # a minimal Debian has no program of that name
        write_job(tmp_path / "jobs", pair.config({"options": {**options, "hooks": {"before": wake}}}))
        with running(tmp_path / "jobs", tmp_path) as daemon:
            daemon.wait_for("run ended: 1 point")
            assert "waiting for the" not in daemon.log
            assert daemon.stop()[0] == 0


def test_a_daemon_that_stops_ends_the_command_before_and_lets_the_one_after_tidy_up(pair: Pair) -> None:
    """In time; a run that was not begun is stopped, not failed."""
    pair.write(f"m v=1 {MONDAY}")
    options = {"incremental": {"schedule": "0 0 1 1 *", "run_on_start": True}}
    hooks = {"before": "sleep 600", "after": noting(pair.directory / "notes", "after")}
    write_job(pair.directory / "jobs", pair.config({"options": {**options, "hooks": hooks}}))
    with running(pair.directory / "jobs", pair.directory) as daemon:
        daemon.wait_for("options.hooks.before: sleep")
        (worker,) = daemon.workers()
        wait_until(lambda: bool(children(worker)), "the command", daemon)
        assert daemon.stop(signal.SIGTERM)[0] == 0
    assert "FAILED" not in daemon.log
