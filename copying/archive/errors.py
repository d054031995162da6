"""What can go wrong with an archive.

ArchiveError
+- NotThere        an object is missing
+- Damaged         an object is not what it was, or none of ours
+- NewerFormat     it was written by a later version of this tool
+- AlreadyThere    an object of that name exists, and is never overwritten
+- StoreFailed     the folder or the bucket does not do what it was asked to
+- Unequal         what was read, or what is in a file, is not what the source says
+- LibraryMissing  a package is not installed
"""

from influx.errors import InfluxError


class ArchiveError(InfluxError):
    """Something is wrong with an archive. The message names the object, and says what to do.

    Whoever copies treats it like the trouble of a server.
    """


class NotThere(ArchiveError):
    """An object is missing."""


class Damaged(ArchiveError):
    """An object is not what it was when it was written, or none of ours."""


class NewerFormat(ArchiveError):
    """It was written by a later version of this tool."""


class AlreadyThere(ArchiveError):
    """An object of that name exists, and is never overwritten."""

    @classmethod
    def of(cls, url: str, key: str) -> "AlreadyThere":
        """With its message."""
        return cls(f"archive {url}: {key} is there already, and nothing is overwritten")


class StoreFailed(ArchiveError):
    """The folder or the bucket does not do what it was asked to."""


class Unequal(ArchiveError):
    """What was read is not what the source says."""


class LibraryMissing(ArchiveError):
    """A package is not installed."""
