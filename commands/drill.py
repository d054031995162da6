"""`main.py drill`: rehearses the restore of the newest backup of each job, and leaves nothing behind."""

import argparse
import logging
import signal
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from basics.stopping import Stopped, StopRequest
from basics.streams import say
from basics.text import printable
from basics.times import format_time
from commands.interface import FAILURE, SUCCESS, USAGE, Command, print_json, worst
from commands.jobs import default_paths, find_jobs, load_jobs, log_all
from commands.options import CONFIG, IGNORED, JSON, Option, UsageError, share_of
from config import Config
from watching.verdict_files import verdict_folder, write_verdict

if TYPE_CHECKING:
    from watching.events import Drilled

logger = logging.getLogger(__name__)

_CODES = {"passed": SUCCESS, "failed": FAILURE, "not done": USAGE}


def _drill(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Drill each job; 0: all passed, 1: one failed, 2: none failed, and one was not done."""
    from checking.drill import NoDrill  # noqa: PLC0415 -- heavy libraries

    stopping = StopRequest()
    stopping.heed(signal.SIGINT, signal.SIGTERM)
    jobs, invalid = load_jobs(find_jobs(arguments.config or default_paths(environ)))
    log_all(invalid)
    codes = [USAGE] * len(invalid)
    documents: list[dict[str, Any]] = [{"job": name, "problem": text} for name, text in invalid.items()]
    for job in jobs:
        try:
            found = _one(job.config, arguments, stopping, environ)
        except NoDrill as error:
            logger.error("%s: %s", job.config.path, error)  # noqa: TRY400 -- a user's mistake
            codes.append(USAGE)
            documents.append({"job": job.name, "result": "not done", "detail": str(error)})
            continue
        except Stopped:
            raise UsageError("stopped before the end: nothing is proved") from None
        if folder := verdict_folder(environ):
            write_verdict(folder, found)
        codes.append(_CODES[found.result])
        documents.append(_entry(found))
        if not arguments.json:
            say("".join(f"{printable(line)}\n" for line in _lines(found)))
    if arguments.json:
        words = {SUCCESS: "passed", FAILURE: "failed", USAGE: "not done"}
        print_json({"result": words[worst(codes)], "jobs": documents})
    return worst(codes)


def _one(
    config: Config, arguments: argparse.Namespace, stopping: StopRequest, environ: Mapping[str, str]
) -> "Drilled":
    """Raises NoDrill, and Stopped."""
    from checking.drill import drill_job, planned  # noqa: PLC0415 -- heavy libraries

    how = planned(config.job, to=arguments.to, origin=arguments.origin, share=arguments.sample)
    return drill_job(config, how, stopping, environ)


def _lines(found: "Drilled") -> list[str]:
    return [f"{found.job}: drill {found.sentence}", *(f"  {line}" for line in found.detail.splitlines())]


def _entry(found: "Drilled") -> dict[str, Any]:
    return asdict(found) | {"at": format_time(found.at), "seconds": round(found.seconds, 3)}


DRILL = Command(
    "drill",
    "rehearse a restore: the newest backup of each job into scratch databases, compared, and dropped",
    (
        CONFIG,
        Option(
            "--from",
            {
                "dest": "origin",
                "choices": ("server", "archive"),
                "help": "what to restore, where a job has both (default: the archive)",
            },
        ),
        Option(
            "--to",
            {
                "metavar": "URL",
                "help": "the server that gets the scratch databases (default: options.drill.to, else the "
                "destination); its user and password: $RESTORE_USER, and $RESTORE_PASSWORD or the file "
                "$RESTORE_PASSWORD_FILE",
            },
        ),
        Option(
            "--sample",
            {
                "type": share_of,
                "metavar": "5%",
                "help": "a share of the time, a random stretch (default: options.drill.sample)",
            },
        ),
        JSON,
        *IGNORED[1:],
    ),
    _drill,
    not_done="not done",
    on_bug=USAGE,
)
