"""The command line: finds the jobs, runs one worker process for each, reports, and exits honestly."""

import argparse
import json
import logging
import os
import socket
import stat
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import report
from config import Config, ConfigError, read_file
from config_secrets import held_secret
from health import health_file, health_problem
from influxql import printable
from logger_config import set_console, setup_logging
from monitor import Duties, Holder, Observer
from progress import can_draw
from supervisor import JobFile, Supervisor
from targets import find_overlaps
from values import SECOND, parse_duration, parse_time
from verdicts import verdict_folder, write_verdict
from worker import error_boundary, run_worker

if TYPE_CHECKING:
    from verdict import Scope

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

    Raises UsageError when a path does not exist or cannot be read, none is a job, or two jobs have the same name.
    """
    files: list[Path] = []
    for path in paths:
        try:
            if path.is_dir():
                files.extend(sorted(f for f in path.iterdir() if _is_job(f)))
            elif path.exists():
                files.append(path)
            else:
                raise UsageError(f"{path} does not exist")
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
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
        if os.path.realpath(other) != os.path.realpath(file):  # which takes broken links as well
            raise UsageError(f"{other} and {file} are both the job {file.stem!r}: rename one")
    return list(named.values())


def load_jobs(files: Sequence[Path]) -> tuple[list[JobFile], dict[str, str]]:
    """The jobs that can run, and for each other name what is wrong with its file.

    From here on this process logs in JSON when every job does that can run.
    """
    valid: list[JobFile] = []
    invalid: dict[str, str] = {}
    contents: dict[Path, bytes] = {}
    for file in files:
        try:
            contents[file] = read_file(file)
            valid.append(JobFile(Config(file, content=contents[file]), contents[file]))
        except ConfigError as error:
            invalid[file.stem] = str(error)
    in_json = valid and all(job.config.job.options.log_format == "json" for job in valid)
    setup_logging("main", log_format="json" if in_json else "text")
    for file, content in contents.items():
        _warn_of_readers(file, content)
    overlaps = find_overlaps([job.config.job for job in valid])
    invalid |= {job.name: f"{job.config.path}: {overlaps[job.name]}" for job in valid if job.name in overlaps}
    return [job for job in valid if job.name not in overlaps], invalid


def _warn_of_readers(file: Path, content: bytes) -> None:
    """One line for a file that shows its password or a notification URL to other users of the machine."""
    with suppress(OSError):  # it may be gone since it was read
        if not file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH) or not (held := held_secret(content)):
            return
        elsewhere = "the URL from" if "URL" in held else "the password from password_file or"
        remedy = f"chmod 600, or take {elsewhere} ${{VARIABLE}}"
        logger.warning("%s holds %s, and others may read the file: %s", file, held, remedy)


# ---------------------------------------------------------------- commands


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the jobs, print the summary, and return the exit code."""
    paths, is_quiet = arguments.config, arguments.quiet
    if is_quiet:
        set_console(least=logging.WARNING)
    jobs, invalid = load_jobs(find_jobs(paths))
    listener = _listener(arguments, environ)
    _log_all(invalid)
    supervisor = Supervisor(
        jobs,
        lambda: _reload(paths),
        invalid,
        once=arguments.once,
        # a single run beside the daemon must not speak for it
        health=None if arguments.once else health_file(environ),
        duties=Duties(
            draws=not is_quiet and can_draw(sys.stderr, environ),
            listener=listener,
            observers=[_notifier, *([_website(listener, environ)] if listener else [])],
            verdicts=None if arguments.once else verdict_folder(environ),
        ),
    )
    results = supervisor.run()
    if arguments.json:
        _print_json(report.as_json(results, supervisor.invalid))
    elif results and not is_quiet:
        sys.stdout.write(report.summary(results) + "\n")
    return FAILURE if supervisor.invalid or supervisor.has_failed() else SUCCESS


def _listener(arguments: argparse.Namespace, environ: Mapping[str, str]) -> socket.socket | None:
    """Where the daemon answers; None: nowhere. Raises UsageError when nobody can listen there."""
    # a single run beside the daemon must not want its port
    text = arguments.http if arguments.http is not None or arguments.once else environ.get("BACKUP_HTTP")
    if not text:
        return None
    from http_server import AddressError, bound_address, listen, parse_address  # noqa: PLC0415 -- if it is wanted

    try:
        listener = listen(parse_address(text))
    except AddressError as error:
        raise UsageError(str(error)) from None
    logger.info("status page at %s/", bound_address(listener).url)
    return listener


def _website(listener: socket.socket, environ: Mapping[str, str]) -> Callable[[Holder], Observer]:
    """What makes the pages, in the monitor's process."""
    names = [name.strip() for name in environ.get("BACKUP_HTTP_HOSTS", "").split(",") if name.strip()]

    def made(holder: Holder) -> Observer:
        from status_site import Website  # noqa: PLC0415 -- its libraries are the monitor's own

        return Website(holder, listener, names)

    return made


def _notifier(holder: Holder) -> Observer:
    from notifications import Notifier  # noqa: PLC0415 -- only the monitor needs it

    return Notifier(time.time_ns(), holder)


def status(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """What the running daemon says: 0 all is fine, 1 something is failing, 2 there is no daemon."""
    from http_server import DEFAULT_ADDRESS, AddressError, parse_address  # noqa: PLC0415
    from status_client import NoDaemon, ask, status_table  # noqa: PLC0415

    try:
        document = ask(parse_address(arguments.http or environ.get("BACKUP_HTTP") or DEFAULT_ADDRESS))
    except (AddressError, NoDaemon) as error:
        raise UsageError(str(error)) from None
    if arguments.json:
        _print_json(document)
    else:
        sys.stdout.write(status_table(document) + "\n")
    return SUCCESS if document["status"] == "fine" else FAILURE


def _print_json(document: object) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


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


def verify(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Compare both sides of each job; the command `repair` then copies what differs, after asking.

    Returns 0 when all is equal, 1 when something differs, 2 when something could not be checked.
    """
    from repair import verify_jobs  # noqa: PLC0415 -- it needs the heavy libraries
    from verdict import as_event, as_json, exit_code, unchecked  # noqa: PLC0415

    scope, ask = _scope(arguments), None
    if arguments.command == "repair":
        if not arguments.yes and (arguments.json or not sys.stdin.isatty()):
            raise UsageError("repair asks before it copies, and there is no terminal to ask on: say --yes")
        ask = (lambda: True) if arguments.yes else _confirmed
    jobs, invalid = load_jobs(find_jobs(arguments.config))
    _log_all(invalid)
    verdicts = verify_jobs([job.config for job in jobs], scope, ask, quiet=arguments.json)
    verdicts += [unchecked(name, problem) for name, problem in invalid.items()]
    if folder := verdict_folder(environ):
        for verdict in verdicts:
            write_verdict(folder, as_event(verdict, time.time_ns()))
    if arguments.json:
        _print_json(as_json(verdicts))
    return exit_code(verdicts)


def _confirmed() -> bool:
    sys.stdout.write("Copy these again? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def health(file: Path | None) -> int:
    """Whether the daemon that keeps this health file is alive, and its last runs succeeded."""
    if file is None:
        raise UsageError("no daemon keeps a health file: set BACKUP_HEALTH_FILE for it and for this command")
    problem = printable(health_problem(file, time.time()))
    sys.stdout.write(f"{problem or 'healthy'}\n")
    return FAILURE if problem else SUCCESS


# ---------------------------------------------------------------- command line


COMMANDS = """commands:
  run      run the jobs (default)
  verify   compare both servers of each job: counts, or every value with --full
  repair   the same, then copy what differs; never deletes
  check    validate the files, reach the servers, show what each job would do now
  status   what the running daemon is doing: asks it where --http or $BACKUP_HTTP says
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
    parser.add_argument(
        "command", nargs="?", choices=["run", "verify", "repair", "check", "status", "health"], default="run"
    )
    parser.add_argument(
        "--config",
        nargs="+",
        type=Path,
        metavar="PATH",
        default=default_paths(environ),
        help="job files, or folders of them (default: $BACKUP_CONFIG_DIR, else /config, else ./config)",
    )
    parser.add_argument("--once", action="store_true", help="ignore schedules: run each job once, now")
    parser.add_argument(
        "--quiet", action="store_true", help="no progress and no summary: warnings and errors only"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of a table")
    parser.add_argument(
        "--http",
        metavar="ADDRESS:PORT",
        help="run: answer there (default: $BACKUP_HTTP, else nowhere); status: ask there (127.0.0.1:8186)",
    )
    _add_scope(parser.add_argument_group("of verify and repair"))
    arguments = parser.parse_args(argv)
    scoped = {f"--{name.replace('_', '-')}": getattr(arguments, name) for name in SCOPE}
    given = [option for option, value in scoped.items() if value is not None and value is not False]
    if given and arguments.command not in ("verify", "repair"):
        parser.error(f"{given[0]} is for verify and repair")
    if arguments.yes and arguments.command != "repair":
        parser.error("--yes is for repair")
    if arguments.json and arguments.command not in ("run", "verify", "repair", "status"):
        parser.error("--json is for run, verify, repair and status")
    if arguments.http is not None and arguments.command not in ("run", "status"):
        parser.error("--http is for run and status")
    if arguments.quiet and arguments.command != "run":
        parser.error("--quiet is for run")
    return arguments


SCOPE = ("start", "end", "full", "sample", "max_duration", "yes")


def _add_scope(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--start", type=_time, metavar="TIME", help="from when (default: as far back as both keep)")
    group.add_argument("--end", type=_time, metavar="TIME", help="until when (default: a minute ago)")
    group.add_argument("--full", action="store_true", help="compare every value instead of counts")
    group.add_argument("--sample", type=_share, metavar="5%", help="a random share of the windows")
    group.add_argument("--max-duration", type=_duration, metavar="10m", help="stop after this long")
    group.add_argument("--yes", action="store_true", help="repair without asking")


def _scope(arguments: argparse.Namespace) -> "Scope":
    from verdict import Scope  # noqa: PLC0415 -- heavy libraries

    start, end, most = arguments.start, arguments.end, arguments.max_duration
    if start is not None and end is not None and start >= end:
        raise UsageError("--start must be before --end")
    return Scope(
        start,
        end,
        full=arguments.full,
        share=arguments.sample or 1.0,
        seconds=None if most is None else most / SECOND,
    )


def _time(text: str) -> int:
    return _parsed(parse_time, text)


def _duration(text: str) -> int:
    return _parsed(parse_duration, text)


def _share(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0
    if not text.endswith("%") or not 0 < percent <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share; write it as 5%")
    return percent / 100


def _parsed(parse: Callable[[str], int], text: str) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _command(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if arguments.command == "check":
        return check(arguments.config)
    if arguments.command in ("verify", "repair"):
        return verify(arguments, environ)
    if arguments.command == "status":
        return status(arguments, environ)
    if arguments.command == "health":
        return health(health_file(environ))
    return run(arguments, environ)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0 for success, 1 for a failed job or an invalid file, 2 for wrong usage.

    `verify` and `repair` return 2 for whatever keeps them from comparing: it must not look like a difference.
    """
    setup_logging("main")
    arguments = parse_arguments(argv, os.environ)
    with error_boundary() as outcome:
        try:
            return _command(arguments, os.environ)
        except UsageError as error:
            logger.error("%s", error)  # noqa: TRY400 -- a user's mistake needs no traceback
            _print_unchecked(arguments, str(error))
            return USAGE
    _print_unchecked(arguments, outcome.problem)
    return USAGE if arguments.command in ("verify", "repair", "status") else FAILURE


def _print_unchecked(arguments: argparse.Namespace, problem: str) -> None:
    if arguments.json:
        result = {"run": "not run", "status": "no daemon"}.get(arguments.command, "not checked")
        _print_json({"result": result, "problem": problem, "jobs": []})


if __name__ == "__main__":
    raise SystemExit(main())
