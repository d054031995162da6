"""Points of all types, as frames and in an archive."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from basics.spans import Span
from copying.archive import parquet
from copying.archive.folders import Folder
from copying.archive.manifest import DatabaseHeld, Entry, Group, Part, PolicyHeld, Snapshot
from influx.frames import Frame
from influx.influxql import Location, Policy

HOUR = 3600 * 10**9
BEGIN = 1_704_067_200_000_000_000
PLACE = Location("db", "autogen", "m")


def points(count: int, begin: int = 1_704_067_200_000_000_000) -> Frame:
    """So many rows, three at each time, with extremes, nulls and texts of all kinds."""
    rows = range(count)
    return Frame(
        pl.Series(values=[begin + i // 3 for i in rows], dtype=pl.Int64),
        (
            ("v", pl.Series(values=[[-0.0, i / 7, None, 5e-324][i % 4] for i in rows], dtype=pl.Float64)),
            ("i", pl.Series(values=[[2**63 - 1, -(2**63), None][i % 3] for i in rows], dtype=pl.Int64)),
            ("u", pl.Series(values=[[2**64 - 1, 0, None][i % 3] for i in rows], dtype=pl.UInt64)),
            ("b", pl.Series(values=[[True, False, None][i % 3] for i in rows], dtype=pl.Boolean)),
            ("s", pl.Series(values=[["", "é", None][i % 3] for i in rows], dtype=pl.String)),
            ("raw", pl.Series(values=[[b"\xff", b"", None][i % 3] for i in rows], dtype=pl.Binary)),
            ("nothing", pl.Series(values=[None] * count, dtype=pl.Null)),
        ),
        (
            ("t", pl.Series(values=[["a", "b", None][i % 3] for i in rows], dtype=pl.String)),
            ("\udcff", pl.Series(values=[["x", None][i % 2] for i in rows], dtype=pl.String)),
            ("none", pl.Series(values=[None] * count, dtype=pl.Null)),
        ),
    )


def filled(store: Folder, hours: int) -> Snapshot:
    """A file in each of so many shard groups."""
    held = []
    for hour in range(hours):
        span = Span(BEGIN + hour * HOUR, BEGIN + (hour + 1) * HOUR)
        some = points(30, span.start)
        everywhere = ("everywhere", pl.Series(values=range(30), dtype=pl.Int64))
        held.append((PLACE, span, [replace(some, fields=(*some.fields, everywhere))]))
    return snapshot_of(store, held)


def snapshot_of(store: Folder, held: Iterable[tuple[Location, Span, Sequence[Frame]]]) -> Snapshot:
    """A file for each frame: measurements in shard groups, in this order."""
    databases: dict[str, dict[str, dict[Span, list[Part]]]] = {}
    for place, span, some in held:
        ordered = [parquet.sort_by_series(frame) for frame in some]
        contents = [parquet.encode(frame) for frame in ordered]
        types = {name: type_ for frame in ordered for name, type_ in parquet.types_of(frame).items()}
        tags = tuple(sorted({name for frame in ordered for name, _ in frame.tags}))
        files = tuple(parquet.described(*each) for each in zip(ordered, contents, strict=True))
        part = Part(place.measurement, types, tags, "", files)
        for file, content in zip(files, contents, strict=True):
            store.create(Entry(place, span, part).key(file), content)
        databases.setdefault(place.database, {}).setdefault(place.policy, {}).setdefault(span, []).append(part)
    return Snapshot("job", BEGIN, "http://source", tuple(_database(*each) for each in databases.items()), "1.8.10")


def _database(name: str, policies: Mapping[str, Mapping[Span, Sequence[Part]]]) -> DatabaseHeld:
    groups = {
        policy: tuple(Group(span, "", tuple(parts)) for span, parts in spans.items())
        for policy, spans in policies.items()
    }
    return DatabaseHeld(
        name,
        tuple(PolicyHeld(Policy(p, 0, HOUR, is_default=p == "autogen"), found) for p, found in groups.items()),
    )
