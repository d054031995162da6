"""The course of a run: what is told of it, what goes together, and what its end says."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import count
from typing import Any

import pytest

from backup import BackupManager
from basics.stopping import StopRequest
from config import Config
from copying.listener import Phase, Planned, SilentRun
from copying.results import JobResult
from influx.influxql import Location
from influx.written import Written
from influx_client import connect
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair, job_config, write_job
from tests.integration.test_range import sections
from tests.support.proxy import Proxy, error_document, only, respond

NOW = MONDAY + 30 * DAY


class Told(SilentRun):
    """All that is told of a run as a whole, in its order."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.plans: dict[str, tuple[int, int, int | None]] = {}
        self.points: Counter[str] = Counter()

    def wrote(self, source: Location, written: Written) -> None:
        """Added up."""
        self.points[source.measurement] += written.points

    def phase(self, phase: Phase) -> None:
        """What the run does now."""
        self.events.append((phase,))

    def databases(self, count: int) -> None:
        """How many there are."""
        self.events.append(("databases", count))

    def database(self, name: str, number: int) -> None:
        """The next one."""
        self.events.append(("database", name, number))

    def planned(self, measurements: Iterable[Planned]) -> None:
        """What is copied of a policy."""
        plans = {plan.source.measurement: (plan.begin, plan.end, plan.newest) for plan in measurements}
        self.plans |= plans
        self.events.append(("planned", *plans))

    def copying(self) -> None:
        """It begins."""
        self.events.append(("copying",))

    def failed(self, problems: Sequence[str]) -> None:
        """What failed of a database as a whole."""
        self.events += [("failed", problem) for problem in problems]


@contextmanager
def manager(
    config: Mapping[str, Any], pair: Pair, told: Told | None = None
) -> Iterator[tuple[BackupManager, StopRequest]]:
    """Who runs a job at NOW, and what stops it."""
    job, stopping = Config(write_job(pair.directory, config)), StopRequest()
    with (
        closing(connect(job.job.options, job.job.source, "source", stopping)) as source,
        closing(connect(job.job.options, job.job.destination, "destination", stopping)) as destination,
    ):
        yield BackupManager(job, source, destination, now=NOW, stopping=stopping, listener=told), stopping


def run(config: Mapping[str, Any], pair: Pair) -> tuple[JobResult, Told]:
    """A run, and what is told of it."""
    told = Told()
    with manager(config, pair, told) as (found, _):
        return found.run_backup(), told


def nth(begin: str, number: int) -> Callable[[str], bool]:
    """The `number`th question that begins like this."""
    numbers = count(1)
    return lambda text: text.startswith(begin) and next(numbers) == number


def test_a_run_tells_what_it_comes_to(pair: Pair) -> None:
    """Database by database and policy by policy; one that fails is told, and the next one comes."""
    names = [pair.database, f"{pair.database}_missing", f"{pair.database}_b"]
    pair.write(f"a v=1 {MONDAY}\nb v=1 {MONDAY + DAY}")
    pair.source.create_database(names[2])
    pair.source.write(f"c v=1 {MONDAY}", names[2])
    try:
        result, told = run(job_config(pair.source, pair.destination, names), pair)
    finally:
        pair.source.drop_database(names[2])
        pair.destination.drop_database(names[2])
    steps = [("planning",), ("planned", "a", "b"), ("looking for late data",), ("copying",)]
    (failure,) = result.failures
    assert told.events == [
        ("databases", 3),
        ("database", names[0], 1),
        *steps,
        ("database", names[1], 2),
        ("failed", failure),
        ("database", names[2], 3),
        steps[0],
        ("planned", "c"),
        *steps[2:],
    ]
    assert f"database {names[1]}: " in failure
    assert [(age.name, age.newest) for age in result.ages] == [(names[0], MONDAY + DAY), (names[2], MONDAY)]
    assert 0 < result.seconds < 900


def test_what_is_about_to_be_copied_is_told_as_far_as_there_is_data(pair: Pair) -> None:
    """The future counts as none; with the newest point that is there."""
    pair.write(f"a v=1 {MONDAY}\na v=1 {MONDAY + DAY}\nb v=1 {MONDAY + 2 * DAY}\nahead v=1 {NOW + DAY}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f"a v=1 {MONDAY}", pair.database)
    _, told = run(pair.config(), pair)
    assert told.plans == {
        "a": (MONDAY, NOW, MONDAY),
        "b": (MONDAY, NOW, None),
        "ahead": (MONDAY, NOW, None),
    }
    _, told = run(pair.config(sections(MONDAY + HOUR, MONDAY + DAY)), pair)
    assert told.plans["a"][:2] == (MONDAY + HOUR, MONDAY + DAY)
    pair.source.drop_database(pair.database)
    pair.write(f"later v=1 {MONDAY + 2 * WEEK + DAY}")
    _, told = run(pair.config(), pair)
    assert told.plans == {"later": (MONDAY + 2 * WEEK, MONDAY + 3 * WEEK, None)}
    _, told = run(pair.config(sections(MONDAY, MONDAY + 10 * WEEK)), pair)
    assert told.plans["later"][:2] == (MONDAY + 2 * WEEK, MONDAY + 3 * WEEK)


def test_what_turns_out_to_be_new_in_the_end_is_told_too(pair: Pair) -> None:
    """A point of another origin was taken for one that was written again."""
    pair.write("\n".join(f"{m},host=a v={n} {MONDAY + n * HOUR}" for m in ("m", "n") for n in range(5)))
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m,host=x v=1 {MONDAY}", pair.database)
    result, told = run(pair.config(), pair)
    assert result.written.points == 10
    assert told.points == {"m": 5, "n": 5}


def test_a_run_that_cannot_look_around_fails_with_that(pair: Pair) -> None:
    """Nothing is copied then; nor by one that is stopped before, which is no failure."""
    pair.write(f"a v=1 {MONDAY}")
    with Proxy(pair.source.url) as proxy:
        proxy.inject(only(lambda text: "SHOW DATABASES" in text, error_document("no reason")), "query", count=None)
        result, told = run(pair.config({"source": {"url": proxy.url}, "options": {"retries": 0}}), pair)
    (problem,) = result.problems
    assert "no reason" in problem
    assert (result.databases, result.stopped, result.succeeded, told.events) == ((), False, False, [])
    with manager(pair.config(), pair) as (found, stopping):
        stopping.requested = True
        stopped = found.run_backup()
    assert (stopped.databases, stopped.stopped, stopped.failures) == ((), True, ())
    assert [pair.database] not in pair.destination.rows("SHOW DATABASES")


def test_one_policy_that_is_refused_does_not_keep_the_others_from_being_copied(pair: Pair) -> None:
    """It is named; where the server is gone, nothing more of the database is tried."""
    pair.write(f"a v=1 {MONDAY}")
    for name in ("p", "q"):
        pair.source.query(f'CREATE RETENTION POLICY "{name}" ON "{pair.database}" DURATION 0s REPLICATION 1')
        pair.write(f"{name} v=1 {MONDAY}", name)
    for answer, copied in ((respond(503), {b"a"}), (error_document("no reason"), {b"a", b"q"})):
        with Proxy(pair.source.url) as proxy:
            fault = proxy.inject(only(nth("SHOW FIELD KEYS", 2), answer), "query", count=None)
            changes = {"source": {"url": proxy.url}, "options": {"retries": 0}}
            result, _ = run(pair.config(changes), pair)
            (failure,) = result.failures
        assert fault.injected == 1
        policy = ", p: " if b"q" in copied else ": "
        assert failure.startswith(f"database {pair.database}{policy}")
        assert {at[1] for at in pair.found().points} == copied


def test_lines_that_wait_in_quarantine_are_counted_and_named(pair: Pair) -> None:
    """Each file with what to do; those of other jobs are nobody's business."""
    pair.write(f"m v=1 {MONDAY}")
    waiting = pair.directory / "quarantine" / "job"
    waiting.mkdir(parents=True)
    (waiting / "db.autogen.x.lp").write_text(f"x v=1 {MONDAY}\nx v=2 {MONDAY + 1}\n")
    other = pair.directory / "quarantine" / "other"
    other.mkdir()
    (other / "db.autogen.y.lp").write_text(f"y v=1 {MONDAY}\n")
    result, _ = run(pair.config(), pair)
    assert result.in_quarantine == 2
    (problem,) = result.problems
    assert problem.startswith(f"{waiting / 'db.autogen.x.lp'} still holds 2 lines that an earlier run put aside")


def test_so_many_measurements_go_together_as_may(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request for each group of them; one alone goes as it is."""
    monkeypatch.setattr("backup.MOST", 5)
    asked = []
    for many in (1, 2, 5, 6, 7, 11):
        pair.write("\n".join(f"m{n:03d} v=1 {MONDAY}" for n in range(many)))
        with Proxy(pair.destination.url) as proxy:
            result, _ = run(
                pair.config({"destination": {"url": proxy.url}, "options": {"parallel_workers": 1}}), pair
            )
            assert result.failures == ()
            assert result.written.points == many
            asked.append(proxy.seen["write"])
        pair.destination.drop_database(pair.database)
    assert asked == [1, 1, 1, 2, 2, 3]


def test_measurements_that_go_on_from_about_the_same_time_go_together(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that each request holds as many as it can."""
    monkeypatch.setattr("backup.MOST", 5)
    for later in (0, HOUR):
        pair.write("\n".join(f"m{n:03d} v=1 {MONDAY + n % 2 * 2 * WEEK + later}" for n in range(10)))
        with Proxy(pair.destination.url) as proxy:
            result, _ = run(pair.config({"destination": {"url": proxy.url}}), pair)
            assert (result.failures, result.written.points) == ((), 10)
            writes = proxy.seen["write"]
    assert writes == 2


def test_what_is_late_or_differs_is_said_with_its_number(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Before it is copied; and how much was copied after that."""
    caplog.set_level("INFO")
    now = time.time_ns()
    pair.write("\n".join(f"m v={n} {now - n * HOUR}" for n in range(40)))
    assert pair.backup().failures == ()
    assert f"{pair.database}.autogen.m: 40 points in " in caplog.text
    pair.write(f"m,host=late v=1 {now - 5 * HOUR}")
    assert pair.backup().late == 1
    assert f"{pair.database}.autogen.m: the destination lacks 1 value in [" in caplog.text
    assert "with a difference" not in caplog.text
    caplog.clear()
    pair.write(f"m v=7777 {now - 7 * HOUR}\nm v=8888 {now - 7 * HOUR + 1}")
    pair.destination.write(f"m v=8889 {now - 7 * HOUR + 1}", pair.database)
    assert pair.backup().late == 2
    assert f"{pair.database}.autogen.m: 2 values with a difference in [" in caplog.text
    assert "the destination lacks" not in caplog.text
