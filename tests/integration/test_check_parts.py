"""What `check` finds of each part of a job, in this process: what is planned, where it goes, what would fail."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

from checking.findings import Findings, MeasurementPlan
from checking.next_drill import drill_line
from checking.preflight import check_job
from config import Config
from copying.distribution import cluster
from tests.integration.archives import Archived
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair, write_job
from tests.support.proxy import Action, Exchange, Proxy, delay, forward
from tests.support.servers import InfluxServer, free_port

Sections = Mapping[str, Any]
YEAR = {"options": {"backup_mode": "range", "range": {"start_date": "2024-01-01", "end_date": "2025-01-01"}}}


def found_of(pair: Pair, sections: Sections | None = None) -> Findings:
    """What `check` finds of the pair's job."""
    return check_job(Config(write_job(pair.directory, pair.config(sections))))


def plans(found: Findings) -> dict[str, MeasurementPlan]:
    """Of each measurement."""
    return {plan.name: plan for plan in found.measurements}


def heard(asked: list[str], seconds: float = 0.0) -> Action:
    """An action that remembers what was asked; pages take so long."""

    def act(exchange: Exchange) -> None:
        asked.append(exchange.text())
        (delay(response=seconds) if "LIMIT" in asked[-1] else forward)(exchange)

    return act


# ---------------------------------------------------------------- what is planned


def test_what_is_new_of_each_field_is_counted_from_its_own_newest_point_on(pair: Pair) -> None:
    """A field that is new from its beginning, the others from where the destination is."""
    pair.write("\n".join(f"m a={i},c={i}i {MONDAY + i * HOUR}" for i in range(10)))
    pair.write(f"same v=1 {MONDAY}")
    assert pair.backup().failures == ()
    pair.write("\n".join(f"m b={i} {MONDAY + i * HOUR}" for i in range(5)))
    pair.write("\n".join(f"m a={i} {MONDAY + i * HOUR}" for i in range(10, 13)))
    found = found_of(pair)
    assert plans(found) == {
        "m": MeasurementPlan("m", 3, 5 + 4, MONDAY, MONDAY + 12 * HOUR),
        "same": MeasurementPlan("same", 1, 1, MONDAY, MONDAY),
    }
    assert (found.points, found.problems, found.warnings) == (10, (), ())


def test_of_a_range_what_lies_in_it_is_planned(pair: Pair) -> None:
    """A measurement that has nothing there has nothing to copy."""
    begins = {"old": 1, "m": MONDAY}  # nothing of what is old lies in it
    pair.write("\n".join(f"{name} v={i} {begins[name] + i * DAY}" for name in begins for i in range(9)))
    end = {"start_date": "2024-01-01", "end_date": "2024-01-04"}
    found = found_of(pair, {"options": {"backup_mode": "range", "range": end}})
    assert plans(found) == {
        "old": MeasurementPlan("old"),
        "m": MeasurementPlan("m", 1, 3, MONDAY, MONDAY + 2 * DAY),
    }


def test_the_time_it_takes_is_guessed_by_reading_the_largest_measurement(pair: Pair) -> None:
    """Of nothing else pages are read; where there is nothing to judge by, nothing is said."""
    sizes = {"a": 3, "b": 40, "c": 5}
    pair.write("\n".join(f"{name} v={i} {MONDAY + i}" for name, size in sizes.items() for i in range(size)))
    asked: list[str] = []
    with Proxy(pair.source.url) as proxy:
        proxy.inject(heard(asked, 0.05), "query", count=None)
        begun = time.monotonic()
        found = found_of(pair, {"source": {"url": proxy.url}})
        assert found.seconds is not None
        assert 2 * 0.05 <= found.seconds * 40 / 48 <= 2 * (time.monotonic() - begun)
        pages = [text for text in asked if "LIMIT" in text and "SELECT" in text]
    assert pages
    assert all('"b"' in text for text in pages), pages
    assert found_of(pair, {"source": {"group_by": "5m"}}).seconds is None
    pair.source.drop_database(pair.database)
    pair.source.create_database(pair.database)
    assert found_of(pair).seconds is None


def test_a_database_that_cannot_be_looked_at_hides_no_other(pair: Pair) -> None:
    """It is named, in its place."""
    pair.write(f"m v=1 {MONDAY}")
    names = [{"name": "no such"}, {"name": pair.database, "destination": "copy"}, {"name": "nor this"}]
    found = found_of(pair, {"source": {"databases": names}})
    assert [(d.name, d.target, d.exists, len(d.policies)) for d in found.databases] == [
        ("no such", "no such", False, 0),
        (pair.database, "copy", False, 1),
        ("nor this", "nor this", False, 0),
    ]
    assert [text.partition(": ")[0] for text in found.problems] == ["database no such", "database nor this"]


def test_each_policy_says_how_long_it_keeps_points_on_both_sides(pair: Pair) -> None:
    """Where they differ; one that is not there yet will be created."""
    for server, durations in ((pair.source, {"a": "30d", "b": "4w", "c": "INF"}), (pair.destination, {"b": "8w"})):
        server.create_database(pair.database)
        for name, duration in durations.items():
            server.query(
                f'CREATE RETENTION POLICY "{name}" ON "{pair.database}" DURATION {duration} REPLICATION 1 '
                "SHARD DURATION 1d"
            )
    found = found_of(pair, {"options": {"allow_empty": True}})
    (database,) = found.databases
    assert {policy.name: policy.state for policy in database.policies} == {
        "autogen": "keeps points for ever",
        "a": "will be created",
        "b": "keeps points for 56d, the source for 28d",
        "c": "will be created",
    }
    assert found.problems == ()


# ---------------------------------------------------------------- what would fail


def test_of_each_field_the_first_conflict_is_named(pair: Pair) -> None:
    """In the first shard group in which both types would meet; other fields and measurements are looked at."""
    pair.write(
        "\n".join(
            f"{name} v={w},w={w}i,x={w} {MONDAY + w * WEEK}" for name in ("m", "fine", "n") for w in range(6)
        )
    )
    pair.destination.create_database(pair.database)
    pair.destination.write(
        "\n".join(
            [
                *(f"m v={w}i,w={w} {MONDAY + w * WEEK + 1}" for w in (1, 4)),
                f'm x="late" {MONDAY + 9 * WEEK}',
                f'n x="last" {MONDAY + 5 * WEEK + 1}',
                f"n w=7i {MONDAY + 1}",
            ]
        ),
        pair.database,
    )
    place, problems = f"copy {pair.database}.autogen", found_of(pair, YEAR).problems
    week = "[2024-01-08T00:00:00Z, 2024-01-15T00:00:00Z)"
    assert [text.partition(": ")[0] for text in problems] == [
        f"{place}.m {week}",
        f"{place}.m {week}",
        f"{place}.n [2024-02-05T00:00:00Z, 2024-02-12T00:00:00Z)",
    ]
    assert [text.partition(": ")[2].partition(" in the source")[0] for text in problems] == [
        "field 'v' of measurement 'm' is float",
        "field 'w' of measurement 'm' is integer",
        "field 'x' of measurement 'n' is float",
    ]


def test_what_cannot_be_kept_and_who_has_a_type_of_its_own_there_is_named(pair: Pair) -> None:
    """A name that InfluxDB does not keep as it is; and means are floats, whatever they are made of."""
    pair.write(f"m v=1i,a\\\\\\,b=1 {MONDAY}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m v=1.5 {MONDAY + 1}", pair.database)
    conflict, refused = sorted(found_of(pair, YEAR).problems)
    assert "field 'v' of measurement 'm' is integer in the source and float in the destination" in conflict
    assert refused.startswith(f"{pair.database}.autogen.m: ")
    means = {**YEAR, "source": {"group_by": "5m"}}
    assert not any("is integer in the source" in text for text in found_of(pair, means).problems)


def test_each_shard_group_is_asked_for_a_type_once(pair: Pair) -> None:
    """Only those in which the destination has values of the field, unless the source has several types of it."""
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 1d NAME "autogen"')
    pair.source.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 1h NAME "autogen"')
    pair.write("\n".join(f"m v={h} {MONDAY + h * HOUR}" for h in range(0, 24 * 5, 6)))
    pair.destination.write(f"m v=1 {MONDAY + DAY}\nm v=1 {MONDAY + 2 * DAY}", pair.database)
    pair.destination.write(f"m v=1i {MONDAY + 40 * DAY}", pair.database)
    pair.destination.query(f"DELETE FROM m WHERE time > {MONDAY + 30 * DAY}", db=pair.database)  # noqa: S608

    def days() -> list[int]:
        asked: list[str] = []
        with Proxy(pair.destination.url) as proxy:
            proxy.inject(heard(asked), "query", count=None)
            assert found_of(pair, {**YEAR, "destination": {"url": proxy.url}}).problems == ()
        types = [text for text in asked if "::field" in text]
        limits = [re.search(r"time >= (\d+) AND time < (\d+) LIMIT", unquote_plus(text)) for text in types]
        spans = [(int(found[1]), int(found[2])) for found in limits if found]
        assert all(end - start == DAY for start, end in spans)
        return [(start - MONDAY) // DAY for start, _ in spans]

    assert days() == [1, 2]
    pair.write(f"m v=1i {MONDAY + 7 * DAY}")
    assert days() == [0, 1, 2, 3, 4, 7]


def test_what_a_run_would_refuse_or_warn_of_is_found_before_it(pair: Pair) -> None:
    """A source that is its own destination, continuous queries that write there, what the source has lost."""
    pair.write(f"m v=1 {MONDAY}")
    same = pair.source.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104
    (problem,) = found_of(pair, {"destination": {"url": same}}).problems
    assert "are one and the same server" in problem
    assert pair.backup().failures == ()
    assert (found_of(pair).problems, found_of(pair).warnings) == ((), ())
    pair.destination.write(f"m lost=1,v=2 {MONDAY + 1}", pair.database)
    select = 'SELECT mean(v) INTO "h" FROM "m" GROUP BY time(1h)'
    pair.destination.query(f'CREATE CONTINUOUS QUERY "hourly" ON "{pair.database}" BEGIN {select} END')
    found = found_of(pair)
    (problem,) = found.problems
    assert f"continuous queries of {pair.database} run, at the destination: hourly; " in problem
    (warning,) = found.warnings
    assert "lost" in warning


def test_whoever_is_no_administrator_is_told_what_that_costs(pair: Pair, tmp_path: Path) -> None:
    """A policy that would have to be made, or the database; and what of the source cannot be saved."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query(f'CREATE DATABASE "{pair.database}" WITH NAME "first"')
        guarded.query(f'CREATE RETENTION POLICY "second" ON "{pair.database}" DURATION INF REPLICATION 1')
        guarded.query(f'CREATE DATABASE "{pair.database}_copy" WITH NAME "first"')
        guarded.query("CREATE USER plain WITH PASSWORD 'pw'")
        for name in (pair.database, f"{pair.database}_copy"):
            guarded.query(f'GRANT ALL ON "{name}" TO plain')
        guarded.write(f"m v=1 {MONDAY}", pair.database)
        login = {"url": guarded.url, "user": "plain", "password": "pw"}
        config = pair.config({"options": {"metadata": ["policies", "users"]}})
        names = {"name": pair.database, "destination": f"{pair.database}_copy"}
        config["source"] = {**login, "databases": [names]}
        config["destination"] = login
        found = check_job(Config(write_job(tmp_path, config)))
        (problem,) = found.problems
        assert f'should run CREATE RETENTION POLICY "second" ON "{pair.database}_copy"' in problem
        assert "the user may not see shard groups" in found.servers[0]
        assert found.warnings[0].startswith("users are not saved: ")
        names["destination"] = "none"
        found = check_job(Config(write_job(tmp_path, config)))
    (problem,) = found.problems
    assert 'should run CREATE DATABASE "none"' in problem
    assert '"first"' in problem


# ---------------------------------------------------------------- where it goes


def test_an_archive_is_told_as_it_is(pair: Pair, tmp_path: Path) -> None:
    """Not there yet, with its newest snapshot, and of no use; beside a server, too."""
    archived = Archived(pair)
    pair.write(f"m v=1 {MONDAY}\nn v=1 {MONDAY}")

    def told(sections: Sections | None = None) -> tuple[str, ...]:
        found = check_job(Config(archived.job(sections)))
        assert found.problems == ()
        return found.servers

    source, line, database = told()
    assert source.startswith(f"source {pair.source.url}: InfluxDB ")
    assert source.endswith(", shard groups visible")
    assert line == f"archive {archived.folder}: will be made"
    assert database == f"database {pair.database}: 2 measurements"
    names = [archived.taken(), archived.taken()]
    assert told()[1] == f"archive {archived.folder}: 2 snapshots of this job, the newest {names[1]}"
    beside = told({"destination": {"url": pair.destination.url, "archive": str(archived.folder)}})
    assert [text.partition(" ")[0] for text in beside] == ["source", "destination", "archive"]
    (tmp_path / "file").write_text("")
    archived.folder = tmp_path / "file"
    found = check_job(Config(archived.job()))
    assert f"archive {archived.folder}: cannot be used" in found.servers
    (problem,) = found.problems
    assert str(archived.folder) in problem


def test_an_archive_of_databases_that_cannot_be_read_says_which(pair: Pair) -> None:
    """The others are counted."""
    archived = Archived(pair)
    pair.write(f"m v=1 {MONDAY}")
    names = [{"name": "no\nsuch"}, {"name": pair.database}]
    found = check_job(Config(archived.job({"source": {"databases": names}})))
    assert found.servers[-1] == f"database {pair.database}: 1 measurement"
    assert [text.partition(": ")[0] for text in found.problems] == ["database no\\nsuch"]


def test_a_cluster_that_is_not_reached_is_a_problem(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what its workers would do said apart from it."""
    monkeypatch.setattr(cluster, "CONNECTING", 1)
    pair.write(f"m v=1 {MONDAY}")
    scheduler = f"tcp://127.0.0.1:{free_port()}"
    found = found_of(pair, {"options": {"distribute": scheduler}})
    assert f"cluster {scheduler}: not reached" in found.servers
    (problem,) = found.problems
    assert f"Dask's scheduler {scheduler} does not answer" in problem
    assert plans(found)["m"].points == 1


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({}, ""),
        ({"RESTORE_PASSWORD_FILE": "/no/such/file"}, "options.drill: RESTORE_PASSWORD_FILE: "),
        ({"RESTORE_USER": "nobody", "RESTORE_PASSWORD": "x"}, "options.drill: "),
    ],
)
def test_a_drill_that_could_not_begin_is_a_problem(environ: dict[str, str], problem: str, pair: Pair) -> None:
    """It is said when it is in any case."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        daily = {"incremental": {"schedule": "@daily"}}
        config = pair.config({"options": {"drill": {"schedule": "@weekly"}, **daily}})
        config["destination"] = {"url": guarded.url, "user": guarded.user, "password": guarded.password}
        job = Config(write_job(pair.directory, config)).job
        problems: list[str] = []
        line = drill_line(job, environ, problems)
    assert line.startswith("restore drill @weekly; next: ")
    assert (f"(UTC), at {guarded.url}: InfluxDB " in line) == (not problem)
    assert [text[: len(problem)] for text in problems] == [problem] * bool(problem)
    never = pair.config({"options": daily})
    assert drill_line(Config(write_job(pair.directory, never)).job, environ, problems) == ""
