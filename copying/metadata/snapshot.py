"""What a database has besides points, at one moment, as values and as a JSON document. Pure."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from influx import influxql
from influx.entries import ContinuousQuery, Grant, Subscription, User
from influx.influxql import Policy

FORMAT = 1
"""Of the JSON document. Keys are only ever added to it."""

_T = TypeVar("_T")
_Document = Mapping[str, Any]


class Unreadable(ValueError):
    """A document that is not one of these."""


@dataclass(frozen=True, slots=True)
class SavedMetadata:
    """Of one database, by the names of the source. None: that was not saved."""

    database: str
    policies: tuple[Policy, ...] | None = None
    queries: tuple[ContinuousQuery, ...] | None = None
    users: tuple[User, ...] | None = None
    """All users of the server."""
    grants: tuple[Grant, ...] | None = None
    """Those on this database."""
    subscriptions: tuple[Subscription, ...] | None = None

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """How many there are of each kind that was saved."""
        found = ((kind, getattr(self, kind)) for kind in KINDS)
        return tuple((kind, len(items)) for kind, items in found if items is not None)

    def completed(self, older: "SavedMetadata") -> "SavedMetadata":
        """The same, with what only an older one has."""
        missing = [kind for kind in KINDS if getattr(self, kind) is None]
        return replace(self, **{kind: getattr(older, kind) for kind in missing})


KINDS = tuple(field.name for field in fields(SavedMetadata) if field.name != "database")

NOUNS = {
    "policies": "retention policies",
    "queries": "continuous queries",
    "users": "users",
    "grants": "grants",
    "subscriptions": "subscriptions",
}
"""How messages call them."""


def amount(kind: str, number: int) -> str:
    """`2 retention policies`, `1 user`."""
    noun = NOUNS[kind]
    one = noun.removesuffix("ies") + "y" if noun.endswith("ies") else noun.removesuffix("s")
    return f"{number:,} {one if number == 1 else noun}"


def as_bytes(saved: SavedMetadata) -> bytes:
    """The JSON document; the same for the same contents."""
    document: dict[str, object] = {"format": FORMAT, "database": saved.database}
    writers: dict[str, Callable[[Any], dict[str, object]]] = {
        "policies": _policy,
        "queries": lambda query: {"name": query.name, "query": query.text},
        "users": lambda user: {"name": user.name, "admin": user.is_admin},
        "grants": lambda grant: {"user": grant.user, "privilege": grant.privilege},
        "subscriptions": _subscription,
    }
    for kind, writer in writers.items():
        items = getattr(saved, kind)
        document[kind] = None if items is None else [writer(item) for item in items]
    return json.dumps(document, indent=2).encode() + b"\n"  # ASCII: stray bytes of names are escapes


def _policy(policy: Policy) -> dict[str, object]:
    return {
        "name": policy.name,
        "duration": influxql.go_duration(policy.duration),
        "shard_duration": influxql.go_duration(policy.shard_duration),
        "default": policy.is_default,
    }


def _subscription(subscription: Subscription) -> dict[str, object]:
    return {
        "policy": subscription.policy,
        "name": subscription.name,
        "mode": subscription.mode,
        "destinations": list(subscription.destinations),
    }


def from_bytes(content: bytes) -> SavedMetadata:
    """What the document says. Raises Unreadable."""
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            raise Unreadable(f"it has the format {document['format']}, and this version knows {FORMAT}")
        database = str(document["database"])
        return SavedMetadata(
            database,
            policies=_read(document, "policies", _read_policy),
            queries=_read(document, "queries", lambda item: ContinuousQuery(item["name"], item["query"])),
            users=_read(document, "users", lambda item: User(item["name"], item["admin"] is True)),
            grants=_read(document, "grants", lambda item: Grant(item["user"], database, item["privilege"])),
            subscriptions=_read(document, "subscriptions", _read_subscription),
        )
    except Unreadable:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"it is no saved metadata: {error}") from error


def _read(document: _Document, kind: str, reader: Callable[[_Document], _T]) -> tuple[_T, ...] | None:
    items: Iterable[_Document] | None = document[kind]
    return None if items is None else tuple(map(reader, items))


def _read_policy(item: _Document) -> Policy:
    durations = [influxql.parse_go_duration(item[key]) for key in ("duration", "shard_duration")]
    return Policy(item["name"], durations[0], durations[1], item["default"] is True)


def _read_subscription(item: _Document) -> Subscription:
    return Subscription(item["policy"], item["name"], item["mode"], tuple(item["destinations"]))
