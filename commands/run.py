"""`main.py run`: runs the jobs, one worker process for each, and prints the summary."""

import argparse
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from basics.locks import ProcessLock
from basics.streams import is_one_place, say
from commands.interface import FAILURE, SUCCESS, Command, print_json
from commands.jobs import Jobs, default_paths
from commands.options import CONFIG, JSON, LISTEN, ONCE, QUIET, UsageError
from commands.shard import SHARD, Shard, asked_shard
from daemon.job_file import JobFile
from daemon.supervisor import Supervisor
from daemon.turns import Limits, read_limits
from logger_config import set_console
from watching.health import health_file
from watching.history import history_file
from watching.monitor import Duties, Holder, Observer
from watching.progress import can_draw
from watching.summary import NOTHING, as_json, summary
from watching.verdict_files import proofs, verdict_folder

logger = logging.getLogger(__name__)


def _run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the jobs, print the summary, and return the exit code."""
    paths, is_quiet = arguments.config or default_paths(environ), arguments.quiet
    if is_quiet:
        set_console(least=logging.WARNING)
    jobs = Jobs(paths, asked_shard(arguments, environ))
    with _alone(jobs.shard, None if arguments.once else environ.get("BACKUP_STATE_DIR")):
        jobs.load()
        return _supervise(arguments, environ, jobs)


def _supervise(arguments: argparse.Namespace, environ: Mapping[str, str], jobs: Jobs) -> int:
    is_quiet, shard, history = arguments.quiet, jobs.shard, history_file(environ)
    history = shard.file(history) if shard and history else history
    listener = _listener(arguments, environ)
    supervisor = Supervisor(
        jobs.own,
        jobs.again,
        jobs.invalid,
        others=lambda: jobs.others,
        once=arguments.once,
        # a single run beside the daemon must not speak for it
        limits=_limits(environ),
        stays=shard is not None and not arguments.once,
        health=None if arguments.once else health_file(environ),
        verdicts=None if arguments.once else verdict_folder(environ),
        duties=Duties(
            draws=not is_quiet and can_draw(sys.stderr, environ),
            listener=listener,
            observers=[_notifier(environ), *([_website(listener, environ)] if listener else [])],
            verdicts=None if arguments.once else verdict_folder(environ),
            history=None if arguments.once else history,
            shard=str(shard or ""),
        ),
    )
    results = supervisor.run()
    if arguments.json:
        print_json(as_json(results, supervisor.invalid))
    elif results and not is_quiet:
        folder = verdict_folder(environ)
        known = [found for result in results for found in proofs(folder, result.job)] if folder else []
        logged = _logged(jobs.own) if is_one_place() else NOTHING
        say(summary(results, logged=logged, proofs=known, now=time.time_ns()) + "\n")
    return FAILURE if supervisor.invalid or supervisor.has_failed() else SUCCESS


@contextmanager
def _alone(shard: Shard | None, folder: str | None) -> Iterator[None]:
    """Raise UsageError where another daemon has the same shard and the same state folder; keep others out."""
    if shard is None or not folder:
        yield
        return
    with ProcessLock(shard.file(Path(folder) / "daemon.lock")) as lock:
        if not lock.is_held:
            raise UsageError(
                f"shard {shard} is run by another daemon, with the state folder {folder}: "
                "give this one another --shard, or end that one"
            )
        yield


def _limits(environ: Mapping[str, str]) -> Limits:
    """How many runs go on at once. Raises UsageError."""
    try:
        return read_limits(environ)
    except ValueError as error:
        raise UsageError(str(error)) from None


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


RUN = Command(
    "run", "run the jobs (default)", (CONFIG, SHARD, ONCE, QUIET, JSON, LISTEN), _run, not_done="not run"
)
