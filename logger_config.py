"""Where log lines go. Modules log through `logging.getLogger(__name__)`; only the processes' start calls this.

Nothing here may stop or delay a backup: a full disk, a broken terminal or an absent Loki costs log lines,
one warning, and no more. Only a log directory that cannot be used at the start is an error:

    LogDirectoryError
"""

import errno
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import ClassVar, Final, TextIO

from basics.humanize import counted
from basics.text import SEVERAL_LINES
from settings.keys import LogFormat, LogRotation, Loki
from watching.loki import QueueingHandler, open_loki

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
        text = super().formatMessage(record)
        return text if _has_lines(record) else _printable(text)

    def format(self, record: logging.LogRecord) -> str:
        """That line; a traceback, and what was given as SEVERAL_LINES, keeps its own, indented below it."""
        line, *below = super().format(record).split("\n")
        indent = "" if _has_lines(record) else "    "
        return "\n".join([_printable(line), *(indent + _printable(text) for text in below)])


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


def _has_lines(record: logging.LogRecord) -> bool:
    return all(getattr(record, name, None) == value for name, value in SEVERAL_LINES.items())


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
            missing = f"{counted(lost, 'line')} {'is' if lost == 1 else 'are'}"
            logger.warning("%s can be written again; %s missing from it", self.baseFilename, missing)

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
    old = [handler for handler in root.handlers if isinstance(handler, _JobHandler | QueueingHandler)]
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
        _add(open_loki(loki, job), _OneLine("%(message)s"))


def _add(handler: logging.Handler, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
