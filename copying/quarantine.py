"""The quarantine: lines that the destination refuses, kept with its answer in a file that can be written by hand.

So that one bad line stops nothing, and nothing is dropped silently. A file is line protocol with comments, one for
each measurement of a job, and is only ever added to.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from urllib.parse import quote, urlencode

from basics.text import printable
from influx.influxql import Location
from settings.keys import Job, Options

QUARANTINE_MOST = 10_000
"""How many lines of one measurement are put aside in one run. More of them are no bad lines, but a bad setup."""

_LONGEST_NAME = 150

_LINE = re.compile(
    rb'#[^\n]*|(?:\\.|[^\\ \n]++)+(?: (?:\\.|"(?:\\.|[^"\\]++)*"|[^\\"\n]++)*)?',
    re.DOTALL,
)
"""A comment, or a line as the server finds its end: in quotes, a newline is a part of the value.

Possessive are only repeated sets of characters: Python before 3.11.5, as in Debian 12, gets repeated groups wrong.
"""


# ---------------------------------------------------------------- decisions, pure


def choose_directory(configured: Path | None, logs: Path | None, environ: Mapping[str, str]) -> Path:
    """Where quarantine files go: as configured, else to the logs, else by the environment, else `quarantine`."""
    return configured or logs or Path(environ.get("BACKUP_QUARANTINE_DIR") or "quarantine")


def directory_of(options: Options, environ: Mapping[str, str]) -> Path:
    """Where the quarantine files of a job with these options are."""
    return choose_directory(options.quarantine_directory, options.log_directory, environ)


def lock_file(job: Job, environ: Mapping[str, str]) -> Path:
    """The file that runs of a job share, and that a restore of it holds alone."""
    return directory_of(job.options, environ) / ".compared" / f"{job.name}.lock"


def file_name(location: Location) -> str:
    """`<database>.<policy>.<measurement>.lp`, safe for any names, and another one for any other location."""
    return f"{safe_name(location.database, location.policy, location.measurement)}.lp"


def safe_name(*names: str) -> str:
    """These names as one name in a file system; others make another one."""
    name = ".".join(map(_encoded, names))
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}~{hashlib.sha256(name.encode()).hexdigest()}"
    return name


def _encoded(name: str) -> str:
    """The name without dots, tildes, and whatever a file system might not like."""
    return quote(name, safe="", errors="surrogateescape").replace(".", "%2E").replace("~", "%7E")


def comment(text: str) -> str:
    r"""A line of comment that the server skips, and no more than that.

    The server looks for the end of a line before it looks for the `#`, so an open quote or a backslash at the end
    would make the comment swallow the line below it. Both are escaped.
    """
    return "# " + printable(text.replace("\\", "\\\\").replace('"', '\\"'))


def heading(job: str, url: str, location: Location) -> list[str]:
    """What the file is, and how to write it by hand."""
    parameters = {"db": location.database, "rp": location.policy, "precision": "ns"}
    query = urlencode(parameters, errors="surrogateescape", quote_via=quote)
    return [
        f"Points that InfluxDB at {url} refused when the job {job} wrote them; they are not there.",
        f"database: {location.database}",
        f"retention policy: {location.policy}",
        f"measurement: {location.measurement}",
        "This is line protocol in nanoseconds. Above each group of lines stands the server's answer to them.",
        "Remove the cause or correct the lines, then write the file by hand, and delete it. Add -u USER for a",
        "server that asks for a password; a file larger than max-body-size has to be cut.",
        f"curl -i '{url}/write?{query}' --data-binary '@{file_name(location)}'",
    ]


_ALONE = (
    "Cut out the next line and write it in a request of its own: the server may take it and what follows for one."
)


def _marked(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines, with a comment before those after which the server may not find the line's end."""
    for line in lines:
        if not _LINE.fullmatch(line):
            yield comment(_ALONE).encode()
        yield line


def split_lines(content: bytes) -> list[bytes]:
    """The lines of line protocol, comments among them."""
    return _LINE.findall(content)


# ---------------------------------------------------------------- the file


class Quarantine:
    """The quarantine file of one measurement in one run; not there before it is needed."""

    def __init__(self, directory: Path, job: str, url: str, location: Location, time: str) -> None:
        self.file = directory / job / file_name(location)
        self._heading = heading(job, url, location)
        self._time = time
        self._known: set[bytes] | None = None
        self._answer = ""
        self._put: set[bytes] = set()
        self.added = 0
        """How many lines were not in the file before."""
        self._lock = Lock()

    @property
    def was_used(self) -> bool:
        """Whether this run put lines aside."""
        return bool(self._put)

    @property
    def _size(self) -> int:
        """How many bytes the file has; it may be there without any, after a disk that was full."""
        return self.file.stat().st_size if self.file.exists() else 0

    @property
    def most(self) -> int:
        """After how many lines it is full."""
        return QUARANTINE_MOST

    @property
    def is_full(self) -> bool:
        """Whether so much was put aside in this run that nothing more should follow."""
        return len(self._put) >= self.most

    def put(self, lines: Sequence[bytes], answer: str) -> int:
        """Add the lines below the server's answer to them, but for those that are there already.

        When this returns, they are on the disk. Raises OSError when they cannot be. Returns how many were not put
        aside before in this run: the look-back meets them a second time.
        """
        with self._lock:  # several requests of a measurement may be on their way
            return self._put_new(lines, answer)

    def _put_new(self, lines: Sequence[bytes], answer: str) -> int:
        self.added += self._add(lines, answer)
        before = len(self._put)
        self._put.update(map(_digest, lines))
        return len(self._put) - before

    def _add(self, lines: Sequence[bytes], answer: str) -> int:
        """Put them into the file; how many were not there before."""
        known = self._read_known()
        new = [line for line in dict.fromkeys(lines) if _digest(line) not in known]
        if new:
            self._append(b"".join(line + b"\n" for line in (*self._comments(answer), *_marked(new))))
            known.update(map(_digest, new))
            self._answer = answer
        return len(new)

    def _comments(self, answer: str) -> Iterable[bytes]:
        about = [] if self._size else self._heading
        if answer != self._answer:
            about = [*about, f"{self._time}: {answer}"]
        return (comment(text).encode() for text in about)

    def _read_known(self) -> set[bytes]:
        """Digests of the lines that are there; earlier runs may have met the same points."""
        if self._known is None:
            content = self.file.read_bytes() if self.file.exists() else b""
            self._known = set(map(_digest, split_lines(content)))
        return self._known

    def _append(self, text: bytes) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if not size:
                _sync(self.file.parent)  # before the lines, so that none is there that does not count
            elif os.pread(descriptor, 1, size - 1) != b"\n":
                text = b"\n" + text  # somebody's editor left the last line open
            _write_or_leave(descriptor, text, size)
        finally:
            os.close(descriptor)


def left_over(directory: Path) -> list[tuple[Path, int]]:
    """The quarantine files in a job's directory that hold lines, with their number."""
    found = []
    for file in sorted(directory.glob("*.lp")) if directory.is_dir() else ():
        lines = [line for line in split_lines(file.read_bytes()) if not line.startswith(b"#")]
        if lines:
            found.append((file, len(lines)))
    return found


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()


def _write_or_leave(descriptor: int, text: bytes, size: int) -> None:
    """Write all of the text to the disk, or leave the file of that size as it was: half a line spoils the next."""
    rest = memoryview(text)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _sync(path: Path) -> None:
    """Make sure that a new file in the directory is found again after a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
