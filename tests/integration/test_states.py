"""What the monitor of a real daemon knows of jobs that run, wait, fail, die, come and go; also after its death."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.daemon import Held, children, wait_until
from tests.integration.harness import MONDAY, ROOT, Pair, run_main, write_job
from tests.support import waiting
from tests.support.proxy import Proxy, delay
from tests.support.servers import free_port

MINUTE = 60 * 10**9
YEARLY = {"options": {"incremental": {"schedule": "0 0 1 1 *", "run_on_start": True}}}
"""Runs at once and then not before the next year."""


Condition = Callable[[dict[str, Any]], Any]


class Watched:
    """A daemon and what its monitor has written down."""

    def __init__(self, folder: Path, file: Path) -> None:
        self.file = file
        self._log = file.with_name("daemon.log")
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "tests.integration.watching", str(folder), str(file)]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        """All it has printed."""
        return self._log.read_text()

    @property
    def states(self) -> list[dict[str, Any]]:
        """The states, one for each event."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def job(self, name: str = "prod") -> dict[str, Any]:
        """The present state of a job; empty when it is not known."""
        states = self.states
        found: dict[str, Any] = states[-1]["jobs"].get(name, {}) if states else {}
        return found

    def wait_for(self, condition: Condition, what: str, name: str = "prod") -> dict[str, Any]:
        """Until the job is so; its state then."""
        found: dict[str, Any] = {}

        def holds() -> bool:
            nonlocal found
            found = self.job(name)
            return bool(found) and condition(found)

        try:
            waiting.wait_until(holds, what, progress=lambda: len(self.states))
        except AssertionError as error:
            raise AssertionError(f"{error}\nit is {found}\n{self.log}") from None
        return found

    def wait_until_idle(self, runs: int = 1) -> dict[str, Any]:
        """Until so many runs are over and it waits for the next."""
        return self.wait_for(lambda job: job["next_run"] and job["totals"]["runs"] >= runs, f"{runs} runs")

    def pid(self, comm: str) -> int:
        """Of the child of this name: `monitor`, or else a worker."""
        (found,) = (pid for pid in children(self.process.pid) if is_monitor(pid) == (comm == "monitor"))
        return found


def is_monitor(pid: int) -> bool:
    """Whether a process is the monitor of its daemon."""
    return Path(f"/proc/{pid}/comm").read_text().strip() == "monitor"


@contextmanager
def watched(pair: Pair, config: dict[str, Any] | None = None) -> Iterator[Watched]:
    """A daemon with one job."""
    write_job(pair.directory / "jobs", config or pair.config(YEARLY), "prod")
    daemon = Watched(pair.directory / "jobs", pair.directory / "states")
    try:
        yield daemon
    finally:
        processes = children(daemon.process.pid)
        daemon.process.kill()
        daemon.process.wait()
        for pid in processes:
            wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "its processes to end")  # type: ignore[misc]


def load(pair: Pair, names: str = "ab", count: int = 1000) -> None:
    """Points a minute apart in some measurements."""
    for name in names:
        pair.write("\n".join(f"{name} v={i}i,w={i}.5 {MONDAY + i * MINUTE}" for i in range(count)))


def test_a_run_from_its_start_to_the_wait_for_the_next(pair: Pair) -> None:
    """Numbers as they are at the servers; measurements with their newest point; the time of the next run."""
    load(pair)
    with watched(pair) as daemon:
        job = daemon.wait_until_idle()
        assert (job["condition"], job["problem"], job["schedule"]) == ("idle", "", "0 0 1 1 *")
        assert (job["source"], job["destination"]) == (pair.source.url, pair.destination.url)
        assert (job["totals"]["points"], job["totals"]["values"], job["totals"]["runs"]) == (2000, 4000, 1)
        assert job["totals"]["batches"] > 0
        assert job["totals"]["bytes"] > 0
        assert job["totals"]["failures"] == 0
        newest = MONDAY + 999 * MINUTE
        assert job["databases"] == {pair.database: {"name": pair.database, "newest": newest}}
        measurements = list(job["measurements"].values())
        assert [(m["measurement"], m["phase"], m["points"], m["newest"]) for m in measurements] == [
            ("a", "done", 1000, newest),
            ("b", "done", 1000, newest),
        ]
        (record,) = job["history"]
        assert (record["outcome"], record["amounts"]["points"], record["failures"]) == ("ok", 2000, [])
        assert job["last_attempt"] == record["started"] < job["last_success"] < job["next_run"]
        assert daemon.states[0]["jobs"]["prod"]["condition"] == "starting"
        assert "running" in [s["jobs"]["prod"]["condition"] for s in daemon.states]


def test_a_worker_that_is_killed_is_told_and_comes_back(pair: Pair) -> None:
    """What the first one has counted is not lost, and what the second one does is added."""
    load(pair)
    held = Held(pair.directory)
    held.let_go()
    config = pair.config(YEARLY)
    config["options"]["hooks"] = {"before": held.hook}
    with watched(pair, config) as daemon:
        daemon.wait_until_idle()
        held.again()
        config["options"]["parallel_workers"] = 2
        write_job(pair.directory / "jobs", config, "prod")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: daemon.log.count("options.hooks.before: sh") == 2, "the second run")
        os.kill(daemon.pid("worker"), signal.SIGKILL)
        held.let_go()
        daemon.wait_for(lambda job: job["totals"]["runs"] == 2 and job["next_run"], "a second run")
        conditions = [state["jobs"]["prod"]["condition"] for state in daemon.states]
        problems = [state["jobs"]["prod"]["problem"] for state in daemon.states]
        assert "worker died" in conditions
        assert any(problem.startswith("its worker process died (SIGKILL)") for problem in problems)
        job = daemon.job()
        assert (job["condition"], job["problem"], len(job["history"])) == ("idle", "", 2)


def test_a_worker_that_is_killed_in_a_run_leaves_the_job_failing(pair: Pair) -> None:
    """Until a run has succeeded; a new process is not enough."""
    load(pair)
    with Proxy(pair.source.url) as proxy:
        proxy.inject(delay(response=0.2), "query", count=None)
        with watched(pair, pair.config(YEARLY | {"source": {"url": proxy.url}})) as daemon:
            daemon.wait_for(lambda job: job["run"] and job["run"]["database"], "the run")
            os.kill(daemon.pid("worker"), signal.SIGKILL)
            daemon.wait_for(lambda job: job["condition"] == "worker died", "its death")
            daemon.wait_for(lambda job: job["condition"] == "running", "its successor's run")
            job = daemon.job()
            assert list(job["troubles"]) == ["run"]
            assert job["problem"] == "its worker process died (SIGKILL) in the middle of a run"
            daemon.wait_until_idle()
            assert daemon.job()["problem"] == ""


def test_waiting_for_a_server_says_which_one_and_until_when(pair: Pair) -> None:
    """And ends when it is there."""
    load(pair)
    config = pair.config(YEARLY | {"destination": {"url": f"http://127.0.0.1:{free_port()}"}})
    config["options"] |= {"incremental": YEARLY["options"]["incremental"], "initial_connection_retry_delay": 0.5}
    with watched(pair, config) as daemon:
        job = daemon.wait_for(lambda job: job["condition"] == "waiting for server", "the wait")
        assert job["problem"].startswith("waiting for the destination: ")
        assert job["retry_at"] > job["troubles"]["server"]["at"]
        assert job["last_error"] == job["problem"]


def test_a_run_that_fails_is_told_in_full_and_recovery_too(pair: Pair) -> None:
    """Which measurement, and why; afterwards the job is idle, and remembers the error."""
    load(pair)
    config = pair.config(YEARLY)
    name = f"{pair.database}_moved"
    config["source"]["databases"] = [{"name": name}]
    with watched(pair, config) as daemon:
        job = daemon.wait_for(lambda job: job["condition"] == "failing", "the failure")
        assert f"database not found: {name}" in job["problem"]
        assert job["history"][0]["outcome"] == "FAILED"
        assert (job["totals"]["failed_runs"], job["last_success"]) == (1, None)
        pair.source.create_database(name)
        pair.source.write("a v=1 1704067200000000000", name)
        write_job(pair.directory / "jobs", config | {"measurements": {"exclude": ["none"]}}, "prod")
        daemon.process.send_signal(signal.SIGHUP)
        well = daemon.wait_for(lambda job: job["condition"] == "idle" and job["last_success"], "the next run")
        assert well["problem"] == ""
        assert f"database not found: {name}" in well["last_error"]
    for server in (pair.source, pair.destination):
        server.drop_database(name)


def test_jobs_come_and_go_and_files_break_and_are_mended(pair: Pair) -> None:
    """As a reload finds them."""
    load(pair)
    jobs = pair.directory / "jobs"
    with watched(pair) as daemon:
        daemon.wait_until_idle()
        text = (jobs / "prod.yaml").read_text()
        (jobs / "prod.yaml").write_text(text + "sauce: 1\n")
        (jobs / "other.yaml").write_text("sauce: 1\n")
        daemon.process.send_signal(signal.SIGHUP)
        other = daemon.wait_for(lambda job: job["condition"] == "invalid file", "the invalid file", "other")
        assert "sauce" in other["problem"]
        prod = daemon.wait_for(lambda job: job["condition"] == "failing", "the invalid file of a job that runs")
        assert prod["next_run"]
        (jobs / "prod.yaml").write_text(text)
        (jobs / "other.yaml").unlink()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for(lambda job: job["condition"] == "idle", "the mended file")
        wait_until(lambda: not daemon.job("other"), "the other file to be forgotten")
        shutil.copy(jobs / "prod.yaml", pair.directory / "kept.yaml")
        new = pair.config(YEARLY)
        new["source"]["databases"][0]["destination"] = f"{pair.database}_b"
        write_job(jobs, new, "new")
        (jobs / "prod.yaml").unlink()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for(lambda job: job["condition"] == "idle" and job["next_run"], "the new job", "new")
        wait_until(lambda: not daemon.job("prod"), "the removed job to be forgotten")
    pair.destination.drop_database(f"{pair.database}_b")


def test_a_monitor_that_is_killed_knows_all_again(pair: Pair) -> None:
    """Of a job that waits for its next run: history, totals, measurements, next run."""
    load(pair)
    with watched(pair) as daemon:
        before = daemon.wait_until_idle()
        first = daemon.pid("monitor")
        daemon.file.unlink()
        os.kill(first, signal.SIGKILL)
        after = daemon.wait_for(
            lambda job: job["next_run"] and job["measurements"] and job["history"], "all of it"
        )
        for key in (
            "condition",
            "next_run",
            "history",
            "totals",
            "measurements",
            "databases",
            "last_success",
            "pid",
        ):
            assert after[key] == before[key], key
        assert daemon.states[-1]["started"] > 0
        assert "the monitor died (SIGKILL)" in daemon.log


def test_the_result_of_verify_reaches_the_daemon(pair: Pair) -> None:
    """By a file beside the health file; `could not check` is not `differs`."""
    load(pair)
    environ = {**os.environ, "BACKUP_HEALTH_FILE": str(pair.directory / "health")}
    with watched(pair) as daemon:
        daemon.wait_until_idle()
        assert run_main("verify", "--config", pair.directory / "jobs", environ=environ).returncode == 0
        found = daemon.wait_for(lambda job: job["verification"] is not None, "the verdict")["verification"]
        assert (found["result"], found["missing"], found["how"]) == ("equal", 0, "fingerprints")
        pair.destination.query('DROP SERIES FROM "a"', db=pair.database)
        assert run_main("verify", "--config", pair.directory / "jobs", environ=environ).returncode == 1
        job = daemon.wait_for(lambda job: job["verification"]["result"] == "differs", "the next verdict")
        assert job["verification"]["missing"] == 2000
        assert "2,000 values missing" in job["verification"]["detail"]
        pair.source.pause()
        try:
            config = pair.config(YEARLY)
            config["options"] |= {"timeout_client": 0.5, "retries": 0}
            write_job(pair.directory / "again", config, "prod")
            assert run_main("verify", "--config", pair.directory / "again", environ=environ).returncode == 2
        finally:
            pair.source.resume()
        daemon.wait_for(lambda job: job["verification"]["result"] == "could not check", "the last verdict")


def test_a_daemon_with_a_thousand_measurements_tells_of_each(pair: Pair) -> None:
    """They come together in events of bounded size."""
    pair.write("\n".join(f"m{i:04d} v=1 {MONDAY}" for i in range(1000)))
    with watched(pair) as daemon:
        daemon.wait_until_idle()
        job = daemon.wait_for(lambda job: len(job["measurements"]) == 1000, "all of them")
        assert {m["phase"] for m in job["measurements"].values()} == {"done"}
        assert sum(m["points"] for m in job["measurements"].values()) == 1000
