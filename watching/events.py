"""What happens in the daemon and its workers, as small frozen values that the monitor is told of. Pure."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

from basics.humanize import counted
from basics.times import END_OF_TIME, MIN_TIME
from copying.listener import Phase
from copying.results import SnapshotTaken, SourceAge

"""What a run does now."""

MeasurementPhase = Literal["planned", "copying", "done", "failed", "stopped"]

VerifyResult = Literal["equal", "differs", "could not check"]

ProofResult = Literal["whole", "damaged", "could not check"]

DrillResult = Literal["passed", "failed", "not done"]
"""A restore was rehearsed: all is equal; something could not be restored, or differs; it could not be tried."""


# ---------------------------------------------------------------- what events are made of


@dataclass(frozen=True, slots=True)
class Totals:
    """What was done, in numbers that only grow: `late` are late values copied, `quarantined` are lines."""

    points: int = 0
    values: int = 0
    bytes: int = 0
    batches: int = 0
    retries: int = 0
    failures: int = 0
    expired: int = 0
    quarantined: int = 0
    late: int = 0
    runs: int = 0
    failed_runs: int = 0
    newly_quarantined: int = 0
    """Lines that no earlier run had put aside."""

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: "Totals") -> "Totals":
        return Totals(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class RunState:
    """A run that goes on. Times are nanoseconds since 1970, durations nanoseconds, `rate` points per second.

    The numbers of measurements, `covered` and `span` are those of the present database; what later databases hold
    is not known before their turn.
    """

    started: int
    phase: Phase = "connecting"
    database: str = ""
    number: int = 0
    """The how manyth of the databases it is, from 1;"""
    databases: int = 0
    """and how many there are; 0: not known yet."""
    measurements: int = 0
    measurements_done: int = 0
    covered: int = 0
    """How much of the time range of all measurements is copied,"""
    span: int = 0
    """and how long it is."""
    copying_since: int = 0
    """When the first of them began; 0: not yet."""
    amounts: Totals = field(default_factory=Totals)
    rate: float = 0.0
    failures: tuple[str, ...] = ()
    """Those so far, the first FAILURES_SHOWN; all are counted in `amounts`."""
    trouble: str = ""
    """The request that is being tried again, with its error; empty when the last one succeeded."""

    @property
    def measurement(self) -> int:
        """The n of "measurement n of m"."""
        return min(self.measurements_done + 1, self.measurements)

    @property
    def share(self) -> float:
        """Which part of the present database's time range is done, 0 to 1."""
        if not self.measurements:
            return 0.0
        if self.measurements_done >= self.measurements:
            return 1.0
        return min(1.0, self.covered / self.span) if self.span > 0 else 0.0

    def seconds_left(self, now: int) -> float | None:
        """Until the present database is done, at the pace so far; None while there is nothing to judge by."""
        if not self.copying_since or self.share < 0.001:
            return None
        return (now - self.copying_since) / 1e9 * (1 - self.share) / self.share


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run that is over."""

    started: int
    seconds: float
    outcome: str
    """`ok`, `FAILED` or `stopped`."""
    amounts: Totals = field(default_factory=Totals)
    failures: tuple[str, ...] = ()
    """The first FAILURES_SHOWN of them, in full; `amounts` counts all."""
    warnings: tuple[str, ...] = ()
    """The first FAILURES_SHOWN of what is no failure, and not as it should be either;"""
    warned: int = 0
    """and how many there are."""
    ages: tuple[SourceAge, ...] = ()
    """How old databases are at the source, at most AGES_SHOWN, those that are too old first."""
    in_quarantine: int = 0
    """How many lines wait in quarantine files."""
    snapshot: SnapshotTaken | None = None
    """What it has published in an archive."""

    @property
    def ended(self) -> int:
        """Nanoseconds since 1970."""
        return self.started + int(self.seconds * 1e9)


class Extent:
    """What is to be copied of a measurement, and how much of it is; MeasurementState says what they are."""

    __slots__ = ()
    begin: int
    end: int
    position: int
    phase: MeasurementPhase

    @property
    def span(self) -> int:
        """The length of what is to be copied."""
        return max(0, self.end - self.begin)

    @property
    def covered(self) -> int:
        """How much of that is."""
        return self.span if self.phase == "done" else min(self.span, max(0, self.position - self.begin))


@dataclass(frozen=True, slots=True)
class MeasurementState(Extent):
    """One measurement of a retention policy of the source, in the run that `run` names by its start.

    Times are nanoseconds since 1970. `begin` to `end` is to be copied, and everything before `position` is.
    """

    database: str
    policy: str
    measurement: str
    run: int
    phase: MeasurementPhase = "planned"
    begin: int = 0
    end: int = 0
    position: int = 0
    newest: int | None = None
    """The newest point that the destination is known to hold, not counting those after now."""
    points: int = 0
    values: int = 0
    bytes: int = 0
    """What this run wrote;"""
    all_points: int = 0
    """and all runs since the monitor was started, which adds them up."""
    seconds: float = 0.0
    late: int = 0
    problems: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others of its job."""
        return self.database, self.policy, self.measurement


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to tell about a job. It holds secrets, so no snapshot does."""

    urls: tuple[str, ...] = field(default=(), repr=False)
    on: tuple[str, ...] = ()
    ping_url: str = field(default="", repr=False)
    daily: str = ""
    """When all jobs are told of together, as HH:MM in the time zone of the job; empty: never."""

    @property
    def is_wanted(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.urls or self.ping_url)


HISTORY = 30
"""How many finished runs a sender remembers."""

FAILURES_SHOWN = 20
"""How many failures a value holds in full."""

AGES_SHOWN = 50
"""How many databases of the source a value tells of."""

LONGEST_TEXTS = 24_000
"""Characters of all texts of an event together: what is larger than a datagram cannot be told."""


LONGEST_WARNINGS = 4000
"""Characters of all warnings of an event together."""


def shortened(text: str) -> str:
    """As much of a text as an event may hold."""
    return text if len(text) <= LONGEST_TEXTS else text[:LONGEST_TEXTS] + " …"


def bounded(texts: Sequence[str], room: int = LONGEST_TEXTS) -> tuple[str, ...]:
    """As many of these texts as an event may hold; the last of them may be cut."""
    kept = list[str]()
    for text in texts[:FAILURES_SHOWN]:
        kept.append(text if len(text) <= room else text[:room] + " …")
        room -= len(text)
        if room <= 0:
            break
    return tuple(kept)


def bounded_ages(ages: Sequence[SourceAge]) -> tuple[SourceAge, ...]:
    """As many of these as an event may hold, those that are too old first."""
    return tuple(sorted(ages, key=lambda age: not age.is_stale)[:AGES_SHOWN])


# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Event:
    """Something about a job, at a time in nanoseconds since 1970."""

    is_lasting: ClassVar[bool] = True
    """Whether it waits for room in the channel; others are made up for by the next."""
    is_remembered: ClassVar[bool] = True
    """Whether its sender tells it again to a new monitor."""

    job: str
    at: int

    @property
    def key(self) -> Hashable:
        """A later event with the same key makes this one needless."""
        return self.job, type(self).__name__


# From the parent:


@dataclass(frozen=True, slots=True)
class JobKnown(Event):
    """A job was found: at the start, or when the configuration was loaded again."""

    schedule: str = ""
    """Cron text; empty: it runs once."""
    timezone: str = "UTC"
    mode: str = "incremental"
    source: str = ""
    destination: str = ""
    """URLs without credentials."""
    contact: Contact = field(default_factory=Contact)
    databases: tuple[str, ...] = ()
    """Those of the source that its file names; empty: all of them, or too many to tell."""
    archive: str = ""
    """Where it keeps snapshots; empty: nowhere."""
    drill: str = ""
    """When a restore is rehearsed, cron text; empty: never by itself."""
    markers: str = ""
    """The folder in which restores of it leave their markers."""


@dataclass(frozen=True, slots=True)
class JobRemoved(Event):
    """Its file is gone, and so is its process."""

    is_remembered: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class FileChecked(Event):
    """What is wrong with a job's file; empty: nothing any more. A job that runs goes on with what it had."""

    problem: str = ""


@dataclass(frozen=True, slots=True)
class WorkerStarted(Event):
    """The job has a process."""

    pid: int = 0

    @property
    def key(self) -> Hashable:
        """What became of the process last."""
        return self.job, "process"


@dataclass(frozen=True, slots=True)
class WorkerDied(Event):
    """It ended without being asked to, or could not be started."""

    death: str = ""
    """`exit code 1`, `SIGKILL`; a sentence where it could not be started."""
    restart_at: int = 0
    """When it is started again; 0: never."""
    was_started: bool = True

    @property
    def key(self) -> Hashable:
        """What became of the process last."""
        return self.job, "process"


@dataclass(frozen=True, slots=True)
class WorkerRests(Event):
    """It has done its part: the job has a process again at its next time."""

    @property
    def key(self) -> Hashable:
        """What became of the process last."""
        return self.job, "process"


@dataclass(frozen=True, slots=True)
class WaitingForTurn(Event):
    """Its time has come, and as many runs go on as may: it begins when one of them has ended."""

    why: str = ""
    due: int = 0

    @property
    def key(self) -> Hashable:
        """What became of the job last."""
        return self.job, "status"


@dataclass(frozen=True, slots=True)
class JobEnded(Event):
    """It ended in order and will not run again: it was to run once, or was asked to stop."""

    outcome: str = "ok"
    failures: tuple[str, ...] = ()

    @property
    def key(self) -> Hashable:
        """What became of the process last."""
        return self.job, "process"


# From workers; `worker` tells those of a job apart that count from zero: a process that follows another in order
# goes on from what that had counted:


@dataclass(frozen=True, slots=True)
class WaitingForServer(Event):
    """A server does not answer, and the job waits for it."""

    role: str = ""
    problem: str = ""
    retry_at: int = 0

    @property
    def key(self) -> Hashable:
        """What became of the job last."""
        return self.job, "status"


@dataclass(frozen=True, slots=True)
class NextRun(Event):
    """The job waits for its time."""

    when: int = 0

    @property
    def key(self) -> Hashable:
        """What became of the job last."""
        return self.job, "status"


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run began."""

    @property
    def key(self) -> Hashable:
        """What became of the job last."""
        return self.job, "status"


@dataclass(frozen=True, slots=True)
class RunProgress(Event):
    """How far it is, again and again while it goes on."""

    is_lasting: ClassVar[bool] = False
    is_remembered: ClassVar[bool] = False

    run: RunState = field(default_factory=lambda: RunState(0))
    worker: int = 0
    totals: Totals = field(default_factory=Totals)


@dataclass(frozen=True, slots=True)
class MeasurementsChanged(Event):
    """Some measurements, as they are now."""

    is_remembered: ClassVar[bool] = False

    measurements: tuple[MeasurementState, ...] = ()

    @property
    def key(self) -> Hashable:
        """Each of them is of its own."""
        return self.job, type(self).__name__, *(m.key for m in self.measurements)


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """A run is over."""

    record: RunRecord = field(default_factory=lambda: RunRecord(0, 0.0, "ok"))
    worker: int = 0
    totals: Totals = field(default_factory=Totals)

    @property
    def key(self) -> Hashable:
        """Each of them is of its own."""
        return self.job, type(self).__name__, self.record.started


# From the markers of `main.py restore`:


@dataclass(frozen=True, slots=True)
class RestoreState:
    """A restore of a job that is not complete: it goes on, or was stopped. Times are nanoseconds since 1970."""

    target: str
    databases: tuple[str, ...]
    begun: int
    written: int = 0
    values: int = 0
    """How many values are written, of about how many; 0: not known."""
    is_running: bool = False

    @property
    def name(self) -> str:
        """What comes back, and where."""
        return f"{', '.join(self.databases)} to {self.target}"

    @property
    def share(self) -> float:
        """Which part is written, 0 to 0.99: it is complete when it is gone."""
        return min(0.99, self.written / self.values) if self.values else 0.0


@dataclass(frozen=True, slots=True)
class Restoring(Event):
    """The restores of a job that are not complete, all of them."""

    restores: tuple[RestoreState, ...] = ()


# From `main.py verify` and from the daemon's own:


@dataclass(frozen=True, slots=True)
class Verified(Event):
    """Both sides were compared."""

    result: VerifyResult = "equal"
    detail: str = ""
    """What differs, or why it could not be checked."""
    how: str = "fingerprints"
    missing: int = 0
    extra: int = 0
    different: int = 0
    """Values that only the source has, that only the destination has, that are not the same."""
    seconds: float = 0.0
    start: int = MIN_TIME
    end: int = END_OF_TIME
    """What was compared, nanoseconds,"""
    is_complete: bool = True
    """and whether all of it was, or a part chosen at random."""

    def clears(self, difference: "Verified") -> bool:
        """Whether that difference is known to be gone."""
        is_wide = self.start <= difference.start and self.end >= difference.end
        return self.result == "equal" and self.is_complete and is_wide


# From `main.py archive verify`, `main.py drill`, and from the daemon's own:


@dataclass(frozen=True, slots=True)
class Proved(Event):
    """The files of the job's archive were read."""

    result: ProofResult = "whole"
    detail: str = ""
    """What is damaged, or why it could not be looked at."""
    snapshots: int = 0
    files: int = 0
    of: int = 0
    """How many there are; of a share only some were read."""
    bytes: int = 0
    points: int = 0
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether every file was read."""
        return self.files == self.of

    def clears(self, damage: "Proved") -> bool:
        """Whether that damage is known to be gone."""
        return self.result == "whole" and self.is_complete and self.at > damage.at

    @property
    def read(self) -> str:
        """How much was read, in words."""
        return f"{self.files:,} of {counted(self.of, 'file')}"


@dataclass(frozen=True, slots=True)
class Drilled(Event):
    """A restore was rehearsed."""

    result: DrillResult = "passed"
    detail: str = ""
    """What could not be restored, what differs, or why it was not tried."""
    origin: str = ""
    """What was restored: a snapshot of an archive, or a server;"""
    target: str = ""
    """and to which server."""
    points: int = 0
    values: int = 0
    """How many were written, and how many were found equal."""
    seconds: float = 0.0
    sample: float = 100.0
    """Which share of the time was drilled, per cent."""

    @property
    def sentence(self) -> str:
        """All of it but the detail."""
        share = f" ({self.sample:g} % of the time)" if self.sample < 100 else ""
        what = f"{counted(self.points, 'point')} of {self.origin or 'the backup'}{share}"
        done = f"restored {what} to {self.target} in {self.seconds:.1f} s" if self.points else ""
        if self.result == "passed":
            return f"passed: {done}, {counted(self.values, 'value')} equal"
        return f"{'FAILED' if self.result == 'failed' else 'not done'}{f': {done}' if done else ''}"

    @property
    def problem(self) -> str:
        """What a job is warned of; empty when it passed."""
        first = self.detail.partition("\n")[0]
        return "" if self.result == "passed" else f"drill: {self.sentence}{f': {first}' if first else ''}"


Verdict = Verified | Proved | Drilled
"""What somebody found out about a backup."""


# For the monitor itself, about no job:


@dataclass(frozen=True, slots=True)
class LogLine(Event):
    """A line for the terminal, where the monitor draws."""

    is_lasting: ClassVar[bool] = False
    is_remembered: ClassVar[bool] = False

    text: str = ""


@dataclass(frozen=True, slots=True)
class DaemonEnds(Event):
    """Nothing more will come."""

    within: float = 2.0
    """Seconds until the monitor has to have ended."""

    is_remembered: ClassVar[bool] = False
