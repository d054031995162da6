"""What a worker does with a unit: it connects to both servers, and copies as a run on one machine does."""

import os
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from pydantic import SecretStr

from backup import BackupManager
from basics.stopping import Stopped
from basics.times import format_time
from config import Config, password_in
from copying.distribution.board import WorkerBoard
from copying.distribution.lease import LeaseLost, Leases, held
from copying.distribution.obstacles import Unstartable
from copying.distribution.relay import PutAside, Relay
from copying.distribution.unit import Done, Unit, of_a_failure, opened, packed
from copying.planner import Planner
from copying.quarantine import Quarantine
from copying.task import Copy, Target
from influx.errors import InfluxError
from influx.influxql import Location
from influx.written import Written
from influx_client import InfluxClient, connect
from settings.held_secrets import SERVERS
from settings.keys import Job, Server
from settings.references import resolved

KEEPING = 60.0
"""Seconds for the daemon to put lines on its disk."""


def copy_unit(topic: str, unit: bytes) -> bytes:
    """The task of a worker: a unit, and what became of it. Raises LeaseLost where another one may write by now."""
    from distributed import get_worker  # noqa: PLC0415 -- only where Dask is

    asked = opened(unit)
    if not isinstance(asked, Unit):
        raise TypeError(f"that is no unit of work: {type(asked)}")
    board = WorkerBoard(get_worker(), asked.key, asked.run, asked.lease)
    relay = Relay(asked.run, asked.key, lambda message: board.tell(topic, message))
    with relay, relay.logs(asked.job.options.log_level, board.name):
        done = _done(asked, board, relay, topic)
    return packed(replace(done, messages=relay.messages))


def _done(unit: Unit, board: WorkerBoard, relay: Relay, topic: str) -> Done:
    """What becomes of a unit while this worker has the leases."""
    nothing = Done(relay.attempt, 0, {})
    leases = Leases(board, unit.leases, seconds=unit.lease, request=unit.request_limit)
    try:
        with held(leases):
            try:
                done = _copied(unit, board, relay, leases, topic)
            except InfluxError as error:
                done = _failed(unit, nothing, "" if leases.is_set() else str(error))
    except Stopped:
        done = _failed(unit, nothing, "")
    if why := leases.lost or leases.given_up:
        raise LeaseLost(why)
    problems = {s: replace(r, problems=_with_worker(r.problems, board.name)) for s, r in done.results.items()}
    return replace(done, results=problems, newest=relay.newest)


def _failed(unit: Unit, done: Done, problem: str) -> Done:
    return replace(done, results={source: of_a_failure(source, problem, Written()) for source in unit.sources})


def _with_worker(problems: Sequence[str], name: str) -> tuple[str, ...]:
    return tuple(f"{problem} (worker {name})" for problem in problems)


def _copied(unit: Unit, board: WorkerBoard, relay: Relay, leases: Leases, topic: str) -> Done:
    """The measurements of a unit, by the manager of a run. Raises InfluxError, or Stopped."""
    job = _with_passwords(unit.job)
    policy = unit.copies[0].target
    with (
        closing(connect(job.options, job.source, "source", leases, listener=relay)) as source,
        closing(connect(job.options, job.destination, "destination", leases, listener=relay)) as destination,
    ):
        copies = unit.copies
        if board.has_begun_before():
            copies = tuple(Planner(job, source, destination, unit.now).advanced(copies))
        manager = BackupManager(
            Config.of(unit.file, job),
            source,
            destination,
            now=unit.now,
            elapsed=max(0, time.time_ns() - unit.now),
            stopping=leases,
            listener=relay,
            marks=_ToldMarks(unit.is_marked),
            quarantines=lambda place: _SentQuarantine(unit, place, board, topic),
        )
        if unit.together:
            results, left = manager.copy_together(copies)
        else:
            found = manager.copy_measurements(copies, unit.lateness)
            results, left = dict(zip(unit.sources, found, strict=True)), {}
        return Done(relay.attempt, 0, results, left, counted=_counted(destination, policy))


def _counted(destination: InfluxClient, policy: Target) -> tuple[int, int]:
    return destination.acknowledged(policy.database, policy.destination.name), destination.questions


def _with_passwords(job: Job) -> Job:
    """The job with the passwords that its references lead to on this machine. Raises Unstartable."""
    servers: dict[str, Server] = dict(zip(SERVERS, (job.source, job.destination), strict=True))
    for name, server in servers.items():
        try:
            password = ""
            if server.password_file:
                password = password_in(server.password_file)
            elif name in job.references:
                password = resolved(job.references[name], os.environ)
        except ValueError as error:
            raise Unstartable(f"the password of the {name} is not on this worker: {error}") from None
        servers[name] = server.model_copy(update={"password": SecretStr(password)})
    return job.model_copy(update=servers)


class _ToldMarks:
    """The mark that the daemon has on its disk."""

    def __init__(self, is_marked: bool) -> None:  # noqa: FBT001 -- there is nothing else
        self._is_marked = is_marked

    def holds(self, _copy: Copy) -> bool:
        """Whether points of a measurement may be written in any order."""
        return self._is_marked


class _SentQuarantine(Quarantine):
    """The quarantine of a measurement, whose file is on the daemon's disk."""

    def __init__(self, unit: Unit, place: Location, board: WorkerBoard, topic: str) -> None:
        job = unit.job
        super().__init__(unit.quarantine, job.name, job.destination.url, place, format_time(unit.now))
        self._run = unit.run
        self._place = place
        self._board = board
        self._topic = topic

    def _add(self, lines: Sequence[bytes], answer: str) -> int:
        """Let the daemon add them, and wait until they are on its disk."""
        name = f"influxdb-backup kept {uuid.uuid4().hex}"
        self._board.tell(self._topic, packed(PutAside(self._run, name, self._place, lines, answer)))
        told = self._board.answer(name, KEEPING)
        if told is None:
            raise OSError(None, f"the daemon has not answered for {KEEPING:.0f} s")
        added, problem = told
        if problem:
            raise OSError(None, problem)
        return int(added)
