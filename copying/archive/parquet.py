"""Points of a measurement as a Parquet file, and back: every type and value exact, the same points the same bytes.

Columns: `time`, `t:<tag>` (dictionary), `f:<field>`; rows sorted by series, then time. A column without a value is
left out. Text that is not UTF-8 makes its column binary. This needs pyarrow, which ordinary runs never load.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

import numpy as np
import polars as pl

from copying.archive.errors import Damaged, LibraryMissing
from copying.archive.manifest import DataFile
from influx import storable
from influx.frames import Frame, field_types

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 200_000
"""Rows of a file that are read at once."""

LEVEL = 3
"""Of zstd: higher ones take much longer and save a hundredth."""

_ENCODINGS: Mapping[pl.DataType | type[pl.DataType], str] = {
    pl.Float64: "BYTE_STREAM_SPLIT", pl.Int64: "DELTA_BINARY_PACKED", pl.UInt64: "DELTA_BINARY_PACKED",
}  # fmt: skip


def check_library() -> None:
    """Raise LibraryMissing where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415 -- heavy, and only archives need it
    except ImportError as error:
        raise LibraryMissing(missing("pyarrow", error)) from None


def missing(name: str, error: ImportError) -> str:
    """What to say of a package that is not installed."""
    return (
        f"an archive needs {name}, which cannot be loaded ({error}): "
        "pip install -r copying/archive/requirements.txt"
    )


def sort_by_series(frame: Frame) -> Frame:
    """The points ordered by series, then time; columns by their names, without those that hold nothing."""
    tags = sorted((name, column) for name, column in frame.tags if column.null_count() < len(column))
    fields = sorted((name, column) for name, column in frame.fields if column.null_count() < len(column))
    keys = [column.alias(str(number)) for number, (_, column) in enumerate(tags)]
    table = pl.DataFrame([*keys, frame.time.alias("time")])
    order = table.select(pl.arg_sort_by([*table.columns], nulls_last=False)).to_series()
    return Frame(
        frame.time.gather(order),
        tuple((name, column.gather(order)) for name, column in fields),
        tuple((name, column.gather(order)) for name, column in tags),
    )


def sort_by_time(frame: Frame) -> Frame:
    """The points ordered by time, those of one time by series, as the rest of the program expects them."""
    order = frame.time.arg_sort()
    return frame.gather(order.to_list()) if not frame.time.is_sorted() else frame


def encode(frame: Frame) -> bytes:
    """The file of a frame that is ordered by series."""
    import pyarrow as pa  # noqa: PLC0415 -- heavy, and only archives need it
    import pyarrow.parquet as pq  # noqa: PLC0415

    arrays: dict[str, pa.Array] = {"time": _arrow(frame.time).cast(pa.timestamp("ns", "UTC"))}
    arrays |= {_label("t", name): _arrow(column).dictionary_encode() for name, column in frame.tags}
    arrays |= {_label("f", name): _arrow(column) for name, column in frame.fields}
    encodings = {"time": "DELTA_BINARY_PACKED"}
    encodings |= {_label("f", name): _ENCODINGS[c.dtype] for name, c in frame.fields if c.dtype in _ENCODINGS}
    out = pa.BufferOutputStream()
    pq.write_table(
        pa.table(arrays),
        out,
        row_group_size=ROW_GROUP,
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=[name for name in arrays if name not in encodings],
        column_encoding=encodings,
        data_page_version="2.0",
        write_page_checksum=True,
    )
    return bytes(out.getvalue())


def _label(kind: str, name: str) -> str:
    """The name of a column: `t:host`; with stray bytes, which Parquet cannot hold, `t%:` and percent-encoded."""
    return f"{kind}:{name}" if storable.is_utf8(name) else f"{kind}%:{quote(_bytes(name), safe='')}"


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _arrow(column: pl.Series) -> "pa.Array":
    """The column with 32-bit offsets, which every reader knows; no file holds two gigabytes."""
    import pyarrow as pa  # noqa: PLC0415 -- heavy, and only archives need it

    narrow = {pl.String: pa.string(), pl.Binary: pa.binary()}.get(type(column.dtype))
    array = column.rechunk().to_arrow()
    return array if narrow is None else array.cast(narrow)


def decode(content: bytes, name: str) -> Frame:
    """The points of a file, in its order. Raises Damaged for what is no such file."""
    import pyarrow as pa  # noqa: PLC0415 -- heavy, and only archives need it
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        # without a thread of Arrow's: one that still waits when the process ends would abort it
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True, pre_buffer=False)
        table = file.read(use_threads=False)
        columns = dict(zip(table.column_names, map(_column, table.columns), strict=True))
        time = columns.pop("time").cast(pl.Int64)
    except (pa.ArrowException, OSError, KeyError, pl.exceptions.PolarsError) as error:
        raise Damaged(f"{name} is not a Parquet file of an archive: {error}") from error
    return Frame(time, _named("f", columns), _named("t", columns))


def _named(kind: str, columns: Mapping[str, pl.Series]) -> tuple[tuple[str, pl.Series], ...]:
    return tuple((_name(label), c) for label, c in columns.items() if label.startswith((f"{kind}:", f"{kind}%:")))


def _name(label: str) -> str:
    kind, _, name = label.partition(":")
    return unquote_to_bytes(name).decode("utf-8", "surrogateescape") if kind.endswith("%") else name


def _column(chunked: "pa.ChunkedArray") -> pl.Series:
    import pyarrow as pa  # noqa: PLC0415 -- heavy, and only archives need it

    plain: Any = chunked
    if pa.types.is_dictionary(chunked.type):
        plain = chunked.cast(chunked.type.value_type)
    elif pa.types.is_timestamp(chunked.type):
        plain = chunked.cast(pa.int64())
    return pl.Series(values=plain)


def described(frame: Frame, content: bytes) -> DataFile:
    """What a snapshot says of a file."""
    first, last = frame.time.min(), frame.time.max()
    assert isinstance(first, int)  # noqa: S101 -- no file is empty
    assert isinstance(last, int)  # noqa: S101
    values = {name: len(column) - column.null_count() for name, column in frame.fields}
    return DataFile(hashlib.sha256(content).hexdigest(), len(content), len(frame), first, last, values)


def check_content(content: bytes, file: DataFile, name: str) -> None:
    """Raise Damaged unless these are the bytes of that file."""
    if len(content) != file.bytes or hashlib.sha256(content).hexdigest() != file.sha256:
        raise Damaged(
            f"{name} is damaged: its {len(content):,} bytes do not have the checksum that its name is; delete it, "
            "and the next run writes what it held again, if the source still has it"
        )


def are_same(one: Frame, other: Frame) -> bool:
    """Whether two frames, both ordered by series, hold the same points, bit by bit."""
    if len(one) != len(other) or not one.time.equals(other.time):
        return False
    return _same_columns(one.tags, other.tags) and _same_columns(one.fields, other.fields)


def _same_columns(one: Sequence[tuple[str, pl.Series]], other: Sequence[tuple[str, pl.Series]]) -> bool:
    if [(name, column.dtype) for name, column in one] != [(name, column.dtype) for name, column in other]:
        return False
    return all(_same_values(a, b) for (_, a), (_, b) in zip(one, other, strict=True))


def _same_values(one: pl.Series, other: pl.Series) -> bool:
    """Floats by their bits: -0.0 is not 0.0."""
    if one.dtype != pl.Float64:
        return one.equals(other)
    bits = [column.fill_null(0.0).to_numpy().view(np.int64) for column in (one, other)]
    return one.is_null().equals(other.is_null()) and np.array_equal(bits[0], bits[1])


def types_of(frame: Frame) -> dict[str, str]:
    """The InfluxDB type of each field."""
    return {name: field_types()[column.dtype] for name, column in frame.fields}
