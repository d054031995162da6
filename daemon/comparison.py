"""Compares both sides of a job in a process of its own, beside its worker, and says what came of it."""

import logging
import multiprocessing
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import TYPE_CHECKING

from basics.boundary import error_boundary
from basics.processes import call_itself, start
from basics.stopping import StopRequest
from config import Config
from daemon.child import let_go, stop_on_sigterm
from daemon.job_file import JobFile
from daemon.watch import Watch, longest_silence
from logger_config import setup_logging
from settings.keys import Job
from watching.channel import Channel
from watching.events import Verified

if TYPE_CHECKING:
    from checking.verdict import JobVerdict, Scope

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The process, and the end of the pipe that its verdict comes out of."""

    job: str
    process: ForkProcess
    answer: Connection

    @classmethod
    def start(
        cls,
        file: JobFile,
        until: int,
        channel: Channel,
        listener: socket.socket | None,
        lifeline: tuple[Connection, Connection],
        inherited: Sequence[Connection],
    ) -> "Comparison":
        """Begin to compare what the copy holds `until` that time (nanoseconds). Raises OSError.

        A fork, as a worker is; what is open here of the others (`inherited`) it closes.
        """
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        arguments = (
            file.config.path,
            file.content,
            file.defaults,
            until,
            sender,
            lifeline,
            channel,
            listener,
            inherited,
        )
        process = context.Process(target=comparing_process, args=arguments, name=f"{file.name} verify")
        try:
            start(process)
        except OSError:
            receiver.close()
            raise
        finally:
            sender.close()
        return cls(file.name, process, receiver)


def comparing_process(
    path: Path,
    content: bytes,
    defaults: bytes,
    until: int,
    answer: Connection,
    lifeline: tuple[Connection, Connection],
    channel: Channel,
    listener: socket.socket | None,
    inherited: Sequence[Connection],
) -> None:
    """The target of the process. It ends when the parent says so, or when that has ended."""
    stopping = StopRequest()
    let_go(lifeline, channel, listener, inherited)
    channel.sender.close()
    call_itself("verify")
    stop_on_sigterm(stopping)
    try:
        with error_boundary() as outcome:
            config = Config(path, content=content, defaults=defaults)
            Watch(stopping, lifeline[0], longest_silence(config.job.options.timeout_client)).start()
            found = compared(config, until, stopping)
        if outcome.problem:
            found = Verified(path.stem, time.time_ns(), "could not check", outcome.problem)
        if not stopping.is_set():
            with suppress(BrokenPipeError):  # the parent was killed: there is nobody to tell
                answer.send(found)
    finally:
        logging.shutdown()


def compared(config: Config, until: int, stopping: StopRequest) -> Verified:
    """What a comparison finds, which is logged: to the console and Loki, as the file is the worker's."""
    from checking.repair import compare_job  # noqa: PLC0415 -- heavy libraries, which may start threads
    from checking.verdict import as_event, conclusion, table  # noqa: PLC0415

    options = config.job.options
    setup_logging(config.job.name, options.log_level, loki=options.loki, log_format=options.log_format)
    verdict = compare_job(config, scope(config.job, until), stopping)
    event = as_event(verdict, time.time_ns())
    if not stopping.is_set():
        _log(verdict, conclusion(verdict), table(verdict), event)
    return event


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
