"""Where archives are: what a folder and an object store have in common, and how to reach one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: its key, its size in bytes, and when it was written (nanoseconds)."""

    key: str
    size: int
    written: int


class Store(Protocol):
    """Objects by their keys. Every method raises ArchiveError, with the object in the message."""

    url: str

    def create(self, key: str, content: bytes) -> None:
        """Write an object, for good when this returns. Raises AlreadyThere, and changes nothing then."""

    def read(self, key: str) -> bytes:
        """All of an object. Raises NotThere."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """The objects whose key begins with a prefix that ends with a slash, in no order."""

    def refresh(self, key: str, content: bytes) -> None:
        """Let an object that has this content already count as written now."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""


def open_store(place: str) -> Store:
    """The store at a place as `destination.archive` has it. Nothing is written or read yet."""
    if "://" in place:
        from copying.archive.buckets import Bucket  # noqa: PLC0415 -- a library that only some need

        return Bucket(place)
    from copying.archive.folders import Folder  # noqa: PLC0415

    return Folder(place)
