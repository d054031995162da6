"""Late data: what the destination lacks of the stretches of time that the look-back compares."""

import logging
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from basics.spans import Span, describe
from basics.text import printable
from basics.times import DAY, END_OF_TIME, HOUR, MIN_TIME, MINUTE
from copying import memory
from copying.compare import Comparer
from copying.memory import Memory
from copying.mismatches import Mismatch
from copying.proving import Prover
from copying.resume import fallback_since
from copying.retention import comparable_since
from copying.segments import Segment
from copying.selection import wanted_fields
from copying.stretches import Limits, MeasurementLookBack, cut_at, plan_look_back
from copying.task import Copy, Target
from copying.windows import Question, Window
from influx.errors import InfluxError, QueryRefused
from influx.influxql import Location, Tags
from influx.shards import ShardStates
from settings.keys import Job

logger = logging.getLogger(__name__)

Lack = tuple[int, Tags, str, bytes]
"""A value that the destination lacks: its time, tags, field, and itself in line protocol."""

STILL_COMING = 10 * MINUTE
"""How far from now points are still written while a run reads them, nanoseconds."""


def wanted(window: Window) -> Window:
    """The window without lacks of fields that are not there yet, or only newer than their own newest point.

    A field is copied from its own newest point on; what is newer than that is not late.
    """
    resumed = window.copy.resumed
    lacks = {name: n for name, n in window.lacks.items() if window.span.start <= resumed.get(name, MIN_TIME - 1)}
    return window if lacks == window.lacks else replace(window, lacks=lacks)


def is_late(copy: Copy, mismatch: Mismatch) -> bool:
    """Whether a value that differs is older than the newest one of its field at the destination."""
    return mismatch.time <= copy.resumed.get(mismatch.field, MIN_TIME - 1)


def segments(windows: Iterable[Window]) -> list[Segment]:
    """What to copy for these windows of one copy (oldest first): each range with the fields that may differ."""
    joined: list[Segment] = []
    for window in windows:
        last, fields = joined[-1] if joined else None, window.fields or window.lacking
        if last and last.span.end == window.span.start and last.fields == fields:
            joined[-1] = Segment(fields, Span(last.span.start, window.span.end))
        else:
            joined.append(Segment(fields, window.span))
    return joined


def are_too_old(windows: Iterable[Window], dropped: int) -> bool:
    """Whether all that still differs in windows that were copied can be points dropped then as too old."""
    differing: Counter[str] = Counter()
    for window in windows:
        differing.update(window.lacks)
        differing.update(window.changed)
    return max(differing.values(), default=0) <= dropped


def left_out(job: Job, target: Target, copies: Iterable[Copy]) -> str:
    """A text for the measurements and fields that are too old to be looked at: without them nothing is whole."""
    if job.options.incremental.obsolete_threshold is None and job.options.field_obsolete_threshold is None:
        return ""
    chosen = {(copy.source.measurement, name) for copy in copies for name in copy.types}
    named = {(m, name) for m, types in wanted_fields(job, target.source_types).items() for name in types}
    return repr(sorted(named - chosen))


@dataclass(frozen=True, slots=True)
class Lateness:
    """Of one measurement: the windows to copy again, oldest first, and how many values only the destination has.

    Or why that is not known.
    """

    windows: tuple[Window, ...] = ()
    extra: int = 0
    problem: str = ""


class LookBack:
    """Looks for late data of one job, in a run whose time is `now` (nanoseconds)."""

    def __init__(self, job: Job, comparer: Comparer, now: int, memory: Memory, prover: Prover) -> None:
        self._comparer = comparer
        self._prover = prover
        self._now = now
        self._job = job
        self._memory = memory
        self._times = job.options.incremental
        self._is_off = job.options.range is not None or job.source.group_by is not None or not self._times.lookback
        self._has_told_sight = False
        self._surplus: list[Span] = []
        """Where only the destination has values: told in every run, so compared in every run, but not closely."""
        self._coming: list[Span] = []
        """Where it lacks values that are not late: they are about to be copied, and then have to be there."""
        self._asked: dict[Location, list[Span]] = {}
        """What was compared of a measurement: when it is looked at again, that is what is compared again."""

    def find(self, copies: Sequence[Copy]) -> dict[Location, Lateness]:
        """What is late of the measurements of one retention policy; those of which nothing is are left out.

        Raises InfluxError when a server does not answer.
        """
        there = [replace(copy, refusals=()) for copy in copies if copy.resumed]
        if self._is_off or not there or self._prover.is_still:
            return {}
        target = there[0].target
        groups = sorted({g for groups in self._comparer.shard_groups(there, self._now) for g in groups})
        proved = self._prover.prove(copies, groups)
        states = self._prover.states  # the newest ones: those that the proof rests on
        obsolete = left_out(self._job, target, copies)
        signed = {} if states is None else memory.unknown(self._memory, target, groups, states, obsolete)
        due = set(groups) if proved is not None else self._due(groups, signed, states, there)
        self._surplus.clear()
        self._coming.clear()
        try:
            found = self._find(there, due)
        except InfluxError as error:
            if error.retryable:
                raise error.during("looking for late data") from error
            found = {copy.source: self._find_of_one(copy, due) for copy in there}
        if self._surplus:
            self._prover.doubt()
        self._remember(target, {group: text for group, text in signed.items() if due and group in due}, found)
        return {source: lateness for source, lateness in found.items() if lateness != Lateness()}

    def _due(
        self,
        groups: Sequence[Span],
        signed: Mapping[Span, str],
        states: tuple[ShardStates, ShardStates] | None,
        copies: Sequence[Copy],
    ) -> set[Span] | None:
        """The groups to compare; None: as far back as something is found.

        Where the times of shards are not told, a change in any but the latest one makes all of them due. So does
        one in the latest, unless that can be the present one: whoever imports old points makes it, too. Where they
        are told, one of the others is due too, by chance: points that are deleted from files change neither
        counters nor sizes before the files are compacted, hours later.
        """
        if states is None:
            self._tell_sight()
            return None
        if any(side.is_blind for side in states):
            is_old = any(group.end <= self._now - max(DAY, self._times.lookback) for group in signed)
            return set(groups) if is_old or (signed and not self._goes_on(copies)) else None
        quiet = [group for group in groups if group not in signed]
        return {*signed, *([random.choice(quiet)] if quiet else [])}  # noqa: S311

    def _goes_on(self, copies: Sequence[Copy]) -> bool:
        """Whether the source surely has points of the last day that are newer than all that was copied."""
        newest = max(min(time, self._now) for copy in copies for time in copy.resumed.values())
        since = max(newest, self._now - DAY) + 1
        selected = replace(copies[0].target, source_types={c.source.measurement: c.types for c in copies})
        try:
            found = self._comparer.newer_points(copies[0].source.database, selected, (since, self._now + 1))
        except QueryRefused:  # fields that cannot be counted
            return False
        return found[since] > found[self._now + 1]

    def _tell_sight(self) -> None:
        if not self._has_told_sight:
            self._has_told_sight = True
            logger.info(
                "no right to see at both servers which shards were written to (that takes an administrator): late "
                "data is looked for in the last %s, and further back as long as something is found",
                describe(Span(self._now - self._times.lookback, self._now)),
            )

    def _remember(self, target: Target, due: Mapping[Span, str], found: Mapping[Location, Lateness]) -> None:
        """Groups that are equal, all of them, need no look until somebody writes to them."""
        if any(lateness.problem for lateness in found.values()):
            return
        late = [window.span for lateness in found.values() for window in lateness.windows]
        unequal = [*late, *self._surplus, *self._coming]
        equal = {g: s for g, s in due.items() if all(w.end <= g.start or w.start >= g.end for w in unequal)}
        self._memory.remember(target, equal)

    def _find_of_one(self, copy: Copy, due: Set[Span] | None) -> Lateness:
        """One measurement that cannot be compared does not keep the others from going on."""
        try:
            return self._find([copy], due).get(copy.source, Lateness())
        except InfluxError as error:
            return Lateness(problem=f"copy {copy.source}: looking for late data: {error}")

    def _find(self, copies: Sequence[Copy], due: Set[Span] | None) -> dict[Location, Lateness]:
        self._asked.clear()
        found = self._lateness(copies, due)
        # points that are never sent are not late
        lacking = [copy for copy in copies if found[copy.source].windows]
        tags = self._comparer.unstorable_tags(lacking)
        refused = [replace(copy, unstorable=t) for copy, t in zip(lacking, tags, strict=True) if t]
        again = self._lateness(refused, due) if refused else {}
        if refused:
            self._prover.doubt()
        for copy in refused:
            never_sent = sum(w.missing for w in found[copy.source].windows)
            found[copy.source] = again[copy.source]
            never_sent -= sum(w.missing for w in found[copy.source].windows)
            logger.warning(
                "%s: values of tag %s cannot be kept by InfluxDB; "
                "at least %s field values are not at the destination",
                copy.source,
                ", ".join(map(printable, copy.unstorable)),
                f"{never_sent:,}",
            )
        return found

    def _lateness(self, copies: Sequence[Copy], due: Set[Span] | None) -> dict[Location, Lateness]:
        look_backs = self._planned(copies, due)
        extras: Counter[Location] = Counter()
        self._compare(look_backs, extras, is_all=due is not None)
        windows, more = self._resolved([window for look_back in look_backs for window in look_back.differing])
        return {
            copy.source: Lateness(
                tuple(w for w in windows if w.copy.source == copy.source),
                extras[copy.source] + more[copy.source],
            )
            for copy in copies
        }

    def _resolved(self, differing: Sequence[Window]) -> tuple[list[Window], Counter[Location]]:
        """Inside windows that differ those to copy, oldest first, and how many values only the destination has.

        A window in which nothing else differs is looked at again only when it has changed. One that lacks what is
        about to be copied is not such: nobody knows yet whether that will arrive.
        """
        extras: Counter[Location] = Counter()
        found: list[Window] = []
        lacking: list[Window] = []
        inside: Counter[tuple[Location, Span]] = Counter()

        def note(window: Window, extra: int) -> None:
            extras[window.copy.source] += extra
            self._surplus += [window.span] * bool(extra)
            inside.update({(top.copy.source, top.span): extra for top in differing if _holds(top, window)})

        def is_open(window: Window) -> bool:
            known = self._memory.known_extra(window)
            note(window, known or 0)
            return window.differs and known is None

        calm: list[tuple[Window, int]] = []
        for leaf in self._comparer.narrow(differing, is_open, self._is_small):
            window, extra, is_lacking = self._judged(wanted(leaf))
            found += [window] if window.is_to_copy else []
            lacking += [window] if is_lacking else []
            calm += [] if is_lacking else [(window, extra)]
            note(window, extra)
        self._coming += [window.span for window in lacking if not window.is_to_copy]
        tops = [top for top in differing if not any(_holds(top, window) for window in lacking)]
        self._accept([*calm, *((top, inside[top.copy.source, top.span]) for top in tops)])
        return sorted(found, key=lambda window: window.span), extras

    def _is_small(self, window: Window) -> bool:
        """Whether to look at its values, or copy it as a whole: it holds little, or most of it is missing.

        Late points are mostly few and young, so the last day is cut into hours first.
        """
        is_cut = window.span.length <= HOUR or window.span.end <= self._now - DAY
        return (is_cut and window.is_small) or 2 * wanted(window).missing >= window.values

    def _judged(self, window: Window) -> tuple[Window, int, bool]:
        """The window with what it really lacks of late values, how many values only the destination has in it, and
        whether it lacks anything at all.

        Those of a window that is copied are counted when it is looked at after that. Where counts alone say that
        it lacks some, nothing is read: it is copied.
        """
        if window.lacks:
            resumed = window.copy.resumed
            fields = sorted(name for name in window.copy.types if name in resumed)
            return replace(window, fields=tuple(fields)), 0, True
        found = Counter(
            (mismatch.kind, mismatch.field, is_late(window.copy, mismatch))
            for mismatch in self._comparer.compare_values(window.copy, window.span)
        )
        kinds = {
            kind: {name: n for (k, name, late), n in found.items() if k == kind and late}
            for kind in ("missing", "different")
        }
        extra = sum(n for (kind, *_), n in found.items() if kind == "extra")
        is_lacking = any(kind != "extra" for kind, *_ in found)
        judged = replace(window, lacks=kinds["missing"], changed=kinds["different"])
        return (judged, 0, True) if judged.is_to_copy else (judged, extra, is_lacking)

    def _accept(self, calm: Sequence[tuple[Window, int]]) -> None:
        """Remember windows that lack nothing, and how many values only the destination has in them.

        Only where they still are what was seen before their values were looked at: one that has changed meanwhile
        may have lacked something then, and the same again later.
        """
        again = self._comparer.look([Question(window.copy, window.span) for window, _ in calm])
        for (window, extra), now in zip(calm, again, strict=True):
            if [seen.mark for seen in now] == [window.mark]:
                self._memory.accept(window, extra)

    def over(self, copy: Copy, span: Span, now: int) -> Lateness:
        """What the destination lacks of a range that was copied until `now`, and what only it has there.

        Left out is what comes while a run goes on, and what a retention policy gives up meanwhile. Raises
        InfluxError.
        """
        whole = replace(copy, resumed=dict.fromkeys(copy.types, END_OF_TIME))
        (groups,) = self._comparer.shard_groups([whole], max(self._now, span.end))
        edges = [edge for group in copy.target.written_groups or () for edge in (group.start, group.end)]
        stretches = [
            span.clip(comparable_since(copy.target, now), self._now - STILL_COMING),
            span.clip(self._now + STILL_COMING, END_OF_TIME),
        ]
        parts = [p for g in groups for s in stretches for p in cut_at(g.clip(s.start, s.end), edges)]
        found = [w for windows in self._comparer.look([Question(whole, p) for p in parts]) for w in windows]
        known = [self._memory.known_extra(window) for window in found]
        open_ones = [w for w, extra in zip(found, known, strict=True) if w.differs and extra is None]
        left, extras = self._resolved(open_ones)
        return Lateness(tuple(left), sum(extra or 0 for extra in known) + sum(extras.values()))

    def settle(self, windows: Sequence[Window]) -> Lateness:
        """What the destination still lacks in these windows after they were copied, and what only it has there."""
        again = self._comparer.look([Question(w.copy, w.span) for w in windows])
        differing = [w for found in again for w in found if w.differs and self._memory.known_extra(w) is None]
        left, extras = self._resolved(differing)
        return Lateness(tuple(left), sum(extras.values()))

    def lacking(self, windows: Iterable[Window]) -> Iterator[Lack]:
        """The late values that the destination lacks, or has others of, in these windows, of what is copied there.

        Raises InfluxError.
        """
        for window in windows:
            wanted_fields = window.fields or window.lacking
            for mismatch in self._comparer.compare_values(window.copy, window.span):
                is_lacking = mismatch.kind != "extra" and is_late(window.copy, mismatch)
                if is_lacking and mismatch.field in wanted_fields:
                    yield mismatch.time, mismatch.tags, mismatch.field, mismatch.source

    def _planned(self, copies: Sequence[Copy], due: Set[Span] | None) -> list[MeasurementLookBack]:
        kept_since = comparable_since(copies[0].target, self._now)
        first: list[dict[str, int]] = [{}] * len(copies)
        fallback = fallback_since(self._times, self._now)
        if fallback is not None:
            found = self._comparer.edges_at_destination("first", copies, unknowable=MIN_TIME)
            first = [{name: min(time, fallback) for name, time in times.items()} for times in found]
        return [
            plan_look_back(
                copy,
                groups if due is None else [group for group in groups if group in due],
                Limits(
                    self._now,
                    self._times.lookback,
                    max(kept_since, min(since.values(), default=MIN_TIME)),
                    *self._prover.proved,
                ),
            )
            for copy, groups, since in zip(
                copies, self._comparer.shard_groups(copies, self._now), first, strict=True
            )
        ]

    def _compare(
        self, look_backs: Sequence[MeasurementLookBack], extras: Counter[Location], *, is_all: bool
    ) -> None:
        """Compare the last day and the groups: all of them, or as far back as something is found.

        In the latter case one older shard group is compared too, so that in the course of many runs all are.
        """
        again = [(look_back, self._asked.pop(look_back.copy.source, ())) for look_back in look_backs]
        look_backs = [look_back for look_back, spans in again if not spans]
        self._look([(look_back, span) for look_back, spans in again for span in spans], extras)
        self._look([(look_back, span) for look_back in look_backs for span in look_back.recent], extras)
        if is_all:
            self._look([(look_back, span) for look_back in look_backs for span in look_back.groups], extras)
            return
        active = list(look_backs)
        while active:
            self._look([(look_back, group) for look_back in active for group in look_back.next_groups()], extras)
            active = [look_back for look_back in active if look_back.groups and not look_back.settled]
        left = [look_back for look_back in look_backs if look_back.groups]
        self._look([(look_back, random.choice(look_back.groups)) for look_back in left], extras)  # noqa: S311

    def _look(self, asked: Sequence[tuple[MeasurementLookBack, Span]], extras: Counter[Location]) -> None:
        for look_back, span in asked:
            self._asked.setdefault(look_back.copy.source, []).append(span)
        answers = self._comparer.look([Question(look_back.copy, span) for look_back, span in asked])
        for (look_back, _), windows in zip(asked, answers, strict=True):
            for window in windows:
                self._prover.seen(window.span, window.values)
                known = self._memory.known_extra(window)
                extras[window.copy.source] += known or 0
                self._surplus += [window.span] * bool(known)
                look_back.see(window, is_open=window.differs and known is None)


def _holds(outer: Window, inner: Window) -> bool:
    return (
        outer.copy.source == inner.copy.source
        and outer.span.start <= inner.span.start
        and inner.span.end <= outer.span.end
    )
