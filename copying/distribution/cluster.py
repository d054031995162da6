"""Cluster: the workers of a Dask scheduler, as a run of one job uses them. It hands out units, and hears of them.

Nothing is stored about what is running: a run that ends forgets its units, and the next one asks the destination.
"""

import logging
import queue
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from basics.stopping import StopRequest
from copying.distribution import version, workers
from copying.distribution.board import begun_event, stop_event
from copying.distribution.lease import LeaseLost
from copying.distribution.obstacles import DistributedMissing, NoCluster
from copying.distribution.relay import Message, PutAside
from copying.distribution.unit import (
    Copied,
    Done,
    Unit,
    amounts,
    first_units,
    of_a_failure,
    opened,
    packed,
    rest_of,
    where,
    without_secrets,
)
from copying.late import Lateness
from copying.listener import RunListener
from copying.quarantine import Quarantine
from copying.results import MeasurementResult
from copying.task import Copy
from influx.influxql import Location
from influx.listener import RequestListener
from influx.written import Written
from settings.keys import Job

if TYPE_CHECKING:
    from distributed import Client, Future, Variable

logger = logging.getLogger(__name__)

CONNECTING = 10.0
"""Seconds for the scheduler to answer."""

ASKING = 5.0
"""Seconds for an answer to what it can answer at once."""

PATIENCE = 60.0
"""Seconds without any worker that can carry out units, until those that are left have failed."""

LOOK_EVERY = 2.0
"""Seconds between two looks at the workers."""

STOPPING = 6.0
"""Seconds for units to end when the run is stopped; a server may keep one of them longer."""

TICK = 0.2
"""Seconds between two looks at what has come."""

AGAIN = 2
"""How often a unit is begun again that has lost its lease."""


class Listener(RunListener, RequestListener, Protocol):
    """Hears of a run, and of its requests."""


def connect_cluster(job: Job, file: Path, stopping: StopRequest, listener: Listener) -> "Cluster":
    """The cluster of a job, with a worker at least. Raises InfluxError."""
    return Cluster(job, file, _client(job.options.distribute), stopping, listener)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at a cluster has shown."""

    obstacle: str
    """Why it cannot copy anything for the job; empty: it can."""
    suited: tuple[str, ...]
    """The workers that can,"""
    refused: tuple[str, ...]
    """and a sentence for each that must not."""


def look_at(job: Job) -> Sight:
    """What there is at the scheduler for a job. Raises InfluxError when it does not answer."""
    scheduler, server, source = job.options.distribute, where(job.destination), version.resource()
    client = _client(scheduler)
    try:
        known = known_to(client)
    except OSError as error:
        raise NoCluster(f"Dask's scheduler {scheduler} does not answer: {_in_words(error)}") from error
    finally:
        client.close(CONNECTING)
    return Sight(
        workers.obstacle(known, scheduler, server, source),
        tuple(worker.name for worker in workers.suited(known, server, source)),
        workers.refused(known, server, source),
    )


def _client(scheduler: str) -> "Client":
    """A connection to a scheduler. Raises NoCluster or DistributedMissing."""
    try:
        import dask  # noqa: PLC0415 -- only jobs with options.distribute need it

        # what is worth a word is told by ourselves
        dask.config.set({"logging": dict.fromkeys(("distributed", "distributed.client"), "critical")})
        from distributed import Client  # noqa: PLC0415
    except ImportError as error:
        raise DistributedMissing(
            f"options.distribute needs distributed, which cannot be loaded ({error}): "
            "pip install -r copying/distribution/requirements.txt"
        ) from None
    try:
        return Client(scheduler, timeout=CONNECTING, name="influxdb-backup", set_as_default=False)
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        tls = "" if scheduler.startswith("tcp:") else (
            "; the certificates are named by DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__TLS__CLIENT__CERT and "
            "...__TLS__CLIENT__KEY"
        )  # fmt: skip
        raise NoCluster(f"Dask's scheduler {scheduler} does not answer: {_in_words(error)}{tls}") from error


def _in_words(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, OSError) and error.__cause__ else error
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__


def known_to(client: "Client") -> tuple[workers.Worker, ...]:
    """The workers of a scheduler. Raises OSError when it does not answer."""
    told = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=ASKING)
    return workers.known_workers(told["workers"])


@dataclass
class _Task:
    """A unit that somebody carries out, and what was told of it, attempt by attempt."""

    unit: Unit
    future: "Future"
    written: dict[str, dict[Location, Written]] = field(default_factory=lambda: defaultdict(dict))
    messages: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    is_troubled: bool = False

    def hear(self, attempt: str, source: Location, written: Written) -> None:
        """So much was written."""
        found = self.written[attempt]
        found[source] = found.get(source, Written()) + amounts(written)

    def told(self, source: Location, but: str = "") -> Written:
        """What all attempts `but` one have written of a measurement."""
        return sum((w[source] for attempt, w in self.written.items() if attempt != but and source in w), Written())


class Cluster:
    """Used by one thread: that of the run. What comes is heard in it, too."""

    def __init__(self, job: Job, file: Path, client: "Client", stopping: StopRequest, listener: Listener) -> None:
        self._job = without_secrets(job)
        self._file = file
        self._client = client
        self._stopping = stopping
        self._listener = listener
        self._run = uuid.uuid4().hex
        self._topic = f"influxdb-backup {job.name} {version.version()}"
        self._inbox = queue.SimpleQueue[bytes]()
        self._tasks: dict[str, _Task] = {}
        self._before: dict[Location, Written] = {}
        self._answers: list[Variable] = []
        self._watch = _Watch(client, job, listener)
        client.subscribe_topic(self._topic, lambda event: self._inbox.put(event[1]))

    def close(self) -> None:
        """Let go of it. Units that still go on are stopped: nobody wants them any more."""
        self._asked("event_clear", stop_event(self._run))
        for answer in self._answers if self._client.status == "running" else ():
            answer.delete()
        self._client.close(STOPPING)

    def copy(
        self,
        copies: Sequence[Copy],
        lateness: Mapping[Location, Lateness],
        *,
        now: int,
        is_marked: bool,
        directory: Path,
        quarantine: Callable[[Location], Quarantine],
    ) -> Copied:
        """Copy these measurements of one policy. What cannot be copied is a problem of its measurement."""
        whole = Unit(
            self._run, self._job, self._file, now, directory, tuple(copies), lateness, is_marked=is_marked
        )
        copied = Copied()
        problem = self._watch.gone
        if problem:
            logger.error("%s", problem)
            return Copied({source: of_a_failure(source, problem, Written()) for source in whole.sources})
        self._watch.look()
        self._hand_out(first_units(whole, self._watch.workers))
        while self._tasks and not problem and not self._stopping.is_set():
            self._hear(quarantine)
            for key in [key for key, task in self._tasks.items() if task.future.status != "pending"]:
                copied += self._end(key, quarantine)
            problem = self._watch.problem()
        if self._tasks and not problem:
            copied += self._stop(quarantine)
        for key in list(self._tasks):
            copied += self._given_up(key, problem)
        return replace(copied, warnings=self._watch.warnings)

    def _hand_out(self, units: Iterable[Unit]) -> None:
        from copying.distribution.copier import copy_unit  # noqa: PLC0415 -- it imports backup.py

        for unit in units:
            future = self._client.submit(
                copy_unit,
                self._topic,
                packed(unit),
                key=unit.key,
                resources=self._watch.resources,
                retries=AGAIN,
                pure=False,
            )
            self._tasks[unit.key] = _Task(unit, future)

    # ------------------------------------------------------------ what became of a unit

    def _end(self, key: str, quarantine: Callable[[Location], Quarantine]) -> Copied:
        """What came of a unit that has ended; nothing where that is lost with its worker: it is done again."""
        task = self._tasks[key]
        if task.future.status == "error":
            return self._given_up(key, _reason(task.future.exception(CONNECTING)))
        if task.future.status != "finished":
            forgotten = f"Dask's scheduler {self._watch.scheduler} has forgotten it; was it started anew?"
            return self._given_up(key, self._watch.gone or forgotten)
        try:
            done = opened(task.future.result(CONNECTING))
        except (OSError, CancelledError) as error:  # it is looked at again
            logger.info("what became of a unit is lost with its worker: %s", error)
            return Copied()
        if not isinstance(done, Done):
            raise TypeError(f"that is no result of a unit: {type(done)}")
        self._hear_all(task, done, quarantine)
        self._forget(key)
        before = {source: self._written(task, source, done.attempt) for source in task.unit.sources}
        results = {s: replace(r, written=before[s] + r.written) for s, r in done.results.items()}
        self._before |= {s: before[s] + amounts(progress.written) for s, progress in done.left.items()}
        if self._stopping.is_set():
            results |= {source: of_a_failure(source, "", self._before[source]) for source in done.left}
        else:
            self._hand_out(rest_of(task.unit, done.left))
            results = {s: r if r.is_whole or r.problems else _unexplained(r) for s, r in results.items()}
        return Copied(results, done.newest, done.counted)

    def _given_up(self, key: str, problem: str) -> Copied:
        """What is known of a unit that nobody has carried out to its end; no problem: it was stopped."""
        task = self._tasks[key]
        self._forget(key)
        sources = task.unit.sources
        if problem:
            logger.error("%s: %s", ", ".join(map(str, sources)), problem)
        return Copied({source: of_a_failure(source, problem, self._written(task, source)) for source in sources})

    def _written(self, task: _Task, source: Location, but: str = "") -> Written:
        return self._before.get(source, Written()) + task.told(source, but)

    def _forget(self, key: str) -> None:
        task = self._tasks.pop(key)
        if task.is_troubled:
            self._settle(task)
        self._asked("event_clear", begun_event(key))

    def _stop(self, quarantine: Callable[[Location], Quarantine]) -> Copied:
        """Let all units stop, and wait for them as long as there is time."""
        copied = Copied()
        self._asked("event_set", stop_event(self._run))
        until = time.monotonic() + STOPPING
        while self._tasks and time.monotonic() < until and self._client.status == "running":
            self._hear(quarantine)
            for key in [key for key, task in self._tasks.items() if task.future.status == "finished"]:
                copied += self._end(key, quarantine)
        return copied

    def _asked(self, what: str, name: str) -> None:
        """Ask the scheduler about an event. It is none of the run's business if that fails."""
        if self._client.status != "running":
            return
        try:
            self._client.sync(getattr(self._client.scheduler, what), name=name, callback_timeout=ASKING)
        except OSError as error:
            logger.info("%s: %s", what, error)

    # ------------------------------------------------------------ what is told

    def _hear_all(self, task: _Task, done: Done, quarantine: Callable[[Location], Quarantine]) -> None:
        """What was told of an attempt before it ended may come after its end."""
        until = time.monotonic() + ASKING
        while task.messages[done.attempt] < done.messages and time.monotonic() < until:
            self._hear(quarantine)

    def _hear(self, quarantine: Callable[[Location], Quarantine]) -> None:
        """What has come, and what comes in a moment."""
        try:
            message = opened(self._inbox.get(timeout=TICK))
            while True:
                self._take(message, quarantine)
                message = opened(self._inbox.get_nowait())
        except queue.Empty:
            return

    def _take(self, message: object, quarantine: Callable[[Location], Quarantine]) -> None:
        if isinstance(message, PutAside) and message.run == self._run:
            self._keep(message, quarantine(message.place))
        if not isinstance(message, Message) or message.run != self._run or message.key not in self._tasks:
            return
        task = self._tasks[message.key]
        task.messages[message.attempt] += 1
        for name, arguments in message.calls:
            self._pass_on(task, message.attempt, name, arguments)

    def _pass_on(self, task: _Task, attempt: str, name: str, arguments: tuple[Any, ...]) -> None:
        listener = self._listener
        match name:
            case "log":
                logging.getLogger(arguments[0]).log(arguments[1], "%s", arguments[2])
            case "wrote":
                task.hear(attempt, *arguments)
                listener.wrote(*arguments)
            case "begun":
                listener.begun(*arguments)
            case "reached":
                listener.reached(*arguments)
            case "acknowledged":
                listener.acknowledged()
            case "retrying":
                task.is_troubled = True
                listener.retrying(*arguments)
            case "settled":
                self._settle(task)

    def _settle(self, task: _Task) -> None:
        task.is_troubled = False
        if not any(other.is_troubled for other in self._tasks.values()):
            self._listener.settled()

    def _keep(self, message: PutAside, kept: Quarantine) -> None:
        """Put lines on the disk, and tell the worker, which waits for that."""
        from distributed import Variable  # noqa: PLC0415 -- only where Dask is

        before, problem = kept.added, ""
        try:
            kept.put(message.lines, message.answer)
        except OSError as error:
            problem = error.strerror or str(error)
        answer = Variable(message.name, client=self._client)
        self._answers.append(answer)
        try:
            answer.set((kept.added - before, problem), timeout=CONNECTING)
        except OSError as error:
            logger.info("a worker does not hear that its lines are kept: %s", error)


class _Watch:
    """Looks after the scheduler and its workers while units are carried out."""

    def __init__(self, client: "Client", job: Job, listener: Listener) -> None:
        self._client = client
        self.scheduler = job.options.distribute
        """Its address."""
        self._server = where(job.destination)
        self._listener = listener
        self._looked = 0.0
        self._obstructed: float | None = None
        self._obstacle = ""
        self._warnings: dict[str, None] = {}
        self.workers = 0
        """How many there are that carry out units."""

    @property
    def resources(self) -> dict[str, float]:
        """What a worker needs for a unit."""
        return {self._server: 1, version.resource(): 1}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Which workers get nothing, and why."""
        return tuple(self._warnings)

    @property
    def gone(self) -> str:
        """What to say where the scheduler is no longer there; empty while it is."""
        is_there = self._client.status == "running"
        return (
            ""
            if is_there
            else f"Dask's scheduler {self.scheduler} is gone; the next run goes on from what is there"
        )

    def problem(self) -> str:
        """Why there is no sense in waiting any longer; empty while there is."""
        if self.gone:
            return self.gone
        if time.monotonic() - self._looked > LOOK_EVERY:
            self.look()
        is_long = self._obstructed is not None and time.monotonic() - self._obstructed > PATIENCE
        return f"after {PATIENCE:.0f} s {self._obstacle}" if is_long else ""

    def look(self) -> None:
        """Ask the scheduler for its workers."""
        source = version.resource()
        try:
            known = known_to(self._client)
            self._warnings |= dict.fromkeys(workers.refused(known, self._server, source))
            self.workers = len(workers.suited(known, self._server, source))
            obstacle = workers.obstacle(known, self.scheduler, self._server, source)
        except OSError as error:
            obstacle = f"{self.scheduler} does not answer: {_in_words(error)}"
        self._looked = time.monotonic()
        if obstacle and self._obstructed is None:
            self._obstructed = self._looked
            logger.warning("waiting for workers: %s", obstacle)
            self._listener.retrying(f"waiting for workers: {obstacle}")
        elif not obstacle and self._obstructed is not None:
            self._obstructed = None
            self._listener.settled()
        self._obstacle = obstacle


def _unexplained(result: MeasurementResult) -> MeasurementResult:
    """A result that is not whole, of a run that nobody has stopped: it must not count as ok."""
    return replace(result, problems=(f"copy {result.name}: its worker has given it up",))


def _reason(error: BaseException | None) -> str:
    """Why a unit has failed."""
    from distributed import KilledWorker  # noqa: PLC0415 -- only where Dask is

    if isinstance(error, KilledWorker):
        return (
            f"its worker died, {error.allowed_failures + 1} times; see what became of worker {error.last_worker}"
        )
    return str(error) if isinstance(error, LeaseLost) else f"unexpected {type(error).__name__}: {error}"
