"""Compares and drills jobs at the times of their `options.verify` and `options.drill`.

One after the other: servers keep time for the copies.
"""

import datetime as dt
import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from typing import get_args

from basics.processes import death
from basics.times import MINUTE
from daemon.comparison import Comparison, Kind, untold
from daemon.job_file import JobFile
from settings.keys import Job
from settings.next_run import next_run
from watching.channel import Channel
from watching.events import Verdict
from watching.verdict_files import write_verdict

logger = logging.getLogger(__name__)

MARGIN = MINUTE
"""Of the clock and of writes on their way: what is younger when a run begins may come after it."""

RETRY = 60.0
"""Seconds until a process that could not be started is tried again."""


def next_proof(job: Job, kind: Kind, now: dt.datetime) -> float | None:
    """When the job is compared or drilled next, in seconds since 1970; None: never."""
    options = job.options
    schedule = options.verify.schedule if kind == "verify" else options.drill.schedule
    return next_run(schedule, str(job.options.incremental.timezone), now).timestamp() if schedule else None


class Comparing:
    """Knows when each job is compared and drilled next, and keeps the one process that does it.

    `tell` hears of each verdict; `folder` is where it is kept for others, if anywhere.
    """

    def __init__(
        self,
        channel: Channel,
        listener: socket.socket | None,
        lifeline: Callable[[], tuple[Connection, Connection]],
        tell: Callable[[Verdict], object],
        folder: Path | None,
    ) -> None:
        self._channel, self._listener, self._lifeline = channel, listener, lifeline
        self._tell, self._folder = tell, folder
        self._due: dict[tuple[str, Kind], tuple[JobFile, float]] = {}
        self._running: Comparison | None = None
        self._found: tuple[Verdict, ...] | None = None

    @property
    def connections(self) -> list[Connection]:
        """What is open, and what a new worker closes."""
        return [self._running.answer] if self._running else []

    def look_after(
        self, files: Sequence[JobFile], copied: Mapping[str, int], open_here: Iterable[Connection]
    ) -> None:
        """Take the verdict that has come, and begin with the next job that is due.

        `files` are the jobs of now; `copied` says until when the copy of those that have one is complete: others
        are not compared yet. A drill needs no run of this daemon: what it restores may be older.
        """
        self._take()
        self._plan(files)
        ready = [key for key in self._due if self._is_due(key) and (key[1] == "drill" or key[0] in copied)]
        if ready and self._running is None:
            first = min(ready, key=lambda key: self._due[key][1])
            self._start(first, copied.get(first[0], time.time_ns()) - MARGIN, [*open_here])

    def stop(self) -> None:
        """Have the process end; its verdict would be half a one."""
        if self._running:
            self._running.process.terminate()

    def end_by(self, deadline: float) -> None:
        """Give a drill until then (by the monotonic clock) to drop its scratch database, and end the process."""
        if self._running:
            if self._running.kind == "drill":
                self._running.process.join(max(0.0, deadline - time.monotonic()))
            self._running.process.kill()
            self._running.process.join()

    def _plan(self, files: Sequence[JobFile]) -> None:
        """When each is due; a file that has changed is planned anew, one that is gone forgotten."""
        now = dt.datetime.now(dt.UTC)
        known = {file.name: file for file in files}
        self._due = {
            (name, kind): (file, at)
            for (name, kind), (file, at) in self._due.items()
            if name in known and known[name].is_like(file)
        }
        for file, kind in product(files, get_args(Kind)):
            key = file.name, kind
            if key not in self._due and (at := next_proof(file.config.job, kind, now)) is not None:
                self._due[key] = file, at

    def _is_due(self, key: tuple[str, Kind]) -> bool:
        return time.time() >= self._due[key][1]

    def _start(self, key: tuple[str, Kind], until: int, inherited: Sequence[Connection]) -> None:
        file, _ = self._due.pop(key)  # planned again at the next look, from then on
        try:
            self._running = Comparison.start(
                file, key[1], until, self._channel, self._listener, self._lifeline(), inherited
            )
        except OSError as error:
            logger.warning("job %s: %s could not be started (%s); trying again", *key, error)
            self._due[key] = file, time.time() + RETRY
            return
        logger.info("job %s: %s begins", *key)

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
            does = "compares both sides" if running.kind == "verify" else "rehearses a restore"
            logger.error("job %s: the process that %s died (%s)", running.job, does, how)
            found = (untold(running.job, running.kind, f"the process that {does} died ({how})"),)
        for verdict in found or ():
            if self._folder:
                write_verdict(self._folder, verdict)
            self._tell(verdict)
