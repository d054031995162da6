"""One job in a process of its own: reaches its servers, waits for its times, runs, and says what became of it."""

import ctypes
import gc
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from basics.boundary import error_boundary
from basics.locks import FileLock
from basics.memory import give_back_memory
from basics.stopping import StopRequest
from basics.text import SEVERAL_LINES
from config import Config, ConfigError, Server
from copying import quarantine
from copying.results import JobResult, with_snapshot
from daemon.child import let_go, stop_on_sigterm
from daemon.hooks import RunHooks
from daemon.rivals import Rivals
from daemon.watch import Watch
from logger_config import LogDirectoryError, setup_logging
from scheduler import Scheduler, run_job_once
from settings.overlaps import Rival
from watching.channel import Channel, Sender
from watching.reporter import Reporter

logger = logging.getLogger(__name__)


Report = Callable[[JobResult], object]


def run_worker(
    path: Path,
    stopping: StopRequest | None = None,
    *,
    content: bytes | None = None,
    defaults: bytes | None = None,
    once: bool = True,
    report: Report = lambda _: None,
    reporter: Reporter | None = None,
    rivals: Iterable[Rival] = (),
) -> JobResult:
    """Run the job of one file in this process, and return what became of its (last) run. Raises nothing.

    `content` is what the file held when it was checked, and `defaults` what all jobs beside it share; without
    them the files are read.

    With a schedule, and unless `once`, it runs at its times until a stop is requested; `report` hears of
    every run, and `reporter` of all that goes on. A run that fails is tried again at its next time. It is refused
    while one of the `rivals` writes to the same server.
    """
    setup_logging(path.stem)
    with error_boundary() as outcome:
        try:
            config = Config(path, content=content, defaults=defaults)
            _set_up_logging(config)
        except (ConfigError, LogDirectoryError) as error:
            logger.error("%s", error, extra=SEVERAL_LINES)  # noqa: TRY400 -- a user's mistake needs no traceback
            return _reported(JobResult(path.stem, problems=(str(error),)), report)
        with FileLock(quarantine.lock_file(config.job, os.environ)) as lock:
            lock.share()  # from now on no restore of the job begins
            run = _Run(config, stopping or StopRequest(), reporter or Reporter(), Rivals(rivals), lock)
            return _work(run, once=once, report=report)
    return _reported(JobResult(path.stem, problems=(outcome.problem,)), report)


def _reported(result: JobResult, report: Report) -> JobResult:
    report(result)
    return result


def _set_up_logging(config: Config) -> None:
    options = config.job.options
    setup_logging(
        config.job.name,
        options.log_level,
        directory=options.log_directory,
        rotation=options.log_rotation,
        loki=options.loki,
        log_format=options.log_format,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """What each run of the job is made with."""

    config: Config
    stopping: StopRequest
    reporter: Reporter
    rivals: Rivals
    lock: FileLock


def _work(run: _Run, *, once: bool, report: Report) -> JobResult:
    config, stopping, reporter = run.config, run.stopping, run.reporter
    last = JobResult(config.job.name, stopped=True)

    def job() -> JobResult:
        nonlocal last
        reporter.run_started()
        last = _reported(_guarded_run(run), report)
        reporter.run_finished(last)
        return last

    def job_of_many() -> None:
        job()
        _release_memory()

    times = config.job.options.incremental
    if once or times.schedule is None:
        return run_job_once(job)
    # a command of the user's may be what makes a server reachable
    if config.job.options.hooks.before or _wait_for_servers(config, stopping, report, reporter):
        schedule = Scheduler(
            job_of_many,
            times.schedule,
            str(times.timezone),
            run_on_start=times.run_on_start,
            stopping=stopping,
            announce=reporter.next_run,
        )
        schedule.start()
    return last


def _release_memory() -> None:
    """Give back to the system what the run has freed: the next one may be a day away."""
    gc.collect()
    with suppress(AttributeError):  # not every C library can
        ctypes.CDLL(None).malloc_trim(0)


def _guarded_run(run: _Run) -> JobResult:
    """One run that cannot harm the next one. It lasts from here to its end, waits for servers and all."""
    begun = time.monotonic()
    with error_boundary() as outcome:
        result = _with_hooks(run)
        seconds = time.monotonic() - begun
        is_incremental = run.config.job.options.backup_mode == "incremental"
        result = replace(result, seconds=seconds, ended=time.time_ns() if is_incremental else 0)
        logger.log(logging.INFO if result.succeeded else logging.ERROR, "%s", result.sentence)
        return result
    return JobResult(run.config.job.name, problems=(outcome.problem,), seconds=time.monotonic() - begun)


def _with_hooks(run: _Run) -> JobResult:
    """The run between the user's own commands; there is none where the one before fails."""
    job, stopping = run.config.job, run.stopping
    hooks = RunHooks(job.name, job.options.hooks, stopping)
    problem = hooks.before()
    if problem and stopping.is_set():
        return JobResult(job.name, stopped=True)
    return hooks.after(JobResult(job.name, problems=(problem,)) if problem else _run(run))


def _run(run: _Run) -> JobResult:
    """One run: to the server that the job names, and then to its archive; a failure of one stops not the other."""
    destination = run.config.job.destination
    if not run.lock.share():
        return _refused(run, "a restore of this job runs: nothing is copied before it has ended")
    result = _copy_to_server(run) if destination.url else None
    if not destination.archive or (result and run.stopping.is_set()):
        return result or JobResult(run.config.job.name, stopped=True)
    return with_snapshot(result, _take_snapshot(run, Reporter() if result else run.reporter))


def _refused(run: _Run, problem: str) -> JobResult:
    logger.error("%s", problem)
    return JobResult(run.config.job.name, problems=(problem,))


def _unreached(run: _Run, problem: str) -> JobResult:
    """What becomes of a run that does not reach a server."""
    return JobResult(run.config.job.name, stopped=True) if run.stopping.is_set() else _refused(run, problem)


def _copy_to_server(run: _Run) -> JobResult:
    # polars is heavy: only a run pays for it
    from backup import BackupManager  # noqa: PLC0415
    from influx.errors import InfluxError  # noqa: PLC0415
    from influx_client import connect  # noqa: PLC0415

    config, stopping, reporter = run.config, run.stopping, run.reporter
    job = config.job
    try:
        source = connect(config.job.options, job.source, "source", stopping, listener=reporter)
        destination = connect(config.job.options, job.destination, "destination", stopping, listener=reporter)
    except InfluxError as error:
        return _unreached(run, str(error))
    if problem := run.rivals.problem(job, stopping):
        return _refused(run, problem)
    logger.info("from %s to %s, %s", job.source.url, job.destination.url, job.options.backup_mode)
    with closing(source), closing(destination):
        return BackupManager(config, source, destination, stopping=stopping, listener=reporter).run_backup()


def _take_snapshot(run: _Run, reporter: Reporter) -> JobResult:
    from copying.archive.contents import Archive  # noqa: PLC0415 -- heavy libraries
    from copying.archive.places import open_store  # noqa: PLC0415
    from copying.archive.taking import SnapshotRun  # noqa: PLC0415
    from influx.errors import InfluxError  # noqa: PLC0415
    from influx_client import connect  # noqa: PLC0415

    job, stopping = run.config.job, run.stopping
    try:
        source = connect(job.options, job.source, "source", stopping, listener=reporter)
        archive = Archive(open_store(job.destination.archive))
    except InfluxError as error:
        return _unreached(run, str(error))
    logger.info("snapshot of %s in %s", job.source.url, job.destination.archive)
    with closing(source):
        return SnapshotRun(job, source, archive, stopping=stopping, listener=reporter).run()


def _wait_for_servers(config: Config, stopping: StopRequest, report: Report, reporter: Reporter) -> bool:
    """Wait until both servers answer, one log line for each attempt; False when asked to stop before."""
    delay = config.job.options.initial_connection_retry_delay
    servers = ((config.job.source, "source"), (config.job.destination, "destination"))
    for server, role in (pair for pair in servers if pair[0].url):
        while not stopping.is_set():
            problem = _unreachable(config, server, role, stopping)
            if not problem:
                break
            logger.warning("waiting for the %s: %s; next attempt in %g s", role, problem, delay)
            report(JobResult(config.job.name, problems=(f"waiting for the {role}: {problem}",)))
            reporter.waiting(role, problem, delay)
            stopping.wait(delay)
    return not stopping.is_set()


def _unreachable(config: Config, server: Server, role: str, stopping: StopRequest) -> str:
    """Why the server cannot be reached yet. Any other error is left to the run, which reports it."""
    from influx.errors import InfluxError  # noqa: PLC0415
    from influx_client import connect  # noqa: PLC0415

    try:
        connect(config.job.options, server, role, stopping, retries=0).close()
    except InfluxError as error:
        return str(error) if error.retryable else ""
    return ""


# ---------------------------------------------------------------- the process


def load_libraries(*, all_of_them: bool) -> None:
    """Import what each run needs before workers are forked, so that all of them share its memory.

    `all_of_them`: also what a run needs only when it has something to copy.

    None of it may start a thread: a fork copies the locks that a thread holds, but not the thread. numpy can do
    without; polars cannot, so each worker imports it for itself.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's linear algebra, which nothing here uses
    give_back_memory()
    from influx import transport  # noqa: F401, PLC0415 -- msgpack, requests

    if all_of_them:
        import numpy  # noqa: F401, PLC0415

    gc.collect()
    gc.freeze()  # a collection in a worker does not touch these objects, which would copy their pages


def worker_process(
    path: Path,
    content: bytes,
    defaults: bytes,
    answer: Connection,
    lifeline: tuple[Connection, Connection],
    channel: Channel,
    listener: socket.socket | None,
    inherited: Sequence[Connection],
    once: bool,  # noqa: FBT001 -- the target of a process
    logs: bool,  # noqa: FBT001
    rivals: Sequence[Rival],
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
    reporter = Reporter(path.stem, Sender(channel), worker=time.time_ns(), logs=logs)

    def report(result: JobResult) -> None:
        with suppress(BrokenPipeError):  # the parent was killed: there is nobody to tell
            answer.send(result)

    stop_on_sigterm(stopping)
    Watch(stopping, lifeline[0], limit).start()
    reporter.start()
    try:
        run_worker(
            path,
            stopping,
            content=content,
            defaults=defaults,
            once=once,
            report=report,
            reporter=reporter,
            rivals=rivals,
        )
    finally:
        reporter.close()
        logging.shutdown()  # the end of a forked process does not do that: lines would not reach Loki
