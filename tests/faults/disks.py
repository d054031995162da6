"""Small disks that fill up: file systems in memory, mounted for a test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SmallDisk:
    """A file system of a few megabytes at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def grow(self, megabytes: int) -> None:
        """Give it another size; what it holds stays."""
        _run("mount", "-o", f"remount,size={megabytes}m", "tmpfs", str(self.path))

    def fill(self) -> None:
        """Take all the space that is left."""
        with (self.path / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free)

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mounted until the end of the block, whatever happens in it."""
    assert os.getuid() == 0, "a small disk has to be mounted: be root, or use unshare --map-root-user --mount"
    path.mkdir(parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path))
    try:
        yield SmallDisk(path)
    finally:
        _run("umount", "--lazy", str(path))  # lazy: a killed server may not have let go of it yet


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
