"""`main.py verify` and `repair`: whether both sides of a job hold the same, and copying again what differs."""

import logging
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from types import FrameType

import timeline
from answers import InfluxError
from backup import BackupManager
from compare import Comparer, Mismatch, Question, Window, comparable_types
from config import Config
from influx_client import COUNT_CELLS, InfluxClient
from influxql import printable
from plan import Copy, Planner, Target, comparable_since
from report import MeasurementResult
from stopping import StopRequest
from timeline import END_OF_TIME, MIN_TIME, MINUTE, Segment, Span
from verdict import Difference, JobVerdict, Scope, Verdict, table, unchecked
from worker import connect

logger = logging.getLogger(__name__)

LAG = MINUTE
"""The newest points are not compared unless asked for: they may not have been copied yet."""

SETTLE = 3.0
"""Seconds before a difference is looked at again, so that writes on their way can arrive."""

SMALL = 1000
"""A window of so many values is not cut into smaller ones to find where it differs."""

MOST = 1000
"""How many stretches that differ are kept apart for a measurement; further ones are joined to the last."""

BATCH = 200
"""How many windows are counted in one go, so that a time limit is noticed."""


@dataclass(slots=True)
class _Tally:
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
        lost = tuple(
            Difference(Span(MIN_TIME, END_OF_TIME - 1), (r.name,), missing=r.points)
            for r in self.copy.refusals
            if r.points
        )
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
    """Compares the two servers of one job; `repair` copies what the last comparison found."""

    def __init__(
        self, config: Config, source: InfluxClient, destination: InfluxClient, scope: Scope, stopping: StopRequest
    ) -> None:
        self._config = config
        self._job = config.job
        self._source = source
        self._destination = destination
        self._scope = scope
        self._stopping = stopping
        self._now = time.time_ns()
        self._planner = Planner(config.job, source, destination, self._now)
        self._comparer = Comparer(source, destination)
        self._problems: list[str] = []
        self._tallies: list[_Tally] = []
        self._begun = time.monotonic()

    # ------------------------------------------------------------ comparing

    def verify(self) -> JobVerdict:
        """Compare, look a second time at what differs, and say what came of it. Raises nothing of InfluxDB's."""
        if self._job.source.group_by:
            self._problems.append("source.group_by: means cannot be compared with the points they stand for")
            return self._verdict()
        try:
            self._tallies = [_Tally(copy, spans) for copy, spans in self._plan()]
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
        how = "every value" if self._scope.full else "counts"
        measurements = tuple(tally.verdict() for tally in self._tallies)
        seconds = time.monotonic() - self._begun
        return JobVerdict(self._job.name, self._span(), how, measurements, tuple(self._problems), seconds)

    def _span(self) -> Span:
        """The times to compare, before retention policies are looked at."""
        limits = self._job.options.range
        start, end = (limits.start, limits.end) if limits else (self._planner.fallback or MIN_TIME, END_OF_TIME)
        start = start if self._scope.start is None else self._scope.start
        end = min(end, self._now - LAG) if self._scope.end is None else self._scope.end
        return Span(start, max(start, end))

    def _plan(self) -> Iterator[tuple[Copy, tuple[Span, ...]]]:
        """Each measurement with the windows to compare: the shard groups of both sides."""
        names = [d.name for d in self._job.source.databases] or self._source.get_databases()
        for name in names:
            try:
                for target in self._planner.foresee(name, self._job.source.destination_name(name)):
                    yield from self._plan_policy(name, target)
            except InfluxError as error:
                self._problems.append(f"database {name}: {error}")

    def _plan_policy(self, database: str, target: Target) -> Iterator[tuple[Copy, tuple[Span, ...]]]:
        copies = self._planner.compared(database, target)
        span = self._span()
        if self._scope.start is None:
            span = span.clip(comparable_since(target, self._now), END_OF_TIME)
        for copy, groups in zip(copies, self._comparer.shard_groups(copies, self._now), strict=True):
            spans = timeline.data_spans((*groups, *target.written_groups), self._now, exact=True)
            if not target.written_groups and not target.is_new:
                spans = timeline.with_gaps(spans)
            yield copy, timeline.calculate_date_ranges(span.start, span.end, spans)

    def _questions(self) -> list[tuple[_Tally, Question]]:
        """The windows to look at: all, or a random share of them."""
        asked = []
        for tally in self._tallies:
            problem = self._cannot_compare(tally.copy)
            tally.problems += problem
            tally.of = len(tally.spans)
            if not problem or not self._scope.full:
                asked += [(tally, Question(tally.copy, span)) for span in tally.spans]
        count = max(1, round(len(asked) * self._scope.share))
        if count < len(asked):
            asked = random.sample(asked, count)
        elif self._scope.seconds is not None:
            random.shuffle(asked)
        return asked

    def _cannot_compare(self, copy: Copy) -> list[str]:
        """Why some fields of this measurement cannot be compared."""
        if not self._scope.full:
            names = sorted(copy.types.keys() - comparable_types(copy).keys())
            shown = ", ".join(map(printable, names))
            return [f"{copy.source}: counting cannot tell apart the types of {shown}; use --full"] * bool(names)
        hidden = copy.target.groups is None or (not copy.target.written_groups and not copy.target.is_new)
        if copy.is_mixed and hidden:
            return [f"{copy.source}: fields of several types, and the user may not see shard groups; use an admin"]
        return []

    def _first_look(self) -> list[tuple[_Tally, Window]]:
        """Count everything; in full, compare the values. Returns the windows that differ."""
        suspects: list[tuple[_Tally, Window]] = []
        questions = self._questions()
        width = max((len(question.copy.types) for _, question in questions), default=1)
        size = max(1, min(BATCH, COUNT_CELLS // width))
        for begin in range(0, len(questions), size):
            if self._is_over():
                break
            suspects += self._look_at(questions[begin : begin + size])
        if questions and not any(tally.windows for tally in self._tallies):
            self._problems.append("there was no time to compare anything")
        return suspects

    def _is_over(self) -> bool:
        limit = self._scope.seconds
        return self._stopping.is_set() or (limit is not None and time.monotonic() - self._begun > limit)

    def _look_at(self, batch: Sequence[tuple[_Tally, Question]]) -> Iterator[tuple[_Tally, Window]]:
        answers = self._comparer.count([question for _, question in batch])
        windows = [
            found[0] if found else Window(q.copy, q.span) for (_, q), found in zip(batch, answers, strict=True)
        ]
        with ThreadPoolExecutor(self._job.options.parallel_workers) as pool:
            for (tally, _), window, differs in zip(batch, windows, pool.map(self._differs, windows), strict=True):
                if differs is not None:
                    tally.windows += 1
                    tally.source += sum(window.source.values())
                    tally.destination += sum(window.destination.values())
                if differs:
                    yield tally, window

    def _differs(self, window: Window) -> bool | None:
        """Whether the two sides differ in it; None when there was no time to look."""
        if _is_unequal(window):
            return True
        if not self._scope.full or (_is_clear(window.copy) and not window.values):
            return False
        if self._is_over():
            return None
        return next(self._comparer.compare_values(window.copy, window.span), None) is not None

    def _second_look(self, suspects: Sequence[tuple[_Tally, Window]]) -> None:
        """What still differs, as narrow as it can be told."""
        for tally, windows in _by_tally(suspects):
            # by series, because more values of one can hide that another lacks some
            questions = [Question(w.copy, w.span, by_series=True) for w in windows]
            again = list(chain.from_iterable(self._comparer.count(questions)))
            found: Iterator[Difference]
            if self._scope.full:
                found = chain.from_iterable(map(self._mismatches, again))
            else:
                unequal = filter(_is_unequal, again)
                narrowed = self._comparer.narrow(unequal, _is_unequal, lambda window: window.values <= SMALL)
                found = iter(sorted(map(_difference, narrowed), key=lambda d: d.span))
            tally.differences = join(found)

    def _mismatches(self, window: Window) -> Iterator[Difference]:
        """What differs in a window, value by value, unless it is plain that one side lacks all of it."""
        if _is_clear(window.copy) and not (window.source and window.destination):
            return iter([_difference(window)] if window.values else [])
        return stretches(self._comparer.compare_values(window.copy, window.span))

    # ------------------------------------------------------------ repairing

    def repairs(self) -> list[str]:
        """What a repair would copy, a line for each measurement."""
        lines = []
        for tally in self._tallies:
            found = _repairable(tally.differences)
            if found:
                values = sum(d.missing + d.different for d in found)
                lines.append(
                    printable(f"  {tally.copy.source}: {values:,} values in {len(found):,} stretches of time")
                )
        return lines

    def repair(self) -> list[MeasurementResult]:
        """Copy the stretches in which the destination lacks values or has others. Deletes nothing."""
        manager = BackupManager(
            self._config, self._source, self._destination, now=self._now, stopping=self._stopping
        )
        work = [
            (tally, [Segment(d.fields, d.span) for d in _repairable(tally.differences)]) for tally in self._tallies
        ]
        work = [(tally, segments) for tally, segments in work if segments]
        prepared: dict[tuple[str, str], Target] = {}
        for tally, _ in work:
            copy, key = tally.copy, (tally.copy.source.database, tally.copy.source.policy)
            if key not in prepared:
                self._planner.prepare(copy.source.database, copy.target.database)
                prepared[key] = self._planner.after_copying(copy.source.database, copy.target)
            tally.copy = replace(copy, target=prepared[key])
        with ThreadPoolExecutor(self._job.options.parallel_workers) as pool:
            return list(
                pool.map(lambda one: manager.copy_segments(replace(one[0].copy, refusals=()), one[1]), work)
            )

    def verify_again(self) -> JobVerdict:
        """Look again at what differed."""
        for tally in self._tallies:
            spans = [difference.span for difference in tally.differences]
            before, tally.differences = tally.differences, []
            suspects = [(tally, Window(tally.copy, span)) for span in spans]
            try:
                self._second_look(suspects)
            except InfluxError as error:
                self._problems.append(str(error))
            gained = sum(d.missing for d in before) - sum(d.missing for d in tally.differences)
            tally.destination += max(0, gained)
        return self._verdict()


def _by_tally(suspects: Iterable[tuple[_Tally, Window]]) -> Iterator[tuple[_Tally, list[Window]]]:
    found: dict[int, tuple[_Tally, list[Window]]] = {}
    for tally, window in suspects:
        found.setdefault(id(tally), (tally, []))[1].append(window)
    for tally, windows in found.values():
        yield tally, sorted(windows, key=lambda window: window.span)


def _is_clear(copy: Copy) -> bool:
    """Whether counting sees all of its fields."""
    return comparable_types(copy).keys() == copy.types.keys()


def _is_unequal(window: Window) -> bool:
    return window.missing > 0 or window.extra > 0


def _difference(window: Window) -> Difference:
    keys = window.source.keys() | window.destination.keys()
    unequal = {key[0] for key in keys if window.source.get(key, 0) != window.destination.get(key, 0)}
    return Difference(window.span, tuple(sorted(unequal)), missing=window.missing, extra=window.extra)


def _repairable(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    return tuple(d for d in differences if d.missing or d.different)


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
    )


def verify_jobs(
    configs: Sequence[Config], scope: Scope, ask: Callable[[], bool] | None, *, quiet: bool
) -> list[JobVerdict]:
    """What each job's comparison found, printed unless `quiet`.

    With `ask` (whether to go on) what differs is copied.

    SIGINT and SIGTERM end it early, which counts as not checked.
    """
    stopping = StopRequest()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.requested = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    verdicts = []
    for config in configs:
        try:
            verdicts.append(_verify_job(config, scope, stopping, ask, quiet=quiet))
        except InfluxError as error:
            verdicts.append(unchecked(config.job.name, str(error)))
            _print(table(verdicts[-1]), quiet=quiet)
    return verdicts


def _verify_job(
    config: Config, scope: Scope, stopping: StopRequest, ask: Callable[[], bool] | None, *, quiet: bool
) -> JobVerdict:
    source = connect(config, config.job.source, "source", stopping)
    destination = connect(config, config.job.destination, "destination", stopping)
    verifier = Verifier(config, source, destination, scope, stopping)
    verdict = verifier.verify()
    _print(table(verdict), quiet=quiet)
    plan = verifier.repairs()
    if ask is None or not plan or stopping.is_set():
        return verdict
    _print("\n".join((f"{config.job.name}: repair copies these, and deletes nothing", *plan)), quiet=quiet)
    if not ask():
        return verdict
    for result in verifier.repair():
        for problem in result.problems:
            logger.error("%s", problem)
    again = verifier.verify_again()
    _print(table(again), quiet=quiet)
    return again


def _print(text: str, *, quiet: bool) -> None:
    if not quiet:
        sys.stdout.write(text + "\n")
