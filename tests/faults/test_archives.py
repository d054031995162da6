"""Archiving, pruning and restoring are killed at random moments: no snapshot is untrue, and the next run goes on.

After each, everything that is there is read by a reader that shares no code with the tool, and compared exactly.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from basics.stopping import StopRequest
from checking.archives import verified
from config import Config
from tests.faults.harness import assert_nothing_invented, fresh, lines, points_written
from tests.faults.rounds import Rounds
from tests.integration.archives import Archived
from tests.integration.harness import ROOT, Pair, snapshot
from tests.support.archive_reader import read_snapshot
from tests.support.reader import Snapshot, difference

MINUTES = 420
FILES = 21
"""As many as there are then: seven shard groups of an hour, three measurements."""
WHOLE = FILES + 2
"""All objects of an archive with one snapshot."""

KEEPS_ONE = {"archive": {"keep": {"last": 1}, "grace": "1ns"}}


@contextmanager
def beginning(pair: Pair, number: int) -> Iterator[Archived]:
    """A round with a database of its own, whose shard groups last an hour."""
    with fresh(pair, number) as round_:
        round_.source.query(f'CREATE DATABASE "{round_.database}" WITH SHARD DURATION 1h')
        yield Archived(round_)


def killed(job: Path, chance: random.Random, is_time: Callable[[], bool], *arguments: str) -> bool:
    """Begin a command, and kill it a moment after it is time: its parent, or all of it. Whether it still ran."""
    command = [sys.executable, "main.py", *arguments, "--config", str(job)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as tool:
        while tool.poll() is None and not is_time():
            time.sleep(0.0005)
        time.sleep(chance.uniform(0, 0.02))
        is_hit = tool.poll() is None
        if is_hit:
            chance.choice([os.kill, os.killpg])(tool.pid, signal.SIGKILL)
        output, _ = tool.communicate()
    assert "Traceback" not in output, output
    return is_hit


def at_least(most: int, count: Callable[[], int]) -> Callable[[], bool]:
    """It is time when there are so many."""
    return lambda: count() >= most


def at_most(least: int, count: Callable[[], int]) -> Callable[[], bool]:
    """It is time when there are no more than so many."""
    return lambda: count() <= least


def assert_whole(archived: Archived, expected: dict[str, Snapshot]) -> None:
    """Every snapshot that is there holds what the source held when it was taken, and the tool says so, too."""
    found = archived.snapshots()
    assert {path.stem for path in found} == expected.keys()
    for path in found:
        held = read_snapshot(archived.folder, path, archived.pair.database)
        assert not difference(expected[path.stem], held, names=("source", path.stem))
    if found:
        config = Config(archived.pair.directory / "job.yaml")
        assert verified(config, 1.0, with_source=False, stopping=StopRequest()).word == "whole"


def test_kill_9_of_archiving(pair: Pair, rounds: Rounds) -> None:
    """Of a first snapshot and of one more: it is there whole or not at all, and the one before still is."""
    text = lines(MINUTES)
    for number in rounds.of("kill -9 of archiving", 100):
        chance = random.Random(number)
        with beginning(pair, number) as archived:
            expected: dict[str, Snapshot] = {}
            if number % 2:
                archived.pair.write(lines(MINUTES // 2))
                expected[archived.taken()] = _source(archived)
            archived.pair.write(text)
            before = _count(archived.folder)
            is_time = at_least(before + chance.randrange(WHOLE - before + 2), partial(_count, archived.folder))
            is_hit = killed(archived.job(), chance, is_time, "run", "--once")
            new = [path.stem for path in archived.snapshots() if path.stem not in expected]
            rounds.saw(_moment(is_hit=is_hit, began=_count(archived.folder) > before, ended=bool(new)))
            expected |= {name: _source(archived) for name in new}
            assert_whole(archived, expected)
            expected[archived.taken()] = _source(archived)
            assert_whole(archived, expected)


def test_kill_9_of_pruning(pair: Pair, rounds: Rounds) -> None:
    """What stays is whole; once more, and nothing is there but what the snapshots that stay need."""
    with beginning(pair, 1000) as made:
        expected: dict[str, Snapshot] = {}
        for turn in range(6):  # every file anew
            made.pair.write(lines(MINUTES).replace(".5,", f".{turn},"))
            expected[made.taken()] = _source(made)
        newest = max(expected)
        for number in rounds.of("kill -9 of pruning", 100):
            chance = random.Random(number)
            archived = Archived(made.pair.elsewhere(str(number)))
            made.copied_to(archived.folder)
            before = _count(archived.folder)
            is_time = at_most(chance.randrange(WHOLE, before), partial(_count, archived.folder))
            is_hit = killed(archived.job(KEEPS_ONE), chance, is_time, "archive", "prune", "--yes")
            left = _count(archived.folder)
            rounds.saw(_moment(is_hit=is_hit, began=left < before, ended=left == WHOLE))
            there = {path.stem for path in archived.snapshots()}
            assert newest in there
            assert_whole(archived, {name: expected[name] for name in there})
            archived.main("archive", "prune", "--yes")
            assert_whole(archived, {newest: expected[newest]})
            assert _count(archived.folder) == WHOLE
            shutil.rmtree(archived.folder)


def test_kill_9_of_restoring(pair: Pair, rounds: Rounds) -> None:
    """Nothing is there that was not in the archive; the same command goes on, and all of it comes back."""
    with beginning(pair, 2000) as archived:
        archived.pair.write(lines(MINUTES))
        expected, target = _source(archived), pair.destination
        archived.taken()
        command = ("restore", "--from", "archive", "--yes", "--to", target.url, "--existing", "fill")
        for number in rounds.of("kill -9 of restoring", 100):
            chance = random.Random(number)
            target.drop_database(archived.pair.database)
            some = int(chance.uniform(0, 1) * len(expected) / 2)
            is_time = at_least(points_written(target) + some, partial(points_written, target))
            is_hit = killed(archived.pair.directory / "job.yaml", chance, is_time, *command)
            found = snapshot(target, archived.pair.database) if _has(archived) else Snapshot({})
            rounds.saw(_moment(is_hit=is_hit, began=bool(len(found)), ended=len(found) == len(expected)))
            assert_nothing_invented(found, expected)
            assert not difference(expected, archived.restored("--existing", "fill"), names=("source", "restored"))
            assert_whole(archived, {archived.snapshots()[0].stem: expected})


def _source(archived: Archived) -> Snapshot:
    return snapshot(archived.pair.source, archived.pair.database)


def _has(archived: Archived) -> bool:
    return [archived.pair.database] in archived.pair.destination.rows("SHOW DATABASES")


def _count(folder: Path) -> int:
    """How many objects there are, those that are not whole yet too."""
    return sum(len(names) for _, _, names in os.walk(folder))


def _moment(*, is_hit: bool, began: bool, ended: bool) -> str:
    """When it was killed."""
    if not is_hit:
        return "over before"
    return "at its end" if ended else "in the middle" if began else "at its beginning"
