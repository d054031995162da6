"""The report: what a run did, told honestly in one table and one line for each failure."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from basics.humanize import format_bytes
from copying.results import DatabaseResult, JobResult, MeasurementResult, Saved, SourceAge
from influx.written import PutAside, Refusal, Written
from watching.summary import NOTHING, as_json, summary


def job(name: str, *measurements: MeasurementResult, seconds: float = 0.0, stopped: bool = False) -> JobResult:
    """A job with one database."""
    return JobResult(name, (DatabaseResult("db", measurements),), (), seconds, stopped)


def test_the_table_shows_every_job_with_its_totals() -> None:
    """Text to the left, numbers to the right, thousands apart."""
    results = [
        JobResult(
            "prod",
            (
                DatabaseResult(
                    "a",
                    (
                        MeasurementResult("a.autogen.cpu", Written(1_000_000, 5_000_000, 42_000_000)),
                        MeasurementResult("a.autogen.mem", Written(234_567, 345_678, 345_678)),
                    ),
                ),
                DatabaseResult("b", (MeasurementResult("b.autogen.x", Written(0, 0, 0)),)),
            ),
            (),
            61.25,
        ),
        JobResult("a-very-long-job-name", (), (), 0.04, stopped=True),
    ]
    assert summary(results).splitlines() == [
        "job                   databases  measurements     points     values    bytes  seconds  result",
        "--------------------  ---------  ------------  ---------  ---------  -------  -------  ---------------",
        "prod                          2             3  1,234,567  5,345,678  42.3 MB     61.2  ok",
        "a-very-long-job-name          0             0          0          0      0 B      0.0  stopped",
        "total                         2             3  1,234,567  5,345,678  42.3 MB     61.2  1 stopped, 1 ok",
    ]


def test_one_job_needs_no_sum() -> None:
    """It is its own."""
    assert len(summary([job("only")]).splitlines()) == 3


def test_late_values_have_a_column_where_there_are_any() -> None:
    """Beside all values, of which they are a part."""
    late = job("late", MeasurementResult("m", Written(10, 20, 30), late=5))
    headings, _, row, other, total = summary([late, job("other")]).splitlines()
    assert headings.split()[4:7] == ["values", "late", "bytes"]
    assert [line.split()[4:6] for line in (row, other, total)] == [["20", "5"], ["0", "0"], ["20", "5"]]
    assert "late" not in summary([job("other")])


HOUR = 3600 * 10**9


def test_how_far_each_database_is_behind_stands_below_the_table() -> None:
    """Those furthest behind first; not of what failed, nor of a job that has an end."""
    databases = tuple(DatabaseResult(f"d{n}", age=SourceAge(f"d{n}", n * HOUR)) for n in range(1, 8))
    failed = DatabaseResult("bad", (MeasurementResult("m", problems=("x",)),), age=SourceAge("bad", 0))
    unknown = DatabaseResult("unknown", age=SourceAge("unknown"))
    result = JobResult("prod", (*databases, failed, unknown), ended=8 * HOUR)
    line = next(line for line in summary([result]).splitlines() if line.startswith("LAG"))
    assert line == "LAG prod: d1 7 h, d2 6 h, d3 5 h, d4 4 h, d5 3 h, 2 more below that"
    assert "LAG" not in summary([dataclasses.replace(result, ended=0)])
    document: Any = as_json([result], {})
    lags = {database["name"]: database["lag"] for database in document["jobs"][0]["databases"]}
    assert (lags["d7"], lags["bad"], lags["unknown"]) == (3600.0, None, None)


COUNTED = "FAILED bad: 2 failures, told in the log above"


@pytest.mark.parametrize(
    ("level", "told"),
    [
        (
            logging.INFO,
            ["FAILED bad: 2 failures, told in the log above", "WARNING bad: 1 warning, told in the log above"],
        ),
        (logging.ERROR, ["FAILED bad: 2 failures, told in the log above", "WARNING bad: odd"]),
        (logging.CRITICAL, ["FAILED bad: one", "FAILED bad: two", "WARNING bad: odd"]),
        (NOTHING, ["FAILED bad: one", "FAILED bad: two", "WARNING bad: odd"]),
    ],
)
def test_what_the_log_has_told_is_counted_only(level: int, told: list[str]) -> None:
    """Where the reader has both before them, and the log tells such things."""
    bad = JobResult("bad", problems=("one", "two"), warnings=("odd",))
    assert summary([bad, job("good")], logged=level).splitlines()[5:] == told


def test_what_was_lost_has_columns_only_where_there_is_any() -> None:
    """Refused lines and expired points apart; a job without any shows zeros beside one that has some."""
    lost = Written(10, 20, 30, 1_234, put_aside=(PutAside("a.lp", "no", 2), PutAside("b.lp", "no", 3)))
    expired = Written(1, 1, 1, 7)
    headings = [
        summary([job("fine", MeasurementResult("m", written)) for written in jobs]).splitlines()[0].split()
        for jobs in ([Written(1, 1, 1)], [Written(1, 1, 1), lost], [expired])
    ]
    assert [h[5:7] for h in headings] == [
        ["bytes", "seconds"],
        ["quarantined", "expired"],
        ["quarantined", "expired"],
    ]
    rows = summary([job("fine", MeasurementResult("m", w)) for w in (Written(1, 1, 1), lost)]).splitlines()[2:4]
    assert [row.split()[5:7] for row in rows] == [["0", "0"], ["5", "1,234"]]


def test_lines_put_aside_add_up_by_their_file() -> None:
    """The first answer stands for all."""
    parts = [
        Written(put_aside=(PutAside("a.lp", "first", 1),)),
        Written(put_aside=(PutAside("b.lp", "other", 5),)),
        Written(put_aside=(PutAside("a.lp", "second", 2),)),
    ]
    total = sum(parts, Written())
    assert total.put_aside == (PutAside("a.lp", "first", 3), PutAside("b.lp", "other", 5))
    assert total.quarantined == 8


def test_without_jobs_the_table_is_its_heading() -> None:
    """Two lines, and no failure."""
    assert len(summary([]).splitlines()) == 2


def test_each_failure_is_named_after_the_table() -> None:
    """In the order of the jobs, the widest problem first."""
    bad = JobResult(
        "bad",
        (
            DatabaseResult("d", (MeasurementResult("d.p.m", problems=("m: one", "m: two")),), ("d: three",)),
            DatabaseResult("e", (MeasurementResult("e.p.m", problems=("e.m: four",)),), ("e: five",)),
        ),
        ("all: six",),
    )
    lines = summary([job("good"), bad, JobResult("worse", problems=("seven",))]).splitlines()
    assert [line.split()[-1] for line in lines[2:5]] == ["ok", "FAILED", "FAILED"]
    assert lines[5].endswith("  2 FAILED, 1 ok")
    assert lines[6:] == [
        "FAILED bad: all: six",
        "FAILED bad: d: three",
        "FAILED bad: e: five",
        "FAILED bad: m: one",
        "FAILED bad: m: two",
        "FAILED bad: e.m: four",
        "FAILED worse: seven",
    ]


def test_a_failure_is_one_line_whatever_the_server_said() -> None:
    """InfluxDB puts several errors of one request on several lines."""
    failure = "HTTP 400: partial write: unable to parse 'm f= 2': missing field value\nunable to parse 'm g= 3'"
    lines = summary([JobResult("bad", problems=(failure,))]).splitlines()
    assert len(lines) == 4
    assert "'m f= 2'" in lines[3]
    assert "'m g= 3'" in lines[3]


@pytest.mark.parametrize(
    ("result", "succeeded", "outcome"),
    [
        (JobResult("j"), True, "ok"),
        (JobResult("j", stopped=True), True, "stopped"),
        (JobResult("j", problems=("x",)), False, "FAILED"),
        (JobResult("j", problems=("x",), stopped=True), False, "FAILED"),
        (JobResult("j", (DatabaseResult("d", problems=("x",)),)), False, "FAILED"),
        (job("j", MeasurementResult("m", problems=("x",))), False, "FAILED"),
        (job("j", MeasurementResult("m"), MeasurementResult("n", problems=("x",)), stopped=True), False, "FAILED"),
        (job("j", MeasurementResult("m", Written(5, 5, 5))), True, "ok"),
    ],
)
def test_one_problem_anywhere_fails_the_job(result: JobResult, succeeded: bool, outcome: str) -> None:
    """A stop is no failure, but it does not hide one either."""
    assert result.succeeded is succeeded
    assert result.outcome == outcome


def test_all_that_was_written_is_added_up_over_databases_and_measurements() -> None:
    """Also the points that were refused or had expired."""
    refusal = Refusal("tag 'k'", "ends in a backslash", 3)
    result = JobResult(
        "j",
        (
            DatabaseResult("a", (MeasurementResult("x", Written(1, 2, 3, 4, (refusal,))),)),
            DatabaseResult("b", (MeasurementResult("y", Written(10, 20, 30, 40)), MeasurementResult("z"))),
        ),
    )
    assert result.written == Written(11, 22, 33, 44, (refusal,))
    assert JobResult("j").written == Written()


def test_results_cannot_be_changed_afterwards() -> None:
    """They cross processes; what is reported is what was found."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(JobResult("j"), "problems", ())  # noqa: B010 -- the assignment itself would not pass the type check


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1049, "1.0 kB"),
        (1051, "1.1 kB"),
        (12_345, "12.3 kB"),
        (999_900, "999.9 kB"),
        (1_000_000, "1.0 MB"),
        (999_900_000, "999.9 MB"),
        (1_000_000_000, "1.0 GB"),
        (999_900_000_000, "999.9 GB"),
        (10**12, "1.0 TB"),
        (1_234 * 10**12, "1234.0 TB"),
    ],
)
def test_bytes_are_shown_in_powers_of_1000(count: int, text: str) -> None:
    """With one decimal, but for whole bytes."""
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(999_960, "1.0 MB"), (999_999, "1.0 MB"), (999_999_999, "1.0 GB"), (999_999_999_999, "1.0 TB")],
)
def test_bytes_that_round_up_to_the_next_unit_are_shown_in_it(count: int, text: str) -> None:
    """There is no `1000.0 kB`."""
    assert format_bytes(count) == text


def test_the_document_has_every_measurement_and_every_problem() -> None:
    """And what is wrong with files that did not run."""
    written = Written(10, 20, 300, 4, (Refusal("m", "why", 1),), (PutAside("f", "no", 2),))
    results = [
        job("a", MeasurementResult("db.rp.m", written, ("refused",), late=3), seconds=1.23456),
        job("b", stopped=True),
    ]
    document = json.loads(json.dumps(as_json(results, {"c": "c.yaml: 1 problem"})))
    assert document["result"] == "FAILED"
    assert document["invalid"] == {"c": "c.yaml: 1 problem"}
    first, second = document["jobs"]
    amounts = {"points": 10, "values": 20, "bytes": 300, "expired": 4, "quarantined": 2, "late": 3, "repeated": 0}
    assert first == {
        "job": "a",
        "result": "FAILED",
        "seconds": 1.235,
        **amounts,
        "extra": 0,
        "snapshot": None,
        "problems": [],
        "warnings": [],
        "databases": [
            {
                "name": "db",
                "newest": None,
                "lag": None,
                "problems": [],
                "warnings": [],
                "metadata": None,
                "measurements": [
                    {"name": "db.rp.m", **amounts, "extra": 0, "problems": ["refused"], "warnings": []}
                ],
            }
        ],
    }
    assert second["result"] == "stopped"


def test_the_result_of_the_document_is_the_worst() -> None:
    """A file that did not run is a failure; nothing at all is none."""
    assert as_json([job("a"), job("b", stopped=True)], {})["result"] == "stopped"
    assert as_json([job("a")], {})["result"] == "ok"
    assert as_json([], {"c": "x"})["result"] == "FAILED"


def test_warnings_are_told_and_change_no_result() -> None:
    """In the table, one line for each after the failures, in the log's sentence and in the document."""
    age = SourceAge("db", 1_767_225_600_000_000_000, is_stale=True)
    measurement = MeasurementResult("db.rp.m", extra=1200, warnings=("m: odd",))
    database = DatabaseResult("db", (measurement,), (), ("db: old",), age)
    warned = JobResult("a", (database,), seconds=1.0, warnings=("rule: matches nothing",))
    extra = (
        "db.rp.m: the destination holds 1,200 values that the source lacks: deleted there, or of another origin"
    )
    lines = summary([warned, JobResult("b", problems=("x",), warnings=("y",))]).splitlines()
    assert lines[2].endswith("  ok, 4 warnings")
    assert lines[3].endswith("  FAILED, 1 warning")
    assert lines[5:] == [
        "FAILED b: x",
        "WARNING a: rule: matches nothing",
        "WARNING a: db: old",
        "WARNING a: m: odd",
        f"WARNING a: {extra}; they stay",
        "WARNING b: y",
    ]
    assert warned.sentence == "run ended: nothing new in 1.0 s: ok, 4 warnings"
    assert JobResult("b", problems=("x",), warnings=("y",)).sentence.endswith(
        "nothing copied in 0.0 s: 1 failure, 1 warning"
    )
    assert warned.succeeded
    document: Any = as_json([warned], {})
    assert (document["result"], document["jobs"][0]["extra"]) == ("ok", 1200)
    told = document["jobs"][0]["databases"][0]
    assert (told["newest"], told["warnings"]) == ("2026-01-01T00:00:00Z", ["db: old"])
    assert told["measurements"][0]["warnings"] == ["m: odd", f"{extra}; they stay"]


def test_results_of_one_measurement_add_up_without_telling_anything_twice() -> None:
    """What only the destination has is the same however often it was seen."""
    one, other = (
        MeasurementResult("m", extra=5, warnings=("w",)),
        MeasurementResult("m", extra=3, warnings=("w", "v")),
    )
    assert ((one + other).extra, (one + other).warnings) == (5, ("w", "v"))


def test_what_was_saved_beside_points_is_one_line_for_each_job() -> None:
    """How much of all databases, where, and whether anything had changed; in JSON for each database."""
    folder = Path("quarantine") / "metadata" / "a"
    saved = [
        Saved(folder / name / "1.json", is_new=is_new, counts=(("policies", 1), ("queries", number)))
        for name, is_new, number in (("x", True, 0), ("y", False, 3))
    ]
    whole = JobResult("a", tuple(DatabaseResult("d", saved=one) for one in saved))
    lines = summary([whole, JobResult("b", (DatabaseResult("d", saved=saved[1]),)), job("c")]).splitlines()
    assert lines[6:] == [
        "SAVED a: 2 retention policies, 3 continuous queries of 2 databases "
        "in quarantine/metadata/a (1 new version)",
        "SAVED b: 1 retention policy, 3 continuous queries of 1 database in quarantine/metadata/a (unchanged)",
    ]
    document: Any = as_json([whole], {})
    assert document["jobs"][0]["databases"][1]["metadata"] == {
        "file": "quarantine/metadata/a/y/1.json",
        "new": False,
        "policies": 1,
        "queries": 3,
    }
