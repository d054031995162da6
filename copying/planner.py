"""Planner: what to copy of each measurement, and from when on, as both servers tell it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from basics.spans import Span
from basics.times import END_OF_TIME, MIN_TIME
from copying.obsolete import Thresholds
from copying.policies import Policies
from copying.resume import fallback_since, hidden_since, resume_points
from copying.retention import comparable_since, whole_since
from copying.selection import field_rules, get_fields_to_backup, wanted_fields
from copying.task import Copy, Target
from copying.unstorable import Unstorable
from influx.influxql import Location
from influx.shard_groups import group_around
from influx_client import InfluxClient
from settings.keys import Job, RangeOptions


class Planner:
    """Looks at both servers and plans the copies of one run; `now` is its fixed time, nanoseconds."""

    def __init__(self, job: Job, source: InfluxClient, destination: InfluxClient, now: int) -> None:
        self._job = job
        self._options = job.options
        self._source = source
        self._destination = destination
        self._now = now
        self.policies = Policies(job, source, destination)
        """Those of a database on both sides."""
        self._forecasts: set[tuple[Location, str]] = set()
        self._newest_there: dict[tuple[Location, str], int] = {}
        self._unstorable = Unstorable(job, source, destination)
        self._thresholds = Thresholds(job.options, source, destination, now)

    def newest_at_source(self, database: str) -> int | None:
        """The newest of all points of the measurements and fields that the job wants, at the source itself."""
        asked = []
        for policy in self.policies.at_source(database):
            found = self._source.get_field_keys(database, policy.name)
            for name, types in wanted_fields(self._job, found).items():
                asked += [(Location(database, policy.name, name), f, t) for f, t in types.items()]
        times = self._source.get_edges("last", asked, end=self._now + 1)
        return max((time for time in times if time is not None), default=None)

    # ------------------------------------------------------------ what to copy of a retention policy

    def plan(
        self,
        database: str,
        target: Target,
        tags: Mapping[str, tuple[str, ...]],
        *,
        exact: bool = False,
        is_still: bool = False,
    ) -> list[Copy]:
        """Every measurement that has something to copy in this policy; `is_still`: none of them has.

        `exact`: a field that the destination lacks begins at its first point, not at the first shard group. That
        takes a look at every shard, which costs more than reading nothing from those before.
        """
        found = self._source.get_field_keys(database, target.source.name)
        # not before, so that no shard group is missing that was there when the fields were looked at
        groups = self.policies.groups_at_source(database, target.source)
        target = replace(target, groups=groups, source_types=found)
        self.policies.remember(database, target)
        limits = self._options.range
        span = Span(limits.start, limits.end) if limits else Span(MIN_TIME, END_OF_TIME)
        copies = self._selected(database, target, found, tags, span)
        if is_still:
            return copies
        if self._options.range is not None:
            copies = self._over(copies, self._options.range)
        else:
            copies = self._resume(copies, exact=exact or self._job.source.group_by is not None)
        window = self._job.source.group_by
        return copies if window is None else self._without_broken(copies, target, window)

    def _without_broken(self, copies: Sequence[Copy], target: Target, window: int) -> list[Copy]:
        """The copies without the windows that are there already, and of which the source may have given up a part.

        A mean of what is left must not take the place of the right one.
        """
        since = whole_since(target, self._now)
        asked = [(c, f) for c in copies for f in c.starts if f in c.written_types] if since > MIN_TIME else []
        last = self._last_at_destination(asked, since)
        after = {
            (c.source, f): edge + window for (c, f), edge in zip(asked, last, strict=True) if edge is not None
        }
        return [
            replace(c, starts={f: max(start, after.get((c.source, f), start)) for f, start in c.starts.items()})
            for c in copies
        ]

    def _selected(
        self,
        database: str,
        target: Target,
        found: Mapping[str, Mapping[str, tuple[str, ...]]],
        tags: Mapping[str, tuple[str, ...]],
        span: Span,
    ) -> list[Copy]:
        """The wanted ones among these measurements and fields, without those that InfluxDB cannot keep.

        Of these the values in `span` are counted.
        """
        copies = [
            self._select(Location(database, target.source.name, m), target, found[m], tags.get(m, ()))
            for m in sorted(found)
            if self._job.wants(m)
        ]
        return [self._unstorable.left_out(c, span) for c in copies if c.types]

    def compared(self, database: str, target: Target, span: Span) -> list[Copy]:
        """Every measurement that one of the sides has in this policy, with the fields and tags of both."""
        there = {} if target.is_foreign else self._source.get_field_keys(database, target.source.name)
        tags = self._source.get_tag_keys(database)
        more = {} if target.is_new else self._destination.get_tag_keys(target.database)
        copies = self._selected(
            database,
            target,
            {
                m: _united(there.get(m, {}), target.written_types.get(m, {}))
                for m in there.keys() | target.written_types.keys()
            },
            _united(tags, more),
            span,
        )
        groups = () if target.is_foreign else self.policies.groups_at_source(database, target.source)
        return [replace(copy, target=replace(target, groups=groups)) for copy in copies]

    def _select(
        self, source: Location, target: Target, types: Mapping[str, tuple[str, ...]], tags: tuple[str, ...]
    ) -> Copy:
        rules = field_rules(self._job.measurements, source.measurement)
        return Copy(source, target, get_fields_to_backup(types, rules), tags, rules)

    def _resume(self, copies: Sequence[Copy], *, exact: bool) -> list[Copy]:
        """The copies with the place where each field resumes, as the destination tells it."""
        copied = self._newest_copied(copies)
        copies, copied = self._thresholds.without_obsolete(copies, copied)
        unknown = [(c, f) for c, times in zip(copies, copied, strict=True) for f, t in times.items() if t is None]
        found = self._first_in_source(unknown, exact=exact)
        first: dict[Location, dict[str, int | None]] = {}
        for (copy, name), edge in zip(unknown, found, strict=True):
            first.setdefault(copy.source, {})[name] = edge
        hidden = self._hidden_by_forecasts(copies, copied)
        return [
            replace(
                copy,
                hidden_since=hidden.get(copy.source, END_OF_TIME),
                there=self._there_of(copy),
                starts=resume_points(times, first.get(copy.source, {}), self.fallback),
                resumed={name: time for name, time in times.items() if time is not None},
            )
            for copy, times in zip(copies, copied, strict=True)
        ]

    def _there_of(self, copy: Copy) -> int | None:
        times = (self._newest_there.get((copy.source, name)) for name in copy.types)
        return max((time for time in times if time is not None), default=None)

    def _over(self, copies: Sequence[Copy], limits: RangeOptions) -> list[Copy]:
        """The copies of a range, each with what the destination has of it already."""
        asked = [(c, f) for c in copies for f in c.types if f in c.written_types]
        fields = [(c.destination, f, c.written_types[f]) for c, f in asked]
        found = self._destination.get_edges(
            "last", fields, start=limits.start, end=limits.end, unknowable=limits.end - 1
        )
        known = zip(asked, found, strict=True)
        self._newest_there.update({(c.source, f): edge for (c, f), edge in known if edge is not None})
        return [replace(c, starts=dict.fromkeys(c.types, limits.start), there=self._there_of(c)) for c in copies]

    def advanced(self, copies: Sequence[Copy]) -> list[Copy]:
        """The copies as they were planned in this run, each field from the shard group that somebody has reached.

        Whoever began them has left all older groups whole. Where points are ahead of the clock, and in runs that
        ask the destination for no place to resume, they begin where they were to begin.
        """
        asked = [(c, f) for c in copies for f in c.starts]
        types = [_united(c.types, c.written_types)[f] for c, f in asked]
        fields = [(c.destination, f, known) for (c, f), known in zip(asked, types, strict=True)]
        newest = self._destination.get_edges("last", fields, unknowable=MIN_TIME)
        there: dict[Location, dict[str, tuple[str, ...]]] = {}
        begins: dict[tuple[Location, str], int] = {}
        for (copy, name), known, time in zip(asked, types, newest, strict=True):
            if time is not None:
                there.setdefault(copy.source, {})[name] = known
                begins[copy.source, name] = self._begin_again(copy.target, time)
        return [
            replace(
                copy,
                target=replace(
                    copy.target, written_types={copy.source.measurement: {**copy.written_types, **found}}
                ),
                starts={f: max(start, begins.get((copy.source, f), start)) for f, start in copy.starts.items()},
            )
            for copy in copies
            for found in [there.get(copy.source, {})]
        ]

    def _begin_again(self, target: Target, newest: int) -> int:
        """The beginning of the shard group of a newest point; MIN_TIME where that says nothing."""
        if self._options.range is not None or self._job.source.group_by is not None or newest > self._now:
            return MIN_TIME
        return group_around(newest, target.destination.shard_duration, target.written_groups or ()).start

    def _first_in_source(self, fields: Sequence[tuple[Copy, str]], *, exact: bool) -> list[int | None]:
        """From when on each field may have points; `exact`, or without a right to see shard groups, has some."""
        if exact or any(copy.target.groups is None for copy, _ in fields):
            asked = [(copy.source, name, copy.types[name]) for copy, name in fields]
            return self._source.get_edges("first", asked, unknowable=MIN_TIME)
        return [min((group.start for group in copy.target.groups or ()), default=None) for copy, _ in fields]

    def _hidden_by_forecasts(
        self, copies: Sequence[Copy], copied: Sequence[Mapping[str, int | None]]
    ) -> dict[Location, int]:
        """Since when points of a series can be missing that has fallen behind others, where that can be.

        Forecasts that were copied are, once their time has passed, newer than points of another series that no
        run has copied yet. So where there are forecasts, or there may have been when the last run was too long
        ago, each series is looked at by itself.
        """
        lookback = self._options.incremental.lookback
        times = [
            (c, f, t) for c, times in zip(copies, copied, strict=True) for f, t in times.items() if t is not None
        ]
        if not lookback or self._job.source.group_by:
            return {}
        asked = [(c.source, f, c.types[f]) for c, f, _ in times]
        future = self._source.get_edges("first", asked, start=self._now + 1)
        newest = self._source.get_edges("last", asked, end=self._now + 1, unknowable=self._now)
        doubtful = [
            (copy, name)
            for (copy, name, time), ahead, last in zip(times, future, newest, strict=True)
            if last is not None and last > time and (ahead is not None or time < self._now - 2 * lookback
                                                     or (copy.source, name) in self._forecasts)
        ]  # fmt: skip
        there = self._source.get_newest_by_series([(c.source, f, c.types[f]) for c, f in doubtful], self._now + 1)
        here = self._destination.get_newest_by_series(
            [(c.destination, f, c.written_types[f]) for c, f in doubtful], self._now + 1
        )
        since_when: dict[Location, int] = {}
        for (copy, _), source, destination in zip(doubtful, there, here, strict=True):
            since = MIN_TIME if source is None or destination is None else hidden_since(source, destination)
            since_when[copy.source] = min(since, since_when.get(copy.source, END_OF_TIME))
        return since_when

    @property
    def fallback(self) -> int | None:
        """From when on an empty measurement is copied, if the job says so."""
        return fallback_since(self._options.incremental, self._now)

    def _newest_copied(self, copies: Sequence[Copy]) -> list[dict[str, int | None]]:
        """For each copy, the newest time of each field at the destination, not counting points after now.

        A field that has points after now holds forecasts. Others of its points may have been copied as
        forecasts too, and be rewritten since: it goes back by the look-back.
        """
        asked = [(c, f) for c in copies for f in c.types if f in c.written_types]
        found = self._last_at_destination(asked, END_OF_TIME)
        ahead = [pair for pair, edge in zip(asked, found, strict=True) if edge is not None and edge > self._now]
        past = self._last_at_destination(ahead, self._now + 1)
        newest = {(c.source, f): edge for (c, f), edge in zip(asked, found, strict=True)}
        self._newest_there.update({pair: edge for pair, edge in newest.items() if edge is not None})
        self._forecasts.update((c.source, f) for c, f in ahead)
        since = self._now - self._options.incremental.lookback
        for (copy, name), edge in zip(ahead, past, strict=True):
            newest[copy.source, name] = None if edge is None else min(edge, since)
        window = self._job.source.group_by
        if window and self._options.incremental.lookback:
            # late points change means that are there already, which no count would show: look at all again,
            # but not at windows of which the source may have given up a part
            for (copy, name), edge in zip(asked, found, strict=True):
                again = -_down(-max(since, comparable_since(copy.target, self._now)), window)
                newest[copy.source, name] = None if edge is None else min(edge, again)
        return [{f: newest.get((c.source, f)) for f in c.types} for c in copies]

    def _last_at_destination(self, asked: Sequence[tuple[Copy, str]], end: int) -> list[int | None]:
        fields = [(c.destination, f, c.written_types[f]) for c, f in asked]
        return self._destination.get_edges("last", fields, end=end)

    # ------------------------------------------------------------ from when to when

    def starts(self, copy: Copy) -> dict[str, int]:
        """Where each field begins: downsampling begins at whole windows."""
        window = self._job.source.group_by or 1
        return {name: _down(start, window) for name, start in copy.starts.items()}

    def end(self) -> int:
        """Where the run ends. Incremental runs have no end, so that points of the future are copied too."""
        end = self._options.range.end if self._options.range else END_OF_TIME
        window = self._job.source.group_by
        return _down(min(end, self._now), window) if window else end


def _united(
    one: Mapping[str, tuple[str, ...]], other: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The keys of both, each with everything that one of them has."""
    names = one.keys() | other.keys()
    return {name: tuple(dict.fromkeys((*one.get(name, ()), *other.get(name, ())))) for name in names}


def _down(moment: int, window: int) -> int:
    """The start of the window that holds the moment."""
    return moment - moment % window
