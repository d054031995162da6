"""A snapshot that is read: file by file, so that memory does not grow with what it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from basics.spans import Span
from copying.archive import layout, manifest, parquet, serving, sums
from copying.archive.contents import Archive
from copying.archive.errors import Damaged, NotThere, Unequal
from copying.archive.folders import Folder
from copying.archive.manifest import Snapshot
from copying.archive.serving import ArchivedServer, open_snapshot
from influx.counting import Count
from influx.errors import QueryRefused, QueryTooLarge
from influx.fingerprints import Fingerprints, Look
from influx.frames import Frame
from influx.influxql import Location, Policy
from influx.pages import page_rows
from tests.copying.archive.samples import BEGIN, HOUR, PLACE, filled, points, snapshot_of


class Counting(Folder):
    """A folder that counts how often each file is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads = Counter[str]()

    def read(self, key: str) -> bytes:
        """As ever."""
        self.reads[key] += 1
        return super().read(key)


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


# ---------------------------------------------------------------- points


TYPES = {"v": ("float",), "i": ("integer",), "u": ("unsigned",), "s": ("string",)}


def held(*numbers: int, name: str = "v", host: str | bytes | None = "h") -> Frame:
    """Points at so many nanoseconds after the beginning, of one field."""
    values = pl.Series(values=numbers, dtype=pl.Float64)
    dtype = pl.Binary if isinstance(host, bytes) else pl.String
    tags = (("host", pl.Series(values=[host] * len(numbers), dtype=dtype)),)
    return Frame(pl.Series(values=[BEGIN + n for n in numbers], dtype=pl.Int64), ((name, values),), tags)


def one_after_the_other(server: ArchivedServer, place: Location, rows: int, end: int) -> Iterator[tuple[int, ...]]:
    """The times of each page, read as a copy does: the next one begins where this one ends."""
    span = Span(BEGIN, end)
    while span.start < span.end:
        page = server.read_page(place, {"v": ("float",)}, ("host",), span, rows)
        yield tuple(time - BEGIN for frame in page.frames for time in frame.time.to_list())
        assert span.start < page.span.end <= span.end
        span = Span(page.span.end, span.end)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (1, [(0,), (1, 1), (2,), (3,), (6,), (7,), (8,), (HOUR,), ()]),
        (2, [(0,), (1, 1), (2,), (3,), (6, 7), (8,), (HOUR,), ()]),
        (3, [(0, 1, 1), (2,), (3,), (6, 7, 8), (HOUR,), ()]),
        (4, [(0, 1, 1, 2), (3,), (6, 7, 8), (HOUR,), ()]),
    ],
)
def test_no_point_is_in_two_pages_or_in_none(
    rows: int, expected: Sequence[tuple[int, ...]], tmp_path: Path
) -> None:
    """However near to each other the files are, and whatever of them holds nothing of the fields."""
    store = Folder(tmp_path / "archive")
    files = [held(0, 1, 1, 2), held(3), held(4, 5, name="other"), held(6, 7, 8)]
    later = Span(BEGIN + HOUR, BEGIN + 2 * HOUR)
    known = [(PLACE, later, [held(HOUR)]), (PLACE, Span(BEGIN, BEGIN + HOUR), files)]
    server = ArchivedServer(Archive(store), snapshot_of(store, known))
    assert list(one_after_the_other(server, PLACE, rows, BEGIN + 2 * HOUR)) == expected


def test_a_page_has_the_columns_that_were_asked_for(tmp_path: Path) -> None:
    """A field that the file lacks is null; the tags of the file are there, too."""
    store = Folder(tmp_path / "archive")
    span = Span(BEGIN, BEGIN + HOUR)
    server = ArchivedServer(Archive(store), snapshot_of(store, [(PLACE, span, [held(1, 2)])]))
    page = server.read_page(PLACE, {"v": ("float",), "w": ("float",)}, ("a",), span)
    (frame,) = page.frames
    assert [name for name, _ in frame.fields] == ["v", "w"]
    assert [name for name, _ in frame.tags] == list(page.tags) == ["a", "host"]
    assert (page.limit, page.span) == (page_rows(3), Span(BEGIN, BEGIN + 3))
    nothing = server.read_page(PLACE, {"w": ("float",)}, ("a",), span)
    assert (nothing.frames, nothing.span, nothing.tags) == ((), span, ("a",))


def test_every_part_of_the_time_is_told_to_the_nanosecond(tmp_path: Path) -> None:
    """Numbers, first and last times, fingerprints and points; what is read or only looked up is the same."""
    store = Folder(tmp_path / "archive")
    server = ArchivedServer(Archive(store), filled(store, 2))
    rows = {name: (types, column_of(name)) for name, types in TYPES.items()}
    edges = [BEGIN - 1, BEGIN, BEGIN + 1, BEGIN + 9, BEGIN + 10, BEGIN + HOUR, BEGIN + HOUR + 1, BEGIN + HOUR + 9]
    for span in (Span(start, end) for start in edges for end in (*edges, BEGIN + HOUR + 10) if start < end):
        times = {name: [t for t in found if span.start <= t < span.end] for name, (_, found) in rows.items()}
        assert server.count_many([Count(PLACE, TYPES, span)]) == [{n: len(found) for n, found in times.items()}]
        asked = [(PLACE, name, types) for name, types in TYPES.items()]
        for edge, best in (("first", min), ("last", max)):
            expected = [best(found, default=None) for found in times.values()]
            assert server.get_edges(edge, asked, start=span.start, end=span.end) == expected
        some = [time for frame in server.frames(PLACE, span) for time in frame.time.to_list()]
        assert some == sorted(t for t in all_times() if span.start <= t < span.end)
        (fingerprints,) = server.get_fingerprints([Look(PLACE, TYPES, span)])
        told = sums.Told(Look(PLACE, TYPES, span), fingerprints or {}, "", one_shard=True)
        assert told.values == sum(map(len, times.values()))


def all_times() -> list[int]:
    """Of what is filled: three at each time."""
    return [begin + n // 3 for begin in (BEGIN, BEGIN + HOUR) for n in range(30)]


def column_of(name: str) -> list[int]:
    """The times at which a field has a value."""
    column = dict(points(30).fields)[name].to_list()
    return [time for time, value in zip(all_times(), column * 2, strict=True) if value is not None]


def test_only_files_that_may_hold_points_of_the_time_are_read(tmp_path: Path) -> None:
    """And none whose numbers say it already."""
    store = Counting(tmp_path / "archive")
    server = ArchivedServer(Archive(store), filled(store, 3))
    whole = Span(BEGIN, BEGIN + HOUR + 10)
    assert server.count_values(PLACE, TYPES, whole)["v"] == 30 * 2 - 14
    for span in (
        Span(BEGIN + 10, BEGIN + HOUR),
        Span(BEGIN - HOUR, BEGIN),
        Span(BEGIN + HOUR + 10, BEGIN + 2 * HOUR),
    ):
        assert server.count_values(PLACE, TYPES, span)["v"] == 0
        assert list(server.frames(PLACE, span)) == []
    assert server.get_edges("last", [(PLACE, "everywhere", ()), (PLACE, "nosuch", ())]) == [
        BEGIN + 2 * HOUR + 9,
        None,
    ]
    assert sum(store.reads.values()) == 0
    assert server.count_values(PLACE, TYPES, Span(BEGIN + 9, BEGIN + 3 * HOUR))["v"] == 3 + 23 * 2
    assert sum(store.reads.values()) == 1


def test_the_files_that_were_read_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of them, or as many as there is room for; one at least."""
    store = Counting(tmp_path / "archive")
    snapshot = filled(store, 8)

    def reads(*hours: int) -> int:
        server, before = ArchivedServer(Archive(store), snapshot), sum(store.reads.values())
        for hour in hours:
            list(server.frames(PLACE, Span(BEGIN + hour * HOUR, BEGIN + (hour + 1) * HOUR)))
        return sum(store.reads.values()) - before

    assert reads(0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5) == 6
    assert reads(0, 1, 2, 3, 4, 5, 0, 6, 0) == 7, "one that is asked for again stays"
    assert reads(0, 1, 2, 3, 4, 5, 6, 0) == 8
    monkeypatch.setattr(serving, "_HEAVIEST", 0)
    assert reads(0, 0, 1, 1, 0) == 3


# ---------------------------------------------------------------- what there is


@pytest.fixture
def served(tmp_path: Path) -> ArchivedServer:
    """Two databases, one of them with two policies; tags and types that change."""
    store, (one, two) = (
        Folder(tmp_path / "archive"),
        (Span(BEGIN, BEGIN + HOUR), Span(BEGIN + HOUR, BEGIN + 2 * HOUR)),
    )
    number = Frame(pl.Series(values=[BEGIN + HOUR], dtype=pl.Int64), (("v", pl.Series(values=[1])),), ())
    places = {name: replace(PLACE, measurement=name) for name in ("z", "a")}
    more = [(replace(PLACE, policy="more"), one, [held(1, name="w")])]
    more += [
        (Location("x", "autogen", "m"), one, [held(2, host=b"\xff"), held(3, host="x#!~#y"), held(4, host="")])
    ]
    known = [(places["z"], one, [held(1, host="h2"), held(2)]), (places["a"], one, [held(3, host=None)])]
    known += [(places["z"], two, [held(HOUR, HOUR + 1, host="h2")]), (places["a"], two, [number])]
    return ArchivedServer(Archive(store), snapshot_of(store, [*known, *more]))


def test_names_types_and_shard_groups_are_those_of_the_source(served: ArchivedServer) -> None:
    """Of the database and the policy that is asked for."""
    assert (served.ping(), served.version) == ("1.8.10", "1.8.10")
    assert served.get_databases() == ("db", "x")
    assert [policy.name for policy in served.get_retention_policies("db")] == ["autogen", "more"]
    assert served.get_retention_policies("x") == (Policy("autogen", 0, HOUR, is_default=True),)
    assert served.get_retention_policies("nosuch") == ()
    assert (served.get_measurements("db"), served.get_measurements("x")) == (("a", "m", "z"), ("m",))
    assert served.get_field_keys("db", "autogen") == {"z": {"v": ("float",)}, "a": {"v": ("float", "integer")}}
    assert served.get_field_keys("db", "more") == {"m": {"w": ("float",)}}
    assert served.get_field_keys("x", "more") == {}
    assert served.get_tag_keys("db") == {"z": ("host",), "a": (), "m": ("host",)}
    assert served.get_tag_keys("x") == {"m": ("host",)}
    groups = (Span(BEGIN, BEGIN + HOUR), Span(BEGIN + HOUR, BEGIN + 2 * HOUR))
    assert (served.get_shard_groups("db", "autogen"), served.get_shard_groups("db", "more")) == (
        groups,
        groups[:1],
    )
    assert [f"{p.database} {p.policy} {p.measurement}" for p in served.places] == [
        "db autogen a", "db autogen z", "db more m", "x autogen m",
    ]  # fmt: skip


def test_values_of_tags_are_told_once_and_those_that_cannot_be_kept_are_found(served: ArchivedServer) -> None:
    """In any of the files, whatever their bytes; of that tag alone."""
    z, strange = replace(PLACE, measurement="z"), Location("x", "autogen", "m")
    assert served.get_tag_values(z, "host") == ("h2", "h")
    assert served.get_tag_values(z, "nosuch") == ()
    assert set(served.get_tag_values(strange, "host")) - {""} == {"\udcff", "x#!~#y"}
    asked = [(z, "host"), (strange, "host"), (strange, "nosuch")]
    assert served.get_unstorable_tags(asked) == [False, True, False]


def test_what_a_snapshot_cannot_tell_it_does_not_tell(served: ArchivedServer) -> None:
    """Whoever asks does without: it has no process, and nobody writes to it."""
    with pytest.raises(QueryRefused, match="is no server"):
        served.get_process()
    assert served.get_request_number() is None
    assert served.get_shard_states("db", "autogen", BEGIN) is None
    assert served.get_newest_by_series([(PLACE, "v", ()), (PLACE, "w", ())], BEGIN) == [None, None]
    assert served.read_together([], 5) == []
    served.check_admin()
    served.close()


def test_all_files_are_proved_before_anything_is_restored(tmp_path: Path) -> None:
    """The last one, too."""
    store = Folder(tmp_path / "archive")
    snapshot = filled(store, 3)
    server = ArchivedServer(Archive(store), snapshot)
    server.check_files()
    path = tmp_path / "archive" / list(snapshot.files)[-1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Damaged, match="is damaged"):
        server.check_files()


def test_a_place_without_an_archive_is_said(tmp_path: Path) -> None:
    """Not that it holds no snapshot of the job."""
    with pytest.raises(NotThere, match="there is no archive at"):
        open_snapshot(str(tmp_path), "job", "latest")
    store = Folder(tmp_path)
    Archive(store).begin("job", BEGIN)
    with pytest.raises(NotThere, match="holds no snapshot of job 'job'; it holds those of: none at all"):
        open_snapshot(str(tmp_path), "job", "latest")
    snapshot = filled(store, 1)
    store.create(layout.snapshot_key("job", snapshot.name), manifest.written(snapshot))
    assert open_snapshot(str(tmp_path), "job", "latest").name == f"snapshot {snapshot.name}"


# ---------------------------------------------------------------- fingerprints in halves


class Short(ArchivedServer):
    """Answers only what is no longer than that, as a server does that has very many series."""

    longest = HOUR // 3

    def get_fingerprints(self, looks: Sequence[Look], most_bytes: int = 0) -> list[Fingerprints | None]:
        """As ever, or nothing."""
        found = super().get_fingerprints(looks, most_bytes)
        return [f if look.span.length <= self.longest else None for f, look in zip(found, looks, strict=True)]


def spread(store: Folder) -> tuple[Snapshot, Frame]:
    """Points over all of an hour, one of its series in a part of it alone; and as they are."""
    minutes = [
        held(*(n * HOUR // 60 for n in range(60)), host="h"),
        held(*(n * HOUR // 60 for n in range(9)), host="g"),
        held(1, HOUR - 1, name="w", host="g"),
    ]
    frame = sums_frame(minutes)
    return snapshot_of(store, [(PLACE, Span(BEGIN, BEGIN + HOUR), [frame])]), frame


def sums_frame(parts: Sequence[Frame]) -> Frame:
    """All of them, as a file has them."""
    from copying.archive.portions import united

    return parquet.sort_by_series(united(list(parts)))


def test_what_one_answer_cannot_hold_is_asked_for_in_halves(tmp_path: Path) -> None:
    """Then numbers of values prove it, of all halves together; the hash is that of what they hold."""
    store = Folder(tmp_path / "archive")
    snapshot, frame = spread(store)
    look = Look(PLACE, {"v": ("float",)}, Span(BEGIN, BEGIN + HOUR))
    short, whole = Short(Archive(store), snapshot), ArchivedServer(Archive(store), snapshot)
    (told, again), (other,) = (sums.ask(s, [look] * n, one_shard=True) for s, n in ((short, 2), (whole, 1)))
    assert (told.values, told.one_shard, other.values, other.one_shard) == (69, False, 69, True)
    assert told.rows == sums.only_counts(look, other.rows)
    assert told.digest == again.digest != other.digest
    more = replace(look, types={"v": ("float",), "w": ("float",), "x": ("float",)})
    (told_more,), (other_more,) = (sums.ask(server, [more], one_shard=False) for server in (short, whole))
    assert (told_more.rows, told_more.values) == (other_more.rows, 69 + 2)
    sums.check_equal(told, sums.added_up([frame], look))
    there = [row for row, value in enumerate(dict(frame.fields)["v"].to_list()) if value is not None]
    for number in (0, 40, 68):
        fewer = frame.gather([row for row in range(len(frame)) if row != there[number]])
        with pytest.raises(Unequal):
            sums.check_equal(told, sums.added_up([fewer], look))
    sums.check_equal(sums.ask(whole, [look], one_shard=False)[0], sums.added_up([frame], look))


def test_the_hash_of_what_is_told_feels_every_value(tmp_path: Path) -> None:
    """Times, numbers, tags, and the names of fields."""
    span = Span(BEGIN, BEGIN + HOUR)

    def digest(number: int, frame: Frame, field: str = "v") -> str:
        store = Folder(tmp_path / str(number))
        server = ArchivedServer(Archive(store), snapshot_of(store, [(PLACE, span, [frame])]))
        (told,) = sums.ask(server, [Look(PLACE, {field: ("float",)}, span)], one_shard=True)
        return told.digest

    plain = held(1, 2, 3)
    later = Frame(plain.time + 1, plain.fields, plain.tags)
    others = [held(1, 2, 4), held(1, 2), held(1, 2, 3, host="i"), held(1, 2, 3, host=None), later]
    found = [digest(number, frame) for number, frame in enumerate((plain, plain, *others))]
    assert found[0] == found[1]
    assert len({*found, digest(99, held(1, 2, 3, name="w"), "w")}) == 2 + len(others)


def test_a_second_that_one_answer_cannot_hold_ends_it(tmp_path: Path) -> None:
    """Smaller parts are not asked for."""
    store = Folder(tmp_path / "archive")
    snapshot, _ = spread(store)
    look = Look(PLACE, {"v": ("float",)}, Span(BEGIN, BEGIN + 10**9))
    short = Short(Archive(store), snapshot)
    for longest in (10**9, 10**9 // 2):
        short.longest = longest
        if longest == 10**9:
            assert sums.ask(short, [look], one_shard=True)[0].values == 2
            assert (
                sums.ask(short, [replace(look, span=Span(BEGIN, BEGIN + 2 * 10**9))], one_shard=True)[0].values
                == 2
            )
        else:
            with pytest.raises(QueryTooLarge, match="one second holds too many series"):
                sums.ask(short, [look], one_shard=True)
