"""Compares jobs at the times of their `options.verify`, one after the other: servers keep time for the copies."""

import datetime as dt
import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from basics.processes import death
from basics.times import MINUTE
from daemon.comparison import Comparison
from daemon.job_file import JobFile
from settings.keys import Job
from settings.next_run import next_run
from watching.channel import Channel
from watching.events import Verified
from watching.verdict_files import write_verdict

logger = logging.getLogger(__name__)

MARGIN = MINUTE
"""Of the clock and of writes on their way: what is younger when a run begins may come after it."""

RETRY = 60.0
"""Seconds until a process that could not be started is tried again."""


def next_comparison(job: Job, now: dt.datetime) -> float | None:
    """When the job is compared next, in seconds since 1970; None: never."""
    schedule = job.options.verify.schedule
    return next_run(schedule, str(job.options.incremental.timezone), now).timestamp() if schedule else None


class Comparing:
    """Knows when each job is compared next, and keeps the one process that compares.

    `tell` hears of each verdict; `folder` is where it is kept for others, if anywhere.
    """

    def __init__(
        self,
        channel: Channel,
        listener: socket.socket | None,
        lifeline: Callable[[], tuple[Connection, Connection]],
        tell: Callable[[Verified], object],
        folder: Path | None,
    ) -> None:
        self._channel, self._listener, self._lifeline = channel, listener, lifeline
        self._tell, self._folder = tell, folder
        self._due: dict[str, tuple[bytes, float]] = {}
        self._running: Comparison | None = None
        self._found: Verified | None = None

    @property
    def connections(self) -> list[Connection]:
        """What is open, and what a new worker closes."""
        return [self._running.answer] if self._running else []

    def look_after(
        self, files: Sequence[JobFile], copied: Mapping[str, int], open_here: Iterable[Connection]
    ) -> None:
        """Take the verdict that has come, and begin with the next job that is due.

        `files` are the jobs of now; `copied` says until when the copy of those that have one is complete.
        """
        self._take()
        self._plan(files)
        ready = [file for file in files if file.name in copied and self._is_due(file.name)]
        if ready and self._running is None:
            first = min(ready, key=lambda file: self._due[file.name][1])
            self._start(first, copied[first.name] - MARGIN, [*open_here])

    def stop(self) -> None:
        """Have the process end; its verdict would be half a one."""
        if self._running:
            self._running.process.terminate()

    def kill(self) -> None:
        """End it now."""
        if self._running:
            self._running.process.kill()
            self._running.process.join()

    def _plan(self, files: Sequence[JobFile]) -> None:
        """When each is due; a file that has changed is planned anew, one that is gone forgotten."""
        now = dt.datetime.now(dt.UTC)
        known = {file.name: file.content for file in files}
        self._due = {name: (c, at) for name, (c, at) in self._due.items() if known.get(name) == c}
        for file in files:
            if file.name not in self._due and (at := next_comparison(file.config.job, now)) is not None:
                self._due[file.name] = file.content, at

    def _is_due(self, job: str) -> bool:
        return job in self._due and time.time() >= self._due[job][1]

    def _start(self, file: JobFile, until: int, inherited: Sequence[Connection]) -> None:
        content, _ = self._due.pop(file.name)  # planned again at the next look, from then on
        try:
            self._running = Comparison.start(
                file, until, self._channel, self._listener, self._lifeline(), inherited
            )
        except OSError as error:
            logger.warning("job %s: verify could not be started (%s); trying again", file.name, error)
            self._due[file.name] = content, time.time() + RETRY
            return
        logger.info("job %s: verify begins", file.name)

    def _take(self) -> None:
        running = self._running
        if running is None:
            return
        with suppress(EOFError, OSError):
            if running.answer.poll():
                self._found = running.answer.recv()
        if running.process.is_alive():  # it may still send its last lines to Loki
            return
        found, how = self._found, death(running.process)
        self._running = self._found = None
        running.answer.close()
        if found is None and how != "exit code 0":
            logger.error("job %s: the process that compares both sides died (%s)", running.job, how)
            text = f"the process that compares both sides died ({how})"
            found = Verified(running.job, time.time_ns(), "could not check", text)
        if found is not None:
            if self._folder:
                write_verdict(self._folder, found)
            self._tell(found)
