"""What the pages say of a job's archive, and of its restore drills. Pure."""

from collections.abc import Iterator

from basics.humanize import ago, counted, format_bytes, to_the_minute
from basics.text import printable
from copying.results import SnapshotTaken
from watching.events import Drilled, Proved
from watching.standing import snapshot_time
from watching.state import JobState
from watching.web.facts import Fact


def glance(job: JobState, now: int) -> Iterator[Fact]:
    """What the overview shows of a job that has an archive, or drills."""
    if job.archive:
        yield _archive(job, now)
    if job.drill or job.drill_schedule:
        yield _drill(job, now)


def in_full(job: JobState, now: int) -> Iterator[Fact]:
    """What the page of the job shows besides."""
    if taken := job.snapshot:
        yield Fact("Newest snapshot", ((taken.name, counted(taken.points, "point")), _files(taken)))
    if proof := job.proof:
        yield Fact("Archive verified", (_proof(proof, now),), "" if proof.result == "whole" else "wait")
    if drill := job.drill:
        yield Fact("Last drill", ((drill.sentence, _detail(drill)),), _tone(drill))


def _archive(job: JobState, now: int) -> Fact:
    taken = job.snapshot
    if taken is None:
        return Fact("Archive", (("no snapshot yet", ""),))
    note = f"{format_bytes(taken.archive_bytes)}, newest {ago(snapshot_time(taken), now)}"
    return Fact("Archive", ((counted(taken.snapshots, "snapshot"), note),), "wait" if job.damage else "")


def _files(taken: SnapshotTaken) -> tuple[str, str]:
    reused = taken.files - taken.new_files
    return f"{taken.new_files:,} new, {reused:,} reused files", format_bytes(taken.bytes)


def _proof(proof: Proved, now: int) -> tuple[str, str]:
    when = f"{ago(proof.at, now)}, read {proof.read}, {format_bytes(proof.bytes)}"
    return proof.result, printable(when + (f": {proof.detail}" if proof.detail else ""))


def _drill(job: JobState, now: int) -> Fact:
    """The last one, when; of one that did not pass, when one last did."""
    drill, passed = job.drill, job.rehearsed
    if drill is None:
        return Fact("Restore drill", (("none yet", ""),))
    if drill.result == "passed":
        return Fact("Restore drill", ((ago(drill.at, now), to_the_minute(drill.at)),))
    before = f"passed {ago(passed.at, now)}" if passed else "never passed"
    return Fact("Restore drill", ((f"{drill.result} {ago(drill.at, now)}", before),), _tone(drill))


def _detail(drill: Drilled) -> str:
    return printable(drill.detail.partition("\n")[0])


def _tone(drill: Drilled) -> str:
    return "" if drill.result == "passed" else "wait"
