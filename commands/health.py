"""`main.py health`: whether the daemon is alive and its last runs succeeded, for containers."""

import argparse
import time
from collections.abc import Mapping

from basics.streams import say
from basics.text import printable
from commands.interface import FAILURE, SUCCESS, Command
from commands.options import IGNORED, UsageError
from watching.health import health_file, health_problem, health_warnings
from watching.verdict_files import differences, verdict_folder


def _health(_arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Whether the daemon that keeps this health file is alive, and its last runs succeeded."""
    file = health_file(environ)
    if file is None:
        raise UsageError("no daemon keeps a health file: set BACKUP_HEALTH_FILE for it and for this command")
    problem = printable(health_problem(file, time.time()))
    folder = verdict_folder(environ)
    found = differences(folder) if folder else {}
    warned = [health_warnings(file), *(f"{job}: {text}" for job, text in found.items())]
    warnings = printable("; ".join(filter(None, warned)))
    healthy = f"healthy, with warnings: {warnings}" if warnings else "healthy"
    say(f"{problem or healthy}\n")
    return FAILURE if problem else SUCCESS


HEALTH = Command(
    "health", "whether the daemon is alive and its last runs succeeded (for containers)", IGNORED, _health
)
