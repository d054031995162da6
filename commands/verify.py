"""`main.py verify`: whether both servers of each job hold the same; `repair` begins with the same comparison."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from basics.times import SECOND
from commands.interface import USAGE, Command, print_json
from commands.jobs import Jobs, default_paths
from commands.options import CONFIG, END, FULL, IGNORED, JSON, MAX_DURATION, SAMPLE, START, VERBOSE, UsageError
from commands.shard import SHARD, asked_shard
from watching.progress import can_draw
from watching.verdict_files import verdict_folder, write_verdict

if TYPE_CHECKING:
    from checking.verdict import Scope

OPTIONS = (CONFIG, SHARD, START, END, FULL, SAMPLE, MAX_DURATION, VERBOSE, JSON, *IGNORED[1:])


def compare(
    arguments: argparse.Namespace, environ: Mapping[str, str], ask: Callable[[], bool] | None = None
) -> int:
    """Compare both sides of each job, and copy what differs if `ask` is given and says so.

    Returns 0 when all is equal, 1 when something differs, 2 when something could not be checked.
    """
    from checking.repair import Telling, verify_jobs  # noqa: PLC0415 -- it needs the heavy libraries
    from checking.verdict import as_event, as_json, exit_code, unchecked  # noqa: PLC0415

    scope = _scope(arguments)
    jobs = Jobs(arguments.config or default_paths(environ), asked_shard(arguments, environ))
    jobs.load()
    telling = Telling(arguments.json, arguments.verbose, can_draw(sys.stderr, environ))
    verdicts = verify_jobs([job.config for job in jobs.own], scope, ask, telling)
    verdicts += [unchecked(name, problem) for name, problem in jobs.invalid.items()]
    if folder := verdict_folder(environ):
        for verdict in verdicts:
            write_verdict(folder, as_event(verdict, time.time_ns()))
    if arguments.json:
        print_json(as_json(verdicts))
    return exit_code(verdicts)


def _scope(arguments: argparse.Namespace) -> "Scope":
    from checking.verdict import Scope  # noqa: PLC0415 -- heavy libraries

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


VERIFY = Command(
    "verify",
    "compare both servers of each job: fingerprints of each series, or every value with --full",
    OPTIONS,
    compare,
    on_bug=USAGE,
)
