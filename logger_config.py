"""Where log lines go. Modules log through `logging.getLogger(__name__)`; only the processes' start calls this.

Nothing here may stop or delay a backup: a full disk, a broken terminal or an absent Loki costs log lines,
one warning, and no more. Only a log directory that cannot be used at the start is an error:

    LogDirectoryError
"""

import errno
import itertools
import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import ClassVar, Final, NamedTuple, TextIO

import requests
from logging_loki import LokiHandler
from logging_loki.emitter import LokiEmitterV1

from config_types import LogFormat, LogRotation, Loki
from sessions import PlainSession, innermost

logger = logging.getLogger(__name__)

FORMAT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)-7s [{job}] %(message)s"
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"

# What they report, we report; below these levels they tell of each connection and each wake-up.
OTHERS: Final = {
    "urllib3": logging.ERROR,
    "apprise": logging.WARNING,
    "apscheduler": logging.WARNING,
    "charset_normalizer": logging.WARNING,
}

LOKI_QUEUE = 5_000  # lines that wait for Loki at most; further ones are dropped
LOKI_BATCH: Final = 200  # lines in one request
LOKI_LINE: Final = 8_000  # characters of one line; a full batch stays below Loki's limit of 4 MiB
LOKI_LABELS: Final = 15  # that a line may have; Loki refuses more
LOKI_TIMEOUT = 5.0  # seconds without a byte until a request has failed
LOKI_RETRY = 1.0  # seconds until the next attempt; doubles
LOKI_LONGEST_RETRY = 30.0
LOKI_FLUSH = 2.0  # seconds at the end for what still waits

_SECOND: Final = 1_000_000_000
_BAD_LINES: Final = frozenset({400, 413, 422})  # answers that mean: these lines, whenever they come


class LogDirectoryError(Exception):
    """The job's log file cannot be written; the message names the directory, the reason and the remedy."""


Route = Callable[[str], object]
"""Takes a line; raises OSError when it cannot."""


# ---------------------------------------------------------------- lines


class _OneLine(logging.Formatter):
    """UTC, and one line per record: names and messages that servers send cannot forge a second one."""

    converter = staticmethod(time.gmtime)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's own name
        """The record's line without its control characters."""
        return _printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """That line; a traceback keeps its own lines, indented below it."""
        line, *traceback = super().format(record).split("\n")
        return "\n".join([line, *("    " + _printable(text) for text in traceback)])


class _Json(logging.Formatter):
    """One JSON object per line, in ASCII: whatever a message holds, every reader finds the same lines in it."""

    converter = staticmethod(time.gmtime)

    def __init__(self, job: str) -> None:
        super().__init__(datefmt=TIME_FORMAT)
        self._job = job

    def format(self, record: logging.LogRecord) -> str:
        """The record; `traceback` only where it has one."""
        traceback = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        line = {
            "time": f"{self.formatTime(record, TIME_FORMAT)}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "job": self._job,
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(line | ({"traceback": traceback} if traceback else {}))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# ---------------------------------------------------------------- console and file


class _JobHandler(logging.Handler):
    """One of our own handlers, to be told from those of others."""


class _Console(_JobHandler, logging.StreamHandler[TextIO]):
    """Standard error; where nobody reads it any more, there is nobody to tell."""

    least: ClassVar[int] = logging.NOTSET
    route: ClassVar[Route | None] = None

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setLevel(self.least)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless it has another way to the terminal."""
        try:
            if _Console.route is not None:
                _Console.route(self.format(record))
                return
        except OSError:  # that way is closed
            pass
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's own name
        """Keep quiet about a closed pipe or a full disk, not about a wrong call."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


class _File(_JobHandler, logging.FileHandler):
    """A file that may become unwritable and writable again: a warning, silence, a line that says so."""

    _lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it as lost."""
        lost = self._lost
        try:
            super().emit(record)
        except OSError:  # opening the file again; failing to write has ended in handleError already
            self.handleError(record)
        if lost and self._lost == lost:
            self._lost = 0
            logger.warning("%s can be written again; %d lines are missing from it", self.baseFilename, lost)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's own name
        """Warn once, and open the file anew for the next record: what the old stream buffered is lost."""
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._lost += 1
        stream, self.stream = self.stream, None  # opened again for the next record
        if stream is not None:
            with suppress(OSError):
                stream.close()
        if self._lost == 1:
            reason = error.strerror or error
            logger.warning("cannot write %s (%s): logging goes on without it", self.baseFilename, reason)

    def _open(self) -> TextIOWrapper:
        """Also ends the line that a full disk or a power cut left unfinished."""
        unfinished = _is_unfinished(Path(self.baseFilename))
        stream = super()._open()
        if unfinished:
            stream.write("\n")
        return stream


class _RotatingFile(_File, TimedRotatingFileHandler):
    """The same, with a new file from time to time."""

    _stuck = False

    def doRollover(self) -> None:  # noqa: N802 -- logging's own name
        """Where that fails, the present file grows on, until it is time again."""
        try:
            super().doRollover()
            self._stuck = False
        except OSError as error:
            self.rolloverAt = self.computeRollover(int(time.time()))
            warned, self._stuck = self._stuck, True
            if not warned:
                logger.warning("cannot rotate %s (%s): it grows on", self.baseFilename, error.strerror or error)


def _is_unfinished(file: Path) -> bool:
    if not file.is_file() or not file.stat().st_size:
        return False
    with file.open("rb") as content:
        content.seek(-1, os.SEEK_END)
        return content.read() != b"\n"


def _open_file(directory: Path, job: str, rotation: LogRotation | None) -> _File:
    """The handler of `<directory>/<job>/<job>.log`, which exists from now on. Raises LogDirectoryError."""
    if job in {"", ".", ".."} or set(job) & set("/\\\0"):
        raise LogDirectoryError(f"log directory {directory}: {job!r} cannot be a file name; rename the job")
    folder = directory / job
    file = folder / f"{job}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if rotation is None or not rotation.enabled:
            return _File(file, encoding="utf-8", errors="backslashreplace")
        if not os.access(folder, os.W_OK | os.X_OK):  # rotation renames files in it
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return _RotatingFile(
            file,
            when=rotation.when,
            interval=rotation.interval,
            backupCount=rotation.backup_count,
            encoding="utf-8",
            errors="backslashreplace",
            utc=True,
        )
    except OSError as error:
        raise LogDirectoryError(
            f"log directory {directory}: cannot write {error.filename or file} ({error.strerror or error}); "
            f"make it a directory that user {os.getuid()} may write to, "
            "or change options.log_directory (empty: console only)"
        ) from error


# ---------------------------------------------------------------- Loki


class _Line(NamedTuple):
    """A line on its way to Loki."""

    level: str
    logger: str
    time: int  # nanoseconds
    text: str


class _Refused(Exception):
    """Loki answered something other than 204."""

    def __init__(self, answer: requests.Response) -> None:
        text = answer.content[:200].decode(errors="replace").strip()
        super().__init__(f"HTTP {answer.status_code}{': ' if text else ''}{text}")
        self.for_good = answer.status_code in _BAD_LINES


class _LokiEmitter(LokiEmitterV1):  # type: ignore[misc]  # the package ships no types
    """The package's emitter, but many lines per request, a timeout, each line's own time, few labels."""

    session_class = PlainSession

    def push(self, lines: Sequence[_Line], timeout: float) -> None:
        """Deliver all of them. Raises requests.RequestException or _Refused."""
        streams: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for line in lines:
            streams.setdefault((line.level, line.logger), []).append((str(line.time), line.text))
        body = [
            {"stream": {**self.tags, "level": level, "logger": name}, "values": values}
            for (level, name), values in streams.items()
        ]
        answer = self.session.post(self.url, json={"streams": body}, timeout=timeout)
        if answer.status_code != self.success_response_code:
            raise _Refused(answer)


class _LokiQueue:
    """Lines that wait for Loki, and the thread that takes them there, in order. Putting a line in never waits."""

    def __init__(self, emitter: _LokiEmitter) -> None:
        self._emitter = emitter
        self._changed = threading.Condition()  # guards the next four
        self._lines: deque[_Line] = deque()  # a line leaves it only when Loki has it, so it bounds all of them
        self._dropped = 0
        self._latest: dict[tuple[str, str], int] = {}
        self._deadline: float | None = None  # set when it is closed
        self._down = False
        self.thread = threading.Thread(target=self._run, name="loki", daemon=True)
        self.thread.start()

    def __call__(self, record: logging.LogRecord, text: str) -> None:
        """Put a line in, or count it as dropped."""
        with self._changed:
            if len(self._lines) >= LOKI_QUEUE:
                self._dropped += 1
                return
            level = record.levelname.lower()
            self._lines.append(_Line(level, record.name, self._time(level, record), text[:LOKI_LINE]))
            self._changed.notify()

    def _time(self, level: str, record: logging.LogRecord) -> int:
        """The record's own time. Where threads overtake each other, right after the one before it: Loki takes
        equal lines of one time for one, and used to refuse earlier ones. A clock that was set back is believed.
        """
        own = int(record.created * _SECOND)
        latest = self._latest.get((level, record.name), 0)
        if latest - _SECOND < own <= latest:
            own = latest + 1
        self._latest[level, record.name] = own
        return own

    def close(self) -> None:
        """Give the thread a short time for what still waits."""
        with self._changed:
            if self._deadline is not None:
                return
            self._deadline = time.monotonic() + LOKI_FLUSH
            self._changed.notify()
        self.thread.join(LOKI_FLUSH)
        with self._changed:
            lost = len(self._lines) + self._dropped
        if lost and not self._down:
            logger.warning("%d log lines did not reach Loki at %s in time", lost, self._emitter.url)

    # The rest runs in the thread.

    def _run(self) -> None:
        while (lines := self._oldest()) and self._deliver(lines):
            pass
        self._emitter.close()

    def _oldest(self) -> list[_Line]:
        """The oldest lines, as soon as there are any; none when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._deadline is not None)
            return list(itertools.islice(self._lines, LOKI_BATCH)) if self._time_left() > 0 else []

    def _time_left(self) -> float:
        return LOKI_TIMEOUT if self._deadline is None else min(LOKI_TIMEOUT, self._deadline - time.monotonic())

    def _deliver(self, lines: Sequence[_Line]) -> bool:
        """Send them until they are taken, or refused for good. False when the queue is closed before that.

        The first failure is not told: it may only have been a connection that was idle for too long.
        """
        delay = 0.0
        while (timeout := self._time_left()) > 0:
            try:
                self._emitter.push(lines, timeout)
            except (requests.RequestException, _Refused) as error:
                if isinstance(error, _Refused) and error.for_good:
                    self._warn(_reason(error))
                    self._remove(lines, taken=False)
                    return True
                if delay:
                    self._warn(_reason(error))
            else:
                self._remove(lines, taken=True)
                return True
            if self._closes_within(delay):
                return False
            delay = min(max(LOKI_RETRY, 2 * delay), LOKI_LONGEST_RETRY)
        return False

    def _closes_within(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._deadline is not None, seconds)

    def _remove(self, lines: Sequence[_Line], *, taken: bool) -> None:
        """Loki has them, or never will."""
        with self._changed:
            for _ in lines:
                self._lines.popleft()
            if not taken:
                self._dropped += len(lines)
                return
            dropped, caught_up = self._dropped, not self._lines
            if caught_up:
                self._dropped = 0
        if not caught_up and dropped:
            self._warn("too slow")
        elif caught_up and (self._down or dropped):
            self._down = False
            level = logging.WARNING if dropped else logging.INFO
            logger.log(level, "Loki at %s takes log lines again; %d were dropped", self._emitter.url, dropped)

    def _warn(self, reason: str) -> None:
        if not self._down:
            self._down = True
            text = "Loki at %s does not take log lines (%s): until it does, %d wait and further ones are dropped"
            logger.warning(text, self._emitter.url, reason, LOKI_QUEUE)


def _reason(error: BaseException) -> str:
    error = innermost(error)
    return str(error) or type(error).__name__


class _LokiHandler(LokiHandler, _JobHandler):  # type: ignore[misc]  # the package ships no types
    """The package's handler, with the queue between it and the network."""

    emitter: _LokiQueue

    def __init__(self, url: str, tags: Mapping[str, str]) -> None:
        LokiHandler.__init__(self, url, version="1")
        self.emitter = _LokiQueue(_LokiEmitter(url, dict(tags)))
        self.addFilter(self._is_from_others)

    def _is_from_others(self, record: logging.LogRecord) -> bool:
        """Loki does not get what getting it there causes."""
        return record.thread != self.emitter.thread.ident

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's own name
        """A record that cannot be formatted; the network's failures do not come here."""
        logging.Handler.handleError(self, record)

    def close(self) -> None:
        """Wait for a short time until Loki has what was logged."""
        self.emitter.close()
        super().close()


def _open_loki(loki: Loki, job: str) -> _LokiHandler:
    tags = {"job": job} | {name: value for name, value in loki.tags.items() if value}
    kept = dict(itertools.islice(tags.items(), LOKI_LABELS - len(("level", "logger"))))
    if left_out := tags.keys() - kept.keys():
        names = ", ".join(sorted(left_out))
        logger.warning("Loki takes %d labels, with job, level and logger; left out: %s", LOKI_LABELS, names)
    return _LokiHandler(loki.push_url, kept)


# ---------------------------------------------------------------- the start


def set_console(least: int | None = None, route: Route | None = None) -> None:
    """For this process and those that are forked from it: the least level to show on the console, if given, and
    another way than standard error for its lines; they come to standard error where that raises OSError.
    """
    _Console.route = route
    if least is not None:
        _Console.least = least
        for handler in logging.getLogger().handlers:
            if isinstance(handler, _Console):
                handler.setLevel(least)


def setup_logging(
    job: str,
    level: str = "INFO",
    *,
    directory: Path | None = None,
    rotation: LogRotation | None = None,
    loki: Loki | None = None,
    log_format: LogFormat = "text",
) -> None:
    """Log to standard error, every line marked with the job's name. Calling it again changes, not doubles.

    With a directory also to `<directory>/<job>/<job>.log`, which is never rotated without `rotation`; with Loki
    also there, as text whatever the format: it has the rest as labels. Handlers of others stay. Raises
    LogDirectoryError; the console works then, and nothing else.
    """
    root = logging.getLogger()
    old = [handler for handler in root.handlers if isinstance(handler, _JobHandler)]
    text = _OneLine(FORMAT.format(job=job.replace("%", "%%")), TIME_FORMAT)
    lines = _Json(job) if log_format == "json" else text
    _add(_Console(), lines)
    for handler in old:
        root.removeHandler(handler)
        with suppress(OSError):  # a file on a full disk
            handler.close()
    root.setLevel(level)
    for name, least in OTHERS.items():
        logging.getLogger(name).setLevel(least)
    if directory is not None:
        _add(_open_file(directory, job, rotation), lines)
    if loki is not None and loki.enabled:
        _add(_open_loki(loki, job), _OneLine("%(message)s"))


def _add(handler: _JobHandler, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
