"""Archives are listed, proved, pruned and printed: what counts, what is skipped, and what ends it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from basics.spans import Span
from basics.stopping import StopRequest
from checking.archives import Wanted, check_file, listing, printed, prove_archive, prune, pruning, verified
from checking.progress import Progress
from config import Config
from copying.archive import layout, manifest
from copying.archive.contents import Archive
from copying.archive.errors import ArchiveError, Damaged, NotThere
from copying.archive.folders import Folder
from copying.archive.manifest import DataFile, Entry, Snapshot
from copying.archive.serving import ArchivedServer
from influx.influxql import Policy
from tests.copying.archive.samples import BEGIN, HOUR, filled

DAY = 24 * HOUR
ROWS = 30
"""Of each file."""


class Removals(Folder):
    """A folder that remembers what was removed, in order."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.removed: list[str] = []

    def delete(self, key: str) -> None:
        """As ever."""
        self.removed.append(key)
        super().delete(key)


class Made:
    """An archive with seven files; each snapshot holds the first of them, as they were on a day."""

    def __init__(self, root: Path) -> None:
        self.store = Removals(root / "archive")
        self.archive = Archive(self.store)
        self.archive.begin("job", BEGIN)
        self._all = filled(self.store, 7)
        self.files = list(self._all.files)
        self.sizes = [file.bytes for file in self._all.files.values()]
        self._root = root

    def snapshot(self, hours: int, day: int = 0, job: str = "job") -> Snapshot:
        """One of the first so many files."""
        (held,) = self._all.databases
        (policy,) = held.policies
        part = replace(held, policies=(replace(policy, groups=policy.groups[:hours]),))
        return replace(self._all, job=job, taken=BEGIN + day * DAY, databases=(part,))

    def publish(self, hours: int, day: int = 0, job: str = "job") -> Path:
        """Let it be there; its file."""
        snapshot = self.snapshot(hours, day, job)
        key = layout.snapshot_key(job, snapshot.name)
        self.store.create(key, manifest.written(snapshot))
        return self.path(key)

    def path(self, key: str) -> Path:
        """Where an object is."""
        return self._root / "archive" / key

    def config(self, keep: dict[str, int] | None = None, grace: str = "1d", job: str = "job") -> Config:
        """Of a job with this archive."""
        file = self._root / f"{job}.yaml"
        document: dict[str, Any] = {
            "source": {"url": "http://127.0.0.1:9"},
            "destination": {"archive": str(self._root / "archive")},
            "archive": {"keep": keep or {}, "grace": grace},
            "options": {"backup_mode": "incremental", "retries": 0},
        }
        file.write_text(yaml.safe_dump(document))
        return Config(file)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Without any snapshot yet."""
    return Made(tmp_path)


# ---------------------------------------------------------------- list


def test_a_list_says_of_each_snapshot_what_is_new_in_it(made: Made) -> None:
    """Also behind one that cannot be read; of one job or of all."""
    made.publish(3)
    made.publish(4, day=1).write_bytes(b"{}")
    made.publish(5, day=2)
    made.publish(7, day=3, job="other")
    lines = listing(made.archive, "job")
    assert [line.new_bytes for line in lines] == [sum(made.sizes[:3]), 0, sum(made.sizes[3:5])]
    assert [line.snapshot and line.snapshot.rows for line in lines] == [3 * ROWS, None, 5 * ROWS]
    assert [bool(line.problem) for line in lines] == [False, True, False]
    assert listing(made.archive, None)[-1].new_bytes == sum(made.sizes[5:])


# ---------------------------------------------------------------- verify


@pytest.mark.parametrize(("share", "files"), [(1.0, 5), (0.4, 2), (0.01, 1)])
def test_a_proof_counts_what_was_read(share: float, files: int, made: Made) -> None:
    """Each file once, however many snapshots name it; of a share at least one."""
    made.publish(3)
    made.publish(5, day=1)
    begun = time.monotonic()
    proof = verified(made.config(), share, with_source=False, stopping=StopRequest())
    assert (proof.word, proof.snapshots, proof.files, proof.of) == ("whole", 2, files, 5)
    assert proof.points == files * ROWS
    assert min(made.sizes) * files <= proof.bytes <= max(made.sizes) * files
    assert 0 < proof.seconds <= time.monotonic() - begun
    assert (proof.changed, proof.parts) == (None, 0)


def test_a_share_of_the_files_is_another_one_each_time(made: Made) -> None:
    """So that every file is read some time."""
    made.publish(7)
    for file in map(made.path, made.files):
        file.write_bytes(bytes(file.stat().st_size))
    found = {text for _ in range(30) for text in prove_archive(made.config(), 0.4, StopRequest()).damages}
    assert len(found) == 7


@pytest.mark.parametrize("share", [1.0, 0.01])
def test_what_is_lost_or_cut_is_noticed_without_being_chosen(share: float, made: Made) -> None:
    """The list of the store says that much; and a snapshot that cannot be read does not hide the others."""
    made.publish(2).write_bytes(b"{}")
    made.publish(5, day=1)
    lost, cut = made.path(made.files[1]), made.path(made.files[3])
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    proof = prove_archive(made.config(), share, StopRequest())
    assert (proof.word, proof.code, proof.snapshots, len(proof.damages)) == ("DAMAGED", 1, 2, 3)
    assert f"{made.files[1]} is missing" in proof.damages[1]
    assert made.files[3] in proof.damages[2]


def test_an_archive_without_a_snapshot_of_the_job_is_not_whole(made: Made) -> None:
    """Nor damaged: there is nothing to look at. One that is gone is."""
    made.publish(2, job="other")
    proof = verified(made.config(), 1.0, with_source=True, stopping=StopRequest())
    assert (proof.word, proof.of, proof.changed) == ("NOT CHECKED", 0, None)
    assert proof.problems == [f"archive {made.archive.url} holds no snapshot of job 'job'"]
    made.path(layout.ABOUT).unlink()
    assert prove_archive(made.config(), 1.0, StopRequest()).code == 1


class After(Progress):
    """Something happens once so many files were read."""

    def __init__(self, files: int, happens: Callable[[], object]) -> None:
        super().__init__()
        self._left, self._happens = files, happens

    def passed(self, windows: int, values: int) -> None:
        """A file was read."""
        super().passed(windows, values)
        self._left -= 1
        if not self._left:
            self._happens()


def test_a_proof_that_is_stopped_says_so_and_reads_no_further(made: Made) -> None:
    """Nothing that was not read is called whole."""
    made.publish(5)
    stopping = StopRequest()
    progress = After(2, lambda: setattr(stopping, "requested", True))
    proof = verified(made.config(), 1.0, with_source=False, stopping=stopping, progress=progress)
    assert (proof.word, proof.files, proof.of) == ("NOT CHECKED", 2, 5)
    assert proof.problems == ["stopped before the end"]
    assert (progress.phase, progress.windows, progress.of) == ("reading", sum(made.sizes[:2]), sum(made.sizes[:5]))
    assert progress.values == sum(sum(file.values.values()) for file in made.snapshot(2).files.values())


def test_a_store_that_fails_leaves_the_rest_unread(made: Made) -> None:
    """And the source is not asked: what it would be compared with was not proved."""
    made.publish(5)

    def break_it() -> None:
        file = made.path(made.files[2])
        file.unlink()
        file.mkdir()

    progress = After(2, break_it)
    proof = verified(made.config(), 1.0, with_source=True, stopping=StopRequest(), progress=progress)
    assert (proof.word, proof.code, proof.files, proof.damages, proof.changed) == ("NOT CHECKED", 2, 2, [], None)
    assert proof.problems[0].endswith("; 3 files not looked at")
    assert (progress.phase, progress.of) == ("reading", sum(made.sizes[:5]))


def test_a_file_has_to_hold_what_its_snapshot_says(made: Made) -> None:
    """Its numbers and its types, too, and not only the right bytes."""
    first = next(iter(made.snapshot(1).entries))
    (file,) = first.part.files
    key = made.files[0]
    check_file(made.archive, key, first, file)

    def wrong(entry: Entry, of: DataFile) -> None:
        with pytest.raises(Damaged, match="does not hold what its snapshot says of it"):
            check_file(made.archive, key, entry, of)

    wrong(first, replace(file, rows=file.rows + 1))
    wrong(first, replace(file, last=file.last + 1))
    wrong(replace(first, part=replace(first.part, fields={**first.part.fields, "i": "float"})), file)


# ---------------------------------------------------------------- prune


def test_what_any_snapshot_needs_that_stays_is_not_removed(made: Made) -> None:
    """Of other jobs, too; young files stay whatever they are, and what is removed goes after what names it."""
    made.publish(7)
    made.publish(6, day=1)
    made.publish(2, day=2)
    made.publish(4, day=3, job="other")
    old, now = time.time_ns() - 2 * DAY, time.time_ns()
    for key, age in zip(made.files, (old, old, old, old, now - DAY, now - DAY - 1, now - DAY - 1), strict=True):
        os.utime(made.path(key), ns=(age, age))
    plan = pruning(made.archive, made.config({"last": 1}).job, now)
    assert plan.kept == {made.snapshot(2, day=2).name: ("newest", "last")}
    assert [listed.name for listed in plan.snapshots] == [made.snapshot(1, day=day).name for day in (0, 1)]
    assert [stored.key for stored in plan.files] == made.files[5:]
    assert plan.bytes == sum(made.sizes[5:])
    assert made.store.removed == []
    prune(made.archive, plan)
    assert made.store.removed == [*(s.stored.key for s in plan.snapshots), *made.files[5:]]
    assert [line.problem for line in listing(made.archive, None)] == ["", ""]
    assert prove_archive(made.config(job="other"), 1.0, StopRequest()).word == "whole"


def test_nothing_is_removed_where_it_is_not_known_what_is_needed(made: Made) -> None:
    """A job without a snapshot, and one that stays and cannot be read; one that goes need not be read."""
    made.publish(7, job="other")
    with pytest.raises(NotThere, match="holds no snapshot of job 'job'; nothing is removed"):
        pruning(made.archive, made.config({"last": 1}).job, time.time_ns() + 3 * DAY)
    made.publish(7).write_bytes(b"{}")
    made.publish(6, day=1)
    assert len(pruning(made.archive, made.config({"last": 1}).job, time.time_ns() + 3 * DAY).snapshots) == 1
    made.publish(5, day=2, job="third").write_bytes(b"{}")
    with pytest.raises(ArchiveError):
        pruning(made.archive, made.config({"last": 1}).job, time.time_ns() + 3 * DAY)


# ---------------------------------------------------------------- cat


def server(made: Made) -> ArchivedServer:
    """Two databases; the first has two policies, the second two measurements. All points are in the same files."""
    snapshot = made.snapshot(2)
    (held,) = snapshot.databases
    (policy,) = held.policies
    more = replace(policy, policy=Policy("more", DAY, HOUR, is_default=False))
    groups = [replace(g, parts=(*g.parts, replace(g.parts[0], measurement="n", files=()))) for g in policy.groups]
    second = replace(held, name="second", policies=(replace(policy, groups=tuple(groups)),))
    held = replace(held, policies=(policy, more))
    for entry in replace(snapshot, databases=(held, second)).entries:
        for file in entry.part.files:
            target = made.path(entry.key(file))
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.write_bytes(next(made.path(k) for k in made.files if file.sha256 in k).read_bytes())
    return ArchivedServer(made.archive, replace(snapshot, databases=(held, second)))


@pytest.mark.parametrize(
    ("wanted", "contexts", "points"),
    [
        (Wanted(), ["db.autogen", "db.more", "second.autogen"], 3 * 2 * ROWS),
        (Wanted(databases=("db",)), ["db.autogen", "db.more"], 2 * 2 * ROWS),
        (Wanted(policies=("autogen",)), ["db.autogen", "second.autogen"], 2 * 2 * ROWS),
        (Wanted(("db",), ("more",), ("m",)), ["db.more"], 2 * ROWS),
        (Wanted(measurements=("n",)), [], 0),
        (Wanted(("second",), span=Span(BEGIN, BEGIN + 2)), ["second.autogen"], 6),
    ],
)
def test_what_is_printed_is_what_was_asked_for(
    wanted: Wanted, contexts: list[str], points: int, made: Made
) -> None:
    """Each policy is named once, before its points; databases without any of them are not made."""
    text = b"".join(printed(server(made), wanted)).decode("utf-8", "surrogateescape")
    head, _, body = text.partition("# DML\n")
    lines = body.split("\n")
    names = [line.rpartition(": ")[2] for line in lines if line.startswith("# CONTEXT")]
    assert [".".join(pair) for pair in zip(names[::2], names[1::2], strict=True)] == contexts
    assert sum(line.startswith(("m,", "m ")) for line in lines) == points
    made_there = {line.split('"')[1] for line in head.split("\n") if line.startswith("CREATE DATABASE")}
    assert made_there == ({c.partition(".")[0] for c in contexts} or {"second"})
    assert ('CREATE RETENTION POLICY "more"' in head) is ("db" in made_there)
