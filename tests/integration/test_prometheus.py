"""A real Prometheus asks a real daemon, and evaluates the alerts and the dashboard that we ship."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

from tests.integration.daemon import Runs, running
from tests.integration.harness import MONDAY, ROOT, Pair, run_main, write_job
from tests.support.prometheus import Prometheus, prometheus
from tests.support.servers import free_port

MONITORING = ROOT / "deploy" / "monitoring"
FAILING, LAG, QUARANTINED, DIFFERS = (
    f"InfluxDBBackup{name}" for name in ("Failing", "LagTooHigh", "Quarantined", "Differs")
)


YEARLY = {"options": {"incremental": {"schedule": "0 0 1 1 *", "run_on_start": True}, "retries": 0}}
"""A job that runs at once, and then not before the next year."""


def quick_rules(directory: Path) -> Path:
    """The alerts with shorter durations, and nothing else changed: a test cannot wait for ten minutes."""
    text, count = re.subn(r"(?m)^( +for:) \d+m$", r"\1 1s", (MONITORING / "alerts.yml").read_text())
    assert count == 6
    text, count = re.subn(r"\[1h\]", "[10s]", text)
    assert count == 1
    path = directory / "alerts.yml"
    path.write_text(text)
    return path


def test_alerts_fire_and_resolve_with_what_happens_to_a_job(pair: Pair) -> None:
    """It fails, copies what is old, has lines refused, differs, and is well in the end."""
    jobs, address = pair.directory / "jobs", f"127.0.0.1:{free_port()}"
    config = pair.config(YEARLY)
    path = write_job(jobs, config, "yearly")
    environ = {"BACKUP_HEALTH_FILE": str(pair.directory / "health.json")}
    with (
        running(jobs, pair.directory, "--http", address, **environ) as daemon,
        prometheus(address, quick_rules(pair.directory), pair.directory / "prometheus") as server,
    ):
        runs = Runs(daemon, jobs, config, "yearly")  # the database is not there
        server.wait_for(lambda: server.firing() == {FAILING}, "a job that fails to be told")

        pair.write(f"m v=1 {MONDAY}")
        runs.again()
        server.wait_for(lambda: server.firing() == {LAG}, "old data to be told, and no failure any more")

        now = time.time_ns() - 5 * 60 * 10**9  # verify looks until a minute ago
        pair.write(f"m v=1 {now}\nm v=2 {now + 1}")
        pair.destination.write(f'm v="text" {now + 2}', pair.database)
        runs.again()
        server.wait_for(lambda: {QUARANTINED, FAILING} <= server.firing(), "refused lines to be told")
        done = run_main("verify", "--config", path, environ={**os.environ, **environ})
        assert done.returncode == 1, done.stdout
        server.wait_for(lambda: DIFFERS in server.firing(), "a difference to be told")
        check_dashboard(server)

        pair.destination.drop_database(pair.database)
        for file in (pair.directory / "quarantine").rglob("*.lp"):
            file.unlink()
        runs.again()
        pair.assert_equal(points=3)
        done = run_main("verify", "--config", path, environ={**os.environ, **environ})
        assert done.returncode == 0, done.stdout
        server.wait_for(lambda: not server.firing(), "all alerts to be over")
        (written,) = server.query("influxdb_backup_written_points_total")
        assert int(written["value"][1]) >= 4
        assert written["metric"]["backup_job"] == "yearly"
        assert [sample["value"][1] for sample in server.query("up")] == ["1"]


def test_a_daemon_that_is_gone_is_told(pair: Pair) -> None:
    """By its silence."""
    pair.write(f"m v=1 {time.time_ns()}")
    address = f"127.0.0.1:{free_port()}"
    write_job(pair.directory / "jobs", pair.config(YEARLY))
    with prometheus(address, quick_rules(pair.directory), pair.directory / "prometheus") as server:
        absent = "InfluxDBBackupAbsent"
        server.wait_for(lambda: server.firing() == {absent}, "a daemon that is not there")
        with running(pair.directory / "jobs", pair.directory, "--http", address) as daemon:
            server.wait_for(lambda: not server.firing(), "the daemon")
            assert daemon.stop()[0] == 0
        server.wait_for(lambda: server.firing() == {absent}, "a daemon that is gone")


def check_dashboard(server: Prometheus) -> None:
    """Every query of the dashboard is understood, and all of them that can have data now have some."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    variables = {"$instance": ".*", "$backup_job": ".*", "$__rate_interval": "30s"}
    expressions = {target["expr"]: panel["title"] for panel in dashboard["panels"] for target in panel["targets"]}
    expressions |= {item["expr"]: "annotation" for item in dashboard["annotations"]["list"]}
    empty = set()
    for expression, title in expressions.items():
        query = expression
        for name, value in variables.items():
            query = query.replace(name, value)
        assert "$" not in query
        if not server.query(query):
            empty.add(title)
    # no run goes on, and this job has neither archive nor drills
    assert empty <= {"Progress of runs", "annotation", "Archives", "Restore drills"}
    for variable in dashboard["templating"]["list"]:
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
        query = selector.replace("$instance", ".*")
        assert {sample["metric"][label] for sample in server.query(query)}
