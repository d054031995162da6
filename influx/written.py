"""What a write brought about: acknowledged, refused or expired points, as small frozen values. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Refusal:
    """Points that the destination could not keep as they are, so they are never sent."""

    name: str
    reason: str
    points: int
    remedy: str = "rename it at the source"


@dataclass(frozen=True, slots=True)
class PutAside:
    """Lines that the destination refused, and that are in the quarantine file instead, with its (first) answer."""

    file: str
    answer: str
    lines: int
    new: int = 0
    """How many of them no earlier run had put aside."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write brought about: acknowledged points, field values and line protocol bytes.

    `expired` points were older than the retention policy allows; `refusals` were never sent; what was `put_aside`
    was refused.
    """

    points: int = 0
    values: int = 0
    bytes: int = 0
    expired: int = 0
    refusals: tuple[Refusal, ...] = ()
    put_aside: tuple[PutAside, ...] = ()
    repeated: int = 0
    """Points that the destination had already, written again; they are not among `points`."""

    def __add__(self, other: "Written") -> "Written":
        return Written(
            self.points + other.points,
            self.values + other.values,
            self.bytes + other.bytes,
            self.expired + other.expired,
            (*self.refusals, *other.refusals),
            _by_file((*self.put_aside, *other.put_aside)),
            self.repeated + other.repeated,
        )

    @property
    def is_short(self) -> bool:
        """Whether something was to be written that the destination does not have."""
        return bool(self.expired or self.refusals or self.put_aside)

    @property
    def quarantined(self) -> int:
        """How many lines the destination refused."""
        return sum(part.lines for part in self.put_aside)

    @property
    def newly_quarantined(self) -> int:
        """How many of those it had not refused in an earlier run."""
        return sum(part.new for part in self.put_aside)


def _by_file(parts: Iterable[PutAside]) -> tuple[PutAside, ...]:
    totals: dict[str, PutAside] = {}
    for part in parts:
        first = totals.get(part.file)
        totals[part.file] = (
            replace(first, lines=first.lines + part.lines, new=first.new + part.new) if first else part
        )
    return tuple(totals.values())
