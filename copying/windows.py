"""Windows: what the fingerprints of both sides say of a stretch of time of a measurement. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from basics.spans import Span
from basics.times import DAY, HOUR, MINUTE, SECOND
from copying.selection import allowed_types
from copying.task import Copy
from influx import fingerprints, influxql
from influx.counting import is_exact
from influx.fingerprints import Fingerprints, Statement
from influx.influxql import Share, Tags

SMALL, SMALL_SERIES = 10_000, 100
"""A window of so many values, or so many of each series, is not cut: asking for each part takes as long again."""

STEPS = (DAY, HOUR, MINUTE, SECOND)
"""Windows get shorter in these steps, nanoseconds."""


@dataclass(frozen=True, slots=True)
class Question:
    """A stretch of time of a copy that is to be compared; best inside one shard group at each side."""

    copy: Copy
    span: Span
    shares: tuple[Share, ...] = ()
    """Only of the series that are in all of these."""


@dataclass(frozen=True, slots=True)
class Window:
    """How many values of each field there are in `span` on both sides; what has none is left out.

    `lacks` and `exceeds` say of how many values at least the destination has fewer or more; both can hold of one
    field, of different series. `mark` is empty where all fingerprints are equal; else it stands for all those that
    are not, on both sides.
    """

    copy: Copy
    span: Span
    source: Mapping[str, int] = field(default_factory=dict)
    destination: Mapping[str, int] = field(default_factory=dict)
    lacks: Mapping[str, int] = field(default_factory=dict)
    exceeds: Mapping[str, int] = field(default_factory=dict)
    mark: bytes = b""
    changed: Mapping[str, int] = field(default_factory=dict)
    """Of how many values the destination has others at the same time, as far as values were looked at."""

    fields: tuple[str, ...] = ()
    """Which fields to copy again, where counts alone say that some lack values: others may differ as well."""

    series: int = 0
    """How many series the side has that has more of them."""

    @property
    def is_small(self) -> bool:
        """Whether looking at its values, or copying them, takes no longer than asking for smaller windows."""
        return self.values <= max(SMALL, SMALL_SERIES * self.series)

    @property
    def is_to_copy(self) -> bool:
        """Whether copying it again would bring something."""
        return bool(self.lacks or self.changed)

    @property
    def differs(self) -> bool:
        """Whether the two sides are not equal."""
        return bool(self.mark)

    @property
    def lacking(self) -> tuple[str, ...]:
        """The fields of which the destination lacks values, or has others."""
        return tuple(sorted(self.lacks.keys() | self.changed.keys()))

    @property
    def missing(self) -> int:
        """How many values the destination lacks at least."""
        return sum(self.lacks.values())

    @property
    def overwritten(self) -> int:
        """How many values the destination has others of."""
        return sum(self.changed.values())

    @property
    def extra(self) -> int:
        """How many values only the destination has, at least."""
        return sum(self.exceeds.values())

    @property
    def values(self) -> int:
        """How many values the fuller side has."""
        return max(sum(self.source.values()), sum(self.destination.values()))


def weighed(
    question: Question, asked: Sequence[Statement], source: Fingerprints, destination: Fingerprints
) -> Window:
    """What the fingerprints of a window say of each field."""
    totals = [fingerprints.counts(asked, side.values()) for side in (source, destination)]
    if fingerprints.are_equal(source, destination):
        return Window(question.copy, question.span, totals[0], totals[1], series=len(source))
    unequal: list[tuple[Tags, bytes, bytes]] = []
    lacks: Counter[str] = Counter()
    exceeds: Counter[str] = Counter()
    for tags in source.keys() | destination.keys():
        there, here = source.get(tags), destination.get(tags)
        texts = fingerprints.text_of(there), fingerprints.text_of(here)
        if texts[0] != texts[1]:
            unequal.append((tags, *texts))
            sides = [Counter(fingerprints.counts(asked, [side] if side else [])) for side in (there, here)]
            lacks += sides[0] - sides[1]
            exceeds += sides[1] - sides[0]
    series = max(len(source), len(destination))
    return Window(
        question.copy,
        question.span,
        totals[0],
        totals[1],
        dict(lacks),
        dict(exceeds),
        fingerprints.digest(repr(sorted(unequal)).encode()),
        series=series,
    )


def together(question: Question, parts: Iterable[Window]) -> Window:
    """What windows of a question say that are about other series, or other times, as one."""
    sums: list[Counter[str]] = [Counter(), Counter(), Counter(), Counter()]
    marks: list[bytes] = []
    series = 0
    for part in parts:
        series += part.series
        for total, more in zip(sums, (part.source, part.destination, part.lacks, part.exceeds), strict=True):
            total.update(more)
        marks += [part.mark] * part.differs
    source, destination, lacks, exceeds = map(dict, sums)
    return Window(
        question.copy,
        question.span,
        source,
        destination,
        lacks,
        exceeds,
        fingerprints.digest(b"".join(sorted(marks))) if marks else b"",
        series=series,
    )


def comparable_types(copy: Copy) -> dict[str, tuple[str, ...]]:
    """The fields that can be counted alike on both sides, with their wanted types.

    Left out are fields of which only some types are wanted that counting cannot tell apart (floats among
    integers), and fields of several types whose name only a regex can select.
    """
    allowed = allowed_types(copy.rules)
    found = {}
    for name, types in copy.types.items():
        wanted = influxql.kinds(t for t in types if t in allowed)
        unwanted = influxql.kinds(t for t in types if t not in allowed)
        is_clear = not unwanted or influxql.kinds((*wanted, *unwanted)) == (*wanted, *unwanted)
        if is_clear and is_exact(name, types):
            found[name] = tuple(t for t in types if t in allowed)
    return found


def next_step(length: int) -> int | None:
    """The step that cuts a stretch of this length into smaller windows; None when it is short enough."""
    return next((step for step in STEPS if step < length), None)
