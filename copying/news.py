"""What of a run is new: points that the destination had already are read and written again, and are no news."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from basics.spans import Span
from basics.stopping import StopRequest
from copying.planner import Planner
from copying.segments import plan_segments
from copying.task import Copy
from copying.windows import Window
from influx.counting import Count
from influx.errors import InfluxError
from influx.influxql import Location
from influx.written import Written
from influx_client import InfluxClient

logger = logging.getLogger(__name__)

TOGETHER = 100
"""Of how many measurements is asked at once after a stop, when there is little time."""


@dataclass(slots=True, eq=False)
class Tally:
    """What was written of a measurement, against the values of each field that the destination had before."""

    had: Mapping[str, int]
    fields: int
    """How many fields a point can have."""
    places: Sequence[Count] = ()
    """Where all of it is written, as what can be asked there;"""
    held: Mapping[str, int] = field(default_factory=dict)
    """and how many values of each field were there before, equal or not."""
    points: int = 0
    values: int = 0
    new_points: int = 0
    new_values: int = 0

    def add(self, written: Written) -> Written:
        """What of this is new, as far as all that was written so far tells.

        Values are counted field by field. Points are not: the destination had as many as it had values of the
        fullest field, which is exact where all points have the same fields, and between bounds elsewhere.
        """
        self.points += written.points
        self.values += written.values
        values = max(0, self.values - sum(self.had.values()))
        fewest = -(-values // max(1, self.fields))
        points = min(values, max(fewest, self.points - max(self.had.values(), default=0)))
        more = replace(
            written,
            points=points - self.new_points,
            values=values - self.new_values,
            bytes=written.bytes * (values - self.new_values) // max(1, written.values),
            repeated=written.points - (points - self.new_points),
        )
        self.new_points, self.new_values = points, values
        return more

    def settle(self, has: Mapping[str, int]) -> Written:
        """What else was new, by the values that the destination has now.

        Where it had values that the source lacks, these were taken for some that were read and written again.
        """
        gained = {name: max(0, has.get(name, 0) - self.had.get(name, 0)) for name in has}
        values = max(self.new_values, min(self.values, sum(gained.values())))
        fewest = max(self.new_points, -(-values // max(1, self.fields)))
        points = min(self.points, values, max(fewest, *gained.values(), 0))
        more = Written(points - self.new_points, values - self.new_values, repeated=self.new_points - points)
        self.new_points, self.new_values = points, values
        return more

    def there(self, has: Mapping[str, int]) -> Written:
        """What else is new, by the values at its places now: also what was acknowledged and nobody heard of."""
        gained = [max(0, count - self.held.get(name, 0)) for name, count in has.items()]
        values = max(self.new_values, sum(gained))
        points = max(self.new_points, min(values, max((-(-values // max(1, self.fields)), *gained))))
        repeated = min(self.points, points) - self.new_points
        more = Written(points - self.new_points, values - self.new_values, repeated=-repeated)
        self.new_points, self.new_values = points, values
        return more


class News:
    """Counts what is new of each measurement of a run, and remembers the newest point that was read of a database.

    Safe to use from several threads, as long as each measurement is copied by one at a time.
    """

    def __init__(self, destination: InfluxClient, planner: Planner) -> None:
        self._destination = destination
        self._planner = planner
        self._tallies: dict[Location, Tally] = {}
        self._newest: dict[str, int] = {}
        self._newest_of: dict[Location, int] = {}

    # ------------------------------------------------------------ what the destination has already

    def expect(self, copies: Sequence[Copy]) -> None:
        """Look what the destination has of what is about to be read, before any of it is written."""
        try:
            self._expect(copies)
        except InfluxError as error:
            if error.retryable:
                raise
            for copy in copies:
                self._expect_one(copy)

    def _expect_one(self, copy: Copy) -> None:
        try:
            self._expect([copy])
        except InfluxError as error:
            if error.retryable:
                raise
            logger.info("%s: what is read again of it counts as new: %s", copy.source, error)
            self._tallies.pop(copy.source, None)

    def _expect(self, copies: Sequence[Copy]) -> None:
        counted = self._count(copies)
        for copy in copies:
            had, places = counted[copy.source], tuple(self._places(copy))
            self._tallies[copy.source] = Tally(had, len(copy.types), places, had)

    def _count(self, copies: Sequence[Copy]) -> dict[Location, Counter[str]]:
        """How many values of each field the destination has, from where it is read on."""
        asked = [(copy, count) for copy in copies for count in self._questions(copy)]
        answers = self._destination.count_many([count for _, count in asked])
        found: dict[Location, Counter[str]] = {copy.source: Counter() for copy in copies}
        for (copy, _), values in zip(asked, answers, strict=True):
            found[copy.source].update(values)
        return found

    def _questions(self, copy: Copy) -> Iterator[Count]:
        """How many values each field that is there already has from where it is read on."""
        for place in self._places(copy):
            types = {name: copy.written_types[name] for name in place.types if name in copy.written_types}
            if types:
                yield replace(place, types=types)

    def _places(self, copy: Copy) -> list[Count]:
        """How many values each field has from where it is read on."""
        begins: dict[str, Span] = {}
        for segment in plan_segments(self._planner.starts(copy), self._planner.end()):
            for name in segment.fields:
                begins.setdefault(name, Span(segment.span.start, self._planner.end()))
        types = {**copy.types, **copy.written_types}
        return [
            Count(copy.destination, {n: types[n] for n in copy.types if begins.get(n) == span}, span)
            for span in sorted(set(begins.values()))
        ]

    def expect_late(self, copy: Copy, windows: Iterable[Window]) -> None:
        """The same of windows that are copied again because the destination lacks values there, or has others."""
        had, held, places = Counter[str](), Counter[str](), list[Count]()
        types = {**copy.types, **copy.written_types}
        for window in windows:
            names = window.fields or window.lacking
            for name in names:
                gained = window.lacks.get(name, 0) + window.changed.get(name, 0)
                had[name] += window.source.get(name, 0) - gained
                held[name] += window.destination.get(name, 0)
            places.append(Count(copy.destination, {name: types[name] for name in names}, window.span))
        self._tallies[copy.source] = Tally(had, len(copy.types), places, held)

    # ------------------------------------------------------------ what comes

    def new(self, source: Location, written: Written) -> Written:
        """What is new of what was just written; all of it where nothing was expected."""
        tally = self._tallies.get(source)
        return tally.add(written) if tally and written.values else written

    def settle(self, copies: Sequence[Copy]) -> dict[Location, Written]:
        """What else was new of these, which are copied: seen by what the destination has now."""
        tallies = {copy.source: self._tallies.get(copy.source) for copy in copies}
        asked = [
            copy for copy in copies if (tally := tallies[copy.source]) and sum(tally.had.values()) and tally.values
        ]
        try:
            has = self._count(asked)
        except InfluxError as error:
            logger.info("what is new may be more than what is told: %s", error)
            return {}
        return {source: tally.settle(has[source]) for source, tally in tallies.items() if tally and source in has}

    def there(
        self, copies: Sequence[Copy], destination: InfluxClient, stopping: StopRequest
    ) -> dict[Location, Written]:
        """What else is new of these, whose copying was stopped: seen by what the destination has now.

        As far as `destination` tells before `stopping`, those first of which something was seen.
        """
        tallies = [(copy.source, t) for copy in copies if (t := self._tallies.get(copy.source)) and t.places]
        tallies.sort(key=lambda pair: not pair[1].values)
        found: dict[Location, Written] = {}
        for first in range(0, len(tallies), TOGETHER):
            if stopping.is_set():
                break
            part = tallies[first : first + TOGETHER]
            asked = [(source, place) for source, tally in part for place in tally.places]
            has: dict[Location, Counter[str]] = {source: Counter() for source, _ in part}
            for (source, _), values in zip(asked, destination.count_many([p for _, p in asked]), strict=True):
                has[source].update(values)
            found |= {source: tally.there(has[source]) for source, tally in part}
        return found

    def read(self, source: Location, newest: int | None) -> None:
        """A point was read, the newest so far of those not after now."""
        if newest is not None:
            self._newest[source.database] = max(newest, self._newest.get(source.database, newest))
            self._newest_of[source] = max(newest, self._newest_of.get(source, newest))

    def newest(self, database: str) -> int | None:
        """The newest point that was read of a database: of the source, at the source."""
        return self._newest.get(database)

    def newest_of(self, copies: Iterable[Copy]) -> dict[str, int]:
        """The same of each of these measurements that has any, by its name: read now, or copied before."""
        found: dict[str, int] = {}
        for copy in copies:
            times = (*copy.resumed.values(), *filter(None, [self._newest_of.get(copy.source)]))
            if times:
                found[copy.source.measurement] = max(times)
        return found
