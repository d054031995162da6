"""Single measurements: what one failure keeps from being copied, and what is said of what was written off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from backup import BackupManager
from basics.spans import Span
from basics.stopping import StopRequest
from config import Config
from copying.late import Lateness
from copying.measurement import MeasurementCopier
from copying.results import MeasurementResult
from copying.segments import Segment
from copying.small_measurements import GroupProgress
from copying.task import Copy
from influx.written import PutAside, Refusal, Written
from influx_client import connect
from tests.integration.harness import DAY, MONDAY, WEEK, Pair, write_job
from tests.integration.parts import NOW, parts
from tests.support.proxy import Proxy, error_document, only, respond


@contextmanager
def copier(
    pair: Pair, changes: Mapping[str, Any] | None = None
) -> Iterator[tuple[MeasurementCopier, dict[str, Copy], StopRequest]]:
    """Who copies single measurements, and those that there are."""
    config, stopping = Config(write_job(pair.directory, pair.config(changes))), StopRequest()
    with (
        parts(pair, changes) as run,
        closing(connect(config.job.options, config.job.source, "source", stopping)) as source,
        closing(connect(config.job.options, config.job.destination, "destination", stopping)) as destination,
    ):
        manager = BackupManager(config, source, destination, now=NOW, stopping=stopping)
        yield manager.copier, run.planned(), stopping


def week(number: int) -> Segment:
    """The field v of a week."""
    return Segment(("v",), Span(MONDAY + number * WEEK, MONDAY + (number + 1) * WEEK))


def test_what_was_written_off_is_a_problem_each(pair: Pair) -> None:
    """Refusals of one name are added up; what is too old is one where the destination keeps less."""
    pair.write(f"m v=1 {MONDAY}")
    name = f"copy {pair.database}.autogen.m: "
    remedy = "remove the cause, then write that file as its head says"
    refusals = (Refusal("field 'x'", "is bad", 1000), Refusal("field 'x'", "is bad", 500))
    aside = (PutAside("/aside/m.lp", "no reason", 1), PutAside("/aside/n.lp", "none", 2))
    with copier(pair) as (found, copies, _):
        copy = copies["m"]
        result = found.with_losses(
            copy, MeasurementResult("m", Written(5, 5, 5, 7, refusals, aside), ("other",), late=3)
        )
        assert result.problems == (
            "other",
            f"{name}field 'x' is bad: 1,500 not sent; rename it at the source",
            f"{name}1 line refused and put aside in /aside/m.lp; {remedy}: no reason",
            f"{name}2 lines refused and put aside in /aside/n.lp; {remedy}: none",
        )
        assert (result.late, result.written.points, result.is_whole) == (3, 5, True)
        short = replace(copy.target.destination, duration=30 * DAY)
        kept = replace(copy, target=replace(copy.target, destination=short))
        (problem,) = found.with_losses(kept, MeasurementResult("m", Written(expired=7))).problems
        assert problem == (
            f"{name}not stored: 7 points older than retention policy autogen of {pair.database} keeps (30d, the "
            "source: ever); alter the policy, or set options.incremental.fallback_days"
        )
        assert found.with_losses(kept, MeasurementResult("m", Written(5))).problems == ()


@pytest.mark.parametrize(
    ("independent", "refused", "copied"),
    [(False, True, {0}), (True, True, {0, 2}), (False, False, {0}), (True, False, {0})],
    ids=["one after the other", "independent", "server gone", "server gone for independent ones"],
)
def test_the_first_failure_ends_what_depends_on_it(
    independent: bool, refused: bool, copied: set[int], pair: Pair
) -> None:
    """Ranges that are older than all that is there do not; nor is a server that is gone asked for more."""
    pair.write("\n".join(f"m v=1 {MONDAY + n * WEEK + DAY}" for n in range(3)))
    answer = error_document("no reason") if refused else respond(503)
    with Proxy(pair.source.url) as proxy:
        changes = {"source": {"url": proxy.url}, "options": {"retries": 0}}
        with copier(pair, changes) as (found, copies, _):
            second = f"time >= {MONDAY + WEEK}"
            proxy.inject(only(lambda text: "LIMIT" in text and second in text, answer), "query", count=None)
            result = found.copy_segments(copies["m"], [week(n) for n in range(3)], independent=independent)
    assert {(at[4] - MONDAY) // WEEK for at in pair.found().points} == copied
    (problem,) = result.problems
    assert problem.startswith(f"copy {pair.database}.autogen.m [2024-01-08T00:00:00Z, 2024-01-15T00:00:00Z)")
    assert (result.is_whole, result.written.points, result.name) == (
        False,
        len(copied),
        f"{pair.database}.autogen.m",
    )


def test_a_stop_ends_a_measurement_without_a_problem(pair: Pair) -> None:
    """It is not whole; the next run goes on."""
    pair.write(f"m v=1 {MONDAY}")
    with copier(pair) as (found, copies, stopping):
        stopping.requested = True
        result = found.copy_segments(copies["m"], [week(0)])
    assert (result.problems, result.is_whole, result.written) == ((), False, Written())


def test_what_is_done_already_is_not_copied_again(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """The rest is, and both are told; where the look-back has failed nothing new is."""
    caplog.set_level("INFO")
    pair.write("\n".join(f"m v=1 {MONDAY + n * WEEK + DAY}" for n in range(4)))
    with copier(pair) as (found, copies, _):
        copy = copies["m"]
        assert [s.span.start for s in found.segments(copy)] == [MONDAY]
        failed = found.copy({copy.source: Lateness(problem="copy m: no")}, {}, copy)
        assert (failed.problems, failed.is_whole, failed.written) == (("copy m: no",), False, Written())
        told = found.copy(
            {copy.source: Lateness(extra=4)}, {copy.source: GroupProgress(Written(7), MONDAY + 2 * WEEK)}, copy
        )
        assert (told.written.points, told.extra, told.problems, told.is_whole) == (9, 4, (), True)
        assert {(at[4] - MONDAY) // WEEK for at in pair.found().points} == {2, 3}
        assert "copy m: no" in caplog.text
        assert "the destination holds 4 values that the source lacks" in caplog.text
