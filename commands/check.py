"""`main.py check`: what each job would do now, and what would keep it from doing so."""

import argparse
from collections.abc import Mapping

from basics.streams import say
from checking.findings import Findings, as_json, summary
from commands.interface import FAILURE, SUCCESS, Command, print_json
from commands.jobs import default_paths, find_jobs, load_jobs, log_all
from commands.options import CONFIG, IGNORED, JSON


def _check(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Say what each job would do now, and what would keep it from doing so. Changes nothing."""
    from checking.preflight import check_job  # noqa: PLC0415 -- it needs the heavy libraries

    jobs, invalid = load_jobs(find_jobs(arguments.config or default_paths(environ)))
    log_all(invalid)
    findings: list[Findings] = []
    for job in jobs:
        findings.append(check_job(job.config))
        if not arguments.json:
            say("\n".join(findings[-1].text) + "\n")
    if arguments.json:
        print_json(as_json(findings, invalid))
    elif text := summary(findings, invalid):
        say(text + "\n")
    return FAILURE if invalid or any(found.problems for found in findings) else SUCCESS


CHECK = Command(
    "check",
    "validate the files, reach the servers, show what each job would do now",
    (CONFIG, JSON, *IGNORED[1:]),
    _check,
)
