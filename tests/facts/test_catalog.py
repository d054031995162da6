"""Continuous queries, users, grants and subscriptions"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgpack
import pytest

from tests.facts.harness import Client, Database
from tests.support.servers import InfluxServer, Settings

BEGIN = "RESAMPLE EVERY 1h BEGIN"
QUERY = 'CREATE CONTINUOUS QUERY "q" ON "{0}" {1} SELECT mean(v) INTO {2} FROM {3} GROUP BY time(1m), * END'


@pytest.fixture(scope="module")
def guarded() -> Iterator[Client]:
    """The administrator of a server with users, that runs no continuous queries, with two databases."""
    settings: Settings = {"http.auth-enabled": True, "continuous_queries.enabled": False}
    with InfluxServer.start("guarded", settings=settings) as server:
        client = Client(server)
        client.ask('CREATE DATABASE "one"; CREATE DATABASE "two"')
        yield client


def _text(db: Database) -> str:
    """The only continuous query of the fact's own database."""
    [text] = [
        row[1]
        for series in db.select("SHOW CONTINUOUS QUERIES").series
        for row in series.get("values", ())
        if series["name"] == db.name
    ]
    return str(text)


# ---------------------------------------------------------------- continuous queries


def test_queries_qualified(db: Database) -> None:
    """SHOW CONTINUOUS QUERIES shows the statement that creates a query, in the server's words: database and
    default policy are put before each measurement, quotes stand where they have to, comments are gone.
    """
    db.rows(f'CREATE RETENTION POLICY p ON "{db.name}" DURATION 0s REPLICATION 1')
    db.rows(QUERY.format(db.name, BEGIN, '"m"', '"a", p."b c", /x/, (SELECT v FROM a) /* no */'))
    name = db.name
    assert _text(db) == (
        f"CREATE CONTINUOUS QUERY q ON {name} RESAMPLE EVERY 1h BEGIN SELECT mean(v) INTO {name}.autogen.m FROM "
        f'{name}.autogen.a, {name}.p."b c", {name}.autogen./x/, (SELECT v FROM {name}.autogen.a) '
        "GROUP BY time(1m), * END"
    )


def test_queries_twice(db: Database) -> None:
    """Creating the same continuous query again changes nothing; another one of its name is refused: `continuous
    query already exists`.
    """
    db.rows(QUERY.format(db.name, BEGIN, "m", "a"))
    text = _text(db)
    db.rows(text)
    assert db.select(QUERY.format(db.name, BEGIN, "m", "b")).error == "continuous query already exists"
    assert _text(db) == text


def test_queries_small_numbers(db: Database, outcome: str) -> None:
    """How a continuous query that is created with `v < 0.00000001 AND v > 1.23456` is kept."""
    db.rows(QUERY.format(db.name, BEGIN, "m", "a WHERE v < 0.00000001 AND v > 1.23456"))
    assert _text(db).split(" WHERE ")[1].split(" GROUP ")[0] == outcome


def test_queries_of_no_place(db: Database) -> None:
    """A continuous query that names a database or policy that is not there is refused: `database not found: none`,
    `retention policy not found: ...`; a measurement need not be there.
    """
    for place in ("none.p.m", "none..m"):
        assert db.select(QUERY.format(db.name, BEGIN, place, "a")).error == "database not found: none"
        assert db.select(QUERY.format(db.name, BEGIN, "m", place)).error == "database not found: none"
    for places in (("p.m", "a"), ("m", "p.a")):
        missing = f"retention policy not found: {db.name}.p"
        assert db.select(QUERY.format(db.name, BEGIN, *places)).error == missing
    db.rows(QUERY.format(db.name, BEGIN, "m", "a"))


def test_queries_run(db: Database, guarded: Client) -> None:
    """SHOW DIAGNOSTICS FOR 'config-cqs' is a row with `enabled`: whether continuous queries run.

    In CSV and JSON; in msgpack it breaks off after that where they do.
    """
    query = "SHOW DIAGNOSTICS FOR 'config-cqs'"
    for client, expected in ((db, True), (guarded, False)):
        [series] = client.ask(query, "json").series
        assert dict(zip(series["columns"], series["values"][0], strict=True))["enabled"] is expected
        head, row = client.ask(query, "csv").body.decode().split()
        assert dict(zip(head.split(","), row.split(","), strict=True))["enabled"] == str(expected).lower()
    body = db.request("POST", "/query", {}, {"q": query}, {"Accept": "application/x-msgpack"}).body
    with pytest.raises(ValueError, match="incomplete input"):
        msgpack.unpackb(body, strict_map_key=False)


def test_queries_in_debug_vars(db: Database, guarded: Client) -> None:
    """Where continuous queries run, `/debug/vars` has an entry `cq`, and else none; without a password too."""
    stranger = Client(guarded.server)
    stranger.login = None
    found = []
    for client in (db, guarded, stranger):
        answer = client.request("GET", "/debug/vars")
        assert answer.status == 200
        found.append("cq" in json.loads(answer.body))
    assert found == [True, False, False]


def test_scripts(db: Database) -> None:
    """A request may hold comments that begin with `--`, and statements that each end with `;` and a newline."""
    db.rows(
        f'-- One; "two" \'three\'\n-- four\nCREATE RETENTION POLICY p ON "{db.name}" DURATION 1h REPLICATION 1;\n'
        f'-- five\nALTER RETENTION POLICY p ON "{db.name}" DEFAULT;\n-- six\n'
    )
    [series] = db.select(f'SHOW RETENTION POLICIES ON "{db.name}"').series
    assert [row[0] for row in series["values"]] == ["autogen", "p"]


def test_short_policies(db: Database) -> None:
    """A policy that keeps points for less than an hour is refused: `retention policy duration must be at least
    1h0m0s`.
    """
    create = f'CREATE RETENTION POLICY p ON "{db.name}" DURATION 30m REPLICATION 1'
    assert db.select(create).error == "retention policy duration must be at least 1h0m0s"


# ---------------------------------------------------------------- users and grants


def test_users_twice(guarded: Client) -> None:
    """Creating a user again with the same password changes nothing; with another one, or another flag of
    administrators, it is refused: `user already exists`.
    """
    for _ in range(2):
        assert guarded.ask("CREATE USER u WITH PASSWORD 'a'").error == ""
    assert guarded.ask("CREATE USER u WITH PASSWORD 'b'").error == "user already exists"
    assert guarded.ask("CREATE USER u WITH PASSWORD 'a' WITH ALL PRIVILEGES").error == "user already exists"
    rows = guarded.ask("SHOW USERS").rows
    assert ["u", False] in rows


def test_users_columns(guarded: Client) -> None:
    """SHOW USERS tells names and who is an administrator, SHOW GRANTS FOR a user databases and `READ`, `WRITE`,
    `ALL PRIVILEGES` or, after REVOKE, `NO PRIVILEGES`.
    """
    assert guarded.ask("SHOW USERS").columns == ["user", "admin"]
    guarded.ask("CREATE USER v WITH PASSWORD 'v'")
    assert guarded.ask("SHOW GRANTS FOR v").rows == []
    found = []
    for statement in (
        "GRANT READ ON one TO v",
        "GRANT WRITE ON one TO v",
        "GRANT ALL ON one TO v",
        "REVOKE ALL ON one FROM v",
    ):
        assert guarded.ask(statement).error == ""
        answer = guarded.ask("SHOW GRANTS FOR v")
        assert answer.columns == ["database", "privilege"]
        found += answer.rows
    assert found == [["one", right] for right in ("READ", "WRITE", "ALL PRIVILEGES", "NO PRIVILEGES")]


def test_users_of_grants(guarded: Client) -> None:
    """A grant to no user is refused: `user not found`; of no database: `database not found: none`."""
    guarded.ask("CREATE USER w WITH PASSWORD 'w'")
    assert guarded.ask("GRANT READ ON one TO none").error == "user not found"
    assert guarded.ask("GRANT READ ON none TO w").error == "database not found: none"


def test_users_passwords(guarded: Client) -> None:
    r"""A password may hold quotes, backslashes and newlines: `'it\'s \\ \n'`."""
    assert guarded.ask(r"CREATE USER x WITH PASSWORD 'it\'s \\ \n'").error == ""
    assert Client(guarded.server, ("x", "it's \\ \n")).ask("SHOW DATABASES").status == 200


def test_users_secrecy(guarded: Client) -> None:
    """SHOW USERS, SHOW GRANTS and SHOW SUBSCRIPTIONS are for administrators; the refusal says `admin
    privilege`.
    """
    guarded.ask("CREATE USER reader WITH PASSWORD 'reader'; GRANT ALL ON one TO reader")
    reader = Client(guarded.server, ("reader", "reader"))
    for query in ("SHOW USERS", "SHOW GRANTS FOR reader", "SHOW SUBSCRIPTIONS"):
        answer = reader.ask(query, db="one")
        assert "admin privilege" in answer.error, query


# ---------------------------------------------------------------- subscriptions


def test_subscriptions(db: Database) -> None:
    """SHOW SUBSCRIPTIONS has a series for each database with policy, name, mode and a list of destinations;
    creating one again is refused: `subscription already exists`.
    """
    create = (
        f"""CREATE SUBSCRIPTION "s" ON "{db.name}"."autogen" DESTINATIONS ANY 'http://127.0.0.1:9', 'udp://h:1'"""
    )
    db.rows(create)
    [series] = [series for series in db.select("SHOW SUBSCRIPTIONS").series if series["name"] == db.name]
    assert series["columns"] == ["retention_policy", "name", "mode", "destinations"]
    assert series["values"] == [["autogen", "s", "ANY", ["http://127.0.0.1:9", "udp://h:1"]]]
    assert db.select(create).error == "subscription already exists"
