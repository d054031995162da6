"""Compares both sides of a job, or drills it, in a process of its own beside its worker; says what came of it."""

import logging
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from basics.boundary import error_boundary
from basics.processes import call_itself, fork_with_answer
from basics.stopping import Stopped, StopRequest
from config import Config
from daemon.child import let_go, stop_on_sigterm
from daemon.job_file import JobFile
from daemon.watch import Watch, longest_silence
from logger_config import setup_logging
from settings.keys import Job
from watching.channel import Channel
from watching.events import Drilled, Proved, Verdict, Verified

if TYPE_CHECKING:
    from checking.verdict import JobVerdict, Scope

logger = logging.getLogger(__name__)

Kind = Literal["verify", "drill"]
"""What is done to a job, as the key of its schedule calls it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The process, and the end of the pipe that its verdicts come out of."""

    job: str
    kind: Kind
    process: ForkProcess
    answer: Connection

    @classmethod
    def start(
        cls,
        file: JobFile,
        kind: Kind,
        until: int,
        channel: Channel,
        listener: socket.socket | None,
        lifeline: tuple[Connection, Connection],
        inherited: Sequence[Connection],
    ) -> "Comparison":
        """Begin to compare what the copy holds `until` that time (nanoseconds), or to drill. Raises OSError.

        A fork, as a worker is; what is open here of the others (`inherited`) it closes.
        """
        process, receiver = fork_with_answer(
            comparing_process,
            f"{file.name} {kind}",
            file.config.path,
            file.content,
            file.defaults,
            kind,
            until,
            lifeline,
            channel,
            listener,
            inherited,
        )
        return cls(file.name, kind, process, receiver)


def comparing_process(
    answer: Connection,
    path: Path,
    content: bytes,
    defaults: bytes,
    kind: Kind,
    until: int,
    lifeline: tuple[Connection, Connection],
    channel: Channel,
    listener: socket.socket | None,
    inherited: Sequence[Connection],
) -> None:
    """The target of the process. It ends when the parent says so, or when that has ended."""
    stopping = StopRequest()
    let_go(lifeline, channel, listener, inherited)
    channel.sender.close()
    call_itself(kind)
    stop_on_sigterm(stopping)
    try:
        with error_boundary() as outcome:
            config = Config(path, content=content, defaults=defaults)
            Watch(stopping, lifeline[0], longest_silence(config.job.options.timeout_client)).start()
            found = drilled(config, stopping) if kind == "drill" else compared(config, until, stopping)
        if outcome.problem:
            found = (untold(path.stem, kind, outcome.problem),)
        if not stopping.is_set():
            with suppress(BrokenPipeError):  # the parent was killed: there is nobody to tell
                answer.send(found)
    finally:
        logging.shutdown()


def untold(job: str, kind: Kind, problem: str) -> Verdict:
    """The verdict of what could not even begin, or did not come to its end."""
    if kind == "drill":
        return Drilled(job, time.time_ns(), "not done", problem)
    return Verified(job, time.time_ns(), "could not check", problem)


def compared(config: Config, until: int, stopping: StopRequest) -> tuple[Verdict, ...]:
    """What a comparison finds, of the server and then of the archive.

    It is logged: to the console and Loki, as the file is the worker's.
    """
    _log_to_console(config)
    destination = config.job.destination
    found: tuple[Verdict, ...] = (_sides(config, until, stopping),) if destination.url else ()
    if destination.archive and not stopping.is_set():
        found = (*found, _archive(config, stopping))
    return found


def _log_to_console(config: Config) -> None:
    options = config.job.options
    setup_logging(config.job.name, options.log_level, loki=options.loki, log_format=options.log_format)


def _sides(config: Config, until: int, stopping: StopRequest) -> Verified:
    from checking.repair import compare_job  # noqa: PLC0415 -- heavy libraries, which may start threads
    from checking.verdict import as_event, conclusion, table  # noqa: PLC0415

    verdict = compare_job(config, scope(config.job, until), stopping)
    event = as_event(verdict, time.time_ns())
    if not stopping.is_set():
        _log(verdict, conclusion(verdict), table(verdict), event)
    return event


def _archive(config: Config, stopping: StopRequest) -> Proved:
    from checking.archives import as_event, prove_archive  # noqa: PLC0415 -- heavy libraries

    proof = prove_archive(config, config.job.options.verify.sample / 100, stopping)
    event = as_event(proof, time.time_ns())
    if not stopping.is_set():
        level = logging.INFO if event.result == "whole" else logging.WARNING
        logger.log(level, "archive verify: %s: read %s in %.1f s", event.result, event.read, event.seconds)
        for line in event.detail.splitlines():
            logger.warning("archive verify: %s", line)
    return event


def drilled(config: Config, stopping: StopRequest) -> tuple[Verdict, ...]:
    """What a drill comes to, which is logged; nothing when it was stopped."""
    from checking.drill import drill_job, planned  # noqa: PLC0415 -- heavy libraries

    _log_to_console(config)
    try:
        event = drill_job(config, planned(config.job), stopping, os.environ)
    except Stopped:
        return ()
    level = logging.INFO if event.result == "passed" else logging.WARNING
    logger.log(level, "drill %s", event.sentence)
    for line in event.detail.splitlines():
        logger.log(level, "drill: %s", line)
    return (event,)


def _log(verdict: "JobVerdict", sentence: str, text: str, event: Verified) -> None:
    level = logging.INFO if event.result == "equal" else logging.WARNING
    logger.log(level, "verify by %s: %s in %.1f s", verdict.how, sentence, verdict.seconds)
    for line in text.splitlines()[1:-1] if event.result != "equal" else ():
        logger.warning("verify: %s", line.strip())


def scope(job: Job, until: int) -> "Scope":
    """What to compare: all that can be expected to be there, which ends where the last good run began."""
    from checking.verdict import Scope  # noqa: PLC0415 -- what needs it comes with heavy libraries

    verify, limits = job.options.verify, job.options.range
    end = until if limits is None else min(limits.end, until)
    return Scope(end=end, full=verify.full, share=verify.sample / 100)
