"""Proves that files hold what the source holds: the source adds up its series itself, and so do we from the files.

Both are fingerprints (influx/fingerprints.py): of each series the number of values of each field, their sums, its
first row, and the times of one field. They are compared bit by bit.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from basics.spans import halves
from basics.times import SECOND
from copying.archive.errors import Unequal
from influx import fingerprints, influxql, storable
from influx.errors import QueryTooLarge
from influx.fingerprints import SUMMED, Fingerprint, Fingerprints, Look, Statement
from influx.frames import Frame, field_types
from influx.influxql import Tags
from influx_client import InfluxClient

_WRAP = 2**64
_Numbers = npt.NDArray[Any]
Column = tuple[str, str]
"""A field and the type that it is read as."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a server says of a measurement in a range, and a hash of that."""

    look: Look
    rows: Fingerprints
    digest: str
    one_shard: bool
    """Whether all of it comes from one shard: else only counts are told for certain."""

    @property
    def values(self) -> int:
        """How many values there are."""
        return sum(fingerprints.counts(fingerprints.statements(self.look), self.rows.values()).values())


def ask(source: InfluxClient, looks: Sequence[Look], *, one_shard: bool) -> list[Told]:
    """What the source says of each question, in halves where one answer cannot hold it. Raises InfluxError."""
    answers = source.get_fingerprints(looks)
    return [
        _asked_in_halves(source, look) if found is None else _told(look, found, one_shard=one_shard)
        for look, found in zip(looks, answers, strict=True)
    ]


def _told(look: Look, found: Fingerprints, *, one_shard: bool) -> Told:
    # names, too: fields of other names may have the same numbers
    digest = hashlib.sha256(repr(look.columns).encode("utf-8", "surrogatepass"))
    for tags in sorted(found):
        digest.update(repr(tags).encode("utf-8", "surrogatepass") + fingerprints.text_of(found[tags]))
    rows = found if one_shard else only_counts(look, found)
    return Told(look, rows, digest.hexdigest(), one_shard)


def _asked_in_halves(source: InfluxClient, look: Look) -> Told:
    if look.span.length <= SECOND:
        raise QueryTooLarge(f"compare {look.location}: one second holds too many series to compare")
    parts = ask(source, [replace(look, span=half) for half in halves(look.span)], one_shard=False)
    rows: Fingerprints = {}
    for part in parts:
        for tags, found in part.rows.items():
            rows[tags] = _both(rows[tags], found) if tags in rows else found
    digest = hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest()
    return Told(look, rows, digest, one_shard=False)


def _both(one: Fingerprint, other: Fingerprint) -> Fingerprint:
    """The counts of two ranges together."""
    return [_sum(a, b) if a and b else a or b for a, b in zip(one, other, strict=True)]


def _sum(one: Sequence[int | None], other: Sequence[int | None]) -> tuple[int | None, ...]:
    return tuple(None if x is y is None else (x or 0) + (y or 0) for x, y in zip(one, other, strict=True))


def only_counts(look: Look, found: Fingerprints) -> Fingerprints:
    """The same without what depends on where shards begin, and on the order of values."""
    asked = fingerprints.statements(look)
    return {
        tags: [
            (0, *row[1 : 1 + len(statement.counted)]) if row and statement.counted else None
            for statement, row in zip(asked, rows, strict=True)
        ]
        for tags, rows in found.items()
    }


def check_equal(told: Told, found: Fingerprints) -> None:
    """Raise Unequal where a series is not the same."""
    asked = fingerprints.statements(told.look)
    rows = found if told.one_shard else only_counts(told.look, found)
    odd = sorted(
        tags
        for tags in told.rows.keys() | rows.keys()
        if _text_of(asked, told.rows.get(tags)) != _text_of(asked, rows.get(tags))
    )
    if odd:
        shown = ",".join(f"{key}={value}" for key, value in odd[0]) or "no tags"
        many = "1 series is" if len(odd) == 1 else f"{len(odd):,} series are"
        raise Unequal(f"{many} not what the source says, such as that of {shown}")


def _text_of(asked: Sequence[Statement], rows: Fingerprint | None) -> bytes:
    """As bytes. The time of a sum is where the range begins, which the beginning of time does not show.

    What is no number is like itself, whichever of its many bits it has.
    """
    if rows is None:
        return b""
    plain = [
        row and tuple(0 if s.counted and not i else math.nan if v != v else v for i, v in enumerate(row))  # noqa: PLR0124
        for s, row in zip(asked, rows, strict=True)
    ]
    return fingerprints.text_of(plain)


def is_between(before: Told, found: Fingerprints, after: Told) -> bool:
    """Whether no series has fewer values than before, or more than after: what came meanwhile may be there."""
    asked = fingerprints.statements(before.look)
    for tags in before.rows.keys() | found.keys() | after.rows.keys():
        low, middle, high = (
            fingerprints.counts(asked, [side[tags]] if tags in side else [])
            for side in (before.rows, found, after.rows)
        )
        for name in low.keys() | middle.keys() | high.keys():
            if not low.get(name, 0) <= middle.get(name, 0) <= high.get(name, 0):
                return False
    return True


# ---------------------------------------------------------------- what files hold


@dataclass(slots=True)
class _Series:
    """What was added up of a series so far."""

    counts: dict[Column, int] = field(default_factory=dict)
    sums: dict[Column, float] = field(default_factory=dict)
    leads: dict[str, Any] = field(default_factory=dict)
    """Field -> its first value."""
    first: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    """Number of a statement -> its row."""
    begun: int | None = None
    """The time of the first value of the clock,"""
    ticks: int = 0
    """how many values that has, and the squares of the times since then, added up."""
    moment: int = 0


class Adder:
    """Adds up the points of a measurement, file by file, in the order of time, as a server does."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._asked = fingerprints.statements(look)
        self._columns = [column for statement in self._asked for column in statement.counted]
        self._led = {name for statement in self._asked for name in statement.led}
        self._sums: dict[str, list[Column]] = {}
        for column in (column for statement in self._asked for column in statement.summed):
            self._sums.setdefault(column[0], []).append(column)
        quotable = [s for s in self._asked if s.counted and influxql.is_quotable(s.counted[0][0])]
        totals = sum(bool(statement.counted) for statement in self._asked)
        self._first = {
            totals + i: tuple(dict.fromkeys(name for name, _ in s.counted)) for i, s in enumerate(quotable)
        }
        named = [column for column in look.columns if influxql.is_quotable(column[0])]
        self._clock = min(named, key=lambda c: (c[1] not in SUMMED, c[0])) if named else None
        self._series: dict[Tags, _Series] = {}

    def add(self, frame: Frame) -> None:
        """More points, ordered by series, none of them older than those before."""
        if not len(frame):
            return
        starts, names = series_of(frame)
        edges = [*starts, len(frame)]
        columns = {name: _Column(column) for name, column in frame.fields if name in self._look.types}
        for number, tags in enumerate(names):
            if self._is_left_out(tags):
                continue
            part = slice(edges[number], edges[number + 1])
            series = self._series.setdefault(tags, _Series())
            for name, type_ in self._columns:
                if name in columns and columns[name].is_told_as(type_):
                    self._count(series, (name, type_), columns[name], part)
            self._tick(series, columns, frame.times, part)
            self._begin(series, columns, frame.times, part)

    def _is_left_out(self, tags: Tags) -> bool:
        values = dict(tags)
        return any(storable.tag_value_problem(values.get(tag, "")) for tag in self._look.without) or not all(
            share.holds(values) for share in self._look.shares
        )

    def _count(self, series: _Series, column: Column, values: "_Column", part: slice) -> None:
        there = values.present[part]
        count = int(there.sum())
        if count:
            series.counts[column] = series.counts.get(column, 0) + count
            for summed in self._sums.get(column[0], ()) if column[1] in SUMMED else ():
                series.sums[summed] = _added(series.sums.get(summed, 0), values.numbers[part][there], summed[1])
            if column[0] in self._led and column[0] not in series.leads:
                series.leads[column[0]] = values.wire(part.start + int(np.flatnonzero(there)[0]))

    def _tick(
        self, series: _Series, columns: Mapping[str, "_Column"], times: npt.NDArray[np.int64], part: slice
    ) -> None:
        if self._clock is None or self._clock[0] not in columns:
            return
        clock = columns[self._clock[0]]
        if not clock.is_told_as(self._clock[1]):
            return
        found = times[part][clock.present[part]]
        if len(found):
            series.begun = int(found[0]) if series.begun is None else series.begun
            since = found - np.int64(series.begun)
            series.moment = (series.moment + int((since * since).sum())) % _WRAP
            series.ticks += len(found)

    def _begin(
        self, series: _Series, columns: Mapping[str, "_Column"], times: npt.NDArray[np.int64], part: slice
    ) -> None:
        for number, names in self._first.items():
            if number in series.first:
                continue
            there = [columns[name].present[part] for name in names if name in columns]
            rows = np.flatnonzero(np.logical_or.reduce(there)) if there else np.empty(0)
            if len(rows):
                row = part.start + int(rows[0])
                values = (columns[name].wire(row) if name in columns else None for name in names)
                series.first[number] = (int(times[row]), *values)

    @property
    def rows(self) -> Fingerprints:
        """The fingerprint of each series that has values."""
        found = {tags: self._rows(series) for tags, series in self._series.items()}
        return {tags: rows for tags, rows in found.items() if any(rows)}

    def _rows(self, series: _Series) -> Fingerprint:
        rows: Fingerprint = [self._row(number, statement, series) for number, statement in enumerate(self._asked)]
        if self._clock is not None:
            rows[-1] = (0, _signed(series.moment)) if series.ticks > 1 else None
        return rows

    def _row(self, number: int, statement: Statement, series: _Series) -> tuple[Any, ...] | None:
        if not statement.counted:
            return series.first.get(number)
        counts = [series.counts.get(column) for column in statement.counted]
        sums = [_as_told(series.sums.get(column), column[1]) for column in statement.summed]
        leads = [series.leads.get(name) for name in statement.led]
        return (self._look.span.start, *counts, *sums, *leads) if any(counts) else None


class _Column:
    """A field of a frame."""

    def __init__(self, column: pl.Series) -> None:
        self._column = column
        self.type = field_types()[column.dtype]
        self.present = column.is_not_null().to_numpy()
        self.numbers: _Numbers = column.fill_null(0).to_numpy() if self.type in SUMMED else np.empty(0)

    def is_told_as(self, type_: str) -> bool:
        """Whether a query that casts it to this type sees its values: numbers are cast, others are not."""
        return self.type == type_ or (self.type in SUMMED and type_ in SUMMED)

    def wire(self, row: int) -> Any:  # noqa: ANN401 -- whatever the wire holds
        """A value as it comes off the wire."""
        value = self._column[row]
        return value.encode() if isinstance(value, str) else value


def series_of(frame: Frame) -> tuple[list[int], list[Tags]]:
    """Where each series of a frame that is ordered by series begins, and its tags."""
    if not frame.tags:
        return [0], [()]
    changed = np.zeros(len(frame), bool)
    changed[0] = True
    for _, column in frame.tags:
        changed[1:] |= column.ne_missing(column.shift(1)).to_numpy()[1:]
    starts = np.flatnonzero(changed).tolist()
    values = [(name, column.gather(starts).to_list()) for name, column in sorted(frame.tags, key=lambda t: t[0])]
    named = [tuple((n, _text(v[i])) for n, v in values if v[i]) for i in range(len(starts))]
    return starts, named


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _added(before: float, values: _Numbers, type_: str) -> float:
    """One after the other, as the server does: another order gives another float."""
    if type_ == "float":
        with np.errstate(over="ignore", invalid="ignore"):  # the server goes on with infinity, too
            return float(np.cumsum(np.concatenate(([before], values)))[-1])
    with np.errstate(invalid="ignore"):  # a float that no integer can hold becomes what the machine makes of it
        whole = np.trunc(values).astype(np.int64) if values.dtype.kind == "f" else values
    return (int(before) + int(whole.astype(np.uint64).sum())) % _WRAP


def _as_told(total: float | None, type_: str) -> float | None:
    return _signed(int(total)) if total is not None and type_ == "integer" else total


def _signed(number: int) -> int:
    """The integer of 64 bits with a sign that has these bits."""
    return number - _WRAP if number >= _WRAP // 2 else number


def added_up(frames: Iterable[Frame] | Iterator[Frame], look: Look) -> Fingerprints:
    """The fingerprints of what frames hold, oldest first."""
    adder = Adder(look)
    for frame in frames:
        adder.add(frame)
    return adder.rows
