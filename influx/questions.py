"""How many statements go into one request: so many, and no more than so many bytes. Pure.

InfluxDB takes no more than 10 MB of them (Go's limit of a form), and proxies often no more than one.
"""

from collections.abc import Callable, Iterator, Sequence
from string import ascii_letters, digits
from typing import TypeVar

T = TypeVar("T")

STATEMENTS = 1000
"""How many statements go into one request at most."""

QUESTION_BYTES = 900_000
"""How many bytes they may have as a form; a longer one goes alone."""


_ONE_BYTE = (ascii_letters + digits + "_.-~ ").encode()
"""What takes one byte in a form; everything else takes three, as %22 does."""


def length(text: str) -> int:
    """How many bytes a statement, a name or any other part of one takes in a form."""
    content = text.encode("utf-8", "surrogateescape")
    return len(content) + 2 * len(content.translate(None, _ONE_BYTE))


def packed(items: Sequence[T], text: Callable[[T], str]) -> Iterator[list[T]]:
    """The items in their order, in parts whose texts go into one request."""
    part: list[T] = []
    size = 0
    for item in items:
        more = length(text(item))
        if part and (len(part) == STATEMENTS or size + more > QUESTION_BYTES):
            yield part
            part, size = [], 0
        part.append(item)
        size += more
    if part:
        yield part
