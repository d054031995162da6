"""Reads what a database has besides points from its server."""

from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import TypeVar

from basics.text import printable
from copying.metadata.snapshot import NOUNS, SavedMetadata
from influx.entries import Grant, User
from influx.errors import AccessDenied, InfluxError
from influx_client import InfluxClient
from settings.keys import MetadataKind, Server

_T = TypeVar("_T")

_BY_NAME = attrgetter("name")


class Capture:
    """Reads these kinds of it from one server. What the server does not show ends nothing, and is a warning."""

    def __init__(self, client: InfluxClient, server: Server, kinds: Sequence[MetadataKind]) -> None:
        self._client = client
        self._server = server
        self._kinds = kinds
        self._denied: set[str] = set()
        self._refused: list[str] = []

    def take(self, database: str) -> SavedMetadata:
        """What it has now. Raises only what the next attempt may not."""
        catalog = self._client.catalog
        return SavedMetadata(
            database,
            policies=self._ask("policies", database, lambda: self._client.get_retention_policies(database)),
            queries=self._ask("queries", database, lambda: catalog.get_continuous_queries(database)),
            users=self._ask("users", database, lambda: self._users),
            grants=self._ask("grants", database, lambda: [g for g in self._grants if g.database == database]),
            subscriptions=self._ask("subscriptions", database, lambda: catalog.get_subscriptions(database)),
        )

    @cached_property
    def _users(self) -> tuple[User, ...]:
        return self._client.catalog.get_users()

    @cached_property
    def _grants(self) -> tuple[Grant, ...]:
        return self._client.catalog.get_grants(self._users)

    def _ask(self, kind: str, database: str, question: Callable[[], Sequence[_T]]) -> tuple[_T, ...] | None:
        """The answer in an order that does not change; None where the kind is not wanted, or not shown."""
        if kind not in self._kinds or (kind in self._denied and kind in _OF_ADMINISTRATORS):
            return None
        try:
            return tuple(sorted(question(), key=repr))
        except AccessDenied:
            self._denied.add(kind)
        except InfluxError as error:
            if error.retryable:
                raise
            self._refused.append(f"database {printable(database)}: its {NOUNS[kind]} are not saved: {error}")
        return None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be saved so far, and why; one for all rights that are missing."""
        missing = [kind for kind in NOUNS if kind in self._denied]
        return ((_missing_right(self._server, missing),) if missing else ()) + tuple(self._refused)


_OF_ADMINISTRATORS = ("users", "grants", "subscriptions")


def _missing_right(server: Server, kinds: Sequence[str]) -> str:
    """Which right a user lacks for these kinds, and what to do."""
    is_admin = any(kind in _OF_ADMINISTRATORS for kind in kinds)
    right = (
        "are shown to administrators alone (the right ALL PRIVILEGES)" if is_admin else "need READ on the database"
    )
    user = f"user {server.user!r}" if server.user else "this user"
    nouns, keys = (", ".join(names) for names in ([NOUNS[kind] for kind in kinds], kinds))
    return (
        f"{nouns} are not saved: at {server.url} they {right}, which {user} lacks; grant it, or "
        f"take {keys} out of options.metadata"
    )
