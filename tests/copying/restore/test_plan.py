"""The plan of a restore, in words, and what must not begin."""

from dataclasses import replace

import pytest

from basics.spans import Span
from copying.metadata.restoring import MetadataPlan
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


def test_a_plan_without_a_first_page_says_no_speed() -> None:
    """And one that takes no time says a second."""
    plan = replace(PLAN, sample=Sample())
    assert (plan.bytes, plan.seconds) == (0, 0.0)
    assert "about 100 points, 400 values, 0 B; about 1 s by" in text(plan)
    assert (PLAN.bytes, PLAN.seconds) == (40_000, 5.0)


def test_a_plan_of_several_databases_says_each_with_its_own() -> None:
    """Policies, what comes at the end, and the first measurements of very many."""
    other, there = Mapped("p_x", "x", "y"), Policy("autogen", 7 * 24 * 3600 * 10**9, 7, is_default=True)
    many = tuple(Holding(f"m{n:02}", 1, 2, occupied=n) for n in range(22))
    ends = (MetadataPlan("db", default="raw"), MetadataPlan("y", (Policy("more", 0, 7, is_default=False),)))
    policies = (*PLAN.policies, PolicyPlan(other, POLICY, there, many, 2))
    plan = replace(
        PLAN, databases=(DATABASE, other), policies=policies, metadata=ends, defaults=(("y", "more"),), begun=10**9
    )
    said = text(plan).splitlines()
    assert said[1:6] == [
        "  p_db -> db (will be created)",
        "    autogen (will be created, keeps points for ever): 1 measurement",
        "      cpu: about 100 points from 1970-01-01T00:00:00Z to 1970-01-01T00:00:01Z",
        "    at the end: default retention policy: raw",
        "  p_x -> y (exists)",
    ]
    assert said[6:8] == ["    autogen (keeps points for 7d): 22 measurements", "      m00: about 1 point"]
    assert said[26:29] == [
        "      m19: about 1 point", "      and 2 more measurements", "    at the end: retention policies: more"
    ]  # fmt: skip
    assert said[29:] == [
        "  in all about 122 points, 444 values, 44.4 kB; about 6 s by the speed of the first page",
        "  the target's retention policies would drop 42 values of that at once: they are too old for them",
        "  at the end more becomes the default retention policy of y",
        "  goes on with the restore that was begun at 1970-01-01T00:00:01Z: what is there is not copied again",
    ]
    assert "and 1 more measurement" not in text(
        replace(plan, policies=(replace(policies[1], holdings=many[:20]),))
    )
    refused = judged(replace(plan, begun=None), 0).problems[0]
    assert "in that range: y.autogen.m00 (and 21 other measurements). Say" in refused
    one = replace(plan, begun=None, policies=(replace(policies[1], holdings=many[:1]),))
    assert "in that range: y.autogen.m00. Say" in judged(one, 0).problems[0]


def test_a_plan_for_machines_has_all_of_it() -> None:
    """Times as text, where there are any; of each database what is its own."""
    other = Mapped("p_x", "x", "y")
    policies = (*PLAN.policies, PolicyPlan(other, POLICY, POLICY, (Holding("m", 1, 2, occupied=3),)))
    ends = (MetadataPlan("y", default="raw"),)
    plan = replace(
        PLAN, databases=(DATABASE, other), policies=policies, metadata=ends, notes=("n",), problems=("p",)
    )
    found = as_json(plan)
    databases = found.pop("databases")
    assert found == {
        "job": "job", "backup": "http://backup:8086", "target": "http://source:8086", "start": None, "end": None,
        "existing": "refuse", "points": 101, "values": 402, "bytes": 40_200, "seconds": 5.0, "dropped_values": 40,
        "goes_on": False, "notes": ["n"], "problems": ["p"],
    }  # fmt: skip
    cpu = {
        "measurement": "cpu", "points": 100, "values": 400, "first": "1970-01-01T00:00:00Z",
        "newest": "1970-01-01T00:00:01Z", "target_holds_points": False,
    }  # fmt: skip
    m = {
        "measurement": "m", "points": 1, "values": 2, "first": None, "newest": None, "target_holds_points": True
    }  # fmt: skip
    assert databases == [
        {
            "backup": "p_db", "target": "db", "is_new": True, "at_the_end": [],
            "policies": [{"policy": "autogen", "is_new": True, "measurements": [cpu]}],
        },
        {
            "backup": "p_x", "target": "y", "is_new": False, "at_the_end": ["default retention policy: raw"],
            "policies": [{"policy": "autogen", "is_new": False, "measurements": [m]}],
        },
    ]  # fmt: skip
    times = as_json(replace(PLAN, span=Span(0, 10**9), begun=0))
    assert (times["start"], times["end"], times["goes_on"]) == (
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:01Z",
        True,
    )


def test_a_few_that_are_left_out_are_all_named() -> None:
    """Five of them; and nothing is said of what is not so."""
    assert notes(None, [], [], []) == ()
    (said,) = notes(None, [], list("abcde"), [])
    assert said.endswith("do not select them: a, b, c, d, e")
