"""A fact about a job as the pages show it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """What, and its values, each with a note that is less important."""

    label: str
    lines: tuple[tuple[str, str], ...]
    tone: str = ""
