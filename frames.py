"""Query answers as pandas DataFrames: the table that travels from the source to the destination.

A frame's columns are labelled `(kind, name)`, so that a tag and a field of the same name stay apart:

    ("time", "")      int64, nanoseconds, ascending
    ("tag", name)     string; null where the point has no such tag
    ("field", name)   double, int64, bool or string: the field's type; null where the point has no such field

All columns are Arrow-backed: an integer next to a null stays an integer. Text that is not UTF-8 has the
binary type. A column without a single value has the null type.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

FIELD_TYPES = {pa.float64(): "float", pa.int64(): "integer", pa.bool_(): "boolean",
               pa.string(): "string", pa.binary(): "string"}  # fmt: skip

_ARROW_TYPES = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), bytes: pa.binary()}


class UnexpectedRows(ValueError):
    """The rows are not what was asked for: other columns, or several types in one."""


def to_frame(rows: Sequence[Sequence[Any]], fields: Sequence[str], tags: Sequence[str]) -> pd.DataFrame:
    """Rows of `time, *fields, *tags` as they come off the wire (text is bytes) as a frame.

    Raises UnexpectedRows when a row has another number of values, or a column values of several types.
    """
    names = [("time", ""), *(("field", f) for f in fields), *(("tag", t) for t in tags)]
    if any(len(row) != len(names) for row in rows):
        raise UnexpectedRows(f"a row does not have the {len(names)} columns that were asked for")
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return from_arrays([pa.array(columns[0], pa.int64()), *map(_array, columns[1:])], names)


def from_arrays(arrays: Sequence[pa.Array], names: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """A frame over Arrow arrays, without a copy."""
    columns = {i: pd.Series(pd.arrays.ArrowExtensionArray(a), copy=False) for i, a in enumerate(arrays)}
    frame = pd.DataFrame(columns, copy=False)
    # not a MultiIndex: its levels would be Arrow text, which holds no stray bytes
    frame.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    return frame


def _array(values: Sequence[Any]) -> pa.Array:
    """One column. The wire's own types decide: floats and integers arrive apart, and text as bytes."""
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UnexpectedRows(f"a column holds several types: {error}") from error
    first = next((v for v in values if v is not None), None)
    if first is None:
        return pa.nulls(len(values))
    if array.type != _ARROW_TYPES[type(first)]:
        raise UnexpectedRows(f"a column holds {type(first).__name__} values and others")
    return _as_text(array) if pa.types.is_binary(array.type) else array


def _as_text(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:  # not UTF-8: keep the bytes
        return array


def labels(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """The `(kind, name)` of each column."""
    return [(str(label[0]), str(label[1])) for label in frame.columns]


def field_types(frame: pd.DataFrame) -> Mapping[str, str]:
    """The InfluxDB type of each field that has a value in the frame."""
    types = {name: frame.dtypes.iloc[i].pyarrow_dtype for i, (kind, name) in enumerate(labels(frame))
             if kind == "field"}  # fmt: skip
    return {name: FIELD_TYPES[type_] for name, type_ in types.items() if type_ in FIELD_TYPES}


def count_values(frame: pd.DataFrame) -> int:
    """How many field values the frame holds."""
    fields = [i for i, (kind, _) in enumerate(labels(frame)) if kind == "field"]
    return int(frame.iloc[:, fields].count().sum())


def times(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The time column, nanoseconds."""
    return frame.iloc[:, 0].to_numpy(np.int64)


def before(frame: pd.DataFrame, time: int) -> pd.DataFrame:
    """The rows older than `time`, of a frame that is ordered by time."""
    return frame.iloc[: times(frame).searchsorted(time)]


def split_at(frame: pd.DataFrame, positions: Sequence[int]) -> list[pd.DataFrame]:
    """The frame cut before the rows at these ascending positions; empty parts are left out."""
    cuts = [0, *positions, len(frame)]
    return [frame.iloc[a:b] for a, b in pairwise(cuts) if b > a]


def only_types(frame: pd.DataFrame, allowed: frozenset[str]) -> pd.DataFrame:
    """The frame without fields of other types, and without the rows that then have no field left."""
    types = field_types(frame)
    return with_fields(frame, {name for name, type_ in types.items() if type_ in allowed})


def with_fields(frame: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """The frame with no other fields than these, and without the rows that then have no field left."""
    frame = frame.loc[:, [kind != "field" or name in names for kind, name in labels(frame)]]
    fields = [i for i, (kind, _) in enumerate(labels(frame)) if kind == "field"]
    return frame[frame.iloc[:, fields].notna().any(axis=1)]
