"""A restore is rehearsed: from an archive and from a server, into databases that are gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from basics.stopping import StopRequest
from checking.drill import How, drill_job, planned
from config import Config
from copying import compare
from daemon.comparison import compared
from influx import scratch
from main import main
from tests.integration.archives import Archived
from tests.integration.daemon import running, wait_until
from tests.integration.harness import HOUR, MONDAY, ROOT, Pair, run_main, write_job
from tests.support.proxy import Gate, Proxy, before, when
from tests.support.servers import InfluxServer, RequestFailed, free_port
from tests.support.waiting import HANG
from watching.events import Drilled
from watching.verdict_files import proofs


@pytest.fixture
def archived(pair: Pair) -> Archived:
    """The pair's source with an archive."""
    return Archived(pair)


def hourly(weeks: int = 3) -> str:
    """Points of all types over some shard groups."""
    return "\n".join(
        f'cpu,host=h{i % 3} v={i}.25,n={i}i,s="text {i % 7}",b={"tf"[i % 2]} {MONDAY + i * HOUR}'
        for i in range(weeks * 7 * 24)
    )


def databases(server: InfluxServer) -> set[str]:
    """All that a server has."""
    return {name for (name,) in server.rows("SHOW DATABASES")}


def scratches(*servers: InfluxServer) -> list[str]:
    """The scratch databases there are."""
    return [name for server in servers for name in databases(server) if scratch.is_scratch(name)]


def drilled(job: Path, **asked: Any) -> Drilled:  # noqa: ANN401 -- what planned() takes
    """A drill in this process."""
    config = Config(job)
    return drill_job(config, planned(config.job, **asked), StopRequest(), os.environ)


# ---------------------------------------------------------------- what passes


def test_an_archive_is_restored_compared_and_dropped(archived: Archived) -> None:
    """With its points and its seconds, on the server that is asked for; nothing else is touched."""
    pair = archived.pair
    pair.write(hourly())
    archived.taken()
    before = databases(pair.source), databases(pair.destination)
    found = archived.json("drill", "--to", pair.destination.url)
    assert (found["result"], found["points"], found["values"], found["detail"]) == ("passed", 504, 2016, "")
    assert found["origin"].startswith("snapshot ")
    assert found["target"] == pair.destination.url
    assert (databases(pair.source), databases(pair.destination)) == before
    text = archived.main("drill", "--to", pair.destination.url).stdout
    assert "drill passed: restored 504 points of snapshot " in text
    assert text.rstrip().endswith("2,016 values equal")


def test_an_archive_of_very_many_series_is_compared_share_by_share(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of series without the tag that divides them; what was lost is found when it is brought back."""
    pair, restore = archived.pair, ("restore", "--from", "archive", "--yes", "--existing", "fill")
    lines = [f"m,host=h{n:03d} v={n}i,w={n}.5 {MONDAY + hour * HOUR}" for n in range(400) for hour in range(3)]
    pair.write("\n".join([*lines, *(f"m{tags} v=1i {MONDAY}" for tags in ("", ",rack=a", ",host=é"))]))
    archived.taken()
    monkeypatch.setattr(compare, "ANSWER_BYTES", 20_000)  # an answer holds the fingerprints of some hundred series
    found = drilled(archived.job(), to=pair.destination.url)
    assert (found.result, found.points, found.detail) == ("passed", 1203, "")
    job = ("--to", pair.destination.url, "--config", str(archived.job()))
    assert main([*restore, *job]) == 0
    pair.assert_equal(points=2403)
    for condition in ("host = 'h123'", "host = 'é'", "host = '' AND rack = ''"):
        pair.destination.query("DELETE FROM m WHERE " + condition, db=pair.database)  # noqa: S608
    assert main([*restore, *job]) == 0
    pair.assert_equal(points=2403)
    pair.destination.write(f"m,host=h007 v=8i {MONDAY}", pair.database)
    assert main([*restore, *job]) == 1, "a value that differs stays, and is told"


def test_a_mirror_is_drilled_on_itself(pair: Pair) -> None:
    """Beside its databases, under a name that no run and no comparison takes for one of its own."""
    pair.write(hourly())
    pair.backup()
    job = write_job(pair.directory, pair.config())
    found = drilled(job)
    assert (found.result, found.points, found.target) == ("passed", 504, pair.destination.url)
    assert scratches(pair.source, pair.destination) == []
    pair.assert_equal(points=2016)


def test_a_share_is_a_stretch_of_shard_groups(archived: Archived) -> None:
    """Two of the six weeks, whichever they are."""
    archived.pair.write(hourly(6))
    archived.taken({"options": {"drill": {"sample": "33%", "to": archived.pair.destination.url}}})
    found = archived.json("drill")
    assert (found["result"], found["points"], found["sample"]) == ("passed", 2 * 7 * 24, 33)
    assert archived.json("drill", "--sample", "100%")["points"] == 6 * 7 * 24


def test_a_share_needs_a_user_who_may_see_shard_groups(pair: Pair, tmp_path: Path) -> None:
    """Without that right all of it can be drilled, and that is said."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.create_database(pair.database)
        guarded.write(hourly(), pair.database)
        guarded.query("CREATE USER reader WITH PASSWORD 'pw'")
        guarded.query(f'GRANT READ ON "{pair.database}" TO reader')
        config = pair.config()
        config["destination"] = {"url": guarded.url, "user": "reader", "password": "pw"}
        job = write_job(tmp_path, config)
        found = drilled(job, to=pair.destination.url, share=0.5)
        assert found.result == "not done"
        assert "only an administrator may see: drill all of it" in found.detail
        found = drilled(job, to=pair.destination.url)
        assert (found.result, found.points) == ("passed", 504)


def test_nothing_but_points_and_policies_comes_back(archived: Archived) -> None:
    """A continuous query would run in the scratch database, and write from it into others."""
    pair = archived.pair
    pair.write(hourly(1))
    select = 'SELECT mean(v) INTO "means" FROM cpu GROUP BY time(1h)'
    pair.source.query(f'CREATE CONTINUOUS QUERY q ON "{pair.database}" BEGIN {select} END')
    archived.taken()
    assert archived.json("drill", "--to", pair.destination.url)["result"] == "passed"
    found = pair.destination.query("SHOW CONTINUOUS QUERIES")[0]["series"]
    assert not any(series.get("values") for series in found if series["name"] not in databases(pair.destination))


def test_what_was_proved_by_hand_is_kept_for_the_daemon_and_told_by_the_summary(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the health file of the daemon is known."""
    monkeypatch.setenv("BACKUP_HEALTH_FILE", str(archived.pair.directory / "health"))
    archived.pair.write(hourly(1))
    archived.taken()
    archived.main("archive", "verify")
    archived.main("drill", "--to", archived.pair.destination.url)
    proof, drill = proofs(archived.pair.directory / "health.verified", "job")
    assert (proof.result, drill.result) == ("whole", "passed")
    told = archived.main("run", "--once").stdout
    assert "VERIFIED job: the archive, " in told
    assert ": whole, read 1 of 1 file" in told
    assert "DRILL job: " in told
    assert "; the archive: 2 snapshots, " in told


# ---------------------------------------------------------------- what does not


def test_a_damaged_archive_fails_the_drill(archived: Archived) -> None:
    """It is named, and the scratch database is gone."""
    pair = archived.pair
    pair.write(hourly())
    archived.taken()
    file = archived.files()[1]
    file.write_bytes(file.read_bytes()[:-100] + bytes(100))
    found = archived.json("drill", "--to", pair.destination.url, code=1)
    assert found["result"] == "failed"
    assert file.name in found["detail"]
    assert scratches(pair.source, pair.destination) == []
    file.unlink()
    found = archived.json("drill", "--to", pair.destination.url, code=1)
    assert file.name in found["detail"]
    assert scratches(pair.source, pair.destination) == []


def test_a_snapshot_that_cannot_be_read_fails_the_drill(archived: Archived) -> None:
    """An older one that is whole is not taken instead."""
    archived.pair.write(hourly(1))
    archived.taken()
    archived.taken()
    archived.snapshots()[-1].write_bytes(b"{}")
    found = archived.json("drill", "--to", archived.pair.destination.url, code=1)
    assert found["result"] == "failed"
    assert archived.snapshots()[-1].name in found["detail"]


def test_what_does_not_stay_fails_the_drill(pair: Pair) -> None:
    """Somebody deletes in the scratch database while it is there."""
    pair.write(hourly(20))
    pair.backup()
    job = write_job(pair.directory, pair.config())

    def delete() -> None:
        for name in scratches(pair.destination):
            with suppress(RequestFailed):  # it may be gone by now
                pair.destination.query("DELETE FROM cpu WHERE host = 'h1'", db=name)

    with Proxy(pair.destination.url) as proxy:
        proxy.inject(before(delete), "query", count=None)
        found = drilled(job, to=proxy.url)
    assert found.result == "failed"
    assert "cpu" in found.detail or "missing" in found.detail
    assert scratches(pair.destination) == []


def test_what_was_not_done_is_not_passed(archived: Archived) -> None:
    """A server that does not answer, an archive without a point, and no word of where to."""
    pair = archived.pair
    pair.source.create_database(pair.database)
    archived.taken({"options": {"allow_empty": True, "retries": 0}})
    found = archived.json("drill", "--to", pair.destination.url, code=2)
    assert found["result"] == "not done"
    assert found["detail"].startswith("nothing was restored")
    found = archived.json("drill", "--to", "http://127.0.0.1:9", code=2)
    assert found["result"] == "not done"
    assert "Connection refused" in found["detail"]
    done = run_main("drill", "--config", pair.directory / "job.yaml")
    assert done.returncode == 2
    assert "say which server may get scratch databases" in done.stderr


@pytest.mark.parametrize("mark", ["autogen", "drill_0123456789abcdef"])
def test_a_database_of_that_name_is_left_alone(archived: Archived, mark: str) -> None:
    """Whatever is in it, and also where it has the mark of a drill."""
    pair = archived.pair
    pair.write(hourly(1))
    archived.taken()
    name = scratch.name_of("aaaaaaaa", MONDAY, "0123456789abcdef")
    pair.destination.query(f'CREATE DATABASE "{name}" WITH NAME "{mark}"')
    pair.destination.write("precious v=1 1", name)
    config = Config(pair.directory / "job.yaml")
    found = drill_job(config, How(pair.destination.url, archive=True), StopRequest(), {}, lambda _: name)
    assert found.result == "not done"
    assert f"a database {name} is there already; it is left alone" in found.detail
    assert pair.destination.query("SELECT * FROM precious", db=name)[0]["series"]
    pair.destination.drop_database(name)


# ---------------------------------------------------------------- what earlier drills have left


@contextmanager
def in_its_middle(
    archived: Archived, environ: Mapping[str, str] = os.environ
) -> Iterator[tuple[subprocess.Popen[str], Gate]]:
    """A drill that has made its scratch database, and whose first points are held at a gate."""
    gate = Gate()
    with Proxy(archived.pair.destination.url) as proxy:
        proxy.inject(gate, "write", count=None)
        job = archived.job({"options": {"timeout_client": HANG}})
        command = [sys.executable, "main.py", "drill", "--to", proxy.url, "--config", str(job)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environ) as process:
            try:
                wait_until(lambda: gate.is_reached() or process.poll() is not None, "the first points")
                yield process, gate
            finally:
                process.kill()


def test_what_a_killed_drill_has_left_is_dropped_by_the_next_one(archived: Archived) -> None:
    """What only looks like it stays: another job's is named, one without the mark is nobody's business."""
    pair = archived.pair
    pair.write(hourly(30))
    archived.taken()
    with in_its_middle(archived) as (process, _):
        process.kill()
    (left,) = scratches(pair.destination)
    other = scratch.name_of(scratch.maker_of("other", "elsewhere"), MONDAY, "1" * 16)
    false = scratch.name_of(left.split("_")[3], MONDAY, "2" * 16)
    pair.destination.query(f'CREATE DATABASE "{other}" WITH NAME "drill_{"1" * 16}"')
    pair.destination.query(f'CREATE DATABASE "{false}" WITH NAME "mine"')
    try:
        done = archived.main("drill", "--to", pair.destination.url)
        assert f"{left} is left of a drill that was killed: it is dropped" in done.stderr
        assert f"{other} at {pair.destination.url} is of a drill of another job or machine" in done.stderr
        assert false not in done.stderr
        assert sorted(scratches(pair.destination)) == sorted([other, false])
    finally:
        pair.destination.drop_database(other)
        pair.destination.drop_database(false)


def test_a_drill_that_is_stopped_leaves_nothing(archived: Archived) -> None:
    """It says that nothing is proved, which is neither a pass nor a failure."""
    pair = archived.pair
    pair.write(hourly(60))
    archived.taken()
    health = {**os.environ, "BACKUP_HEALTH_FILE": str(pair.directory / "health")}
    with in_its_middle(archived, health) as (process, gate):
        process.send_signal(signal.SIGTERM)
        gate.open()
        _, told = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "stopped before the end: nothing is proved" in told
    assert scratches(pair.source, pair.destination) == []
    assert not (pair.directory / "health.verified").exists()


def test_a_run_does_not_take_a_scratch_database_for_one_of_its_own(pair: Pair) -> None:
    """Of a job that copies all databases there are; nor does its destination hold one too many."""
    pair.write("m v=1 1")
    name = scratch.name_of("aaaaaaaa", MONDAY, "3" * 16)
    for server in (pair.source, pair.destination):
        server.query(f'CREATE DATABASE "{name}" WITH NAME "drill_{"3" * 16}"')
        server.write("m v=1 1", name)
    try:
        result = pair.backup({"source": {"databases": [], "suffix": "_all"}})
        assert name not in [database.name for database in result.databases]
        assert not any(name in caution for caution in result.cautions)
    finally:
        for database in databases(pair.destination):
            if database.endswith("_all") or database == name:
                pair.destination.drop_database(database)
        pair.source.drop_database(name)


# ---------------------------------------------------------------- the daemon


@pytest.mark.minutes
def test_the_daemon_drills_and_tells_what_came_of_it(archived: Archived) -> None:
    """On the page, in the metrics and by status, also after a restart; the archive's files are read, too."""
    pair = archived.pair
    pair.write(hourly())
    address, state = f"127.0.0.1:{free_port()}", str(pair.directory / "state")
    times = {"schedule": "0 0 1 1 *", "run_on_start": True}
    proofs = {"schedule": "* * * * *"}
    options = {"incremental": times, "verify": proofs, "drill": {**proofs, "to": pair.destination.url}}
    job = archived.job({"options": options})
    jobs = pair.directory / "jobs"
    jobs.mkdir()
    job.rename(jobs / "nightly.yaml")
    environ = {"BACKUP_STATE_DIR": state, "BACKUP_HEALTH_FILE": str(pair.directory / "health")}

    def get(path: str) -> str:
        return requests.get(f"http://{address}{path}", timeout=60).text

    with running(jobs, pair.directory, "--http", address, **environ) as daemon:
        daemon.wait_for("drill passed: restored 504 points of snapshot ")
        daemon.wait_for("archive verify: whole: read 3 of 3 files")
        wait_until(lambda: "last restore drill " in get("/") and "; verified " in get("/"), "the drill", daemon)
        assert 'influxdb_backup_drill_result{backup_job="nightly",result="passed"} 1.0' in get("/metrics")
        assert "1 snapshot, " in run_main("status", "--http", address).stdout
        damaged = archived.files()[0]
        damaged.write_bytes(damaged.read_bytes()[:-9] + bytes(9))
        daemon.wait_for("drill FAILED")
        wait_until(lambda: "drill: FAILED" in get("/healthz"), "the failed drill", daemon)
        assert daemon.stop()[0] == 0
    with running(jobs, pair.directory, "--http", address, **environ) as daemon:
        daemon.wait_for("status page at")
        wait_until(lambda: "drill: FAILED" in get("/healthz"), "the failed drill of before", daemon)
        assert daemon.stop()[0] == 0
    assert scratches(pair.destination) == []


def test_a_job_with_a_server_and_an_archive_is_compared_and_proved(archived: Archived) -> None:
    """One does not stand for the other: damage in the archive leaves both servers equal."""
    archived.pair.write(hourly(1))
    archived.taken({"destination": {"url": archived.pair.destination.url}})
    config = Config(archived.pair.directory / "job.yaml")
    sides, archive = compared(config, time.time_ns(), StopRequest())
    assert (sides.result, archive.result) == ("equal", "whole")
    archived.files()[0].unlink()
    sides, archive = compared(config, time.time_ns(), StopRequest())
    assert (sides.result, archive.result) == ("equal", "damaged")


@pytest.mark.minutes
def test_a_daemon_that_is_stopped_lets_its_drill_drop_what_it_made(pair: Pair) -> None:
    """And no verdict comes of it."""
    pair.write(hourly(60))
    options = {
        "incremental": {"schedule": "0 0 1 1 *", "run_on_start": True},
        "drill": {"schedule": "* * * * *"},
        "timeout_client": HANG,
    }
    jobs, gate = pair.directory / "jobs", Gate()
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(when(lambda: scratches(pair.destination), gate), "write", count=None)
        write_job(jobs, pair.config({"destination": {"url": proxy.url}, "options": options}), "mirror")
        with running(jobs, pair.directory) as daemon:
            wait_until(gate.is_reached, "the first points of the drill", daemon)
            daemon.wait_for("drill: restoring ")
            daemon.send(signal.SIGTERM)
            daemon.wait_for("stopping after the batches in flight")
            gate.open()
            assert daemon.process.wait(HANG) == 0
            assert "drill passed" not in daemon.log
            assert "drill not done" not in daemon.log
    assert scratches(pair.destination) == []


def test_check_says_when_and_where_a_drill_is_and_whether_it_may(archived: Archived) -> None:
    """Without making a database."""
    pair = archived.pair
    pair.write(hourly(1))
    times = {"incremental": {"schedule": "@daily"}}
    archived.job({"options": {**times, "drill": {"schedule": "@weekly", "to": pair.destination.url}}})
    told = archived.main("check").stdout
    assert "restore drill @weekly; next: " in told
    assert f"at {pair.destination.url}: InfluxDB " in told
    archived.job({"options": {**times, "drill": {"schedule": "@weekly", "to": "http://127.0.0.1:9"}}})
    assert "PROBLEM: options.drill: " in archived.main("check", code=1).stdout
    archived.job({"options": {**times, "drill": {"schedule": "@weekly"}}})
    assert "say which server a drill may write scratch databases to" in archived.main("check", code=1).stderr
