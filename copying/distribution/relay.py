"""What happens in a unit, told to the daemon twice a second: calls of its listener, lines of its log."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from copying.distribution.unit import packed
from copying.listener import SilentRun
from influx.influxql import Location
from influx.written import Written

TICK = 0.5
"""Seconds between two messages."""

LOGGERS = ("basics", "influx", "copying", "backup", "influx_client")
"""Whose lines belong into the log of the job."""

Call = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Message:
    """Calls of the listener, of an attempt to carry out a unit."""

    run: str
    key: str
    attempt: str
    calls: Sequence[Call]


@dataclass(frozen=True, slots=True)
class PutAside:
    """Refused lines that the daemon is to keep; it answers under the name."""

    run: str
    name: str
    place: Location
    lines: Sequence[bytes]
    answer: str


class Relay(SilentRun):
    """Hears of a unit, as listener of its run and of its requests. Safe to use from several threads.

    What else there is to hear the daemon tells by itself.

    `send` gets a packed message.
    """

    def __init__(self, run: str, key: str, send: Callable[[bytes], None]) -> None:
        self._run = run
        self._key = key
        self._send = send
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._tell_often, name="relay", daemon=True)
        self._troubled: set[int] = set()
        self.attempt = uuid.uuid4().hex
        self.messages = 0
        self.newest: dict[Location, int] = {}
        """The newest point that was read of each measurement, but for those after now."""

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Tell what is left."""
        self._closed.set()
        self._thread.join()
        self.tell()

    def tell(self) -> None:
        """Send what there is to tell."""
        with self._lock:
            calls, self._calls = self._calls, []
            if calls:
                self._send(packed(Message(self._run, self._key, self.attempt, calls)))
                self.messages += 1

    def _tell_often(self) -> None:
        while not self._closed.wait(TICK):
            self.tell()

    def _note(self, name: str, *arguments: object) -> None:
        with self._lock:
            self._calls.append((name, arguments))

    # ------------------------------------------------------------ as a listener

    def begun(self, source: Location) -> None:
        """A measurement's turn has come."""
        self._note("begun", source)

    def wrote(self, source: Location, written: Written) -> None:
        """So much of a measurement was acknowledged, or put aside."""
        self._note("wrote", source, written)

    def reached(self, source: Location, position: int, newest: int | None = None) -> None:
        """Everything of a measurement that is older than `position` is acknowledged; its `newest` point was."""
        if newest is not None:
            with self._lock:
                self.newest[source] = max(newest, self.newest.get(source, newest))
        self._note("reached", source, position, newest)

    def acknowledged(self) -> None:
        """A request with points was."""
        self._note("acknowledged")

    def retrying(self, trouble: str) -> None:
        """A request of this thread has failed, and is about to be tried again."""
        with self._lock:
            self._troubled.add(threading.get_ident())
        self._note("retrying", trouble)

    def settled(self) -> None:
        """It has succeeded, or failed for good; the daemon hears of the last one."""
        with self._lock:
            self._troubled.discard(threading.get_ident())
            is_last = not self._troubled
        if is_last:
            self._note("settled")

    # ------------------------------------------------------------ as a log

    @contextmanager
    def logs(self, level: str, worker: str) -> Iterator[None]:
        """Send lines of at least this level to the daemon's log, too; what is not fine names the worker.

        The loggers are as before afterwards: the next unit, of another job, has a level of its own.
        """
        handler = _Handler(self._note, worker)
        levels = {logger: logger.level for logger in map(logging.getLogger, LOGGERS)}
        for logger in levels:
            logger.setLevel(level)
            logger.addHandler(handler)
        try:
            yield
        finally:
            for logger, before in levels.items():
                logger.removeHandler(handler)
                logger.setLevel(before)


class _Handler(logging.Handler):
    def __init__(self, note: Callable[[str, str, int, str], None], worker: str) -> None:
        super().__init__()
        self._note = note
        self._worker = worker

    def emit(self, record: logging.LogRecord) -> None:
        where = f" (worker {self._worker})" if record.levelno >= logging.WARNING else ""
        self._note("log", record.name, record.levelno, record.getMessage() + where)
