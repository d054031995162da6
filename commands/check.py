"""`main.py check`: what each job would do now, and what would keep it from doing so."""

import argparse
from collections.abc import Mapping

from basics.streams import say
from commands.interface import FAILURE, SUCCESS, Command
from commands.jobs import default_paths, find_jobs, load_jobs, log_all
from commands.options import CONFIG, IGNORED


def _check(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Say what each job would do now, and what would keep it from doing so. Changes nothing."""
    from checking.preflight import check_job  # noqa: PLC0415 -- it needs the heavy libraries

    jobs, invalid = load_jobs(find_jobs(arguments.config or default_paths(environ)))
    log_all(invalid)
    findings = [check_job(job.config) for job in jobs]
    for found in findings:
        say("\n".join(found.text) + "\n")
    return FAILURE if invalid or any(found.problems for found in findings) else SUCCESS


CHECK = Command(
    "check",
    "validate the files, reach the servers, show what each job would do now",
    (CONFIG, *IGNORED[1:]),
    _check,
)
