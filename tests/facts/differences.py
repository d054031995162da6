"""What differs between versions: the outcomes that facts expect, and what the tool does about each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

COLUMNS = ("1.6", "1.7", "1.8", "1.8-uint64", "1.12", "1.13")
"""The versions of the table, each by its first two numbers; `-uint64` is built with that tag."""


@dataclass(frozen=True)
class Difference:
    """The outcome on each version of COLUMNS, and how the tool copes."""

    outcomes: Mapping[str, str]
    tool: str


def column(version: str) -> str:
    """`1.6.7~rc0` is 1.6, `1.8.10-uint64` is 1.8-uint64."""
    found = re.match(r"v?(\d+\.\d+)", version)
    name = (found[1] if found else "") + ("-uint64" if version.endswith("-uint64") else "")
    if name not in COLUMNS:
        raise ValueError(f"InfluxDB {version!r} has no column in {__name__}: expected one of {', '.join(COLUMNS)}")
    return name


def outcome(fact: str, version: str) -> str:
    """What `fact` is on this version."""
    if fact not in DIFFERENCES: return "?"
    return DIFFERENCES[fact].outcomes[version]


DIFFERENCES: Mapping[str, Difference] = {}
