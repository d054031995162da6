"""Compares both servers: by fingerprints of each series in windows of time, or value by value.

The look-back and `main.py verify` rest on it.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import compress

from basics.spans import Span, cut, halves
from basics.text import printable
from basics.times import END_OF_TIME, MIN_TIME, SECOND
from basics.together import both
from copying.mismatches import Mismatch, mismatches
from copying.pace import Pace
from copying.selection import allowed_types
from copying.shares import divisions as divided_by
from copying.task import Copy, Target
from copying.windows import Question, Window, comparable_types, next_step, together, weighed
from influx import fingerprints, influxql, shard_groups
from influx.counting import Count, is_exact
from influx.errors import QueryRefused, QueryTooLarge
from influx.fingerprints import Fingerprints, Look
from influx.frames import Frame
from influx.influxql import Location, Share
from influx.pages import FIRST_ROWS, page_rows
from influx.shards import ShardStates
from influx_client import InfluxClient

ANSWER_BYTES = 8 * 1024 * 1024
"""Fingerprints of so many bytes are compared at once: in memory they take some ten times as much."""

DEEPEST = 2
"""How often the series of a measurement are divided, where one answer cannot hold the fingerprints of all."""


class Comparer:
    """Counts on both servers at once."""

    def __init__(self, source: InfluxClient, destination: InfluxClient) -> None:
        self._source = source
        self._destination = destination
        self._divisions: dict[Location, tuple[int, list[tuple[Share, ...]]]] = {}

    def look(self, questions: Sequence[Question]) -> list[list[Window]]:
        """The windows of each question, oldest first: one, or several where one answer cannot hold it.

        Raises InfluxError.
        """
        known = [self._is_too_much(q) for q in questions]  # the answers may tell it of more
        windows = iter(self._look([q for q, is_known in zip(questions, known, strict=True) if not is_known]))
        return [
            self._in_parts(q) if is_known else next(windows) for q, is_known in zip(questions, known, strict=True)
        ]

    def _look(self, questions: Sequence[Question]) -> list[list[Window]]:
        looks = [
            Look(q.copy.source, comparable_types(q.copy), q.span, q.copy.unstorable, q.shares) for q in questions
        ]
        there = [not q.copy.target.is_foreign for q in questions]
        here = [not q.copy.target.is_new for q in questions]
        others = [
            replace(k, location=q.copy.destination, without=()) for q, k in zip(questions, looks, strict=True)
        ]
        source, destination = both(
            lambda: self._source.get_fingerprints(list(compress(looks, there)), ANSWER_BYTES),
            lambda: self._destination.get_fingerprints(list(compress(others, here)), ANSWER_BYTES),
        )
        sides = _spread(source, there), _spread(destination, here)
        return [
            self._in_parts(question)
            if ours is None or theirs is None
            else [weighed(question, fingerprints.statements(look), ours, theirs)]
            for question, look, ours, theirs in zip(questions, looks, *sides, strict=True)
        ]

    def _is_too_much(self, question: Question) -> bool:
        """Whether one answer could not hold the same of a stretch that was not longer."""
        length, divisions = self._divisions.get(question.copy.source, (END_OF_TIME, []))
        return bool(divisions) and not question.shares and question.span.length >= length

    def _in_parts(self, question: Question) -> list[Window]:
        """Share by share of the series, as one window; or, where that is not enough, in halves of the time."""
        if shares := self._shares(question):
            parts = [replace(question, shares=(*question.shares, share)) for share in shares]
            return [together(question, [window for part in parts for window in self.look([part])[0]])]
        if question.span.length <= SECOND:
            raise QueryTooLarge(f"compare {question.copy.source}: one second holds too many series to compare")
        parts = [replace(question, span=half) for half in halves(question.span)]
        return [window for part in self.look(parts) for window in part]

    def _shares(self, question: Question) -> tuple[Share, ...]:
        """How to divide the series of a question next; empty where that cannot be."""
        copy, length = question.copy, question.span.length
        known, divisions = self._divisions.get(copy.source, (END_OF_TIME, None))
        if divisions is None:
            client, place = self._source, copy.source
            if copy.target.is_foreign:
                client, place = self._destination, copy.destination
            tags = filter(influxql.is_comparable, copy.tags)
            divisions = divided_by({tag: client.get_tag_values(place, tag) for tag in tags})
        if not question.shares:
            self._divisions[copy.source] = min(known, length), divisions
        return divisions[len(question.shares)] if len(question.shares) < min(DEEPEST, len(divisions)) else ()

    def narrow(
        self, windows: Iterable[Window], differs: Callable[[Window], bool], is_small: Callable[[Window], bool]
    ) -> Iterator[Window]:
        """The windows inside these that still differ, cut until they are small enough, or a second."""
        pending = list(windows)
        while pending:
            large: list[Question] = []
            for window in pending:
                step = None if is_small(window) else next_step(window.span.length)
                if step is None:
                    yield window
                else:
                    large.extend(Question(window.copy, part) for part in cut(window.span, step))
            pending = [part for parts in self.look(large) for part in parts if differs(part)]

    def compare_values(self, copy: Copy, span: Span, read: Counter[str] | None = None) -> Iterator[Mismatch]:
        """Every value in the range that is not the same on both sides, oldest first.

        The range must lie inside one shard group on each side where a field has several types. Memory is bounded
        by a page of each side. How many values each side had is added to `read`.
        """
        last, follows = span.start, False
        for sides in self.read_both(copy, span):
            if read is not None:
                for side in ("source", "destination"):
                    read[side] += sum(part.values for part in sides[side])
            found, equal = mismatches(sides["source"], sides["destination"], copy.source.measurement)
            for mismatch in found:
                between = bisect_right(equal, last) < bisect_left(equal, mismatch.time)
                yield replace(mismatch, is_next=follows and not between)
                last, follows = mismatch.time, True
            follows = follows and bisect_right(equal, last) == len(equal)

    def read_both(self, copy: Copy, span: Span) -> Iterator[dict[str, list[Frame]]]:
        """The points of both sides, oldest first, each time those of the same stretch of time."""
        places = [] if copy.target.is_foreign else [("source", self._source, copy.source)]
        if not copy.target.is_new:
            places.append(("destination", self._destination, copy.destination))
        position = span.start
        rows = page_rows(len(copy.types) + len(copy.tags))
        pace = Pace(span.length, min(rows, FIRST_ROWS), ceiling=rows)
        with ThreadPoolExecutor(2) as pool:
            while position < span.end:
                window = pace.window(position, span.end)
                reads = [  # as if in one group: the destination may have types that the source never had
                    pool.submit(c.read_page, where, copy.types, copy.tags, window, pace.rows, one_group=True)
                    for _, c, where in places
                ]
                try:
                    pages = [read.result() for read in reads]
                except QueryTooLarge:
                    smaller = pace.eased(window)
                    if smaller is None:
                        raise
                    pace = smaller
                    continue
                position = min(page.span.end for page in pages)
                pace = pace.after(
                    window,
                    Span(window.start, position),
                    max(page.rows for page in pages),
                    max(page.limit for page in pages),
                    slow_start=any(page.slow_start for page in pages),
                    fitting=min(page.fitting for page in pages),
                )
                sides: dict[str, list[Frame]] = {"source": [], "destination": []}
                for (side, _, _), page in zip(places, pages, strict=True):
                    sides[side] = [_cut(copy, part, position) for part in page.frames]
                yield sides

    def shard_states(self, database: str, target: Target, now: int) -> tuple[ShardStates, ShardStates] | None:
        """What was written to the shards of a policy on both sides; None where one may not be seen."""
        source, destination = both(
            lambda: self.source_states(database, target, now),
            lambda: self._destination.get_shard_states(target.database, target.destination.name, now),
        )
        return None if source is None or destination is None else (source, destination)

    def source_states(self, database: str, target: Target, now: int) -> ShardStates | None:
        """The same of the source alone."""
        return self._source.get_shard_states(database, target.source.name, now)

    def newer_points(self, database: str, target: Target, times: Sequence[int]) -> dict[int, int]:
        """How many points the source holds from each of these times on, in all of a policy.

        Of each measurement as many as its fullest field has values: a write never adds more than its points.
        Raises QueryRefused where a field cannot be counted in each of its types.
        """
        for name, types in target.source_types.items():
            if vague := [field for field, kinds in types.items() if not is_exact(field, kinds)]:
                raise QueryRefused(
                    f"{printable(name)} has fields of several types that only a regex names: "
                    f"{printable(repr(vague))}"
                )
        found = dict.fromkeys(times, 0)
        asked = [
            (time, Count(Location(database, target.source.name, name), types, Span(time, END_OF_TIME)))
            for name, types in target.source_types.items()
            for time in times
        ]
        answers = self._source.count_many([count for _, count in asked])
        for (time, _), values in zip(asked, answers, strict=True):
            found[time] += max(values.values(), default=0)
        return found

    def acknowledged(self, target: Target) -> int:
        """How many points of a policy the destination has acknowledged to us so far."""
        return self._destination.acknowledged(target.database, target.destination.name)

    @property
    def questions(self) -> int:
        """How many questions we have asked the destination so far."""
        return self._destination.questions

    def edges_at_destination(
        self, edge: str, copies: Sequence[Copy], *, end: int = END_OF_TIME, unknowable: int | None = None
    ) -> list[dict[str, int]]:
        """For each copy: field -> its `first` or `last` time at the destination that is older than `end`."""
        asked = [(i, f) for i, copy in enumerate(copies) for f in copy.types if f in copy.written_types]
        edges = self._destination.get_edges(
            edge,
            [(copies[i].destination, f, copies[i].written_types[f]) for i, f in asked],
            end=end,
            unknowable=unknowable,
        )
        found: list[dict[str, int]] = [{} for _ in copies]
        for (index, name), time in zip(asked, edges, strict=True):
            if time is not None:
                found[index][name] = time
        return found

    def unstorable_tags(self, copies: Sequence[Copy]) -> list[tuple[str, ...]]:
        """The tags of each copy with values that InfluxDB cannot keep, which are therefore never sent."""
        asked = [(i, tag) for i, copy in enumerate(copies) for tag in copy.tags if influxql.is_quotable(tag)]
        answers = self._source.get_unstorable_tags([(copies[i].source, tag) for i, tag in asked])
        found: list[tuple[str, ...]] = [() for _ in copies]
        for (index, tag), is_there in zip(asked, answers, strict=True):
            if is_there:
                found[index] = (*found[index], tag)
        return found

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
            shard_groups.coarse_grid(first.get(c.source, now), now, c.target.source.shard_duration)
            if c.target.groups is None
            else c.target.groups
            for c in copies
        ]


def _cut(copy: Copy, part: Frame, end: int) -> Frame:
    """The points older than `end`, without fields of unwanted types."""
    frame = part.before(end)
    return frame.only_types(allowed_types(copy.rules)) if copy.rules.types else frame


def _spread(found: Iterable[Fingerprints | None], asked: Iterable[bool]) -> list[Fingerprints | None]:
    """The answers at the places of the questions that were asked, nothing at the others."""
    answers = iter(found)
    return [next(answers) if is_asked else {} for is_asked in asked]
