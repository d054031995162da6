"""The independent reader of archives: what a snapshot in a folder holds, as docs/archive.md specifies the format.

It shares no code with the tool that it judges: only the standard library and pyarrow. Any file that is missing or
not what the snapshot says of it raises AssertionError.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.reader import Key, Snapshot, Value, exact

TYPES = {"double": "float", "int64": "integer", "uint64": "unsigned", "bool": "boolean"}
"""Of columns; any other holds text."""


def read_snapshot(archive: Path, manifest: Path, database: str) -> Snapshot:
    """Every value that a snapshot has of a database."""
    content = manifest.read_bytes()
    seal = b'{"sha256":"%b","snapshot":' % json.loads(content)["sha256"].encode()
    assert content.startswith(seal), f"{manifest} does not begin with its checksum"
    body = content.removeprefix(seal).removesuffix(b"}\n")
    assert hashlib.sha256(body).hexdigest().encode() in seal, f"{manifest} does not have its checksum"
    points: dict[Key, Value] = {}
    count = 0
    for policy, group, part in _parts(json.loads(body), database):
        names = (database, policy, f"{group['start']}_{group['end']}", part["name"])
        for file in part["files"]:
            path = archive.joinpath("data", *map(_encoded, names), f"{file['sha256']}.parquet")
            for at, value in _values(path, file, part, policy):
                assert group["start"] <= at[4] < group["end"], f"{path} has a point of another shard group"
                points[at] = value
                count += 1
    assert count == len(points), f"{manifest} holds {count - len(points)} values more than once"
    return Snapshot(points)


def _parts(body: Mapping[str, Any], database: str) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Policy, shard group, measurement."""
    for held in body["databases"]:
        for policy in held["policies"] if held["name"] == database else ():
            for group in policy["groups"]:
                for part in group["measurements"]:
                    yield policy["name"], group, part


def _encoded(name: str) -> str:
    text = quote(_bytes(name), safe="").replace("~", "%7E")
    return "%2E" + text[1:] if text.startswith(".") else text


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _values(
    path: Path, file: Mapping[str, Any], part: Mapping[str, Any], policy: str
) -> Iterator[tuple[Key, Value]]:
    content = path.read_bytes()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (file["sha256"], file["bytes"]), path
    table = pq.read_table(pa.BufferReader(content), use_threads=False)
    times = table["time"].cast(pa.int64()).to_pylist()
    assert (len(times), min(times), max(times)) == (file["rows"], file["first"], file["last"]), path
    columns = [(*_label(label), table[label]) for label in table.column_names if label != "time"]
    tags = [(name, column.to_pylist()) for kind, name, column in columns if kind == "t"]
    fields = [(name, column) for kind, name, column in columns if kind == "f"]
    for name, column in fields:
        assert TYPES.get(str(column.type), "string") == part["fields"][_str(name)], (path, name)
        assert len(column) - column.null_count == file["values"][_str(name)], (path, name)
    assert len(fields) == len(file["values"]), path
    for row, time in enumerate(times):
        own = tuple(sorted((name, _raw(values[row])) for name, values in tags if values[row] is not None))
        for name, column in fields:
            value = column[row].as_py()
            if value is not None:
                yield (policy, _bytes(part["name"]), own, name, time), exact(value)


def _label(label: str) -> tuple[str, bytes]:
    """The kind of a column, and its name."""
    kind, _, name = label.partition(":")
    return kind.removesuffix("%"), unquote_to_bytes(name) if kind.endswith("%") else name.encode()


def _raw(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _str(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
