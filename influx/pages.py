"""PageReader: points in pages that are provably whole, as CSV or msgpack, of one measurement or of many."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from basics.humanize import counted
from basics.spans import Span
from basics.text import printable
from basics.times import END_OF_TIME
from influx import answers, csv_answers, frames, influxql, questions
from influx.answers import Series
from influx.errors import IncompleteAnswer, InfluxError, QueryRefused, QueryTooLarge, TypesChanged, Unreachable
from influx.frames import Frame
from influx.influxql import Location, Share
from influx.transport import DOCUMENT_ROWS, Meter, Transport

logger = logging.getLogger(__name__)

CHUNK_CELLS = 200_000
"""How many values one document of an answer, and so one frame, holds at most."""

FIRST_ROWS = 20_000
"""How many rows the first page of a range holds; later ones hold more where that pays."""

DOCUMENTS = 10
"""How many documents the answer for one page has at least, to see when it begins."""

PAGE_CELLS = 2_500_000
"""How many rows times columns one page of rows holds at most; it is in memory as a whole."""

BLOCK_CELLS = 450_000
"""How many times, tags and values are encoded at once."""

PAGE_BYTES = 24 * 1024 * 1024
"""The most bytes of one page off the wire; very long strings make the tool ask for fewer rows."""

LONG_TEXT = 20
"""From how many bytes on for each cell text costs more to write, and to read, as CSV than as msgpack."""

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
    floor: int | None = None
    """Where it has only a share of the series: every point before this time came before it."""

    @property
    def rows(self) -> int:
        """How many points."""
        return sum(map(len, self.frames))

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
    share: Share | None = None


class PageReader:
    """Reads points from one server, safe to use from several threads. Raises InfluxError."""

    tells_shares = True
    """Whether it can be asked for a share of the series."""

    def __init__(self, server: Transport) -> None:
        self._server = server
        self._not_as_csv: set[Location] = set()

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

        self._server.attempts(f"query {printable(query[:200])}", ask)
        return answers

    def query_all(
        self, statements: Sequence[str], *, timed_out: type[InfluxError] = Unreachable
    ) -> list[list[Series]]:
        """The answer to each statement, whole, in as many requests as their length takes."""
        return [
            answer
            for part in questions.packed(statements, str)
            for answer in self.query_data("; ".join(part), statements=len(part), timed_out=timed_out)
        ]

    def get_field_type(self, location: Location, field: str, span: Span, types: Sequence[str] = ()) -> str | None:
        """The type of a field inside one shard group; None when it has no value there.

        `types` are those that it has in some shard, as far as they are known.
        """
        found = self._wire_type(influxql.select_type(location, field, span.start, span.end))
        if found != "integer" or "unsigned" not in types:
            return found
        if len(types) == 1:
            return "unsigned"
        if not influxql.is_quotable(field):
            shown = printable(field)
            raise QueryRefused(f"{location}: no query can tell the integers of field {shown} from unsigned ones")
        half = self._wire_type(influxql.select_half(location, field, span.start, span.end))
        return "unsigned" if half == "integer" else "integer"

    def _wire_type(self, query: str) -> str | None:
        (answer,) = self.query_data(query)
        return next((frames.wire_type(row[1]) for series in answer for row in series.rows), None)

    def _unsigned(self, location: Location, types: Mapping[str, Sequence[str]], span: Span) -> frozenset[str]:
        """The fields whose integers are unsigned in the range. No field has several types inside it."""
        return frozenset(
            name
            for name, kinds in types.items()
            if "unsigned" in kinds
            and ("integer" not in kinds or self.get_field_type(location, name, span, kinds) == "unsigned")
        )

    def read_page(
        self,
        location: Location,
        types: Mapping[str, Sequence[str]],
        tags: Sequence[str],
        span: Span,
        rows: int | None = None,
        *,
        one_group: bool = False,
        share: Share | None = None,
    ) -> Page:
        """The oldest points of the range: about `rows` of them, but all that share a time, or none.

        `types` are the wanted fields, with all types that each has in the range, as far as they are known. Raises
        TypesChanged where one has got another one, unless the range lies in `one_group` of shards: there a field
        has one type, whichever it is.

        The page's own span says how far it got: every point of that span is in it. Nothing of an answer is
        handed out before the end of the answer has proved it complete, because a query that is interrupted
        goes on for a while with some of its series missing.
        """
        limit = rows or page_rows(len(types) + len(tags))
        keys, most_bytes = tuple(tags), PAGE_BYTES if limit > FEWEST_ROWS else None
        while True:
            ask = Ask(location, types, keys, span, share)
            parts, present, meter = self._read_rows(ask, limit, most_bytes, one_group=one_group)
            if not present <= set(keys):
                # a series with a new tag appeared: read without it, its points would merge with others
                keys = tuple(sorted({*keys, *present}))
                continue
            if sum(map(len, parts)) < limit:
                return Page(tuple(parts), span, keys, meter, limit=limit)
            last = int(parts[-1].times[-1])
            if last > int(parts[0].times[0]):
                # the points at the last time may go on beyond the limit: leave them to the next page
                whole = [part for part in (p.before(last) for p in parts) if len(part)]
                return Page(tuple(whole), Span(span.start, last), keys, meter, limit=limit)
            limit, most_bytes = 3 * limit, None  # points of one time cannot be read apart, however many

    def _read_rows(
        self, ask: Ask, limit: int, most_bytes: int | None, *, one_group: bool
    ) -> tuple[list[Frame], frozenset[str], Meter]:
        """The rows, and the tag keys that the measurement had after they were read."""
        location, types = ask.location, ask.types
        start, end = ask.span.edges
        query = influxql.select_points(location, types, ask.tags, start, end, limit, ask.share)
        unsigned = self._unsigned(location, types, ask.span)
        expected = {} if one_group or any(len(known) != 1 for known in types.values()) else types

        def read() -> tuple[list[Frame], frozenset[str], Meter]:
            if location not in self._not_as_csv and csv_answers.is_plain(types, ask.tags):
                self._not_as_csv.add(location)  # an attempt that fails is not repeated
                try:
                    answer = self._read_csv(query, ask, most_bytes)
                except csv_answers.Doubtful as doubt:
                    logger.debug("%s: reading it as msgpack: %s", location, doubt)
                except QueryTooLarge:
                    self._not_as_csv.discard(location)
                    raise
                else:
                    if not _has_long_texts(types, answer):
                        self._not_as_csv.discard(location)
                    return answer
            return self._read_msgpack(query, ask, unsigned, limit, most_bytes, expected)

        return self._server.attempts(f"read {location}", read)

    def _read_csv(self, query: str, ask: Ask, most_bytes: int | None) -> tuple[list[Frame], frozenset[str], Meter]:
        location, meter = ask.location, Meter()
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
        if any(answer.types.get(name) != tuple(expected) for name, expected in ask.types.items()):
            raise csv_answers.Doubtful("the types of its fields have changed")
        types = {name: expected[0] for name, expected in ask.types.items()}
        frame = csv_answers.to_frame(answer.rows, types, ask.tags)
        present = answer.tags
        if blank := csv_answers.blank_texts(frame):
            frame, keys = self._with_empty_texts(ask, frame, blank, most_bytes)
            present |= keys
        return [frame] if len(frame) else [], present, meter

    def _with_empty_texts(
        self, ask: Ask, frame: Frame, blank: Sequence[str], most_bytes: int | None
    ) -> tuple[Frame, frozenset[str]]:
        """The rows with those texts that are empty, of the fields with blanks; and the tag keys after that.

        The rows are asked for, not their number: points that are written meanwhile could have the missing ones.
        """
        location, start, end = ask.location, int(frame.times[0]), int(frame.times[-1]) + 1
        statements = [influxql.select_empty(location, name, ask.tags, start, end) for name in blank]
        statements.append(influxql.show_tag_keys(location))
        found: dict[str, list[Frame]] = {name: [] for name in blank}
        present = set[str]()
        for number, series in self._server.stream(
            "; ".join(statements), statements=len(statements), most_bytes=most_bytes, timed_out=QueryTooLarge
        ):
            if number < len(blank):
                found[blank[number]].append(_as_rows(series, blank[number], ask.tags))
            elif number == len(blank):
                present.update(answers.as_text(row[0]) for row in series.rows)
        return csv_answers.with_empty_texts(frame, found), frozenset(present)

    def _read_msgpack(
        self,
        query: str,
        ask: Ask,
        unsigned: frozenset[str],
        limit: int,
        most_bytes: int | None,
        expected: Mapping[str, Sequence[str]],
    ) -> tuple[list[Frame], frozenset[str], Meter]:
        """The same as msgpack. Raises TypesChanged for a field that has a type by now which was not expected."""
        location, parts, keys, meter = ask.location, list[Frame](), set[str](), Meter()
        found: dict[str, tuple[str, ...]] = {}
        chunk = min(DOCUMENT_ROWS, limit // DOCUMENTS, CHUNK_CELLS // (1 + len(ask.types) + len(ask.tags)))
        fields = [influxql.show_field_keys(location)] if expected else []
        queries = [query, *fields, influxql.show_tag_keys(location)]
        for statement, series in self._server.stream(
            "; ".join(queries),
            location.database,
            location.policy,
            statements=len(queries),
            chunk_rows=max(1, chunk),
            most_bytes=most_bytes,
            timed_out=QueryTooLarge,
            meter=meter,
        ):
            if statement == 0:
                parts.append(_frame(series, ask, unsigned))
            elif statement == len(queries) - 1:
                keys.update(answers.as_text(row[0]) for row in series.rows)
            elif statement < len(queries) - 1:
                answers.add_types(found, series)
        if changed := changed_types(expected, found):
            shown = ", ".join(f"{name!r} ({' and '.join(known)})" for name, known in changed.items())
            raise TypesChanged(f"the types of fields have changed: {shown}", changed)
        return frames.joined(parts), frozenset(keys), meter

    def read_together(self, asked: Sequence[Ask], rows: int) -> list[Frame | None]:
        """All points of each question, oldest first; None where they are as many as `rows`, or need other tags.

        All measurements are of one database. Where a range goes across shard groups, the caller has to see to it
        that no field has got another type meanwhile. Raises QueryTooLarge when all of it is too much.
        """
        texts = [
            influxql.select_points(a.location, a.types, a.tags, a.span.start, a.span.end, rows) for a in asked
        ]
        found: list[Frame | None] = []
        pairs = list(zip(asked, texts, strict=True))
        # each measurement is named twice: in its statement, and in the one about tags that is the proof
        for part in questions.packed(pairs, lambda pair: pair[0].location.measurement + pair[1]):
            found += self._read_together([ask for ask, _ in part], [text for _, text in part], rows)
        return found

    def _read_together(self, asked: Sequence[Ask], statements: Sequence[str], rows: int) -> list[Frame | None]:
        statements = [*statements, influxql.show_tag_keys(*(a.location for a in asked))]
        unsigned = [self._unsigned(a.location, a.types, a.span) for a in asked]

        def read() -> list[Frame | None]:
            parts: list[list[Frame]] = [[] for _ in asked]
            tags = {a.location.measurement: set[str]() for a in asked}
            for number, series in self._server.stream(
                "; ".join(statements),
                statements=len(statements),
                most_bytes=PAGE_BYTES,
                timed_out=QueryTooLarge,
            ):
                if number < len(asked):
                    parts[number].append(_frame(series, asked[number], unsigned[number]))
                elif number == len(asked):
                    tags[series.name].update(answers.as_text(row[0]) for row in series.rows)
            return [
                _whole(part, rows) if tags[a.location.measurement] <= set(a.tags) else None
                for a, part in zip(asked, parts, strict=True)
            ]

        what = f"read {counted(len(asked), 'measurement')} of {asked[0].location.database}"
        return self._server.attempts(what, read)

    def read_windows(
        self, location: Location, averaged: Sequence[str], latest: Sequence[str], span: Span, window: int
    ) -> Page:
        """One point per window of `window` ns, series and field: the mean or the last value; oldest first.

        Raises QueryTooLarge for an answer that is too large, unless it is about one window: that has no parts.
        """
        most_bytes = PAGE_BYTES if span.length > window else None
        query = influxql.select_windows(location, averaged, latest, span.start, span.end, window)
        fields = [*averaged, *latest]

        def read() -> list[Series]:
            answer = self._server.stream(query, most_bytes=most_bytes, timed_out=QueryTooLarge)
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


def changed_types(
    known: Mapping[str, Sequence[str]], found: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The fields that have a type by now that is not known, with all their types."""
    return {name: found[name] for name, types in known.items() if set(found.get(name, ())) - set(types)}


def blocks(frame: Frame) -> Iterator[Frame]:
    """The rows of a page in frames of about BLOCK_CELLS, so that encoding them takes little memory.

    Fields that a row does not have count nothing: each frame costs a little for each of its columns.
    """
    cells = len(frame) * (1 + len(frame.tags)) + frame.values
    rows = max(1, BLOCK_CELLS * len(frame) // max(1, cells))
    yield from frame.split(range(rows, len(frame), rows))


def page_rows(columns: int) -> int:
    """How many rows of so many columns a page holds."""
    return max(FEWEST_ROWS, PAGE_CELLS // (1 + columns))


def _has_long_texts(types: Mapping[str, Sequence[str]], answer: tuple[list[Frame], frozenset[str], Meter]) -> bool:
    parts, _, meter = answer
    cells = sum(len(part) * (1 + len(part.fields) + len(part.tags)) for part in parts)
    return ("string",) in map(tuple, types.values()) and meter.size > LONG_TEXT * cells > 0


def _as_rows(series: Series, field: str, tags: Sequence[str]) -> Frame:
    try:
        return frames.to_frame(series.rows, [field], tags)
    except frames.UnexpectedRows as error:
        raise csv_answers.Doubtful(str(error)) from error


def _whole(parts: Sequence[Frame], limit: int) -> Frame | None:
    """The rows as one frame, unless they may not be all, or have several types."""
    if sum(map(len, parts)) >= limit:
        return None
    found = frames.joined(parts) or [frames.to_frame([], [], [])]
    return found[0] if len(found) == 1 else None


def _frame(series: Series, ask: Ask, unsigned: frozenset[str]) -> Frame:
    """The rows of a raw query as a frame.

    A column that had to be named by a regex is missing where no shard of the range has it.
    """
    location, fields, tags = ask.location, tuple(ask.types), ask.tags
    columns = iter(series.columns[1:])
    column = next(columns, None)
    present: dict[tuple[str, str], bool] = {}
    for kind, name in [*(("field", f) for f in fields), *(("tag", t) for t in tags)]:
        found = influxql.is_quotable(name) or column == name
        present[kind, name] = found
        column = next(columns, None) if found else column
    names = [name for name in (*fields, *tags) if not influxql.is_quotable(name)]
    if column is not None or len(set(names)) < len(names):
        names_shown = ", ".join(map(printable, names))
        raise QueryRefused(f"{location} has names that a query cannot tell apart: {names_shown}")
    try:
        return frames.to_frame(
            series.rows,
            [name for name in fields if present["field", name]],
            [name for name in tags if present["tag", name]],
            unsigned,
        )
    except frames.UnexpectedRows as error:
        raise IncompleteAnswer(f"{location}: {error}") from error


FEWEST_ROWS = 2
"""A page cannot get smaller: its last time is left to the next page, so one row would be no progress."""
