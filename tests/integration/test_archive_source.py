"""An archive is compared with its source: what is the same there, what is not any more, and what is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from basics.stopping import StopRequest
from checking.archives import Proof, verified
from checking.progress import Progress
from config import Config
from tests.integration.archives import Archived
from tests.integration.harness import HOUR, MONDAY, WEEK, Pair
from tests.support.servers import InfluxServer


@pytest.fixture
def archived(pair: Pair) -> Archived:
    """The pair's source with an archive of it: two measurements in three shard groups, and a second policy."""
    names = ("cpu", "mem")
    lines = [f"{m},host=h{h % 2} v={h}.5,n={h}i {MONDAY + h * 12 * HOUR}" for h in range(42) for m in names]
    pair.write("\n".join(lines))
    pair.source.query(f'CREATE RETENTION POLICY "more" ON "{pair.database}" DURATION INF REPLICATION 1')
    pair.source.write(f"cpu v=1 {MONDAY}", pair.database, "more")
    found = Archived(pair)
    found.taken({"options": {"retries": 0}})
    return found


def compared(archived: Archived, stopping: StopRequest | None = None, progress: Progress | None = None) -> Proof:
    """What is found of the newest snapshot."""
    job: Path = archived.pair.directory / "job.yaml"
    return verified(Config(job), 1.0, with_source=True, stopping=stopping or StopRequest(), progress=progress)


def test_what_the_source_holds_otherwise_by_now_is_counted(archived: Archived) -> None:
    """Measurement by measurement, in each shard group; a new field is none of the snapshot's."""
    pair = archived.pair
    progress = Progress()
    proof = compared(archived, progress=progress)
    assert (proof.word, proof.changed, proof.parts) == ("whole", 0, 7)
    assert (progress.phase, progress.windows, progress.of, progress.values) == (
        "comparing with the source",
        7,
        7,
        2 * 42 * 2 + 1,
    )
    for number, line in enumerate(
        (
            f"cpu,host=h0 other=1 {MONDAY}",  # nothing of what was kept
            f"cpu,host=h0 v=7 {MONDAY}",
            f"mem,host=h1 n=7i {MONDAY + WEEK + 12 * HOUR}",
            f"cpu,host=new v=1 {MONDAY + 2 * WEEK}",
        )
    ):
        pair.source.write(line, pair.database)
        assert compared(archived).changed == number
    pair.source.query("DROP MEASUREMENT mem", db=pair.database)
    proof = compared(archived)
    assert (proof.word, proof.code, proof.changed, proof.parts) == ("whole", 0, 2 + 3, 7)


def test_a_source_that_does_not_answer_leaves_that_unknown(pair: Pair) -> None:
    """The archive is proved, and yet this is no success: something that was asked for was not looked at."""
    with InfluxServer.start("short") as server:
        own = Archived(Pair(server, pair.destination, pair.database, pair.directory))
        own.pair.write(f"m v=1 {MONDAY}")
        own.taken({"options": {"retries": 0}})
        server.stop()
        proof = compared(own)
    assert (proof.word, proof.code, proof.files, proof.parts) == ("NOT CHECKED", 2, 1, 0)
    (problem,) = proof.problems
    assert problem.startswith("compare with the source: ")


class Stops(Progress):
    """A stop comes when two parts were compared."""

    def __init__(self, stopping: StopRequest) -> None:
        super().__init__()
        self._stopping = stopping

    def passed(self, windows: int, values: int) -> None:
        """A file was read, or a part compared."""
        super().passed(windows, values)
        self._stopping.requested = self.phase == "comparing with the source" and self.windows == 2


def test_a_comparison_with_the_source_that_is_stopped_is_not_called_whole(archived: Archived) -> None:
    """What was compared by then is told."""
    stopping = StopRequest()
    proof = compared(archived, stopping, Stops(stopping))
    assert (proof.word, proof.parts, proof.changed) == ("NOT CHECKED", 2, 0)
    assert proof.problems == ["stopped before the end"]
