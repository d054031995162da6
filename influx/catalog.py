"""What a server has besides points, databases and policies: continuous queries, users, grants and subscriptions.

Lists are asked for by statements of our own: the library `influxdb` takes one that the server has cut
(`max-row-limit`) for whole, has a database for all its calls alone, and does not know subscriptions. It puts
statements into URLs, where proxies keep them, so passwords never go through it. What it is right for, it does
(tests/facts/test_library.py).
"""

import csv
from collections.abc import Iterable
from typing import Any

from basics.text import printable
from influx import answers, influxql
from influx.answers import Series
from influx.entries import PRIVILEGES, ContinuousQuery, Grant, Subscription, User
from influx.errors import AccessDenied, Unreachable
from influx.library import Library
from influx.pages import PageReader
from influx.transport import Meter, Transport


class Catalog:
    """What one server has besides points. Every method raises an InfluxError; AccessDenied without the right."""

    def __init__(self, transport: Transport, library: Library) -> None:
        self._server = transport
        self._library = library
        self._reader = PageReader(transport)

    # ------------------------------------------------------------ what there is

    def get_continuous_queries(self, database: str) -> tuple[ContinuousQuery, ...]:
        """Those of a database. READ on it is enough."""
        return self.get_all_continuous_queries(database).get(database, ())

    def get_all_continuous_queries(self, database: str) -> dict[str, tuple[ContinuousQuery, ...]]:
        """Those of every database that the user may see. READ on one of them, which is named, is enough."""
        (answer,) = self._reader.query_data("SHOW CONTINUOUS QUERIES", database)
        return {
            series.name: tuple(ContinuousQuery(row["name"], row["query"]) for row in _records([series]))
            for series in answer
        }

    def runs_continuous_queries(self) -> bool | None:
        """Whether the server runs them at all; None where this user may not know."""
        statement = "SHOW DIAGNOSTICS FOR 'config-cqs'"

        def ask() -> bytes:
            # not in msgpack, where the answer breaks off at an interval that it has no form for
            return self._server.fetch_csv(statement, "", "", most_bytes=None, timed_out=Unreachable, meter=Meter())

        try:
            rows = list(csv.DictReader(self._server.attempts(f"query {statement}", ask).decode().splitlines()))
        except AccessDenied:
            rows = []
        told = {"true": True, "false": False}.get(rows[0].get("enabled", "")) if rows else None
        return self._has_their_counters() if told is None else told

    def _has_their_counters(self) -> bool | None:
        """The same by `/debug/vars`, which most servers show everybody: a service that runs counts there."""
        document = self._server.attempts("read /debug/vars", self._server.debug_vars)
        return "cq" in document if isinstance(document, dict) and "system" in document else None

    def get_users(self) -> tuple[User, ...]:
        """All users of the server. For administrators."""
        (answer,) = self._reader.query_data("SHOW USERS")
        rows = (row for series in answer for row in series.rows)
        return tuple(User(answers.as_text(name), is_admin is True) for name, is_admin in rows)

    def get_grants(self, users: Iterable[User]) -> tuple[Grant, ...]:
        """What these users may do, in all databases; administrators may do everything. For administrators."""
        names = [user.name for user in users]
        found = self._reader.query_all([f"SHOW GRANTS FOR {influxql.quote(name)}" for name in names])
        return tuple(
            Grant(name, row["database"], row["privilege"])
            for name, answer in zip(names, found, strict=True)
            for row in _records(answer)
            if row["privilege"] in PRIVILEGES
        )

    def get_subscriptions(self, database: str) -> tuple[Subscription, ...]:
        """Those of a database. For administrators."""
        (answer,) = self._reader.query_data("SHOW SUBSCRIPTIONS")
        rows = [
            dict(zip(series.columns, row, strict=True))
            for series in answer
            if series.name == database
            for row in series.rows
        ]
        return tuple(_subscription(row) for row in rows)

    # ------------------------------------------------------------ creating

    def create_continuous_query(self, text: str) -> None:
        """Run the statement; nothing happens where the same is there. Raises QueryRefused for another one."""
        self._reader.query_data(text)

    def create_user(self, name: str, password: str, *, is_admin: bool) -> None:
        """Create a user; nothing happens where the same is there. Raises QueryRefused for another password."""
        statement = influxql.create_user(name, password, is_admin=is_admin)
        shown = f"CREATE USER {printable(influxql.quote(name))}"
        self._server.attempts(shown, lambda: list(self._server.stream(statement)))

    def grant(self, grant: Grant) -> None:
        """Give the right."""
        if grant.privilege not in PRIVILEGES:  # the library puts it into the statement as it is
            raise ValueError(f"not a privilege: {grant.privilege!r}")
        what = f"query GRANT {grant.privilege} ON {printable(grant.database)} TO {printable(grant.user)}"
        privilege = grant.privilege.partition(" ")[0]
        self._server.attempts(what, lambda: self._library.grant_privilege(privilege, grant.database, grant.user))

    def set_default_policy(self, database: str, policy: str) -> None:
        """Make the retention policy the default one of its database."""
        what = f"query ALTER RETENTION POLICY {printable(policy)} ON {printable(database)} DEFAULT"
        self._server.attempts(what, lambda: self._library.alter_retention_policy(policy, database, default=True))

    def create_subscription(self, database: str, subscription: Subscription) -> None:
        """Create the subscription. Raises QueryRefused where one of the name exists."""
        self._reader.query_data(
            influxql.create_subscription(
                database, subscription.policy, subscription.name, subscription.mode, subscription.destinations
            )
        )


def _records(found: Iterable[Series]) -> list[dict[str, str]]:
    return [dict(zip(s.columns, map(answers.as_text, row), strict=True)) for s in found for row in s.rows]


def _subscription(row: dict[str, Any]) -> Subscription:
    policy, name, mode = (answers.as_text(row[key]) for key in ("retention_policy", "name", "mode"))
    return Subscription(policy, name, mode, tuple(map(answers.as_text, row["destinations"])))
