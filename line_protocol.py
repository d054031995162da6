r"""Line protocol, exact: points as the bytes that InfluxDB 1.x turns back into the very same points.

    line        = measurement *("," tag-key "=" tag-value) " " field-key "=" value *("," ...) " " nanoseconds
    measurement : "," -> "\,"  and " " -> "\ "; nothing else
    tag         : the same, and "=" -> "\="; backslashes are never doubled
    field key   : the same as tags, and '"' -> '\"'
    string      : in quotes; "\" -> "\\" and '"' -> '\"'; every other byte raw, newlines too
    float       : shortest text that reads back as the same bits;   integer : digits and "i"

The rules were proved on real servers with random names and values. Two encoders live here: `encode_point`,
the plain one, and `encode_frame`, which does the same to whole columns at once; a test compares them.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa

import frames
from keepable import field_problem, is_utf8, measurement_problem, tag_problem, tag_value_problem
from report import Refusal

Value = float | int | bool | bytes
"""A field's value; text is bytes, because InfluxDB keeps bytes that are not UTF-8."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point. Names and tag values are `str` with stray bytes as surrogates, `time` is nanoseconds."""

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, Value]
    time: int


@dataclass(frozen=True, slots=True)
class Body:
    """Encoded points: `text` holds `points` lines with `values` field values in all.

    `rows` are what it was made of, so that it can be taken apart when the server refuses it; single points
    that were encoded one by one have none.
    """

    text: bytes
    points: int
    values: int
    rows: "_Rows | None" = field(default=None, compare=False, repr=False)

    @property
    def fields(self) -> frozenset[str]:
        """The names of the fields that have a value."""
        columns = self.rows.fields if self.rows else ()
        return frozenset(name for name, column in columns if column.null_count() < len(column))

    def lines(self) -> list[bytes]:
        """The lines one by one. A string may hold newlines, so the text cannot tell where they end."""
        return [self.text] if self.points == 1 or self.rows is None else _encode_lines(self.rows)


# ---------------------------------------------------------------- one point

_MEASUREMENT = str.maketrans({",": r"\,", " ": r"\ "})
_TAG = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})
_FIELD_KEY = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\=", '"': r"\""})


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def encode_point(point: Point) -> bytes:
    """One line, without the newline. Empty tags are left out: InfluxDB has no empty tag.

    Raises ValueError for a point without fields, and for a float that is not finite.
    """
    if not point.fields:
        raise ValueError(f"a point of {point.measurement!r} has no fields")
    series = [point.measurement.translate(_MEASUREMENT)]
    series += [f"{k.translate(_TAG)}={v.translate(_TAG)}" for k, v in sorted(point.tags.items()) if v]
    fields = [_bytes(k.translate(_FIELD_KEY)) + b"=" + encode_value(v) for k, v in point.fields.items()]
    return b" ".join((_bytes(",".join(series)), b",".join(fields), b"%d" % point.time))


def encode_points(points: Iterable[Point]) -> Iterator[Body]:
    """Points as request bodies, in their order; one with a risky backslash in a name is alone in its own.

    Raises ValueError for a point whose names InfluxDB cannot keep.
    """
    lines: list[bytes] = []
    values = length = 0
    for point in points:
        _check_point(point)
        line = encode_point(point)
        risky = any(map(_RISKY.search, (point.measurement, *point.tags, *point.tags.values(), *point.fields)))
        if lines and (risky or length + len(line) > BODY_BYTES):
            yield Body(b"\n".join(lines), len(lines), values)
            lines, values, length = [], 0, 0
        if risky:
            yield Body(line, 1, len(point.fields))
            continue
        lines.append(line)
        values, length = values + len(point.fields), length + len(line) + 1  # the newline
    if lines:
        yield Body(b"\n".join(lines), len(lines), values)


def _check_point(point: Point) -> None:
    problems = [(point.measurement, measurement_problem(point.measurement))]
    problems += [(key, tag_problem(key) or tag_value_problem(value)) for key, value in point.tags.items()]
    problems += [(key, field_problem(key)) for key in point.fields]
    for name, problem in problems:
        if problem:
            raise ValueError(f"{name!r} {problem}")


def encode_value(value: Value) -> bytes:
    """A field's value as it stands in a line: it shows the type, and every bit of the value."""
    if isinstance(value, bytes):
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        return b"%di" % value
    if value - value != 0:
        raise ValueError(f"InfluxDB cannot hold the float {value!r}")
    return repr(value).encode()


# ---------------------------------------------------------------- a whole frame

BODY_BYTES = 4_000_000
"""The most that one request body holds, uncompressed; a single longer line still travels, alone."""

_RISKY = re.compile(r'(?<!\\)\\(?:\\\\)*[, =\n"]')
"""An odd number of backslashes before one of these can make the server miss the end of the line: its line
splitter takes them in pairs, and the last one is its own escape."""

_SUSPECT = r"[\\\n]|#!~#"
"""What a tag value must contain to be risky or refused; most values are cleared by this one look."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What became of a frame: request bodies in the order to send them, and points that must not be sent."""

    bodies: tuple[Body, ...]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class _Rows:
    """A frame taken apart into columns; names keep their kinds apart."""

    measurement: str
    time: pl.Series
    tags: tuple[tuple[str, pl.Series], ...]
    fields: tuple[tuple[str, pl.Series], ...]

    def slice(self, start: int, end: int) -> "_Rows":
        length = end - start
        return _Rows(
            self.measurement,
            self.time.slice(start, length),
            tuple((name, column.slice(start, length)) for name, column in self.tags),
            tuple((name, column.slice(start, length)) for name, column in self.fields),
        )

    def select(self, names: Collection[str]) -> "_Rows":
        """Only these fields, and only the rows that have one of them."""
        kept = [column for name, column in self.fields if name in names]
        present = pl.Series("", [False] * len(self.time), dtype=pl.Boolean)
        for column in kept:
            present = present | column.is_not_null()
        return _Rows(
            self.measurement,
            self.time.filter(present),
            tuple((name, column.filter(present)) for name, column in self.tags),
            tuple((name, column.filter(present)) for name, column in self.fields if name in names),
        )

    @property
    def values(self) -> int:
        return sum(len(column) - column.null_count() for _, column in self.fields)


def encode_frame(frame: pd.DataFrame, measurement: str) -> Encoded:
    """The rows of a frame (frames.py describes its columns) as request bodies, in the order of the rows.

    Rows whose tags InfluxDB cannot keep are left out and counted. A row with a risky backslash in a name is a
    body of its own, so that it cannot swallow its neighbour. Raises ValueError when the measurement or a field
    has a name that InfluxDB cannot keep: whoever chooses the fields leaves those out. Every row needs a field.
    """
    rows = _take_apart(frame, measurement)
    _check_names(rows)
    refused, alone = _special_rows(rows)
    bodies: list[Body] = []
    start = 0
    for index in sorted(refused.keys() | alone):
        bodies.extend(_bodies(rows.slice(start, index)))
        if index not in refused:
            bodies.extend(_bodies(rows.slice(index, index + 1)))
        start = index + 1
    bodies.extend(_bodies(rows.slice(start, len(rows.time))))
    return Encoded(tuple(bodies), add_up(refused.values()))


def _take_apart(frame: pd.DataFrame, measurement: str) -> _Rows:
    columns = [(kind, name, _series(frame.iloc[:, i])) for i, (kind, name) in enumerate(frames.labels(frame))]
    time = next(column for kind, _, column in columns if kind == "time")
    used = [(kind, name, column) for kind, name, column in columns if column.dtype != pl.Null]
    return _Rows(
        measurement,
        time,
        tuple((name, column) for kind, name, column in sorted(used, key=lambda c: c[1]) if kind == "tag"),
        tuple((name, column) for kind, name, column in used if kind == "field"),
    )


def _series(column: "pd.Series[Any]") -> pl.Series:
    array = pa.array(column.array)
    return pl.Series("", array)


def _check_names(rows: _Rows) -> None:
    problem = measurement_problem(rows.measurement)
    if problem:
        raise ValueError(f"measurement {rows.measurement!r} {problem}")
    for name, _ in rows.fields:
        problem = field_problem(name)
        if problem:
            raise ValueError(f"field {name!r} of {rows.measurement!r} {problem}")


def _special_rows(rows: _Rows) -> tuple[dict[int, Refusal], set[int]]:
    """The rows that must not be sent, and those that must travel alone, by index."""
    names = [rows.measurement, *(name for name, _ in rows.tags), *(name for name, _ in rows.fields)]
    alone = set(range(len(rows.time))) if any(map(_RISKY.search, names)) else set()
    refused: dict[int, Refusal] = {}
    for key, column in rows.tags:
        key_problem = tag_problem(key)
        if key_problem:
            present = column.is_not_null().arg_true()
            refused.update((i, Refusal(f"tag {key!r}", key_problem, 1)) for i in present)
            continue
        for index, value in _suspects(column):
            problem = tag_value_problem(value)
            if problem:
                refused[index] = Refusal(f"tag {key!r} with the value {value!r}", problem, 1)
            elif _RISKY.search(value):
                alone.add(index)
    return refused, alone


def _suspects(column: pl.Series) -> Iterator[tuple[int, str]]:
    if column.dtype == pl.Binary:
        texts = ((i, v.decode("utf-8", "surrogateescape")) for i, v in enumerate(column) if v is not None)
        return (text for text in texts if re.search(_SUSPECT, text[1]))
    indices = column.str.contains(_SUSPECT).arg_true()
    return zip(indices, column.gather(indices), strict=True)


def add_up(refusals: Iterable[Refusal]) -> tuple[Refusal, ...]:
    """One refusal for each tag and reason; the first value stands as the example."""
    totals: dict[tuple[str, str], Refusal] = {}
    for refusal in refusals:
        key = (refusal.name.split(" with the value ")[0], refusal.reason)
        first = totals.get(key)
        totals[key] = replace(first, points=first.points + refusal.points) if first else refusal
    return tuple(totals.values())


def _bodies(rows: _Rows) -> Iterator[Body]:
    """The rows in one body, or halved until each body is short enough."""
    count = len(rows.time)
    if not count:
        return
    text = _encode_rows(rows)
    if len(text) > BODY_BYTES and count > 1:
        yield from _bodies(rows.slice(0, count // 2))
        yield from _bodies(rows.slice(count // 2, count))
    else:
        yield Body(text, count, rows.values, rows)


def halves(body: Body) -> tuple[Body, ...]:
    """The older and the newer half of the lines, in two bodies or more; none for a line that stands alone."""
    if body.rows is None or body.points < 2:
        return ()
    middle = body.points // 2
    return (*_bodies(body.rows.slice(0, middle)), *_bodies(body.rows.slice(middle, body.points)))


def apart(body: Body, name: str) -> tuple[Body, ...]:
    """The lines without this field, then lines of nothing but it; none where it is not one of several fields."""
    others = body.fields - {name}
    if body.rows is None or not others or len(others) == len(body.fields):
        return ()
    return (*_bodies(body.rows.select(others)), *_bodies(body.rows.select({name})))


def _encode_rows(rows: _Rows) -> bytes:
    if not _has_stray_bytes(rows):
        text: str = _lines(rows).str.join("\n").item()
        return text.encode()
    return b"\n".join(_encode_lines(rows))


def _encode_lines(rows: _Rows) -> list[bytes]:
    if not _has_stray_bytes(rows):
        return [line.encode() for line in _lines(rows)]
    return [encode_point(point) for point in _points(rows)]  # polars would replace stray bytes


def _has_stray_bytes(rows: _Rows) -> bool:
    columns = (*rows.tags, *rows.fields)
    return any(column.dtype == pl.Binary or not is_utf8(name) for name, column in columns)


def _lines(rows: _Rows) -> pl.Series:
    """One text for each row."""
    named: dict[str, pl.Series] = {"time": rows.time}
    named |= {f"t{i}": column for i, (_, column) in enumerate(rows.tags)}
    named |= {f"f{i}": column for i, (_, column) in enumerate(rows.fields)}
    series = [pl.lit(rows.measurement.translate(_MEASUREMENT))]
    series += [_tag_text(key, pl.col(f"t{i}")) for i, (key, _) in enumerate(rows.tags)]
    fields = [_field_text(key, pl.col(f"f{i}"), column.dtype) for i, (key, column) in enumerate(rows.fields)]
    line = pl.concat_str(
        pl.concat_str(series, separator=",", ignore_nulls=True),
        pl.concat_str(fields, separator=",", ignore_nulls=True),
        pl.col("time").cast(pl.String),
        separator=" ",
    )
    return pl.DataFrame(named).select(line).to_series()


def _tag_text(key: str, value: pl.Expr) -> pl.Expr:
    """`,key=value`, or null where the row has no such tag; concat_str then leaves it out."""
    escaped = value.str.replace_all(",", r"\,", literal=True).str.replace_all(" ", r"\ ", literal=True)
    escaped = escaped.str.replace_all("=", r"\=", literal=True)
    return pl.when(value != "").then(pl.lit(key.translate(_TAG) + "=") + escaped)


def _field_text(key: str, value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    name = key.translate(_FIELD_KEY) + "="
    if dtype == pl.String:
        escaped = value.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', r"\"", literal=True)
        return pl.lit(name + '"') + escaped + pl.lit('"')
    if dtype == pl.Int64:
        return pl.lit(name) + value.cast(pl.String) + pl.lit("i")
    if dtype in (pl.Float64, pl.Boolean):
        return pl.lit(name) + value.cast(pl.String)
    raise TypeError(f"field {key!r} has the type {dtype}, which InfluxDB does not know")


def _points(rows: _Rows) -> Iterator[Point]:
    """The rows one by one, for the rare frames that hold bytes that are not UTF-8."""
    for index, time in enumerate(rows.time):
        tags = {key: column[index] for key, column in rows.tags}
        fields = {key: column[index] for key, column in rows.fields}
        yield Point(
            rows.measurement,
            {key: _as_text(value) for key, value in tags.items() if value is not None},
            {key: _as_bytes(value) for key, value in fields.items() if value is not None},
            time,
        )


def frame_points(frame: pd.DataFrame, measurement: str) -> list[Point]:
    """The rows of a frame one by one."""
    return list(_points(_take_apart(frame, measurement)))


def frame_lines(frame: pd.DataFrame, measurement: str) -> list[bytes]:
    """The lines of a frame, whatever its names: two points are equal exactly when their lines are."""
    return _encode_lines(_take_apart(frame, measurement)) if len(frame) else []


def _as_text(value: str | bytes) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _as_bytes(value: Value | str) -> Value:
    return value.encode() if isinstance(value, str) else value
