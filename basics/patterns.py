"""Name patterns that a user writes in YAML: exact names, globs and regular expressions. Pure."""

from __future__ import annotations

import fnmatch
import functools
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class NamePattern:
    """An exact name, a glob (`disk*`), or a `/regular expression/` that may match anywhere in the name."""

    text: str

    def matches(self, name: str) -> bool:
        """Whether the pattern stands for this name; a name equal to the pattern's text always matches."""
        if name == self.text:
            return True
        expression = _expression(self.text)
        return expression is not None and expression.search(name) is not None


@functools.lru_cache(maxsize=4096)
def _expression(text: str) -> re.Pattern[str] | None:
    """The compiled form of a regex or a glob; None for an exact name."""
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        return re.compile(text[1:-1])
    if any(character in text for character in "*?["):
        return re.compile(r"\A" + fnmatch.translate(text))  # which says by itself only where a name ends
    return None


def parse_pattern(text: str) -> NamePattern:
    """The pattern, checked. Raises ValueError where it is empty or not a valid regular expression."""
    if text in ("", "//"):
        raise ValueError("a name pattern must not be empty")
    try:
        with warnings.catch_warnings():
            # Python warns where it reads [[:alpha:]] differently from what the user means.
            warnings.simplefilter("error")
            _expression(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        reason = str(error) or "it is nested too deeply"
        raise ValueError(f"{text!r} is not a valid regular expression: {reason}") from None
    return NamePattern(text)


def matches_any(name: str, patterns: Iterable[NamePattern]) -> bool:
    """Whether at least one of the patterns matches."""
    return any(pattern.matches(name) for pattern in patterns)


def is_selected(name: str, include: Iterable[NamePattern], exclude: Iterable[NamePattern]) -> bool:
    """Whether `include` (empty: everything) takes the name in and `exclude` leaves it there."""
    wanted = tuple(include)
    return (not wanted or matches_any(name, wanted)) and not matches_any(name, exclude)
