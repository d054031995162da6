"""The look-back by itself: which windows it finds, what it remembers, and what it cannot compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from basics.spans import Span
from copying.balance import Patrol
from copying.compare import Comparer
from copying.late import STILL_COMING, Lateness, LookBack
from copying.memory import Memory
from copying.proving import Prover
from copying.results import MeasurementResult
from copying.task import Copy
from influx.errors import InfluxError
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.integration.parts import NOW, Parts, parts
from tests.support.proxy import Proxy, error_document, only, respond
from tests.support.servers import InfluxServer

BEGIN = MONDAY + 7 * WEEK
NEWEST = NOW - HOUR
DAYS = range(BEGIN, NEWEST, DAY)
TODAY = DAYS[-1]


@dataclass
class Looking:
    """A run that only looks back."""

    run: Parts
    look_back: LookBack
    prover: Prover
    memory: Memory

    def copies(self, policy: str = "autogen") -> list[Copy]:
        """What is copied of a policy, of which the counters were read before."""
        database = self.run.database
        targets, _ = self.run.planner.policies.prepare(database, database)
        (target,) = (target for target in targets if target.source.name == policy)
        self.prover.begin(database, target)
        return self.run.planner.plan(database, target, self.run.source.get_tag_keys(database))

    def find(self, policy: str = "autogen") -> dict[str, Lateness]:
        """What is late, by measurement."""
        found = self.look_back.find(self.copies(policy))
        return {source.measurement: lateness for source, lateness in found.items()}

    def remembered(self, policy: str = "autogen") -> set[int]:
        """The weeks that are known to be equal."""
        keys = [key for key in self.memory.groups if f'"{policy}"' in key]
        return {(int(key.split(", ")[2]) - MONDAY) // WEEK for key in keys}


@contextmanager
def looking(
    pair: Pair, memory: Memory | None = None, changes: Mapping[str, Any] | None = None
) -> Iterator[Looking]:
    """With what runs before have compared."""
    with parts(pair, changes) as run:
        known = Memory() if memory is None else memory
        comparer = Comparer(run.source, run.destination)
        prover = Prover(run.job, comparer, NOW, known)
        yield Looking(run, LookBack(run.job, comparer, NOW, known, prover), prover, known)


def daily(name: str = "m", fields: str = "v=1,w=1", host: str = "a") -> str:
    """A point a day, and the newest one."""
    return "\n".join(f"{name},host={host} {fields} {time}" for time in (*DAYS, NEWEST))


def equal(pair: Pair, lines: str = "", policy: str | None = None) -> None:
    """Both sides hold the same."""
    for server in (pair.source, pair.destination):
        server.create_database(pair.database)
        if policy:
            server.query(f'CREATE RETENTION POLICY "{policy}" ON "{pair.database}" DURATION 0s REPLICATION 1')
        server.write(lines or daily(), pair.database, policy)


WEEKS = set(range(7, 15))


def test_what_is_equal_is_remembered_group_by_group(pair: Pair) -> None:
    """Not where something is late, is about to be copied, or is at the destination alone: in that policy."""
    equal(pair)
    equal(pair, policy="b")
    pair.write(f"m,host=b v=1 {MONDAY + 8 * WEEK}\nm,host=a new=1 {MONDAY + 10 * WEEK + DAY}")
    pair.destination.write(f"m,host=c v=1 {MONDAY + 13 * WEEK - 1}", pair.database)
    with looking(pair) as found:
        late = found.find()["m"]
        assert (late.extra, late.problem) == (1, "")
        assert [window.span for window in late.windows] == [Span(MONDAY + 8 * WEEK, MONDAY + 9 * WEEK)]
        assert found.remembered() == WEEKS - {8, 10, 12}
        assert found.find("b") == {}
        assert found.remembered("b") == WEEKS
    with looking(pair, found.memory) as again:
        assert again.find()["m"] == late
        assert again.remembered() == WEEKS - {8, 10, 12}
        assert again.find("b") == {}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    """The stretches of time of which values are compared."""
    spans, compared = list[Span](), Comparer.compare_values

    def noted(self: Comparer, copy: Copy, span: Span, *more: Any) -> Any:  # noqa: ANN401 -- as the original
        spans.append(span)
        return compared(self, copy, span, *more)

    monkeypatch.setattr(Comparer, "compare_values", noted)
    return spans


def test_what_only_the_destination_has_is_read_once(pair: Pair, read: list[Span]) -> None:
    """It is told in every run, and looked at closely again only when it has changed."""
    equal(pair)
    pair.destination.write(f"m,host=c v=1,w=1 {MONDAY + 9 * WEEK}", pair.database)
    memory = Memory()
    for reads, extra in ((1, 2), (1, 2), (2, 3)):
        if reads == 2:
            pair.destination.write(f"m,host=d v=1 {MONDAY + 9 * WEEK}", pair.database)
        with looking(pair, memory) as found:
            assert found.find() == {"m": Lateness(extra=extra)}
        assert len(read) == reads


def test_what_only_the_destination_has_beside_what_is_late_is_read_once(
    pair: Pair, read: list[Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the shard group of both is cut again and again."""
    monkeypatch.setattr("copying.windows.SMALL", 0)
    monkeypatch.setattr("copying.windows.SMALL_SERIES", 1)
    equal(pair, "\n".join((daily(), daily(host="b"), daily(host="c"))))
    pair.destination.write(f"m,host=x v=1 {MONDAY + 9 * WEEK}", pair.database)
    pair.write(f"m,host=late v=1 {MONDAY + 9 * WEEK + 2 * DAY}")
    memory = Memory()
    for _ in range(2):
        with looking(pair, memory) as found:
            late = found.find()["m"]
            assert (len(late.windows), late.extra) == (1, 1)
        assert len(read) == 1


@pytest.mark.parametrize(
    ("late", "small", "span"),
    [
        (MONDAY + 9 * WEEK, 10_000, Span(MONDAY + 9 * WEEK, MONDAY + 10 * WEEK)),
        (MONDAY + 9 * WEEK, 10, Span(MONDAY + 9 * WEEK, MONDAY + 9 * WEEK + DAY)),
        (MONDAY + 9 * WEEK + 1, 0, Span(MONDAY + 9 * WEEK, MONDAY + 9 * WEEK + 10**9)),
        (TODAY + 1, 10_000, Span(TODAY, TODAY + HOUR)),
        (TODAY + 1, 0, Span(TODAY, TODAY + 10**9)),
    ],
    ids=["a small group", "a larger one", "a large one", "of the last day", "in a large hour"],
)
def test_a_late_point_is_copied_with_what_is_around_it_as_far_as_that_is_little(
    late: int, small: int, span: Span, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole shard group, a day of it, or less; the last day is cut into hours first."""
    monkeypatch.setattr("copying.windows.SMALL", small)
    monkeypatch.setattr("copying.windows.SMALL_SERIES", 1)
    equal(pair, "\n".join((daily(), daily(host="b"), daily(host="c"), daily(host="d"))))
    pair.write(f"m,host=late v=1 {late}")
    with looking(pair) as found:
        (window,) = found.find()["m"].windows
    assert (window.span, window.lacks, window.fields, window.missing) == (span, {"v": 1}, ("v", "w"), 1)


def test_a_group_of_which_most_is_missing_is_copied_as_a_whole(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large it is: half of it is enough."""
    monkeypatch.setattr("copying.windows.SMALL", 0)
    monkeypatch.setattr("copying.windows.SMALL_SERIES", 0)
    equal(pair)
    for lost, whole in ((f"time < {MONDAY + 8 * WEEK}", True), (f"time < {MONDAY + 9 * WEEK - 4 * DAY}", False)):
        pair.destination.query(f"DELETE FROM m WHERE {lost}", db=pair.database)  # noqa: S608
        with looking(pair) as found:
            windows = found.find()["m"].windows
        spans = [w.span for w in windows if (w.span.start < MONDAY + 8 * WEEK) is whole]
        assert (Span(MONDAY + (7 if whole else 8) * WEEK, MONDAY + (8 if whole else 9) * WEEK) in spans) is whole
        assert sum(w.missing for w in windows) == 14 + (0 if whole else 6)


def test_overwritten_values_are_late_as_far_as_their_field_was_copied(pair: Pair) -> None:
    """What is newer than its newest point is about to come; values of others are counted."""
    time, later = MONDAY + 9 * WEEK, MONDAY + 11 * WEEK
    equal(pair, "\n".join((daily(fields="v=1"), f"m,host=a w=1 {time}")))
    pair.write(f"m,host=a v=2,w=2 {time}\nm,host=a w=3 {later}")
    pair.destination.write(f"m,host=a x=3 {time}", pair.database)
    with looking(pair) as found:
        (window,) = found.find()["m"].windows
    assert (window.span, window.changed, window.lacks) == (Span(time, time + WEEK), {"v": 1, "w": 1}, {})
    assert (window.overwritten, window.missing, window.is_to_copy) == (2, 0, True)


def test_what_cannot_be_compared_is_a_problem_of_its_measurement(pair: Pair) -> None:
    """The others are looked at; a server that is gone is an error, which says what was done."""
    equal(pair, "\n".join((daily("m"), daily("n"))))
    pair.write(f"m,host=b v=1 {MONDAY + 9 * WEEK}\nn,host=b v=1 {MONDAY + 9 * WEEK}")
    with Proxy(pair.destination.url) as proxy:
        changes = {"destination": {"url": proxy.url}, "options": {"retries": 0}}
        with looking(pair, None, changes) as found:
            copies = found.copies()
            about_m = only(lambda text: "count(" in text and '"m"' in text, error_document("no reason"))
            proxy.inject(about_m, "query", count=None)
            late = {source.measurement: lateness for source, lateness in found.look_back.find(copies).items()}
            assert (late["m"].windows, len(late["n"].windows), late["n"].problem) == ((), 1, "")
            assert late["m"].problem.startswith(f"copy {pair.database}.autogen.m: looking for late data: ")
            assert "no reason" in late["m"].problem
            assert found.remembered() == set()
            proxy.heal()
            proxy.inject(only(lambda text: "count(" in text, respond(503)), "query", count=None)
            with pytest.raises(InfluxError, match=r"looking for late data.*503"):
                found.look_back.find(copies)


def test_nothing_is_looked_for_where_nothing_is_there_or_wanted(pair: Pair) -> None:
    """Without a question."""
    equal(pair)
    pair.write(f"m,host=b v=1 {MONDAY + 9 * WEEK}\nonly_here v=1 {NOW}")
    means = {"source": {"group_by": "1h"}}
    for changes in ({"options": {"incremental": {"lookback": "0"}}}, means, {}):
        with (
            Proxy(pair.destination.url) as proxy,
            looking(pair, None, {**changes, "destination": {"url": proxy.url}}) as found,
        ):
            copies = found.copies()
            before = proxy.seen["query"]
            due = copies if changes else [copy for copy in copies if not copy.resumed]
            assert found.look_back.find(due) == {}
            assert (len(copies), proxy.seen["query"]) == (2, before)


def test_windows_that_were_copied_are_looked_at_again(pair: Pair, read: list[Span]) -> None:
    """What they still lack, and what only the destination has; and which of their values it lacks."""
    equal(pair)
    times = [MONDAY + week * WEEK + HOUR for week in (8, 10, 12, 13)]
    pair.write("\n".join(f"m,host=b v=1 {time}" for time in times))
    with looking(pair) as found:
        windows = found.find()["m"].windows
        assert [window.span.start for window in windows] == [time - HOUR for time in times]
        pair.destination.write(f"m,host=b v=1 {times[0]}\nm,host=b v=1 {times[3]}", pair.database)
        pair.destination.write(f"m,host=x v=1,w=1 {times[3]}", pair.database)
        pair.write(f"m,host=c v=1 {times[1]}")
        left = found.look_back.settle(windows)
        looked = [span.start for span in read]
        lacking = set(found.look_back.lacking(left.windows))
    assert [(w.span.start, w.lacks) for w in left.windows] == [
        (times[1] - HOUR, {"v": 2}),
        (times[2] - HOUR, {"v": 1}),
    ]
    assert lacking == {
        (time, (("host", host),), "v", b"1.0") for time, host in zip(times[1:3] + times[1:2], "bbc", strict=True)
    }
    assert (left.extra, left.problem) == (2, "")
    assert looked == [times[3] - HOUR]  # there alone counts do not say what is to be done


def test_a_range_that_was_copied_is_compared_but_for_what_is_still_coming(pair: Pair) -> None:
    """Ten minutes around now; and what a policy may give up meanwhile."""
    near, far = NOW - STILL_COMING, NOW + STILL_COMING
    old = MONDAY + 8 * WEEK
    equal(pair, f"{daily()}\nm v=1 {far + DAY}")
    lacks = [old, near - 1, near, far - 1, far, far + HOUR]
    pair.write("\n".join(f"m,host=late v=1 {time}" for time in lacks))
    pair.destination.write(f"m,host=x v=1 {old + 1}", pair.database)
    with looking(pair) as found:
        (copy,) = found.copies()
        whole = found.look_back.over(copy, Span(MONDAY, far + 2 * DAY), NOW)
        assert sum(window.missing for window in whole.windows) == 4
        assert [window.span.end for window in whole.windows if window.span.start < NOW][-1] == near
        part = found.look_back.over(copy, Span(old + 1, old + DAY), NOW)
        assert (part.windows, part.extra) == ((), 1)
        again = found.look_back.over(copy, Span(old + 1, old + DAY), NOW)
        assert again == part
        short = replace(copy.target.destination, duration=3 * WEEK)
        kept = replace(copy, target=replace(copy.target, destination=short))
        assert found.look_back.over(kept, Span(MONDAY, old + DAY), NOW) == Lateness()


def test_who_may_not_see_shards_compares_as_far_as_something_is_found(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All, where the counters tell of a write to another shard than the present one, or of none to that."""
    weeks, look = set[int](), Comparer.look

    def noted(self: Comparer, questions: Any) -> Any:  # noqa: ANN401 -- as the original
        weeks.update((question.span.start - MONDAY) // WEEK for question in questions)
        return look(self, questions)

    monkeypatch.setattr(Comparer, "look", noted)
    memory, login = Memory(), {"source": {"user": "reader", "password": "pw"}}
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER reader WITH PASSWORD 'pw'")
        guarded.create_database(pair.database)
        guarded.query(f'GRANT READ ON "{pair.database}" TO reader')
        own = Pair(guarded, pair.destination, pair.database, pair.directory)
        equal(own)

        def compared(*late: int) -> int:
            own.write("\n".join(f"m,host=late v=1 {time}" for time in late))
            weeks.clear()
            with looking(own, memory, login) as found:
                windows = found.find().get("m", Lateness()).windows
            assert sum(window.missing for window in windows) == len([time for time in late if time < NEWEST])
            own.destination.write("\n".join(f"m,host=late v=1 {time}" for time in late), own.database)
            return len(weeks)

        assert compared() == len(WEEKS)  # nothing is known yet
        assert compared() == 4  # the present group, two before it, and one by chance
        assert compared(MONDAY + 8 * WEEK + 1) == len(WEEKS)
        assert compared() == len(WEEKS)  # the destination was written to
        assert compared(NEWEST - DAY) == len(WEEKS)
        compared()
        assert compared(NEWEST + 1) == 4  # it goes on
        assert compared(MONDAY + 8 * WEEK + 2, NEWEST + 2) == len(WEEKS)  # that does not hide an older one


def test_what_is_proved_is_compared_piece_by_piece(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once nobody has written anything but new points; the next piece is shorter where this one held much."""
    equal(pair)
    memory, spans, look = Memory(), list[Span](), Comparer.look

    def noted(self: Comparer, questions: Any) -> Any:  # noqa: ANN401 -- as the original
        spans.extend(question.span for question in questions)
        return look(self, questions)

    def conclude(found: Looking) -> None:
        copies = found.copies()
        assert found.look_back.find(copies) == {}
        found.prover.conclude(copies, [MeasurementResult("m")], {"m": NEWEST})
        found.prover.close()

    for _ in range(2):
        with looking(pair, memory) as found:
            conclude(found)
    ((key, proof),) = memory.proofs.items()
    memory.proofs[key] = replace(proof, patrol=Patrol(length=DAY))
    monkeypatch.setattr("copying.balance.AGAIN_VALUES", 1)
    monkeypatch.setattr(Comparer, "look", noted)
    pair.write(f"m,host=a v=1,w=1 {NEWEST + 1}")
    with looking(pair, memory) as found:
        conclude(found)
    assert spans == [Span(proof.since - DAY, proof.since), Span(proof.since, NEWEST + 1)]
    (after,) = memory.proofs.values()
    assert (after.patrol.reached, after.patrol.length) == (proof.since - DAY, DAY // 2)
