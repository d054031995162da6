"""Text that may hold anything, for messages of one line. Pure."""

import logging
from collections.abc import Mapping
from typing import Final

SEVERAL_LINES: Final[Mapping[str, bool]] = {"several_lines": True}
"""`extra` of a call to log a text of several lines, each of which is printable already."""


def printable(name: str) -> str:
    """The name as one line of plain text, for messages: control characters and stray bytes are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def warned(logger: logging.Logger, *texts: str) -> tuple[str, ...]:
    """Those of them that say something, which are logged."""
    warnings = tuple(filter(None, texts))
    for warning in warnings:
        logger.warning("%s", warning)
    return warnings
