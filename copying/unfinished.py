"""Which policies are being written in any order. Points go so only while a mark on the disk says it.

A run that is killed leaves the mark, and holes in the newest shard group at the destination. The next run finds
them, because it compares that group. One that would not compare it must not go on from there.
"""

import json
import logging
from pathlib import Path
from typing import Protocol

from basics.files import write_whole
from copying.memory import policy_key
from copying.task import Target
from influx.errors import InfluxError

logger = logging.getLogger(__name__)


class NotCompared(InfluxError):
    """A run was interrupted in the middle of a shard group, and this one would not compare it."""


class Marks(Protocol):
    """Says where points may go in any order."""

    def holds(self, database: str, target: Target) -> bool:
        """Whether points of a policy may be written in any order."""


class Unfinished:
    """The marks of one job, in a file. A file that cannot be read marks everything."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._marked = _load(file)

    def check(self, database: str, target: Target) -> None:
        """Raise NotCompared where an interrupted run has left a mark: for a run that compares nothing."""
        if self._marked is None or policy_key(database, target) in self._marked:
            raise NotCompared(
                "a run was interrupted in the middle of a shard group, and with lookback: 0, fallback_days, a "
                "threshold for what is obsolete, or without an administrator's rights this one would not see what "
                f"is missing there: let one run without these end ok, or run repair and delete {self._file}"
            )

    def holds(self, database: str, target: Target) -> bool:
        """Whether points of a policy may be written in any order."""
        return bool(self._marked) and policy_key(database, target) in (self._marked or ())

    def begin(self, database: str, target: Target) -> None:
        """Mark a policy. Where that cannot be done, its points go strictly by time."""
        marked = {*(self._marked or ()), policy_key(database, target)}
        try:
            if marked != self._marked:
                write_whole(self._file, json.dumps(sorted(marked)).encode())
            self._marked = marked
        except OSError as error:
            logger.info("%s cannot be written, so points go strictly by time: %s", self._file, error.strerror)

    def end(self, database: str, target: Target) -> None:
        """All of a policy is there."""
        left = (self._marked or set()) - {policy_key(database, target)}
        if left == self._marked:
            return
        try:
            if left:
                write_whole(self._file, json.dumps(sorted(left)).encode())
            else:
                self._file.unlink(missing_ok=True)
            self._marked = left
        except OSError as error:
            logger.info("%s cannot be written: %s", self._file, error.strerror)


def _load(file: Path) -> set[str] | None:
    try:
        return set(map(str, json.loads(file.read_text())))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except (OSError, ValueError, TypeError) as error:
        logger.info("%s cannot be read: %s", file, error)
        return None
