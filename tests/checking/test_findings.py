"""What `check` prints: each job, all of them together, and the same as JSON."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from checking.findings import DatabasePlan, Findings, MeasurementPlan, PolicyPlan, as_json, summary

DAY = 86_400 * 10**9
CPU = MeasurementPlan("cpu", 1, 1, 0, DAY)
MEM = MeasurementPlan("m\nem", 12, 1_200, 0, DAY)
DONE = MeasurementPlan("done")
KEPT = PolicyPlan("autogen", "kept", (CPU, MEM, DONE), ("odd",))
ONCE = Findings(
    "once",
    "once.yaml",
    "range",
    ("source http://a: InfluxDB 1.8.10, shard groups visible",),
    (
        DatabasePlan(
            "db", "copy", exists=True, policies=(PolicyPlan("autogen", "kept", (CPU, MEM, DONE), ("odd",)),)
        ),
    ),
    250.0,
)
NIGHTLY = replace(
    ONCE,
    job="nightly",
    databases=(DatabasePlan("db", "db", exists=False, policies=(PolicyPlan("autogen", "new", (CPU,)),)),),
    seconds=0.2,
    schedule="0 3 * * *",
    timezone="UTC",
    next_run=datetime(2026, 1, 2, 3, tzinfo=UTC),
    problems=("no right",),
    warnings=("old",),
)


def test_a_job_is_told_with_its_sum_its_time_and_when_it_runs() -> None:
    """Words agree with numbers; names stay on their line."""
    assert ONCE.text == (
        "job once (once.yaml), range",
        "  source http://a: InfluxDB 1.8.10, shard groups visible",
        "  db -> copy (exists)",
        "    autogen (kept): 3 measurements",
        "    WARNING: odd",
        "      cpu: 1 field, about 1 point from 1970-01-01T00:00:00Z to 1970-01-02T00:00:00Z",
        "      m\\nem: 12 fields, about 1,200 points from 1970-01-01T00:00:00Z to 1970-01-02T00:00:00Z",
        "      done: nothing to copy",
        "  in all: 1 database, 3 measurements, about 1,201 points, roughly 4 min",
        "  runs once, whenever it is started: it has no schedule",
    )
    assert NIGHTLY.text[-4:] == (
        "  in all: 1 database, 1 measurement, about 1 point, roughly 1 s",
        "  runs on a schedule, 0 3 * * *; next run: 2026-01-02T03:00+00:00 (UTC)",
        "  WARNING: old",
        "  PROBLEM: no right",
    )


def test_several_jobs_have_a_line_together() -> None:
    """How many run once, how many on a schedule, what is wrong; one job is its own sum."""
    assert summary([ONCE], {}) == ""
    assert summary([ONCE, NIGHTLY, NIGHTLY], {"bad": "x"}) == (
        "3 jobs: 3 databases, 5 measurements, about 1,203 points, roughly 4 min; 1 runs once; "
        "2 run on a schedule; 2 problems; 1 file invalid"
    )
    assert summary([], {"bad": "x", "worse": "y"}).endswith("; 2 files invalid")
    nothing = replace(ONCE, databases=(), seconds=None)
    assert summary([nothing, nothing], {}) == "2 jobs: 0 databases, 0 measurements, nothing to copy; 2 run once"


def test_json_has_everything() -> None:
    """For each measurement, too; what is not known is null."""
    document: Any = as_json([ONCE, NIGHTLY], {"bad": "x"})
    once, nightly = document["jobs"]
    assert (document["result"], document["invalid"]) == ("problems", {"bad": "x"})
    assert (once["schedule"], once["next_run"], once["seconds"], once["points"]) == (None, None, 250.0, 1201)
    assert (nightly["next_run"], nightly["problems"]) == ("2026-01-02T03:00:00+00:00", ["no right"])
    assert once["databases"][0]["policies"][0]["measurements"][0] == {
        "name": "cpu",
        "fields": 1,
        "points": 1,
        "begin": "1970-01-01T00:00:00Z",
        "until": "1970-01-02T00:00:00Z",
    }
    assert as_json([ONCE], {})["result"] == "ok"
    assert as_json([ONCE], {"bad": "x"})["result"] == as_json([NIGHTLY], {})["result"] == "problems"


def test_json_tells_of_databases_policies_and_what_is_kept_besides() -> None:
    """What there is nothing to say of is null, or an empty list."""
    job = replace(ONCE, databases=(replace(ONCE.databases[0], metadata="1 user -> /m"),), seconds=1.26)
    document: Any = as_json([replace(job, inherited=("options.retries",), warnings=("old",)), NIGHTLY], {})
    once, nightly = document["jobs"]
    (database,) = once["databases"]
    (policy,) = database.pop("policies")
    assert database == {"name": "db", "destination": "copy", "exists": True, "metadata": "1 user -> /m"}
    assert (policy["name"], policy["state"], policy["warnings"]) == ("autogen", "kept", ["odd"])
    assert policy["measurements"][2] == {"name": "done", "fields": 0, "points": 0, "begin": None, "until": None}
    assert (once["inherited"], once["warnings"], once["timezone"]) == (["options.retries"], ["old"], None)
    assert (once["seconds"], once["mode"], once["file"]) == (1.3, "range", "once.yaml")
    assert (nightly["databases"][0]["exists"], nightly["databases"][0]["metadata"]) == (False, None)
    assert (nightly["schedule"], nightly["timezone"], nightly["seconds"]) == ("0 3 * * *", "UTC", 0.2)


def test_a_job_says_what_it_saves_and_what_it_has_from_all_jobs() -> None:
    """In lines of their own; seconds are cut, and an empty job has no sum."""
    late = MeasurementPlan("late", 1, 1, 10**9 - 1, 2 * 10**9 + 5)
    policies = (PolicyPlan("autogen", "kept", (late,)),)
    database = DatabasePlan("db", "db", exists=True, policies=policies, metadata="1 user -> /m")
    text = replace(ONCE, databases=(database,), inherited=("a.b", "c")).text
    assert "  from _defaults.yaml: a.b, c" in text
    assert text[3:7] == (
        "  db -> db (exists)",
        "    metadata: 1 user -> /m",
        "    autogen (kept): 1 measurement",
        "      late: 1 field, about 1 point from 1970-01-01T00:00:00Z to 1970-01-01T00:00:02Z",
    )
    empty = replace(ONCE, databases=()).text
    assert not any("in all" in line or "from _" in line for line in empty)
    assert (
        MeasurementPlan("m", 1, 1, begin=1).text
        == MeasurementPlan("m", 1, 1, until=1).text
        == "m: nothing to copy"
    )
