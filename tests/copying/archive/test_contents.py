"""What an archive does with the files that are handed to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from copying.archive import layout, manifest, parquet
from copying.archive.contents import Archive
from copying.archive.errors import AlreadyThere, ArchiveError, Damaged, NewerFormat, NotThere
from copying.archive.folders import Folder
from copying.archive.manifest import DataFile, Snapshot
from tests.copying.archive.samples import BEGIN, HOUR, filled, points

KEY = "data/db/p/0_1/m/x.parquet"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """One that is just made."""
    archive = Archive(Folder(tmp_path / "archive"))
    archive.begin("job", time.time_ns())
    return archive


def a_file() -> tuple[DataFile, bytes]:
    """A file, and what is said of it."""
    frame = parquet.sort_by_series(points(10))
    content = parquet.encode(frame)
    return parquet.described(frame, content), content


def test_a_file_that_is_written_again_counts_as_new(archive: Archive, tmp_path: Path) -> None:
    """No snapshot names it yet, and one that prunes must not take it for forgotten."""
    file, content = a_file()
    archive.put(KEY, file, content)
    path = tmp_path / "archive" / KEY
    os.utime(path, (1, 1))
    archive.put(KEY, file, content)
    assert time.time() - path.stat().st_mtime < 3600
    assert archive.warnings == []


def test_a_damaged_file_is_written_again(archive: Archive, tmp_path: Path) -> None:
    """And that is told."""
    file, content = a_file()
    archive.put(KEY, file, content)
    path = tmp_path / "archive" / KEY
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(Damaged, match="is damaged"):
        archive.read(KEY, file)
    archive.put(KEY, file, content)
    assert archive.read(KEY, file) == content
    assert len(archive.warnings) == 1
    assert archive.warnings[0].endswith("; it is written again")


def test_the_size_of_an_archive_counts_what_was_there_and_what_was_written(archive: Archive) -> None:
    """Each file once."""
    file, content = a_file()
    assert archive.size == 0
    for _ in range(2):
        archive.put(KEY, file, content)
    assert archive.size == len(content)
    archive.begin("job", time.time_ns())
    assert archive.size == len(content)


def test_a_file_that_is_not_there_or_of_another_size_is_told(archive: Archive) -> None:
    """Either is read again."""
    file, content = a_file()
    assert not archive.has(KEY, file.bytes)
    archive.put(KEY, file, content)
    assert archive.has(KEY, file.bytes)
    assert not archive.has(KEY, file.bytes + 1)
    assert [warning.rpartition("; ")[2] for warning in archive.warnings] == [
        "what it held is read again",
        "it is written again",
    ]


def test_a_file_that_a_snapshot_names_is_left_as_it_is(archive: Archive, tmp_path: Path) -> None:
    """Nobody takes it for forgotten; in a bucket writing it once more would cost all of its bytes."""
    store = Folder(tmp_path / "archive")
    snapshot = replace(filled(store, 1), taken=time.time_ns())
    archive.publish(snapshot)
    assert archive.begin("job", time.time_ns()) == snapshot
    ((key, file),) = snapshot.files.items()
    os.utime(tmp_path / "archive" / key, (1, 1))
    archive.put(key, file, store.read(key))
    assert (tmp_path / "archive" / key).stat().st_mtime == 1
    archive.begin("another", time.time_ns())
    archive.put(key, file, store.read(key))
    assert (tmp_path / "archive" / key).stat().st_mtime > 1


# ---------------------------------------------------------------- which snapshots there are


def published(archive: Archive, tmp_path: Path) -> list[Snapshot]:
    """One in each of three hours, and one of another job."""
    first = filled(Folder(tmp_path / "archive"), 1)
    found = [replace(first, taken=BEGIN + hour * HOUR) for hour in (2, 0, 1)]
    for snapshot in (*found, replace(first, job="b/c", taken=BEGIN + 5 * HOUR)):
        archive.publish(snapshot)
    return sorted(found, key=lambda snapshot: snapshot.taken)


def test_snapshots_are_listed_oldest_first_and_nothing_else_is(archive: Archive, tmp_path: Path) -> None:
    """Whatever lies beside them."""
    ordered = [snapshot.name for snapshot in published(archive, tmp_path)]
    folder = tmp_path / "archive" / "snapshots" / "job"
    for name in (".new-0123", ".x.json", "notes.txt"):
        (folder / name).write_text("{}")
    assert [(listed.job, listed.name) for listed in archive.snapshots("job")] == [
        ("job", name) for name in ordered
    ]
    others = [("b/c", layout.snapshot_name(BEGIN + 5 * HOUR))]
    assert [(listed.job, listed.name) for listed in archive.snapshots()][3:] == others
    assert sorted(stored.key.rpartition("/")[2] for stored in archive.leftovers()) == [".new-0123", ".x.json"]


def test_a_snapshot_is_chosen_by_name_or_time(archive: Archive, tmp_path: Path) -> None:
    """The newest that is not later; of that job alone."""
    names = [snapshot.name for snapshot in published(archive, tmp_path)]
    for at, name in (
        ("latest", names[2]),
        (names[0], names[0]),
        (names[2], names[2]),
        ("2024-01-01T00:00:00Z", names[0]),
        ("2024-01-01T00:59:59Z", names[0]),
        ("2024-01-01T01:00:00Z", names[1]),
        ("2030-01-01", names[2]),
    ):
        assert archive.chosen("job", at).name == name
    for job, at, said in (
        ("job", "2023-12-31", f"that old: the oldest is {names[0]}"),
        ("job", "yesterday", f"no time either; the newest is {names[2]}"),
        ("nosuch", "latest", "it holds those of: b/c, job$"),
    ):
        with pytest.raises(NotThere, match=said):
            archive.chosen(job, at)


def test_a_snapshot_in_the_place_of_another_one_is_damage(archive: Archive, tmp_path: Path) -> None:
    """Its checksum is right, and it would be restored for another time."""
    one, other, _ = published(archive, tmp_path)
    place = tmp_path / "archive" / layout.snapshot_key("job", one.name)
    assert archive.load(layout.snapshot_key("job", one.name)) == one
    place.write_bytes((place.parent / f"{other.name}.json").read_bytes())
    with pytest.raises(Damaged, match=f"is snapshot {other.name} of job 'job': it was moved or renamed"):
        archive.load(layout.snapshot_key("job", one.name))


def test_a_run_goes_on_from_the_newest_snapshot_that_can_be_used(archive: Archive, tmp_path: Path) -> None:
    """What is damaged is told, and compared again; the clock of a run may be behind that of another writer."""
    one, other, newest = published(archive, tmp_path)
    assert archive.begin("job", BEGIN) == newest
    assert (archive.earlier, archive.warnings) == (3, [])
    for number, expected in enumerate((other, one, None), 1):
        place = tmp_path / "archive" / layout.snapshot_key("job", (newest, other, one)[number - 1].name)
        place.write_bytes(place.read_bytes()[:-1])
        archive.warnings.clear()
        assert archive.begin("job", time.time_ns()) == expected
        assert [text.rpartition("; ")[2] for text in archive.warnings] == [
            "everything it held is compared again"
        ] * number
    assert archive.begin("nosuch", time.time_ns()) is None
    assert archive.earlier == 0


def test_a_snapshot_of_the_future_ends_a_run(archive: Archive, tmp_path: Path) -> None:
    """The new one would not be the newest."""
    published(archive, tmp_path)
    later = replace(filled(Folder(tmp_path / "other"), 1), taken=time.time_ns() + 24 * HOUR, databases=())
    archive.publish(later)
    with pytest.raises(ArchiveError, match="correct the clock; nothing is published"):
        archive.begin("job", BEGIN)
    archive.begin("b/c", BEGIN)


# ---------------------------------------------------------------- another writer at the same moment


class Disturbed(Folder):
    """Something happens just before an object is created."""

    def __init__(self, root: Path, before: Callable[[str, bytes], None]) -> None:
        super().__init__(root)
        self.before = before

    def create(self, key: str, content: bytes) -> None:
        """As ever, after that."""
        self.before(key, content)
        super().create(key, content)


@pytest.mark.parametrize("version", [1, 2])
def test_an_archive_that_somebody_makes_at_the_same_moment_is_looked_at(version: int, tmp_path: Path) -> None:
    """It may be one of a newer version."""
    other = Folder(tmp_path)
    made = manifest.sealed("archive", {"format": version, "id": "x"})
    archive = Archive(Disturbed(tmp_path, lambda key, _: other.create(key, made)))
    if version == 2:
        with pytest.raises(NewerFormat, match="update this tool"):
            archive.begin("job", BEGIN)
    else:
        assert archive.begin("job", BEGIN) is None
    assert other.read(layout.ABOUT) == made


def test_nothing_is_published_when_a_file_went_missing(archive: Archive, tmp_path: Path) -> None:
    """Or is not as large as it was; the message names one of them."""
    snapshot = filled(Folder(tmp_path / "archive"), 3)
    first, second, _ = snapshot.files
    (tmp_path / "archive" / first).unlink()
    (tmp_path / "archive" / second).write_bytes(b"half")
    with pytest.raises(NotThere, match=rf"2 files of the new snapshot went missing, such as {first}; nothing is"):
        archive.publish(snapshot)
    assert archive.snapshots() == []


def test_a_snapshot_that_is_there_already_is_ours_or_somebody_elses(archive: Archive, tmp_path: Path) -> None:
    """After an attempt whose answer was lost it is what we wrote."""
    snapshot = filled(Folder(tmp_path / "archive"), 1)
    size = archive.publish(snapshot)
    assert archive.publish(snapshot) == size == len(manifest.written(snapshot))
    with pytest.raises(AlreadyThere):
        archive.publish(replace(snapshot, source="http://other"))
    assert archive.load(layout.snapshot_key("job", snapshot.name)) == snapshot


def test_a_store_that_loses_what_was_written_is_noticed(tmp_path: Path) -> None:
    """A snapshot is read back before it counts."""
    snapshot = filled(Folder(tmp_path), 1)
    other, key = replace(snapshot, source="http://other"), layout.snapshot_key("job", snapshot.name)

    class Forgetful(Folder):
        def create(self, key: str, content: bytes) -> None:
            super().create(key, manifest.written(other) if content == manifest.written(snapshot) else content)

    with pytest.raises(Damaged, match=f"{key} does not hold what was written to it"):
        Archive(Forgetful(tmp_path)).publish(snapshot)
