"""The disk of the destination, or that of the tool's own log, is full."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
from tests.integration.harness import MONDAY, Pair
from tests.support.servers import InfluxServer

NO_SPACE = "no space left on device"


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
