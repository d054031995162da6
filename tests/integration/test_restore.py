"""`main.py restore`: what a backup holds comes back, nothing is overwritten by accident, its verdict is true."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.daemon import running, wait_until
from tests.integration.harness import (
    DAY,
    HOUR,
    MONDAY,
    ROOT,
    WEEK,
    Pair,
    job_config,
    run_main,
    snapshot,
    write_job,
)
from tests.support.proxy import Gate, Proxy, when
from tests.support.reader import Snapshot, difference, read_policies
from tests.support.samples import load_demo_data
from tests.support.servers import InfluxServer
from tests.support.waiting import HANG

MINUTE = HOUR // 60
Sections = Mapping[str, Any]
Done = subprocess.CompletedProcess[str]


def restore(
    pair: Pair,
    *arguments: str | Path,
    sections: Sections | None = None,
    code: int = 0,
    environ: Mapping[str, str] | None = None,
) -> Done:
    """`main.py restore` of the pair's job, without asking; it has to end with this code."""
    job = write_job(pair.directory, pair.config(sections))
    sure = () if {"--dry-run", "--yes"} & set(arguments) else ("--yes",)
    done = run_main("restore", "--config", job, *sure, *arguments, environ={**os.environ, **(environ or {})})
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done


def lines(count: int = 2000, step: int = 25 * MINUTE, begin: int = MONDAY) -> str:
    """Points of all types over five weeks, of three series."""
    return "\n".join(
        f'cpu,host=h{i % 3} v={i}.5,n={i}i,s="text\\"{i}\n",b={"tf"[i % 2]} {begin + i * step}'
        for i in range(count)
    )


def backed_up(pair: Pair, text: str, sections: Sections | None = None) -> Snapshot:
    """The lines at the source and in its backup; all that the source holds."""
    pair.write(text)
    assert pair.backup(sections).failures == ()
    return snapshot(pair.source, pair.database)


def markers(pair: Pair) -> list[Path]:
    """What tells that a restore is not complete."""
    return list((pair.directory / "quarantine" / ".restoring").glob("*.json"))


# ---------------------------------------------------------------- everything


@pytest.mark.parametrize("index", ["inmem", "tsi1"])
def test_a_source_that_burnt_down_comes_back_whole(index: str, pair: Pair) -> None:
    """To an empty server: every value, the retention policies, and which of them is the default one."""
    load_demo_data(pair.source, pair.database)
    assert pair.backup().failures == ()
    with InfluxServer.start("new", settings={"data.index-version": index}) as new:
        done = restore(pair, "--to", new.url)
        expected, found = snapshot(pair.source, pair.database), snapshot(new, pair.database)
        assert not difference(expected, found, names=("source", "restored"))
        assert read_policies(new.url, pair.database) == read_policies(pair.source.url, pair.database)
    assert f"all {len(expected):,} values of the backup are at the target" in done.stdout
    assert "will be created" in done.stdout
    assert markers(pair) == []


def test_a_database_that_was_dropped_comes_back_to_its_source(pair: Pair) -> None:
    """And the next run of the job finds nothing new."""
    expected = backed_up(pair, lines())
    pair.source.drop_database(pair.database)
    restore(pair, "--verify", "full")
    assert not difference(expected, snapshot(pair.source, pair.database), names=("before", "after"))
    result = pair.backup()
    assert (result.failures, result.written.points) == ((), 0)


def test_names_are_mapped_back(pair: Pair, tmp_path: Path) -> None:
    """Prefix, suffix and the name in the destination; or to a new name beside the old one."""
    pair.write(lines(100))
    config = job_config(pair.source, pair.destination, {pair.database: "copy"})
    config["source"] |= {"prefix": "p_", "suffix": f"_{pair.database}"}
    config["options"]["quarantine_directory"] = str(tmp_path / "quarantine")
    job = write_job(tmp_path, config)
    assert run_main("--config", job).returncode == 0
    expected = snapshot(pair.source, pair.database)
    new = f"{pair.database}:new"
    done = run_main("restore", "--config", job, "--yes", "--database", f"{pair.database}:{new}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"p_copy_{pair.database} -> {new} (will be created)" in done.stdout
    assert not difference(expected, snapshot(pair.source, new), names=("source", "new"))
    pair.source.drop_database(pair.database)
    done = run_main("restore", "--config", job, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not difference(expected, snapshot(pair.source, pair.database), names=("before", "after"))
    done = run_main("restore", "--config", job, "--yes", "--database", "nothing")
    assert (done.returncode, f"it holds: {pair.database}" in done.stderr) == (2, True)


def test_a_job_of_all_databases_restores_those_with_its_prefix(tmp_path: Path) -> None:
    """The names at the source are found again without a source."""
    with InfluxServer.start("source") as source, InfluxServer.start("destination") as destination:
        for name in ("one", "two"):
            source.create_database(name)
            source.write(f"m v=1 {MONDAY}", name)
        destination.create_database("other")
        destination.write(f"m v=9 {MONDAY}", "other")
        config = job_config(source, destination, [], {"source": {"prefix": "backup_"}})
        config["options"]["quarantine_directory"] = str(tmp_path / "quarantine")
        job = write_job(tmp_path, config)
        assert run_main("--config", job).returncode == 0
        before = {name: snapshot(source, name) for name in ("one", "two")}
        for name in before:
            source.drop_database(name)
        done = run_main("restore", "--config", job, "--yes", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert [d["target"] for d in json.loads(done.stdout)["plan"]["databases"]] == ["one", "two"]
        assert {name: snapshot(source, name) for name in before} == before


AWKWARD = [
    'm\\ e\\,a\\=s"u,t\\ a\\,g=v\\ a\\,l\\=ue "=1,f\\ i\\=e\\,ld=2i',
    "日本語,タグ=値 フィールド=1",
    "select,from=where time_=1,TIME=2i",
    "*,?=[x] *=1",
    "/re/,a.b=c.d e.f=1",
    "'quote',tag='x' field='1'",
]


def test_names_that_hurt(pair: Pair) -> None:
    """Measurements, tags and fields with everything in their names that a language could trip over."""
    text = [line.replace("'1'", "1") for line in AWKWARD]
    expected = backed_up(pair, "\n".join(f"{line} {MONDAY + i}" for i, line in enumerate(text)))
    assert len(expected) >= len(AWKWARD)
    pair.source.drop_database(pair.database)
    restore(pair, "--verify", "full")
    assert not difference(expected, snapshot(pair.source, pair.database), names=("before", "after"))
    pair.source.query('DROP MEASUREMENT "/re/"; DROP MEASUREMENT "*"', db=pair.database)
    restore(pair, "--measurement", "/re/", "--measurement", "*", "--existing", "fill")
    assert not difference(expected, snapshot(pair.source, pair.database), names=("before", "after"))


# ---------------------------------------------------------------- what is there already


def test_a_target_that_holds_points_is_refused_with_the_ways_on(pair: Pair) -> None:
    """Nothing is written; and the name of a database beside it is suggested."""
    backed_up(pair, lines(300))
    before = snapshot(pair.source, pair.database)
    pair.source.query(f"DELETE FROM cpu WHERE time > {MONDAY + DAY}", db=pair.database)  # noqa: S608
    left = snapshot(pair.source, pair.database)
    done = restore(pair, code=2)
    assert f"{pair.database}.autogen.cpu" in done.stderr
    assert "--existing fill" in done.stderr
    assert "--existing overwrite" in done.stderr
    assert f"--database {pair.database}:{pair.database}_restored_2" in done.stderr
    assert (snapshot(pair.source, pair.database), markers(pair)) == (left, [])
    assert restore(pair, "--dry-run", "--existing", "fill").stdout
    assert snapshot(pair.source, pair.database) == left
    restore(pair, "--existing", "fill")
    assert not difference(before, snapshot(pair.source, pair.database), names=("before", "after"))


def test_a_hole_is_filled_though_newer_points_are_there(pair: Pair) -> None:
    """A range of which the target has nothing needs no permission; points around it do not matter."""
    expected = backed_up(pair, lines())
    start, end = MONDAY + WEEK, MONDAY + 2 * WEEK
    pair.source.query(f"DELETE FROM cpu WHERE time >= {start} AND time < {end}", db=pair.database)  # noqa: S608
    restore(pair, "--measurement", "c*", "--start", "2024-01-08", "--end", "2024-01-15")
    assert not difference(expected, snapshot(pair.source, pair.database), names=("before", "after"))


@contextmanager
def writing(pair: Pair) -> Iterator[list[str]]:
    """Somebody writes new points to the source, and late ones, all the time; what was written."""
    written: list[str] = []
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.01):
            i = len(written)
            line = f"cpu,host=live v={i},x={i}i {MONDAY + 40 * DAY + i}\nmem v={i} {MONDAY + i}"
            pair.source.write(line, pair.database)
            written.append(line)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield written
    finally:
        ended.set()
        thread.join()


def test_one_measurement_and_week_into_a_database_that_is_live(pair: Pair) -> None:
    """What is written meanwhile stays, and is no difference."""
    expected = dict(backed_up(pair, lines()).points)
    start, end = MONDAY + WEEK, MONDAY + 2 * WEEK
    pair.source.query(f"DELETE FROM cpu WHERE time >= {start} AND time < {end}", db=pair.database)  # noqa: S608
    with writing(pair) as written:
        done = restore(pair, "--measurement", "cpu", "--start", "2024-01-08", "--end", "2024-01-15")
        assert len(written) > 5
    assert "restored: all" in done.stdout
    found = snapshot(pair.source, pair.database).points
    assert {key: found.get(key) for key in expected} == expected
    assert len(found) == len(expected) + 3 * len(written)


def test_a_live_database_gets_exactly_its_hole_filled(pair: Pair) -> None:
    """It was lost and began anew: everything older than that comes back, while it is written."""
    expected = dict(backed_up(pair, lines()).points)
    pair.source.drop_database(pair.database)
    pair.source.create_database(pair.database)
    with writing(pair) as written:
        wait_until(lambda: len(written) > 2, "somebody writes")
        done = restore(pair, "--existing", "fill")
    found = snapshot(pair.source, pair.database).points
    assert {key: found.get(key) for key in expected} == expected
    assert len(found) == len(expected) + 3 * len(written)
    assert "only the target has stay" in done.stdout


def test_fill_brings_the_opposite_half_of_a_series_and_changes_nothing(pair: Pair) -> None:
    """As many points on both sides, of other times; other fields of one point; and values that differ stay."""
    text = [f"m,h=a v={i},w={i}i {MONDAY + i * MINUTE}" for i in range(2000)]
    expected = dict(backed_up(pair, "\n".join(text)).points)
    pair.source.drop_database(pair.database)
    pair.source.create_database(pair.database)
    pair.source.write("\n".join(text[::2]), pair.database)  # every other point
    pair.source.write("\n".join(f"m,h=a z=1 {MONDAY + i * MINUTE}" for i in range(0, 2000, 4)), pair.database)
    pair.source.write(f"m,h=a v=5 {MONDAY + MINUTE}\nm,h=a v=-1 {MONDAY}", pair.database)
    done = restore(pair, "--existing", "fill", code=1)
    found = snapshot(pair.source, pair.database).points
    kept = {key: value for key, value in found.items() if key in expected and value != expected[key]}
    assert {key[3:]: value for key, value in kept.items()} == {
        (b"v", MONDAY): ("float", "-1.0"),
        (b"v", MONDAY + MINUTE): ("float", "5.0"),
    }
    assert found.keys() == expected.keys() | {key for key in found if key[3] == b"z"}
    assert "0 values missing at the target, 2 different (those of the target were kept)" in done.stdout
    assert markers(pair) == []


@pytest.mark.parametrize("existing", ["fill", "overwrite"])
def test_outside_of_the_range_nothing_is_brought(existing: str, pair: Pair) -> None:
    """What is missing in the next week stays so, beside what the target has there."""
    expected = dict(backed_up(pair, lines()).points)
    start, end = MONDAY + WEEK, MONDAY + 2 * WEEK
    for begin in (start, end):
        where = f"time >= {begin} AND time < {begin + DAY}"
        pair.source.query(f"DELETE FROM cpu WHERE {where}", db=pair.database)  # noqa: S608
    restore(pair, "--existing", existing, "--start", "2024-01-08", "--end", "2024-01-15")
    found = snapshot(pair.source, pair.database).points
    assert found == {key: value for key, value in expected.items() if not end <= key[4] < end + DAY}


def test_bad_values_are_overwritten_and_nothing_is_deleted(pair: Pair) -> None:
    """Of one day; text too, which no fingerprint feels."""
    expected = dict(backed_up(pair, lines()).points)
    bad = [f'cpu,host=h{i % 3} v=-1,s="bad" {MONDAY + i * 25 * MINUTE}' for i in range(50)]
    pair.source.write("\n".join([*bad, f"cpu,host=new v=1 {MONDAY}"]), pair.database)
    restore(pair, "--existing", "overwrite", "--end", "2024-01-02", "--verify", "full")
    found = snapshot(pair.source, pair.database).points
    assert {key: found.get(key) for key in expected} == expected
    assert len(found) == len(expected) + 1


def test_a_field_of_another_type_at_the_target_fails_by_name_and_the_others_come(pair: Pair) -> None:
    """Whoever changed the type of a field is told of the values that cannot come back."""
    expected = dict(backed_up(pair, "\n".join(f"m v={i}.5,w={i}i {MONDAY + i}" for i in range(100))).points)
    pair.source.drop_database(pair.database)
    pair.source.create_database(pair.database)
    pair.source.write(f"m v=1i {MONDAY + 1000}", pair.database)
    done = restore(pair, "--existing", "fill", code=1)
    assert "100 lines refused and put aside" in done.stdout
    found = snapshot(pair.source, pair.database).points
    assert all(found.get(key) == value for key, value in expected.items() if key[3] == b"w")
    assert len(markers(pair)) == 1


@pytest.mark.parametrize("existing", ["fill", "overwrite"])
def test_the_same_command_fails_again_as_long_as_something_is_refused(existing: str, pair: Pair) -> None:
    """Nobody compares, so it is the copy that has to tell; when the cause is gone, all of it comes."""
    expected = backed_up(pair, "\n".join(f"m,host=a v={i}.5 {MONDAY + i * DAY}" for i in range(21)))
    pair.source.query(f'DROP DATABASE "{pair.database}"; CREATE DATABASE "{pair.database}"')
    pair.source.write(f'm,host=x v="text" {MONDAY + WEEK}', pair.database)
    for _ in range(2):
        done = restore(pair, "--existing", existing, "--verify", "none", code=1)
        assert "7 lines refused and put aside" in done.stdout
        assert len(markers(pair)) == 1
    shards = [s for s in pair.source.records("SHOW SHARDS") if s["database"] == pair.database]
    (shard,) = [s["id"] for s in shards if s["start_time"] <= "2024-01-08T00:00:00Z" < s["end_time"]]
    pair.source.query(f"DROP SHARD {shard}")
    done = restore(pair, "--existing", existing, "--verify", "none")
    assert "restored, and not compared" in done.stdout
    assert not difference(expected, snapshot(pair.source, pair.database), names=("before", "after"))
    assert markers(pair) == []


@pytest.mark.parametrize("existing", ["empty", "fill", "overwrite"])
def test_points_that_are_never_sent_are_told_and_the_end_is_no_success(existing: str, pair: Pair) -> None:
    """InfluxDB takes such a tag value, and does not keep it as it is; nobody compares, and all others come."""
    expected = dict(backed_up(pair, "\n".join(f"m,host=a v={i} {MONDAY + i * DAY}" for i in range(10))).points)
    never_sent = (f"m,host=a#!~#b,z=1 v={i} {MONDAY + i * DAY}" for i in range(3))
    pair.destination.write("\n".join(never_sent), pair.database)
    assert len(pair.found()) == len(expected) + 3, "the backup does not hold them: this shows nothing"
    if existing == "empty":
        pair.source.drop_database(pair.database)
    else:
        pair.source.query(f"DELETE FROM m WHERE time >= {MONDAY + 5 * DAY}", db=pair.database)  # noqa: S608
    arguments = () if existing == "empty" else ("--existing", existing)
    for again in (arguments, arguments or ("--existing", "fill")):
        done = restore(pair, *again, "--verify", "none", code=1)
        assert "3 not sent" in done.stdout
        assert len(markers(pair)) == 1
    assert dict(snapshot(pair.source, pair.database).points) == expected


# ---------------------------------------------------------------- policies, means, rights


@pytest.mark.parametrize("existing", ["refuse", "fill", "overwrite"])
def test_what_the_backup_holds_longer_than_its_policy_says_is_not_called_restored(
    existing: str, pair: Pair
) -> None:
    """A backup gives points up by whole shard groups; a new target drops at once what is too old."""
    now = time.time_ns()
    backed_up(pair, "\n".join(f"m v={i} {now - i * DAY}" for i in range(20)))
    for server in (pair.source, pair.destination):
        server.query(f'ALTER RETENTION POLICY "autogen" ON "{pair.database}" DURATION 7d')
    assert pair.backup().failures == ()
    with InfluxServer.start("new") as new:
        if existing != "refuse":
            new.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 7d NAME "autogen"')
            new.write(f"m v=0 {now}", pair.database)
        done = restore(pair, "--to", new.url, "--existing", existing)
        found = len(snapshot(new, pair.database))
    assert found == 7
    assert f"all {found} values of the backup are at the target" in done.stdout
    assert "13 values of it are too old for the target's policies" in done.stdout


def test_a_target_with_a_shorter_policy_says_what_it_drops(pair: Pair) -> None:
    """Before it asks; and then the verdict is no success."""
    now = time.time_ns()
    backed_up(pair, "\n".join(f"m v={i} {now - i * DAY}" for i in range(20)))
    with InfluxServer.start("new") as new:
        new.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 7d REPLICATION 1 NAME "autogen"')
        planned = restore(pair, "--to", new.url, "--dry-run")
        assert "would drop 13 values of that at once" in planned.stdout
        assert "keeps points for 7d at the target, but for ever in the backup" in planned.stdout
        done = restore(pair, "--to", new.url, code=1)
        assert 7 <= len(snapshot(new, pair.database)) < 20
        assert "older than retention policy autogen" in done.stdout
        for existing in ("fill", "overwrite", "overwrite"):  # nor are they there when it is run again
            again = restore(pair, "--to", new.url, "--existing", existing, "--verify", "none", code=1)
            assert "13 points older than retention policy autogen" in again.stdout


def test_the_default_policy_is_set_at_the_end_of_a_whole_restore(pair: Pair) -> None:
    """Of a database that is there, and holds nothing; a part of one leaves the default alone."""
    pair.source.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 520w SHARD DURATION 1d NAME "raw"')
    pair.source.query(f'CREATE RETENTION POLICY "more" ON "{pair.database}" DURATION INF REPLICATION 1')
    pair.source.write(f"m v=1 {MONDAY}", pair.database, "raw")
    pair.source.write(f"m v=1 {MONDAY}", pair.database, "more")
    assert pair.backup().failures == ()
    policies = read_policies(pair.source.url, pair.database)
    for part, default in ((["--policy", "raw"], "autogen"), ([], "raw")):
        pair.source.drop_database(pair.database)
        pair.source.create_database(pair.database)
        restore(pair, *part)
        found = read_policies(pair.source.url, pair.database)
        assert [name for name, policy in found.items() if policy.default] == [default]
    assert {name: found[name] for name in policies} == policies


def test_a_policy_that_comes_otherwise_than_it_was_saved_is_said(pair: Pair) -> None:
    """In the plan, and at the end, which is no success: nobody would look for points that stay, or go."""
    now, name = time.time_ns(), pair.database
    pair.write(f"m v=1i {now - 3600 * 10**9}")
    pair.source.query(f'ALTER RETENTION POLICY autogen ON "{name}" DURATION 30d SHARD DURATION 1d')
    pair.destination.create_database(name)  # keeps for ever, in shard groups of 7d
    assert pair.backup().failures == ()
    pair.source.drop_database(name)
    duration = f"retention policy {name}.autogen keeps points for ever there, and kept them for 30d; it is as in"
    groups = f"retention policy {name}.autogen has shard groups of 7d there, and had them of 1d; it is as in"
    planned = restore(pair, "--dry-run")
    assert f"note: {duration}" in planned.stdout
    assert f"note: {groups}" in planned.stdout
    done = restore(pair, "--json", code=1)
    result = json.loads(done.stdout)
    assert [problem.split(" the backup")[0] for problem in result["problems"]] == [duration, groups]
    assert result["result"] == "failed"
    assert (read_policies(pair.source.url, name), len(pair.found())) == (
        read_policies(pair.destination.url, name),
        len(snapshot(pair.source, name)),
    )


def test_means_say_that_they_are_means(pair: Pair) -> None:
    """A downsampled job restores what it kept."""
    sections = {"source": {"group_by": "1h"}}
    backed_up(pair, "\n".join(f"m v={i} {MONDAY + i * MINUTE}" for i in range(600)), sections)
    kept = pair.found()
    pair.source.drop_database(pair.database)
    done = restore(pair, sections=sections)
    assert "one point for each 1h" in done.stdout
    assert not difference(kept, snapshot(pair.source, pair.database), names=("backup", "restored"))


def test_continuous_queries_that_would_fire_are_named(pair: Pair) -> None:
    """They compute windows anew while data arrives."""
    backed_up(pair, f"m v=1 {MONDAY}")
    select = 'SELECT mean(v) INTO "h" FROM "m" GROUP BY time(1h)'
    pair.source.query(f'CREATE CONTINUOUS QUERY "hourly" ON "{pair.database}" BEGIN {select} END')
    done = restore(pair, "--dry-run", "--existing", "fill")
    assert f"continuous query hourly of {pair.database} fires at the target" in done.stdout


def test_what_else_a_database_has_comes_at_the_end(pair: Pair) -> None:
    """Continuous queries by the new name, users with new passwords that work, and what they may do."""
    user, new_name = f"reader {pair.database}", f"{pair.database} new"
    pair.write(lines(100))
    select = f'SELECT mean(v) AS v INTO "{pair.database}".autogen."h" FROM "cpu" GROUP BY time(1h)'  # noqa: S608
    pair.source.query(f'CREATE CONTINUOUS QUERY "hourly" ON "{pair.database}" BEGIN {select} END')
    pair.source.query(f"CREATE USER \"{user}\" WITH PASSWORD 'x'")
    pair.source.query(f'GRANT READ ON "{pair.database}" TO "{user}"')
    kinds = ["policies", "queries", "users", "grants"]
    sections = {"options": {"metadata": kinds}}
    assert pair.backup(sections).failures == ()
    with InfluxServer.start("new", settings={"http.auth-enabled": True}) as new:
        login = {"RESTORE_USER": new.user, "RESTORE_PASSWORD": new.password}
        names = ["--database", f"{pair.database}:{new_name}"]
        done = restore(
            pair, "--to", new.url, *names, "--metadata", ",".join(kinds), sections=sections, environ=login
        )
        assert "at the end: continuous queries: hourly" in done.stdout
        (file,) = pair.directory.rglob("passwords.json")
        assert f"new passwords: {file}" in done.stdout
        assert file.stat().st_mode & 0o777 == 0o600
        password = json.loads(file.read_text())[user]
        asked = {"db": new_name, "q": "SELECT count(v) FROM cpu", "u": user, "p": password}
        (answer,) = requests.get(f"{new.url}/query", asked, timeout=60).json()["results"]
        assert answer["series"][0]["values"][0][1] == 100
        rows = new.rows("SHOW CONTINUOUS QUERIES")
        assert next(row[1] for row in rows if row[0] == "hourly").count(f'"{new_name}"') >= 2
    pair.source.query(f'DROP USER "{user}"')


def test_other_measurements_of_the_database_are_left_out_by_name(pair: Pair) -> None:
    """Another job may keep them there; whatever the rules say of fields, all that is kept of the rest comes."""
    backed_up(pair, f"a x=1,y=2 {MONDAY}\nb v=1 {MONDAY}")
    pair.source.drop_database(pair.database)
    rules = {"measurements": {"include": ["a"], "specific": {"a": {"fields": {"include": ["x"]}}}}}
    done = restore(pair, sections=rules)
    assert "measurements.include and .exclude do not select them: b" in done.stdout
    assert {(key[1], key[3]) for key in snapshot(pair.source, pair.database).points} == {
        (b"a", b"x"),
        (b"a", b"y"),
    }


@pytest.fixture(scope="module")
def guarded() -> Iterator[InfluxServer]:
    """A server that asks for a password."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as server:
        yield server


def test_rights_that_are_missing_are_named_before_anything_is_written(
    guarded: InfluxServer, pair: Pair, tmp_path: Path
) -> None:
    """With the statement to run; then user and password come from the environment and a file."""
    expected = backed_up(pair, lines(100))
    guarded.query(f"CREATE USER \"{pair.database}\" WITH PASSWORD 'secret'")
    login = {"RESTORE_USER": pair.database, "RESTORE_PASSWORD": "secret"}
    done = restore(pair, "--to", guarded.url, code=2, environ=login)
    assert f'CREATE DATABASE "{pair.database}"' in done.stderr
    guarded.create_database(pair.database)
    guarded.query(f'GRANT READ ON "{pair.database}" TO "{pair.database}"')
    done = restore(pair, "--to", guarded.url, code=2, environ=login)
    assert f"{pair.database} cannot be written by user '{pair.database}'" in done.stderr
    guarded.query(f'GRANT ALL ON "{pair.database}" TO "{pair.database}"')
    (tmp_path / "password").write_text("secret\n")
    login = {"RESTORE_USER": pair.database, "RESTORE_PASSWORD_FILE": str(tmp_path / "password")}
    restore(pair, "--to", guarded.url, environ=login)
    assert not difference(expected, snapshot(guarded, pair.database), names=("source", "restored"))
    assert "secret" not in done.stdout + done.stderr


def test_a_backup_that_may_not_be_read_is_said(guarded: InfluxServer, pair: Pair, tmp_path: Path) -> None:
    """Nothing begins."""
    guarded.query(f"CREATE USER \"{pair.database}_x\" WITH PASSWORD 'secret'")
    config = job_config(pair.source, guarded, [pair.database])
    config["destination"] = {"url": guarded.url, "user": f"{pair.database}_x", "password": "secret"}
    config["options"]["quarantine_directory"] = str(tmp_path / "quarantine")
    done = run_main("restore", "--config", write_job(tmp_path, config), "--yes")
    assert done.returncode == 2
    assert "or none that this user may see" in done.stderr


@pytest.mark.parametrize("url", ["ftp://somewhere:8086", "nowhere with spaces", "http://host:port"])
def test_a_target_that_is_no_address_is_refused_with_what_is_wrong(url: str, pair: Pair) -> None:
    """Before anything is asked of any server."""
    done = restore(pair, "--to", url, code=2)
    assert "--to: " in done.stderr


# ---------------------------------------------------------------- who else is there


def test_a_daemon_that_runs_the_job_is_refused_by_name(pair: Pair, tmp_path: Path) -> None:
    """It would copy the half-restored source over; to another server nothing speaks against it."""
    backed_up(pair, lines(100))
    jobs = tmp_path / "jobs"
    schedule = {"options": {"incremental": {"schedule": "0 3 * * *"}}}
    job = write_job(jobs, pair.config(schedule))
    with running(jobs, tmp_path) as daemon:
        daemon.wait_for("next run")
        done = run_main("restore", "--config", job, "--yes", "--existing", "fill")
        assert done.returncode == 2
        assert "job 'job' runs now (main.py, or the daemon)" in done.stderr
        with InfluxServer.start("new") as new:
            done = run_main("restore", "--config", job, "--yes", "--to", new.url)
            assert done.returncode == 0, done.stdout + done.stderr
    assert run_main("restore", "--config", job, "--yes", "--existing", "fill").returncode == 0


def test_a_daemon_is_no_hindrance_where_the_source_of_its_job_is_gone(pair: Pair, tmp_path: Path) -> None:
    """What comes back elsewhere is nothing that it could copy."""
    with InfluxServer.start("burnt") as burnt:
        own = Pair(burnt, pair.destination, pair.database, tmp_path)
        backed_up(own, lines(100))
        job = write_job(tmp_path / "jobs", own.config({"options": {"incremental": {"schedule": "0 3 * * *"}}}))
        with running(tmp_path / "jobs", tmp_path) as daemon, InfluxServer.start("new") as new:
            daemon.wait_for("next run")
            burnt.stop()
            done = run_main("restore", "--config", job, "--yes", "--to", new.url)
            assert done.returncode == 0, done.stdout + done.stderr


def test_a_job_does_not_run_while_it_is_restored(pair: Pair) -> None:
    """It fails by name, and copies nothing."""
    backed_up(pair, lines(100))
    job = write_job(pair.directory, pair.config())
    command = [sys.executable, "main.py", "restore", "--config", str(job), "--existing", "fill"]
    main_, other = os.openpty()
    with subprocess.Popen(command, cwd=ROOT, stdin=other, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout
        said = ""
        while "Restore this?" not in said:
            said += asking.stdout.read(1)
        result = pair.backup()
        assert result.failures == ("a restore of this job runs: nothing is copied before it has ended",)
        os.write(main_, b"n\n")
    assert asking.returncode == 2
    os.close(main_)
    os.close(other)
    assert pair.backup().failures == ()


def test_onto_the_backup_itself_is_refused(pair: Pair) -> None:
    """A typing error in --to must not become a copy of a database onto itself."""
    backed_up(pair, f"m v=1 {MONDAY}")
    done = restore(pair, "--to", pair.destination.url, "--existing", "fill", code=2)
    assert "would be copied onto itself" in done.stderr


# ---------------------------------------------------------------- stopped, and again


def test_a_restore_that_is_stopped_goes_on_with_the_same_command(pair: Pair) -> None:
    """Until then a marker tells that the target is not complete, and `status` shows it."""
    expected = backed_up(pair, lines(6000, MINUTE))
    pair.source.drop_database(pair.database)
    slow = {"days_of_pagination": 0.006, "parallel_workers": 1, "timeout_client": HANG}
    for existing in ("refuse", "overwrite"):
        gate = Gate()
        with Proxy(pair.destination.url) as proxy:
            proxy.inject(when(partial(has_begun, pair), gate), "query", count=None)
            job = write_job(pair.directory, pair.config({"destination": {"url": proxy.url}, "options": slow}))
            command = ["restore", "--config", str(job), "--yes", "--existing", existing]
            with subprocess.Popen(
                [sys.executable, "main.py", *command],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as tool:
                wait_until(gate.is_reached, "some points")
                tool.send_signal(signal.SIGTERM)
                gate.open()
                output, _ = tool.communicate()
            assert tool.returncode == 1, output
            assert "the same command goes on from here" in output
            assert len(markers(pair)) == 1
            status = run_main("status", "--config", job, "--http", "127.0.0.1:1")
            assert f"restore of {pair.database} to {pair.source.url} is not complete" in status.stdout
            done = run_main(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "goes on with the restore that was begun" in done.stdout
        assert not difference(expected, snapshot(pair.source, pair.database), names=("before", "after"))
        assert markers(pair) == []


def has_begun(pair: Pair) -> bool:
    """Whether a restore has brought some points."""
    return any(json.loads(marker.read_text())["positions"] for marker in markers(pair))


def test_the_result_as_json(pair: Pair) -> None:
    """One document: the plan, what was written, and the verdict."""
    backed_up(pair, lines(100))
    pair.source.drop_database(pair.database)
    planned = json.loads(restore(pair, "--dry-run", "--json").stdout)
    assert (planned["result"], planned["plan"]["values"], planned["written"]) == ("planned", 400, None)
    found = json.loads(restore(pair, "--yes", "--json").stdout)
    assert (found["result"], found["written"]["points"], found["missing"]) == ("restored", 100, 0)
    assert found["verification"]["result"] == "equal"
    refused = json.loads(restore(pair, "--yes", "--json", code=2).stdout)
    assert refused["result"] == "not restored"


def test_more_than_one_job_or_none_is_wrong_usage(pair: Pair, tmp_path: Path) -> None:
    """One at a time; and without a terminal somebody has to be sure."""
    for name in ("one", "two"):
        write_job(tmp_path / "jobs", job_config(pair.source, pair.destination, [name]), name)
    done = run_main("restore", "--config", tmp_path / "jobs", "--yes")
    assert (done.returncode, "restore takes one job at a time" in done.stderr) == (2, True)
    done = run_main("restore", "--config", tmp_path / "jobs" / "one.yaml")
    assert (done.returncode, "say --yes, or --dry-run" in done.stderr) == (2, True)
    done = run_main("restore", "--config", tmp_path / "jobs" / "one.yaml", "--yes", "--to", "http://u:p@h:1")
    assert (done.returncode, "--to: " in done.stderr, ":p@" in done.stderr) == (2, True, False)
