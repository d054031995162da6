"""Many jobs: turns, a limit for each server by whatever name, and daemons that share a folder."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.daemon import Daemon, Held, running, wait_until
from tests.integration.harness import MONDAY, Pair, run_main, write_job

YEARLY = {"schedule": "0 0 1 1 *", "run_on_start": True}


@pytest.fixture
def fleet(pair: Pair) -> Iterator[Pair]:
    """A database, to be copied by jobs a, b, c, d, each into one of its own."""
    pair.write(f"m v=1 {MONDAY}")
    yield pair
    for name in "abcd":
        pair.destination.drop_database(f"{pair.database}_{name}")


def job(pair: Pair, name: str, held: Held | None = None, destination: str = "") -> None:
    """The file of one."""
    hooks = {"before": held.hook} if held else {}
    config: dict[str, Any] = pair.config({"options": {"incremental": YEARLY, "hooks": hooks}})
    config["source"]["databases"][0]["destination"] = f"{pair.database}_{name}"
    config["destination"]["url"] = destination or pair.destination.url
    write_job(pair.directory / "jobs", config, name)


def running_now(daemon: Daemon) -> list[str]:
    """The jobs whose runs have begun, in their order."""
    return re.findall(r"\[(\w)\] options\.hooks\.before: sh", daemon.log)


def test_jobs_wait_for_their_turn_and_say_so(fleet: Pair) -> None:
    """One at a time: in the log, on the page, in status."""
    held = Held(fleet.directory)
    for name in "abc":
        job(fleet, name, held)
    with running(
        fleet.directory / "jobs", fleet.directory, "--http", "127.0.0.1:0", BACKUP_MAX_RUNS="1"
    ) as daemon:
        daemon.wait_for("waiting for their turn: ")
        wait_until(lambda: len(running_now(daemon)) == 1, "the first run", daemon)
        (address,) = re.findall(r"status page at (http://[^/]+)", daemon.log)

        def waiting() -> list[str]:
            found = requests.get(f"{address}/api/status", timeout=60).json()["jobs"]
            return [j["name"] for j in found if j["condition"] == "waiting for its turn"]

        wait_until(lambda: len(waiting()) == 2, "two jobs that wait", daemon)
        why = "1 run goes on, as many as BACKUP_MAX_RUNS allows"
        assert requests.get(address, timeout=60).text.count(why) == 2
        told = run_main("status", "--http", address.removeprefix("http://")).stdout
        assert told.count(why) == 2
        assert len(running_now(daemon)) == 1
        held.let_go()
        daemon.wait_for("run ended", count=3)
        assert daemon.log.count("its turn has come") == 2
        assert daemon.stop()[0] == 0
    assert sorted(running_now(daemon)) == ["a", "b", "c"]


def test_who_has_waited_longest_is_next(fleet: Pair) -> None:
    """Whatever the jobs are called."""
    held = Held(fleet.directory)
    job(fleet, "b", held)
    with running(fleet.directory / "jobs", fleet.directory, BACKUP_MAX_RUNS="1") as daemon:
        wait_until(lambda: running_now(daemon) == ["b"], "the first run", daemon)
        for name in "dca":
            job(fleet, name, held)
            daemon.send(signal.SIGHUP)
            daemon.wait_for(f"waiting for their turn: {name} (1 run goes on")
        held.let_go()
        daemon.wait_for("run ended", count=4)
        assert daemon.stop()[0] == 0
    assert running_now(daemon) == ["b", "d", "c", "a"]


def test_a_server_is_one_by_all_its_names(fleet: Pair) -> None:
    """While a run writes to 127.0.0.1 none begins that writes to localhost; afterwards it does."""
    held = Held(fleet.directory)
    job(fleet, "a", held)
    with running(fleet.directory / "jobs", fleet.directory, BACKUP_MAX_RUNS_PER_SERVER="1") as daemon:
        wait_until(lambda: running_now(daemon) == ["a"], "the first run", daemon)
        config: dict[str, Any] = fleet.config({"options": {"incremental": YEARLY}})
        config["source"]["databases"][0]["destination"] = f"{fleet.database}_b"
        for key in ("source", "destination"):
            config[key]["url"] = config[key]["url"].replace("127.0.0.1", "localhost")
        write_job(fleet.directory / "jobs", config, "b")
        daemon.send(signal.SIGHUP)
        daemon.wait_for("job b: new")
        daemon.wait_for("[b] first run now")
        wait_until(lambda: not others(daemon), "the end of its process", daemon)
        assert "[b] run ended" not in daemon.log
        held.let_go()
        daemon.wait_for("run ended", count=2)
        assert daemon.log.index("[a] run ended") < daemon.log.index("[b] run ended")
        assert "[b] its turn has come" in daemon.log
        assert daemon.stop()[0] == 0


def others(daemon: Daemon) -> list[int]:
    """The processes beside that of the run that is held."""
    return daemon.workers()[1:]


def test_a_one_off_run_keeps_to_the_limits_too(fleet: Pair) -> None:
    """And all jobs are done."""
    for name in "abc":
        job(fleet, name)
    done = run_main("--once", "--json", "--config", fleet.directory / "jobs", environ=environ(BACKUP_MAX_RUNS="1"))
    assert done.returncode == 0, done.stderr
    assert [found["result"] for found in json.loads(done.stdout)["jobs"]] == ["ok"] * 3
    assert "waiting for their turn: b, c (1 run goes on" in done.stderr


def environ(**added: str) -> dict[str, str]:
    """The environment, and some more."""
    import os

    return {**os.environ, **added}


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("BACKUP_MAX_RUNS", "none", "BACKUP_MAX_RUNS='none' is not a number of runs"),
        ("BACKUP_SHARD", "3/2", "BACKUP_SHARD: '3/2' is not a shard: they are counted from 0"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused(variable: str, text: str, told: str, fleet: Pair) -> None:
    """Before anything is copied."""
    job(fleet, "a")
    done = run_main("--config", fleet.directory / "jobs", environ=environ(**{variable: text}))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert told in done.stderr


def test_daemons_share_a_folder_without_talking(fleet: Pair, tmp_path: Path) -> None:
    """Each has its part, and says so; a part that has no job waits for one."""
    job(fleet, "a")  # it is dealt out to 0/2
    jobs, state = fleet.directory / "jobs", str(fleet.directory / "state")
    (tmp_path / "other").mkdir()
    with (
        running(jobs, fleet.directory, "--http", "127.0.0.1:0", BACKUP_SHARD="0/2", BACKUP_STATE_DIR=state) as one,
        running(
            jobs, tmp_path / "other", "--shard", "1/2", "--http", "127.0.0.1:0", BACKUP_STATE_DIR=state
        ) as other,
    ):
        one.wait_for("shard 0/2: 1 job")
        other.wait_for("shard 1/2: 0 jobs")
        one.wait_for("run ended")
        other.wait_for("status page at")
        (address,) = re.findall(r"status page at (http://[^/]+)", other.log)
        assert requests.get(f"{address}/healthz", timeout=60).status_code == 200
        assert requests.get(f"{address}/livez", timeout=60).text == "alive\n"
        assert "shard 1/2" in requests.get(address, timeout=60).text
        told = run_main("status", "--http", address.removeprefix("http://"))
        assert (told.returncode, told.stdout.splitlines()[0]) == (0, "Shard 1/2")
        again = run_main("--shard", "1/2", "--config", jobs, environ=environ(BACKUP_STATE_DIR=state))
        assert again.returncode == 2
        assert "shard 1/2 is run by another daemon" in again.stderr
        job(fleet, "d")  # to 1/2
        for daemon in (one, other):
            daemon.send(signal.SIGHUP)
        other.wait_for("[d] run ended")
        assert "[d]" not in one.log
        assert "job a" not in other.log
        assert [daemon.stop()[0] for daemon in (one, other)] == [0, 0]
    done = run_main("check", "--shard", "1/2", "--config", jobs)
    assert "shard 1/2: 1 job" in done.stderr
    assert (" d" in done.stdout or "d:" in done.stdout, done.returncode) == (True, 0), done.stdout
