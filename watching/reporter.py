"""Reporter: counts what a worker does, tells the monitor twice a second, and the log every half minute.

The threads that copy only add to numbers; a thread of the reporter's own does the telling.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace

from copying.listener import Phase, Planned
from copying.results import JobResult, MeasurementResult
from influx.influxql import Location
from influx.written import Written
from watching.channel import Sender
from watching.events import (
    LONGEST_WARNINGS,
    Event,
    Extent,
    MeasurementPhase,
    MeasurementsChanged,
    MeasurementState,
    NextRun,
    RunFinished,
    RunProgress,
    RunRecord,
    RunStarted,
    RunState,
    Totals,
    WaitingForServer,
    bounded,
    bounded_ages,
    shortened,
)
from watching.progress import progress_line

logger = logging.getLogger(__name__)

TICK, IDLE_TICK = 0.5, 2.0
"""Seconds between two looks at what there is to tell, in a run and outside of one."""

MEASUREMENTS_EVERY = 4
"""Ticks between two looks at the measurements, which are many."""

TOGETHER = 50
"""How many measurements one event holds."""

LINE_EVERY = 30.0
"""Seconds of work between two lines of progress in the log."""

NOTHING = Totals()

SMOOTHING = 15.0
"""Seconds over which the rate is an average: requests come in bursts."""


@dataclass(slots=True, eq=False)
class _Measurement(Extent):
    """A measurement, as it changes: MeasurementState says what its fields are."""

    source: Location
    run: int
    begin: int
    end: int
    position: int
    newest: int | None
    phase: MeasurementPhase = "planned"
    points: int = 0
    values: int = 0
    bytes: int = 0
    seconds: float = 0.0
    late: int = 0
    problems: tuple[str, ...] = ()
    begun: float | None = None

    @property
    def state(self) -> MeasurementState:
        """As it is now."""
        _, _, _, *changing = (field for field in fields(MeasurementState) if field.name != "all_points")
        return MeasurementState(
            self.source.database,
            self.source.policy,
            self.source.measurement,
            **{f.name: getattr(self, f.name) for f in changing},
        )


@dataclass
class _Run:
    """The run that goes on; what changes with each batch is not in its `state` yet."""

    state: RunState
    before: Totals
    measurements_done: int = 0
    covered: int = 0
    begun: float = 0.0
    """When its first points were seen."""
    seen: int = 0
    """Points at the last tick."""
    seen_at: float = field(default_factory=time.monotonic)
    next_line: float = field(default_factory=lambda: time.monotonic() + LINE_EVERY)
    failures: list[str] = field(default_factory=list)


class Reporter:
    """Safe to use from several threads. Nothing here ever waits for the monitor.

    `worker` and `totals` are those of the process of the job before this one, that it goes on from. With `logs` a
    run logs a line each LINE_EVERY. Until it is started nothing is told but what happens once: runs, waiting, the
    next time.
    """

    def __init__(
        self,
        job: str = "",
        sender: Sender | None = None,
        *,
        worker: int = 0,
        totals: Totals = NOTHING,
        logs: bool = False,
    ) -> None:
        self._job = job
        self._sender = sender or Sender(None)
        self._worker = worker
        self._logs = logs
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._telling = threading.Lock()
        # by the names of Totals: adding is many times as fast as making new ones
        self._counts: Counter[str] = Counter(asdict(totals))
        self._run: _Run | None = None
        self._measurements: dict[Location, _Measurement] = {}
        self._changed: set[Location] = set()
        self._troubles: dict[int, str] = {}
        self._listener = 0
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------ the life of a job

    def start(self) -> None:
        """Tell from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._tell_often, name="reporter", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell what is left, and end the thread."""
        self._closed = True
        self._wake.set()
        if self._thread:
            self._thread.join()

    @property
    def totals(self) -> Totals:
        """What was done so far."""
        with self._lock:
            return Totals(**self._counts)

    @property
    def told(self) -> tuple[Event, ...]:
        """What a monitor that is started after the end of this process should hear: its run, its measurements."""
        runs = tuple(event for event in self._sender.known if isinstance(event, RunFinished))
        with self._lock:
            states = sorted((m.state for m in self._measurements.values()), key=lambda m: m.key)
        return (*runs, *self._changes(states))

    @property
    def untold(self) -> tuple[Event, ...]:
        """What still waits for room, and is lost with this process unless another one tells it."""
        return self._sender.waiting

    def waiting(self, role: str, problem: str, seconds: float) -> None:
        """A server does not answer; it is tried again in so many seconds."""
        now = time.time_ns()
        until = now + int(seconds * 1e9)
        self._sender.tell(WaitingForServer(self._job, now, role, shortened(problem), until))

    def next_run(self, when: int) -> None:
        """The job waits for this time, nanoseconds."""
        self._sender.tell(NextRun(self._job, time.time_ns(), when))

    def run_started(self) -> None:
        """A run begins."""
        now = time.time_ns()
        with self._lock:
            self._run = _Run(RunState(now), Totals(**self._counts))
            self._troubles.clear()
        self._sender.tell(RunStarted(self._job, now))
        self._wake.set()

    def run_finished(self, result: JobResult) -> None:
        """It is over."""
        with self._lock:
            run = self._run
            if run is None:
                return
            self._run = None
            self._counts["runs"] += 1
            self._counts["failures"] += len(result.failures)
            self._counts["failed_runs"] += bool(result.failures)
            self._forget_others(run.state.started, result)
            totals = Totals(**self._counts)
        record = RunRecord(
            run.state.started,
            result.seconds,
            result.outcome,
            totals - run.before,
            bounded(result.failures),
            bounded(result.cautions, LONGEST_WARNINGS),
            len(result.cautions),
            bounded_ages(result.ages),
            result.in_quarantine,
            result.snapshot,
        )
        self._tell_measurements()
        self._sender.tell(RunFinished(self._job, time.time_ns(), record, self._worker, totals))

    def _forget_others(self, run: int, result: JobResult) -> None:
        """A measurement that a whole run did not meet is gone from the source."""
        if result.outcome == "ok":
            self._measurements = {key: m for key, m in self._measurements.items() if m.run == run}
            self._changed &= self._measurements.keys()

    # ------------------------------------------------------------ inside a run

    def phase(self, phase: Phase) -> None:
        """What the run does now."""
        self._update(lambda run: replace(run, phase=phase))

    def databases(self, count: int) -> None:
        """How many databases it has."""
        self._update(lambda run: replace(run, databases=count))

    def database(self, name: str, number: int) -> None:
        """It comes to a database, the `number`th."""
        with self._lock:
            run = self._run
            if run:
                run.measurements_done = run.covered = 0
                run.state = RunState(run.state.started, "planning", name, number, run.state.databases)

    def planned(self, measurements: Iterable[Planned]) -> None:
        """These measurements of the present database are copied next."""
        with self._lock:
            run = self._run
            if run is None:
                return
            span = count = 0
            for p in measurements:
                m = _Measurement(p.source, run.state.started, p.begin, p.end, p.begin, p.newest)
                self._measurements[p.source] = m
                self._changed.add(p.source)
                span += m.span
                count += 1
            now = run.state
            run.state = replace(now, span=now.span + span, measurements=now.measurements + count)

    def copying(self) -> None:
        """What was planned is copied from now on."""
        with self._lock:
            if self._run:
                since = self._run.state.copying_since or time.time_ns()
                self._run.state = replace(self._run.state, phase="copying", copying_since=since)

    def begun(self, source: Location) -> None:
        """A measurement's turn has come."""
        with self._lock:
            m = self._measurements.get(source)
            if m and m.begun is None:
                m.begun, m.phase = time.monotonic(), "copying"
                self._changed.add(source)

    def wrote(self, source: Location, written: Written) -> None:
        """So much of a measurement was acknowledged, or put aside."""
        counts = self._counts
        with self._lock:
            counts["points"] += written.points
            counts["values"] += written.values
            counts["bytes"] += written.bytes
            counts["expired"] += written.expired
            counts["quarantined"] += written.quarantined
            counts["newly_quarantined"] += written.newly_quarantined
            m = self._measurements.get(source)
            if m and written.points:
                m.points += written.points
                m.values += written.values
                m.bytes += written.bytes
                self._changed.add(source)

    def reached(self, source: Location, position: int, newest: int | None = None) -> None:
        """Everything of a measurement that is older than `position` is acknowledged; its `newest` point was."""
        with self._lock:
            m = self._measurements.get(source)
            if m is None:
                return
            before = m.covered
            m.position = max(m.position, position)
            if newest is not None:
                m.newest = newest if m.newest is None else max(m.newest, newest)
            self._changed.add(source)
            if self._run:
                self._run.covered += m.covered - before

    def finished(self, source: Location, result: MeasurementResult, *, stopped: bool) -> None:
        """A measurement is done, has failed, or was given up in order to stop."""
        with self._lock:
            m = self._measurements.get(source)
            if m is None or self._run is None:
                return
            before = m.covered
            m.phase = _phase(result, stopped=stopped)
            m.late, m.problems = result.late, bounded(result.problems)
            m.seconds = 0.0 if m.begun is None else time.monotonic() - m.begun
            self._changed.add(source)
            self._counts["late"] += result.late
            self._run.covered += m.covered - before
            self._run.measurements_done += 1
            self._run.failures += result.problems

    def failed(self, problems: Sequence[str]) -> None:
        """A database as a whole has failed."""
        with self._lock:
            if self._run:
                self._run.failures += problems

    # ------------------------------------------------------------ requests

    def acknowledged(self) -> None:
        """A request with points was."""
        with self._lock:
            self._counts["batches"] += 1

    def retrying(self, trouble: str) -> None:
        """A request of this thread has failed, and is about to be tried again."""
        with self._lock:
            self._counts["retries"] += 1
            self._troubles[threading.get_ident()] = trouble

    def settled(self) -> None:
        """It has succeeded, or failed for good."""
        with self._lock:
            self._troubles.pop(threading.get_ident(), None)

    def _update(self, change: Callable[[RunState], RunState]) -> None:
        with self._lock:
            if self._run:
                self._run.state = change(self._run.state)

    # ------------------------------------------------------------ telling

    def _tell_often(self) -> None:
        ticks = 0
        while not self._closed:
            self._wake.wait(TICK if self._run else IDLE_TICK)
            if not self._closed and self._wake.is_set():
                self._wake.clear()
                continue  # a run has begun: the first look at it is a tick later
            ticks += 1
            self._listen()
            self._tell_progress()
            if not ticks % MEASUREMENTS_EVERY:
                self._tell_measurements()
        self._tell_measurements()

    def _listen(self) -> None:
        listener = self._sender.flush()
        if listener != self._listener:
            self._listener = listener
            with self._lock:
                self._changed.update(self._measurements)
            self._tell_measurements()

    def _tell_progress(self) -> None:
        now = time.monotonic()
        with self._lock:
            run = self._run
            if run is None:
                return
            totals = Totals(**self._counts)
            amounts = totals - run.before
            passed = max(1e-3, now - run.seen_at)
            run.begun = run.begun or (run.seen_at if amounts.points else 0.0)
            rate = smoothed(run.state.rate, (amounts.points - run.seen) / passed, passed, now - (run.begun or now))
            run.seen, run.seen_at = amounts.points, now
            state = run.state = replace(
                run.state,
                measurements_done=run.measurements_done,
                covered=run.covered,
                amounts=replace(amounts, failures=len(run.failures)),
                rate=rate,
                failures=bounded(run.failures),
                trouble=next(reversed(self._troubles.values()), ""),
            )
            is_due = self._logs and now >= run.next_line
            if is_due:
                run.next_line = now + LINE_EVERY
        self._sender.tell(RunProgress(self._job, time.time_ns(), state, self._worker, totals))
        if is_due:
            logger.info("%s", progress_line(state, time.time_ns()))

    def _tell_measurements(self) -> None:
        """What has changed of them; all of it waits while the channel is full."""
        with self._telling:  # in order: what is told last is what holds
            if self._sender.is_behind:
                return
            with self._lock:
                found = [m.state for source in self._changed if (m := self._measurements.get(source))]
                self._changed.clear()
            found.sort(key=lambda m: m.key)
            for event in self._changes(found):
                self._sender.tell(event)

    def _changes(self, found: Sequence[MeasurementState]) -> Iterator[MeasurementsChanged]:
        """These measurements as events."""
        plain = [m for m in found if not m.problems]
        parts = [plain[first : first + TOGETHER] for first in range(0, len(plain), TOGETHER)]
        parts += [[m] for m in found if m.problems]  # whose texts may fill an event
        return (MeasurementsChanged(self._job, time.time_ns(), tuple(part)) for part in parts)


def smoothed(rate: float, latest: float, passed: float, since: float) -> float:
    """The average so far, and from SMOOTHING seconds on one in which older times count less and less.

    `latest` is the rate of the last `passed` seconds, `since` how long all of it has gone on.
    """
    return rate + (latest - rate) * min(1.0, passed / min(SMOOTHING, max(passed, since)))


def _phase(result: MeasurementResult, *, stopped: bool) -> MeasurementPhase:
    """What became of a measurement."""
    if result.problems:
        return "failed"
    return "stopped" if stopped and not result.is_whole else "done"
