"""The daemon compares both sides by itself: what it finds stands everywhere, until it is known to be gone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.daemon import Daemon, children, running, wait_until
from tests.integration.harness import MONDAY, Pair, run_main, write_job
from tests.support.recorder import recorder
from tests.support.servers import free_port

pytestmark = pytest.mark.minutes


def every_minute(pair: Pair, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A job that runs when the daemon is started and not again this year, and is compared every minute."""
    times = {"schedule": "0 0 1 1 *", "run_on_start": True}
    return pair.config({"options": {"incremental": times, "verify": {"schedule": "* * * * *"}, **(options or {})}})


def test_a_difference_is_found_told_and_shown_until_it_is_gone(pair: Pair) -> None:
    """On the page, at /healthz, by status, health and metrics, as a message; it outlives the daemon."""
    pair.write("\n".join(f"m,h=a v={i} {MONDAY + i}" for i in range(100)))
    address, health = f"127.0.0.1:{free_port()}", pair.directory / "health.json"
    jobs = pair.directory / "jobs"
    environ = {"BACKUP_HEALTH_FILE": str(health)}

    def get(path: str) -> str:
        return requests.get(f"http://{address}{path}", timeout=60).text

    with recorder() as service:
        config = every_minute(pair, {"notify": {"urls": [f"json://127.0.0.1:{service.port}/told"]}})
        write_job(jobs, config, "daily")
        with running(jobs, pair.directory, "--http", address, **environ) as daemon:
            daemon.wait_for("verify by fingerprints: equal: 100 values")
            wait_until(lambda: "; verified " in get("/"), "the verdict", daemon)

            pair.destination.write(f"m,h=a v=7777 {MONDAY + 5}", pair.database)
            daemon.wait_for("verify by fingerprints: DIFFERENT: 0 values missing, 0 extra, 1 different")
            wait_until(lambda: "with warnings" in get("/healthz"), "the difference", daemon)
            assert "daily: verify: DIFFERENT: 0 values missing, 0 extra, 1 different" in get("/healthz")
            assert "1 of 1 job has warnings: daily" in get("/")
            assert 'influxdb_backup_verify_result{backup_job="daily",result="differs"} 1.0' in get("/metrics")
            assert "WARNING daily:" in run_main("status", "--http", address).stdout
            asked = run_main("health", environ={**os.environ, **environ})
            assert asked.returncode == 0
            assert "daily: verify: DIFFERENT" in asked.stdout
            wait_until(lambda: len(service.titles("/told")) == 1, "the message", daemon)
            assert daemon.stop()[0] == 0
        with running(jobs, pair.directory, "--http", address, **environ) as daemon:
            wait_until(lambda: "verify: DIFFERENT" in _answer(address), "the difference of before", daemon)
            pair.destination.write(f"m,h=a v=5 {MONDAY + 5}", pair.database)
            wait_until(lambda: _answer(address) == "fine\n", "the end of the difference", daemon)
            assert "equal: 100 values" in daemon.log


def _answer(address: str) -> str:
    try:
        return requests.get(f"http://{address}/healthz", timeout=60).text
    except requests.RequestException:
        return ""


def test_what_was_written_since_the_last_run_is_not_missing(pair: Pair) -> None:
    """What no run was there for cannot be expected; nothing is compared before a run has copied everything."""
    pair.write(f"m v=1 {MONDAY}")
    jobs = pair.directory / "jobs"
    write_job(jobs, every_minute(pair), "daily")
    with running(jobs, pair.directory) as daemon:
        daemon.wait_for("run ended")
        pair.write("m v=2")  # now
        daemon.wait_for("verify by fingerprints: equal: 1 value")
        assert "DIFFERENT" not in daemon.log


def test_a_comparison_that_is_killed_is_no_verdict_and_the_next_one_comes(pair: Pair) -> None:
    """The daemon says so and goes on; a comparison that is under way ends with it."""
    pair.write("\n".join(f"m,h=h{i} v={i} {MONDAY + i}" for i in range(500)))
    jobs = pair.directory / "jobs"
    write_job(jobs, every_minute(pair), "daily")
    with running(jobs, pair.directory) as daemon:
        daemon.wait_for("run ended")
        kill_the_comparison(daemon)
        daemon.wait_for("the process that compares both sides died (SIGKILL)")
        daemon.wait_for("verify by fingerprints: equal: 500 values")
        assert daemon.stop()[0] == 0


def kill_the_comparison(daemon: Daemon) -> None:
    """As soon as there is one."""
    found: set[int] = set()

    def has_begun() -> bool:
        found.update(pid for pid in children(daemon.process.pid) if name_of(pid) == "verify")
        return bool(found)

    wait_until(has_begun, "the comparison", daemon)
    for pid in found:
        os.kill(pid, 9)


def name_of(pid: int) -> str:
    """What a process calls itself; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
