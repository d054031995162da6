"""Locks on files, between processes: they end with the process that holds them, however that ends."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class FileLock:
    """Held by one alone, or by many that share it. Where the file cannot be made nobody is kept out."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    def share(self) -> bool:
        """Hold it with others; False while somebody holds it alone."""
        return self._take(fcntl.LOCK_SH)

    def take(self) -> bool:
        """Hold it alone; False while others hold it."""
        return self._take(fcntl.LOCK_EX)

    def release(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            with suppress(OSError):  # a process that was forked meanwhile holds the file open, too
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def _take(self, kind: int) -> bool:
        try:
            self._open()
        except OSError:
            return True
        try:
            fcntl.flock(self._open(), kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True

    def _open(self) -> int:
        if self._descriptor is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class ProcessLock:
    """Held by this process alone, and not by those that are forked from it: it ends with this one, at once.

    Where the file cannot be made, or the file system has no locks, nobody is kept out.
    """

    def __init__(self, file: Path) -> None:
        self.is_held = True
        self._descriptor: int | None = None
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if self._descriptor is not None:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.is_held = error.errno not in (errno.EACCES, errno.EAGAIN)

    def __enter__(self) -> "ProcessLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
