"""The verdict on a restore: its word, its exit code and its last line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from basics.spans import Span
from basics.times import DAY
from checking.restore import Restored, as_json, conclusion, text
from checking.verdict import Difference, JobVerdict, Verdict
from copying.restore.asked import EVER, Existing, Mapped
from copying.restore.plan import PolicyPlan, RestorePlan
from copying.results import DatabaseResult, JobResult, MeasurementResult
from influx.influxql import Policy
from influx.written import Written

PLAN = RestorePlan("job", "http://b:1", "http://s:1", EVER, "fill", (), frozenset())
OK = JobResult("job.restore")
FAILED = JobResult("job.restore", problems=("no server",))
STOPPED = JobResult("job.restore", stopped=True)


def compared(*problems: str, missing: int = 0, extra: int = 0, different: int = 0) -> JobVerdict:
    """A comparison that found so much in ten values."""
    found = Difference(Span(0, 1), ("v",), missing, extra, different)
    differences = (found,) if missing or extra or different else ()
    return JobVerdict("job", EVER, "fingerprints", (Verdict("db.autogen.m", 10, 10, 1, 1, differences, problems),))


@pytest.mark.parametrize(
    ("copied", "verdict", "word", "code", "says"),
    [
        (None, None, "planned", 0, ""),
        (OK, compared(), "restored", 0, "all 10 values of the backup are at the target, compared by fingerprints"),
        (OK, compared(extra=3), "restored", 0, "3 values only the target has stay"),
        (OK, None, "restored", 0, "restored, and not compared"),
        (OK, compared(missing=2), "different", 1, "2 values missing at the target, 0 different"),
        (OK, compared(different=1), "different", 1, "1 different (those of the target were kept)"),
        (OK, compared("cannot tell"), "failed", 1, "every point was written"),
        (FAILED, compared(), "failed", 1, "is not restored; the same command goes on"),
        (STOPPED, None, "stopped", 1, "the same command goes on"),
    ],
)
def test_only_what_is_whole_and_equal_is_restored(
    copied: JobResult | None, verdict: JobVerdict | None, word: str, code: int, says: str
) -> None:
    """Points that only the target has are no difference: nothing is ever deleted."""
    done = Restored(PLAN, copied, verdict)
    assert (done.word, done.code) == (word, code)
    if copied is not None:
        assert says in conclusion(done)
        assert conclusion(done) in text(done)
    is_shown = verdict is not None and word in ("different", "failed") and verdict != compared()
    assert ("db.autogen.m" in text(done)) is is_shown


@pytest.mark.parametrize("verdict", [compared(), None])
def test_what_the_target_does_not_keep_is_said_at_the_end_too(verdict: JobVerdict | None) -> None:
    """Not all of the backup is there then, though all that can be there is."""
    policy = Policy("a", DAY, DAY, is_default=True)
    plan = replace(PLAN, policies=(PolicyPlan(Mapped("db", "db", "db"), policy, policy, dropped=13),))
    assert "; 13 values of it are too old for the target's policies" in conclusion(Restored(plan, OK, verdict))


def test_a_restore_is_whole_when_nothing_failed_and_nothing_is_missing() -> None:
    """Then its marker goes; a failure after the points were written leaves none either."""
    assert Restored(PLAN, OK, compared(different=1)).is_whole
    assert Restored(PLAN, OK, compared(), problems=("a user is not restored",)).code == 1
    assert not Restored(PLAN, OK, compared(missing=1)).is_whole
    assert not Restored(PLAN, FAILED, compared()).is_whole
    assert not Restored(PLAN, STOPPED).is_whole


def test_what_is_said_of_a_restore_is_all_that_became_of_it() -> None:
    """What failed, what the comparison does not speak of, and where passwords are."""
    verdict = JobVerdict("job", EVER, notes=("use --full",))
    done = Restored(PLAN, FAILED, verdict, problems=("a user is not restored",), passwords=Path("/p"))
    first, *more = text(done).splitlines()
    assert first.startswith("job: wrote 0 points, 0 values, 0 B in ")
    assert more == [
        "  FAILED: no server",
        "  FAILED: a user is not restored",
        "  note: use --verify full",
        "  the restored users have new passwords: /p",
        f"  {conclusion(done)}",
    ]


def test_the_last_line_says_what_was_compared_and_what_stays() -> None:
    """By its own words for a comparison of each value; what an overwriting restore leaves was not kept."""
    every = replace(compared(extra=1), how="every value")
    assert conclusion(Restored(PLAN, OK, every)) == (
        "restored: all 10 values of the backup are at the target, compared value by value; "
        "1 value only the target has stay"
    )
    assert conclusion(Restored(PLAN, OK, compared())) == (
        "restored: all 10 values of the backup are at the target, compared by fingerprints"
    )
    left: dict[Existing, JobVerdict] = {"overwrite": compared(different=3), "fill": compared(missing=1200)}
    found = {
        existing: conclusion(Restored(replace(PLAN, existing=existing), OK, verdict))
        for existing, verdict in left.items()
    }
    assert found == {
        "overwrite": "DIFFERENT: 0 values missing at the target, 3 different",
        "fill": "DIFFERENT: 1,200 values missing at the target, 0 different",
    }


def test_json_has_the_numbers_of_all_measurements_and_all_problems() -> None:
    """Of the copy, of the comparison, and of what came after; a plan has none."""
    part = MeasurementResult("db.autogen.m", Written(points=3, values=5, bytes=70))
    copied = JobResult("job.restore", (DatabaseResult("db", (part, part)),), ("no server",), seconds=1.23456)
    one = compared("cannot tell", missing=1, extra=2, different=4)
    verdict = replace(one, measurements=one.measurements * 2)
    found: Any = as_json(Restored(PLAN, copied, verdict, ("a user is not restored",), Path("/p")))
    assert found["verification"]["result"] == "different"
    assert {name: found[name] for name in found if name not in ("plan", "verification")} == {
        "result": "different",
        "written": {"points": 6, "values": 10, "bytes": 140},
        "seconds": 1.235,
        "missing": 2,
        "different": 8,
        "extra": 4,
        "problems": ["no server", "cannot tell", "cannot tell", "a user is not restored"],
        "passwords": "/p",
    }
    planned: Any = as_json(Restored(PLAN))
    assert planned["result"] == "planned"
    assert {planned[name] for name in ("written", "seconds", "passwords", "verification")} == {None}
    assert (planned["missing"], planned["different"], planned["extra"], planned["problems"]) == (0, 0, 0, [])
