"""Files that are there as a whole or not at all, whatever happens meanwhile."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read, in place of an older one; on the disk when this returns.

    Raises OSError, and then the older one is as it was.
    """
    make_directory(path.parent)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _write_synced(new, content)
        os.replace(new, path)  # noqa: PTH105 -- Path.replace is the same
    finally:
        new.unlink(missing_ok=True)
    sync_directory(path.parent)


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def make_directory(path: Path) -> None:
    """Make a directory, and those above it, so that they are found again after a power cut."""
    if not path.is_dir():
        if not path.parent.exists():
            make_directory(path.parent)
        path.mkdir(exist_ok=True)
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make sure that a new file in the directory is found again after a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
