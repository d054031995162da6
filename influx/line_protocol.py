r"""Line protocol, exact: points as the bytes that InfluxDB 1.x turns back into the very same points.

    line        = measurement *("," tag-key "=" tag-value) " " field-key "=" value *("," ...) " " nanoseconds
    measurement : "," -> "\,"  and " " -> "\ "; nothing else
    tag         : the same, and "=" -> "\="; backslashes are never doubled
    field key   : the same as tags, and '"' -> '\"'; one that begins with a tab or NUL never stands in front
    string      : in quotes; "\" -> "\\" and '"' -> '\"'; every other byte raw, newlines too
    float       : shortest text that reads back as the same bits;   integer : digits and "i", unsigned: and "u"

The rules were proved on real servers with random names and values. Two encoders live here: `encode_point`,
the plain one, and `encode_frame`, which does the same to whole columns at once; a test compares them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from basics.later import Later
from influx.frames import Frame
from influx.storable import (
    ALONE,
    field_problem,
    is_utf8,
    measurement_problem,
    needs_company,
    tag_problem,
    tag_value_problem,
)
from influx.written import Refusal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl
else:
    np, pl = Later("numpy"), Later("polars")


class Unsigned(int):
    """An unsigned integer."""


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

    `frame` is what it was made of, so that it can be taken apart when the server refuses it; single points that
    were encoded one by one have none.
    """

    text: bytes
    points: int
    values: int
    measurement: str = field(default="", compare=False)
    frame: Frame | None = field(default=None, compare=False, repr=False)
    last: Callable[[], Point] | None = field(default=None, compare=False, repr=False)
    """Gives its newest point, the last of them; it is not made before that is asked for."""
    is_new: bool = field(default=False, compare=False)
    """Whether that point is surely new at the destination, so that no older one answers for it."""

    @property
    def fields(self) -> frozenset[str]:
        """The names of the fields that have a value."""
        return frozenset(self.frame.types) if self.frame else frozenset()

    def lines(self) -> list[bytes]:
        """The lines one by one. A string may hold newlines, so the text cannot tell where they end."""
        if self.points == 1 or self.frame is None:
            return [self.text]
        return frame_lines(self.frame, self.measurement)


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
    ordered = sorted(point.fields.items(), key=lambda field: needs_company(field[0]))
    fields = [_bytes(k.translate(_FIELD_KEY)) + b"=" + encode_value(v) for k, v in ordered]
    return b" ".join((_bytes(",".join(series)), b",".join(fields), b"%d" % point.time))


def encode_points(points: Iterable[Point]) -> Iterator[Body]:
    """Points as request bodies, in their order; one with a risky backslash in a name is alone in its own.

    Raises ValueError for a point whose names InfluxDB cannot keep.
    """
    lines: list[bytes] = []
    values = length = 0
    last: Callable[[], Point] | None = None
    for point in points:
        _check_point(point)
        line = encode_point(point)
        risky = any(map(_RISKY.search, (point.measurement, *point.tags, *point.tags.values(), *point.fields)))
        if lines and (risky or length + len(line) > BODY_BYTES):
            yield Body(b"\n".join(lines), len(lines), values, last=last)
            lines, values, length = [], 0, 0
        last = functools.partial(_itself, point)
        if risky:
            yield Body(line, 1, len(point.fields), last=last)
            continue
        lines.append(line)
        values, length = values + len(point.fields), length + len(line) + 1  # the newline
    if lines:
        yield Body(b"\n".join(lines), len(lines), values, last=last)


def _itself(point: Point) -> Point:
    return point


def _check_point(point: Point) -> None:
    problems = [(point.measurement, measurement_problem(point.measurement))]
    problems += [(key, tag_problem(key) or tag_value_problem(value)) for key, value in point.tags.items()]
    problems += [(key, field_problem(key)) for key in point.fields]
    problems += [(key, ALONE) for key in point.fields if all(map(needs_company, point.fields))]
    for name, problem in problems:
        if problem:
            raise ValueError(f"{name!r} {problem}")


def type_of(value: Value) -> str:
    """The type of the field, as InfluxQL calls it."""
    if isinstance(value, bytes):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "float"


def encode_value(value: Value) -> bytes:
    """A field's value as it stands in a line: it shows the type, and every bit of the value."""
    if isinstance(value, bytes):
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, Unsigned):
        return b"%du" % value
    if isinstance(value, int):
        return b"%di" % value
    if value - value != 0:
        raise ValueError(f"InfluxDB cannot hold the float {value!r}")
    return repr(value).encode()


# ---------------------------------------------------------------- a whole frame

BODY_BYTES = 8_000_000
"""The most that one request body holds, uncompressed; a single longer line is still sent, alone."""

_RISKY = re.compile(r'(?<!\\)\\(?:\\\\)*[, =\n"]')
"""An odd number of backslashes before one of these can make the server miss the end of the line: its line
splitter takes them in pairs, and the last one is its own escape."""

_SUSPECT = r"[\\\n]|#!~#"
"""What a tag value must contain to be risky or refused; most values are cleared by this one look."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What became of a frame: request bodies in the order to send them, and points that must not be sent.

    The bodies are made one by one, as they are asked for.
    """

    bodies: Iterator[Body]
    refusals: tuple[Refusal, ...]


def encode_frame(frame: Frame, measurement: str, cuts: Iterable[int] = ()) -> Encoded:
    """The rows of a frame as request bodies, in the order of the rows; no body goes across one of the `cuts`.

    Rows whose tags InfluxDB cannot keep are left out and counted. A row with a risky backslash in a name is a
    body of its own, so that it cannot swallow its neighbour. Raises ValueError when the measurement or a field
    has a name that InfluxDB cannot keep: whoever chooses the fields leaves those out. Every row needs a field.
    """
    frame = _tidy(frame)
    _check_names(frame, measurement)
    refused, alone = _special_rows(frame, measurement)
    edges = sorted({0, len(frame), *cuts, *(i + after for i in (refused.keys() | alone) for after in (0, 1))})
    pieces = [(a, b) for a, b in pairwise(edges) if a not in refused]
    return Encoded(_bodies(frame, measurement, pieces), add_up(refused.values()))


def encode_plain(
    frame: Frame, measurement: str, cuts: Sequence[int], newer_than: int | None = None
) -> list[Body] | None:
    """The rows between the cuts as a text each; None where one must not be sent, or must be sent alone.

    Rows `newer_than` that are new at the destination.
    """
    frame = _tidy(frame)
    if any(_special_rows(frame, measurement)):
        return None
    lines = _lines(frame, measurement)
    text = _joined(lines, 0, len(frame))
    edges = [0, *cuts, len(frame)]
    ends = [0, *np.cumsum(_lengths(lines) + 1)[[edge - 1 for edge in edges[1:]]].tolist()]
    return [
        Body(
            text[begin : end - 1],
            last - first,
            0,
            last=functools.partial(_row, frame, measurement, last - 1),
            is_new=newer_than is None or int(frame.times[last - 1]) > newer_than,
        )
        for (first, last), (begin, end) in zip(pairwise(edges), pairwise(ends), strict=True)
    ]


def packed(bodies: Sequence[Body]) -> Iterator[Body]:
    """The same texts, in their order, in as few bodies as their length allows."""
    size, first = 0, 0
    for index, body in enumerate(bodies):
        if index > first and size + len(body.text) > BODY_BYTES:
            yield _together(bodies[first:index])
            size, first = 0, index
        size += len(body.text) + 1
    yield _together(bodies[first:])


def _together(bodies: Sequence[Body]) -> Body:
    text = b"\n".join(body.text for body in bodies)
    points, values = sum(body.points for body in bodies), sum(body.values for body in bodies)
    return Body(text, points, values, last=next((b.last for b in reversed(bodies) if b.is_new), bodies[-1].last))


def _tidy(frame: Frame) -> Frame:
    """Without columns that have no value, the tags in the order in which the server keeps them.

    Fields that cannot stand in front stand last.
    """
    fields = [(name, column) for name, column in frame.fields if column.null_count() < len(column)]
    return Frame(
        frame.time,
        tuple(sorted(fields, key=lambda field: needs_company(field[0]))),
        tuple(sorted((t for t in map(_without_empty, frame.tags) if t[1].dtype != pl.Null), key=lambda t: t[0])),
    )


def _without_empty(tag: tuple[str, pl.Series]) -> tuple[str, pl.Series]:
    """The tag, null where it is empty: InfluxDB has no empty tag."""
    name, column = tag
    if column.dtype != pl.String or not (column == "").any():
        return tag
    return name, pl.select(pl.when(column != "").then(column)).to_series()


def _check_names(frame: Frame, measurement: str) -> None:
    problem = measurement_problem(measurement)
    if problem:
        raise ValueError(f"measurement {measurement!r} {problem}")
    for name, _ in frame.fields:
        problem = field_problem(name)
        if problem:
            raise ValueError(f"field {name!r} of {measurement!r} {problem}")


def _special_rows(frame: Frame, measurement: str) -> tuple[dict[int, Refusal], set[int]]:
    """The rows that must not be sent, and those that must be sent alone, by index."""
    names = [measurement, *(name for name, _ in frame.tags), *(name for name, _ in frame.fields)]
    alone = set(range(len(frame))) if any(map(_RISKY.search, names)) else set()
    refused: dict[int, Refusal] = {}
    for key, column in frame.tags:
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
    return _without_company(frame) | refused, alone


def _without_company(frame: Frame) -> dict[int, Refusal]:
    """The rows that have no field that could stand in front, by index."""
    odd = [(name, column) for name, column in frame.fields if needs_company(name)]
    if not odd:
        return {}
    others = [column.is_not_null() for name, column in frame.fields if not needs_company(name)]
    accompanied = functools.reduce(pl.Series.__or__, others, pl.repeat(value=False, n=len(frame), eager=True))
    remedy = "copy another field of these points with it"
    return {
        row: Refusal(f"field {name!r}", ALONE, 1, remedy)
        for name, column in odd
        for row in (~accompanied & column.is_not_null()).arg_true()
    }


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


def _bodies(frame: Frame, measurement: str, pieces: Iterable[tuple[int, int]]) -> Iterator[Body]:
    """The rows of each piece in one body, or in as many as it takes to keep each short enough."""
    if not len(frame):
        return
    lines = _lines(frame, measurement)
    ends = np.cumsum(_lengths(lines) + 1)  # with their newlines
    for start, end in pieces:
        for first, last in _cut(ends, start, end):
            part = frame.slice(first, last)
            newest = functools.partial(_newest, part, measurement)
            yield Body(_joined(lines, first, last), last - first, part.values, measurement, part, newest)


def _cut(ends: npt.NDArray[np.int64], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The rows `[start, end)` in about equal parts whose texts are short enough; `ends`: where each row ends."""
    before = int(ends[start - 1]) if start else 0
    length = int(ends[end - 1]) - before
    longest = int(np.diff(ends[start:end], prepend=before).max())
    # as long as it takes to make do with the fewest parts
    size = min(BODY_BYTES + 1, longest + length // -(-length // (BODY_BYTES + 1)))
    while start < end:
        first = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, first + size, side="right")), start + 1)
        yield start, min(stop, end)
        start = stop


def halves(body: Body) -> tuple[Body, ...]:
    """The first and the second half of the lines, in two bodies or more; none for a line that stands alone."""
    if body.frame is None or body.points < 2:
        return ()
    middle = body.points // 2
    return tuple(_bodies(body.frame, body.measurement, [(0, middle), (middle, body.points)]))


def can_be_taken_apart(body: Body) -> bool:
    """Whether each of its fields can stand alone in a line."""
    return not any(map(needs_company, body.fields))


def apart(body: Body, name: str) -> tuple[Body, ...]:
    """The lines without this field, then lines of nothing but it; none where it is not one of several fields.

    None either for a body that cannot be taken apart.
    """
    others = body.fields - {name}
    if body.frame is None or len(others) in (0, len(body.fields)) or not can_be_taken_apart(body):
        return ()
    parts = (body.frame.with_fields(names) for names in (others, {name}))
    return tuple(b for part in parts for b in _bodies(part, body.measurement, [(0, len(part))]))


# ---- lines: a polars Series of texts, or where there are stray bytes, which polars would replace, a list


def _lines(frame: Frame, measurement: str) -> pl.Series | list[bytes]:
    columns = (*frame.tags, *frame.fields)
    if any(column.dtype == pl.Binary or not is_utf8(name) for name, column in columns):
        return [encode_point(point) for point in frame_points(frame, measurement)]
    return _encode(frame, measurement)


def _lengths(lines: pl.Series | list[bytes]) -> npt.NDArray[np.int64]:
    if isinstance(lines, pl.Series):
        return lines.str.len_bytes().cast(pl.Int64).to_numpy()
    return np.array([len(line) for line in lines], np.int64)


def _joined(lines: pl.Series | list[bytes], start: int, end: int) -> bytes:
    if isinstance(lines, pl.Series):
        # as bytes at once: a Python str between would take longer than all the rest where text is not ASCII
        text: bytes = lines.slice(start, end - start).str.join("\n").cast(pl.Binary).item()
        return text
    return b"\n".join(lines[start:end])


def frame_lines(frame: Frame, measurement: str) -> list[bytes]:
    """The lines of a frame, whatever its names: two points are equal exactly when their lines are."""
    lines = _lines(_tidy(frame), measurement) if len(frame) else []
    return [line.encode() for line in lines] if isinstance(lines, pl.Series) else lines


def _encode(frame: Frame, measurement: str) -> pl.Series:
    """One text for each row: the columns, with what stands between them."""
    named = {"time": frame.time}
    texts: list[str | pl.Expr] = [measurement.translate(_MEASUREMENT)]
    for i, (key, column) in enumerate(frame.tags):
        named[f"t{i}"] = column
        texts += _always(f",{key.translate(_TAG)}=", _tag_text(pl.col(f"t{i}"), column), "", column)
    texts.append(" ")
    if 4 * frame.values < len(frame) * len(frame.fields):
        named["fields"] = _few_fields(frame)
        texts.append(pl.col("fields"))
    else:
        named |= {f"f{i}": column for i, (_, column) in enumerate(frame.fields)}
        texts += _field_texts(frame)
    texts += [" ", pl.col("time")]
    return pl.DataFrame(named).select(pl.concat_str(_literals_joined(texts))).to_series()


def _field_texts(frame: Frame) -> Iterator[str | pl.Expr]:
    """The fields `f0`, `f1` and so on, and the commas between them."""
    fields = [_field_text(key, pl.col(f"f{i}"), column) for i, (key, column) in enumerate(frame.fields)]
    if frame.fields[0][1].null_count():  # any field may be the first
        each = [pl.concat_str(pl.lit(before), value, pl.lit(after)) for before, value, after in fields]
        yield pl.concat_str(each, separator=",", ignore_nulls=True)
        return
    for i, ((_, column), (before, value, after)) in enumerate(zip(frame.fields, fields, strict=True)):
        yield from _always("," * bool(i) + before, value, after, column)


def _few_fields(frame: Frame) -> pl.Series:
    """The fields of each row as one text, value by value instead of column by column: most are missing."""
    parts = []
    for key, column in frame.fields:
        rows = column.is_not_null().arg_true()
        found = column.gather(rows)
        before, value, after = _field_text(key, pl.col("value"), found)
        text = pl.concat_str(pl.lit(before), value, pl.lit(after)).alias("text")
        parts.append(pl.DataFrame({"row": rows, "value": found}).select("row", text))
    values = pl.concat(parts).sort("row", maintain_order=True)
    # collected, then joined: joining in the aggregation takes several times as long
    return values.group_by("row", maintain_order=True).agg("text").get_column("text").list.join(",")


def _always(before: str, value: pl.Expr, after: str, column: pl.Series) -> list[str | pl.Expr]:
    """The value between these texts, or nothing where there is no value."""
    if not column.null_count():
        return [before, value, after]
    return [pl.concat_str(pl.lit(before), value, pl.lit(after)).fill_null("")]


def _literals_joined(texts: Iterable[str | pl.Expr]) -> Iterator[pl.Expr]:
    literal = ""
    for text in texts:
        if isinstance(text, str):
            literal += text
            continue
        if literal:
            yield pl.lit(literal)
        yield text
        literal = ""
    if literal:
        yield pl.lit(literal)


def _tag_text(value: pl.Expr, column: pl.Series) -> pl.Expr:
    for special in (",", " ", "=") if column.str.contains("[, =]").any() else ():
        value = value.str.replace_all(special, "\\" + special, literal=True)
    return value


def _field_text(key: str, value: pl.Expr, column: pl.Series) -> tuple[str, pl.Expr, str]:
    """What stands before the value, the value, and what stands after it."""
    name = key.translate(_FIELD_KEY) + "="
    if column.dtype == pl.String:
        for special in ("\\", '"') if column.str.contains(r'[\\"]').any() else ():
            value = value.str.replace_all(special, "\\" + special, literal=True)
        return name + '"', value, '"'
    if column.dtype == pl.Int64:
        return name, value, "i"
    if column.dtype == pl.UInt64:
        return name, value, "u"
    if column.dtype in (pl.Float64, pl.Boolean):
        return name, value, ""
    raise TypeError(f"field {key!r} has the type {column.dtype}, which InfluxDB does not know")


def frame_points(frame: Frame, measurement: str) -> list[Point]:
    """The rows of a frame one by one."""
    points = []
    dtypes = {key: column.dtype for key, column in frame.fields}
    for index, time in enumerate(frame.time):
        tags = {key: column[index] for key, column in frame.tags}
        fields = {key: column[index] for key, column in frame.fields}
        points.append(
            Point(
                measurement,
                {key: _as_text(value) for key, value in tags.items() if value is not None},
                {key: _as_value(value, dtypes[key]) for key, value in fields.items() if value is not None},
                time,
            )
        )
    return points


def _newest(frame: Frame, measurement: str) -> Point:
    """The rows may be in the order of their series."""
    return _row(frame, measurement, int(np.flatnonzero(frame.times == frame.times.max())[-1]))


def _row(frame: Frame, measurement: str, index: int) -> Point:
    (point,) = frame_points(frame.slice(index, index + 1), measurement)
    return point


def _as_text(value: str | bytes) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _as_value(value: Value | str, dtype: pl.DataType) -> Value:
    if dtype == pl.UInt64:
        return Unsigned(value)
    return value.encode() if isinstance(value, str) else value
