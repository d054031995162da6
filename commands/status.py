"""`main.py status`: what the running daemon is doing, and what is wrong."""

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from basics.streams import say
from commands.interface import FAILURE, SUCCESS, USAGE, Command, print_json
from commands.jobs import default_paths, find_jobs
from commands.options import ASK, IGNORED, JSON, UsageError
from config import Config, ConfigError


def _status(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """What the running daemon says: 0 nothing is failing, 1 something is, 2 there is no daemon."""
    from watching.web.client import NoDaemon, ask, status_table  # noqa: PLC0415
    from watching.web.server import DEFAULT_ADDRESS, AddressError, parse_address  # noqa: PLC0415

    restores = list(_restores(arguments, environ))
    try:
        document = ask(parse_address(arguments.http or environ.get("BACKUP_HTTP") or DEFAULT_ADDRESS))
    except (AddressError, NoDaemon) as error:
        _say_restores(text for _, text in restores if not arguments.json)
        raise UsageError(str(error)) from None
    if arguments.json:
        print_json({**document, "restores": [text for _, text in restores]})
    else:
        told = {job["name"] for job in document["jobs"] if job.get("restores")}
        _say_restores(text for job, text in restores if job not in told)
        say(status_table(document) + "\n")
    return FAILURE if document["status"] == "failing" else SUCCESS


def _say_restores(texts: Iterable[str]) -> None:
    say("".join(f"RESTORE {text}\n" for text in texts))


def _restores(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The restores of these jobs that are not complete, each with its job; they need no daemon."""
    from copying.restore.marker import described, unfinished  # noqa: PLC0415 -- only this command needs it

    with suppress(UsageError):  # no job is here
        for file in find_jobs(arguments.config or default_paths(environ)):
            with suppress(ConfigError):
                job = Config(file, environ).job
                for found in unfinished(job, environ):
                    yield job.name, f"{job.name}: {described(found, time.time_ns())}"


STATUS = Command(
    "status",
    "what the running daemon is doing: asks it where --http or $BACKUP_HTTP says",
    (ASK, JSON, *IGNORED),
    _status,
    not_done="no daemon",
    on_bug=USAGE,
)
