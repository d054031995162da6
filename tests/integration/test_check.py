"""`main.py check`: what a run would do, and what would keep it from doing so."""

import time
from pathlib import Path

from tests.integration.harness import DAY, HOUR, MONDAY, Pair, job_config, run_main, write_job
from tests.support.servers import InfluxServer


def databases(server: InfluxServer) -> set[str]:
    """Their names."""
    return {row[0] for row in server.rows("SHOW DATABASES")}


def test_check_says_what_a_run_would_do_and_changes_nothing(pair: Pair) -> None:
    """Databases, policies, measurements, from when to when, about how many points, the next run."""
    pair.write("\n".join(f"cpu,h={h} v={i} {MONDAY + i * HOUR}" for i in range(48) for h in "ab"))
    pair.write('logs text="x" 1')
    pair.write(b"odd\\\n\xc3\xa9 v=1 1")
    sections = {"options": {"incremental": {"schedule": "30 2 * * 0", "timezone": "Europe/Berlin"}}}
    path = write_job(pair.directory, pair.config(sections), "nightly")
    done = run_main("check", "--config", path)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in (
        "job nightly",
        "InfluxDB 1.",
        f"{pair.database} -> {pair.database} (will be created)",
        "autogen (will be created): 3 measurements",
        "cpu: 1 fields, about 96 points from 2024-01-01T00:00:00Z to 2024-01-02T23:00:00Z",
        "logs: 1 fields, about 1 points",
        "odd\\\\né: 1 fields",
        "next run: ",
        "T02:30",
    ):
        assert part in done.stdout
    assert pair.database not in databases(pair.destination)
    assert pair.backup().succeeded
    pair.write(f"cpu,h=a v=1 {MONDAY + 2 * DAY}")
    done = run_main("check", "--config", path)
    assert "(exists)" in done.stdout
    assert "cpu: 1 fields, about 3 points from 2024-01-02T23:00:00Z to 2024-01-03T00:00:00Z" in done.stdout


def test_check_finds_what_would_fail(pair: Pair) -> None:
    """Shorter policies, unknown databases, unreachable servers, invalid files: exit code 1, each named."""
    now = time.time_ns()
    pair.write(f"m v=1 {now - 40 * DAY}")
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 10d NAME "autogen"')
    jobs = pair.directory / "jobs"
    write_job(jobs, pair.config(), "short")
    write_job(jobs, job_config(pair.source, pair.destination, ["no_such"]), "unknown")
    away = job_config(pair.source, pair.destination, {pair.database: "away"})
    away["destination"]["url"] = "http://127.0.0.1:9"
    write_job(jobs, away, "unreachable")
    (jobs / "invalid.yaml").write_text("source: 1")
    done = run_main("check", "--config", jobs)
    assert done.returncode == 1
    problems = [line for line in done.stdout.splitlines() if "PROBLEM" in line]
    assert len(problems) == 3
    assert any("keeps points for 10d" in p for p in problems)
    assert any("no_such" in p for p in problems)
    assert any("Connection refused" in p for p in problems)
    assert "invalid.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_names_missing_rights(destination: InfluxServer, tmp_path: Path) -> None:
    """A user who may only read, or may not create, is told so before the first run."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.create_database("here")
        guarded.write("m v=1 1", "here")
        for name in ("here_copy", "other"):
            guarded.create_database(name)
        guarded.query("CREATE USER reader WITH PASSWORD 'reader'")
        guarded.query('GRANT READ ON "here" TO reader')
        guarded.query('GRANT READ ON "here_copy" TO reader')
        config = job_config(guarded, guarded, {"here": "here_copy"})
        for side in ("source", "destination"):
            config[side] |= {"user": "reader", "password": "reader"}
        done = run_main("check", "--config", write_job(tmp_path, config))
        assert done.returncode == 1
        assert "may not see shard groups" in done.stdout
        assert "here_copy cannot be written: grant ALL on it" in done.stdout
        guarded.query('GRANT ALL ON "here_copy" TO reader')
        assert run_main("check", "--config", tmp_path / "job.yaml").returncode == 0
        config["source"]["databases"] = [{"name": "here", "destination": "missing"}]
        done = run_main("check", "--config", write_job(tmp_path, config))
        assert done.returncode == 1
        assert 'should run CREATE DATABASE "missing"' in done.stdout
    assert destination.running
