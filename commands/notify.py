"""`main.py notify --test`: a message to each service of each job, to see that it arrives."""

import argparse
import socket
from collections.abc import Mapping

from basics.streams import say
from basics.text import printable
from commands.interface import FAILURE, SUCCESS, Command
from commands.jobs import default_paths, find_jobs, load_jobs, log_all
from commands.options import CONFIG, IGNORED, TEST, UsageError
from settings.keys import Job


def _notify(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Send each service a message, and say which of them took it. Checks are not pinged."""
    if not arguments.test:
        raise UsageError("say --test: this command does nothing but send a test message to each service")
    jobs, invalid = load_jobs(find_jobs(arguments.config or default_paths(environ)))
    log_all(invalid)
    told = [_tell(job.config.job) for job in jobs]
    if not any(told) and not invalid:
        raise UsageError("no job names anybody to tell: set options.notify.urls (docs/operating.md)")
    return SUCCESS if not invalid and all(all(taken) for taken in told) else FAILURE


def _tell(job: Job) -> list[bool]:
    """Which services of the job took the message."""
    from watching.messages import trial_message  # noqa: PLC0415 -- only who tells somebody pays for it
    from watching.notifications import NotDelivered, send_message  # noqa: PLC0415

    taken: list[bool] = []
    for number, secret in enumerate(job.options.notify.urls):
        url = secret.get_secret_value()
        place = f"job {job.name}: options.notify.urls[{number}], {url.partition('://')[0].strip()}://"
        try:
            send_message(url, trial_message(job, socket.gethostname()))
            answer = "took the message"
        except NotDelivered as error:
            answer = f"NOT DELIVERED: {error}"
        taken.append(not answer.startswith("NOT"))
        say(printable(f"{place}: {answer}") + "\n")
    if job.options.ping_url.get_secret_value():
        say(printable(f"job {job.name}: options.ping_url is not pinged: that would count as a run") + "\n")
    return taken


NOTIFY = Command(
    "notify", "with --test: a message to each service that a job names", (CONFIG, TEST, *IGNORED[1:]), _notify
)
