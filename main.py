"""The command line: finds the jobs, runs one worker process for each, reports, and exits honestly."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import report
from config import Config, ConfigError
from health import health_file, health_problem
from logger_config import setup_logging
from supervisor import JobFile, Supervisor
from targets import find_overlaps
from worker import error_boundary, run_worker

__all__ = ["main", "run_worker"]

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
        raise UsageError(
            f"no job in {places}: copy config/backup.template.yaml there as <job>.yaml and edit it; "
            'in a container, mount the folder: docker run -v "$PWD/config:/config:ro" ...'
        )
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


def load_jobs(files: Sequence[Path]) -> tuple[list[JobFile], dict[str, str]]:
    """The jobs that can run, and for each other name what is wrong with its file."""
    valid: list[JobFile] = []
    invalid: dict[str, str] = {}
    for file in files:
        try:
            content = file.read_bytes()
            valid.append(JobFile(Config(file, content=content), content))
        except ConfigError as error:
            invalid[file.stem] = str(error)
        except OSError as error:
            invalid[file.stem] = f"{file}: {error.strerror}"
    overlaps = find_overlaps([job.config.job for job in valid])
    invalid |= {job.name: f"{job.config.path}: {overlaps[job.name]}" for job in valid if job.name in overlaps}
    return [job for job in valid if job.name not in overlaps], invalid


# ---------------------------------------------------------------- commands


def run(paths: Sequence[Path], *, once: bool, health: Path | None = None) -> int:
    """Run the jobs, print the summary, and return the exit code."""
    jobs, invalid = load_jobs(find_jobs(paths))
    _log_all(invalid)
    supervisor = Supervisor(jobs, lambda: _reload(paths), invalid, once=once, health=health)
    results = supervisor.run()
    if results:
        sys.stdout.write(report.summary(results) + "\n")
    return FAILURE if supervisor.invalid or supervisor.has_failed() else SUCCESS


def _reload(paths: Sequence[Path]) -> tuple[list[JobFile], dict[str, str]] | None:
    try:
        jobs, invalid = load_jobs(find_jobs(paths))
    except UsageError as error:
        logger.error("%s; the jobs go on as they are", error)  # noqa: TRY400 -- a user's mistake
        return None
    _log_all(invalid)
    return jobs, invalid


def _log_all(invalid: Mapping[str, str]) -> None:
    for problem in invalid.values():
        logger.error("%s", problem)


def check(paths: Sequence[Path]) -> int:
    """Say what each job would do now, and what would keep it from doing so. Changes nothing."""
    from check import check_job  # noqa: PLC0415 -- it needs the heavy libraries

    jobs, invalid = load_jobs(find_jobs(paths))
    _log_all(invalid)
    findings = [check_job(job.config) for job in jobs]
    for found in findings:
        sys.stdout.write("\n".join(found.text) + "\n")
    return FAILURE if invalid or any(found.problems for found in findings) else SUCCESS


def health(file: Path | None) -> int:
    """Whether the daemon that keeps this health file is alive, and its last runs succeeded."""
    if file is None:
        raise UsageError("no daemon keeps a health file: set BACKUP_HEALTH_FILE for it and for this command")
    problem = health_problem(file, time.time())
    sys.stdout.write(f"{problem or 'healthy'}\n")
    return FAILURE if problem else SUCCESS


# ---------------------------------------------------------------- command line


COMMANDS = """commands:
  run      run the jobs (default)
  check    validate the files, reach the servers, show what each job would do now
  health   whether the daemon is alive and its last runs succeeded (for containers)
"""


def parse_arguments(argv: Sequence[str] | None, environ: Mapping[str, str]) -> argparse.Namespace:
    """The command line; argparse exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="main.py",
        description="Exact backups of InfluxDB 1.x databases to another InfluxDB.",
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["run", "check", "health"], default="run")
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


def _command(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if arguments.command == "check":
        return check(arguments.config)
    if arguments.command == "health":
        return health(health_file(environ))
    # a single run beside the daemon must not speak for it
    file = None if arguments.once else health_file(environ)
    return run(arguments.config, once=arguments.once, health=file)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0 for success, 1 for a failed job or an invalid file, 2 for wrong usage."""
    setup_logging("main")
    arguments = parse_arguments(argv, os.environ)
    with error_boundary():
        try:
            return _command(arguments, os.environ)
        except UsageError as error:
            logger.error("%s", error)  # noqa: TRY400 -- a user's mistake needs no traceback
            return USAGE
    return FAILURE


if __name__ == "__main__":
    raise SystemExit(main())
