"""Both servers compared: by fingerprints, in parts where one answer is too long, and value by value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from basics.spans import Span
from basics.times import END_OF_TIME, MIN_TIME
from copying import compare
from copying.compare import Comparer
from copying.task import Copy
from copying.windows import Question
from influx.errors import QueryRefused, QueryTooLarge
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.integration.parts import parts
from tests.support.proxy import Proxy, error_document, only

SECOND = 10**9


@contextmanager
def comparing(pair: Pair, changes: Mapping[str, Any] | None = None) -> Iterator[tuple[Comparer, dict[str, Copy]]]:
    """Who compares both sides, and the measurements of the default policy that one of them has."""
    with parts(pair, changes) as found:
        (target, *_) = found.planner.policies.foresee(pair.database, pair.database)
        copies = found.planner.compared(pair.database, target, Span(MIN_TIME, END_OF_TIME))
        comparer = Comparer(found.source, found.destination)
        yield comparer, {copy.source.measurement: copy for copy in copies}


def written(pair: Pair, there: str, here: str) -> None:
    """What both sides hold."""
    pair.write(there)
    pair.destination.create_database(pair.database)
    pair.destination.write(here, pair.database)


@pytest.mark.parametrize("rows", [3, 5, 20_000], ids=["short pages", "longer ones", "one page"])
def test_each_value_that_differs_is_told_with_whether_equal_points_lie_before_it(
    rows: int, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oldest first, whatever the pages; and how many values each side had."""
    monkeypatch.setattr(compare, "FIRST_ROWS", rows)
    letters = {"m": "missing", "x": "extra", "d": "different", "=": "equal"}
    kinds = [letters[letter] for letter in "mm=dx===mxd=m"]
    there = [f"m v={n} {MONDAY + n}" for n, kind in enumerate(kinds) if kind != "extra"]
    values = [n + 0.5 * (kind == "different") for n, kind in enumerate(kinds)]
    here = [f"m v={values[n]} {MONDAY + n}" for n, kind in enumerate(kinds) if kind != "missing"]
    written(pair, "\n".join(there), "\n".join(here))
    read = Counter[str]()
    with comparing(pair) as (comparer, copies):
        found = list(comparer.compare_values(copies["m"], Span(MONDAY, MONDAY + 100), read))
        part = list(comparer.compare_values(copies["m"], Span(MONDAY + 1, MONDAY + 4)))
    differing = [n for n, kind in enumerate(kinds) if kind != "equal"]
    assert [(m.time - MONDAY, m.kind, m.is_next) for m in found] == [
        (n, kinds[n], n - 1 in differing) for n in differing
    ]
    assert [m.time - MONDAY for m in part] == [1, 3]
    assert read == {"source": len(there), "destination": len(here)}


def test_values_of_one_time_are_next_to_each_other_whatever_is_equal_beside_them(pair: Pair) -> None:
    """An equal point of another series at that time, or of the same field, lies not between them."""
    both = "\n".join(f"m,h=b v=1,w=1 {MONDAY + n}" for n in range(3))
    written(pair, f"{both}\nm,h=a v=1,w=1 {MONDAY + 1}\nm,h=c v=1 {MONDAY + 1}", both)
    with comparing(pair) as (comparer, copies):
        found = list(comparer.compare_values(copies["m"], Span(MONDAY, MONDAY + 10)))
    assert [(m.time - MONDAY, m.field, m.is_next) for m in found] == [
        (1, "v", False),
        (1, "w", True),
        (1, "v", True),
    ]


def test_values_that_one_answer_cannot_hold_are_read_in_parts(pair: Pair) -> None:
    """Each once, of both sides; where less cannot be asked for, that is an error."""
    there = [f"m v={n} {MONDAY + n * HOUR}" for n in range(100)]
    written(pair, "\n".join(there), "\n".join(there[:99]))
    large = only(lambda text: "LIMIT" in text, error_document("max-select-buckets limit exceeded: (2/1)"))
    span = Span(MONDAY, MONDAY + WEEK)
    with (
        Proxy(pair.destination.url) as proxy,
        comparing(pair, {"destination": {"url": proxy.url}}) as (found, copies),
    ):
        fault = proxy.inject(large, "query", count=2)
        read = Counter[str]()
        assert [m.time for m in found.compare_values(copies["m"], span, read)] == [MONDAY + 99 * HOUR]
        assert (fault.injected, read) == (2, {"source": 100, "destination": 99})
        fault = proxy.inject(large, "query", count=None)
        with pytest.raises(QueryTooLarge):
            list(found.compare_values(copies["m"], span))
        assert 2 < fault.injected < 200


def test_values_of_types_that_are_not_wanted_are_not_compared(pair: Pair) -> None:
    """Of a field that has others as well."""
    written(pair, f"m v=1,w=1 {MONDAY}\nm v=2i {MONDAY + WEEK}", f"m w=1 {MONDAY}")
    with comparing(pair) as (comparer, copies):
        rules = copies["m"].rules.model_copy(update={"types": ("integer",)})
        only = replace(copies["m"], rules=rules)
        found = [
            [(m.time, m.field) for m in comparer.compare_values(copy, Span(begin, begin + WEEK))]
            for copy in (copies["m"], only)
            for begin in (MONDAY, MONDAY + WEEK)
        ]
    assert found == [[(MONDAY, "v")], [(MONDAY + WEEK, "v")], [], [(MONDAY + WEEK, "v")]]


def test_what_only_one_side_has_is_asked_of_that_side_alone(pair: Pair) -> None:
    """In a row with others, each answer stands where its question stood."""
    lines = [f"{m} v=1,w={n}i {MONDAY + n}" for n, m in enumerate("abc")]
    written(pair, "\n".join(lines), "\n".join(lines))
    span = Span(MONDAY, MONDAY + WEEK)
    with comparing(pair) as (comparer, copies):
        a, b, c = copies.values()
        a = replace(a, target=replace(a.target, is_foreign=True))
        b = replace(b, target=replace(b.target, is_new=True))
        ((first,), (second,), (third,)) = comparer.look([Question(copy, span) for copy in (a, b, c)])
        assert list(map(len, comparer.look([]))) == []
    both = {"v": 1, "w": 1}
    assert (first.source, first.destination, first.exceeds, first.differs) == ({}, both, both, True)
    assert (second.source, second.destination, second.lacks, second.differs) == (both, {}, both, True)
    assert (third.source, third.destination, third.differs) == (both, both, False)
    assert [window.copy.source.measurement for window in (first, second, third)] == ["a", "b", "c"]


def test_what_one_answer_cannot_hold_is_asked_in_parts(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Share by share of the series, from then on at once; or in halves of the time where no tag divides them."""
    monkeypatch.setattr(compare, "ANSWER_BYTES", 4000)
    hosts = [f"m,host=h{n:03d} v=1 {MONDAY + n * HOUR}" for n in range(150)]
    written(pair, "\n".join(hosts), "\n".join([*hosts[1:], f"m,host=x v=1 {MONDAY}"]))
    span = Span(MONDAY, MONDAY + WEEK)
    with comparing(pair) as (comparer, copies):
        for _ in range(2):
            ((whole,),) = comparer.look([Question(copies["m"], span)])
            assert (whole.span, whole.source, whole.destination) == (span, {"v": 150}, {"v": 150})
            assert (whole.lacks, whole.exceeds, whole.series) == ({"v": 1}, {"v": 1}, 151)
    with comparing(pair) as (comparer, copies):
        (parts,) = comparer.look([Question(replace(copies["m"], tags=()), span)])
    assert len(parts) > 1
    assert [part.span.end for part in parts[:-1]] == [part.span.start for part in parts[1:]]
    assert (parts[0].span.start, parts[-1].span.end) == span.edges
    assert sum(part.source["v"] for part in parts) == 150


def test_an_answer_that_is_too_long_does_not_stand_for_those_beside_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When that turns out, and later: what another measurement lacks is not taken for equal."""
    monkeypatch.setattr(compare, "ANSWER_BYTES", 4000)
    many = "\n".join(f"many,host=h{n:03d} v=1 {MONDAY}" for n in range(150))
    written(pair, f"{many}\na v=1 {MONDAY}\nz v=1,w=1 {MONDAY}", f"{many}\na v=1 {MONDAY}\nz v=1 {MONDAY}")
    with comparing(pair) as (comparer, copies):
        for _ in range(2):
            found = comparer.look([Question(copy, Span(MONDAY, MONDAY + WEEK)) for copy in copies.values()])
            assert [(w.copy.source.measurement, w.values, w.lacks) for (w,) in found] == [
                ("a", 1, {}),
                ("many", 150, {}),
                ("z", 2, {"w": 1}),
            ]


def test_a_second_that_holds_too_many_series_is_refused(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, instead of asking for less and less."""
    monkeypatch.setattr(compare, "ANSWER_BYTES", 4000)
    lines = "\n".join(f"m,host=h{n:03d} v=1 {MONDAY}" for n in range(150))
    written(pair, lines, lines)
    with comparing(pair) as (comparer, copies):
        untagged = replace(copies["m"], tags=())
        with pytest.raises(QueryTooLarge, match=r"m: one second holds too many series to compare"):
            comparer.look([Question(untagged, Span(MONDAY, MONDAY + 4 * SECOND))])


def test_windows_are_cut_until_they_are_small_and_equal_parts_are_left_out(pair: Pair) -> None:
    """In days, hours, minutes and seconds; what is small at once comes as it is."""
    same = [f"m v=1 {MONDAY + n * HOUR}" for n in range(24)]
    written(pair, "\n".join([*same, f"m v=1 {MONDAY + HOUR + 7}"]), "\n".join(same))
    with comparing(pair) as (comparer, copies):
        ((whole,),) = comparer.look([Question(copies["m"], Span(MONDAY, MONDAY + WEEK))])
        found = list(comparer.narrow([whole], lambda w: w.differs, lambda _: False))
        assert [w.span for w in found] == [Span(MONDAY + HOUR, MONDAY + HOUR + SECOND)]
        assert found[0].lacks == {"v": 1}
        assert list(comparer.narrow([whole], lambda w: w.differs, lambda _: True)) == [whole]
        (hour,) = comparer.narrow([whole], lambda w: w.differs, lambda w: w.span.length == HOUR)
        assert hour.span == Span(MONDAY + HOUR, MONDAY + 2 * HOUR)


def test_the_edges_at_the_destination_are_those_of_fields_that_are_there(pair: Pair) -> None:
    """Of each copy its own, older than the end."""
    written(
        pair,
        f"a v=1,w=1,x=1 {MONDAY}\nb v=1 {MONDAY}",
        f"a v=1 {MONDAY + 5}\na v=1,w=1 {MONDAY + 9}\nb v=1 {MONDAY + 7}\nb w=1 {MONDAY}",
    )
    with comparing(pair) as (comparer, copies):
        known = list(copies.values())
        assert comparer.edges_at_destination("last", known) == [
            {"v": MONDAY + 9, "w": MONDAY + 9},
            {"v": MONDAY + 7, "w": MONDAY},
        ]
        assert comparer.edges_at_destination("first", known[:1]) == [{"v": MONDAY + 5, "w": MONDAY + 9}]
        assert comparer.edges_at_destination("last", known, end=MONDAY + 7) == [{"v": MONDAY + 5}, {"w": MONDAY}]


def test_tags_with_values_that_influxdb_cannot_keep_are_named_for_each_measurement(pair: Pair) -> None:
    """Those of one are not those of another."""
    bad = "x#!~#y"
    written(
        pair,
        f"a,t={bad},u={bad},w=1 v=1 {MONDAY}\nb,t=1,u=1 v=1 {MONDAY}\nc,t=1,u={bad} v=1 {MONDAY}",
        f"a v=1 {MONDAY}",
    )
    with comparing(pair) as (comparer, copies):
        assert comparer.unstorable_tags(list(copies.values())) == [("t", "u"), (), ("u",)]
        assert comparer.unstorable_tags([]) == []


def test_points_are_counted_from_times_on_by_the_fullest_field(pair: Pair) -> None:
    """All measurements together; what cannot be counted in each of its types is refused."""
    lines = [f"a v={n},w={n} {MONDAY + n}" for n in range(3)] + [f"a v=1 {MONDAY + n}" for n in range(3, 8)]
    written(pair, "\n".join([*lines, f"b v=1i {MONDAY + 5}", f"b v=1.5 {MONDAY + WEEK}"]), f"a v=1 {MONDAY}")
    with comparing(pair) as (comparer, copies):
        types: Mapping[str, Mapping[str, tuple[str, ...]]] = {
            "a": {"v": ("float",), "w": ("float",)},
            "b": {"v": ("integer", "float")},
        }
        target = replace(copies["a"].target, source_types=types)
        times = (MONDAY, MONDAY + 6, MONDAY + WEEK + 1)
        assert comparer.newer_points(pair.database, target, times) == dict(zip(times, (10, 3, 0), strict=True))
        vague = replace(target, source_types={**types, "c": {"x\ry": ("float", "string")}})
        with pytest.raises(QueryRefused, match=r"c has fields of several types that only a regex names: .*x"):
            comparer.newer_points(pair.database, vague, times)
        fine = replace(target, source_types={"b": {"x\ry": ("float",)}})
        assert comparer.newer_points(pair.database, fine, (MONDAY,)) == {MONDAY: 0}


def test_shard_groups_that_may_not_be_seen_begin_with_the_first_point(pair: Pair) -> None:
    """Of each measurement its own first; one without any has the present one."""
    now = MONDAY + 3 * WEEK + DAY
    written(
        pair,
        f"a v=1 {MONDAY + WEEK}\na w=1 {MONDAY}\nb v=1 {MONDAY + 2 * WEEK}\nc v=1 {MONDAY}",
        f"a v=1 {MONDAY}",
    )
    weeks = [Span(MONDAY + n * WEEK, MONDAY + (n + 1) * WEEK) for n in range(4)]
    with comparing(pair) as (comparer, copies):
        seen = copies["c"].target.groups
        hidden = [replace(copies[m], target=replace(copies[m].target, groups=None)) for m in "ab"]
        nothing = replace(hidden[1], types={}, source=replace(hidden[1].source, measurement="none"))
        found = comparer.shard_groups([copies["c"], *hidden, nothing], now)
    assert found == [seen, tuple(weeks), tuple(weeks[2:]), tuple(weeks[3:])]
