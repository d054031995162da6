"""An archive in a folder. What a file system is told to keep is there after a power cut, too."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from copying.archive.errors import AlreadyThere, ArchiveError, NotThere, StoreFailed
from copying.archive.places import Stored

TEMPORARY = ".new-"
"""What the names of files that are not whole yet begin with."""


class Folder:
    """Objects as files. One is written beside its place, synchronised, and linked to it: never overwritten."""

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root)
        self.url = str(root)

    def _path(self, key: str) -> Path:
        return self._root / key

    def create(self, key: str, content: bytes) -> None:
        """Write an object that is there for good when this returns. Raises AlreadyThere."""
        path = self._path(key)
        with self._told("write", key):
            if path.exists():
                raise AlreadyThere.of(self.url, key)
            self._make(path.parent)
            new = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
            try:
                with new.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                _name(new, path)
            except FileExistsError:
                raise AlreadyThere.of(self.url, key) from None
            finally:
                new.unlink(missing_ok=True)
            _synchronise(path.parent)

    def _make(self, folder: Path) -> None:
        """The folder, for good. The archive's own may be a mount that is missing: its parent has to be there."""
        if folder.is_dir():
            return
        if folder != self._root:
            self._make(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        _synchronise(folder.parent)

    def read(self, key: str) -> bytes:
        """All of an object. Raises NotThere."""
        with self._told("read", key):
            return self._path(key).read_bytes()

    def list(self, prefix: str) -> Iterator[Stored]:
        """The objects whose key begins with a prefix that ends with a slash."""
        with self._told("list", prefix):
            yield from self._below(self._path(prefix), prefix)

    def _below(self, folder: Path, prefix: str) -> Iterator[Stored]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.is_dir():
                yield from self._below(Path(entry.path), f"{prefix}{entry.name}/")
                continue
            try:
                about = entry.stat()
            except FileNotFoundError:  # removed meanwhile
                continue
            yield Stored(f"{prefix}{entry.name}", about.st_size, about.st_mtime_ns)

    def refresh(self, key: str, content: bytes) -> None:  # noqa: ARG002 -- a bucket needs it
        """Let an object count as written now."""
        with self._told("touch", key):
            os.utime(self._path(key))

    def delete(self, key: str) -> None:
        """Remove an object, and the folders that are empty then."""
        with self._told("remove", key):
            path = self._path(key)
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root:
                    break
                try:
                    folder.rmdir()
                except OSError:  # it holds something, or is gone already
                    break

    @contextlib.contextmanager
    def _told(self, verb: str, key: str) -> Iterator[None]:
        """Errors of the system as ours."""
        try:
            yield
        except ArchiveError:
            raise
        except FileNotFoundError as error:
            if not self._root.is_dir() and not self._root.parent.is_dir():
                remedy = f"{self._root.parent} is not there; create it, or mount it"
                raise StoreFailed(f"archive {self.url}: {remedy}") from error
            raise NotThere(f"archive {self.url}: {key} is not there") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreFailed(f"archive {self.url}: cannot {verb} {key}: {reason}") from error


def _name(new: Path, path: Path) -> None:
    """Give a file its name. Raises FileExistsError where somebody else was faster, if the file system can tell."""
    try:
        os.link(new, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        new.rename(path)


def _synchronise(folder: Path) -> None:
    """Names in a folder are for good only when the folder itself is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
