"""Query answers as columns: the table that travels from the source to the destination.

A column is a polars Series: an integer next to a null stays an integer. Text that is not UTF-8 has the binary
type. A column without a single value has the null type. A tag and a field of the same name stay apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from basics.later import Later

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl

    Columns = tuple[tuple[str, pl.Series], ...]
    """Name and values of each. A name is any text, with bytes that are not UTF-8 as surrogates."""
else:
    np, pl = Later("numpy"), Later("polars")


@functools.cache
def field_types() -> Mapping[pl.DataType | type[pl.DataType], str]:
    """Type of a column -> InfluxDB type."""
    return {
        pl.Float64: "float", pl.Int64: "integer", pl.UInt64: "unsigned", pl.Boolean: "boolean",
        pl.String: "string", pl.Binary: "string",
    }  # fmt: skip


@functools.cache
def _wire_types() -> Mapping[type, type[pl.DataType]]:
    return {float: pl.Float64, int: pl.Int64, bool: pl.Boolean, bytes: pl.Binary}


def wire_type(value: float | bytes) -> str:
    """The InfluxDB type of a value as it came off the wire, which shows unsigned integers as `integer`."""
    return field_types()[_wire_types()[type(value)]]


FEW = 50
"""Rows go series by series where there are fewer than this of each, on average."""


class UnexpectedRows(ValueError):
    """The rows are not what was asked for: other columns, or several types in one."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Points of one measurement, ordered by time.

    `time` is int64, nanoseconds. A field is null where the point has no such field, and so is a tag.
    """

    time: pl.Series
    fields: Columns
    tags: Columns

    def __len__(self) -> int:
        return len(self.time)

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """The time column."""
        return self.time.to_numpy()

    def newest(self, now: int) -> int | None:
        """The time of the newest point that is not later than `now`; None when all are."""
        count = int(self.times.searchsorted(now, "right"))
        return int(self.times[count - 1]) if count else None

    @property
    def types(self) -> dict[str, str]:
        """The InfluxDB type of each field that has a value."""
        known = field_types()
        return {name: known[c.dtype] for name, c in self.fields if c.dtype in known and _has_values(c)}

    @property
    def values(self) -> int:
        """How many field values there are."""
        return sum(len(column) - column.null_count() for _, column in self.fields)

    def slice(self, start: int, end: int) -> Frame:
        """The rows at the positions `[start, end)`."""
        return self._each(lambda column: column.slice(start, end - start))

    def gather(self, positions: list[int] | npt.NDArray[np.int64]) -> Frame:
        """The rows at these positions."""
        return self._each(lambda column: column.gather(positions))

    def by_series(self, cuts: Sequence[int]) -> Frame:
        """The rows series by series between each two of the cuts, if there are few of each.

        The server stores them more easily so. Rows of one series stay in the order of time. Series whose hashes
        are equal get mixed, which does no harm.
        """
        tags = {str(i): column for i, (_, column) in enumerate(self.tags) if column.dtype != pl.Null}
        if not tags:
            return self
        series = pl.DataFrame(tags).hash_rows()
        if len(self) >= FEW * series.n_unique():
            return self
        parts = np.searchsorted(cuts, np.arange(len(self)), side="right")
        return self.gather(np.lexsort((series.to_numpy(), parts)))

    def filter(self, kept: pl.Series) -> Frame:
        """The rows where `kept` is true."""
        return self._each(lambda column: column.filter(kept))

    def _each(self, change: Callable[[pl.Series], pl.Series]) -> Frame:
        return Frame(
            change(self.time),
            tuple((name, change(column)) for name, column in self.fields),
            tuple((name, change(column)) for name, column in self.tags),
        )

    def before(self, time: int) -> Frame:
        """The rows older than `time`."""
        return self.slice(0, int(self.times.searchsorted(time)))

    def split(self, positions: Sequence[int]) -> list[Frame]:
        """Cut before the rows at these ascending positions; empty parts are left out."""
        cuts = [0, *positions, len(self)]
        return [self.slice(a, b) for a, b in pairwise(cuts) if b > a]

    def only_types(self, allowed: frozenset[str]) -> Frame:
        """Without fields of other types, and without the rows that then have no field left."""
        return self.with_fields({name for name, type_ in self.types.items() if type_ in allowed})

    def with_fields(self, names: Collection[str]) -> Frame:
        """No other fields than these, and only the rows that have one of them."""
        fields = tuple((name, column) for name, column in self.fields if name in names)
        present = pl.Series("", [False], dtype=pl.Boolean).new_from_index(0, len(self))
        for _, column in fields:
            present = present | column.is_not_null()
        return Frame(self.time, fields, self.tags).filter(present)


def _has_values(column: pl.Series) -> bool:
    return column.null_count() < len(column)


def to_frame(
    rows: Sequence[Sequence[Any]], fields: Sequence[str], tags: Sequence[str], unsigned: Collection[str] = ()
) -> Frame:
    """Rows of `time, *fields, *tags` as they come off the wire (text is bytes) as a frame.

    The wire does not tell unsigned integers from others: they are those of the fields in `unsigned`. Raises
    UnexpectedRows when a row has another number of values, or a column values of several types.
    """
    width = 1 + len(fields) + len(tags)
    if any(len(row) != width for row in rows):
        raise UnexpectedRows(f"a row does not have the {width} columns that were asked for")
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    whole = [pl.UInt64 if name in unsigned else pl.Int64 for name in fields] + [pl.Int64] * len(tags)
    time, *others = [pl.Series(columns[0], dtype=pl.Int64), *map(_column, columns[1:], whole)]
    return Frame(
        time,
        tuple(zip(fields, others[: len(fields)], strict=True)),
        tuple(zip(tags, others[len(fields) :], strict=True)),
    )


def _column(values: Sequence[Any], whole: type[pl.DataType]) -> pl.Series:
    """One column. The wire's own types decide: floats and integers (`whole`) arrive apart, and text as bytes."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pl.Series(values=[None] * len(values), dtype=pl.Null)
    if len(kinds) > 1 or not kinds <= _wire_types().keys():
        raise UnexpectedRows(f"a column holds several types: {', '.join(sorted(k.__name__ for k in kinds))}")
    kind = kinds.pop()
    try:
        column = pl.Series(values=values, dtype=whole if kind is int else _wire_types()[kind])
    except (TypeError, OverflowError) as error:
        raise UnexpectedRows(f"an integer is out of the range of its type: {error}") from error
    return _as_text(column) if column.dtype == pl.Binary else column


def _as_text(column: pl.Series) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError:  # not UTF-8: keep the bytes
        return column


def joined(parts: Sequence[Frame]) -> list[Frame]:
    """The rows of frames that follow one another, in as few frames as their columns allow."""
    found: list[list[Frame]] = []
    dtypes: list[pl.DataType | None] = []
    for part in parts:
        same = found and _names(found[-1][0]) == _names(part)
        common = [_common(known, c.dtype) for known, c in zip(dtypes, _columns(part), strict=True)] if same else []
        if same and None not in common:
            found[-1].append(part)
            dtypes = common
        else:
            found.append([part])
            dtypes = [column.dtype for column in _columns(part)]
    return [_joined(group) if len(group) > 1 else group[0] for group in found]


def _names(frame: Frame) -> tuple[list[str], list[str]]:
    return [name for name, _ in frame.fields], [name for name, _ in frame.tags]


def _columns(frame: Frame) -> list[pl.Series]:
    return [frame.time, *(column for _, column in (*frame.fields, *frame.tags))]


def _common(one: pl.DataType | None, other: pl.DataType) -> pl.DataType | None:
    """The type that values of both have without a change, or None."""
    if other in (one, pl.Null):
        return one
    if one == pl.Null:
        return other
    return pl.Binary() if {one, other} == {pl.String(), pl.Binary()} else None


def _joined(parts: Sequence[Frame]) -> Frame:
    columns = []
    for same in zip(*map(_columns, parts), strict=True):
        dtype = functools.reduce(_common, (column.dtype for column in same))
        columns.append(pl.concat([column.cast(dtype) for column in same], rechunk=True))
    fields, tags = _names(parts[0])
    return Frame(
        columns[0],
        tuple(zip(fields, columns[1 : 1 + len(fields)], strict=True)),
        tuple(zip(tags, columns[1 + len(fields) :], strict=True)),
    )


# ------------------------------------------------- pandas, for other programs: influx/requirements.txt


def joined_pandas(parts: Sequence[Frame]) -> pd.DataFrame:
    """All rows of frames with the same columns."""
    import pandas as pd  # noqa: PLC0415 -- heavy, and no backup needs it

    return pd.concat(map(to_pandas, parts), ignore_index=True)


def to_pandas(frame: Frame) -> pd.DataFrame:
    """The same as a pandas frame over Arrow arrays, its columns labelled `(kind, name)`.

    The kinds are `time` (with no name), `field` and `tag`.
    """
    import pandas as pd  # noqa: PLC0415 -- heavy, and no backup needs it

    labels = [("time", ""), *(("field", name) for name, _ in frame.fields), *(("tag", n) for n, _ in frame.tags)]
    columns = [frame.time, *(column for _, column in (*frame.fields, *frame.tags))]
    arrays = {i: pd.arrays.ArrowExtensionArray(column.to_arrow()) for i, column in enumerate(columns)}
    found = pd.DataFrame({i: pd.Series(array, copy=False) for i, array in arrays.items()}, copy=False)
    # not a MultiIndex: its levels would be Arrow text, which holds no stray bytes
    found.columns = pd.Index(labels, dtype=object, tupleize_cols=False)
    return found


def from_pandas(frame: pd.DataFrame) -> Frame:
    """A frame from one whose columns are labelled and typed like those of `to_pandas`."""
    import pyarrow as pa  # noqa: PLC0415 -- heavy, and no backup needs it

    columns = [
        (*label, pl.Series(values=pa.array(frame.iloc[:, i].array))) for i, label in enumerate(frame.columns)
    ]
    return Frame(
        next(column for kind, _, column in columns if kind == "time"),
        tuple((name, column) for kind, name, column in columns if kind == "field"),
        tuple((name, column) for kind, name, column in columns if kind == "tag"),
    )
