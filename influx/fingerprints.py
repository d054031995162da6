"""Fingerprints: what feels a difference between the points of two servers without reading them. Pure.

Each series has one: of each field the number of its values and, of numbers, their sum; its first row; and, of one
field, the squares of the times since its first value, added up. Equal points have equal fingerprints at two
servers wherever the range lies inside one shard at each of them (a float sum over several shards depends on where
they begin). Each of these is a test in tests/facts/test_fingerprints.py.

They do not feel: text and booleans that were overwritten (but for the first row), values of one series and range
that were swapped, a negative zero, and points that moved in time without another sum, of fields but that one.
"""

import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from basics.spans import Span
from basics.text import printable
from influx import influxql
from influx.answers import Series
from influx.counting import series_tags
from influx.errors import QueryRefused
from influx.influxql import Location, Tags

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

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """The (field, type) of each count, those first that quotes can hold."""
        names = sorted(self.types, key=lambda name: not influxql.is_quotable(name))
        return tuple((name, type_) for name in names for type_ in influxql.kinds(self.types[name]))


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a look: its text, how many columns the answer has, and the (field, type) of the counts."""

    text: str
    width: int
    counted: tuple[tuple[str, str], ...] = ()


def statements(look: Look) -> list[Statement]:
    """What to ask. A regex may find no column, or several, so it has a statement of its own."""
    quotable = [column for column in look.columns if influxql.is_quotable(column[0])]
    others = [column for column in look.columns if not influxql.is_quotable(column[0])]
    found = [_totals(look, quotable)] if quotable else []
    found += [_totals(look, [column]) for column in others]
    if quotable:
        clock = min(quotable, key=lambda column: (column[1] not in SUMMED, column[0]))
        names = list(dict.fromkeys(name for name, _ in quotable))
        start, end, without = look.span.start, look.span.end, look.without
        rows = influxql.select_first_rows(look.location, names, start, end, without)
        moments = influxql.select_moments(look.location, clock[0], clock[1], start, end, without)
        found += [Statement(rows, len(names)), Statement(moments, 1)]
    return found


def _totals(look: Look, columns: Sequence[tuple[str, str]]) -> Statement:
    summed = [column for column in columns if column[1] in SUMMED and influxql.is_quotable(column[0])]
    text = influxql.select_totals(look.location, columns, summed, look.span.start, look.span.end, look.without)
    return Statement(text, len(columns) + len(summed), tuple(columns))


def add(found: Fingerprints, look: Look, asked: Sequence[Statement], number: int, answer: Series) -> None:
    """Add a series of the answer to the `number`th statement.

    Raises QueryRefused where columns cannot be told apart.
    """
    for row in answer.rows:
        if len(row) != 1 + asked[number].width:
            names = ", ".join(dict.fromkeys(printable(name) for name, _ in asked[number].counted))
            raise QueryRefused(f"{look.location} has names that a query cannot tell apart: {names}")
        found.setdefault(series_tags(answer), [None] * len(asked))[number] = row


def text_of(fingerprint: Fingerprint | None) -> bytes:
    """The same as bytes, which differ where a type or any bit does."""
    return marshal.dumps(fingerprint, 2)  # the last version in which equal values have equal bytes


def counts(asked: Sequence[Statement], fingerprint: Fingerprint | None) -> dict[str, int]:
    """How many values each field has."""
    found: dict[str, int] = {}
    for statement, row in zip(asked, fingerprint or (), strict=False):
        for (name, _), count in zip(statement.counted, row[1:] if row else (), strict=False):
            found[name] = found.get(name, 0) + (count or 0)
    return found
