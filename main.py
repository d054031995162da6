"""The command line: finds the jobs, runs one worker process for each, reports, and exits honestly."""

import argparse
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType

import report
from config import Config, ConfigError, Server
from logger_config import setup_logging
from report import JobResult
from scheduler import run_job_once
from stopping import StopRequest

logger = logging.getLogger(__name__)

SUCCESS, FAILURE, USAGE = 0, 1, 2
SUFFIXES = (".yaml", ".yml")
TEMPLATES = (".template.yaml", ".template.yml", ".yaml.template", ".yml.template")


# ---------------------------------------------------------------- finding the jobs


class UsageError(Exception):
    """The command line names nothing that could run."""


def default_paths(environ: Mapping[str, str]) -> list[Path]:
    """$BACKUP_CONFIG_DIR, else /config where it exists (the container), else ./config."""
    configured = environ.get("BACKUP_CONFIG_DIR")
    if configured:
        return [Path(configured)]
    return [Path("/config") if Path("/config").is_dir() else Path("config")]


def find_jobs(paths: Sequence[Path]) -> list[Path]:
    """The job files among the paths and in the folders among them, in order.

    Raises UsageError when a path does not exist, none is a job, or two jobs have the same name.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files.extend(sorted(f for f in path.iterdir() if _is_job(f)))
        elif path.exists():
            files.append(path)
        else:
            raise UsageError(f"{path} does not exist")
    if not files:
        places = ", ".join(map(str, paths))
        raise UsageError(f"no job in {places}: copy config/backup.template.yaml there as <job>.yaml and edit it")
    return _distinct(files)


def _is_job(file: Path) -> bool:
    return file.suffix in SUFFIXES and not file.name.endswith(TEMPLATES) and not file.name.startswith(".")


def _distinct(files: Sequence[Path]) -> list[Path]:
    named: dict[str, Path] = {}
    for file in files:
        other = named.setdefault(file.stem, file)
        if not other.samefile(file):
            raise UsageError(f"{other} and {file} are both the job {file.stem!r}: rename one")
    return list(named.values())


def load_jobs(files: Sequence[Path]) -> tuple[list[Config], list[ConfigError]]:
    """The valid ones, and what is wrong with the others."""
    valid, invalid = [], []
    for file in files:
        try:
            valid.append(Config(file))
        except ConfigError as error:
            invalid.append(error)
    return valid, invalid


# ---------------------------------------------------------------- one worker


class Outcome:
    """Holds the exit code that `error_boundary` leaves behind."""

    code = SUCCESS
    problem = ""


@contextmanager
def error_boundary() -> Iterator[Outcome]:
    """The one place where an unforeseen error ends: it is logged with its traceback, and the process fails."""
    outcome = Outcome()
    try:
        yield outcome
    except Exception as error:  # the process boundary
        logger.exception("this is a bug, please report it")
        outcome.code, outcome.problem = FAILURE, f"unexpected {type(error).__name__}: {error}"


def run_worker(path: Path, stopping: StopRequest | None = None) -> JobResult:
    """Run the job of one file in this process, once, and say what became of it. Raises nothing."""
    stopping = stopping or StopRequest()
    result = JobResult(path.stem)
    with error_boundary() as outcome:
        config = Config(path)
        setup_logging(config.job.name, config.job.options.log_level)
        if config.job.options.incremental.schedule:
            logger.warning("options.incremental.schedule is not used yet: the job runs once, now")
        result = run_job_once(lambda: _run(config, stopping))
    if outcome.problem:
        return JobResult(path.stem, problems=(outcome.problem,))
    return result


def _run(config: Config, stopping: StopRequest) -> JobResult:
    # pandas, polars and their like are heavy; only the workers pay for them
    from answers import InfluxError  # noqa: PLC0415
    from backup import BackupManager  # noqa: PLC0415
    from influx_client import InfluxClient  # noqa: PLC0415

    job, options = config.job, config.job.options

    def connect(server: Server, role: str) -> InfluxClient:
        return InfluxClient(
            server,
            role,
            timeout=options.timeout_client,
            retries=options.retries,
            retry_delay=options.retry_delay,
            threads=2 * options.parallel_workers,
            stopping=stopping,
        )

    try:
        source = connect(job.source, "source")
        destination = connect(job.destination, "destination")
    except InfluxError as error:
        return JobResult(job.name, problems=(str(error),))
    logger.info("from %s to %s, %s", job.source.url, job.destination.url, options.backup_mode)
    return BackupManager(config, source, destination, stopping=stopping).run_backup()


def _worker_process(path: Path, answer: Connection) -> None:
    """The target of a worker process. The parent alone decides about signals from the terminal."""
    stopping = StopRequest()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.requested = True

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=_stop_without_parent, args=(stopping,), daemon=True).start()
    result = run_worker(path, stopping)
    with suppress(BrokenPipeError):  # the parent was killed: there is nobody to tell
        answer.send(result)


def _stop_without_parent(stopping: StopRequest) -> None:
    """A worker whose parent is gone finishes its batch and ends, so that no two daemons write at once."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        stopping.requested = True


# ---------------------------------------------------------------- all workers


@dataclass(frozen=True, slots=True)
class Worker:
    """A running worker process and the end of the pipe that its result comes out of."""

    job: str
    process: SpawnProcess
    answer: Connection

    @classmethod
    def start(cls, config: Config) -> "Worker":
        """Start the job's process: `spawn`, since forking a process with threads is not safe."""
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_worker_process, args=(config.path, sender), name=config.job.name)
        process.start()
        sender.close()
        return cls(config.job.name, process, receiver)

    def result(self) -> JobResult:
        """Its result, once the pipe is readable: a closed one means that the process died."""
        try:
            result: JobResult = self.answer.recv()
        except EOFError:
            self.process.join()
            return JobResult(self.job, problems=(f"the worker process died ({self._death()})",))
        self.process.join()
        return result

    def _death(self) -> str:
        code = self.process.exitcode or 0
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


class Interrupts:
    """Counts SIGINT and SIGTERM; the handler does nothing else."""

    def __init__(self) -> None:
        self.count = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._count)

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


def run_all(configs: Sequence[Config]) -> list[JobResult]:
    """Run every job in a process of its own and wait for all. A first signal asks them to stop, a second kills."""
    interrupts, seen = Interrupts(), 0
    workers = [Worker.start(config) for config in configs]
    results: dict[str, JobResult] = {}
    while running := [w for w in workers if w.job not in results]:
        ready = wait([w.answer for w in running], timeout=0.2)
        results |= {w.job: w.result() for w in running if w.answer in ready}
        if interrupts.count > seen:
            seen = interrupts.count
            logger.warning("stopping %s", "after the batches in flight" if seen == 1 else "now")
            for worker in running:
                worker.process.terminate() if seen == 1 else worker.process.kill()
    return [results[w.job] for w in workers]


def run(paths: Sequence[Path]) -> int:
    """Run the jobs, print the summary, and return the exit code."""
    configs, invalid = load_jobs(find_jobs(paths))
    for error in invalid:
        logger.error("%s", error)
    results = run_all(configs)
    if results:
        sys.stdout.write(report.summary(results) + "\n")
    return FAILURE if invalid or not all(r.succeeded for r in results) else SUCCESS


# ---------------------------------------------------------------- command line


def parse_arguments(argv: Sequence[str] | None, environ: Mapping[str, str]) -> argparse.Namespace:
    """The command line; argparse exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="main.py", description="Exact backups of InfluxDB 1.x databases to another InfluxDB."
    )
    parser.add_argument("command", nargs="?", choices=["run"], default="run", help="run the jobs (default)")
    parser.add_argument(
        "--config",
        nargs="+",
        type=Path,
        metavar="PATH",
        default=default_paths(environ),
        help="job files, or folders of them (default: $BACKUP_CONFIG_DIR, else /config, else ./config)",
    )
    parser.add_argument("--once", action="store_true", help="ignore schedules: run each job once, now")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0 for success, 1 for a failed job or an invalid file, 2 for wrong usage."""
    setup_logging("main")
    arguments = parse_arguments(argv, os.environ)
    with error_boundary() as outcome:
        try:
            return run(arguments.config)
        except UsageError as error:
            logger.error("%s", error)  # noqa: TRY400 -- a user's mistake needs no traceback
            return USAGE
    return outcome.code


if __name__ == "__main__":
    raise SystemExit(main())
