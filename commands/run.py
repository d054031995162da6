"""`main.py run`: runs the jobs, one worker process for each, and prints the summary."""

import argparse
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping

from basics.streams import is_one_place, say
from commands.interface import FAILURE, SUCCESS, Command, print_json
from commands.jobs import default_paths, find_jobs, load_jobs, log_all, reloaded
from commands.options import CONFIG, JSON, LISTEN, ONCE, QUIET, UsageError
from daemon.job_file import JobFile
from daemon.supervisor import Supervisor
from logger_config import set_console
from watching.health import health_file
from watching.history import history_file
from watching.monitor import Duties, Holder, Observer
from watching.progress import can_draw
from watching.summary import NOTHING, as_json, summary
from watching.verdict_files import verdict_folder

logger = logging.getLogger(__name__)


def _run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the jobs, print the summary, and return the exit code."""
    paths, is_quiet = arguments.config or default_paths(environ), arguments.quiet
    if is_quiet:
        set_console(least=logging.WARNING)
    jobs, invalid = load_jobs(find_jobs(paths))
    listener = _listener(arguments, environ)
    log_all(invalid)
    supervisor = Supervisor(
        jobs,
        lambda: reloaded(paths),
        invalid,
        once=arguments.once,
        # a single run beside the daemon must not speak for it
        health=None if arguments.once else health_file(environ),
        verdicts=None if arguments.once else verdict_folder(environ),
        duties=Duties(
            draws=not is_quiet and can_draw(sys.stderr, environ),
            listener=listener,
            observers=[_notifier(environ), *([_website(listener, environ)] if listener else [])],
            verdicts=None if arguments.once else verdict_folder(environ),
            history=None if arguments.once else history_file(environ),
        ),
    )
    results = supervisor.run()
    if arguments.json:
        print_json(as_json(results, supervisor.invalid))
    elif results and not is_quiet:
        say(summary(results, logged=_logged(jobs) if is_one_place() else NOTHING) + "\n")
    return FAILURE if supervisor.invalid or supervisor.has_failed() else SUCCESS


def _logged(jobs: Iterable[JobFile]) -> int:
    """The least severe level that all of them log."""
    levels = logging.getLevelNamesMapping()
    return max((levels[job.config.job.options.log_level] for job in jobs), default=logging.NOTSET)


def _listener(arguments: argparse.Namespace, environ: Mapping[str, str]) -> socket.socket | None:
    """Where the daemon answers; None: nowhere. Raises UsageError when nobody can listen there."""
    # a single run beside the daemon must not want its port
    text = arguments.http if arguments.http is not None or arguments.once else environ.get("BACKUP_HTTP")
    if not text:
        return None
    from watching.web.server import AddressError, bound_address, listen, parse_address  # noqa: PLC0415 -- if it is wanted

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
        from watching.web.site import Website  # noqa: PLC0415 -- its libraries are the monitor's own

        return Website(holder, listener, names)

    return made


def _notifier(environ: Mapping[str, str]) -> Callable[[Holder], Observer]:
    """What tells people, in the monitor's process."""

    def made(holder: Holder) -> Observer:
        from watching.messages import Place  # noqa: PLC0415 -- only the monitor needs it
        from watching.notifications import Notifier  # noqa: PLC0415

        place = Place(socket.gethostname(), environ.get("BACKUP_PUBLIC_URL", ""))
        history = history_file(environ)
        return Notifier(time.time_ns(), holder, place, calendar=history and history.with_name("digests.json"))

    return made


RUN = Command("run", "run the jobs (default)", (CONFIG, ONCE, QUIET, JSON, LISTEN), _run, not_done="not run")
