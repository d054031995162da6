"""`main.py check`: what each job would do now, and what would keep it from doing so."""

import argparse
from collections.abc import Mapping

from basics.streams import say
from checking.findings import Findings, as_json, summary
from commands.interface import FAILURE, SUCCESS, Command, print_json
from commands.jobs import Jobs, default_paths
from commands.options import CONFIG, IGNORED, JSON
from commands.shard import SHARD, asked_shard


def _check(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Say what each job would do now, and what would keep it from doing so. Changes nothing."""
    from checking.preflight import check_job  # noqa: PLC0415 -- it needs the heavy libraries

    jobs = Jobs(arguments.config or default_paths(environ), asked_shard(arguments, environ))
    jobs.load()
    findings: list[Findings] = []
    for job in jobs.own:
        findings.append(check_job(job.config))
        if not arguments.json:
            say("\n".join(findings[-1].text) + "\n")
    if arguments.json:
        print_json(as_json(findings, jobs.invalid))
    elif text := summary(findings, jobs.invalid):
        say(text + "\n")
    return FAILURE if jobs.invalid or any(found.problems for found in findings) else SUCCESS


CHECK = Command(
    "check",
    "validate the files, reach the servers, show what each job would do now",
    (CONFIG, SHARD, JSON, *IGNORED[1:]),
    _check,
)
