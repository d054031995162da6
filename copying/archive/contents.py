"""Archive: what a store holds as snapshots and files. Nothing is changed in place, and what is read is proved."""

import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from basics.humanize import counted
from basics.times import format_time, parse_time
from copying.archive import layout, manifest, parquet
from copying.archive.errors import AlreadyThere, ArchiveError, Damaged, NewerFormat, NotThere
from copying.archive.manifest import DataFile, Snapshot
from copying.archive.places import Store, Stored

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """A snapshot that is there, and its object."""

    job: str
    name: str
    stored: Stored


class Archive:
    """An archive in a store. Every method raises ArchiveError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self._there: dict[str, Stored] = {}
        self._named: Mapping[str, DataFile] = {}
        self.warnings: list[str] = []
        self.earlier = 0
        """How many snapshots the job had when its run began."""

    # ------------------------------------------------------------ what there is

    def check(self) -> None:
        """Raise unless it is an archive that this version understands."""
        try:
            content = self._store.read(layout.ABOUT)
        except NotThere as error:
            raise NotThere(f"there is no archive at {self.url}: {error}") from None
        manifest.unsealed("archive", content, f"archive {self.url}: {layout.ABOUT}")

    def snapshots(self, job: str | None = None) -> list[Listed]:
        """Those of a job, or of all, oldest first; not proved, not even to be whole."""
        prefix = f"{layout.SNAPSHOTS}/" if job is None else layout.snapshots_of(job)
        found = []
        for stored in self._store.list(prefix):
            folder, _, name = stored.key.removeprefix(f"{layout.SNAPSHOTS}/").rpartition("/")
            if name.endswith(".json") and not name.startswith("."):
                found.append(Listed(layout.decoded(folder), name.removesuffix(".json"), stored))
        return sorted(found, key=lambda listed: (listed.name, listed.job))

    def chosen(self, job: str, at: str) -> Listed:
        """The snapshot that `at` names: `latest`, a name, or a time, of which it is not later. Raises NotThere."""
        known = self.snapshots(job)
        if not known:
            others = ", ".join(sorted({listed.job for listed in self.snapshots()})) or "none at all"
            raise NotThere(f"archive {self.url} holds no snapshot of job {job!r}; it holds those of: {others}")
        fitting = known if at == "latest" else [listed for listed in known if listed.name == at]
        if not fitting:
            try:
                most = layout.snapshot_name(parse_time(at))
            except ValueError:
                raise NotThere(
                    f"archive {self.url} holds no snapshot {at!r} of job {job!r}, and that is no time either; "
                    f"the newest is {known[-1].name}"
                ) from None
            fitting = [listed for listed in known if listed.name <= most]
        if not fitting:
            raise NotThere(
                f"archive {self.url} holds no snapshot of job {job!r} that old: the oldest is {known[0].name}"
            )
        return fitting[-1]

    def load(self, key: str) -> Snapshot:
        """A snapshot, proved. Raises NotThere, Damaged, NewerFormat."""
        name = f"archive {self.url}: {key}"
        snapshot = manifest.parsed(self._store.read(key), name)
        if layout.snapshot_key(snapshot.job, snapshot.name) != key:
            raise Damaged(f"{name} is snapshot {snapshot.name} of job {snapshot.job!r}: it was moved or renamed")
        return snapshot

    def files(self) -> Iterator[Stored]:
        """Every object below `data/`, those that are no files of ours too."""
        return self._store.list(f"{layout.DATA}/")

    def leftovers(self) -> Iterator[Stored]:
        """What writers that were killed have left beside snapshots."""
        there = self._store.list(f"{layout.SNAPSHOTS}/")
        return (stored for stored in there if stored.key.rpartition("/")[2].startswith("."))

    def read(self, key: str, file: DataFile) -> bytes:
        """The bytes of a file, proved by its checksum. Raises NotThere, Damaged."""
        content = self._store.read(key)
        parquet.check_content(content, file, f"archive {self.url}: {key}")
        return content

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._store.delete(key)

    @property
    def size(self) -> int:
        """How much all files take that were there when a run began, and those that it wrote."""
        return sum(stored.size for stored in self._there.values())

    # ------------------------------------------------------------ writing

    def begin(self, job: str, now: int) -> Snapshot | None:
        """Make the archive where there is none, and look at it; the newest snapshot of the job that can be used.

        Raises ArchiveError where a snapshot is of a time after `now`, or of a later version of this tool.
        """
        parquet.check_library()
        try:
            self.check()
        except NotThere:
            body = {"format": layout.FORMAT, "id": uuid.uuid4().hex, "made": format_time(now)}
            try:
                self._store.create(layout.ABOUT, manifest.sealed("archive", body))
                logger.info("made an archive at %s", self.url)
            except AlreadyThere:
                self.check()
        self._there = {stored.key: stored for stored in self.files()}
        before = self._newest(job, max(now, time.time_ns()))  # another writer may have been faster
        self._named = before.files if before else {}
        return before

    def _newest(self, job: str, now: int) -> Snapshot | None:
        known = self.snapshots(job)
        self.earlier = len(known)
        for listed in reversed(known):
            if listed.name >= layout.snapshot_name(now):
                raise ArchiveError(
                    f"archive {self.url}: {listed.stored.key} was taken at a later time than this machine shows "
                    f"({format_time(now)}): correct the clock; nothing is published"
                )
            try:
                return self.load(listed.stored.key)
            except NewerFormat:
                raise
            except (Damaged, NotThere) as error:
                self._warn(f"{error}; everything it held is compared again")
        return None

    def _warn(self, text: str) -> None:
        logger.warning("%s", text)
        self.warnings.append(text)

    def has(self, key: str, size: int) -> bool:
        """Whether a file of the snapshot before is there, with its size. What is lost is told, and read again."""
        stored = self._there.get(key)
        if stored is None:
            self._warn(f"archive {self.url}: {key} is missing; what it held is read again")
        elif stored.size != size:
            self._warn(f"archive {self.url}: {key} has {stored.size:,} bytes, not {size:,}; it is written again")
        return stored is not None and stored.size == size

    def is_sound(self, key: str, file: DataFile) -> bool:
        """Whether a file that is there holds what it held. What is damaged is told when it is written again."""
        try:
            self.read(key, file)
        except (NotThere, Damaged):
            return False
        return True

    def put(self, key: str, file: DataFile, content: bytes) -> None:
        """Let a file be there with this content. One that is there is left alone, unless it is damaged."""
        try:
            self._store.create(key, content)
        except AlreadyThere:
            try:
                self.read(key, file)
                if key not in self._named:  # nobody may take it for forgotten
                    self._store.refresh(key, content)
            except Damaged as error:
                self._warn(f"{error}; it is written again")
                self._store.delete(key)
                self._store.create(key, content)
        self._there[key] = Stored(key, len(content), 0)

    def publish(self, snapshot: Snapshot) -> int:
        """Write a snapshot all of whose files are there; how large it is. Raises NotThere where one is not."""
        there = {stored.key: stored.size for stored in self.files()}
        lost = [key for key, file in snapshot.files.items() if there.get(key) != file.bytes]
        if lost:
            raise NotThere(
                f"archive {self.url}: {counted(len(lost), 'file')} of the new snapshot went missing, such as "
                f"{lost[0]}; nothing is published, and the next run writes them again"
            )
        content = manifest.written(snapshot)
        key = layout.snapshot_key(snapshot.job, snapshot.name)
        try:
            self._store.create(key, content)
        except AlreadyThere:
            # of another writer, or of an attempt of ours whose answer was lost
            if self._store.read(key) != content:
                raise
        if self.load(key) != snapshot:
            raise Damaged(f"archive {self.url}: {key} does not hold what was written to it")
        return len(content)
