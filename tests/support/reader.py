"""The independent reader: a whole InfluxDB 1.x database, exactly, to compare two of them.

It shares no code with the tool that it judges: only the standard library and msgpack.

Every shard group is read by itself, so that every value has the type it was stored with, by
`SELECT *::field ... GROUP BY *`, so that tags (in the series) and fields (in the columns) cannot be mixed up.
An answer counts only if it is provably complete: every byte of it decoded, no error in it, no statement
without its last part. Anything else raises ReaderError.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import hashlib
import http.client
import itertools
import ssl
import urllib.parse
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgpack

FIRST_TIME = -9223372036854775806
LAST_TIME = 9223372036854775806

Tags = tuple[tuple[bytes, bytes], ...]
Key = tuple[str, bytes, Tags, bytes, int]
"""Retention policy, measurement, sorted tags, field, time in nanoseconds."""
Value = tuple[str, str | int | bool | bytes]
"""The type (float, integer, string, boolean) and the value as `exact` has it."""

STATEMENTS_PER_REQUEST = 50
SYSTEM_MEASUREMENTS = frozenset({b"_series", b"_fieldKeys", b"_tagKeys", b"_tags", b"_measurements"})
SYSTEM_FIELDS = frozenset({b"_name", b"_tagKey", b"_tagValue", b"_seriesKey", b"_fieldKey"})

_TYPES = {float: "float", int: "integer", bool: "boolean", bytes: "string"}
_HASH_BYTES = 16
_HASH_RANGE = 1 << (8 * _HASH_BYTES)
NIL = b"\xc0"
_MAX_BUFFER = 2**31 - 1


class ReaderError(RuntimeError):
    """The database could not be read whole and exactly."""


class Policy(NamedTuple):
    """A retention policy as SHOW RETENTION POLICIES prints it: `168h0m0s`, `0s` for infinite."""

    duration: str
    shard_duration: str
    default: bool


@dataclass(frozen=True)
class Snapshot:
    """Every value of a database. Two are equal when not a bit, type, name or nanosecond differs."""

    points: Mapping[Key, Value] = field(repr=False)

    def __len__(self) -> int:
        return len(self.points)


class Digest(NamedTuple):
    """Of one measurement in one policy: how many rows and values, and the sum of the rows' hashes."""

    rows: int
    values: int
    hash: int


def exact(value: float | int | bool | bytes | str) -> Value:
    """A value with its type, comparable without loss: floats by `repr`, which tells -0.0 from 0.0."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    kind = _TYPES[type(value)]
    return (kind, repr(value)) if isinstance(value, float) else (kind, value)


def key(policy: str, measurement: str, tags: Mapping[str, str], field_name: str, time: int) -> Key:
    """The key of a value, from text; surrogate escapes stand for bytes that are not UTF-8."""
    pairs = tuple(sorted((_bytes(name), _bytes(value)) for name, value in tags.items()))
    return policy, _bytes(measurement), pairs, _bytes(field_name), time


def read_database(
    url: str,
    database: str,
    *,
    user: str = "",
    password: str = "",
    policies: Collection[str] | None = None,
    skip_unreadable: bool = False,
) -> Snapshot:
    """Every value of the database, of all retention policies or of the named ones.

    Some names cannot be read by any query (SYSTEM_MEASUREMENTS, SYSTEM_FIELDS): they raise ReaderError, or
    are left out with `skip_unreadable`.
    """
    points: dict[Key, Value] = {}
    count = 0
    with _no_collector(), _Client(url, user, password) as client:
        for part in _parts(client, database, policies, skip_unreadable):
            for series in part.read(client):
                count += _add(points, part.policy, series)
    if count != len(points):
        raise ReaderError(f"{database}: {count - len(points)} values were answered more than once")
    return Snapshot(points)


def digest_database(
    url: str,
    database: str,
    *,
    user: str = "",
    password: str = "",
    policies: Collection[str] | None = None,
    skip_unreadable: bool = False,
) -> dict[tuple[str, bytes], Digest]:
    """As read_database, for data that do not fit in memory: a digest for each (policy, measurement).

    Equal data have equal digests, in whatever order, blocks and columns they come.
    """
    digests: dict[tuple[str, bytes], Digest] = {}
    with _Client(url, user, password) as client:
        for part in _parts(client, database, policies, skip_unreadable):
            rows = values = total = 0
            for series in part.read(client):
                more = _hash_series(series)
                rows, values, total = rows + more.rows, values + more.values, total + more.hash
            if rows:
                digests[part.policy, part.measurement] = Digest(rows, values, total % _HASH_RANGE)
    return digests


def read_policies(url: str, database: str, *, user: str = "", password: str = "") -> dict[str, Policy]:
    """The retention policies of a database, by name."""
    with _Client(url, user, password) as client:
        return _policies(client, database)


# ---- comparing


def difference(
    a: Snapshot, b: Snapshot, limit: int = 10, names: tuple[str, str] = ("source", "destination")
) -> str:
    """Empty when both are equal; else what is missing, extra or different in `b`, with examples of each."""
    if a.points == b.points:
        return ""
    missing = sorted(a.points.keys() - b.points.keys())
    extra = sorted(b.points.keys() - a.points.keys())
    changed = sorted(at for at in a.points.keys() & b.points.keys() if a.points[at] != b.points[at])
    lines = [
        f"{names[0]} has {len(a)} values, {names[1]} has {len(b)}:"
        f" {len(missing)} missing, {len(extra)} extra, {len(changed)} different"
    ]
    lines += _examples(f"only in {names[0]}", [f"{_text(at)} = {_shown(a.points[at])}" for at in missing[:limit]])
    lines += _examples(f"only in {names[1]}", [f"{_text(at)} = {_shown(b.points[at])}" for at in extra[:limit]])
    lines += _examples(
        f"different ({names[0]}, {names[1]})",
        [f"{_text(at)} = {_shown(a.points[at])}, {_shown(b.points[at])}" for at in changed[:limit]],
    )
    return "\n".join(lines)


def digest_difference(a: Mapping[tuple[str, bytes], Digest], b: Mapping[tuple[str, bytes], Digest]) -> str:
    """Empty when both are equal; else a line for each measurement that differs."""
    none = Digest(0, 0, 0)
    return "\n".join(
        f"{policy} {_name(measurement)}: {_counts(left)}, {_counts(right)}"
        for policy, measurement in sorted(a.keys() | b.keys())
        for left, right in [(a.get((policy, measurement), none), b.get((policy, measurement), none))]
        if left != right
    )


def _counts(digest: Digest) -> str:
    return f"{digest.rows} rows of {digest.values} values with hash {digest.hash:032x}"


def _examples(title: str, examples: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"  {example}" for example in examples)] if examples else []


def _text(at: Key) -> str:
    policy, measurement, tags, field_name, time = at
    labels = "".join(f", {_name(name)}={_name(value)}" for name, value in tags)
    return f"{policy} {_name(measurement)}{labels} field {_name(field_name)} at {time} ({_moment(time)})"


def _shown(value: Value) -> str:
    kind, content = value
    text = repr(content) if isinstance(content, bytes) else str(content)
    return f"{kind} {text if len(text) <= 200 else f'{text[:200]}... ({len(text)} characters)'}"


def _name(raw: bytes) -> str:
    return repr(raw)[1:]


def _moment(time: int) -> str:
    seconds, nanoseconds = divmod(time, 10**9)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


# ---- what there is to read


class _Series(NamedTuple):
    measurement: bytes
    tags: Tags
    fields: tuple[bytes, ...]
    rows: list[list[Any]]
    """Time first, then one value or None for each of the fields."""


@dataclass(frozen=True)
class _Part:
    """One measurement of one policy, and the windows of time in which a shard can hold some of it."""

    database: str
    policy: str
    measurement: bytes
    types: Mapping[bytes, Collection[str]]
    windows: Sequence[tuple[int, int]]

    def read(self, client: _Client) -> Iterator[_Series]:
        source = f"{_quoted(self.database)}.{_quoted(self.policy)}.{_measurement_pattern(self.measurement)}"
        select = f"SELECT *::field FROM {source}"  # noqa: S608 - every name in it is quoted
        for first in range(0, len(self.windows), STATEMENTS_PER_REQUEST):
            statements = [
                f"{select} WHERE time >= {start} AND time <= {last} GROUP BY *"
                for start, last in self.windows[first : first + STATEMENTS_PER_REQUEST]
            ]
            for answer in client.query(statements):
                yield self._series(answer)

    def _series(self, answer: Mapping[bytes, Any]) -> _Series:
        columns: list[bytes] = answer[b"columns"]
        fields = tuple(columns[1:])
        if answer[b"name"] != self.measurement:
            raise ReaderError(f"asked for {self.measurement!r}, got {answer[b'name']!r} too: same pattern")
        if columns[0] != b"time" or len(set(fields)) != len(fields) or not self.types.keys() >= set(fields):
            raise ReaderError(f"{self.measurement!r}: unexpected columns {columns!r}")
        pairs = answer.get(b"tags", {}).items()
        tags = tuple(sorted((name, value) for name, value in pairs if value))
        if SYSTEM_FIELDS.isdisjoint(fields):
            return _Series(self.measurement, tags, fields, answer[b"values"])
        return _without_system_fields(_Series(self.measurement, tags, fields, answer[b"values"]))


def _without_system_fields(series: _Series) -> _Series:
    """The server answers such a field with the measurement's name at time 0: an invention, not a value."""
    kept = [number for number, name in enumerate(series.fields, 1) if name not in SYSTEM_FIELDS]
    rows = [[row[0], *(row[number] for number in kept)] for row in series.rows]
    fields = tuple(series.fields[number - 1] for number in kept)
    return series._replace(fields=fields, rows=[row for row in rows if any(v is not None for v in row[1:])])


def _parts(
    client: _Client, database: str, policies: Collection[str] | None, skip_unreadable: bool
) -> Iterator[_Part]:
    existing = _policies(client, database)
    unknown = set(policies or ()) - existing.keys()
    if unknown:
        raise ReaderError(f"{database} has no retention policy {', '.join(sorted(unknown))}")
    for policy in existing if policies is None else policies:
        groups = _shard_groups(client, database, policy)
        for measurement, types in _field_types(client, database, policy).items():
            if not SYSTEM_FIELDS.isdisjoint(types) and not skip_unreadable:
                raise ReaderError(f"{measurement!r} has a field that no query can read: {sorted(types)}")
            if measurement in SYSTEM_MEASUREMENTS and skip_unreadable:
                continue
            windows = _windows(groups, one_type=all(len(kinds) == 1 for kinds in types.values()))
            yield _Part(database, policy, measurement, types, windows)


def _policies(client: _Client, database: str) -> dict[str, Policy]:
    rows = client.rows(f"SHOW RETENTION POLICIES ON {_quoted(database)}")
    return {
        _str(row["name"]): Policy(_str(row["duration"]), _str(row["shardGroupDuration"]), row["default"])
        for row in rows
    }


def _field_types(client: _Client, database: str, policy: str) -> dict[bytes, dict[bytes, set[str]]]:
    """For each measurement of the policy, its fields with all the types that they have in any shard."""
    found: dict[bytes, dict[bytes, set[str]]] = {}
    for answer in client.query(["SHOW FIELD KEYS"], db=database, rp=policy):
        fields = found.setdefault(answer[b"name"], {})
        for name, kind in answer[b"values"]:
            fields.setdefault(name, set()).add(_str(kind))
    return found


def _shard_groups(client: _Client, database: str, policy: str) -> list[tuple[int, int]]:
    """The first and last nanosecond of each shard group of the policy."""
    return sorted(
        _interval(_str(row["start_time"]), _str(row["end_time"]))
        for row in client.rows("SHOW SHARD GROUPS")
        if (_str(row["database"]), _str(row["retention_policy"])) == (database, policy)
    )


def _interval(start: str, end: str) -> tuple[int, int]:
    """From the times that SHOW SHARD GROUPS prints, in whole seconds; the end is not part of a group."""
    last = _nanoseconds(end) - 1
    if last >= LAST_TIME - 10**9:  # the end of time, printed without its fraction of a second
        last = LAST_TIME
    return max(_nanoseconds(start), FIRST_TIME), last


def _nanoseconds(text: str) -> int:
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000


def _windows(groups: Sequence[tuple[int, int]], *, one_type: bool) -> list[tuple[int, int]]:
    """The groups as windows that do not overlap, each inside one group.

    Where groups overlap (after a change of the shard duration) a window is in two shards: then the types
    must not differ, because one query over both would change or drop values.
    """
    edges = sorted({edge for start, last in groups for edge in (start, last + 1)})
    windows = []
    for start, end in itertools.pairwise(edges):
        covering = sum(first <= start and end - 1 <= last for first, last in groups)
        if covering > 1 and not one_type:
            raise ReaderError(f"shard groups overlap in [{start}, {end}), and a field has several types")
        if covering:
            windows.append((start, end - 1))
    return windows


# ---- what is made of it


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Millions of new tuples without a cycle among them: looking for cycles would take most of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _add(points: dict[Key, Value], policy: str, series: _Series) -> int:
    """Add the values of a series; how many there were."""
    measurement, tags, fields, rows = series
    count = 0
    for time, *values in rows:
        for name, value in zip(fields, values, strict=True):
            if value is not None:
                points[policy, measurement, tags, name, time] = exact(value)
                count += 1
    return count


def _hash_series(series: _Series) -> Digest:
    """A hash of each row with its series and field names, without its nulls; and their sum."""
    order = sorted(range(len(series.fields)), key=series.fields.__getitem__)
    if order != list(range(len(order))):
        rows = [[row[0], *(row[1 + number] for number in order)] for row in series.rows]
        series = series._replace(fields=tuple(series.fields[number] for number in order), rows=rows)
    pack = msgpack.Packer(use_bin_type=True).pack
    hashers: dict[tuple[int, ...], Any] = {}
    values = total = 0
    for row in series.rows:
        present: tuple[int, ...] = ()  # stands for all, the common case
        found = row
        if None in row:
            present = tuple(number for number, value in enumerate(row) if value is not None)
            found = [row[number] for number in present]
        if present not in hashers:
            fields = [series.fields[number - 1] for number in present[1:]] if present else series.fields
            start = pack([series.measurement, series.tags, fields])
            hashers[present] = hashlib.blake2b(start, digest_size=_HASH_BYTES)
        hasher = hashers[present].copy()
        hasher.update(pack(found))
        total += int.from_bytes(hasher.digest())
        values += len(found) - 1
    return Digest(len(series.rows), values, total)


# ---- asking


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _str(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _measurement_pattern(name: bytes) -> str:
    """The measurement in a FROM clause: quoted, or as a regular expression where quotes cannot hold it."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\r" not in text and "\0" not in text:
        return _quoted(text)
    text = name.decode("utf-8", "surrogateescape")
    return "/^(?s:" + "".join(f"\\x{{{_code(character):X}}}" for character in text) + ")$/"


def _code(character: str) -> int:
    """A byte that is not UTF-8 is the replacement character to the server's regular expressions."""
    return 0xFFFD if 0xDC80 <= ord(character) <= 0xDCFF else ord(character)


class _Client:
    """One connection to one server."""

    def __init__(self, url: str, user: str, password: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._where = url
        self._path = parts.path.rstrip("/") + "/query"
        self._headers = {
            "Accept": "application/x-msgpack",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if user:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._connection = _connection(parts)

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """The rows of a small answer, by column name."""
        return [
            dict(zip(map(_str, answer[b"columns"]), row, strict=True))
            for answer in self.query([statement])
            for row in answer[b"values"]
        ]

    def query(self, statements: Sequence[str], **params: str) -> Iterator[dict[bytes, Any]]:
        """The series of the statements' answers as they come, the rows of a long one in several pieces.

        Raises ReaderError at the end at the latest when anything is missing.
        """
        complete = [False] * len(statements)
        for document in self._documents(";".join(statements), params):
            _raise_error_of(document)
            for result in document.get(b"results", ()):
                _raise_error_of(result)
                complete[result[b"statement_id"]] = not result.get(b"partial", False)
                yield from result.get(b"series", ())
        if not all(complete):
            number = complete.index(False)
            raise ReaderError(f"{self._where}: the answer is not complete: {statements[number]}")

    def _documents(self, statement: str, params: Mapping[str, str]) -> Iterator[dict[bytes, Any]]:
        form = {**params, "q": statement, "epoch": "ns", "chunked": "true"}
        try:
            self._connection.request("POST", self._path, urllib.parse.urlencode(form), self._headers)
            response = self._connection.getresponse()
            if response.status != 200:
                raise ReaderError(f"{self._where}: HTTP {response.status}: {response.read()!r}")
            yield from self._unpack(response)
        except (OSError, http.client.HTTPException, msgpack.UnpackException, ValueError) as error:
            raise ReaderError(f"{self._where}: {error!r}: {statement[:200]}") from error

    def _unpack(self, response: http.client.HTTPResponse) -> Iterator[dict[bytes, Any]]:
        unpacker = msgpack.Unpacker(raw=True, strict_map_key=False, max_buffer_size=_MAX_BUFFER)
        while data := response.read(1 << 18):
            unpacker.feed(data)
            yield from unpacker
        unpacker.feed(NIL)  # comes out as itself, unless it becomes part of a document that is cut off
        if response.length or list(unpacker) != [None]:
            raise ReaderError(f"{self._where}: the answer ends in the middle")


def _raise_error_of(part: Mapping[bytes, Any]) -> None:
    if b"error" in part:
        raise ReaderError(_str(part[b"error"]))


def _connection(parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
    """Straight to the server, whatever its certificate."""
    if parts.hostname is None:
        raise ReaderError(f"not a URL: {parts.geturl()}")
    if parts.scheme != "https":
        return http.client.HTTPConnection(parts.hostname, parts.port or 8086, timeout=300)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(parts.hostname, parts.port or 443, timeout=300, context=context)
