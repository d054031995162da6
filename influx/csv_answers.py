"""Answers as CSV: numbers and tags parsed as whole columns, with the proof that nothing is missing. Pure.

CSV is several times cheaper to read than msgpack, but it tells less: neither the types of numbers, nor an empty
text from none, nor errors. So it is used where the types are known and no field holds text, and the answer ends
with the measurement's tag keys and field types as they are *after* the reading. Whatever is not exactly as
expected is `Doubtful`, and is read again as msgpack, which tells everything.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from basics.later import Later
from influx import influxql
from influx.frames import Frame

if TYPE_CHECKING:
    import polars as pl
else:
    pl = Later("polars")

TYPES = ("float", "integer", "unsigned", "boolean")
"""The field types that CSV tells exactly, once they are known."""


@functools.cache
def _column_types() -> Mapping[str, type[pl.DataType]]:
    return dict(zip(TYPES, (pl.Float64, pl.Int64, pl.UInt64, pl.Boolean), strict=True))


_REPLACED = "\ufffd".encode()
"""What servers built with Go before 1.13 write for each byte that is not UTF-8, in texts that stand in quotes."""

_KEYS, _TYPES = b"name,tags,tagKey\n", b"name,tags,fieldKey,fieldType\n"


class Doubtful(Exception):
    """The answer cannot be proved to be what was asked for, all of it."""


def is_plain(types: Mapping[str, Sequence[str]], tags: Sequence[str]) -> bool:
    """Whether fields of these types, and tags, can be read as CSV: one known type each, and plain names.

    A name that a query cannot quote is none: only its column's name tells whether it is the one that was meant.
    """
    return all(len(t) == 1 and t[0] in TYPES for t in types.values()) and all(
        influxql.is_quotable(name) and not any(c in name for c in ',"\n') for name in (*types, *tags)
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a whole answer, and what the measurement has after they were read."""

    rows: bytes
    tags: frozenset[str]
    types: Mapping[str, tuple[str, ...]]


def take_apart(body: bytes) -> Answer:
    """The answer to `SELECT ...; SHOW TAG KEYS ...; SHOW FIELD KEYS ...`.

    The server does not run the later statements when the first one failed, so their presence proves it whole. A
    text in the rows could look like them; it would stand in quotes, which are then left open.
    """
    if _REPLACED in body:
        raise Doubtful("a text may have held other bytes")
    types_at = body.rfind(_TYPES)
    if types_at < 0:
        raise Doubtful("the answer ended before it was complete")
    keys_at = body.rfind(_KEYS, 0, types_at)
    end = types_at if keys_at < 0 else keys_at
    if any(body[at - 2 : at] != b"\n\n" for at in (types_at, end) if at) or not body.endswith(b"\n"):
        raise Doubtful("the answer is not well-formed")
    rows = body[: max(0, end - 1)]  # without the blank line between two tables
    if rows.count(b'"') % 2 or b"\r" in rows:
        raise Doubtful("a quoted text does not end, or holds a carriage return")
    types: dict[str, tuple[str, ...]] = {}
    for _, _, name, type_ in _table(body[types_at:], 4):
        types[name] = (*types.get(name, ()), type_)
    keys = frozenset(row[2] for row in _table(body[end:types_at], 3)) if keys_at >= 0 else frozenset()
    return Answer(rows, keys, types)


def _table(text: bytes, width: int) -> list[list[str]]:
    """The rows below a table's head; the blank line between two tables is none."""
    try:
        found = [row for row in csv.reader(io.StringIO(text.decode(), newline=""), strict=True) if row][1:]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Doubtful(f"names cannot be read: {error}") from error
    if any(len(row) != width for row in found):
        raise Doubtful("the answer is not well-formed")
    return found


def to_frame(rows: bytes, types: Mapping[str, str], tags: Sequence[str]) -> Frame:
    """The rows of `name, tags, time, *fields, *tags`, a head above them, as a frame."""
    width = 3 + len(types) + len(tags)
    if not rows:
        return Frame(_empty(pl.Int64), tuple((f, _empty(_column_types()[t])) for f, t in types.items()),
                     tuple((t, _empty(pl.String)) for t in tags))  # fmt: skip
    head = rows[: rows.index(b"\n")].split(b",")
    if len(head) != width or head[:3] != [b"name", b"tags", b"time"]:
        raise Doubtful("the answer has other columns than those asked for")
    fields = [_column_types()[type_] for type_ in types.values()]
    kinds: list[type[pl.DataType]] = [pl.String, pl.String, pl.Int64, *fields, *[pl.String] * len(tags)]
    try:
        table = pl.read_csv(
            rows,
            has_header=False,
            skip_rows=1,
            columns=list(range(2, width)),
            schema={str(position): kind for position, kind in enumerate(kinds)},
        )
    except pl.exceptions.PolarsError as error:  # text that is not UTF-8, or a value of another type
        raise Doubtful(str(error)) from error
    time, *columns = table.get_columns()
    if time.null_count() or len(time) != rows.count(b"\n") - 1:
        raise Doubtful("a text holds a newline")
    return Frame(
        time.rechunk(),
        tuple(zip(types, columns[: len(types)], strict=True)),
        tuple(zip(tags, columns[len(types) :], strict=True)),
    )


def _empty(kind: type[pl.DataType]) -> pl.Series:
    return pl.Series(dtype=kind)
