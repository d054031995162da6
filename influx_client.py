"""InfluxClient: one InfluxDB 1.x server. Reads that are provably complete, writes that are acknowledged.

Every public method raises an `InfluxError` (answers.py draws the tree) and never returns a value for a failure;
transport.py makes the requests, and tries again.
"""

import functools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import answers
import counting
import csv_answers
import frames
import influxql
import line_protocol
import narrowing
import timeline
from answers import (
    IncompleteAnswer,
    InfluxError,
    NotKept,
    Overloaded,
    QueryRefused,
    QueryTooLarge,
    RequestTooLarge,
    Series,
    Unreachable,
)
from config import Server
from counting import STATEMENTS, Count, Counts
from frames import Frame
from influxql import Location, Policy, Tags
from line_protocol import Body, Point
from quarantine import Quarantine
from report import Written
from stopping import StopRequest
from timeline import END_OF_TIME, FEWEST_ROWS, Span
from transport import DOCUMENT_ROWS, Meter, Transport
from values import MIN_TIME, SECOND

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

CHUNK_CELLS = 200_000
"""How many values one document of an answer, and so one frame, holds at most."""

FIRST_ROWS = 20_000
"""How many rows the first page of a range holds; later ones hold more where that pays."""

DOCUMENTS = 10
"""How many documents the answer for one page has at least, to see when it begins."""

PAGE_CELLS = 2_500_000
"""How many rows times columns one page of rows holds at most; it is in memory as a whole."""

FEW_POINTS = 1000
"""A request of so many points is not made smaller for a destination whose cache is full: it waits."""

BLOCK_CELLS = 450_000
"""How many rows times columns are encoded at once."""

PAGE_BYTES = 24 * 1024 * 1024
"""The most bytes of one page off the wire; very long strings make the tool ask for fewer rows."""

SLOW_START = 0.1
"""From which share of its time on a page that had to wait for its first row should have been longer."""


@dataclass(frozen=True, slots=True)
class Page:
    """Every point of a location in `span`, oldest first, in frames of bounded size.

    `tags` are the tag keys that the points were read with.
    """

    frames: tuple[Frame, ...]
    span: Span
    tags: tuple[str, ...] = ()
    meter: Meter = field(default_factory=Meter)
    """What it took to read it."""
    limit: int = 0
    """How many rows were asked for, after all: more than wanted where so many points share a time."""

    @property
    def rows(self) -> int:
        """How many points."""
        return sum(map(len, self.frames))

    @property
    def blocks(self) -> Iterator[Frame]:
        """The same points in frames of about BLOCK_CELLS, so that encoding them takes little memory."""
        for frame in self.frames:
            rows = max(1, BLOCK_CELLS // (1 + len(frame.fields) + len(frame.tags)))
            yield from frame.split(range(rows, len(frame), rows))

    @property
    def slow_start(self) -> bool:
        """Whether the server took long to begin, measured by how long all of it took."""
        return self.meter.waited > SLOW_START * self.meter.seconds

    @property
    def fitting(self) -> int:
        """How many rows like these fit into a page, with room for some that are longer."""
        if not self.rows or not self.meter.size:
            return END_OF_TIME
        return PAGE_BYTES * 3 * self.rows // (4 * self.meter.size)


@dataclass(frozen=True, slots=True)
class Ask:
    """Which points are wanted: some fields, with the types that each has, of a measurement in a range."""

    location: Location
    types: Mapping[str, Sequence[str]]
    tags: Sequence[str]
    span: Span


class InfluxClient:
    """A connection to one server, safe to use from several threads.

    `role` names the server in messages ("source", "destination"). `stopping` interrupts waits between
    attempts. Raises InfluxError when the server cannot be reached: the constructor pings it.
    """

    def __init__(
        self,
        server: Server,
        role: str,
        *,
        timeout: float = 20,
        retries: int = 3,
        retry_delay: float = 5,
        threads: int = 8,
        stopping: StopRequest | None = None,
    ) -> None:
        self._stopping = stopping or StopRequest()
        self._server = Transport(
            server,
            role,
            timeout=timeout,
            retries=retries,
            retry_delay=retry_delay,
            threads=threads,
            stopping=self._stopping,
        )
        self._not_as_csv: set[Location] = set()
        self.name = self._server.name
        self.version = self.ping()

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    # ------------------------------------------------------------ what there is

    def ping(self) -> str:
        """The server's version."""
        return self._server.attempts("ping", self._server.ping)

    def get_databases(self) -> tuple[str, ...]:
        """The databases that the user may see, but for `_internal`."""
        names = self._names("SHOW DATABASES")
        return tuple(name for name in names if name != "_internal")

    def get_retention_policies(self, database: str) -> tuple[Policy, ...]:
        """The policies of a database. Raises NotFound when there is no such database."""
        (answer,) = self.query_data(influxql.show_retention_policies(database))
        rows = [dict(zip(s.columns, row, strict=True)) for s in answer for row in s.rows]
        return tuple(
            Policy(
                answers.as_text(row["name"]),
                influxql.parse_go_duration(answers.as_text(row["duration"])),
                influxql.parse_go_duration(answers.as_text(row["shardGroupDuration"])),
                bool(row["default"]),
            )
            for row in rows
        )

    def create_database(self, database: str, default: Policy | None = None) -> None:
        """Create the database, with this default policy; nothing happens when both are there already."""
        self.query_data(influxql.create_database(database, default))

    def create_retention_policy(self, database: str, policy: Policy) -> None:
        """Create the policy. Raises QueryRefused when one of the name exists with other durations."""
        self.query_data(influxql.create_retention_policy(database, policy))

    def get_measurements(self, database: str) -> tuple[str, ...]:
        """All measurements of a database, whatever their retention policy."""
        return self._names("SHOW MEASUREMENTS", database)

    def get_field_keys(self, database: str, policy: str) -> dict[str, dict[str, tuple[str, ...]]]:
        """Measurement -> field -> all the types it has in the shards of this policy."""
        (answer,) = self.query_data("SHOW FIELD KEYS", database, policy)
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for series in answer:
            types = found.setdefault(series.name, {})
            for key, type_ in series.rows:
                types[answers.as_text(key)] = (*types.get(answers.as_text(key), ()), answers.as_text(type_))
        return found

    def get_tag_keys(self, database: str) -> dict[str, tuple[str, ...]]:
        """Measurement -> tag keys, whatever their retention policy."""
        (answer,) = self.query_data("SHOW TAG KEYS", database)
        found: dict[str, tuple[str, ...]] = {}
        for series in answer:
            found[series.name] = (*found.get(series.name, ()), *(answers.as_text(row[0]) for row in series.rows))
        return found

    def get_shard_groups(self, database: str, policy: str) -> tuple[Span, ...]:
        """Where the policy holds data, in order. Raises AccessDenied for a user who is not an administrator."""
        (answer,) = self.query_data("SHOW SHARD GROUPS")
        rows = [dict(zip(s.columns, map(answers.as_text, row), strict=True)) for s in answer for row in s.rows]
        spans = (
            Span(answers.shard_time(row["start_time"]), answers.shard_time(row["end_time"]))
            for row in rows
            if row["database"] == database and row["retention_policy"] == policy
        )
        return tuple(sorted(spans))

    def get_first_timestamp(self, location: Location, field: str, types: Iterable[str]) -> int | None:
        """The time of the oldest value of a field; None when it has none."""
        return self.get_edges("first", [(location, field, types)], unknowable=MIN_TIME)[0]

    def get_last_timestamp(
        self, location: Location, field: str, types: Iterable[str], end: int = END_OF_TIME
    ) -> int | None:
        """The time of the newest value of a field that is older than `end`; None when it has none."""
        return self.get_edges("last", [(location, field, types)], end=end)[0]

    def get_edges(
        self,
        edge: str,
        fields: Sequence[tuple[Location, str, Iterable[str]]],
        *,
        start: int = MIN_TIME,
        end: int = END_OF_TIME,
        unknowable: int | None = None,
    ) -> list[int | None]:
        """The time of the `first` or `last` value in `[start, end)` of each (location, field, types).

        One statement for each type of a field, many to a request: two selectors in one statement, such as
        `last(a), last(b)`, would answer time 0. `unknowable` is the answer for a field of several types whose
        name needs a regex: a regex cannot be cast, so it would see only one of the types.
        """
        all_types = [tuple(types) for _, _, types in fields]
        known = [len(t) < 2 or influxql.is_quotable(f) for t, (_, f, _) in zip(all_types, fields, strict=True)]
        asked = [(i, t) for i, types in enumerate(all_types) if known[i] for t in types]
        found: list[list[int]] = [[] for _ in fields]
        for begin in range(0, len(asked), STATEMENTS):
            batch = asked[begin : begin + STATEMENTS]
            edges = self._edges(edge, [(*fields[i][:2], type_) for i, type_ in batch], Span(start, end))
            for (index, _), time in zip(batch, edges, strict=True):
                found[index].extend(() if time is None else (time,))
        best = max if edge == "last" else min
        return [unknowable if not known[i] else best(times) if times else None for i, times in enumerate(found)]

    def get_newest_by_series(
        self, fields: Sequence[tuple[Location, str, Iterable[str]]], end: int
    ) -> list[dict[Tags, int] | None]:
        """For each (location, field, types): series -> the time of its newest value that is older than `end`.

        None where that is too much for the server.
        """
        found: list[dict[Tags, int] | None] = []
        for location, name, types in fields:
            try:
                found.append(self._newest_by_series(location, name, tuple(types), end))
            except QueryTooLarge:
                found.append(None)
        return found

    def _newest_by_series(self, location: Location, field: str, types: Sequence[str], end: int) -> dict[Tags, int]:
        statements = [
            influxql.select_edge("last", location, field, t, MIN_TIME, end, by_series=True) for t in types
        ]
        found: dict[Tags, int] = {}
        for answer in self.query_data("; ".join(statements), statements=len(types), timed_out=QueryTooLarge):
            for series in answer:
                tags = counting.series_tags(series)
                found[tags] = max(found.get(tags, MIN_TIME), *(row[0] for row in series.rows))
        return found

    def _edges(self, edge: str, asked: Sequence[tuple[Location, str, str]], span: Span) -> list[int | None]:
        """One edge for each (location, field, type); asks for less when it is too much for the server."""
        statements = [influxql.select_edge(edge, *what, span.start, span.end) for what in asked]
        try:
            answers = self.query_data("; ".join(statements), statements=len(asked), timed_out=QueryTooLarge)
        except QueryTooLarge:
            if len(asked) > 1:
                middle = len(asked) // 2
                return [*self._edges(edge, asked[:middle], span), *self._edges(edge, asked[middle:], span)]
            if span.length <= SECOND:
                raise
            older, newer = timeline.halves(span)
            near, far = (newer, older) if edge == "last" else (older, newer)
            found = self._edges(edge, asked, near)
            return found if found != [None] else self._edges(edge, asked, far)
        rows = [[row[0] for series in answer for row in series.rows] for answer in answers]
        return [times[0] if times else None for times in rows]

    def get_field_type(self, location: Location, field: str, span: Span) -> str | None:
        """The type of a field inside one shard group; None when it has no value there."""
        (answer,) = self.query_data(influxql.select_type(location, field, span.start, span.end))
        rows = [row for series in answer for row in series.rows]
        return frames.to_frame(rows, [field], []).types.get(field)

    def check_write(self, database: str) -> None:
        """Raise AccessDenied unless the user may write to the database. An empty request changes nothing."""
        self._write(database, "", Body(b"", 0, 0))

    def check_admin(self) -> None:
        """Raise AccessDenied unless the user may do what only administrators may."""
        self.query_data("SHOW SHARD GROUPS")

    # ------------------------------------------------------------ counting

    def count_values(self, location: Location, types: Mapping[str, tuple[str, ...]], span: Span) -> dict[str, int]:
        """How many values each of these fields (with its types) has in the range."""
        (windows,) = self.count_windows([Count(location, types, span)])
        counted = windows.get(span.start, {})
        return {name: counted.get((name, ()), 0) for name in types}

    def count_windows(self, counts: Sequence[Count]) -> list[Counts]:
        """The answer to each question; many of them go into one request.

        A question that is too much for the server is asked again about halves of its range. Raises QueryTooLarge
        when a second is still too long.
        """
        found: list[Counts] = []
        for batch in counting.batches(counts):
            found.extend(self._count(batch))
        return found

    def get_unkeepable_tags(self, asked: Sequence[tuple[Location, str]]) -> list[bool]:
        """Whether each (location, tag) has values that InfluxDB cannot keep (line_protocol says which)."""
        found: list[bool] = []
        for begin in range(0, len(asked), STATEMENTS):
            statements = [influxql.show_unkeepable(*what) for what in asked[begin : begin + STATEMENTS]]
            found += map(bool, self.query_data("; ".join(statements), statements=len(statements)))
        return found

    def _count(self, counts: Sequence[Count]) -> list[Counts]:
        statements = [(i, s) for i, count in enumerate(counts) for s in counting.statements(count)]
        found: list[Counts] = [{} for _ in counts]
        if not statements:
            return found
        query = "; ".join(statement.text for _, statement in statements)
        try:
            answers = self.query_data(query, statements=len(statements), timed_out=QueryTooLarge)
        except QueryTooLarge:
            if len(counts) > 1:
                middle = len(counts) // 2
                return [*self._count(counts[:middle]), *self._count(counts[middle:])]
            if counts[0].span.length <= SECOND:
                raise
            halves = [self._count([half])[0] for half in counting.halved(counts[0])]
            return [counting.total(counts[0], halves)]
        for (index, statement), answer in zip(statements, answers, strict=True):
            counting.add(found[index], counts[index], statement, answer)
        return found

    # ------------------------------------------------------------ reading

    def query_data(
        self,
        query: str,
        database: str = "",
        policy: str = "",
        *,
        statements: int = 1,
        timed_out: type[InfluxError] = Unreachable,
    ) -> list[list[Series]]:
        """The answer to each of the statements in `query`, whole. `timed_out`: what silence is taken for."""
        answers: list[list[Series]] = [[] for _ in range(statements)]

        def ask() -> None:
            for answer in answers:
                answer.clear()
            for statement, series in self._server.stream(
                query, database, policy, statements=statements, timed_out=timed_out
            ):
                if statement < statements:  # the one after them is the proof
                    answers[statement].append(series)

        self._server.attempts(f"query {influxql.printable(query[:200])}", ask)
        return answers

    def query_to_dataframe(
        self, location: Location, fields: Sequence[str], tags: Sequence[str], span: Span
    ) -> "pd.DataFrame":
        """All points of the range as one pandas frame, in memory: for ranges known to be small."""
        parts = list(self.query_to_dataframes(location, fields, tags, span))
        return frames.joined_pandas(parts or [frames.to_frame([], fields, tags)])

    def query_to_dataframes(
        self, location: Location, fields: Sequence[str], tags: Sequence[str], span: Span
    ) -> Iterator[Frame]:
        """All points of the range, oldest first, in frames of bounded size."""
        position = span.start
        while position < span.end:
            page = self.read_page(location, dict.fromkeys(fields, ()), tags, Span(position, span.end))
            yield from page.frames
            position = page.span.end

    def read_page(
        self,
        location: Location,
        types: Mapping[str, Sequence[str]],
        tags: Sequence[str],
        span: Span,
        rows: int | None = None,
    ) -> Page:
        """The oldest points of the range: about `rows` of them, but all that share a time, or none.

        `types` are the wanted fields, with all types that each has in the range, as far as they are known.

        The page's own span says how far it got: every point of that span is in it. Nothing of an answer is
        handed out before the end of the answer has proved it complete, because a query that is interrupted
        goes on for a while with some of its series missing.
        """
        limit = rows or page_rows(len(types) + len(tags))
        keys, most_bytes = tuple(tags), PAGE_BYTES if limit > FEWEST_ROWS else None
        while True:
            parts, present, meter = self._read_rows(location, types, keys, span, limit, most_bytes)
            if not present <= set(keys):
                # a series with a new tag appeared: read without it, its points would merge with others
                keys = tuple(sorted({*keys, *present}))
                continue
            if sum(map(len, parts)) < limit:
                return Page(tuple(parts), span, keys, meter, limit)
            last = int(parts[-1].times[-1])
            if last > int(parts[0].times[0]):
                # the points at the last time may go on beyond the limit: leave them to the next page
                whole = [part for part in (p.before(last) for p in parts) if len(part)]
                return Page(tuple(whole), Span(span.start, last), keys, meter, limit)
            limit, most_bytes = 3 * limit, None  # points of one time cannot be read apart, however many

    def _read_rows(
        self,
        location: Location,
        types: Mapping[str, Sequence[str]],
        tags: Sequence[str],
        span: Span,
        limit: int,
        most_bytes: int | None,
    ) -> tuple[list[Frame], frozenset[str], Meter]:
        """The rows, and the tag keys that the measurement had after they were read."""
        query = influxql.select_points(location, types, tags, span.start, span.end, limit)

        def read() -> tuple[list[Frame], frozenset[str], Meter]:
            if location not in self._not_as_csv and csv_answers.is_plain(types, tags):
                self._not_as_csv.add(location)  # an attempt that fails is not repeated
                try:
                    answer = self._read_csv(query, location, types, tags, most_bytes)
                except csv_answers.Doubtful as doubt:
                    logger.debug("%s: reading it as msgpack: %s", location, doubt)
                except QueryTooLarge:
                    self._not_as_csv.discard(location)
                    raise
                else:
                    self._not_as_csv.discard(location)
                    return answer
            return self._read_msgpack(query, location, types, tags, limit, most_bytes)

        return self._server.attempts(f"read {location}", read)

    def _read_csv(
        self,
        query: str,
        location: Location,
        types: Mapping[str, Sequence[str]],
        tags: Sequence[str],
        most_bytes: int | None,
    ) -> tuple[list[Frame], frozenset[str], Meter]:
        meter = Meter()
        proved = f"{query}; {influxql.show_tag_keys(location)}; {influxql.show_field_keys(location)}"
        answer = csv_answers.take_apart(  # nothing else holds the body, which is large
            self._server.fetch_csv(
                proved,
                location.database,
                location.policy,
                most_bytes=most_bytes,
                timed_out=QueryTooLarge,
                meter=meter,
            )
        )
        if any(answer.types.get(name) != tuple(expected) for name, expected in types.items()):
            raise csv_answers.Doubtful("the types of its fields have changed")
        frame = csv_answers.to_frame(answer.rows, {name: expected[0] for name, expected in types.items()}, tags)
        return [frame] if len(frame) else [], answer.tags, meter

    def _read_msgpack(
        self,
        query: str,
        location: Location,
        fields: Iterable[str],
        tags: Sequence[str],
        limit: int,
        most_bytes: int | None,
    ) -> tuple[list[Frame], frozenset[str], Meter]:
        fields, parts, keys = tuple(fields), list[Frame](), set[str]()
        chunk = min(DOCUMENT_ROWS, limit // DOCUMENTS, CHUNK_CELLS // (1 + len(fields) + len(tags)))
        meter = Meter()
        for statement, series in self._server.stream(
            query,
            proof=influxql.show_tag_keys(location),
            chunk_rows=max(1, chunk),
            most_bytes=most_bytes,
            timed_out=QueryTooLarge,
            meter=meter,
        ):
            if statement == 0:
                parts.append(_frame(series, location, fields, tags))
            else:
                keys.update(answers.as_text(row[0]) for row in series.rows)
        return frames.joined(parts), frozenset(keys), meter

    def read_together(self, asked: Sequence[Ask], rows: int) -> list[Frame | None]:
        """All points of each question, oldest first; None where they are as many as `rows`, or need other tags.

        All measurements are of one database. Raises QueryTooLarge when all of it is too much.
        """
        statements = [
            influxql.select_points(a.location, a.types, a.tags, a.span.start, a.span.end, rows) for a in asked
        ]
        proof = influxql.show_tag_keys(*(a.location for a in asked))

        def read() -> list[Frame | None]:
            parts: list[list[Frame]] = [[] for _ in asked]
            tags = {a.location.measurement: set[str]() for a in asked}
            for number, series in self._server.stream(
                "; ".join(statements),
                statements=len(asked),
                proof=proof,
                most_bytes=PAGE_BYTES,
                timed_out=QueryTooLarge,
            ):
                if number < len(asked):
                    a = asked[number]
                    parts[number].append(_frame(series, a.location, tuple(a.types), a.tags))
                else:
                    tags[series.name].update(answers.as_text(row[0]) for row in series.rows)
            return [
                _whole(part, rows) if tags[a.location.measurement] <= set(a.tags) else None
                for a, part in zip(asked, parts, strict=True)
            ]

        return self._server.attempts(f"read {len(asked)} measurements of {asked[0].location.database}", read)

    def read_windows(
        self, location: Location, averaged: Sequence[str], latest: Sequence[str], span: Span, window: int
    ) -> Page:
        """One point per window of `window` ns, series and field: the mean or the last value; oldest first."""
        query = influxql.select_windows(location, averaged, latest, span.start, span.end, window)
        fields = [*averaged, *latest]

        def read() -> list[Series]:
            answer = self._server.stream(query, most_bytes=PAGE_BYTES, timed_out=QueryTooLarge)
            return [series for statement, series in answer if statement == 0]

        answer = self._server.attempts(f"read {location}", read)
        tags = sorted({tag for series in answer for tag in series.tags})
        rows = [
            [*row, *(series.tags.get(tag, "").encode("utf-8", "surrogateescape") or None for tag in tags)]
            for series in answer
            for row in series.rows
        ]
        rows.sort(key=lambda row: int(row[0]))
        parts = [rows[i : i + DOCUMENT_ROWS] for i in range(0, len(rows), DOCUMENT_ROWS)]
        try:
            return Page(tuple(frames.joined([frames.to_frame(part, fields, tags) for part in parts])), span)
        except frames.UnexpectedRows as error:
            raise QueryRefused(f"{location}: {error}") from error

    def _names(self, query: str, database: str = "") -> tuple[str, ...]:
        (answer,) = self.query_data(query, database)
        return tuple(answers.as_text(row[0]) for series in answer for row in series.rows)

    # ------------------------------------------------------------ writing

    def write_dataframe(self, frame: "pd.DataFrame", location: Location) -> Written:
        """Write the points of a pandas frame (frames.py describes its columns), and add up what came of it."""
        return sum(self.write_frame(frames.from_pandas(frame), location), Written())

    def write_frame(
        self, frame: Frame, location: Location, quarantine: Quarantine | None = None
    ) -> Iterator[Written]:
        """Write the points of a frame, in its order, telling of each acknowledged request before the next one."""
        encoded = line_protocol.encode_frame(frame, location.measurement)
        yield Written(refusals=encoded.refusals)
        for body in encoded.bodies:
            yield from self.write_body(body, location, quarantine)

    def write_body(
        self, body: Body, location: Location, quarantine: Quarantine | None = None
    ) -> Iterator[Written]:
        """Write encoded points, telling of each acknowledged request before the next one.

        Points older than the server's retention policy are counted. A request that the server refuses is narrowed
        down to the lines that it does not take, which are put into the quarantine, and all others are written;
        without a quarantine such a line raises WriteRefused. Where a field has another type at the server, its
        values are put aside alone, and all of the body: no more than one shard group may be in it.
        """
        send = functools.partial(self._write, location.database, location.policy)
        yield from narrowing.write(body, send, quarantine, self._stopping)

    def write_points(self, points: Iterable[Point], database: str, policy: str) -> Written:
        """Write single points, each line in a request of its own when a name needs it."""
        written = Written()
        for body in line_protocol.encode_points(points):
            written += self._write(database, policy, body)
        return written

    def _write(self, database: str, policy: str, body: Body) -> Written:
        def write() -> int:
            try:
                expired = self._server.write(body.text, database, policy)
            except Overloaded as error:
                if "cache-max-memory-size" in error.cause and body.points > FEW_POINTS:
                    raise RequestTooLarge(error.cause) from error
                raise
            if not expired and body.last:
                self._check_arrival(body.last(), database, policy)
            return expired

        expired = self._server.attempts(f"write {body.points} points to {database}.{policy}", write)
        # which values the expired points had is not told; all points of a body are alike enough
        share = (body.points - expired) / body.points if expired else 1
        return Written(body.points - expired, int(body.values * share), int(len(body.text) * share), expired)

    def are_lost(self, points: Sequence[Point], database: str, policy: str) -> list[bool]:
        """Whether each of these points is not there, though the server has acknowledged it.

        A write into a shard whose cache InfluxDB is just freeing (it looks for idle shards every ten seconds) goes
        into the log only: nobody can read it before a restart, nor at all once its log file is deleted. It
        concerns all points of a request in the shard or none of them, so one is enough to look for.
        """
        found: list[bool] = []
        for begin in range(0, len(points), STATEMENTS):
            statements = [_one_point(point, database, policy) for point in points[begin : begin + STATEMENTS]]
            answers = self.query_data("; ".join(statements), statements=len(statements))
            found += [not any(series.rows for series in answer) for answer in answers]
        return found

    def _check_arrival(self, point: Point, database: str, policy: str) -> None:
        """Raise NotKept when a point is lost that the server has just acknowledged."""
        answer = self._server.stream(_one_point(point, database, policy))
        if not any(series.rows for number, series in answer if number == 0):
            raise NotKept(
                "the server has acknowledged points that it does not have; does a relay or a queue stand between?"
            )


def _one_point(point: Point, database: str, policy: str) -> str:
    """A query whose answer is empty where the point is not."""
    name = min(point.fields, key=lambda name: not influxql.is_quotable(name))
    location, type_ = Location(database, policy, point.measurement), line_protocol.type_of(point.fields[name])
    return influxql.select_point(location, point.tags, name, type_, point.time)


def page_rows(columns: int) -> int:
    """How many rows of so many columns a page holds."""
    return max(FEWEST_ROWS, PAGE_CELLS // (1 + columns))


def _whole(parts: Sequence[Frame], limit: int) -> Frame | None:
    """The rows as one frame, unless they may not be all, or have several types."""
    if sum(map(len, parts)) >= limit:
        return None
    found = frames.joined(parts) or [frames.to_frame([], [], [])]
    return found[0] if len(found) == 1 else None


def _frame(series: Series, location: Location, fields: Sequence[str], tags: Sequence[str]) -> Frame:
    """The rows of a raw query as a frame.

    A column that had to be named by a regex is missing where no shard of the range has it.
    """
    columns = iter(series.columns[1:])
    column = next(columns, None)
    present: dict[tuple[str, str], bool] = {}
    for kind, name in [*(("field", f) for f in fields), *(("tag", t) for t in tags)]:
        found = influxql.is_quotable(name) or column == name
        present[kind, name] = found
        column = next(columns, None) if found else column
    names = [name for name in (*fields, *tags) if not influxql.is_quotable(name)]
    if column is not None or len(set(names)) < len(names):
        names_shown = ", ".join(map(influxql.printable, names))
        raise QueryRefused(f"{location} has names that a query cannot tell apart: {names_shown}")
    try:
        return frames.to_frame(
            series.rows,
            [name for name in fields if present["field", name]],
            [name for name in tags if present["tag", name]],
        )
    except frames.UnexpectedRows as error:
        raise IncompleteAnswer(f"{location}: {error}") from error
