"""A job whose measurements the workers of a Dask cluster copy: real schedulers and workers, real servers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from basics.stopping import StopRequest
from config import Config
from copying.distribution.version import PARTS
from copying.planner import Planner
from influx_client import connect
from tests.integration.daemon import IN_TIME, running, wait_until
from tests.integration.harness import DAY, MONDAY, Pair, run_main, write_job
from tests.support.certificates import Authority
from tests.support.cluster import ROOT, Cluster
from tests.support.proxy import Gate, Proxy
from tests.support.servers import InfluxServer
from tests.support.waiting import HANG

MINUTE = 60_000_000_000
SMALL, LARGE = 12, 6000
"""How many points small measurements have, and large ones: too many to go together."""


def test_who_begins_a_unit_again_goes_on_where_somebody_has_been(pair: Pair) -> None:
    """From the shard group of the newest point at the destination, with the types that are there by now."""
    lines = [f"cpu v={n},w={n}i {MONDAY + n * DAY}" for n in range(21)]
    pair.write("\n".join(lines))
    config = Config(write_job(pair.directory, pair.config()))
    source = connect(config.job.options, config.job.source, "source", StopRequest())
    destination = connect(config.job.options, config.job.destination, "destination", StopRequest())
    planner = Planner(config.job, source, destination, MONDAY + 30 * DAY)
    (policy,), _ = planner.policies.prepare(pair.database, pair.database)
    planned = planner.plan(pair.database, policy, source.get_tag_keys(pair.database))
    pair.destination.write("\n".join(lines[:10]), pair.database)
    (copy,) = planner.advanced(planned)
    assert [c.starts for c in planned] == [{"v": MONDAY, "w": MONDAY}]
    assert (copy.starts, copy.written_types) == (
        {"v": MONDAY + 7 * DAY, "w": MONDAY + 7 * DAY},
        {"v": ("float",), "w": ("integer",)},
    )
    source.close()
    destination.close()


@pytest.fixture(scope="module")
def cluster(destination: InfluxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers, for tests that leave them alone."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        for _ in range(2):
            started.start_worker(destination.url)
        started.wait_for_workers()
        yield started


def load(pair: Pair) -> int:
    """Measurements of each kind: many small ones, two large ones, one of another type in each shard group."""
    lines = [f"small{m} v={n},w={n}i {MONDAY + n * MINUTE}" for m in range(25) for n in range(SMALL)]
    lines += [f"large{m},host=h{n % 3} v={n}.5 {MONDAY + n * MINUTE}" for m in range(2) for n in range(LARGE)]
    pair.write("\n".join(lines))
    return len(lines)


def job(pair: Pair, cluster: Cluster, sections: Mapping[str, Any] | None = None) -> Path:
    """The file of a job that the cluster copies."""
    config = pair.config({"options": {"distribute": cluster.address, "timeout_client": 5}})
    for name, section in (sections or {}).items():
        config[name] = {**config[name], **section}
    return write_job(pair.directory / "jobs", config)


def ran(path: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    """What `main.py` on it has printed, and its exit code."""
    done = run_main(*arguments, "--config", path, environ={**os.environ, **environ})
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr + done.stdout


def test_workers_copy_what_the_daemon_plans(pair: Pair, cluster: Cluster) -> None:
    """Small measurements together, large ones alone; then nothing is new, and then only what is late."""
    points = load(pair)
    path = job(pair, cluster)
    code, told = ran(path)
    assert code == 0, told
    pair.assert_equal(points=points + 25 * SMALL)  # values
    assert f"{points:,} points" in told
    assert f"large1: {LARGE:,} points in" in told
    assert re.search(r"\d+ measurements together: \d+ points in", told)
    code, told = ran(path)
    assert (code, "nothing new" in told) == (0, True), told
    pair.write(f"large0,host=h1 v=7 {MONDAY + 30}\nnew v=1 {MONDAY + 99 * MINUTE}")
    code, told = ran(path)
    assert (code, "2 points" in told, "1 of them late" in told) == (0, True, True), told
    pair.assert_equal()


def test_what_has_nothing_to_copy_is_not_handed_out(pair: Pair, cluster: Cluster) -> None:
    """Its result stands beside those of the others."""
    pair.write(f"old v=1 {MONDAY}\nnew v=1 {MONDAY}")
    path = job(pair, cluster, {"options": {"incremental": {"obsolete_threshold": "7d"}}})
    assert ran(path)[0] == 0
    pair.write(f"new v=2 {time.time_ns()}")
    code, told = ran(path)
    assert (code, "1 point," in told, "autogen.old: 1 obsolete fields skipped" in told) == (0, True, True), told
    pair.assert_equal(points=3)


def test_the_page_and_the_summary_tell_of_each_measurement(pair: Pair, cluster: Cluster) -> None:
    """Also how many points each has got, as when one machine copies."""
    import json

    load(pair)
    code, told = ran(job(pair, cluster), "--once", "--json")
    found = json.loads(told[told.index("{\n") :])["jobs"][0]
    assert (code, found["result"], found["points"]) == (0, "ok", 25 * SMALL + 2 * LARGE)


def test_passwords_are_looked_up_by_the_workers(pair: Pair, tmp_path: Path) -> None:
    """By the names in the file. A worker that lacks the variable fails its measurements, and says which."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER u WITH PASSWORD 'geheim ü' WITH ALL PRIVILEGES")
        load(pair)
        other = Pair(pair.source, guarded, pair.database, tmp_path)
        with Cluster(tmp_path / "cluster") as own:
            own.start_worker(guarded.url, GUARDED_PASSWORD="geheim ü")
            own.wait_for_workers()
            path = job(
                other, own, {"destination": {"url": guarded.url, "user": "u", "password": "${GUARDED_PASSWORD}"}}
            )
            code, told = ran(path, GUARDED_PASSWORD="geheim ü")
            assert code == 0, told
            path = job(other, own, {"destination": {"url": guarded.url, "user": "u", "password": "${OTHER}"}})
            pair.write(f"large0 v=1 {MONDAY + 1}")
            code, told = ran(path, OTHER="geheim ü")
            assert code == 1
            assert "the password of the destination is not on this worker: environment variable OTHER" in told
            assert "geheim" not in told + own.scheduler.log + own.workers[0].log


def test_a_password_in_the_file_is_refused(pair: Pair, cluster: Cluster) -> None:
    """It would travel; the message says what to write instead."""
    path = job(pair, cluster, {"source": {"url": pair.source.url, "user": "u", "password": "geheim"}})
    code, told = ran(path)
    assert (code, "geheim" in told) == (1, False)
    assert "source.password: written as it is" in told
    assert "write ${NAME}" in told


def test_refused_lines_are_kept_where_the_daemon_is(pair: Pair, cluster: Cluster) -> None:
    """And stay a failure until somebody has seen to them."""
    count = 20
    pair.write("\n".join(f"m{m} v={n},w={n}i {MONDAY + n}" for m in range(3) for n in range(count)))
    pair.destination.create_database(pair.database)
    pair.destination.write(f'm1 v="text" {MONDAY + MINUTE}', pair.database)
    path = job(pair, cluster)
    code, told = ran(path)
    assert code == 1
    (file,) = (pair.directory / "quarantine" / "job").glob("*.lp")
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) == count, told
    assert f"{count} lines refused and put aside in {file}" in told
    code, told = ran(path)
    assert (code, f"{count} lines refused and put aside in {file}" in told) == (1, True), told
    assert [line for line in file.read_text().splitlines() if line and not line.startswith("#")] == lines


def changed_program(root: Path) -> Path:
    """What a worker needs of this program, in another version."""
    root.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, root / part)
        else:
            shutil.copy(ROOT / part, root / part)
    with (root / "backup.py").open("a") as file:
        file.write("# newer\n")
    return root


def test_a_worker_with_other_source_code_gets_nothing(
    pair: Pair, destination: InfluxServer, tmp_path: Path
) -> None:
    """It is named; alone it makes the run fail, beside others it is a warning."""
    other = changed_program(tmp_path / "other")
    load(pair)
    with Cluster(tmp_path / "cluster") as own:
        own.start_worker(destination.url, root=other)
        own.wait_for_workers()
        path = job(pair, own)
        code, told = ran(path, "check")
        assert code == 1
        assert re.search(
            r"worker w1 at tcp:\S+ gets nothing: it holds the source code \w{12}, and the daemon", told
        )
        own.start_worker(destination.url)
        own.start_worker(destination.url, preload=False)
        own.wait_for_workers()
        code, told = ran(path)
        assert code == 0, told
        pair.assert_equal()
        assert re.search(r"worker w1 at \S+ gets nothing: it holds the source code", told)
        assert re.search(r"worker w3 at \S+ gets nothing: it does not say which program it holds", told)
        assert "2 warnings" in told


def scheduled(
    pair: Pair,
    cluster: Cluster,
    url: str | None = None,
    **options: Any,  # noqa: ANN401 -- as the YAML has them
) -> Path:
    """The same as a job of a daemon that runs when it is started; `url` leads to its destination."""
    incremental = {"schedule": "0 0 1 1 *", "run_on_start": True}
    config = pair.config({"options": {"distribute": cluster.address, "incremental": incremental, **options}})
    config["destination"]["url"] = url or pair.destination.url
    return write_job(pair.directory / "jobs", config).parent


def test_a_daemon_waits_for_scheduler_and_workers(pair: Pair, destination: InfluxServer, tmp_path: Path) -> None:
    """As it waits for servers, and says what is missing: the scheduler, any worker, one for this server."""
    load(pair)
    with Cluster(tmp_path / "cluster") as own:
        own.scheduler.kill()
        jobs = scheduled(pair, own, initial_connection_retry_delay=0.2)
        with running(jobs, pair.directory) as daemon:
            daemon.wait_for(f"waiting for the cluster: Dask's scheduler {own.address} does not answer")
            own.start_scheduler()
            daemon.wait_for(f"waiting for the cluster: {own.address} has no workers; start some: dask worker")
            own.start_worker("elsewhere:8086")
            where = destination.url.removeprefix("http://")
            daemon.wait_for(f'none of the 1 workers of {own.address} has the resource "{where}"')
            own.start_worker(destination.url)
            daemon.wait_for("run ended")
            assert daemon.stop()[0] == 0
            assert ": ok" in daemon.log
    pair.assert_equal()


def test_a_run_that_finds_no_scheduler_fails(pair: Pair) -> None:
    """As one that finds no server, and so does check."""
    path = write_job(pair.directory, pair.config({"options": {"distribute": "tcp://127.0.0.1:9"}}))
    for command in ((), ("check",)):
        code, told = ran(path, *command)
        assert code == 1
        assert "Dask's scheduler tcp://127.0.0.1:9 does not answer" in told


def test_sigterm_ends_everything_within_ten_seconds(pair: Pair, destination: InfluxServer, tmp_path: Path) -> None:
    """Units too: nothing is written any more, and the next run makes it whole."""
    load(pair)
    gate = Gate()
    with Proxy(destination.url) as proxy, Cluster(tmp_path / "cluster") as own:
        proxy.inject(gate, "write", first=20, count=None)
        own.start_worker(proxy.url, destination.url)
        own.wait_for_workers()
        jobs = scheduled(pair, own, proxy.url, days_of_pagination=0.002, timeout_client=2 * IN_TIME)
        with running(jobs, pair.directory) as daemon:
            wait_until(gate.is_reached, "the twentieth write", daemon)
            begun = time.monotonic()
            daemon.send(signal.SIGTERM)
            daemon.wait_for("stopping after the batches in flight")
            gate.open()
            assert daemon.process.wait(HANG) == 0, daemon.log
            assert time.monotonic() - begun < IN_TIME
            assert "stopped" in daemon.log
        found = len(pair.found())
        time.sleep(1)
        assert 0 < len(pair.found()) == found < len(pair.snapshots()[0])
        code, told = ran(job(pair, own))
        assert code == 0, told
    pair.assert_equal()


def test_over_tls(pair: Pair, destination: InfluxServer, tmp_path: Path) -> None:
    """Dask's own variables name the certificates; without them the message says so."""
    authority = Authority(tmp_path)
    mine = authority.issue("cluster")
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    tls = {f"{prefix}CA_FILE": str(authority.certificate)}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        tls |= {f"{prefix}{role}__CERT": str(mine.certificate), f"{prefix}{role}__KEY": str(mine.key)}
    load(pair)
    with Cluster(tmp_path / "cluster", tls) as own:
        own.start_worker(destination.url)
        own.wait_for_workers()
        path = job(pair, own)
        code, told = ran(path)
        assert (code, f"{prefix}CA_FILE" in told) == (1, True)
        code, told = ran(path, **tls)
        assert code == 0, told
    pair.assert_equal()
