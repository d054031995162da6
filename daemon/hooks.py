"""Commands of the user's before and after a run (`options.hooks`): without a shell, with a time limit, logged."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import IO

from basics.humanize import counted
from basics.stopping import StopRequest
from basics.times import SECOND, format_duration
from copying.results import JobResult
from settings.keys import Hooks

logger = logging.getLogger(__name__)

LINES, LONGEST_LINE = 200, 2000
"""How many lines of a command's output are logged, and how many characters of each."""

STEP = 0.1
"""Seconds between two looks whether a command has ended, which are signs of life as well."""

GRACE = 2.0
"""Seconds that a command gets to end after SIGTERM."""


class HookFailed(Exception):
    """A command could not be started, did not end in time, or failed; the message names it by its key."""


class RunHooks:
    """The commands of one job."""

    def __init__(self, job: str, hooks: Hooks, stopping: StopRequest) -> None:
        self._job, self._hooks, self._stopping = job, hooks, stopping

    def before(self) -> str:
        """Run what is to happen before; why the run must not begin, or nothing."""
        try:
            self._run("before", self._hooks.before, {})
        except HookFailed as error:
            logger.error("%s", error)  # noqa: TRY400 -- the user's own command
            return str(error)
        return ""

    def after(self, result: JobResult) -> JobResult:
        """Run what is to happen after a run, by what came of it. What fails is a warning: the copy stands."""
        about = {"INFLUXDB_BACKUP_RESULT": result.outcome}
        if result.failures:
            about["INFLUXDB_BACKUP_FAILURE"] = result.failures[0].replace("\0", "")
        warnings = []
        wanted = [("after", self._hooks.after)]
        if result.failures:
            wanted.insert(0, ("on_failure", self._hooks.on_failure))
        for key, command in wanted:
            try:
                self._run(key, command, about)
            except HookFailed as error:
                logger.warning("%s", error)
                warnings.append(str(error))
        return replace(result, warnings=(*result.warnings, *warnings))

    def _run(self, key: str, command: Sequence[str], about: Mapping[str, str]) -> None:
        """Run one command to its end. Raises HookFailed."""
        if not command:
            return
        name = f"options.hooks.{key}"
        environ = {**os.environ, "INFLUXDB_BACKUP_JOB": self._job, **about}
        logger.info("%s: %s", name, command[0])
        begun = time.monotonic()
        try:
            process = subprocess.Popen(  # noqa: S603 -- the user's own command, and no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise HookFailed(f"{name}: {command[0]} cannot be started: {reason}") from None
        reader = threading.Thread(target=_log, args=(name, process.stdout), name="hook", daemon=True)
        reader.start()
        why = self._wait(process, heeds_stop=key == "before")
        reader.join(GRACE)  # what it has left behind may hold its output open for ever
        if why:
            raise HookFailed(f"{name}: {command[0]} {why}")
        logger.info("%s: done in %.1f s", name, time.monotonic() - begun)

    def _wait(self, process: subprocess.Popen[bytes], *, heeds_stop: bool) -> str:
        """Until it has ended; what is wrong with that, or nothing. What tidies up may also end in a stop."""
        limit = self._hooks.time_limit
        until = time.monotonic() + limit / SECOND
        while process.poll() is None:
            is_stopping = self._stopping.is_set() and heeds_stop
            if is_stopping or time.monotonic() > until:
                _end(process)
                late = f"did not end within {format_duration(limit)} (options.hooks.time_limit)"
                return "was ended in order to stop" if is_stopping else late
            time.sleep(STEP)
        code = process.returncode
        if code < 0:
            return f"was ended by signal {-code}"
        return f"failed with exit code {code}" if code else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command, and what it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            return


def _log(name: str, output: IO[bytes]) -> None:
    """Its output in the log, line by line, as far as that is bearable."""
    count = 0
    with suppress(ValueError, OSError), output:
        while line := output.readline(LONGEST_LINE):
            count += 1
            if count <= LINES:
                logger.info("%s: %s", name, line.decode("utf-8", "replace").rstrip())
    if count > LINES:
        logger.info("%s: and %s more", name, counted(count - LINES, "line"))
