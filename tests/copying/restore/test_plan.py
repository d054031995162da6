"""The plan of a restore, in words, and what must not begin."""

from dataclasses import replace

import pytest

from basics.spans import Span
from copying.restore.asked import EVER, Mapped
from copying.restore.plan import Holding, PolicyPlan, RestorePlan, Sample, as_json, judged, notes, text
from influx.influxql import Policy

DATABASE = Mapped("p_db", "db", "db")
POLICY = Policy("autogen", 0, 7, is_default=True)
CPU = Holding("cpu", 100, 400, 0, 10**9)
PLAN = RestorePlan(
    "job",
    "http://backup:8086",
    "http://source:8086",
    EVER,
    "refuse",
    (DATABASE,),
    frozenset({"db"}),
    (PolicyPlan(DATABASE, POLICY, None, (CPU,), 40),),
    Sample(40, 4000, 0.5),
)


def test_a_plan_says_what_how_much_and_how_long() -> None:
    """By the first page."""
    assert text(PLAN).splitlines() == [
        "job: restore from http://backup:8086 to http://source:8086",
        "  p_db -> db (will be created)",
        "    autogen (will be created, keeps points for ever): 1 measurement",
        "      cpu: about 100 points from 1970-01-01T00:00:00Z to 1970-01-01T00:00:01Z",
        "  in all about 100 points, 400 values, 40.0 kB; about 5 s by the speed of the first page",
        "  the target's retention policies would drop 40 values of that at once: they are too old for them",
    ]
    assert as_json(PLAN)["databases"][0]["policies"][0]["measurements"][0]["values"] == 400


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, ""),
        ({"policies": ()}, "the backup holds nothing of that"),
        ({"policies": (replace(PLAN.policies[0], holdings=(replace(CPU, occupied=5),)),)}, "db.autogen.cpu. Say"),
        ({"problems": ("no",)}, "no"),
    ],
)
def test_what_must_not_begin_says_why(change: dict[str, object], problem: str) -> None:
    """Unless it goes on with what was begun, or somebody said what to do."""
    plan = judged(replace(PLAN, **change), 0)  # type: ignore[arg-type]
    assert bool(plan.problems) == bool(problem)
    assert problem in "".join(plan.problems)
    if "Say" in problem:
        assert "--database db:db_restored_19700101T000000Z" in plan.problems[0]
        assert "NOT POSSIBLE: the target already holds points" in text(plan)
        for more in ({"begun": 1}, {"existing": "fill"}):
            assert judged(replace(PLAN, **change, **more), 0).problems == ()  # type: ignore[arg-type]


def test_a_range_is_said() -> None:
    """And notes, in their order."""
    plan = replace(PLAN, span=Span(0, 10**9), notes=notes(3_600 * 10**9, [("db", "cq")], list("abcdefg"), ["x"]))
    said = text(plan)
    assert "8086, [1970-01-01T00:00:00Z, 1970-01-01T00:00:01Z)" in said
    assert "one point for each 1h" in said
    assert "continuous query cq of db fires at the target" in said
    assert "do not select them: a, b, c, d, e and 2 more" in said
    assert "database x of the job is not in the backup" in said
