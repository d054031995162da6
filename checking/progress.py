"""How far a comparison or a repair is: a live line on a terminal, lines in the log elsewhere."""

import logging
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from basics.humanize import counted
from copying.listener import SilentRun
from influx.influxql import Location
from influx.written import Written
from logger_config import set_console
from watching.progress import REDRAW_EVERY, Screen, bar, duration, fitted, short_counted
from watching.reporter import LINE_EVERY

logger = logging.getLogger(__name__)


class Progress:
    """Counted in windows, and inside of them in values. Threads add to it, and another one reads it."""

    def __init__(self) -> None:
        self.phase = "planning"
        self.windows = 0
        """How many are done,"""
        self.of = 0
        """and how many there are; 0: nobody knows."""
        self.values = 0
        """How many values of both sides were read so far, or written."""
        self.verb = "read"
        self._begun = time.monotonic()
        self._batch, self._weight, self._passed = 0, 0, 0
        self._reads: list[Counter[str]] = []
        self._lock = threading.Lock()

    def begin(self, phase: str, of: int = 0, *, verb: str = "read") -> None:
        """Something of so many windows begins."""
        with self._lock:
            self.phase, self.windows, self.of, self.values, self.verb = phase, 0, of, 0, verb
            self._begun = time.monotonic()
            self._batch, self._weight, self._passed = 0, 0, 0

    def batch(self, windows: int, values: int) -> None:
        """The next windows are looked at, which have so many values on both sides to be read."""
        with self._lock:
            self._batch, self._weight, self._passed = windows, values, 0

    def done(self) -> None:
        """All windows of the batch are."""
        with self._lock:
            self.windows += self._batch
            self._batch, self._weight, self._passed = 0, 0, 0

    def passed(self, windows: int, values: int) -> None:
        """So many more windows are done, whose values were read."""
        with self._lock:
            self.windows += windows
            self.values += values

    def reading(self) -> Counter[str]:
        """What counts the values of a window that is about to be read."""
        with self._lock:
            read = Counter[str]()
            self._reads.append(read)
            return read

    def read(self, read: Counter[str]) -> None:
        """It has been."""
        with self._lock:
            self._reads.remove(read)
            self.values += sum(read.values())
            self._passed += sum(read.values())

    def wrote(self, values: int) -> None:
        """A repair wrote so many."""
        with self._lock:
            self.values += values
            self._passed += values

    @property
    def share(self) -> float:
        """Which part is done, 0 to 1."""
        if not self.of:
            return 0.0
        reading = sum(sum(list(read.values())) for read in list(self._reads))
        inside = min(1.0, (self._passed + reading) / self._weight) if self._weight else 0.0
        return min(1.0, (self.windows + inside * self._batch) / self.of)

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None while there is nothing to judge by."""
        seconds = time.monotonic() - self._begun
        return seconds * (1 - self.share) / self.share if self.share >= 0.001 and seconds >= 1 else None

    def line(self) -> str:
        """All of it in one line."""
        left = self.seconds_left
        parts = [self.phase, f"{self.share:.1%}"] if self.of else [self.phase]
        parts += [f"{counted(self.values, 'value')} {self.verb}"] * bool(self.values)
        parts += [] if left is None else [f"{duration(left)} left"]
        return ", ".join(parts)

    def row(self, job: str, width: int) -> list[tuple[str, str]]:
        """The same as one line of at most `width` columns, as (text, style)."""
        left = self.seconds_left
        parts: list[tuple[int, str, str]] = [(0, job, "bold"), (1, self.phase, "cyan")]
        if self.of:
            parts += [(5, bar(self.share), "green"), (2, f"{self.share:4.0%}", "")]
        parts += [(4, f"{short_counted(self.values, 'value')} {self.verb}" if self.values else "", "")]
        parts += [(3, "" if left is None else f"{duration(left)} left", "")]
        return fitted(parts, width)


class Copying(SilentRun):
    """Hears of what a repair copies."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def wrote(self, source: Location, written: Written) -> None:  # noqa: ARG002 -- the listener's method
        """Add it to what is done."""
        self._progress.wrote(written.values)


class Shown:
    """A context in which the progress of a job is shown; log lines stand above the live line."""

    def __init__(self, job: str, progress: Progress, *, draws: bool) -> None:
        self._job, self._progress, self._draws = job, progress, draws
        self._ends = threading.Event()
        self._lines = SimpleQueue[str]()
        self._thread = threading.Thread(target=self._draw if draws else self._log, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self._draws:
            set_console(route=self._lines.put)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._draws:
            set_console()
        self._ends.set()
        self._thread.join()

    def _log(self) -> None:
        while not self._ends.wait(LINE_EVERY):
            logger.info("%s: %s", self._job, self._progress.line())

    def _draw(self) -> None:
        screen = Screen(sys.stderr)
        while not self._ends.wait(REDRAW_EVERY):
            screen.show([self._progress.row(self._job, screen.width)], self._waiting())
        screen.show([], self._waiting())
        screen.close()

    def _waiting(self) -> list[str]:
        """The log lines since the last look."""
        found: list[str] = []
        with suppress(Empty):
            while True:
                found.append(self._lines.get_nowait())
        return found
