"""The disk of the destination, of an archive, or of the tool's own log, is full."""

import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from copying.archive import buckets
from tests.faults.disks import SmallDisk, small_disk
from tests.faults.harness import (
    assert_mended,
    assert_partly_copied,
    copying,
    ended,
    fresh,
    lines,
    run,
    slow,
)
from tests.faults.rounds import Rounds
from tests.integration.archives import Archived
from tests.integration.harness import MONDAY, Pair, snapshot
from tests.support.archive_reader import read_snapshot
from tests.support.reader import difference
from tests.support.servers import InfluxServer
from tests.support.versitygw import BUCKET, PROGRAM, object_store

NO_SPACE = "no space left on device"
NO_SPACE_HERE = "No space left on device"


def noise(seed: int, rows: int = 2000) -> str:
    """Strings that do not compress: they fill a disk quickly."""
    chance = random.Random(seed)
    return "\n".join(
        f'noise,host={h} v={n}i,s="{chance.randbytes(400).hex()}" {MONDAY + n * 10**9}'
        for n in range(rows)
        for h in "ab"
    )


@contextmanager
def full_destination(source: InfluxServer, directory: Path, number: int) -> Iterator[tuple[Pair, SmallDisk]]:
    """A pair whose destination has a disk of two megabytes."""
    with small_disk(directory / f"disk{number}", megabytes=2) as disk:
        settings = {"data.dir": str(disk.path / "data"), "data.wal-dir": str(disk.path / "wal")}
        with InfluxServer.start("small", settings=settings) as destination:
            yield Pair(source, destination, f"full_{number}", directory / str(number)), disk


def test_the_disk_of_the_destination_is_full(source: InfluxServer, tmp_path: Path, rounds: Rounds) -> None:
    """The run fails and says so. With space again, and the server restarted, the next one is whole."""
    for number in rounds.of("disk of the destination full", 10):
        with full_destination(source, tmp_path, number) as (pair, disk):
            pair.write(noise(number))
            run(pair, slow(days_of_pagination=0.002)).assert_failed("destination", NO_SPACE)
            disk.grow(64)
            pair.destination.restart()
            assert_partly_copied(pair)
            assert_mended(pair)
            source.drop_database(pair.database)


def test_the_disk_of_the_destination_is_full_until_its_restart(
    source: InfluxServer, tmp_path: Path, rounds: Rounds
) -> None:
    """What was refused can be seen until the server restarts. A run that resumed behind it, and went on after the
    restart, has left it out: the next run finds that.
    """
    for number in rounds.of("disk of the destination full, mended while the tool retries", 10):
        with full_destination(source, tmp_path, number) as (pair, disk):
            pair.write(noise(number))
            run(pair, slow(days_of_pagination=0.002)).assert_failed("destination", NO_SPACE)
            with copying(pair, slow(days_of_pagination=0.002, retries=10)) as tool:
                tool.wait_for(f"{NO_SPACE}; retry 2 of 10")
                visible = len(pair.found())
                disk.grow(64)
                pair.destination.restart()
                found = ended(tool)
            assert visible > 0
            if found.code:
                found.assert_failed("destination")
            assert_mended(pair)
            source.drop_database(pair.database)


def test_the_disk_of_an_archive_is_full(pair: Pair, rounds: Rounds, tmp_path: Path) -> None:
    """Of a first snapshot or a second: nothing is published or half there; with space the next run goes on."""
    for number in rounds.of("disk of an archive full", 10):
        with fresh(pair, number) as round_, small_disk(tmp_path / f"archive{number}", megabytes=1) as disk:
            archived = Archived(round_)
            archived.folder = disk.path / "archive"
            _assert_full_and_mended(archived, disk, number, NO_SPACE_HERE)
            assert not list(archived.folder.glob("**/.new-*"))


@pytest.mark.skipif(not os.access(PROGRAM, os.X_OK), reason="make test-versions builds the object store")
def test_the_disk_of_an_object_store_is_full(
    pair: Pair, rounds: Rounds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, with what the store says of it."""
    monkeypatch.setattr(buckets, "PATIENCE", timedelta(seconds=1))
    for number in rounds.of("disk of an object store full", 10):
        with (
            fresh(pair, number) as round_,
            small_disk(tmp_path / f"store{number}", megabytes=1) as disk,
            object_store(disk.path) as store,
        ):
            for name, value in store.environ.items():
                monkeypatch.setenv(name, value)
            archived = Archived(round_)
            archived.place, archived.folder = f"s3://{BUCKET}/a", store.objects / "a"
            _assert_full_and_mended(
                archived, disk, number, f"507 Insufficient Storage, InsufficientStorage: {NO_SPACE_HERE}"
            )


def _assert_full_and_mended(archived: Archived, disk: SmallDisk, number: int, reason: str) -> None:
    pair, place = archived.pair, archived.place or str(archived.folder)
    if number % 2:
        pair.write(lines(30))
        archived.taken()
    before = archived.snapshots()
    pair.write(noise(number))
    (failure,) = archived.run().failures
    said = rf"archive {re.escape(place)}: cannot write data/\S+\.parquet: {reason}"
    assert re.fullmatch(f"{said}; nothing is published, and the next run goes on", failure), failure
    assert archived.snapshots() == before
    disk.grow(64)
    archived.taken()
    held = read_snapshot(archived.folder, archived.snapshots()[-1], pair.database)
    assert not difference(snapshot(pair.source, pair.database), held, names=("source", "archive"))


def test_the_disk_of_the_log_is_full(pair: Pair, rounds: Rounds, tmp_path: Path) -> None:
    """From the start or later: one complaint on the console, and a copy like any other."""
    for number in rounds.of("disk of the tool's log full", 10):
        with fresh(pair, number) as round_, small_disk(tmp_path / f"logs{number}", megabytes=1) as disk:
            round_.write(lines(500))
            if number % 2:
                _begin_log(disk.path, but=200)
            disk.fill()
            found = run(round_, slow(log_directory=str(disk.path)))
            assert disk.free == 0, "the disk is not full"
            assert found.code == 0, found
            assert found.output.count("logging goes on without it") == 1, found
            assert "No space left on device" in found.output, found
            round_.assert_equal()


def _begin_log(directory: Path, but: int) -> None:
    """A log of earlier runs, with so many bytes left in its last block: they can be written on a full disk."""
    (directory / "job").mkdir()
    (directory / "job" / "job.log").write_text("x" * (4095 - but) + "\n")
