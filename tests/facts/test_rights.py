"""Who may do what, and what the refusals say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.facts.harness import Answer, Client, packed
from tests.support.servers import InfluxServer, Settings

LOGINS = ("reader", "writer", "owner", "nobody")
GRANTS = {"reader": "READ", "writer": "WRITE", "owner": "ALL"}


@pytest.fixture(scope="module")
def admin() -> Iterator[Client]:
    """The administrator of a server with users: each of GRANTS has that right on `db`, none on `other`."""
    with InfluxServer.start("rights", settings={"http.auth-enabled": True}) as server:
        client = Client(server)
        client.ask('CREATE DATABASE "db"; CREATE DATABASE "other"')
        for name in LOGINS:
            client.ask(f"CREATE USER {name} WITH PASSWORD '{name}'")
        for name, right in GRANTS.items():
            client.ask(f"GRANT {right} ON db TO {name}")
        assert client.write("m,t=x v=1 1", "db").status == 204
        yield client


def _as(admin: Client, name: str) -> Client:
    return Client(admin.server, (name, name))


def _is_denied(answer: Answer) -> bool:
    return answer.status == 403 or "not authorized" in answer.error or "requires admin" in answer.error


READS = (
    "SHOW RETENTION POLICIES ON db",
    "SHOW MEASUREMENTS",
    "SHOW FIELD KEYS",
    "SHOW TAG KEYS ON db FROM m",
    "SHOW FIELD KEYS ON db FROM m",
    "SELECT v FROM db.autogen.m",
    'SHOW TAG VALUES ON db FROM m WITH KEY = "t"',
)


@pytest.mark.parametrize("name", ["reader", "owner"])
def test_readers(name: str, admin: Client) -> None:
    """A user with READ or ALL may SELECT, and see retention policies, measurements, field and tag keys and tag
    values.
    """
    for query in READS:
        answer = _as(admin, name).ask(query, db="db")
        assert (answer.status, answer.error, bool(answer.rows)) == (200, "", True), query


def test_writers(admin: Client) -> None:
    """A user with WRITE may write, and not SELECT; READ may not write; ALL may both."""
    assert _is_denied(_as(admin, "writer").ask("SELECT v FROM m", db="db"))
    statuses = {name: _as(admin, name).write("m,t=x v=1 1", "db").status for name in LOGINS}
    assert statuses == {"reader": 403, "writer": 204, "owner": 204, "nobody": 403}


def test_write_of_nothing(admin: Client) -> None:
    """A write of nothing tells whether the user may write: 204 or 403."""
    gzip = {"Content-Encoding": "gzip"}
    statuses = {name: _as(admin, name).write(packed(""), "db", gzip).status for name in LOGINS}
    assert statuses == {"reader": 403, "writer": 204, "owner": 204, "nobody": 403}


def test_administrators(admin: Client) -> None:
    """CREATE DATABASE, CREATE RETENTION POLICY, SHOW SHARD GROUPS and SHOW DIAGNOSTICS are for administrators
    alone, whatever was granted; the refusal says `admin privilege`.
    """
    for query in (
        "CREATE DATABASE new",
        "CREATE RETENTION POLICY p ON db DURATION 1d REPLICATION 1",
        "SHOW SHARD GROUPS",
        "SHOW DIAGNOSTICS FOR 'system'",
    ):
        answer = _as(admin, "owner").ask(query, db="db")
        assert _is_denied(answer), query
        assert "admin privilege" in answer.error, query


def test_databases_of_a_user(admin: Client) -> None:
    """SHOW DATABASES shows each user those databases alone that something was granted on."""
    seen = {name: _as(admin, name).ask("SHOW DATABASES").rows for name in LOGINS}
    assert seen == {"reader": [["db"]], "writer": [["db"]], "owner": [["db"]], "nobody": []}
    assert admin.ask("SHOW DATABASES").rows == [["db"], ["other"]]


def test_queries_of_readers(admin: Client, outcome: str) -> None:
    """SHOW CONTINUOUS QUERIES of a user with READ, with `db` in the request (without it: an error), shows ..."""
    reader = _as(admin, "reader")
    assert _is_denied(reader.ask("SHOW CONTINUOUS QUERIES"))
    answer = reader.ask("SHOW CONTINUOUS QUERIES", db="db")
    assert (answer.status, answer.error) == (200, "")
    names = [series["name"] for series in answer.series]
    assert {"db": "those of the databases it may read", "db other": "those of all databases"}[
        " ".join(names)
    ] == outcome


def test_wrong_password(admin: Client) -> None:
    """A wrong password and an unknown user: 401 `authorization failed`, queries and writes alike."""
    for login in (("reader", "wrong"), ("unknown", "x")):
        client = Client(admin.server, login)
        for answer in (client.ask("SHOW DATABASES"), client.write("m v=1 1", "db")):
            assert (answer.status, answer.error) == (401, "authorization failed")


def test_no_password(admin: Client) -> None:
    """Without credentials: 401 `unable to parse authentication credentials`."""
    client = Client(admin.server)
    client.login = None
    assert (client.ask("SHOW DATABASES").status, client.write("m v=1 1", "db").status) == (401, 401)
    assert client.ask("SHOW DATABASES").error == "unable to parse authentication credentials"


def test_missing_right(admin: Client) -> None:
    """A missing right: 403 with `not authorized` and the user's name for writes, 403 or an error inside 200 for
    queries.
    """
    answer = _as(admin, "reader").write("m v=1 1", "db")
    assert (answer.status, '"reader" user is not authorized to write to database "db"') == (403, answer.error)
    query = _as(admin, "nobody").ask("SELECT v FROM m", db="db")
    assert (
        query.status,
        "error authorizing query: nobody not authorized to execute statement" in query.error,
    ) == (
        403,
        True,
    )


def test_unknown_database_with_rights(admin: Client) -> None:
    """An unknown database: writes 404 for everybody; queries 403 for who is no administrator, else `database not
    found`.
    """
    owner = _as(admin, "owner")
    assert owner.ask("SELECT v FROM none.autogen.m").status == 403
    assert admin.ask("SELECT v FROM none.autogen.m").error == "database not found: none"
    assert (owner.write("m v=1 1", "none").status, admin.write("m v=1 1", "none").status) == (404, 404)


def test_ping_of_anybody(admin: Client) -> None:
    """`/ping` answers everybody, also without and with wrong credentials."""
    for client in (Client(admin.server, ("x", "y")), admin):
        answer = client.request("GET", "/ping")
        assert (answer.status, bool(answer.headers["X-Influxdb-Version"])) == (204, True)


def test_ping_with_authentication(outcome: str) -> None:
    """The status of `/ping` without credentials where `ping-auth-enabled` is set."""
    settings: Settings = {"http.auth-enabled": True, "http.ping-auth-enabled": True}
    with InfluxServer.start("ping", settings=settings) as server:
        client = Client(server)
        assert client.request("GET", "/ping").status == 204
        client.login = None
        assert str(client.request("GET", "/ping").status) == outcome
