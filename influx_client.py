"""InfluxClient: one InfluxDB 1.x server. Reads that are provably complete, writes that are acknowledged.

The control plane (ping, databases, retention policies) goes through the library `influxdb`: influx/library.py.
Points have two paths of our own, pages (influx/pages.py) and line protocol (influx/line_protocol.py). They are
exact, where the library rounds times and guesses types, and ten times as fast. All requests are made by one
transport (influx/transport.py) over one session.

Every public method raises an `InfluxError` (influx/errors.py draws the tree), and never returns a value for a
failure.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from basics.humanize import counted
from basics.spans import Span, halves
from basics.stopping import StopRequest
from basics.text import printable
from basics.times import END_OF_TIME, HOUR, MIN_TIME, SECOND
from influx import activity, answers, counting, fingerprints, frames, influxql, line_protocol, scratch, shards
from influx.activity import Wanted
from influx.answers import Series
from influx.catalog import Catalog
from influx.counting import Count
from influx.errors import (
    AccessDenied,
    IncompleteAnswer,
    LostOnce,
    NotKept,
    Overloaded,
    QueryRefused,
    QueryTooLarge,
    RequestTooLarge,
    TooManySeries,
    WriteRefused,
)
from influx.fingerprints import Fingerprints, Look, Statement
from influx.frames import Frame
from influx.identity import Process, RequestNumber, request_number
from influx.influxql import Location, Policy, Tags
from influx.library import Library
from influx.line_protocol import Body, Point
from influx.listener import RequestListener, SilentRequests
from influx.pages import PageReader
from influx.questions import STATEMENTS, packed
from influx.shards import ShardStates
from influx.transport import Transport
from influx.written import Written
from settings.keys import Options, Server

if TYPE_CHECKING:
    import pandas as pd

FEW_POINTS = 1000
"""A request of so many points is not made smaller for a destination whose cache is full: it waits."""


ANSWER_BYTES = 64 * 1024 * 1024
"""An answer with fingerprints of more bytes is asked for in parts."""


class InfluxClient(PageReader):
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
        listener: RequestListener | None = None,
    ) -> None:
        self._listener = listener or SilentRequests()
        self._stopping = stopping or StopRequest()
        transport = Transport(
            server,
            role,
            timeout=timeout,
            retries=retries,
            retry_delay=retry_delay,
            threads=threads,
            stopping=self._stopping,
            listener=self._listener,
        )
        super().__init__(transport)
        self._acknowledged: Counter[tuple[str, str]] = Counter()
        self._counting = threading.Lock()
        self._library = Library(transport)
        self.catalog = Catalog(transport, self._library)
        self.name = transport.name
        self.url = transport.url
        self.version = self.ping()

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    # ------------------------------------------------------------ what there is

    def ping(self) -> str:
        """The server's version."""
        return str(self._server.attempts("ping", self._library.ping))

    def get_process(self) -> Process:
        """The server's process. Raises AccessDenied for a user who is not an administrator."""
        # all of them at once cannot be read: the server breaks off at a value that msgpack does not know
        both = self.query_data("SHOW DIAGNOSTICS FOR 'system'; SHOW DIAGNOSTICS FOR 'network'", statements=2)
        found = {s.name: dict(zip(s.columns, s.rows[0], strict=True)) for answer in both for s in answer if s.rows}
        try:
            system, network = found["system"], found["network"]
            return Process(*map(answers.as_text, (system["PID"], system["started"], network["hostname"])))
        except KeyError as error:
            raise QueryRefused(f"{self.name}: SHOW DIAGNOSTICS does not tell {error}") from None

    def get_request_number(self) -> RequestNumber | None:
        """The number of a request made now, if the server shows one."""
        response = self._server.attempts("ping", self._server.ping)
        return request_number(response.headers.get("Request-Id") or response.headers.get("X-Request-Id"))

    def get_databases(self) -> tuple[str, ...]:
        """The databases that the user may see, but for `_internal` and those of restore drills."""
        return tuple(name for name in self.get_all_databases() if not scratch.is_scratch(name))

    def get_all_databases(self) -> tuple[str, ...]:
        """The same with those of drills."""
        rows = self._server.attempts("query SHOW DATABASES", self._library.get_list_database)
        return tuple(row["name"] for row in rows if row["name"] != "_internal")

    def get_retention_policies(self, database: str) -> tuple[Policy, ...]:
        """The policies of a database. Raises NotFound when there is no such database."""
        what = f"query SHOW RETENTION POLICIES ON {printable(influxql.quote(database))}"
        return self._server.attempts(what, lambda: self._library.policies(database))

    def create_database(self, database: str, default: Policy | None = None) -> None:
        """Create the database, with this default policy; nothing happens when both are there already."""
        # the library's own call cannot name the default policy
        statement = influxql.create_database(database, default)
        self._server.attempts(
            f"query {printable(statement)}", lambda: self._library.query(statement, method="POST")
        )

    def check_free(self, database: str) -> None:
        """Raise QueryRefused where a database of this name exists."""
        if database in self.get_all_databases():
            raise QueryRefused(f"{self.name}: a database {printable(database)} is there already; it is left alone")

    def create_scratch(self, database: str) -> None:
        """Create a scratch database with its mark, in one statement.

        Where one of that name with other policies exists, the server refuses.
        """
        self.create_database(database, scratch.mark_of(database))

    def drop_scratch(self, database: str) -> None:
        """Drop a scratch database, all of it. Raises QueryRefused for any other: nothing else is ever dropped."""
        if not scratch.is_marked(database, self.get_retention_policies(database)):
            raise QueryRefused(f"{self.name}: {printable(database)} is not of a drill: it stays")
        statement = influxql.drop_database(database)
        self._server.attempts(
            f"query {printable(statement)}", lambda: self._library.query(statement, method="POST")
        )

    def create_retention_policy(self, database: str, policy: Policy) -> None:
        """Create the policy. Raises QueryRefused when one of the name exists with other durations."""
        what = f"query CREATE RETENTION POLICY {printable(policy.name)} ON {printable(database)}"
        self._server.attempts(what, lambda: self._library.create_policy(database, policy))

    def get_measurements(self, database: str) -> tuple[str, ...]:
        """All measurements of a database, whatever their retention policy."""
        return self._names("SHOW MEASUREMENTS", database)

    def get_field_keys(self, database: str, policy: str) -> dict[str, dict[str, tuple[str, ...]]]:
        """Measurement -> field -> all the types it has in the shards of this policy."""
        (answer,) = self.query_data("SHOW FIELD KEYS", database, policy)
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for series in answer:
            answers.add_types(found.setdefault(series.name, {}), series)
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

    def get_shard_states(self, database: str, policy: str, now: int) -> ShardStates | None:
        """What was written to the policy's shards, at a time `now`; None where nobody may see it.

        Without an administrator's rights the times of the shards are not told.
        """
        asked = (*shards.STATEMENTS, *activity.STATEMENTS)
        try:
            shown, stats, http, system = self.query_data("; ".join(asked), statements=len(asked))
        except AccessDenied:
            document = self._server.attempts("read /debug/vars", self._server.debug_vars)
            seen = activity.of_vars(document, Wanted(database, policy, self.version, self.questions))
            found = shards.states_of_vars(document, database, policy, now)
            return replace(found, activity=seen) if found else None
        started = activity.process(system)
        seen = activity.of_answers(started, stats, http, Wanted(database, policy, self.version, self.questions))
        return replace(shards.states(started, (shown, stats), database, policy), activity=seen)

    @property
    def questions(self) -> int:
        """How many of its requests the server has counted among those that could have deleted something."""
        return self._server.answered(*activity.endpoints(self.version))

    def acknowledged(self, database: str, policy: str) -> int:
        """How many points this has written to a policy so far, each as often as it was acknowledged."""
        return self._acknowledged[database, policy]

    def count_elsewhere(self, database: str, policy: str, acknowledged: int, questions: int) -> None:
        """So much has another client of the same run written to a policy, and so many questions has it asked."""
        with self._counting:
            self._acknowledged[database, policy] += acknowledged
        self._server.count_elsewhere(activity.endpoints(self.version)[0], questions)

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
        name needs a regex: a regex cannot be cast, so it would see only one of the types; and where more series
        have that field than a query may read.
        """
        all_types = [tuple(types) for _, _, types in fields]
        known = [len(t) < 2 or influxql.is_quotable(f) for t, (_, f, _) in zip(all_types, fields, strict=True)]
        asked = [(i, t) for i, types in enumerate(all_types) if known[i] for t in types]
        found: list[list[int]] = [[] for _ in fields]
        for begin in range(0, len(asked), STATEMENTS):
            batch = asked[begin : begin + STATEMENTS]
            what = [(*fields[i][:2], type_) for i, type_ in batch]
            edges = self._edges(edge, what, Span(start, end), unknowable)
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
        for answer in self.query_all(statements, timed_out=QueryTooLarge):
            for series in answer:
                tags = counting.series_tags(series)
                found[tags] = max(found.get(tags, MIN_TIME), *(row[0] for row in series.rows))
        return found

    def _edges(
        self, edge: str, asked: Sequence[tuple[Location, str, str]], span: Span, unknowable: int | None
    ) -> list[int | None]:
        """One edge for each (location, field, type); asks for less when it is too much for the server."""
        statements = [influxql.select_edge(edge, *what, span.start, span.end) for what in asked]
        try:
            answers = self.query_all(statements, timed_out=QueryTooLarge)
        except QueryTooLarge as error:
            if len(asked) > 1:
                parts = asked[: len(asked) // 2], asked[len(asked) // 2 :]
                return [time for part in parts for time in self._edges(edge, part, span, unknowable)]
            if _is_shortest(span, error):
                if unknowable is None or not isinstance(error, TooManySeries):
                    raise
                return [unknowable]
            older, newer = halves(span)
            near, far = (newer, older) if edge == "last" else (older, newer)
            found = self._edges(edge, asked, near, unknowable)
            return found if found != [None] else self._edges(edge, asked, far, unknowable)
        rows = [[row[0] for series in answer for row in series.rows] for answer in answers]
        return [times[0] if times else None for times in rows]

    def holds_unsigned(self, database: str) -> bool:
        """Whether the server can store unsigned integers, which few builds of InfluxDB can. Nothing is written.

        A line that no server takes tells: for its time, or for the value before it.
        """
        try:
            self._write(database, "", Body(b"m v=1u never", 1, 1))
        except WriteRefused as error:
            return "bad timestamp" in error.cause
        raise IncompleteAnswer(f"{self.name} took a line that is none; is a proxy in the way?")

    def check_write(self, database: str) -> None:
        """Raise AccessDenied unless the user may write to the database. An empty request changes nothing."""
        self._write(database, "", Body(b"", 0, 0))

    def check_admin(self) -> None:
        """Raise AccessDenied unless the user may do what only administrators may."""
        self.query_data("SHOW SHARD GROUPS")

    # ------------------------------------------------------------ counting

    def count_values(self, location: Location, types: Mapping[str, tuple[str, ...]], span: Span) -> dict[str, int]:
        """How many values each of these fields (with its types) has in the range.

        A question that is too much for the server is asked again about halves of its range. Raises QueryTooLarge
        when a second is still too long.
        """
        count = Count(location, types, span)
        asked = list(counting.statements(count))
        found = dict.fromkeys(types, 0)
        try:
            query = "; ".join(statement.text for statement in asked)
            answers = self.query_data(query, statements=len(asked), timed_out=QueryTooLarge) if asked else []
        except QueryTooLarge:
            if span.length <= SECOND:
                raise
            older, newer = (self.count_values(location, types, half) for half in halves(span))
            return {name: older[name] + newer[name] for name in types}
        for statement, answer in zip(asked, answers, strict=True):
            counting.add(found, count, statement, answer)
        return found

    def count_many(self, counts: Sequence[Count]) -> list[dict[str, int]]:
        """The same for many questions, of which many go into one request."""
        asked = [(i, statement) for i, count in enumerate(counts) for statement in counting.statements(count)]
        found = [dict.fromkeys(count.types, 0) for count in counts]
        try:
            answers = self.query_all([statement.text for _, statement in asked], timed_out=QueryTooLarge)
        except QueryTooLarge:
            return [self.count_values(count.location, count.types, count.span) for count in counts]
        for (index, statement), answer in zip(asked, answers, strict=True):
            counting.add(found[index], counts[index], statement, answer)
        return found

    def get_fingerprints(self, looks: Sequence[Look], most_bytes: int = ANSWER_BYTES) -> list[Fingerprints | None]:
        """The fingerprint of each series, for each question; None where that is too much for one answer.

        Many questions go into one request, whose answer has at most so many bytes.
        """
        found: list[Fingerprints | None] = []
        asked = [(look, fingerprints.statements(look)) for look in looks]
        for batch in packed(asked, lambda pair: "; ".join(statement.text for statement in pair[1])):
            found += self._fingerprints(batch, most_bytes)
        return found

    def _fingerprints(
        self, batch: Sequence[tuple[Look, list[Statement]]], most_bytes: int
    ) -> list[Fingerprints | None]:
        asked = [(i, n, s.text) for i, (_, found) in enumerate(batch) for n, s in enumerate(found)]
        parts = list(packed(asked, lambda question: question[2]))  # several where one question is that long

        def ask() -> list[Fingerprints | None]:
            found: list[Fingerprints] = [{} for _ in batch]
            for part in parts:
                query = "; ".join(text for _, _, text in part)
                for number, series in self._server.stream(
                    query, statements=len(part), most_bytes=most_bytes, timed_out=QueryTooLarge
                ):
                    if number < len(part):  # the one after them is the proof
                        index, statement, _ = part[number]
                        fingerprints.add(found[index], *batch[index], statement, series)
            return list(found)

        try:
            return self._server.attempts(f"compare {batch[0][0].location}", ask)
        except QueryTooLarge as error:
            middle = len(batch) // 2
            if middle:
                both = batch[:middle], batch[middle:]
                return [found for half in both for found in self._fingerprints(half, most_bytes)]
            if isinstance(error, TooManySeries) and _is_shortest(batch[0][0].span, error):
                raise
            return [None]

    def get_tag_values(self, location: Location, tag: str) -> tuple[str, ...]:
        """The values of a tag of a measurement, whose name is comparable, whatever the retention policy."""
        (answer,) = self.query_data(influxql.show_tag_values(location, tag))
        return tuple(answers.as_text(row[1]) for series in answer for row in series.rows)

    def get_unstorable_tags(self, asked: Sequence[tuple[Location, str]]) -> list[bool]:
        """Whether each (location, tag) has values that InfluxDB cannot keep (influx/storable.py says which)."""
        found: list[bool] = []
        for begin in range(0, len(asked), STATEMENTS):
            statements = [influxql.show_unstorable(*what) for what in asked[begin : begin + STATEMENTS]]
            found += map(bool, self.query_all(statements))
        return found

    # ------------------------------------------------------------ reading

    def query_to_dataframe(
        self, location: Location, fields: Sequence[str], tags: Sequence[str], span: Span
    ) -> "pd.DataFrame":
        """All points of the range as one pandas frame, in memory: for ranges known to be small.

        This and `write_dataframe` need the packages of influx/requirements.txt.
        """
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

    def _names(self, query: str, database: str = "") -> tuple[str, ...]:
        (answer,) = self.query_data(query, database)
        return tuple(answers.as_text(row[0]) for series in answer for row in series.rows)

    # ------------------------------------------------------------ writing

    def write_dataframe(self, frame: "pd.DataFrame", location: Location) -> Written:
        """Write the points of a pandas frame (frames.py describes its columns), and add up what came of it.

        Raises WriteRefused at the first request that the server does not take.
        """
        encoded = line_protocol.encode_frame(frames.from_pandas(frame), location.measurement)
        written = (self.write_body(body, location) for body in encoded.bodies)
        return sum(written, Written(refusals=encoded.refusals))

    def write_body(self, body: Body, location: Location) -> Written:
        """Write encoded points in one request; those older than the server's retention policy are counted.

        Where a field has another type at the server, the server refuses all of its values, and may store the
        others: no more than one shard group may be in a body whose types are in doubt.
        """
        return self._write(location.database, location.policy, body)

    def write_points(self, points: Iterable[Point], database: str, policy: str) -> Written:
        """Write single points, each line in a request of its own when a name needs it."""
        written = Written()
        for body in line_protocol.encode_points(points):
            written += self._write(database, policy, body)
        return written

    def _write(self, database: str, policy: str, body: Body) -> Written:
        expired: int | None = None  # known once it is acknowledged: then only looking for it is tried again
        losses = 0

        def write() -> int:
            nonlocal expired, losses
            try:
                if expired is None:
                    expired = self._server.write(body.text, database, policy)
            except Overloaded as error:
                if "cache-max-memory-size" in error.cause and body.points > FEW_POINTS:
                    raise RequestTooLarge(error.cause) from error
                raise
            if not expired and body.last and not self._is_there(body.last(), database, policy):
                expired, losses = None, losses + 1
                raise _lost(losses)
            return expired

        expired = self._server.attempts(f"write {counted(body.points, 'point')} to {database}.{policy}", write)
        with self._counting:
            self._acknowledged[database, policy] += body.points - expired
        if body.points:
            self._listener.acknowledged()
        # which values the expired points had is not told; all points of a body are alike enough
        share = (body.points - expired) / body.points if expired else 1
        return Written(body.points - expired, int(body.values * share), int(len(body.text) * share), expired)

    def find_lost(self, sent: Sequence[tuple[Span, Point]], database: str, policy: str) -> list[Span]:
        """The ranges, in order, of acknowledged requests that are not there; `sent`: a range and a point of each.

        A write into a shard whose cache InfluxDB is just freeing (it looks for idle shards every ten seconds) goes
        into the log only: nobody can read it before a restart, nor at all once its log file is deleted. It
        concerns all points of a request in the shard or none of them, so one is enough to look for.
        """
        lost: set[Span] = set()
        for begin in range(0, len(sent), STATEMENTS):
            batch = sent[begin : begin + STATEMENTS]
            statements = [_one_point(point, database, policy) for _, point in batch]
            answers = self.query_all(statements)
            lost.update(s for (s, point), found in zip(batch, answers, strict=True) if not _shows(point, found))
        return sorted(lost)

    def _is_there(self, point: Point, database: str, policy: str) -> bool:
        """Whether the server has a point that it has just acknowledged."""
        # to its end: an answer that is given up takes its connection with it
        answer = list(self._server.stream(_one_point(point, database, policy)))
        return _shows(point, [series for number, series in answer if number == 0])


class _Text(Protocol):
    @property
    def text(self) -> str: ...


_Question = TypeVar("_Question")
_Asked = TypeVar("_Asked", bound=_Text)


def _is_shortest(span: Span, error: QueryTooLarge) -> bool:
    """Whether a part of the range would be too much as well; no shard lasts less than an hour."""
    return span.length <= (HOUR if isinstance(error, TooManySeries) else SECOND)


def _lost(losses: int) -> NotKept:
    """The error of a request that is not there, though it was acknowledged, so many times by now."""
    if losses == 1:
        return LostOnce("InfluxDB lost a request that it had acknowledged")
    again = f"InfluxDB lost a request that it had acknowledged, {losses} times by now"
    return NotKept(f"{again} (a relay or a queue on the way there would be a reason)")


def _one_point(point: Point, database: str, policy: str) -> str:
    """A query whose answer is empty where the point is not."""
    name = min(point.fields, key=lambda name: not influxql.is_quotable(name))
    location, type_ = Location(database, policy, point.measurement), line_protocol.type_of(point.fields[name])
    return influxql.select_point(location, point.tags, name, type_, point.time)


def _shows(point: Point, answer: Sequence[Series]) -> bool:
    """Whether the answer to that query has the point; each series has its tags where they had to be left out."""
    tags = tuple(sorted((key, value) for key, value in point.tags.items() if value))
    return any(series.rows and (not series.tags or counting.series_tags(series) == tags) for series in answer)


def connect(
    options: Options,
    server: Server,
    role: str,
    stopping: StopRequest,
    *,
    retries: int | None = None,
    listener: RequestListener | None = None,
) -> InfluxClient:
    """A client with these options of a job. Raises InfluxError when the server does not answer."""
    return InfluxClient(
        server,
        role,
        timeout=options.timeout_client,
        retries=options.retries if retries is None else retries,
        retry_delay=options.retry_delay,
        threads=2 * options.parallel_workers + 2,
        stopping=stopping,
        listener=listener,
    )
