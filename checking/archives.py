"""`main.py archive list | verify | prune | cat`: what an archive holds, whether it is whole, and what may go."""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from basics.humanize import counted
from basics.patterns import NamePattern, is_selected
from basics.spans import Span
from basics.stopping import StopRequest
from checking.progress import Progress
from config import Config
from copying.archive import keeping, layout, parquet, sums
from copying.archive.contents import Archive, Listed
from copying.archive.errors import ArchiveError, Damaged, NotThere, Unequal
from copying.archive.manifest import DataFile, Entry, Snapshot
from copying.archive.places import Stored, open_store
from copying.archive.serving import ArchivedServer
from copying.restore.asked import EVER
from influx import influxql, line_protocol, shard_groups
from influx.errors import InfluxError
from influx.fingerprints import Look
from influx_client import InfluxClient, connect
from settings.keys import Job
from watching.events import ProofResult, Proved, shortened


def open_archive(place: str) -> Archive:
    """An archive that is there. Raises ArchiveError."""
    parquet.check_library()
    archive = Archive(open_store(place))
    archive.check()
    return archive


# ---------------------------------------------------------------- list


@dataclass(frozen=True, slots=True)
class Line:
    """A snapshot in a list; `problem` where it cannot be read."""

    listed: Listed
    snapshot: Snapshot | None = None
    new_bytes: int = 0
    """Of files that no snapshot before it names."""
    problem: str = ""


def listing(archive: Archive, job: str | None) -> list[Line]:
    """Every snapshot of a job, or of all, oldest first. Raises ArchiveError where the store does not answer."""
    found: list[Line] = []
    seen: set[str] = set()
    for listed in archive.snapshots(job):
        try:
            snapshot = archive.load(listed.stored.key)
        except ArchiveError as error:
            found.append(Line(listed, problem=str(error)))
            continue
        files = snapshot.files
        new = sum(file.bytes for key, file in files.items() if key not in seen)
        seen |= files.keys()
        found.append(Line(listed, snapshot, new))
    return found


# ---------------------------------------------------------------- verify


@dataclass(slots=True)
class Proof:
    """What came of looking at the snapshots of a job."""

    job: str
    snapshots: int = 0
    files: int = 0
    of: int = 0
    """How many files there are; with a sample only some are read."""
    bytes: int = 0
    points: int = 0
    seconds: float = 0.0
    damages: list[str] = field(default_factory=list)
    """What is missing or not what it was."""
    problems: list[str] = field(default_factory=list)
    """Why something could not be looked at."""
    changed: int | None = None
    """How many parts (a measurement in a shard group) the source holds otherwise by now; None: not asked."""
    parts: int = 0

    @property
    def word(self) -> str:
        """The result in a word."""
        if self.damages:
            return "DAMAGED"
        return "NOT CHECKED" if self.problems else "whole"

    @property
    def code(self) -> int:
        """The exit code that it asks for."""
        return 1 if self.damages else 2 if self.problems else 0


def verified(
    config: Config, share: float, *, with_source: bool, stopping: StopRequest, progress: Progress | None = None
) -> Proof:
    """Read and prove every file, or a share of them, that a snapshot of the job names. Raises ArchiveError."""
    job, begun = config.job, time.monotonic()
    progress = progress or Progress()
    archive, proof = open_archive(job.destination.archive), Proof(job.name)
    newest = None
    files: dict[str, tuple[Entry, DataFile]] = {}
    for line in listing(archive, job.name):
        proof.snapshots += 1
        if line.snapshot is None:
            proof.damages.append(line.problem)
            continue
        newest = line.snapshot
        files |= {entry.key(file): (entry, file) for entry in newest.entries for file in entry.part.files}
    if not proof.snapshots:
        proof.problems.append(f"archive {archive.url} holds no snapshot of job {job.name!r}")
    proof.of = len(files)
    _prove(archive, files, share, proof, stopping, progress)
    if with_source and newest and not proof.problems:
        _ask_source(config, ArchivedServer(archive, newest), newest, proof, stopping, progress)
    if stopping.is_set():
        proof.problems.append("stopped before the end")
    proof.seconds = time.monotonic() - begun
    return proof


def prove_archive(config: Config, share: float, stopping: StopRequest) -> Proof:
    """The same without the source; what keeps it from being looked at is a problem, not raised."""
    try:
        return verified(config, share, with_source=False, stopping=stopping)
    except ArchiveError as error:
        return unproved(config.job.name, error)


def unproved(job: str, error: ArchiveError) -> Proof:
    """What came of it where the archive cannot be looked at: it is damaged, or nobody knows."""
    if isinstance(error, Damaged | NotThere):
        return Proof(job, damages=[str(error)])
    return Proof(job, problems=[str(error)])


def as_event(proof: Proof, at: int) -> Proved:
    """The proof as the daemon hears of it; `at`: nanoseconds."""
    results: Mapping[int, ProofResult] = {0: "whole", 1: "damaged", 2: "could not check"}
    return Proved(
        proof.job,
        at,
        results[proof.code],
        shortened("\n".join((*proof.damages, *proof.problems))),
        proof.snapshots,
        proof.files,
        proof.of,
        proof.bytes,
        proof.points,
        proof.seconds,
    )


def _prove(
    archive: Archive,
    files: dict[str, tuple[Entry, DataFile]],
    share: float,
    proof: Proof,
    stopping: StopRequest,
    progress: Progress,
) -> None:
    """All are looked for in the list of the store, and a share of them is read."""
    there = {stored.key: stored.size for stored in archive.files()}
    keys = sorted(files)
    chosen = set(keys if share >= 1 else random.sample(keys, max(1, round(share * len(keys)))) if keys else ())
    lost = [key for key in keys if key not in there]
    proof.damages += [f"archive {archive.url}: {key} is missing" for key in lost]
    due = [key for key in keys if key in there and (key in chosen or there[key] != files[key][1].bytes)]
    progress.begin("reading", sum(files[key][1].bytes for key in due))
    for number, key in enumerate(due):
        if stopping.is_set():
            return
        entry, file = files[key]
        try:
            check_file(archive, key, entry, file)
        except (Damaged, NotThere) as error:
            proof.damages.append(str(error))
        except ArchiveError as error:
            proof.problems.append(f"{error}; {counted(len(due) - number, 'file')} not looked at")
            return
        progress.passed(file.bytes, sum(file.values.values()))
        proof.files += 1
        proof.bytes += file.bytes
        proof.points += file.rows


def check_file(archive: Archive, key: str, entry: Entry, file: DataFile) -> None:
    """Raise Damaged unless a file holds what its snapshot says of it."""
    content = archive.read(key, file)
    frame = parquet.decode(content, key)
    types = parquet.types_of(frame)
    expected = {name: entry.part.fields.get(name) for name in file.values}
    if parquet.described(frame, content) != file or types != expected:
        raise Damaged(f"archive {archive.url}: {key} does not hold what its snapshot says of it")


def _ask_source(
    config: Config,
    archived: ArchivedServer,
    snapshot: Snapshot,
    proof: Proof,
    stopping: StopRequest,
    progress: Progress,
) -> None:
    """Count the parts of which the source says something else by now."""
    job = config.job
    proof.changed = 0
    progress.begin("comparing with the source", sum(1 for _ in snapshot.entries))
    try:
        source = connect(job.options, job.source, "source", stopping)
        for (database, policy), entries in _by_policy(snapshot).items():
            known, groups = source.get_field_keys(database, policy), source.get_shard_groups(database, policy)
            for entry in entries:
                if stopping.is_set():
                    return
                types = {n: t for n, t in known.get(entry.part.measurement, {}).items() if n in entry.part.fields}
                look = Look(entry.location, types, entry.span)
                one_shard = shard_groups.is_inside_one(entry.span, groups)
                proof.parts += 1
                proof.changed += not types or _has_changed(source, archived, look, one_shard=one_shard)
                progress.passed(1, sum(entry.part.values.values()))
    except InfluxError as error:
        proof.problems.append(f"compare with the source: {error}")


def _by_policy(snapshot: Snapshot) -> dict[tuple[str, str], list[Entry]]:
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in snapshot.entries:
        found.setdefault((entry.location.database, entry.location.policy), []).append(entry)
    return found


def _has_changed(source: InfluxClient, archived: ArchivedServer, look: Look, *, one_shard: bool) -> bool:
    (told,) = sums.ask(source, [look], one_shard=one_shard)
    (held,) = archived.get_fingerprints([look])
    try:
        sums.check_equal(told, held or {})
    except Unequal:
        return True
    return False


# ---------------------------------------------------------------- prune


@dataclass(frozen=True, slots=True)
class Pruning:
    """What pruning an archive would remove."""

    job: str
    kept: dict[str, tuple[str, ...]]
    snapshots: tuple[Listed, ...]
    files: tuple[Stored, ...]

    @property
    def bytes(self) -> int:
        """What it would free."""
        return sum(stored.size for stored in self.files)


def pruning(archive: Archive, job: Job, now: int) -> Pruning:
    """What may go: snapshots that `archive.keep` does not name, then files that no snapshot of any job names.

    Raises ArchiveError where the job has none, and where one that stays cannot be read: what it needs is unknown.
    """
    known = archive.snapshots()
    name = layout.decoded(layout.encoded(job.name))  # as the list has it: a long one is cut
    if not any(listed.job == name for listed in known):  # or a list that is none made all files look forgotten
        raise NotThere(f"archive {archive.url} holds no snapshot of job {job.name!r}; nothing is removed")
    kept = keeping.kept((listed.name for listed in known if listed.job == name), job.archive.keep)
    going = tuple(listed for listed in known if listed.job == name and listed.name not in kept)
    needed: set[str] = set()
    for listed in known:
        if listed not in going:
            needed |= archive.load(listed.stored.key).files.keys()
    young = now - job.archive.grace
    there = (*archive.files(), *archive.leftovers())
    files = tuple(stored for stored in there if stored.key not in needed and stored.written < young)
    return Pruning(job.name, kept, going, files)


def prune(archive: Archive, plan: Pruning) -> None:
    """Do it: snapshots first, so that none ever names a file that is gone. Raises ArchiveError.

    A file that a run has named again since the plan was made is younger than it was then, and stays.
    """
    for listed in plan.snapshots:
        archive.delete(listed.stored.key)
    written = {stored.key: stored.written for stored in (*archive.files(), *archive.leftovers())}
    for stored in plan.files:
        if written.get(stored.key) == stored.written:
            archive.delete(stored.key)


# ---------------------------------------------------------------- cat


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to print. Empty means all."""

    databases: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    measurements: tuple[str, ...] = ()
    span: Span = EVER


def printed(server: ArchivedServer, wanted: Wanted) -> Iterator[bytes]:
    """The points as `influx -import` takes them: the databases and policies, then line protocol, oldest first."""
    patterns = tuple(map(NamePattern, wanted.measurements))
    places = [
        place
        for place in server.places
        if (not wanted.databases or place.database in wanted.databases)
        and (not wanted.policies or place.policy in wanted.policies)
        and is_selected(place.measurement, patterns, ())
    ]
    yield b"# DDL\n"
    for database in dict.fromkeys(place.database for place in places):
        yield f"{influxql.create_database(database)}\n".encode("utf-8", "surrogateescape")
        for policy in server.get_retention_policies(database):
            yield f"{influxql.create_retention_policy(database, policy)}\n".encode("utf-8", "surrogateescape")
    yield b"# DML\n"
    last = ("", "")
    for place in places:
        for frame in server.frames(place, wanted.span):
            if (place.database, place.policy) != last:
                last = (place.database, place.policy)
                yield _context(*last)
            for body in line_protocol.encode_frame(frame, place.measurement).bodies:
                yield body.text + b"\n"


def _context(database: str, policy: str) -> bytes:
    text = f"# CONTEXT-DATABASE: {database}\n# CONTEXT-RETENTION-POLICY: {policy}\n"
    return text.encode("utf-8", "surrogateescape")
