"""What a process of a job does from its birth to its last word: it looks for its servers, or runs the job once."""

import datetime as dt
import gc
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from basics.boundary import error_boundary
from basics.memory import give_back_memory
from basics.stopping import StopRequest
from config import ConfigError
from copying.results import JobResult
from daemon.child import let_go, stop_on_sigterm
from daemon.rivals import Rivals
from daemon.room import no_room
from daemon.task import Answer, HasRun, NoRoom, Reached, Task, first_times
from daemon.turns import Sameness
from daemon.watch import Watch
from daemon.worker import first_unreached, invalid, prepared, run_worker
from logger_config import LogDirectoryError, setup_logging
from watching.channel import Channel, Sender
from watching.reporter import Reporter

logger = logging.getLogger(__name__)


def load_libraries(*, all_of_them: bool) -> None:
    """Import what each run needs before workers are forked, so that all of them share its memory.

    `all_of_them`: also what a run needs only when it has something to copy.

    None of it may start a thread: a fork copies the locks that a thread holds, but not the thread. numpy can do
    without; polars cannot, so each worker imports it for itself.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's linear algebra, which nothing here uses
    give_back_memory()
    if all_of_them:
        import numpy  # noqa: F401, PLC0415

        import backup  # noqa: F401, PLC0415 -- with the client, msgpack, requests
    else:
        from influx import transport  # noqa: F401, PLC0415 -- msgpack, requests

    gc.collect()
    gc.freeze()  # a collection in a worker does not touch these objects, which would copy their pages


def worker_process(
    answer: Connection,
    path: Path,
    content: bytes,
    defaults: bytes,
    lifeline: tuple[Connection, Connection],
    channel: Channel,
    listener: socket.socket | None,
    inherited: Sequence[Connection],
    task: Task,
    logs: bool,  # noqa: FBT001 -- the target of a process
    limit: float,
) -> None:
    """The target of a worker process. The parent alone decides about signals from the terminal.

    What goes on is told by the channel; with `logs` progress is logged. After `limit` seconds without a sign of
    life it ends itself.

    `lifeline` are the two ends of a pipe of which only the parent keeps the second: it ends when the parent does.
    (The parent's sentinel does not: workers that are forked later hold its other end open, too.)
    """
    stopping = StopRequest()
    let_go(lifeline, channel, listener, inherited)
    reporter = Reporter(path.stem, Sender(channel), worker=task.worker, totals=task.totals, logs=logs)

    def tell(told: JobResult | Answer | Sameness) -> None:
        with suppress(BrokenPipeError):  # the parent was killed: there is nobody to tell
            answer.send(told)

    stop_on_sigterm(stopping)
    Watch(stopping, lifeline[0], limit).start()
    reporter.start()
    try:
        _do(task, _Work(path, content, defaults, stopping, reporter, tell))
    finally:
        reporter.close()
        logging.shutdown()  # the end of a forked process does not do that: lines would not reach Loki


@dataclass(frozen=True, slots=True)
class _Work:
    """What a process of a job has for its task."""

    path: Path
    content: bytes
    defaults: bytes
    stopping: StopRequest
    reporter: Reporter
    tell: Callable[[JobResult | Answer | Sameness], object]


def _do(task: Task, work: _Work) -> None:
    """The task, and the answer that says that it is done."""
    if task.purpose == "reach":
        _reach(work)
    elif not task.doubts or _has_room(task, work):
        _run_its_turn(task, work)


def _reach(work: _Work) -> None:
    """See whether the servers answer, once; say so, and when the job runs."""
    setup_logging(work.path.stem)
    with error_boundary() as outcome:
        try:
            config = prepared(work.path, work.content, work.defaults)
        except (ConfigError, LogDirectoryError) as error:
            invalid(work.path, error, work.tell)
            return
        # a command of the user's may be what makes a server reachable
        found = None if config.job.options.hooks.before else first_unreached(config, work.stopping)
        if not work.stopping.is_set():
            now = dt.datetime.now(dt.UTC)
            times = first_times(config.job, now)
            if found is None:
                logger.info("%s", times.announcement(now))
            work.tell(found or Reached(times))
    if outcome.problem:
        work.tell(JobResult(work.path.stem, problems=(outcome.problem,)))


def _has_room(task: Task, work: _Work) -> bool:
    """Whether its servers have room for a run; else it says why not. What cannot be found out, the run finds."""
    with error_boundary(), suppress(ConfigError, LogDirectoryError):
        config = prepared(work.path, work.content, work.defaults)
        if why := no_room(config.job, task.doubts, work.stopping, work.tell):
            work.tell(NoRoom(why))
            return False
    return True


def _run_its_turn(task: Task, work: _Work) -> None:
    """One run; of a scheduled job that was not stopped it says when the next is."""
    rivals = Rivals(task.rivals)
    before = work.reporter.totals.runs
    run_worker(
        work.path,
        work.stopping,
        content=work.content,
        defaults=work.defaults,
        report=work.tell,
        reporter=work.reporter,
        rivals=rivals,
        waited=task.waited,
    )
    if task.times is None or work.stopping.is_set() or work.reporter.totals.runs == before:
        return
    task.times.plan(task.begun)
    logger.info("%s", task.times.announcement(dt.datetime.now(dt.UTC)))
    work.reporter.close()  # all that it has told is known from now on
    reporter = work.reporter
    work.tell(HasRun(task.times, reporter.totals, reporter.told, reporter.untold, rivals.apart))
