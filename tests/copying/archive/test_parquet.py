"""Files: every type exact, the same points the same bytes, cut at the same places whatever the pages were."""

import hashlib
import random
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from copying.archive import parquet
from copying.archive.errors import Damaged, LibraryMissing
from copying.archive.places import open_store
from copying.archive.portions import portions
from influx.frames import Frame, UnexpectedRows
from tests.copying.archive.samples import points


def test_every_type_comes_back_bit_by_bit() -> None:
    """Extremes, nulls, empty texts and stray bytes; a column without a value is left out."""
    frame = parquet.sort_by_series(points(1000))
    back = parquet.decode(parquet.encode(frame), "x")
    assert parquet.are_same(frame, back)
    assert [name for name, _ in back.fields] == ["b", "i", "raw", "s", "u", "v"]
    assert parquet.types_of(back) == {
        "b": "boolean", "i": "integer", "raw": "string", "s": "string", "u": "unsigned", "v": "float",
    }  # fmt: skip
    assert [name for name, _ in back.tags] == ["t", "\udcff"]


def test_rows_are_ordered_by_series_then_time() -> None:
    """A series without the tag comes first."""
    frame = parquet.sort_by_series(points(300))
    tags = [[value or "" for value in column.to_list()] for _, column in frame.tags]
    keys = list(zip(*tags, frame.times.tolist(), strict=True))
    assert keys == sorted(keys)
    assert parquet.sort_by_time(frame).time.is_sorted()


def test_a_negative_zero_and_a_null_are_told_apart() -> None:
    """As bits, not as numbers."""
    one, other, third = (
        Frame(pl.Series(values=[1], dtype=pl.Int64), (("v", pl.Series(values=[v], dtype=pl.Float64)),), ())
        for v in (0.0, -0.0, None)
    )
    assert parquet.are_same(one, one)
    assert not parquet.are_same(one, other)
    assert not parquet.are_same(one, third)


def test_points_at_other_times_are_not_the_same() -> None:
    """However many they are, and whatever they hold; nor are some of them."""
    frame = parquet.sort_by_series(points(30))
    later = Frame(frame.time + 1, frame.fields, frame.tags)
    assert not parquet.are_same(frame, later)
    assert not parquet.are_same(frame, frame.split([20])[0])


def test_other_columns_and_values_are_not_the_same() -> None:
    """Names, types and nulls count, of tags as well as of fields."""
    times = pl.Series(values=[1, 2], dtype=pl.Int64)

    def pair(name: str, values: Sequence[object], dtype: type[pl.DataType]) -> tuple[tuple[str, pl.Series], ...]:
        return ((name, pl.Series(values=values, dtype=dtype)),)

    columns = [
        pair(name, values, dtype)
        for name, values, dtype in (
            ("v", [0, 1], pl.Int64), ("w", [0, 1], pl.Int64), ("v", [0, 1], pl.UInt64), ("v", [None, 1], pl.Int64),
            ("v", [0.0, 1.0], pl.Float64), ("v", [None, 1.0], pl.Float64), ("v", ["", "1"], pl.String),
        )
    ]  # fmt: skip
    columns += [(), (*columns[0], *columns[1])]
    for i, one in enumerate(columns):
        for j, other in enumerate(columns):
            assert parquet.are_same(Frame(times, one, ()), Frame(times, other, ())) is (i == j)
            assert parquet.are_same(Frame(times, (), one), Frame(times, (), other)) is (i == j)


@pytest.mark.parametrize("heaviest", [300, 2000, 10**9])
def test_the_same_points_make_the_same_files(heaviest: int) -> None:
    """However they were cut into pages."""
    whole, found = points(3000), []
    for seed in range(3):
        cuts = sorted(random.Random(seed).sample(range(1, 3000), 40 * seed))
        files = list(portions(whole.split(cuts), heaviest))
        assert sum(map(len, files)) == 3000
        found.append([hashlib.sha256(parquet.encode(file)).digest() for file in files])
    assert all(files == found[0] for files in found)


def test_no_time_is_in_two_files_and_they_follow_one_another() -> None:
    """So sums go on from one to the next."""
    files = list(portions([points(3000)], 100))
    assert len(files) > 50
    spans = [(int(file.times.min()), int(file.times.max())) for file in files]
    assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_no_more_than_a_file_and_a_page_wait() -> None:
    """So memory does not grow with the data: a file leaves as soon as it is full."""
    whole, read, written = points(30_000), 0, 0

    def pages() -> Iterator[Frame]:
        nonlocal read
        for page in whole.split(list(range(100, 30_000, 100))):
            read += len(page)
            yield page

    for file in portions(pages(), 2000):
        written += len(file)
        assert read - written <= 2 * 100, "pages wait that are no part of the next file"
    assert written == 30_000


@pytest.mark.parametrize(
    ("text", "weight"),
    [("x" * 800, 102), (b"\xff" * 800, 102), ("x" * 7, 2), (b"\xff" * 8, 3), ("", 2), (None, 1)],
)
def test_long_texts_weigh_more(text: str | bytes | None, weight: int) -> None:
    """One more for each eight bytes, whatever bytes they are: a file of few rows may be as large as memory."""
    for dtype in (pl.Binary,) if isinstance(text, bytes) else (pl.String,) if text else (pl.Binary, pl.String):
        values = pl.Series(values=[b"" if text == "" and dtype == pl.Binary else text] * 100, dtype=dtype)
        for fields, tags in (((("s", values),), ()), ((), (("s", values),))):
            frame = Frame(pl.Series(values=range(100), dtype=pl.Int64), fields, tags)
            assert [len(file) for file in portions([frame], 10 * weight)] == [10] * 10
            assert [len(file) for file in portions([frame], 10 * weight - 1)] == [9] * 11 + [1]


def test_a_page_without_points_ends_nothing() -> None:
    """Of a window in which there are none."""
    pages = points(30).split([10])
    assert [len(file) for file in portions([points(0), pages[0], points(0), pages[1]])] == [30]
    assert list(portions([points(0)])) == []


def test_two_types_of_a_field_are_no_file() -> None:
    """A shard group has one of them; a column that one of the pages lacks is empty there."""
    times = pl.Series(values=[1, 2], dtype=pl.Int64)
    one, other = (Frame(times + n, (("v", pl.Series(values=v)),), ()) for n, v in ((0, [1, 2]), (5, [1.5, 2.5])))
    with pytest.raises(UnexpectedRows, match="several types inside one shard group"):
        list(portions([one, other]))
    named = Frame(times + 5, (("w", pl.Series(values=[3, 4])),), (("t", pl.Series(values=["a", "b"])),))
    (whole,) = portions([one, named])
    assert {name: column.to_list() for name, column in (*whole.fields, *whole.tags)} == {
        "v": [1, 2, None, None], "w": [None, None, 3, 4], "t": [None, None, "a", "b"],
    }  # fmt: skip


def test_points_of_one_time_stay_together_however_many_they_are() -> None:
    """They cannot be told apart by time."""
    same = Frame(
        pl.Series(values=[7] * 500, dtype=pl.Int64),
        (("v", pl.Series(values=range(500), dtype=pl.Int64)),),
        (("t", pl.Series(values=[f"{i:03}" for i in range(500)], dtype=pl.String)),),
    )
    assert [len(file) for file in portions(same.split([100, 250]), 20)] == [500]


def test_a_library_that_is_not_installed_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is done."""
    parquet.check_library()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    remedy = "pip install -r copying/archive/requirements.txt"
    with pytest.raises(LibraryMissing, match=rf"an archive needs pyarrow, which cannot be loaded .*: {remedy}"):
        parquet.check_library()
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(LibraryMissing, match=rf"an archive needs obstore, which cannot be loaded .*: {remedy}"):
        open_store("memory:///")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 500])
def test_what_is_no_parquet_file_is_damaged(content: bytes) -> None:
    """Not a bug of ours."""
    with pytest.raises(Damaged, match="name of it"):
        parquet.decode(content, "name of it")


def test_a_bit_of_its_points_that_is_flipped_is_noticed_without_its_checksum() -> None:
    """Other programs, which have none, see by those of its pages what is damaged."""
    frame = parquet.sort_by_series(points(60))
    content = parquet.encode(frame)
    group = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    last = group.column(group.num_columns - 1)
    noticed = 0
    for place in range(4, last.data_page_offset + last.total_compressed_size):
        wrong = content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :]
        try:
            assert parquet.are_same(frame, parquet.decode(wrong, "x"))  # it was one that nobody looks at
        except Damaged:
            noticed += 1
    assert noticed > 600


def test_a_file_with_another_checksum_is_damaged() -> None:
    """Or of another size."""
    frame = parquet.sort_by_series(points(10))
    content = parquet.encode(frame)
    file = parquet.described(frame, content)
    parquet.check_content(content, file, "x")
    for wrong in (content[:-1], content + b"x", bytes([content[0] ^ 1]) + content[1:]):
        with pytest.raises(Damaged):
            parquet.check_content(wrong, file, "x")
