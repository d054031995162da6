"""A snapshot that answers the questions of a restore as a server would: whatever copies can copy from it."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from basics.spans import Span
from basics.times import END_OF_TIME, MIN_TIME
from copying.archive import parquet
from copying.archive.contents import Archive
from copying.archive.errors import Damaged
from copying.archive.manifest import DataFile, Entry, Snapshot
from copying.archive.places import open_store
from copying.archive.portions import filled
from copying.archive.sums import Adder
from copying.metadata.snapshot import SavedMetadata, Unreadable, from_bytes
from influx import storable
from influx.counting import Count
from influx.errors import QueryRefused
from influx.fingerprints import Fingerprints, Look
from influx.frames import Frame
from influx.identity import Process, RequestNumber
from influx.influxql import Location, Policy, Share, Tags
from influx.pages import Ask, Page, page_rows
from influx.shards import ShardStates
from influx_client import InfluxClient

_KEPT, _HEAVIEST = 6, 64_000_000
"""How many files, and bytes of them, are kept in memory: the next question mostly concerns the same one."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A file of a measurement."""

    key: str
    file: DataFile
    types: Mapping[str, str]

    def overlaps(self, span: Span) -> bool:
        """Whether it may hold points of that time."""
        return self.file.first < span.end and self.file.last >= span.start

    def is_inside(self, span: Span) -> bool:
        """Whether all its points are of that time."""
        return span.start <= self.file.first and self.file.last < span.end


class ArchivedServer(InfluxClient):
    """One snapshot, safe to use from several threads. It can be read, and nothing else.

    Every file is proved by its checksum before anything of it is handed out. Raises ArchiveError.
    """

    tells_shares = False

    def __init__(self, archive: Archive, snapshot: Snapshot) -> None:
        # there is no connection to set up
        self._archive = archive
        self._snapshot = snapshot
        self._cache: OrderedDict[str, Frame] = OrderedDict()
        self._lock = threading.Lock()
        self._files: dict[Location, list[_Held]] = {}
        for entry in snapshot.entries:
            self._files.setdefault(entry.location, []).extend(_held(entry))
        for found in self._files.values():
            found.sort(key=lambda held: held.file.first)
        self.url = archive.url
        self.name = f"snapshot {snapshot.name}"
        self.version = snapshot.version

    def close(self) -> None:
        """There is nothing to close."""

    @property
    def saved(self) -> dict[str, SavedMetadata]:
        """What each database had besides points. Raises Damaged."""
        try:
            return {name: from_bytes(text.encode()) for name, text in self._snapshot.metadata.items()}
        except Unreadable as error:
            raise Damaged(f"{self.name}: {error}") from error

    def check_files(self) -> None:
        """Read and prove every file. Raises ArchiveError at the first that is not what it was."""
        for key, file in self._snapshot.files.items():
            self._archive.read(key, file)

    # ------------------------------------------------------------ what there is

    def ping(self) -> str:
        """The version of the server that it was taken of."""
        return self.version

    def get_process(self) -> Process:
        """It is no process. Raises QueryRefused."""
        raise QueryRefused(f"{self.name} is no server")

    def get_request_number(self) -> RequestNumber | None:
        """It numbers no requests."""
        return None

    def get_databases(self) -> tuple[str, ...]:
        """By their names at the source."""
        return tuple(held.name for held in self._snapshot.databases)

    def get_retention_policies(self, database: str) -> tuple[Policy, ...]:
        """The policies of a database."""
        return tuple(
            held.policy for found in self._snapshot.databases if found.name == database for held in found.policies
        )

    def get_measurements(self, database: str) -> tuple[str, ...]:
        """All measurements of a database."""
        return tuple(sorted({place.measurement for place in self._files if place.database == database}))

    def get_field_keys(self, database: str, policy: str) -> dict[str, dict[str, tuple[str, ...]]]:
        """Measurement -> field -> all the types it has in the shard groups of this policy."""
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for location, files in self._files.items():
            if (location.database, location.policy) == (database, policy):
                fields = found.setdefault(location.measurement, {})
                for name, type_ in (pair for held in files for pair in held.types.items()):
                    fields[name] = tuple(dict.fromkeys((*fields.get(name, ()), type_)))
        return found

    def get_tag_keys(self, database: str) -> dict[str, tuple[str, ...]]:
        """Measurement -> tag keys."""
        found: dict[str, tuple[str, ...]] = {}
        for entry in self._snapshot.entries:
            if entry.location.database == database:
                name = entry.location.measurement
                found[name] = tuple(sorted({*found.get(name, ()), *entry.part.tags}))
        return found

    def get_shard_groups(self, database: str, policy: str) -> tuple[Span, ...]:
        """Those of the source."""
        groups = self._snapshot.groups
        return tuple(sorted(span for name, of, span in groups if (name, of) == (database, policy)))

    def get_shard_states(self, database: str, policy: str, now: int) -> ShardStates | None:  # noqa: ARG002
        """Nobody writes to it, and it does not say so."""
        return None

    def check_admin(self) -> None:
        """All of it may be seen."""

    # ------------------------------------------------------------ numbers and times

    def count_many(self, counts: Sequence[Count]) -> list[dict[str, int]]:
        """How many values of each field there are, for each question."""
        return [self.count_values(count.location, count.types, count.span) for count in counts]

    def count_values(self, location: Location, types: Mapping[str, tuple[str, ...]], span: Span) -> dict[str, int]:
        """How many values each of these fields has in the range."""
        found = dict.fromkeys(types, 0)
        for held in self._overlapping(location, span):
            counts = held.file.values if held.is_inside(span) else _counts(self._clipped(held, span))
            for name in found:
                found[name] += counts.get(name, 0)
        return found

    def get_edges(
        self,
        edge: str,
        fields: Sequence[tuple[Location, str, Iterable[str]]],
        *,
        start: int = MIN_TIME,
        end: int = END_OF_TIME,
        unknowable: int | None = None,  # noqa: ARG002 -- everything is known
    ) -> list[int | None]:
        """The time of the `first` or `last` value in `[start, end)` of each (location, field, types)."""
        return [self._edge(edge, location, name, Span(start, end)) for location, name, _ in fields]

    def _edge(self, edge: str, location: Location, name: str, span: Span) -> int | None:
        files = self._overlapping(location, span)
        for held in files if edge == "first" else reversed(files):
            if held.is_inside(span) and held.file.values.get(name) == held.file.rows:
                return held.file.first if edge == "first" else held.file.last
            times = _times_of(self._clipped(held, span), name) if held.file.values.get(name) else None
            if times is not None and len(times):
                return int(times.min() if edge == "first" else times.max())
        return None

    def get_newest_by_series(
        self,
        fields: Sequence[tuple[Location, str, Iterable[str]]],
        end: int,  # noqa: ARG002
    ) -> list[dict[Tags, int] | None]:
        """Not told: it takes reading all of it."""
        return [None for _ in fields]

    def get_tag_values(self, location: Location, tag: str) -> tuple[str, ...]:
        """The values of a tag of a measurement."""
        return tuple(dict.fromkeys(self._tag_values(location, tag)))

    def get_unstorable_tags(self, asked: Sequence[tuple[Location, str]]) -> list[bool]:
        """Whether each (location, tag) has values that InfluxDB cannot keep."""
        return [any(map(storable.tag_value_problem, self._tag_values(*what))) for what in asked]

    def _tag_values(self, location: Location, tag: str) -> Iterator[str]:
        for held in self._files.get(location, []):
            for name, column in self._frame(held).tags:
                for value in column.unique().drop_nulls().to_list() if name == tag else ():
                    yield value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")

    def get_fingerprints(
        self,
        looks: Sequence[Look],
        most_bytes: int = 0,  # noqa: ARG002 -- nothing is sent
    ) -> list[Fingerprints | None]:
        """The fingerprint of each series, for each question."""
        return [self._added_up(look) for look in looks]

    def _added_up(self, look: Look) -> Fingerprints:
        adder = Adder(look)
        for held in self._overlapping(look.location, look.span):
            adder.add(self._clipped(held, look.span))
        return adder.rows

    # ------------------------------------------------------------ points

    def frames(self, location: Location, span: Span) -> Iterator[Frame]:
        """All points of a measurement in a range, in frames of bounded size, oldest first."""
        for held in self._overlapping(location, span):
            frame = self._clipped(held, span)
            if len(frame):
                yield parquet.sort_by_time(frame)

    @property
    def places(self) -> tuple[Location, ...]:
        """Every measurement that it holds."""
        return tuple(sorted(self._files, key=lambda p: (p.database, p.policy, p.measurement)))

    def read_page(
        self,
        location: Location,
        types: Mapping[str, Sequence[str]],
        tags: Sequence[str],
        span: Span,
        rows: int | None = None,
        *,
        one_group: bool = False,  # noqa: ARG002 -- a file has one type
        share: Share | None = None,  # noqa: ARG002 -- nobody asks for one
    ) -> Page:
        """The oldest points of the range: about `rows` of them, but all that share a time, or none."""
        limit = rows or page_rows(len(types) + len(tags))
        for held in self._overlapping(location, span):
            clipped = self._clipped(held, span).with_fields(types)
            if not len(clipped):
                continue
            keys = tuple(sorted({*tags, *(name for name, _ in clipped.tags)}))
            frame = filled(parquet.sort_by_time(clipped), [*types], [*keys])
            end = min(held.file.last + 1, span.end)
            if len(frame) > limit:
                end = _whole_time(frame, limit)
                frame = frame.before(end)
            return Page((frame,), Span(span.start, end), keys, limit=limit)
        return Page((), span, tuple(tags), limit=limit)

    def read_together(self, asked: Sequence[Ask], rows: int) -> list[Frame | None]:  # noqa: ARG002
        """Each measurement is read by itself."""
        return [None for _ in asked]

    def _overlapping(self, location: Location, span: Span) -> list[_Held]:
        return [held for held in self._files.get(location, []) if held.overlaps(span)]

    def _clipped(self, held: _Held, span: Span) -> Frame:
        """The points of a file in that range, ordered by series."""
        frame = self._frame(held)
        if held.is_inside(span):
            return frame
        return frame.filter(pl.Series(values=(frame.times >= span.start) & (frame.times < span.end)))

    def _frame(self, held: _Held) -> Frame:
        with self._lock:
            if held.key in self._cache:
                self._cache.move_to_end(held.key)
                return self._cache[held.key]
        frame = parquet.decode(self._archive.read(held.key, held.file), held.key)
        with self._lock:
            self._cache[held.key] = frame
            while len(self._cache) > _KEPT or (len(self._cache) > 1 and self._bytes() > _HEAVIEST):
                self._cache.popitem(last=False)
        return frame

    def _bytes(self) -> int:
        columns = (column for frame in self._cache.values() for _, column in (*frame.fields, *frame.tags))
        return sum(int(column.estimated_size()) for column in columns)


def _held(entry: Entry) -> Iterator[_Held]:
    for file in entry.part.files:
        types = {name: type_ for name, type_ in entry.part.fields.items() if file.values.get(name)}
        yield _Held(entry.key(file), file, types)


def _counts(frame: Frame) -> dict[str, int]:
    return {name: len(column) - column.null_count() for name, column in frame.fields}


def _times_of(frame: Frame, name: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]] | None":
    column = dict(frame.fields).get(name)
    return None if column is None else frame.times[column.is_not_null().to_numpy()]


def _whole_time(frame: Frame, limit: int) -> int:
    """The first time after as many whole times as the limit allows, one at least."""
    times = frame.times
    last = int(times[limit])
    return last if last > int(times[0]) else last + 1


def open_snapshot(place: str, job: str, at: str) -> ArchivedServer:
    """The snapshot of a job that `at` names. Raises ArchiveError."""
    archive = Archive(open_store(place))
    archive.check()
    parquet.check_library()
    return ArchivedServer(archive, archive.load(archive.chosen(job, at).stored.key))
