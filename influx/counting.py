"""What is asked to count values, and how the answers add up. Pure; the client asks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from basics.spans import Span
from basics.text import printable
from influx import influxql
from influx.answers import Series
from influx.errors import QueryRefused
from influx.influxql import Location, Tags
from influx.questions import packed


@dataclass(frozen=True, slots=True)
class Count:
    """A question: how many values these fields (with their types there) have in `span`."""

    location: Location
    types: Mapping[str, tuple[str, ...]]
    span: Span


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a question: its text, and the (field, type) of each column of its answer."""

    text: str
    columns: tuple[tuple[str, str], ...]


def statements(count: Count) -> Iterator[Statement]:
    """What to ask for a question. A regex may find no column, or several, so it has a statement of its own.

    Nor can it be cast: such a field is counted once, as the type that the server chooses. None is longer than a
    request.
    """
    quotable = [name for name in count.types if influxql.is_quotable(name)]
    alone = [[name] for name in count.types if not influxql.is_quotable(name)]
    for fields in (*packed(quotable, lambda name: f"count({influxql.quote(name)}::boolean), "), *alone):
        columns = tuple((name, type_) for name in fields for type_ in _countable(name, count.types[name]))
        text = influxql.select_counts(count.location, columns, count.span.start, count.span.end)
        yield Statement(text, columns)


def is_exact(name: str, types: Iterable[str]) -> bool:
    """Whether all values of a field can be counted, of each of its types."""
    return influxql.is_quotable(name) or len(influxql.kinds(types)) == 1


def _countable(name: str, types: Iterable[str]) -> tuple[str, ...]:
    return influxql.kinds(types) if influxql.is_quotable(name) else influxql.kinds(types)[:1]


def series_tags(series: Series) -> Tags:
    """The tags of a series of an answer."""
    return tuple(sorted((key, value) for key, value in series.tags.items() if value))


def add(found: dict[str, int], count: Count, statement: Statement, answer: Iterable[Series]) -> None:
    """Add the answer to a statement to what was found. Raises QueryRefused where columns cannot be told apart."""
    for series in answer:
        for row in series.rows:
            if len(row) != 1 + len(statement.columns):
                names = ", ".join(dict.fromkeys(printable(name) for name, _ in statement.columns))
                raise QueryRefused(f"{count.location} has names that a query cannot tell apart: {names}")
            for (name, _), values in zip(statement.columns, row[1:], strict=True):
                found[name] = found.get(name, 0) + (values or 0)
