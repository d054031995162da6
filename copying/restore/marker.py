"""The marker of a restore that is not complete: a file that is there from its beginning to its end.

It tells whoever looks that the target is not whole, and the same command where to go on.
"""

import hashlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from basics.files import write_whole
from basics.humanize import ago, counted
from basics.text import printable
from copying import quarantine
from copying.listener import SilentRun
from copying.restore.asked import Asked, Mapped
from influx.influxql import Location
from influx.written import Written
from settings.keys import Job

logger = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two looks at how far it is that are kept."""

UNUSABLE = (OSError, ValueError, TypeError, KeyError)
"""What reading a marker raises that is gone, or none of ours."""

BEAT, SILENT = 10.0, 60.0
"""Seconds between two signs of life, and after which a restore elsewhere counts as stopped."""

TELL = 30.0
"""Seconds between two lines in the log."""


@dataclass(slots=True)
class Marker:
    """One restore: what it brings back, and how far it is. Times are nanoseconds."""

    job: str
    target: str
    databases: tuple[str, ...]
    begun: int
    existing: str
    values: int = 0
    """How many there are to restore, about."""
    written: int = 0
    pid: int = 0
    host: str = ""
    """Whose process that is: in another container its number says nothing;"""
    beat: float = 0.0
    """there the time of the file tells, seconds since 1970: it is touched while the restore goes on."""
    positions: dict[Location, int] = field(default_factory=dict)
    """Before which time everything of a measurement is at the target; of a restore that overwrites."""

    @property
    def is_here(self) -> bool:
        """Whether the process that wrote it is, or was, one of this machine."""
        return self.host == socket.gethostname()

    @property
    def is_running(self) -> bool:
        """Whether it is still there, as far as this machine can tell."""
        if not self.is_here:
            return time.time() - self.beat < SILENT
        return self.pid > 0 and Path(f"/proc/{self.pid}").exists()


def folder(job: Job, environ: Mapping[str, str]) -> Path:
    """Where the markers of a job are."""
    return quarantine.directory_of(job.options, environ) / ".restoring"


def file_of(
    job: Job, environ: Mapping[str, str], snapshot: str, target: str, databases: Iterable[Mapped], asked: Asked
) -> Path:
    """The marker of this restore: the same for the same command, whatever it says of existing points.

    Of another `snapshot` of an archive it is another one; empty: from the server that the job copies to.
    """
    what = (snapshot, target, tuple(databases), asked.policies, asked.measurements, asked.span)
    digest = hashlib.blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return folder(job, environ) / f"{job.name}.{digest}.json"


def load(file: Path) -> Marker | None:
    """The marker in a file; None where there is none, or none that can be used."""
    try:
        return _read(file)
    except FileNotFoundError:
        return None
    except UNUSABLE as error:
        logger.warning("%s cannot be used, so nothing is known of an earlier restore: %s", file, error)
        return None


def _read(file: Path) -> Marker:
    found: dict[str, Any] = json.loads(file.read_text())
    places = {Location(*place): int(time) for *place, time in found.pop("positions")}
    databases = tuple(map(str, found.pop("databases")))
    return Marker(**found, databases=databases, positions=places, beat=file.stat().st_mtime)


def save(file: Path, marker: Marker) -> None:
    """Keep it, whatever happens next. Raises OSError: nobody would know that the target is not whole."""
    document = {name: getattr(marker, name) for name in Marker.__slots__ if name not in ("positions", "beat")}
    positions = list(marker.positions.items())  # other threads add to it
    document["positions"] = [[p.database, p.policy, p.measurement, time] for p, time in positions]
    write_whole(file, json.dumps(document).encode())


def unfinished(job: Job, environ: Mapping[str, str]) -> Iterator[Marker]:
    """The markers that a job has: restores that go on, or were given up."""
    return (marker for marker in in_folder(folder(job, environ)) if marker.job == job.name)


def in_folder(place: Path) -> Iterator[Marker]:
    """All that can be read there, of any job."""
    for file in sorted(place.glob("*.json")):
        with suppress(*UNUSABLE):
            yield _read(file)


def described(marker: Marker, now: int) -> str:
    """A restore that is not complete, in a sentence."""
    names = ", ".join(map(printable, marker.databases))
    share = f", {min(99, 100 * marker.written // marker.values)} %" if marker.values else ""
    where = "" if marker.is_here else f" of {printable(marker.host)}"
    state = (
        f"process {marker.pid}{where} is at it"
        if marker.is_running
        else "it was stopped: run the same command again"
    )
    return (
        f"restore of {names} to {marker.target} is not complete: begun {ago(marker.begun, now)}, "
        f"{counted(marker.written, 'value')} written{share}; {state}"
    )


class Keeper(SilentRun):
    """Hears of a restore, and keeps its marker up to date. A full disk costs nothing but that."""

    def __init__(self, file: Path, marker: Marker) -> None:
        self._file = file
        self.marker = marker
        self._kept = self._told = time.monotonic()
        self._short: set[Location] = set()
        """Of these something is not at the target: however far they come, the same command has to try it again."""

    def begin(self) -> None:
        """Keep the marker from now on, with signs of life until this process ends. Raises OSError."""
        self.marker.pid, self.marker.host = os.getpid(), socket.gethostname()
        save(self._file, self.marker)
        threading.Thread(target=self._beat, name="marker", daemon=True).start()

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT)
            with suppress(OSError):  # it is gone when the restore is complete
                os.utime(self._file)

    def wrote(self, source: Location, written: Written) -> None:
        """So much more is there, or is not going to be."""
        self.marker.written += written.values
        if written.is_short:
            self._short.add(source)
        self._keep()

    def reached(self, source: Location, position: int, newest: int | None = None) -> None:  # noqa: ARG002
        """So far all of a measurement is there."""
        if source not in self._short:
            self.marker.positions[source] = position
        self._keep()

    def _keep(self) -> None:
        now = time.monotonic()
        if now - self._kept > PAUSE:
            self._kept = now
            with suppress(OSError):
                save(self._file, self.marker)
        if now - self._told > TELL:
            self._told = now
            logger.info("%s of about %s written", counted(self.marker.written, "value"), f"{self.marker.values:,}")
