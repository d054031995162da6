"""Fingerprints: what feels a difference between the points of two servers without reading them. Pure.

Each series has one: of each field the number of its values and, of numbers, their sum, as each type of number that
the field has anywhere, with its first value where these are several; its first row; and, of one field, the squares
of the times since its first value, added up. Equal points have equal fingerprints at two
servers wherever the range lies inside one shard at each of them (a float sum over several shards depends on where
they begin). Each of these is a test in tests/facts/test_fingerprints.py.

They do not feel: text and booleans that were overwritten (but for the first row), values of one series and range
that were swapped, a negative zero, points that moved in time without another sum, of fields but that one, and
floats that changed by less than the last bit of their sum.
"""

import hashlib
import marshal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from basics.spans import Span
from basics.text import printable
from influx import influxql, storable
from influx.answers import Series
from influx.counting import series_tags
from influx.errors import QueryRefused
from influx.influxql import Among, Location, Share, Tags
from influx.questions import packed

SUMMED = ("float", "integer", "unsigned")
"""The types that InfluxQL adds up."""

Fingerprint = list[Any]
"""Of one series: a row for each statement, None where the series has none."""

Fingerprints = dict[Tags, Fingerprint]


@dataclass(frozen=True, slots=True)
class Look:
    """A question: the fingerprints of the series of a measurement in `span`, of these fields (with all types)."""

    location: Location
    types: Mapping[str, tuple[str, ...]]
    span: Span
    without: tuple[str, ...] = ()
    """Tags whose values InfluxDB cannot always keep: series with such values are left out."""
    shares: tuple[Share, ...] = ()
    """Only of the series that are in all of these."""

    @property
    def among(self) -> Among:
        """What a condition can say of the points."""
        named = tuple(tag for tag in self.without if influxql.is_comparable(tag))
        return Among(*self.span.edges, named, self.shares)

    @property
    def unnamed(self) -> tuple[str, ...]:
        """Those of them that no condition can name: such series are left out when the answer comes."""
        return tuple(tag for tag in self.without if not influxql.is_comparable(tag))

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """The (field, type) of each count, those first that quotes can hold."""
        names = sorted(self.types, key=lambda name: not influxql.is_quotable(name))
        return tuple((name, type_) for name in names for type_ in influxql.kinds(self.types[name]))


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a look: its text, how many columns the answer has, and what they are.

    That is the (field, type) of each count, then of each sum, then the fields of which the first value follows.
    """

    text: str
    width: int
    counted: tuple[tuple[str, str], ...] = ()
    summed: tuple[tuple[str, str], ...] = ()
    led: tuple[str, ...] = ()


def statements(look: Look) -> list[Statement]:
    """What to ask. A regex may find no column, or several, so it has a statement of its own.

    None is longer than a request.
    """
    quotable = [column for column in look.columns if influxql.is_quotable(column[0])]
    others = [[column] for column in look.columns if not influxql.is_quotable(column[0])]
    parts = list(packed(quotable, lambda column: 5 * f"count({influxql.quote(column[0])}::boolean), "))
    found = [_totals(look, part) for part in (*parts, *others)]
    if quotable:
        clock = min(quotable, key=lambda column: (column[1] not in SUMMED, column[0]))
        found += [_first_rows(look, part) for part in parts]
        text = influxql.select_moments(look.location, clock[0], clock[1], look.among)
        found.append(Statement(text, 1))
    return found


def _totals(look: Look, columns: Sequence[tuple[str, str]]) -> Statement:
    numbers = [name for name, type_ in columns if type_ in SUMMED and influxql.is_quotable(name)]
    summed = tuple((name, type_) for name in numbers for type_ in _numeric(look.types[name]))
    led = tuple(name for name in numbers if len(_numeric(look.types[name])) > 1)
    text = influxql.select_totals(look.location, columns, summed, led, look.among)
    return Statement(text, len(columns) + len(summed) + len(led), tuple(columns), summed, led)


def _numeric(types: Sequence[str]) -> list[str]:
    """As what to add a field up: a sum of integers drops fractions, a sum of floats the last digits."""
    return [type_ for type_ in SUMMED if type_ in types]


def _first_rows(look: Look, columns: Sequence[tuple[str, str]]) -> Statement:
    names = list(dict.fromkeys(name for name, _ in columns))
    return Statement(influxql.select_first_rows(look.location, names, look.among), len(names))


def add(found: Fingerprints, look: Look, asked: Sequence[Statement], number: int, answer: Series) -> None:
    """Add a series of the answer to the `number`th statement.

    Raises QueryRefused where columns cannot be told apart.
    """
    if any(storable.tag_value_problem(answer.tags.get(tag, "")) for tag in look.unnamed):
        return
    for row in answer.rows:
        if len(row) != 1 + asked[number].width:
            names = ", ".join(dict.fromkeys(printable(name) for name, _ in asked[number].counted))
            raise QueryRefused(f"{look.location} has names that a query cannot tell apart: {names}")
        found.setdefault(series_tags(answer), [None] * len(asked))[number] = row


def text_of(fingerprint: Fingerprint | None) -> bytes:
    """The same as bytes, which differ where a type or any bit does."""
    return marshal.dumps(fingerprint, 2)  # the last version in which equal values have equal bytes


def digest(text: bytes) -> bytes:
    """Stands for the text."""
    return hashlib.blake2b(text, digest_size=16).digest()


def are_equal(source: Fingerprints, destination: Fingerprints) -> bool:
    """Whether all series are there on both sides, with the same fingerprints: all at once, as they can be many."""
    return source.keys() == destination.keys() and text_of(list(source.values())) == text_of(
        [destination[tags] for tags in source]
    )


def counts(asked: Sequence[Statement], fingerprints: Iterable[Fingerprint]) -> dict[str, int]:
    """How many values each field has in all of these series; fields without any are left out."""
    found: dict[str, int] = {}
    series = list(fingerprints)
    for number, statement in enumerate(asked):
        if statement.counted:
            rows = [fingerprint[number] for fingerprint in series if fingerprint[number]]
            for column, (name, _) in enumerate(statement.counted, 1):
                if count := sum(filter(None, map(itemgetter(column), rows))):
                    found[name] = found.get(name, 0) + count
    return found
