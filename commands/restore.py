"""`main.py restore`: brings a backup back, from the destination of a job to its source or to any server."""

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from basics.memory import give_back_memory
from basics.streams import say
from commands.interface import USAGE, Command, print_json
from commands.jobs import default_paths, valid_jobs
from commands.options import (
    AT,
    CONFIG,
    IGNORED,
    JSON,
    Option,
    UsageError,
    asked_span,
    check_patterns,
    parsed_end,
    parsed_start,
)
from config import Config, Server
from settings.keys import MetadataKind

if TYPE_CHECKING:
    from copying.restore.asked import Asked

logger = logging.getLogger(__name__)


def _kinds(text: str) -> frozenset[str]:
    known = get_args(MetadataKind)
    found = frozenset(filter(None, (name.strip() for name in text.split(","))))
    if unknown := sorted(found - set(known)):
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return found


OPTIONS = (
    CONFIG,
    Option(
        "--database",
        {
            "action": "append",
            "default": [],
            "metavar": "NAME[:NEW]",
            "help": "a database by its name at the source, and what to call it (default: all of the job)",
        },
    ),
    Option(
        "--policy",
        {"action": "append", "default": [], "metavar": "NAME", "help": "a retention policy (default: all)"},
    ),
    Option(
        "--measurement",
        {
            "action": "append",
            "default": [],
            "metavar": "GLOB",
            "help": "measurements: a name, a glob or a /regex/ (default: all)",
        },
    ),
    Option(
        "--start",
        {"type": parsed_start, "metavar": "TIME", "help": "from when (default: all that the backup holds)"},
    ),
    Option(
        "--end",
        {"type": parsed_end, "metavar": "TIME", "help": "until when (default: all that the backup holds)"},
    ),
    Option(
        "--from",
        {
            "dest": "origin",
            "choices": ("server", "archive"),
            "help": "what to restore from, where a job has both (default: the server)",
        },
    ),
    AT,
    Option(
        "--to",
        {
            "metavar": "URL",
            "help": "the server to restore to (default: the source of the job); its user and password: "
            "$RESTORE_USER, and $RESTORE_PASSWORD or the file $RESTORE_PASSWORD_FILE",
        },
    ),
    Option(
        "--existing",
        {
            "choices": ("refuse", "fill", "overwrite"),
            "default": "refuse",
            "help": "a target that holds points in the range already: refuse it (default), fill what is missing, "
            "or overwrite with every point of the backup",
        },
    ),
    Option(
        "--metadata",
        {
            "type": _kinds,
            "metavar": "KINDS",
            "help": f"what comes besides points, of {', '.join(get_args(MetadataKind))} (default: "
            "policies,queries of whole databases, nothing of a part)",
        },
    ),
    Option(
        "--passwords",
        {
            "type": Path,
            "metavar": "FILE",
            "help": "a line 'name: password' for each user that comes back (default: new ones, in a file)",
        },
    ),
    Option(
        "--verify",
        {
            "choices": ("full", "quick", "none"),
            "default": "quick",
            "help": "compare afterwards: by fingerprints (quick, the default), every value (full), or not",
        },
    ),
    Option("--dry-run", {"action": "store_true", "help": "only show the plan"}),
    Option("--yes", {"action": "store_true", "help": "restore without asking"}),
    JSON,
    *IGNORED[1:],
)


def _restore(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Restore, and return 0: restored and equal, 1: something differs or failed, 2: it could not begin."""
    give_back_memory()
    from checking.restore import CannotBegin, How, as_json, restore_job  # noqa: PLC0415 -- heavy libraries

    asks = not arguments.yes and not arguments.dry_run
    if asks and (arguments.json or not sys.stdin.isatty()):
        raise UsageError(
            "restore asks before it writes, and there is no terminal to ask on: say --yes, or --dry-run"
        )
    asked, config = _asked(arguments), _only_job(arguments, environ)
    at = _snapshot(arguments, config)
    confirm = None if arguments.dry_run else _confirmed if asks else lambda: True
    how = How(confirm, arguments.verify, arguments.passwords, quiet=arguments.json, at=at)
    try:
        done = restore_job(config, _target(config, arguments.to, environ), asked, how, environ)
    except CannotBegin as error:
        raise UsageError(str(error)) from None
    if arguments.json:
        print_json(as_json(done))
    return done.code


def _snapshot(arguments: argparse.Namespace, config: Config) -> str | None:
    """Which snapshot is wanted; None where the destination is a server, and meant. Raises UsageError."""
    destination = config.job.destination
    if arguments.origin == "archive" and not destination.archive:
        raise UsageError(f"--from archive: {config.path} names no destination.archive")
    if arguments.origin == "server" and not destination.url:
        raise UsageError(f"--from server: {config.path} names no destination.url")
    is_archive = arguments.origin == "archive" or not destination.url
    if arguments.at != AT.settings["default"] and not is_archive:
        raise UsageError("--at chooses a snapshot of an archive: say --from archive, too")
    return arguments.at if is_archive else None


def _confirmed() -> bool:
    say("Restore this? [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _only_job(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Config:
    jobs = valid_jobs(arguments.config or default_paths(environ))
    if len(jobs) > 1:
        names = ", ".join(str(job.config.path) for job in jobs)
        raise UsageError(f"restore takes one job at a time: name its file with --config, one of {names}")
    return jobs[0].config


def _asked(arguments: argparse.Namespace) -> "Asked":
    from copying.restore.asked import Asked  # noqa: PLC0415 -- heavy libraries

    span = asked_span(arguments)
    check_patterns(arguments)
    databases, policies, measurements = (
        tuple(dict.fromkeys(names)) for names in (arguments.database, arguments.policy, arguments.measurement)
    )
    return Asked(databases, policies, measurements, span, arguments.existing, arguments.metadata)


def _target(config: Config, url: str | None, environ: Mapping[str, str]) -> Server:
    """The server to write: the source of the job or another one, with the user that the environment names."""
    from copying.restore.targets import server_at  # noqa: PLC0415 -- heavy libraries

    try:
        return server_at(url or config.job.source.url, config.job, environ)
    except ValueError as error:
        raise UsageError(f"--to: {error}" if url else str(error)) from None


RESTORE = Command(
    "restore",
    "bring a backup back: from the destination of a job to its source, or to any server",
    OPTIONS,
    _restore,
    not_done="not restored",
    on_bug=USAGE,
)
