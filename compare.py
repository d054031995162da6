"""Compares both servers by counting values per field and window: what the look-back and `verify` rest on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import influxql
import timeline
from influx_client import Count, Counts, InfluxClient, Key
from influxql import Location
from plan import Copy, allowed_types
from timeline import DAY, HOUR, MIN_TIME, MINUTE, SECOND, Span

STEPS = (DAY, HOUR, MINUTE, SECOND)
"""Windows get shorter in these steps, nanoseconds."""

Types = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Question:
    """A stretch of time of a copy that both sides are to be counted in, window by window when it has a step."""

    copy: Copy
    span: Span
    step: int = 0
    by_series: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """How many values there are in `span` on both sides, for each field, or each field and series."""

    copy: Copy
    span: Span
    source: Mapping[Key, int] = field(default_factory=dict)
    destination: Mapping[Key, int] = field(default_factory=dict)
    by_series: bool = False

    @property
    def lacking(self) -> tuple[str, ...]:
        """The fields of which the destination lacks values."""
        return tuple(sorted({key[0] for key, n in self.source.items() if n > self.destination.get(key, 0)}))

    @property
    def missing(self) -> int:
        """How many values the destination lacks."""
        return sum(max(0, n - self.destination.get(key, 0)) for key, n in self.source.items())

    @property
    def extra(self) -> int:
        """How many values only the destination has."""
        return sum(max(0, n - self.source.get(key, 0)) for key, n in self.destination.items())

    @property
    def values(self) -> int:
        """How many values the fuller side has."""
        return max(sum(self.source.values()), sum(self.destination.values()))


def comparable_types(copy: Copy) -> dict[str, tuple[str, ...]]:
    """The fields that can be counted alike on both sides, with a type for each kind of their values.

    Left out are fields of which only some types are wanted that counting cannot tell apart (floats among
    integers), and fields of several types whose name only a regex can select.
    """
    allowed = allowed_types(copy.rules)
    found = {}
    for name, types in copy.types.items():
        wanted = influxql.kinds(t for t in types if t in allowed)
        unwanted = influxql.kinds(t for t in types if t not in allowed)
        is_clear = not unwanted or influxql.kinds((*wanted, *unwanted)) == (*wanted, *unwanted)
        if is_clear and (len(influxql.kinds(types)) == 1 or influxql.is_quotable(name)):
            found[name] = wanted
    return found


def next_step(length: int) -> int | None:
    """The step that cuts a stretch of this length into smaller windows; None when it is short enough."""
    return next((step for step in STEPS if step < length), None)


class Comparer:
    """Counts on both servers at once."""

    def __init__(self, source: InfluxClient, destination: InfluxClient) -> None:
        self._source = source
        self._destination = destination

    def count(self, questions: Sequence[Question]) -> list[list[Window]]:
        """The windows of each question that hold a value on either side, oldest first. Raises InfluxError.

        Where the destination has more, that may hide that it also lacks some: such windows are counted again,
        series by series.
        """
        answers = self._count(questions)
        doubtful = [w for windows in answers for w in windows if w.extra and w.source and not w.by_series]
        closer = self._count([Question(w.copy, w.span, by_series=True) for w in doubtful])
        replaced = {id(w): counted[0] for w, counted in zip(doubtful, closer, strict=True) if counted}
        return [[replaced.get(id(window), window) for window in windows] for windows in answers]

    def _count(self, questions: Sequence[Question]) -> list[list[Window]]:
        types = [comparable_types(q.copy) for q in questions]
        pairs = list(zip(questions, types, strict=True))
        there = [Count(q.copy.source, t, q.span, q.step, q.by_series) for q, t in pairs]
        here = [Count(q.copy.destination, t, q.span, q.step, q.by_series) for q, t in pairs]
        with ThreadPoolExecutor(2) as pool:
            source = pool.submit(self._source.count_windows, there)
            destination = pool.submit(self._destination.count_windows, here)
            answers = zip(questions, source.result(), destination.result(), strict=True)
            return [list(_windows(*answer)) for answer in answers]

    def narrow(
        self, windows: Iterable[Window], differs: Callable[[Window], bool], is_small: Callable[[Window], bool]
    ) -> Iterator[Window]:
        """The windows inside these that still differ, cut until they are small enough, or a second."""
        pending = list(windows)
        while pending:
            large = []
            for window in pending:
                step = None if is_small(window) else next_step(window.span.length)
                if step is None:
                    yield window
                else:
                    large.append(Question(window.copy, window.span, step, window.by_series))
            pending = [part for parts in self.count(large) for part in parts if differs(part)]

    def shard_groups(self, copies: Sequence[Copy], now: int) -> list[tuple[Span, ...]]:
        """The source's shard groups of each copy; for a user who may not see them, those there should be."""
        hidden = [c for c in copies if c.target.groups is None]
        asked = [(c, f) for c in hidden for f in c.types]
        edges = self._source.get_edges("first", [(c.source, f, c.types[f]) for c, f in asked], unknowable=MIN_TIME)
        first: dict[Location, int] = {}
        for (copy, _), edge in zip(asked, edges, strict=True):
            if edge is not None:
                first[copy.source] = min(edge, first.get(copy.source, edge))
        return [
            timeline.coarse_grid(first.get(c.source, now), now, c.target.source.shard_duration)
            if c.target.groups is None
            else c.target.groups
            for c in copies
        ]


def _windows(question: Question, source: Counts, destination: Counts) -> Iterator[Window]:
    span, step = question.span, question.step
    for start in sorted(source.keys() | destination.keys()):
        window = Span(start, start + step).clip(span.start, span.end) if step else span
        counts = source.get(start, {}), destination.get(start, {})
        yield Window(question.copy, window, *counts, by_series=question.by_series)
