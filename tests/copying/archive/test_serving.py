"""A snapshot that is read: file by file, so that memory does not grow with what it holds."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from basics.spans import Span
from copying.archive import parquet
from copying.archive.contents import Archive
from copying.archive.errors import Damaged
from copying.archive.folders import Folder
from copying.archive.manifest import DatabaseHeld, Entry, Group, Part, PolicyHeld, Snapshot
from copying.archive.serving import ArchivedServer
from influx.influxql import Location, Policy
from tests.copying.archive.samples import points

HOUR = 3600 * 10**9
BEGIN = 1_704_067_200_000_000_000
PLACE = Location("db", "autogen", "m")


class Counting(Folder):
    """A folder that counts how often each file is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads = Counter[str]()

    def read(self, key: str) -> bytes:
        """As ever."""
        self.reads[key] += 1
        return super().read(key)


def filled(store: Folder, hours: int) -> Snapshot:
    """A file in each of so many shard groups."""
    groups = []
    for hour in range(hours):
        span = Span(BEGIN + hour * HOUR, BEGIN + (hour + 1) * HOUR)
        some = points(30, span.start)
        everywhere = ("everywhere", pl.Series(values=range(30), dtype=pl.Int64))
        frame = parquet.sort_by_series(replace(some, fields=(*some.fields, everywhere)))
        content = parquet.encode(frame)
        part = Part("m", parquet.types_of(frame), ("t", "\udcff"), "", (parquet.described(frame, content),))
        store.create(Entry(PLACE, span, part).key(part.files[0]), content)
        groups.append(Group(span, "", (part,)))
    policy = Policy("autogen", 0, HOUR, is_default=True)
    held = DatabaseHeld("db", (PolicyHeld(policy, tuple(groups)),))
    return Snapshot("job", BEGIN, "http://source", (held,))


def test_each_file_is_read_once_when_its_turn_comes(tmp_path: Path) -> None:
    """Pages are asked for one after the other, whatever their size, and the files before are let go."""
    store = Counting(tmp_path / "archive")
    snapshot = filled(store, 20)
    server = ArchivedServer(Archive(store), snapshot)
    span, rows = Span(BEGIN, BEGIN + 20 * HOUR), 0
    while span.start < span.end:
        page = server.read_page(PLACE, {"i": ("integer",)}, ("t",), span, 12)
        rows += sum(map(len, page.frames))
        span = Span(page.span.end, span.end)
        assert sum(store.reads.values()) <= rows // 20 + 1, "files are read before their turn"
    assert rows == 20 * 20  # those that have an integer
    assert set(store.reads.values()) == {1}
    assert len(store.reads) == 20
    server.read_page(PLACE, {"i": ("integer",)}, ("t",), Span(BEGIN, BEGIN + HOUR), 12)
    assert sum(store.reads.values()) == 21, "all files are kept in memory"


@pytest.mark.parametrize("field", ["everywhere", "i"])
def test_the_first_and_the_last_value_are_those_of_the_points(field: str, tmp_path: Path) -> None:
    """Whether each row of a file has one, and the file need not be read, or some; also in a part of the time."""
    store = Folder(tmp_path / "archive")
    server = ArchivedServer(Archive(store), filled(store, 3))
    last = BEGIN + 2 * HOUR + 9
    for start, end, expected in (
        (BEGIN, BEGIN + 3 * HOUR, (BEGIN, last)),
        (BEGIN + 1, last, (BEGIN + 1, last - 1)),
        (BEGIN + 10, last - 9, (BEGIN + HOUR, BEGIN + HOUR + 9)),
        (last + 1, BEGIN + 3 * HOUR, (None, None)),
    ):
        for edge, time in zip(("first", "last"), expected, strict=True):
            assert server.get_edges(edge, [(PLACE, field, ())], start=start, end=end) == [time]


def test_metadata_that_cannot_be_read_are_damage(tmp_path: Path) -> None:
    """Named by its snapshot."""
    store = Folder(tmp_path / "archive")
    snapshot = replace(filled(store, 1), metadata={"db": "{"})
    with pytest.raises(Damaged, match=f"snapshot {snapshot.name}: "):
        _ = ArchivedServer(Archive(store), snapshot).saved
