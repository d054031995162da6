"""What a snapshot says of itself, as values and as JSON with a checksum. Pure.

The JSON is `{"sha256": "<of the rest>", "<kind>": <body>}` and a newline: the checksum is that of the bytes of the
body. So whoever has the file can prove it, and any change of a byte shows.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from basics.spans import Span
from copying.archive import layout
from copying.archive.errors import Damaged, NewerFormat
from influx.influxql import Location, Policy


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file. Times are nanoseconds."""

    sha256: str
    bytes: int
    rows: int
    first: int
    last: int
    values: Mapping[str, int]
    """Field -> how many values it has here."""


@dataclass(frozen=True, slots=True)
class Part:
    """A measurement in one shard group. `fields` has the type of each, of which a shard group has one."""

    measurement: str
    fields: Mapping[str, str]
    tags: tuple[str, ...]
    fingerprint: str
    """A hash of what the source said of its series when it was read; empty: it was written to meanwhile."""
    files: tuple[DataFile, ...]

    @property
    def values(self) -> dict[str, int]:
        """Field -> how many values it has."""
        return {name: sum(file.values.get(name, 0) for file in self.files) for name in self.fields}

    @property
    def rows(self) -> int:
        """How many points."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True)
class Group:
    """A shard group of the source."""

    span: Span
    signature: str
    """What the source said of who wrote to it, before it was read; empty: that is not known."""
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class PolicyHeld:
    """A retention policy, and what it held."""

    policy: Policy
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class DatabaseHeld:
    """A database by its name at the source."""

    name: str
    policies: tuple[PolicyHeld, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A point in time of one job. `taken` is nanoseconds; the name of the object has it, too."""

    job: str
    taken: int
    source: str
    """URL of the server."""
    databases: tuple[DatabaseHeld, ...] = ()
    version: str = ""
    """Of the server."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As commands take it."""
        return layout.snapshot_name(self.taken)

    @property
    def entries(self) -> Iterator["Entry"]:
        """Each measurement of each shard group, with its place."""
        for database in self.databases:
            for held in database.policies:
                for group in held.groups:
                    for part in group.parts:
                        yield Entry(Location(database.name, held.policy.name, part.measurement), group.span, part)

    @property
    def files(self) -> dict[str, DataFile]:
        """Every file by its key."""
        return {entry.key(file): file for entry in self.entries for file in entry.part.files}

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(file.bytes for file in self.files.values())

    @property
    def rows(self) -> int:
        """How many points."""
        return sum(entry.part.rows for entry in self.entries)

    @property
    def groups(self) -> dict[tuple[str, str, Span], Group]:
        """Each shard group by database, policy and range."""
        return {
            (held.name, policy.policy.name, group.span): group
            for held in self.databases
            for policy in held.policies
            for group in policy.groups
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """A measurement of a shard group, and where it belongs."""

    location: Location
    span: Span
    part: Part

    def key(self, file: DataFile) -> str:
        """The key of one of its files."""
        return layout.file_key(layout.folder_of(self.location, self.span), file.sha256)


# ---------------------------------------------------------------- JSON


def sealed(kind: str, body: object) -> bytes:
    """A body with its checksum."""
    text = json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()
    return _head(kind, hashlib.sha256(text).hexdigest()) + text + b"}\n"


def _head(kind: str, digest: str) -> bytes:
    return f'{{"sha256":"{digest}","{kind}":'.encode()


def unsealed(kind: str, content: bytes, name: str) -> dict[str, Any]:
    """The body, proved. Raises Damaged, and NewerFormat."""
    head = len(_head(kind, "0" * 64))
    text = content[head:-2]
    if content != _head(kind, hashlib.sha256(text).hexdigest()) + text + b"}\n":
        raise Damaged(f"{name} is damaged: its bytes do not have the checksum that it names")
    body = json.loads(text)
    if body["format"] > layout.FORMAT:
        raise NewerFormat(
            f"{name} has format {body['format']}, and this version knows {layout.FORMAT}: update this tool"
        )
    return dict(body)


def written(snapshot: Snapshot) -> bytes:
    """A snapshot as JSON."""
    body = {
        "format": layout.FORMAT,
        "job": snapshot.job,
        "taken": snapshot.taken,
        "source": snapshot.source,
        "version": snapshot.version,
        "databases": [
            {"name": held.name, "policies": [_policy(policy) for policy in held.policies]}
            for held in snapshot.databases
        ],
        "metadata": dict(snapshot.metadata),
    }
    return sealed("snapshot", body)


def _policy(held: PolicyHeld) -> dict[str, Any]:
    policy = held.policy
    return {
        "name": policy.name,
        "duration": policy.duration,
        "shard_duration": policy.shard_duration,
        "default": policy.is_default,
        "groups": [
            {
                "start": group.span.start,
                "end": group.span.end,
                "signature": group.signature,
                "measurements": [_part(part) for part in group.parts],
            }
            for group in held.groups
        ],
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "name": part.measurement,
        "fields": dict(part.fields),
        "tags": list(part.tags),
        "fingerprint": part.fingerprint,
        "files": [
            {
                "sha256": file.sha256,
                "bytes": file.bytes,
                "rows": file.rows,
                "first": file.first,
                "last": file.last,
                "values": dict(file.values),
            }
            for file in part.files
        ],
    }


def parsed(content: bytes, name: str) -> Snapshot:
    """A snapshot of its JSON. Raises Damaged, and NewerFormat."""
    body = unsealed("snapshot", content, name)
    try:
        databases = tuple(
            DatabaseHeld(held["name"], tuple(_parsed_policy(policy) for policy in held["policies"]))
            for held in body["databases"]
        )
        return Snapshot(
            body["job"], body["taken"], body["source"], databases, body["version"], body.get("metadata", {})
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{name} is not a snapshot: {error!r}") from error


def _parsed_policy(held: Mapping[str, Any]) -> PolicyHeld:
    policy = Policy(held["name"], held["duration"], held["shard_duration"], held["default"])
    groups = (
        Group(
            Span(group["start"], group["end"]),
            group["signature"],
            tuple(
                Part(
                    part["name"],
                    part["fields"],
                    tuple(part["tags"]),
                    part["fingerprint"],
                    tuple(DataFile(**file) for file in part["files"]),
                )
                for part in group["measurements"]
            ),
        )
        for group in held["groups"]
    )
    return PolicyHeld(policy, tuple(groups))
