"""Whether both sides of a job hold the same: by fingerprints of each series, or value by value."""

import logging
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from basics.humanize import counted
from basics.spans import Span, describe
from basics.stopping import StopRequest
from basics.text import printable
from basics.times import END_OF_TIME, MIN_TIME, MINUTE
from checking.progress import Progress
from checking.verdict import Difference, JobVerdict, Scope, Verdict
from config import Config
from copying.compare import Comparer
from copying.mismatches import Mismatch
from copying.planner import Planner
from copying.retention import comparable_since
from copying.task import Copy, Target
from copying.windows import Question, Window, comparable_types
from influx import shard_groups
from influx.errors import AccessDenied, InfluxError
from influx_client import InfluxClient

logger = logging.getLogger(__name__)

LAG = MINUTE
"""The newest points are not compared unless asked for: they may not have been copied yet."""

SETTLE = 3.0
"""Seconds before a difference is looked at again, so that writes on their way can arrive."""

MOST = 1000
"""How many stretches that differ are kept apart for a measurement; further ones are joined to the last."""

BATCH = 200
"""How many windows are compared in one go, so that a time limit is noticed."""


@dataclass(slots=True)
class Tally:
    """What has been seen of one measurement so far."""

    copy: Copy
    spans: tuple[Span, ...] = ()
    source: int = 0
    destination: int = 0
    windows: int = 0
    of: int = 0
    differences: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def verdict(self) -> Verdict:
        """The same as a value. Names that cannot be kept are missing over the whole time."""
        span = Span(self.spans[0].start, self.spans[-1].end) if self.spans else Span(MIN_TIME, END_OF_TIME)
        lost = tuple(Difference(span, (r.name,), missing=r.points) for r in self.copy.refusals if r.points)
        return Verdict(
            str(self.copy.source),
            self.source,
            self.destination,
            self.windows,
            self.of,
            (*lost, *self.differences),
            tuple(self.problems),
        )


class Verifier:
    """Compares the two servers of one job. `tallies` hold what was found of each measurement."""

    def __init__(
        self, config: Config, source: InfluxClient, destination: InfluxClient, scope: Scope, stopping: StopRequest
    ) -> None:
        self._job = config.job
        self._source = source
        self._destination = destination
        self.scope = scope
        self._stopping = stopping
        self.now = time.time_ns()
        self._planner = Planner(config.job, source, destination, self.now)
        self._comparer = Comparer(source, destination)
        self._problems: list[str] = []
        self.tallies: list[Tally] = []
        self.progress = Progress()
        self._begun = time.monotonic()

    # ------------------------------------------------------------ comparing

    def verify(self) -> JobVerdict:
        """Compare, look a second time at what differs, and say what came of it. Raises nothing of InfluxDB's."""
        if self._job.source.group_by:
            self._problems.append("source.group_by: means cannot be compared with the points they stand for")
            return self._verdict()
        try:
            self.tallies = [Tally(copy, spans) for copy, spans in self._plan()]
            suspects = self._first_look()
            if suspects and not self._stopping.is_set():
                self._stopping.wait(SETTLE)
            self._second_look(suspects)
        except InfluxError as error:
            self._problems.append(str(error))
        if self._stopping.is_set():
            self._problems.append("stopped before the end")
        return self._verdict()

    def _verdict(self) -> JobVerdict:
        how = "every value" if self.scope.full else "fingerprints"
        measurements = tuple(tally.verdict() for tally in self.tallies)
        seconds = time.monotonic() - self._begun
        notes = () if self.scope.full else tuple(_unfelt(self.tallies))
        return JobVerdict(self._job.name, self._span(), how, measurements, tuple(self._problems), seconds, notes)

    def _span(self) -> Span:
        """The times to compare, before retention policies are looked at."""
        limits = self._job.options.range
        start, end = (limits.start, limits.end) if limits else (MIN_TIME, END_OF_TIME)
        start = start if self.scope.start is None else self.scope.start
        end = min(end, self.now - LAG) if self.scope.end is None else self.scope.end
        return Span(start, max(start, end))

    def _plan(self) -> Iterator[tuple[Copy, tuple[Span, ...]]]:
        """Each measurement with the windows to compare: the shard groups of both sides."""
        names = [d.name for d in self._job.source.databases] or self._source.get_databases()
        for name in names:
            try:
                target = self._job.source.destination_name(name)
                known = self._planner.policies
                policies = [*known.foresee(name, target), *known.foreign(name, target)]
                self._check_sight(target, policies)
                for policy in policies:
                    yield from self._plan_policy(name, policy)
            except InfluxError as error:
                self._problems.append(f"database {name}: {error}")

    def _check_sight(self, target: str, policies: Sequence[Target]) -> None:
        """What the user may not see must not be taken for missing."""
        if any(policy.is_new for policy in policies) and target not in self._destination.get_databases():
            try:
                self._destination.check_admin()
            except AccessDenied as error:
                raise AccessDenied(f"{target} is not there, or the user may not see it ({error})") from error

    def _plan_policy(self, database: str, target: Target) -> Iterator[tuple[Copy, tuple[Span, ...]]]:
        span = self._span()
        if self.scope.start is None:
            span = span.clip(comparable_since(target, self.now), END_OF_TIME)
        copies = self._planner.compared(database, target, span)
        known: dict[tuple[int, tuple[Span, ...]], tuple[Span, ...]] = {}
        for copy, groups, start in zip(
            copies, self._comparer.shard_groups(copies, self.now), self._starts(copies, span), strict=True
        ):
            if (start, groups) not in known:
                known[start, groups] = self._windows(copy, groups, Span(start, span.end))
            yield copy, known[start, groups]

    def _windows(self, copy: Copy, groups: Sequence[Span], span: Span) -> tuple[Span, ...]:
        target = copy.target
        spans = shard_groups.data_spans((*groups, *(target.written_groups or ())), self.now, exact=True)
        if target.groups is None or target.written_groups is None:
            spans = shard_groups.with_gaps(spans)
        return shard_groups.calculate_date_ranges(span.start, span.end, spans)

    def _starts(self, copies: Sequence[Copy], span: Span) -> list[int]:
        """From when each copy is compared: with `fallback_days` from then, or its first point there."""
        fallback = self._planner.fallback
        if self.scope.start is not None or fallback is None:
            return [span.start] * len(copies)
        first = self._comparer.edges_at_destination("first", copies, unknowable=MIN_TIME)
        return [max(span.start, min([fallback, *times.values()])) for times in first]

    def _questions(self) -> list[tuple[Tally, Span]]:
        """The windows to look at: all, or a random share of them."""
        asked: list[tuple[Tally, Span]] = []
        for tally in self.tallies:
            problem = self._cannot_compare(tally.copy)
            tally.problems += problem
            tally.of = len(tally.spans)
            if not problem or not self.scope.full:
                asked += [(tally, span) for span in tally.spans]
        count = max(1, round(len(asked) * self.scope.share))
        if count < len(asked):
            asked = random.sample(asked, count)
        elif self.scope.seconds is not None:
            random.shuffle(asked)
        return asked

    def _cannot_compare(self, copy: Copy) -> list[str]:
        """Why some fields of this measurement cannot be compared."""
        if not self.scope.full:
            names = sorted(copy.types.keys() - comparable_types(copy).keys())
            shown = ", ".join(map(printable, names))
            return [f"{copy.source}: fingerprints cannot tell apart the types of {shown}; use --full"] * bool(
                names
            )
        hidden = copy.target.groups is None or (copy.target.written_groups is None and not copy.target.is_new)
        if copy.is_mixed and hidden:
            return [f"{copy.source}: fields of several types, and the user may not see shard groups; use an admin"]
        return []

    def _first_look(self) -> list[tuple[Tally, Window]]:
        """Compare everything; in full, the values too. Returns the windows that differ."""
        suspects: list[tuple[Tally, Window]] = []
        questions = self._questions()
        self.progress.begin("comparing", len(questions))
        for begin in range(0, len(questions), BATCH):
            if self._is_over():
                break
            suspects += self._look_at(questions[begin : begin + BATCH])
            self.progress.done()
        if not any(tally.windows for tally in self.tallies):
            self._problems.append("there was no time to compare anything" if questions else "nothing to compare")
        return suspects

    def _is_over(self) -> bool:
        limit = self.scope.seconds
        return self._stopping.is_set() or (limit is not None and time.monotonic() - self._begun > limit)

    def _look_at(self, batch: Sequence[tuple[Tally, Span]]) -> Iterator[tuple[Tally, Window]]:
        answers = self._comparer.look([Question(tally.copy, span) for tally, span in batch])
        self.progress.batch(len(batch), _values(window for windows in answers for window in windows))
        with ThreadPoolExecutor(self._job.options.parallel_workers) as pool:
            for (tally, _), windows in zip(batch, answers, strict=True):
                differing = list(pool.map(self._differs, windows))
                tally.windows += None not in differing
                for window, differs in zip(windows, differing, strict=True):
                    if differs is not None:
                        tally.source += sum(window.source.values())
                        tally.destination += sum(window.destination.values())
                    if differs:
                        yield tally, window

    def _differs(self, window: Window) -> bool | None:
        """Whether the two sides differ in it; None when there was no time to look."""
        if window.differs:
            return True
        if not self.scope.full or (_is_clear(window.copy) and not window.values):
            return False
        if self._is_over():
            return None
        read = self.progress.reading()
        try:
            if next(self._comparer.compare_values(window.copy, window.span, read), None) is not None:
                return True
            return not _adds_up(window, read)
        finally:
            self.progress.read(read)

    def _second_look(self, suspects: Sequence[tuple[Tally, Window]]) -> None:
        """What still differs, as narrow as it can be told. Without time or answers, as it was at first."""
        self.progress.begin("looking closer", len(suspects))
        for tally, windows in _by_tally(suspects):
            if self._is_over():
                tally.differences = join(map(_coarse, windows))
                continue
            try:
                tally.differences = join(self._confirmed(tally, windows))
            except InfluxError as error:
                tally.differences = join(map(_coarse, windows))
                tally.problems.append(f"{tally.copy.source}: {error}")

    def _confirmed(
        self, tally: Tally, windows: Sequence[Window], *, at_any_time: bool = False
    ) -> Iterator[Difference]:
        for begin in range(0, len(windows), BATCH):
            part = windows[begin : begin + BATCH]
            again = self._comparer.look([Question(tally.copy, before.span) for before in part])
            for before, found in zip(part, again, strict=True):
                if self._is_over() and not at_any_time:
                    yield _coarse(before)
                    continue
                self.progress.batch(1, _values(found))
                for window in found:
                    yield from self._exactly(tally, window, at_any_time=at_any_time)
                self.progress.done()

    def _exactly(self, tally: Tally, window: Window, *, at_any_time: bool) -> Iterator[Difference]:
        """What differs in a window, in true numbers, or in bounds when there is no time to look closer."""
        if self.scope.full:
            yield from self._mismatches(tally, window)
            return
        if not window.differs:
            return
        leaves = self._comparer.narrow([window], lambda part: part.differs, _is_small)
        for leaf in sorted(leaves, key=lambda leaf: leaf.span):
            if self._is_over() and not at_any_time:
                yield _coarse(leaf)
            elif not (leaf.source and leaf.destination):
                yield _difference(leaf)
            else:
                yield from stretches(self._comparer.compare_values(leaf.copy, leaf.span))

    def _mismatches(self, tally: Tally, window: Window) -> Iterator[Difference]:
        """What differs in a window, value by value, unless it is plain that one side lacks all of it."""
        if _is_clear(window.copy) and not (window.source and window.destination):
            if window.values:
                yield _difference(window)
            return
        read: Counter[str] = Counter()
        found = False
        for difference in stretches(self._comparer.compare_values(window.copy, window.span, read)):
            found = True
            yield difference
        if not found and not _adds_up(window, read):
            tally.problems.append(
                f"{tally.copy.source}: counted {counted(sum(window.source.values()), 'value')} at the source and "
                f"{sum(window.destination.values()):,} at the destination, but {read['source']:,} and "
                f"{read['destination']:,} can be read in {describe(window.span)}"
            )

    # ------------------------------------------------------------ after a repair

    def verify_again(self) -> JobVerdict:
        """Look again at what differed, and at nothing else."""
        repaired = 0
        self.progress.begin("looking again", sum(len(tally.differences) for tally in self.tallies))
        for tally in self.tallies:
            before = tally.differences
            try:
                windows = [Window(tally.copy, difference.span) for difference in before]
                tally.differences = join(self._confirmed(tally, windows, at_any_time=True))
            except InfluxError as error:
                self._problems.append(str(error))
            gained = sum(d.missing for d in before) - sum(d.missing for d in tally.differences)
            tally.destination += max(0, gained)
            repaired += max(
                0, gained + sum(d.different for d in before) - sum(d.different for d in tally.differences)
            )
        return replace(self._verdict(), repaired=repaired)


def _by_tally(suspects: Iterable[tuple[Tally, Window]]) -> Iterator[tuple[Tally, list[Window]]]:
    found: dict[int, tuple[Tally, list[Window]]] = {}
    for tally, window in suspects:
        found.setdefault(id(tally), (tally, []))[1].append(window)
    for tally, windows in found.values():
        yield tally, sorted(windows, key=lambda window: window.span)


def _values(windows: Iterable[Window]) -> int:
    """How many values both sides have in them together."""
    return sum(sum(window.source.values()) + sum(window.destination.values()) for window in windows)


def _adds_up(window: Window, read: Counter[str]) -> bool:
    """Whether all values that were counted could be read: where shard groups overlap, queries drop some."""
    counted = (sum(window.source.values()), sum(window.destination.values()))
    return not _is_clear(window.copy) or counted == (read["source"], read["destination"])


def _is_small(window: Window) -> bool:
    """Whether a window need not be narrowed: one side has nothing in it, or it is soon read."""
    return not (window.source and window.destination) or window.is_small


def _is_clear(copy: Copy) -> bool:
    """Whether counting sees all of its fields."""
    return comparable_types(copy).keys() == copy.types.keys()


def _unfelt(tallies: Sequence[Tally]) -> Iterator[str]:
    """What the verdict does not speak of."""
    kinds = {type_ for tally in tallies for types in tally.copy.types.values() for type_ in types}
    if kinds & {"string", "boolean"}:
        yield "of text and boolean fields number and times of the values were compared; --full compares each value"


def _difference(window: Window) -> Difference:
    fields = tuple(sorted(window.lacks.keys() | window.exceeds.keys()))
    return Difference(window.span, fields, missing=window.missing, extra=window.extra)


def _coarse(window: Window) -> Difference:
    """A window that is known to differ, but not how much."""
    difference = replace(_difference(window), at_least=True)
    is_counted = difference.missing or difference.extra
    return difference if is_counted else replace(difference, fields=tuple(window.copy.types), different=1)


def stretches(mismatches: Iterable[Mismatch]) -> Iterator[Difference]:
    """Values that differ as stretches of time: those without an equal point between them are one."""
    current: Difference | None = None
    for mismatch in mismatches:
        single = Difference(
            Span(mismatch.time, mismatch.time + 1),
            (mismatch.field,),
            missing=int(mismatch.kind == "missing"),
            extra=int(mismatch.kind == "extra"),
            different=int(mismatch.kind == "different"),
        )
        if current and mismatch.is_next:
            current = _joined(current, single)
        else:
            if current:
                yield current
            current = single
    if current:
        yield current


def join(differences: Iterable[Difference]) -> list[Difference]:
    """Those (oldest first) that touch as one, and no more than `MOST` of them."""
    joined: list[Difference] = []
    for difference in differences:
        last = joined[-1] if joined else None
        if last and (difference.span.start <= last.span.end or len(joined) == MOST):
            joined[-1] = _joined(last, difference)
        else:
            joined.append(difference)
    return joined


def _joined(one: Difference, other: Difference) -> Difference:
    fields = one.fields if set(other.fields) <= set(one.fields) else tuple(sorted({*one.fields, *other.fields}))
    return Difference(
        Span(one.span.start, max(one.span.end, other.span.end)),
        fields,
        one.missing + other.missing,
        one.extra + other.extra,
        one.different + other.different,
        at_least=one.at_least or other.at_least,
    )
