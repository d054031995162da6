"""`main.py check`: what a run would do, and what would keep it from doing so."""

import time
from pathlib import Path

import pytest

from main import run_worker
from tests.integration.harness import DAY, HOUR, MONDAY, Pair, job_config, run_main, write_job
from tests.integration.test_range import sections
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
        "cpu: 1 field, about 96 points from 2024-01-01T00:00:00Z to 2024-01-02T23:00:00Z",
        "logs: 1 field, about 1 point from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z",
        "odd\\\\né: 1 field,",
        "next run: ",
        "T02:30",
    ):
        assert part in done.stdout
    assert pair.database not in databases(pair.destination)
    assert pair.backup().succeeded
    pair.write(f"cpu,h=a v=1 {MONDAY + 2 * DAY}")
    done = run_main("check", "--config", path)
    assert "(exists)" in done.stdout
    assert "cpu: 1 field, about 3 points from 2024-01-02T23:00:00Z to 2024-01-03T00:00:00Z" in done.stdout


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


def checked(pair: Pair, sections: dict[str, object] | None = None) -> tuple[int, list[str], str]:
    """Exit code, problems and output of `check`."""
    done = run_main("check", "--config", write_job(pair.directory, pair.config(sections)))
    assert "Traceback" not in done.stderr
    return done.returncode, [line for line in done.stdout.splitlines() if "PROBLEM" in line], done.stdout


def assert_foreseen(pair: Pair, *words: str, sections: dict[str, object] | None = None) -> None:
    """`check` finds one problem, a run fails for one reason, and both say the same."""
    code, problems, _ = checked(pair, sections)
    (problem,) = problems
    (failure,) = pair.backup(sections).failures
    assert code == 1
    for word in words:
        assert word in problem
        assert word in failure


def test_check_names_another_type_at_the_destination(pair: Pair) -> None:
    """Where its values would come into the same shard group; elsewhere both types can be kept."""
    pair.write(f"m v=1,w=1 {MONDAY}\nm v=2,w=2 {MONDAY + 7 * DAY}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m v=1i {MONDAY + 21 * DAY}", pair.database)
    assert checked(pair, {"options": {"backup_mode": "range", "range": JANUARY}})[:2] == (0, [])
    pair.destination.write(f"m v=1i {MONDAY + 8 * DAY}", pair.database)
    words = ("field 'v' of measurement 'm' is float in the source and integer in the destination", ".m")
    assert_foreseen(pair, *words, sections={"options": {"backup_mode": "range", "range": JANUARY}})


JANUARY = {"start_date": "2024-01-01", "end_date": "2024-02-01"}


def test_check_names_types_that_longer_shard_groups_would_bring_together(pair: Pair) -> None:
    """Each day has one type at the source; a week of the destination would have two."""
    pair.source.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 1d NAME "autogen"')
    pair.write(f"m v=1 {MONDAY}\nm v=2i {MONDAY + DAY}")
    assert checked(pair)[:2] == (0, [])  # the policy will be created with the same shard groups
    pair.destination.create_database(pair.database)
    assert_foreseen(pair, "field 'v' of measurement 'm' is integer in the source and float in the destination")


def test_check_looks_behind_shard_groups_whose_type_is_not_wanted(pair: Pair) -> None:
    """What is not copied there is no conflict; what is copied later may be one."""
    for server in (pair.source, pair.destination):
        server.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 1d NAME "autogen"')
    pair.write(f'm v="text" {MONDAY}\nm v=2 {MONDAY + 2 * DAY + 2}')
    pair.destination.write(f'm v="other" {MONDAY + 2 * DAY + 1}', pair.database)
    rules: dict[str, object] = {"measurements": {"specific": {"m": {"fields": {"types": ["float"]}}}}}
    rules |= sections(MONDAY, MONDAY + 3 * DAY)
    code, problems, _ = checked(pair, rules)
    assert code == 1
    (problem,) = problems
    assert "is float in the source and string in the destination" in problem
    assert pair.backup(rules).failures


def test_check_names_overlapping_shard_groups_with_several_types(pair: Pair) -> None:
    """After the shard duration was altered no query of the source is exact there."""
    pair.source.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 7d NAME "autogen"')
    pair.write(f"m v=1 {MONDAY}\nm v=2i {MONDAY + 7 * DAY}\nfine v=1 {MONDAY}")
    policy = f'RETENTION POLICY "autogen" ON "{pair.database}"'
    pair.source.query(f"ALTER {policy} SHARD DURATION 30d")
    pair.write(f"m v=3 {MONDAY - DAY}")
    found = pair.source.records("SHOW SHARD GROUPS")
    groups = sorted((g["start_time"], g["end_time"]) for g in found if g["database"] == pair.database)
    if groups[0][1] <= groups[1][0]:
        return  # from 1.12 on, groups are cut short instead
    code, problems, _ = checked(pair)
    failures = pair.backup().failures
    assert code == 1
    assert [p.split("PROBLEM: ")[1] for p in problems] == list(failures)
    assert "shard groups overlap there" in failures[0]


def test_check_names_several_types_where_nobody_may_see_shard_groups(
    destination: InfluxServer, tmp_path: Path
) -> None:
    """Without an administrator such a measurement cannot be copied: said before the first run, in its words."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.create_database("mixed")
        guarded.write(f"m v=1 {MONDAY}\nm v=2i {MONDAY + 7 * DAY}\nfine v=1 {MONDAY}", "mixed")
        guarded.query("CREATE USER reader WITH PASSWORD 'reader'")
        guarded.query('GRANT READ ON "mixed" TO reader')
        config = job_config(guarded, destination, ["mixed"])
        config["source"] |= {"user": "reader", "password": "reader"}
        path = write_job(tmp_path, config)
        done = run_main("check", "--config", path)
        assert done.returncode == 1
        (failure,) = run_worker(path).failures
        assert "only an administrator may see where shards begin" in failure
        assert f"PROBLEM: {failure}" in done.stdout
    destination.drop_database("mixed")


def test_another_default_policy_or_shard_duration_there_is_a_warning(
    pair: Pair, capfd: pytest.CaptureFixture[str]
) -> None:
    """With what comes of it, in `check` and in each run; neither is a failure."""
    pair.source.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 1d NAME "mine"')
    pair.write(f"m v=1 {MONDAY}", "mine")
    pair.destination.create_database(pair.database)
    pair.destination.query(f'CREATE RETENTION POLICY "mine" ON "{pair.database}" DURATION INF REPLICATION 1')
    code, problems, output = checked(pair)
    assert (code, problems) == (0, [])
    assert pair.backup().succeeded
    for text in (output, capfd.readouterr().err):
        assert f"retention policy {pair.database}.mine is not the default one at the destination" in text
        assert "SELECT * FROM cpu, finds nothing of it there" in text
        assert "has shard groups of 7d at the destination, but of 1d at the source" in text
    pair.destination.query(f'ALTER RETENTION POLICY "mine" ON "{pair.database}" SHARD DURATION 1d DEFAULT')
    assert "WARNING" not in checked(pair)[2]
    pair.source.query(f'ALTER RETENTION POLICY "mine" ON "{pair.database}" DURATION 20000d')
    output = checked(pair)[2]
    assert "keeps points for ever, the source for 20000d" in output
    assert "WARNING" not in output
