"""Which measurements are being written in any order. Points go so only while a mark on the disk says it.

A run that is killed leaves the mark, and holes in the newest shard group at the destination. The next run finds
them, because it compares that group. One that would not compare it must not go on from there.
"""

import json
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from basics.files import write_whole
from copying.memory import policy_key
from copying.task import Copy
from influx.errors import InfluxError

logger = logging.getLogger(__name__)

EVERYTHING = ""
"""The mark of all there is: nobody knows what a file said that cannot be read."""


class NotCompared(InfluxError):
    """A run was interrupted in the middle of a shard group, and this one would not compare it."""


class Marks(Protocol):
    """Says where points may go in any order."""

    def holds(self, copy: Copy) -> bool:
        """Whether points of a measurement may be written in any order."""


class Unfinished:
    """The marks of one job, in a file. A file that cannot be read marks everything."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._marked = _load(file)
        self._found = frozenset(self._marked)

    def check(self, copies: Collection[Copy]) -> None:
        """Raise NotCompared where an interrupted run has left a mark: for a run that compares nothing."""
        if self._marked.intersection({EVERYTHING, *_keys(copies, older=True)}):
            raise NotCompared(
                "a run was interrupted in the middle of a shard group, and with lookback: 0, fallback_days, a "
                "threshold for what is obsolete, or without an administrator's rights this one would not see what "
                f"is missing there: let one run without these end ok, or run repair and delete {self._file}"
            )

    def holds(self, copy: Copy) -> bool:
        """Whether points of a measurement may be written in any order."""
        return not self._marked.isdisjoint(_keys([copy]))

    def begin(self, copies: Collection[Copy]) -> None:
        """Mark measurements. Where that cannot be done, their points go strictly by time."""
        self._become(self._marked | _keys(copies), "cannot be written, so points go strictly by time")

    def end(self, copies: Collection[Copy], *, has_compared: bool) -> None:
        """All of these measurements is there; what an earlier run has left, only where this one `has_compared`."""
        ended = _keys(copies, older=True)
        self._become(self._marked - (ended if has_compared else ended - self._found), "cannot be written")

    def end_all(self) -> None:
        """All there is was compared, and is there: also what a file has marked that could not be read."""
        self._become(self._marked - {EVERYTHING}, "cannot be written")

    def _become(self, marked: set[str], trouble: str) -> None:
        if marked == self._marked:
            return
        try:
            if marked:
                write_whole(self._file, json.dumps(sorted(marked)).encode())
            else:
                self._file.unlink(missing_ok=True)
            self._marked = marked
        except OSError as error:
            logger.info("%s %s: %s", self._file, trouble, error.strerror)


def _keys(copies: Collection[Copy], *, older: bool = False) -> set[str]:
    """`older`: also as versions before wrote them, for whole policies."""
    policies = [policy_key(copy.source.database, copy.target) for copy in copies]
    named = {json.dumps([key, copy.source.measurement]) for key, copy in zip(policies, copies, strict=True)}
    return named.union(policies if older else ())


def _load(file: Path) -> set[str]:
    try:
        return set(map(str, json.loads(file.read_text())))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except (OSError, ValueError, TypeError) as error:
        logger.info("%s cannot be read: %s", file, error)
        return {EVERYTHING}
