"""What goes between a daemon and the workers: units of work, and what became of them. Pure.

A unit goes as bytes that only this program opens. It holds no password: workers look up the references.
"""

import copyreg
import hashlib
import pickle
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import SecretStr

from copying.late import Lateness
from copying.results import MeasurementResult
from copying.small_measurements import MOST, GroupProgress, may_be_grouped
from copying.task import Copy
from influx.influxql import Location
from influx.written import Written
from settings.keys import Hooks, Job, Loki, Notify, Server

FEWEST = 10
"""How many small measurements are worth a unit, unless there are fewer."""

CONNECT_AND_ANSWER = 2
"""How often a request may wait for `timeout_client`."""

SLACK = 15.0
"""So much longer than a request a lease lasts at least: time to renew it a few times."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Measurements of one retention policy that one worker copies; `together`: as many of them as are small."""

    run: str
    """Another text in every run."""
    job: Job
    file: Path
    """Of the job, as messages name it."""
    now: int
    quarantine: Path
    """The folder on the daemon's machine, as messages name it."""
    copies: tuple[Copy, ...]
    lateness: Mapping[Location, Lateness] = field(default_factory=dict)
    together: bool = False
    is_marked: bool = False
    """Whether points may go in any order: the daemon has a mark of that on its disk."""

    @property
    def sources(self) -> tuple[Location, ...]:
        """Its measurements."""
        return tuple(copy.source for copy in self.copies)

    @property
    def key(self) -> str:
        """The name of the task: the same for the same work of the same run."""
        names = repr((self.run, self.together, [_name(self.job.destination, copy) for copy in self.copies]))
        digest = hashlib.blake2b(names.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        return f"influxdb-backup-{self.job.name}-{digest}"

    @property
    def leases(self) -> tuple[str, ...]:
        """The name of a lease for each measurement: the same for everybody who writes it.

        A scheduler keeps to the first time that it was told for a name, so that is a part of it.
        """
        return tuple(f"influxdb-backup {_name(self.job.destination, c)}, {self.lease:g} s" for c in self.copies)

    @property
    def request_limit(self) -> float:
        """How many seconds a single attempt of a request may take: to connect, and to be answered."""
        return CONNECT_AND_ANSWER * self.job.options.timeout_client

    @property
    def lease(self) -> float:
        """For how many seconds nobody else writes these measurements once a worker was heard of."""
        return self.request_limit + SLACK


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a unit. Those that turned out not to be small are `left`, with how far they have come."""

    attempt: str
    messages: int
    """How many were sent before this."""
    results: Mapping[Location, MeasurementResult]
    left: Mapping[Location, GroupProgress] = field(default_factory=dict)
    newest: Mapping[Location, int] = field(default_factory=dict)
    """The newest point that was read of each, but for those after now."""
    counted: tuple[int, int] = (0, 0)
    """How many points were written, and how many questions asked, at the destination."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of all measurements that a cluster was given."""

    results: Mapping[Location, MeasurementResult] = field(default_factory=dict)
    newest: Mapping[Location, int] = field(default_factory=dict)
    counted: tuple[int, int] = (0, 0)
    warnings: tuple[str, ...] = ()

    def __add__(self, other: "Copied") -> "Copied":
        known = self.newest.keys() | other.newest.keys()
        return Copied(
            {**self.results, **other.results},
            {
                source: max(part.newest[source] for part in (self, other) if source in part.newest)
                for source in known
            },
            (self.counted[0] + other.counted[0], self.counted[1] + other.counted[1]),
            (*self.warnings, *other.warnings),
        )


# ---------------------------------------------------------------- what to do where


def first_units(whole: Unit, workers: int) -> Iterator[Unit]:
    """The measurements of one unit as many: those that may be small together, each other one alone."""
    is_grouped = whole.job.source.group_by is None
    small = [c for c in whole.copies if is_grouped and c.source not in whole.lateness and may_be_grouped(c)]
    size = min(MOST, max(FEWEST, -(-len(small) // max(1, workers))))
    small = small if len(small) > 1 else []
    for first in range(0, len(small), size):
        yield _part(whole, small[first : first + size], together=True)
    yield from alone(whole, {c.source for c in whole.copies} - {c.source for c in small})


def alone(whole: Unit, sources: Collection[Location]) -> Iterator[Unit]:
    """A unit for each of these measurements."""
    for copy in whole.copies:
        if copy.source in sources:
            yield _part(whole, [copy])


def rest_of(unit: Unit, left: Mapping[Location, GroupProgress]) -> Iterator[Unit]:
    """A unit for each measurement that was not small after all, from where all of it is acknowledged."""
    copies = tuple(_from(copy, left[copy.source].since) for copy in unit.copies if copy.source in left)
    yield from alone(replace(unit, copies=copies, together=False), left)


def _from(copy: Copy, since: int) -> Copy:
    return replace(copy, starts={name: max(start, since) for name, start in copy.starts.items()})


def _part(whole: Unit, copies: Sequence[Copy], *, together: bool = False) -> Unit:
    sources = {copy.source for copy in copies}
    lateness = {source: _trimmed_windows(late) for source, late in whole.lateness.items() if source in sources}
    return replace(whole, copies=tuple(map(_trimmed, copies)), lateness=lateness, together=together)


def _trimmed(copy: Copy) -> Copy:
    """The copy without what is known of all the other measurements of its policy."""
    own = {copy.source.measurement: copy.written_types} if copy.written_types else {}
    return replace(copy, target=replace(copy.target, source_types={}, written_types=own))


def _trimmed_windows(late: Lateness) -> Lateness:
    copies = {id(window.copy): _trimmed(window.copy) for window in late.windows}
    return replace(late, windows=tuple(replace(w, copy=copies[id(w.copy)]) for w in late.windows))


def _name(destination: Server, copy: Copy) -> str:
    return f"{where(destination)} {copy.destination}"


def where(server: Server) -> str:
    """The name of the resource that a worker has when it may write to a server: as the URL has it, `host:port`."""
    return f"[{server.host}]:{server.port}" if ":" in server.host else f"{server.host}:{server.port}"


# ---------------------------------------------------------------- as bytes


def without_secrets(job: Job) -> Job:
    """The job as it may travel: nothing in it that others should not read."""
    source, destination = (
        server.model_copy(update={"password": SecretStr("")}) for server in (job.source, job.destination)
    )
    quiet = {"notify": Notify(), "ping_url": SecretStr(""), "hooks": Hooks(), "loki": Loki()}
    options = job.options.model_copy(update=quiet)
    return job.model_copy(update={"source": source, "destination": destination, "options": options})


def packed(value: object) -> bytes:
    """A unit, what became of one, or a message, to be opened by the same program."""
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def opened(packed_value: bytes) -> object:
    """What was packed. Only a member of the cluster can have packed it, and who is one may run anything anyway."""
    return pickle.loads(packed_value)  # noqa: S301


def _proxy(items: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(items)


copyreg.pickle(MappingProxyType, lambda proxy: (_proxy, (dict(proxy),)))  # of which a job has some


# ---------------------------------------------------------------- results


def of_a_failure(source: Location, problem: str, told: Written) -> MeasurementResult:
    """The result of a measurement that nobody has copied to its end; empty problem: it was stopped."""
    problems = (f"copy {source}: {problem}",) if problem else ()
    return MeasurementResult(str(source), told, problems, is_whole=False)


def amounts(written: Written) -> Written:
    """What counts in sums: refusals and lines put aside come again."""
    return Written(written.points, written.values, written.bytes, written.expired, repeated=written.repeated)
