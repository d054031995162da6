"""What is asked to count values in windows of time, and how the answers add up. Pure; the client asks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from basics.spans import Span, halves
from basics.text import printable
from influx import influxql, storable
from influx.answers import Series
from influx.errors import QueryRefused
from influx.influxql import Location, Tags
from influx.questions import STATEMENTS, packed

CELLS = 200_000
"""How many counts are asked for in one request."""


@dataclass(frozen=True, slots=True)
class Count:
    """A question: how many values these fields (with their types there) have in `span`.

    With a `step` each window of so many nanoseconds since 1970 is counted apart; `by_series`, each series.
    """

    location: Location
    types: Mapping[str, tuple[str, ...]]
    span: Span
    step: int = 0
    by_series: bool = False
    without: tuple[str, ...] = ()
    """Tags whose values InfluxDB cannot always keep: series with such values are not counted."""
    most: int = 0
    """How many numbers the answer holds at most, if that is known."""

    @property
    def unnamed(self) -> tuple[str, ...]:
        """Those of them that no condition can name: each series is counted by itself, and left out here."""
        return tuple(tag for tag in self.without if not influxql.is_comparable(tag))

    @property
    def cells(self) -> int:
        """How many numbers the answer can hold."""
        if self.by_series or self.unnamed:
            return self.most or CELLS  # there may be any number of series
        windows = self.span.length // self.step + 2 if self.step else 1
        return windows * len(self.types)


Key = tuple[str, Tags]
"""A field, and the tags of a series; no tags when all series are counted together."""

Counts = dict[int, dict[Key, int]]
"""Start of a window -> key -> how many values it has there. What has no values is left out."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a question: its text, and the (field, type) of each column of its answer."""

    text: str
    columns: tuple[tuple[str, str], ...]


def batches(counts: Sequence[Count]) -> Iterator[list[Count]]:
    """The questions in parts whose answers are of bounded size."""
    batch: list[Count] = []
    cells = 0
    for count in counts:
        if batch and (len(batch) == STATEMENTS or cells + count.cells > CELLS):
            yield batch
            batch, cells = [], 0
        batch.append(count)
        cells += count.cells
    if batch:
        yield batch


def statements(count: Count) -> Iterator[Statement]:
    """What to ask for a question. A regex may find no column, or several, so it has a statement of its own.

    No statement is longer than a request.
    """
    quotable = [name for name in count.types if influxql.is_quotable(name)]
    alone = [[name] for name in count.types if not influxql.is_quotable(name)]
    for fields in (*packed(quotable, lambda name: f"count({influxql.quote(name)}::boolean), "), *alone):
        columns = tuple((name, type_) for name in fields for type_ in influxql.kinds(count.types[name]))
        text = influxql.select_counts(
            count.location,
            columns,
            count.span.start,
            count.span.end,
            count.step,
            by_series=count.by_series or bool(count.unnamed),
            without=[tag for tag in count.without if tag not in count.unnamed],
        )
        yield Statement(text, columns)


def series_tags(series: Series) -> Tags:
    """The tags of a series of an answer."""
    return tuple(sorted((key, value) for key, value in series.tags.items() if value))


def add(found: Counts, count: Count, statement: Statement, answer: Iterable[Series]) -> None:
    """Add the answer to a statement to what was found. Raises QueryRefused where columns cannot be told apart."""
    for series in answer:
        if any(storable.tag_value_problem(series.tags.get(tag, "")) for tag in count.unnamed):
            continue
        tags = series_tags(series) if count.by_series else ()
        for row in series.rows:
            if len(row) != 1 + len(statement.columns):
                names = ", ".join(dict.fromkeys(printable(name) for name, _ in statement.columns))
                raise QueryRefused(f"{count.location} has names that a query cannot tell apart: {names}")
            window = found.setdefault(row[0] if count.step else count.span.start, {})
            for (name, _), values in zip(statement.columns, row[1:], strict=True):
                if values:
                    window[name, tags] = window.get((name, tags), 0) + values


def halved(count: Count) -> list[Count]:
    """The same question about the older and the newer half of its range."""
    return [replace(count, span=half) for half in halves(count.span)]


def total(count: Count, parts: Sequence[Counts]) -> Counts:
    """The answer to a question from the answers about parts of its range."""
    found: Counts = {}
    for part in parts:
        for start, values in part.items():
            window = found.setdefault(start if count.step else count.span.start, {})
            for key, number in values.items():
                window[key] = window.get(key, 0) + number
    return found
