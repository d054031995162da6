"""Saved metadata on the disk: a version for each content that it had. None is ever changed or deleted.

A version is `<number>-<time>-<digest>.json`, which counts, and beside it `.influxql` with the same as statements.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from basics.files import write_whole
from basics.times import SECOND
from copying import quarantine
from copying.metadata import snapshot, statements
from copying.metadata.snapshot import KINDS, SavedMetadata
from copying.results import Saved

_VERSION = re.compile(r"(\d{4,})-\d{8}T\d{6}Z-([0-9a-f]{12})\.json")


class NothingSaved(Exception):
    """There is nothing to load."""


class Damaged(Exception):
    """A version is not what was written."""


@dataclass(frozen=True, slots=True, order=True)
class _Version:
    number: int
    file: Path
    digest: str

    def content(self) -> bytes:
        """Raises Damaged for one that is not what was written."""
        content = self.file.read_bytes()
        if _digest(content) != self.digest:
            raise Damaged(f"{self.file} is damaged; move it away to use the version before it")
        return content


def choose_directory(
    configured: Path | None, quarantines: Path | None, logs: Path | None, environ: Mapping[str, str]
) -> Path:
    """Where metadata goes: as configured, else where the quarantine goes."""
    return configured or quarantine.choose_directory(quarantines, logs, environ) / "metadata"


def directory_of(directory: Path, job: str, database: str) -> Path:
    """`<directory>/<job>/<database>`, safe for any name of a database."""
    return directory / job / quarantine.safe_name(database)


def save(directory: Path, job: str, saved: SavedMetadata, now: int) -> Saved:
    """Keep it as the newest version, unless that is the same. Raises OSError."""
    folder = directory_of(directory, job, saved.database)
    content = snapshot.as_bytes(saved)
    found = _versions(folder)
    if found and found[-1].digest == _digest(content) and found[-1].file.read_bytes() == content:
        return Saved(found[-1].file, is_new=False, counts=saved.counts)
    number = found[-1].number + 1 if found else 1
    time = datetime.fromtimestamp(now // SECOND, UTC)
    file = folder / f"{number:04}-{time:%Y%m%dT%H%M%SZ}-{_digest(content)}.json"
    text = statements.script(saved).encode("utf-8", "surrogateescape")
    write_whole(file.with_suffix(".influxql"), text)  # before the other, without which it does not count
    write_whole(file, content)
    return Saved(file, is_new=True, counts=saved.counts)


def load(directory: Path, job: str, database: str) -> SavedMetadata:
    """The newest version; what it lacks comes from the newest one that has it.

    Raises NothingSaved or Damaged, and OSError.
    """
    folder = directory_of(directory, job, database)
    loaded: SavedMetadata | None = None
    for saved in _newest_first(folder):
        loaded = loaded.completed(saved) if loaded else saved
        if len(loaded.counts) == len(KINDS):
            break
    if loaded is None:
        raise NothingSaved(f"no metadata of {database} is saved in {folder}")
    return loaded


def newest_file(folder: Path) -> Path | None:
    """The newest version in the directory of a database, if there is any."""
    found = _versions(folder)
    return found[-1].file if found else None


def _newest_first(folder: Path) -> Iterator[SavedMetadata]:
    for version in reversed(_versions(folder)):
        try:
            yield snapshot.from_bytes(version.content())
        except snapshot.Unreadable as error:
            raise Damaged(f"{version.file}: {error}") from error


def _versions(folder: Path) -> list[_Version]:
    """The versions in a folder, the newest last."""
    found = ((file, _VERSION.fullmatch(file.name)) for file in (folder.iterdir() if folder.is_dir() else ()))
    return sorted(_Version(int(match[1]), file, match[2]) for file, match in found if match)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
