"""Names of objects, snapshots as JSON, and which of them stay."""

import hashlib
import json
from dataclasses import replace

import pytest

from basics.spans import Span
from basics.times import DAY, HOUR, SECOND
from copying.archive import keeping, layout, manifest
from copying.archive.errors import ArchiveError, Damaged, NewerFormat
from copying.archive.manifest import DatabaseHeld, DataFile, Group, Part, PolicyHeld, Snapshot
from influx.influxql import Location, Policy
from settings.keys import Keep

NAMES = [
    "cpu",
    "a/b",
    "..",
    ".",
    ".hidden",
    "",
    "%41",
    "~x",
    "ü\n",
    "\udcff\udcfe",
    "CON",
    "x" * 300,
    "x" * 299 + "y",
]


def test_any_name_is_one_safe_part_of_a_path_and_no_two_are_the_same() -> None:
    """Short enough for a file system; it can be read back unless it was cut."""
    found = [layout.encoded(name) for name in NAMES]
    assert len(set(found)) == len(NAMES)
    for name, text in zip(NAMES, found, strict=True):
        assert text.isascii()
        assert "/" not in text
        assert not text.startswith(".")
        assert 0 < len(text) <= 200
        if len(name) < 100 and name:
            assert layout.decoded(text) == name
    assert [text.index("~") for text in found if text.startswith("xxx")] == [167, 167]  # it can be recognised


def test_names_that_are_cut_keep_their_place_for_ever() -> None:
    """Another one would be taken for a file that is lost: what fits stays, of the rest there is a hash."""
    digest = hashlib.sha256(b"x" * 201).hexdigest()[:32]
    assert layout.encoded("x" * 200) == "x" * 200
    assert layout.encoded("x" * 201) == f"{'x' * 167}~{digest}"
    cut = layout.encoded("ü" * 100)
    assert cut.startswith("%C3%BC" * 27 + "%C3~")  # no half of a byte
    assert layout.decoded(cut) == cut
    assert (layout.encoded(""), layout.decoded("%")) == ("%", "%")


def test_the_place_of_a_file() -> None:
    """Database, policy, shard group, measurement, checksum."""
    folder = layout.folder_of(Location("my db", "autogen", "a/b"), Span(-5, 7))
    assert layout.file_key(folder, "ab") == "data/my%20db/autogen/-5_7/a%2Fb/ab.parquet"


@pytest.mark.parametrize("now", [0, 1, 1_704_067_199_999_999_999, 1_704_067_200_123_456_789])
def test_names_of_snapshots_are_their_times(now: int) -> None:
    """And sort like these."""
    assert layout.snapshot_time(layout.snapshot_name(now)) == now
    assert layout.snapshot_name(now) < layout.snapshot_name(now + 1) < layout.snapshot_name(now + 100 * DAY)


@pytest.mark.parametrize("name", ["", "latest", "20260105T020000Z", "20261305T020000.000000000Z"])
def test_what_is_no_name_of_a_snapshot_is_said(name: str) -> None:
    """With an example."""
    with pytest.raises(ArchiveError, match="such as 2026"):
        layout.snapshot_time(name)


def a_snapshot() -> Snapshot:
    """With a name that is not UTF-8."""
    file = DataFile("ab" * 32, 10, 2, -5, 6, {"v": 2, "\udcff": 1})
    part = Part("m\udcfe", {"v": "float", "\udcff": "string"}, ("t",), "f00", (file,))
    group = Group(Span(-10, 10), "a.b.c", (part,))
    policy = PolicyHeld(Policy("autogen", 0, 7 * DAY, is_default=True), (group,))
    return Snapshot(
        "job", 1_704_067_200_000_000_001, "http://a:8086", (DatabaseHeld("db", (policy,)),), "1.8", {"db": "{}"}
    )


def test_a_snapshot_comes_back_from_its_json() -> None:
    """ASCII, so that any tool can read it."""
    content = manifest.written(a_snapshot())
    assert content.isascii()
    assert manifest.parsed(content, "x") == a_snapshot()
    assert json.loads(content)["snapshot"]["databases"][0]["name"] == "db"
    assert list(a_snapshot().files) == [f"data/db/autogen/-10_10/m%FE/{'ab' * 32}.parquet"]


def test_every_bit_of_it_that_is_flipped_is_noticed() -> None:
    """Those of the checksum and the brackets, too."""
    content = manifest.written(a_snapshot())
    for place in range(8 * len(content)):
        byte = bytes([content[place // 8] ^ (1 << place % 8)])
        with pytest.raises(Damaged):
            manifest.parsed(content[: place // 8] + byte + content[place // 8 + 1 :], "x")
    for wrong in (b"", content[:-1], content + b"\n", content[:50]):
        with pytest.raises(Damaged):
            manifest.parsed(wrong, "x")


def test_a_newer_format_and_another_document_are_told_apart() -> None:
    """The one is for a newer version of this tool, the other for nobody."""
    with pytest.raises(NewerFormat, match="update this tool"):
        manifest.parsed(manifest.sealed("snapshot", {"format": 2}), "x")
    body = json.loads(manifest.written(a_snapshot()))["snapshot"]
    assert manifest.parsed(manifest.sealed("snapshot", body), "x") == a_snapshot()
    for wrong in ({"format": 1}, {**body, "databases": 5}, {**body, "databases": ["db"]}):
        with pytest.raises(Damaged, match="not a snapshot"):
            manifest.parsed(manifest.sealed("snapshot", wrong), "x")


def test_a_snapshot_adds_up_what_it_names() -> None:
    """A file that it names twice takes its bytes once; each field counts where it has values."""
    snapshot = a_snapshot()
    (entry,) = snapshot.entries
    (file,) = entry.part.files
    other = replace(file, sha256="cd" * 32, bytes=7, rows=5, values={"v": 3})
    part = replace(entry.part, files=(file, other))
    assert (part.values, part.rows) == ({"v": 5, "\udcff": 1}, 7)
    (database,) = snapshot.databases
    (held,) = database.policies
    (group,) = held.groups
    later = replace(group, span=Span(10, 20), parts=(part, part))
    policy = replace(held, groups=(group, later))
    snapshot = replace(snapshot, databases=(replace(database, policies=(policy,)),))
    assert (snapshot.bytes, snapshot.rows) == (10 + 10 + 7, 2 + 7 + 7)
    assert snapshot.groups == {("db", "autogen", group.span): group, ("db", "autogen", later.span): later}


def nightly(days: int) -> list[str]:
    """Names of snapshots at two o'clock, and one more at noon of the last day."""
    begin = 1_704_074_400 * SECOND  # 2024-01-01T02:00:00Z, a Monday
    return [layout.snapshot_name(begin + day * DAY) for day in range(days)] + [
        layout.snapshot_name(begin + (days - 1) * DAY + 10 * HOUR)
    ]


@pytest.mark.parametrize(
    ("rules", "days"),
    [
        ({}, [31]),
        ({"last": 3}, [31, 31, 30]),
        ({"daily": 3}, [31, 30, 29]),
        ({"weekly": 3}, [31, 28, 21]),
        ({"monthly": 2}, [31]),
        ({"daily": 2, "weekly": 2, "yearly": 5}, [31, 30, 28]),
    ],
)
def test_which_snapshots_of_a_month_stay(rules: dict[str, int], days: list[int]) -> None:
    """The newest one always does."""
    found = keeping.kept(nightly(31), Keep(**rules))
    assert [int(name[6:8]) for name in sorted(found, reverse=True)] == days


def test_a_day_ends_with_its_last_nanosecond() -> None:
    """The snapshot of that is not one of the next day."""
    names = ["20240101T235959.999999999Z", "20240102T000000.000000000Z"]
    assert sorted(keeping.kept(names, Keep(daily=2))) == names


def test_weeks_are_those_of_the_calendar() -> None:
    """One that begins in December ends in January."""
    names = [f"{day}T020000.000000000Z" for day in ("20241222", "20241230", "20250105", "20250106")]
    assert sorted(keeping.kept(names, Keep(weekly=2))) == names[2:]
    assert sorted(keeping.kept(names, Keep(weekly=3))) == [names[0], *names[2:]]


def test_months_and_years_without_a_snapshot_are_not_counted() -> None:
    """Three months are the latest three that have one."""
    names = [f"{year}{month:02}15T020000.000000000Z" for year in (2022, 2024) for month in (1, 5, 9)]
    found = keeping.kept(names, Keep(monthly=4, yearly=2))
    assert sorted(name[:6] for name in found) == ["202209", "202401", "202405", "202409"]
    assert found["20240915T020000.000000000Z"] == ("newest", "monthly", "yearly")
