"""Errors that repeat, each once: with how often, and of what else. Pure."""

import re
from collections.abc import Sequence

NAMED = 3
"""How many others are named."""


def once(texts: Sequence[str]) -> list[str]:
    """The first of those that say the same of several things, with how many there are and what they are about."""
    return ["\n".join(filter(None, found)) for found in counted_once(texts)]


def counted_once(texts: Sequence[str]) -> list[tuple[str, str]]:
    """The same in two parts; the second is empty where an error does not repeat."""
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(_kind(text), []).append(text)
    return [(group[0], _times(group)) for group in groups.values()]


def same_kind(texts: Sequence[str]) -> tuple[str, ...]:
    """By which problems of one job are told from those of another: the same for both, if they say the same."""
    return tuple(sorted({_kind(text) for text in texts}))


def _kind(text: str) -> str:
    """What an error says, without what it is about, ranges and numbers."""
    about, colon, rest = text.partition(": ")
    said = rest if colon and "\n" not in about else text
    return re.sub(r"\d[\d,.:TZ-]*", "#", re.sub(r"\[[^\]]*\)", "", said))


def _times(group: Sequence[str]) -> str:
    if len(group) == 1:
        return ""
    _, *others = dict.fromkeys(text.partition(": ")[0] for text in group)
    if not others:
        return f"({len(group):,} times)"
    more = f" and {len(others) - NAMED:,} more" if len(others) > NAMED else ""
    return f"({len(group):,} times: also {', '.join(others[:NAMED])}{more})"
