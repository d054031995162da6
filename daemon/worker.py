"""One job in this process: reaches its servers, waits for its times, runs, and says what became of it."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from basics.boundary import error_boundary
from basics.locks import FileLock
from basics.stopping import StopRequest
from basics.text import SEVERAL_LINES
from basics.together import both
from config import Config, ConfigError, Server
from copying import quarantine
from copying.results import JobResult, with_snapshot
from daemon.hooks import RunHooks
from daemon.rivals import Rivals
from daemon.task import Unreached
from daemon.turns import places
from logger_config import LogDirectoryError, setup_logging
from scheduler import Scheduler, run_job_once, spread
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
    rivals: Rivals | None = None,
    waited: float = 0.0,
) -> JobResult:
    """Run the job of one file in this process, and return what became of its (last) run. Raises nothing.

    `content` is what the file held when it was checked, and `defaults` what all jobs beside it share; without
    them the files are read.

    With a schedule, and unless `once`, it runs at its times until a stop is requested; `report` hears of
    every run, and `reporter` of all that goes on. A run that fails is tried again at its next time. It is refused
    while one of the `rivals` writes to the same server. (The daemon's processes run once: it keeps the times.) It
    logs for how many seconds it `waited` for its turn.
    """
    setup_logging(path.stem)
    with error_boundary() as outcome:
        try:
            config = prepared(path, content, defaults)
        except (ConfigError, LogDirectoryError) as error:
            return invalid(path, error, report)
        with FileLock(quarantine.lock_file(config.job, os.environ)) as lock:
            lock.share()  # from now on no restore of the job begins
            if waited:
                logger.info("its turn has come, %.0f s after its time", waited)
            run = _Run(config, stopping or StopRequest(), reporter or Reporter(), rivals or Rivals(), lock)
            return _work(run, once=once, report=report)
    return _reported(JobResult(path.stem, problems=(outcome.problem,)), report)


def prepared(path: Path, content: bytes | None, defaults: bytes | None) -> Config:
    """The job's file, and logging as it says. Raises ConfigError or LogDirectoryError."""
    config = Config(path, content=content, defaults=defaults)
    _set_up_logging(config)
    return config


def invalid(path: Path, error: Exception, report: Report) -> JobResult:
    """The result of a job whose file, or whose log directory, is of no use."""
    logger.error("%s", error, extra=SEVERAL_LINES)
    return _reported(JobResult(path.stem, problems=(str(error),)), report)


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

    times = config.job.options.incremental
    if once or times.schedule is None:
        return run_job_once(job)
    # a command of the user's may be what makes a server reachable
    if config.job.options.hooks.before or _wait_for_servers(config, stopping, report, reporter):
        schedule = Scheduler(
            job,
            times.schedule,
            str(times.timezone),
            run_on_start=times.run_on_start,
            stopping=stopping,
            announce=reporter.next_run,
            later=spread(config.job.name, times.jitter),
        )
        schedule.start()
    return last


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
    from copying.distribution.cluster import Cluster, connect_cluster  # noqa: PLC0415
    from influx.errors import InfluxError  # noqa: PLC0415
    from influx_client import connect  # noqa: PLC0415

    config, stopping, reporter = run.config, run.stopping, run.reporter
    job = config.job
    try:
        source, destination = both(
            lambda: connect(job.options, job.source, "source", stopping, listener=reporter),
            lambda: connect(job.options, job.destination, "destination", stopping, listener=reporter),
        )
    except InfluxError as error:
        return _unreached(run, str(error))
    if problem := run.rivals.problem(job, stopping):
        return _refused(run, problem)
    logger.info("from %s to %s, %s", job.source.url, job.destination.url, job.options.backup_mode)
    with closing(source), closing(destination), ExitStack() as stack:
        cluster: Cluster | None = None
        if job.options.distribute:
            try:
                cluster = stack.enter_context(closing(connect_cluster(job, config.path, stopping, reporter)))
            except InfluxError as error:
                return _unreached(run, str(error))
        return BackupManager(
            config, source, destination, stopping=stopping, listener=reporter, cluster=cluster
        ).run_backup()


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
        return SnapshotRun(job, source, archive, path=run.config.path, stopping=stopping, listener=reporter).run()


def _wait_for_servers(config: Config, stopping: StopRequest, report: Report, reporter: Reporter) -> bool:
    """Wait until both servers answer, one log line for each attempt; False when asked to stop before."""
    while not stopping.is_set() and (found := first_unreached(config, stopping)):
        report(JobResult(config.job.name, problems=(f"waiting for the {found.role}: {found.problem}",)))
        reporter.waiting(found.role, found.problem, found.seconds)
        stopping.wait(found.seconds)
    return not stopping.is_set()


def first_unreached(config: Config, stopping: StopRequest) -> Unreached | None:
    """The server of a job that does not answer, which is logged; None when all do, or when asked to stop."""
    delay = config.job.options.initial_connection_retry_delay
    for role, problem in _unreachable_places(config, stopping):
        if problem and not stopping.is_set():
            logger.warning("waiting for the %s: %s; next attempt in %g s", role, problem, delay)
            return Unreached(role, problem, delay)
    return None


def _unreachable_places(config: Config, stopping: StopRequest) -> Iterator[tuple[str, str]]:
    """What a job has to reach, each with why it cannot be reached yet."""
    for place in places(config.job):
        yield place.role, _unreachable(config, place.server, place.role, stopping)
    if config.job.options.distribute:
        yield "cluster", _no_cluster(config)


def _no_cluster(config: Config) -> str:
    from copying.distribution.cluster import look_at  # noqa: PLC0415 -- heavy libraries
    from influx.errors import InfluxError  # noqa: PLC0415

    try:
        return look_at(config.job).obstacle
    except InfluxError as error:
        return str(error) if error.retryable else ""


def _unreachable(config: Config, server: Server, role: str, stopping: StopRequest) -> str:
    """Why the server cannot be reached yet. Any other error is left to the run, which reports it."""
    from influx.errors import InfluxError  # noqa: PLC0415
    from influx_client import connect  # noqa: PLC0415

    try:
        connect(config.job.options, server, role, stopping, retries=0).close()
    except InfluxError as error:
        return str(error) if error.retryable else ""
    return ""
