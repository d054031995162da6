"""The daemon: schedules, supervision, signals, waiting for servers, reloading, health."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from basics.locks import FileLock
from daemon.supervisor import STOP_WITHIN
from tests.integration.daemon import IN_TIME, Daemon, Held, is_running, running, wait_until
from tests.integration.harness import MONDAY, ROOT, Pair, job_config, run_main, write_job
from tests.soak.loki import Loki
from tests.support.proxy import Gate, Proxy, when
from tests.support.recorder import recorder
from tests.support.servers import InfluxServer
from tests.support.waiting import HANG

SCHEDULED = {"options": {"incremental": {"schedule": "0 0 1 1 *", "run_on_start": True}}}
"""A job that runs at once and then not before the next year."""


def scheduled(pair: Pair, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """A scheduled job's configuration."""
    config = pair.config(SCHEDULED)
    config["options"] |= options or {}
    return config


def load(pair: Pair, rows: int = 1000, begin: int = 0) -> None:
    """Points of two fields."""
    for first in range(begin, begin + rows, 10_000):
        count = min(10_000, begin + rows - first)
        lines = (f"m,h=h{i % 7} v={i}i,w={i}.5 {MONDAY + i * 10**9}" for i in range(first, first + count))
        pair.write("\n".join(lines))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_runs_says_when_next_and_stops_cleanly(number: signal.Signals, pair: Pair) -> None:
    """Exit code 0 within ten seconds, and the log names the next run."""
    load(pair)
    write_job(pair.directory / "jobs", scheduled(pair), "yearly")
    with running(pair.directory / "jobs", pair.directory) as daemon:
        daemon.wait_for("next run")
        code, seconds = daemon.stop(number)
        assert code == 0, daemon.log
        assert seconds < IN_TIME
        assert "-01-01" in daemon.log
        assert "Traceback" not in daemon.log
        assert daemon.workers() == []
    pair.assert_equal(points=2000)


def test_a_signal_to_all_processes_at_once_is_an_ordinary_stop(pair: Pair) -> None:
    """As systemd sends it: no worker counts as dead, and nobody is told of a failure."""
    load(pair)
    with recorder() as service:
        urls, hooks = [f"json://127.0.0.1:{service.port}/x"], {"before": Held(pair.directory).hook}
        config = scheduled(pair, {"notify": {"urls": urls}, "hooks": hooks})
        write_job(pair.directory / "jobs", config, "yearly")
        with running(pair.directory / "jobs", pair.directory) as daemon:
            daemon.wait_for("options.hooks.before")
            workers = daemon.workers()
            assert len(workers) == 2  # the monitor, and the run
            for pid in (*workers, daemon.process.pid):
                os.kill(pid, signal.SIGTERM)
            assert daemon.process.wait(HANG) == 0
            assert "stopping after the batches in flight" in daemon.log
            assert "died" not in daemon.log
    assert service.requests == []


def test_with_log_format_json_every_line_of_the_daemon_is_json(pair: Pair) -> None:
    """The parent's too, where all jobs want it; the log file holds the job's lines of the console."""
    load(pair)
    options = {"log_format": "json", "log_directory": str(pair.directory / "logs")}
    write_job(pair.directory / "jobs", scheduled(pair, options), "yearly")
    with running(pair.directory / "jobs", pair.directory) as daemon:
        daemon.wait_for("next run")
        daemon.stop()
        log = daemon.log[: daemon.log.index("\njob ")].splitlines()  # the summary follows, on standard output
    lines = [json.loads(line) for line in log]
    assert {line["job"] for line in lines} == {"main", "yearly"}
    assert {"time", "level", "job", "logger", "message"} == set().union(*lines)
    written = (pair.directory / "logs" / "yearly" / "yearly.log").read_text().splitlines()
    assert written == [text for text, line in zip(log, lines, strict=True) if line["job"] == "yearly"]


@contextmanager
def in_its_middle(
    pair: Pair, config: dict[str, Any], *arguments: str, name: str = "job", first: int = 1
) -> Iterator[tuple[Daemon, Gate]]:
    """A daemon whose copy waits for the destination, which leaves this write unanswered until the gate is opened.

    And all that comes after it.
    """
    gate = Gate()
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(gate, "write", first=first, count=None)
        proxy.inject(when(gate.is_reached, gate), count=None)
        config["destination"]["url"] = proxy.url
        config["options"]["timeout_client"] = 2 * IN_TIME
        write_job(pair.directory / "jobs", config, name)
        with running(pair.directory / "jobs", pair.directory, *arguments) as daemon:
            wait_until(
                lambda: gate.is_reached() or daemon.process.poll() is not None, "a write at the gate", daemon
            )
            yield daemon, gate


def test_a_stop_in_the_middle_of_a_run_loses_nothing(pair: Pair) -> None:
    """The batch in flight is finished, the exit code is 0, and the next run goes on from there."""
    load(pair, 150_000)
    with in_its_middle(pair, scheduled(pair, {"days_of_pagination": 0.01}), first=20) as (daemon, gate):
        daemon.send(signal.SIGTERM)
        daemon.wait_for("stopping after the batches in flight")
        gate.open()
        assert daemon.process.wait(IN_TIME) == 0, daemon.log
        assert "Traceback" not in daemon.log
        assert "died" not in daemon.log
    expected, found = pair.snapshots()
    assert 0 < len(found) < len(expected)
    assert found.points.items() <= expected.points.items()
    assert pair.backup().succeeded
    pair.assert_equal(points=300_000)


def test_a_stop_while_a_server_hangs_takes_at_most_ten_seconds(pair: Pair) -> None:
    """A request that nobody answers does not keep the daemon from stopping."""
    load(pair, 100_000)
    with in_its_middle(pair, scheduled(pair)) as (daemon, _):
        code, seconds = daemon.stop()
        assert code == 0, daemon.log
        assert seconds < IN_TIME


def stopped_twice(daemon: Daemon) -> int:
    """The exit code of a daemon that is told to stop and then, before its time is over, to do so now."""
    begun = time.monotonic()
    daemon.send(signal.SIGTERM)
    daemon.wait_for("stopping after the batches in flight")
    code, _ = daemon.stop()
    assert time.monotonic() - begun < STOP_WITHIN
    assert "stopping now" in daemon.log
    return code


def test_a_second_signal_stops_at_once(pair: Pair) -> None:
    """Without waiting for the batch in flight."""
    load(pair, 100_000)
    with in_its_middle(pair, scheduled(pair)) as (daemon, _):
        stopped_twice(daemon)


@pytest.mark.parametrize("signals", [1, 2], ids=["at the deadline", "by the second signal"])
@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["table", "json"])
def test_a_one_off_job_that_is_killed_before_it_had_a_result_is_not_ok(
    arguments: list[str], signals: int, pair: Pair
) -> None:
    """Its exit code is 1, and it is told as stopped: nobody knows what it would have copied."""
    load(pair, 100_000)
    with in_its_middle(pair, pair.config(), *arguments, name="once") as (daemon, _):
        code, seconds = daemon.stop() if signals == 1 else (stopped_twice(daemon), 0.0)
        assert code == 1, daemon.log
        assert seconds < IN_TIME
        assert "died" not in daemon.log
        assert re.search(r'"result": "stopped"' if arguments else r"(?m)^once .*stopped", daemon.log), daemon.log


def test_a_scheduled_worker_that_dies_is_reported_and_started_again(pair: Pair) -> None:
    """With a growing delay; its job then runs as before."""
    load(pair)
    held = Held(pair.directory)
    write_job(pair.directory / "jobs", scheduled(pair, {"hooks": {"before": held.hook}}), "yearly")
    with running(pair.directory / "jobs", pair.directory) as daemon:
        daemon.wait_for("options.hooks.before")
        (worker,) = daemon.workers()
        os.kill(worker, signal.SIGKILL)
        held.let_go()
        daemon.wait_for("job yearly: its worker died (SIGKILL); starting it again in 1 s")
        daemon.wait_for("next run at")
        assert daemon.stop()[0] == 0
    pair.assert_equal(points=2000)


def test_a_job_that_waits_for_its_time_has_no_process_and_lets_no_restore_begin(pair: Pair) -> None:
    """It has one while it runs; what keeps a restore away is the daemon itself."""
    load(pair)
    write_job(pair.directory / "jobs", scheduled(pair), "yearly")
    with running(pair.directory / "jobs", pair.directory) as daemon:
        daemon.wait_for("next run at")
        wait_until(lambda: daemon.workers() == [], "the end of the process", daemon)
        lock = pair.directory / "quarantine" / ".compared" / "yearly.lock"
        with FileLock(lock) as mine:
            assert not mine.take()
            assert daemon.stop()[0] == 0
            assert mine.take()


def test_a_one_shot_worker_that_dies_fails_the_run_and_is_named(pair: Pair) -> None:
    """The exit code is 1, and the other jobs are not harmed."""
    load(pair, 50_000)
    with in_its_middle(pair, pair.config(), name="doomed") as (daemon, _):
        (worker,) = daemon.workers()
        os.kill(worker, signal.SIGKILL)
        assert daemon.process.wait(HANG) == 1
        assert "job doomed: the worker process died (SIGKILL)" in daemon.log
        assert "FAILED doomed: 1 failure, told in the log above" in daemon.log


def test_a_daemon_waits_for_servers_that_are_not_up_yet(
    source: InfluxServer, database: str, tmp_path: Path
) -> None:
    """One line for each attempt, and the run begins once both answer."""
    with InfluxServer.start("late") as destination:
        pair = Pair(source, destination, database, tmp_path)
        load(pair)
        destination.stop()
        write_job(tmp_path / "jobs", scheduled(pair, {"initial_connection_retry_delay": 0.5}))
        with running(tmp_path / "jobs", tmp_path) as daemon:
            daemon.wait_for("waiting for the destination", count=2)
            assert "Connection refused; next attempt in 0.5 s" in daemon.log
            destination.restart()
            daemon.wait_for("run ended")
            assert daemon.stop()[0] == 0
        pair.assert_equal(points=2000)


def test_waiting_for_a_server_can_be_interrupted(pair: Pair) -> None:
    """Even with a long delay between attempts."""
    config = scheduled(pair, {"initial_connection_retry_delay": 600})
    config["source"]["url"] = "http://127.0.0.1:9"
    write_job(pair.directory / "jobs", config)
    with running(pair.directory / "jobs", pair.directory) as daemon:
        daemon.wait_for("waiting for the source")
        code, seconds = daemon.stop()
        assert code == 0
        assert seconds < IN_TIME


def test_a_failed_run_of_a_scheduled_job_is_logged_and_the_daemon_goes_on(pair: Pair) -> None:
    """It is tried again at its next time; the health file says what fails."""
    config = scheduled(pair)
    config["source"]["databases"] = [{"name": "no_such_database", "destination": pair.database}]
    write_job(pair.directory / "jobs", config, "yearly")
    health = pair.directory / "health.json"
    with running(pair.directory / "jobs", pair.directory, BACKUP_HEALTH_FILE=str(health)) as daemon:
        daemon.wait_for("next run")
        assert "no_such_database" in daemon.log
        environ = {**os.environ, "BACKUP_HEALTH_FILE": str(health)}
        wait_until(lambda: "yearly" in run_main("health", environ=environ).stdout, "ill health", daemon)
        assert run_main("health", environ=environ).returncode == 1
        assert daemon.stop()[0] == 0


def next_health(file: Path, daemon: Daemon) -> subprocess.CompletedProcess[str]:
    """What `health` says of the next file that the daemon writes."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    wait_until(lambda: file.exists() and file.stat().st_mtime_ns != before, "the next health file", daemon)
    return run_main("health", environ={**os.environ, "BACKUP_HEALTH_FILE": str(file)})


def test_health_is_ill_after_a_run_that_was_killed_until_another_one_has_ended(pair: Pair) -> None:
    """That its process was started again does not make the job well."""
    load(pair)
    held, health = Held(pair.directory), pair.directory / "health.json"
    write_job(pair.directory / "jobs", scheduled(pair, {"hooks": {"before": held.hook}}), "yearly")
    with running(pair.directory / "jobs", pair.directory, BACKUP_HEALTH_FILE=str(health)) as daemon:
        daemon.wait_for("options.hooks.before")
        (worker,) = daemon.workers()
        os.kill(worker, signal.SIGKILL)
        daemon.wait_for("options.hooks.before", count=2)
        done = next_health(health, daemon)
        assert "yearly: its worker process died (SIGKILL) in the middle of a run" in done.stdout
        assert done.returncode == 1
        held.let_go()
        daemon.wait_for("next run at")
        done = next_health(health, daemon)
        assert (done.returncode, done.stdout) == (0, "healthy\n")


def test_health_is_ill_after_a_failed_run_also_when_the_file_was_changed(pair: Pair) -> None:
    """Nor does a run of the changed file make it well that was stopped; the next one that is good does."""
    load(pair)
    held, jobs, health = Held(pair.directory), pair.directory / "jobs", pair.directory / "health.json"
    config = scheduled(pair)
    good, bad = config["source"]["databases"], [{"name": "no_such_database", "destination": pair.database}]
    write_job(jobs, config | {"source": config["source"] | {"databases": bad}}, "yearly")
    with running(jobs, pair.directory, BACKUP_HEALTH_FILE=str(health)) as daemon:
        daemon.wait_for("next run at")
        config["source"]["databases"] = good
        waiting = {"incremental": {"schedule": "0 0 1 1 *", "run_on_start": False}}
        write_job(jobs, config | {"options": config["options"] | waiting}, "yearly")
        daemon.send(signal.SIGHUP)
        daemon.wait_for("next run at", count=2)
        done = next_health(health, daemon)
        assert (done.returncode, "no_such_database" in done.stdout) == (1, True)
        write_job(jobs, config | {"options": config["options"] | {"hooks": {"before": held.hook}}}, "yearly")
        daemon.send(signal.SIGHUP)
        daemon.wait_for("options.hooks.before")
        write_job(jobs, config | {"options": config["options"] | waiting}, "yearly")
        daemon.send(signal.SIGHUP)
        daemon.wait_for("next run at", count=3)
        done = next_health(health, daemon)
        assert (done.returncode, "no_such_database" in done.stdout) == (1, True)
        write_job(jobs, config, "yearly")
        daemon.send(signal.SIGHUP)
        daemon.wait_for("next run at", count=4)
        done = next_health(health, daemon)
        assert (done.returncode, done.stdout) == (0, "healthy\n")


def test_health_is_good_while_the_daemon_lives_and_bad_after_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that is gone has left a file that grows old."""
    load(pair)
    write_job(pair.directory / "jobs", scheduled(pair))
    health = pair.directory / "health.json"
    monkeypatch.setenv("BACKUP_HEALTH_FILE", str(health))
    assert run_main("health").returncode == 1
    with running(pair.directory / "jobs", pair.directory) as daemon:
        daemon.wait_for("next run")
        done = run_main("health")
        assert (done.returncode, done.stdout) == (0, "healthy\n")
        daemon.stop()
    os.utime(health)
    text = health.read_text().replace('"alive": 1', '"alive": 0')
    health.write_text(text)
    assert "no sign of life" in run_main("health").stdout


def test_sighup_starts_new_jobs_stops_removed_ones_and_restarts_changed_ones(pair: Pair) -> None:
    """An invalid file is reported, and the version that runs goes on."""
    load(pair)
    jobs = pair.directory / "jobs"

    def job(name: str, **options: object) -> Path:
        config = job_config(pair.source, pair.destination, {pair.database: f"{pair.database}_{name}"}, SCHEDULED)
        config["options"] |= options
        return write_job(jobs, config, name)

    try:
        for name in ("kept", "removed", "changed", "broken"):
            job(name)
        with running(jobs, pair.directory) as daemon:
            daemon.wait_for("run ended", count=4)
            job("new")
            job("changed", parallel_workers=2)
            (jobs / "removed.yaml").unlink()
            (jobs / "broken.yaml").write_text("source: [")
            daemon.send(signal.SIGHUP)
            daemon.wait_for("run ended", count=6)
            for line in ("job new: new", "job changed: changed, restarting", "job removed: removed, stopping"):
                assert line in daemon.log
            assert "broken.yaml" in daemon.log
            daemon.wait_for("next run at", count=6)
            assert daemon.log.count("[kept] first run now") == daemon.log.count("[broken] first run now") == 1
            (jobs / "broken.yaml").unlink()
            for file in jobs.iterdir():
                file.unlink()
            daemon.send(signal.SIGHUP)
            daemon.wait_for("the jobs go on as they are")
            assert daemon.stop()[0] == 1  # a file was invalid when they were last read
    finally:
        for name in ("kept", "removed", "changed", "broken", "new"):
            pair.destination.drop_database(f"{pair.database}_{name}")


def test_jobs_that_would_write_the_same_measurements_are_refused(pair: Pair) -> None:
    """Both are named; a third one still runs; separated by their measurements they run together."""
    load(pair)
    jobs = pair.directory / "jobs"
    write_job(jobs, pair.config(), "one")
    write_job(jobs, pair.config(), "two")
    done = run_main("--config", jobs)
    assert done.returncode == 1
    assert "the job 'one' also writes" in done.stderr
    assert "the job 'two' also writes" in done.stderr
    assert pair.database not in {row[0] for row in pair.destination.rows("SHOW DATABASES")}
    write_job(jobs, pair.config({"measurements": {"include": ["m"]}}), "one")
    nothing_left = {"measurements": {"exclude": ["m"]}, "options": {"allow_empty": True}}
    write_job(jobs, pair.config(nothing_left), "two")
    assert run_main("--config", jobs).returncode == 0
    pair.assert_equal(points=2000)


def test_log_files_and_an_unwritable_log_directory(pair: Pair) -> None:
    """Each job has its own file; one that cannot be written fails its job before anything is copied."""
    load(pair)
    logs = pair.directory / "logs"
    jobs = pair.directory / "jobs"
    write_job(jobs, pair.config({"options": {"log_directory": str(logs)}}), "good")
    assert run_main("--config", jobs).returncode == 0
    assert "run ended" in (logs / "good" / "good.log").read_text()
    (pair.directory / "file").write_text("")
    write_job(jobs, pair.config({"options": {"log_directory": str(pair.directory / "file")}}), "good")
    pair.destination.drop_database(pair.database)
    done = run_main("--config", jobs)
    assert done.returncode == 1
    assert str(pair.directory / "file") in done.stdout
    assert "Traceback" not in done.stderr
    assert pair.database not in {row[0] for row in pair.destination.rows("SHOW DATABASES")}


def yearly(pair: Pair, jobs: Path, name: str, into: str = "", **options: object) -> Path:
    """A scheduled job's file, copying into a database of its own."""
    into = into or f"{pair.database}_{name}"
    config = job_config(pair.source, pair.destination, {pair.database: into}, SCHEDULED)
    config["options"] |= options
    return write_job(jobs, config, name)


def test_a_worker_that_is_started_again_runs_what_was_checked(pair: Pair) -> None:
    """Not a file that was broken, or changed onto another job's target, without a reload."""
    load(pair)
    jobs = pair.directory / "jobs"
    held = Held(pair.directory)
    yearly(pair, jobs, "one", pair.database, hooks={"before": held.hook})
    with running(jobs, pair.directory) as daemon:
        daemon.wait_for("options.hooks.before")
        (jobs / "one.yaml").write_text("source: [")
        (worker,) = daemon.workers()
        os.kill(worker, signal.SIGKILL)
        held.let_go()
        daemon.wait_for("run ended")
        yearly(pair, jobs, "two", pair.database)
        daemon.send(signal.SIGHUP)
        daemon.wait_for("the job 'one' also writes")
        assert daemon.stop()[0] == 1  # a file is invalid
        assert daemon.log.count("run ended") == 1
    pair.assert_equal(points=2000)


def test_a_file_that_goes_and_comes_back_while_its_worker_stops_runs_again(pair: Pair) -> None:
    """Whatever the order of events, the jobs are those of the files."""
    load(pair)
    jobs = pair.directory / "jobs"
    yearly(pair, jobs, "kept", f"{pair.database}_kept")
    path = yearly(pair, jobs, "one", pair.database)
    try:
        with running(jobs, pair.directory) as daemon:
            daemon.wait_for("run ended", count=2)
            text = path.read_text()
            path.unlink()
            daemon.send(signal.SIGHUP)
            daemon.wait_for("removed, stopping")
            path.write_text(text)
            daemon.send(signal.SIGHUP)
            daemon.wait_for("run ended", count=3)
            assert daemon.stop()[0] == 0
    finally:
        pair.destination.drop_database(f"{pair.database}_kept")


def test_a_worker_that_fails_at_once_is_started_again_ever_more_slowly(pair: Pair) -> None:
    """An unwritable log directory is reported each time, with a growing delay."""
    jobs = pair.directory / "jobs"
    (pair.directory / "file").write_text("")
    yearly(pair, jobs, "one", pair.database, log_directory=str(pair.directory / "file"))
    with running(jobs, pair.directory) as daemon:
        daemon.wait_for("starting it again in 1 s")
        daemon.wait_for("starting it again in 2 s")
        daemon.wait_for("starting it again in 4 s")
        assert "cannot write" in daemon.log
        assert daemon.stop()[0] == 0


def test_health_knows_invalid_files_and_servers_that_are_waited_for(pair: Pair) -> None:
    """A daemon that does not do all that its folder asks for is not healthy."""
    jobs = pair.directory / "jobs"
    config = scheduled(pair, {"initial_connection_retry_delay": 60})
    config["destination"]["url"] = "http://127.0.0.1:9"
    write_job(jobs, config, "waiting")
    (jobs / "broken.yaml").write_text("source: [")
    environ = {"BACKUP_HEALTH_FILE": str(pair.directory / "health")}
    with running(jobs, pair.directory, **environ) as daemon:
        daemon.wait_for("waiting for the destination")
        wait_until(
            lambda: "waiting for the destination" in run_main("health", environ={**os.environ, **environ}).stdout,
            "ill health",
            daemon,
        )
        assert "broken: invalid file" in run_main("health", environ={**os.environ, **environ}).stdout


def test_the_daemon_has_no_thread_when_it_forks_and_shares_the_libraries(pair: Pair) -> None:
    """Whatever another thread had locked would stay locked in a worker: a library that starts one is out."""
    load(pair)
    notify = {"urls": ["json://127.0.0.1:9/x"]}  # with which Apprise is loaded
    write_job(pair.directory / "jobs", scheduled(pair, {"notify": notify}), "yearly")
    with running(pair.directory / "jobs", pair.directory) as daemon:
        daemon.wait_for("next run")
        process = Path("/proc") / str(daemon.process.pid)
        assert [entry.name for entry in (process / "task").iterdir()] == [process.name]
        libraries = (process / "maps").read_text()
        assert "/numpy/" in libraries
        assert "/msgpack/" in libraries
        assert "polars" not in libraries  # it starts a thread when it is imported


def test_a_worker_obeys_signals_from_its_first_moment_on(pair: Pair) -> None:
    """Not as its parent, of which it is a copy: Ctrl-C and a closed terminal are not for it, SIGTERM ends it."""
    config = scheduled(pair, {"retries": 1000, "retry_delay": 600})
    config["source"]["url"] = "http://127.0.0.1:9"
    job = write_job(pair.directory / "jobs", config)
    command = [sys.executable, "-c", FRESH_WORKERS, str(job)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.stdout.split() == ["0"] * 5, done.stderr


FRESH_WORKERS = """
import os, signal, sys
from pathlib import Path
from config import Config
from watching.channel import Channel
from daemon.job_file import JobFile
from daemon.process import Signals, Worker
from daemon.task import Task

path = Path(sys.argv[1])
file = JobFile(Config(path), path.read_bytes())
signals = Signals()
for _ in range(5):
    process = Worker.start(file, Channel(), None, task=Task(), logs=False).process
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(process.pid, number)
    process.join(50)
    print(process.exitcode)
    process.kill()
"""


def begin(pid: int) -> int:
    """When a process began, in ticks of the system."""
    return int((Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[19])


def test_all_workers_end_when_the_daemon_is_killed(pair: Pair) -> None:
    """Also while one hangs that was forked later, and has inherited what its parent had open."""
    load(pair)
    jobs = pair.directory / "jobs"
    names = ("one", "two", "three")
    try:
        held = Held(pair.directory)
        for name in names:
            yearly(pair, jobs, name, hooks={"before": held.hook})
        with running(jobs, pair.directory) as daemon:
            daemon.wait_for("options.hooks.before", count=3)
            *others, youngest = sorted(daemon.workers(), key=begin)
            assert len(others) == 2
            os.kill(youngest, signal.SIGSTOP)
            daemon.send(signal.SIGKILL)
            daemon.process.wait()
            wait_until(lambda: not any(map(is_running, others)), "the end of two workers", daemon)
            os.kill(youngest, signal.SIGCONT)
            wait_until(lambda: not is_running(youngest), "the end of the last worker", daemon)
    finally:
        for name in names:
            pair.destination.drop_database(f"{pair.database}_{name}")


def test_the_last_lines_of_a_worker_reach_loki(pair: Pair) -> None:
    """They are still in its queue when its job has ended."""
    load(pair)
    loki = Loki()
    job = write_job(pair.directory / "jobs", pair.config({"options": {"loki": loki.options}}))
    assert run_main("--config", job).returncode == 0
    assert any("run ended" in text for text in loki.texts), loki.texts
