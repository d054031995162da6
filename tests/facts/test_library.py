"""The Python library influxdb 5.3.2: which of its calls are right, and what has to be handed to them"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import influxdb
import msgpack
import pytest
import requests
from influxdb import InfluxDBClient
from influxdb.exceptions import InfluxDBClientError, InfluxDBServerError

from basics.sessions import PlainSession
from tests.support.servers import InfluxServer, Settings

ODD = ("a b", 'a"b', "a'b", "a,b", "\u00e4\U0001f600", "a=b", "a;DROP DATABASE x", "$x", "%41", "a+b&c", "\ufffd")
"""Names that databases, policies and users can have."""

USERS = (*ODD, "a\\b", "a\nb", "a\tb", "a/b", "\x7f\u200b")
"""Names that users can have."""

MOST_ROWS = 20


@pytest.fixture(scope="module")
def owned() -> Iterator[InfluxServer]:
    """A server with users, whose answers without `chunked=true` have no more than 20 rows."""
    settings: Settings = {"http.auth-enabled": True, "http.max-row-limit": MOST_ROWS}
    with InfluxServer.start("library", settings=settings) as server:
        yield server


def _client(server: InfluxServer, **more: Any) -> InfluxDBClient:  # noqa: ANN401 -- as the library
    named = {"host": "127.0.0.1", "port": server.port, "username": server.user, "password": server.password}
    return InfluxDBClient(**{**named, "timeout": 20, "retries": 1, **more})


@pytest.fixture
def client(owned: InfluxServer) -> Iterator[InfluxDBClient]:
    """The administrator's client of an empty server."""
    client = _client(owned)
    yield client
    for database in owned.rows("SHOW DATABASES", chunked="true"):
        client.drop_database(database[0])
    for user, _ in owned.rows("SHOW USERS", chunked="true"):
        if user != owned.user:
            client.drop_user(user)


@dataclass
class Impostor:
    """Something that is not InfluxDB: answers every request alike, and keeps what it was asked."""

    port: int
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    asked: list[str] = field(default_factory=list)
    signed: list[bool] = field(default_factory=list)
    hangs_up: bool = False

    def client(self, **more: Any) -> InfluxDBClient:  # noqa: ANN401 -- as the library
        """A client of it that tries once."""
        return InfluxDBClient("127.0.0.1", self.port, timeout=20, **{"retries": 1, **more})


def _impostor() -> Iterator[Impostor]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            itself.asked.append(f"{self.command} {self.path}")
            itself.signed.append("Authorization" in self.headers)
            self.close_connection = True
            if itself.hangs_up:
                return
            self.send_response(itself.status)
            for name, value in itself.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(itself.body)

        do_GET = do_POST = answer  # noqa: N815 -- as http.server wants it

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        itself = Impostor(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield itself
        server.shutdown()


impostor = pytest.fixture(name="impostor")(_impostor)
other = pytest.fixture(name="other")(_impostor)


def _fails(call: Callable[[], object], kind: type[Exception] = InfluxDBClientError) -> str:
    with pytest.raises(kind) as raised:
        call()
    return str(raised.value)


# ---------------------------------------------------------------- right


def test_library_version() -> None:
    """These facts are about its version 5.3.2."""
    assert influxdb.__version__ == "5.3.2"


def test_library_ping(client: InfluxDBClient, owned: InfluxServer) -> None:
    """`ping()` is right: the header `X-Influxdb-Version` of a 204."""
    assert client.ping() == requests.get(f"{owned.url}/ping", timeout=20).headers["X-Influxdb-Version"]


def test_library_databases(client: InfluxDBClient, owned: InfluxServer) -> None:
    """`create_database` and `get_list_database` are right for every name that InfluxDB accepts; what it refuses is
    raised.
    """
    for name in ODD:
        client.create_database(name)
    assert [d["name"] for d in client.get_list_database()] == [d for [d] in owned.rows("SHOW DATABASES")]
    assert {d["name"] for d in client.get_list_database()} == set(ODD)
    for name in ("a/b", "a\\b", "a\nb", "a\tb", "..", ""):
        assert _fails(partial(client.create_database, name)) == "invalid name"


def test_library_policies(client: InfluxDBClient) -> None:
    """`create_retention_policy`, `alter_retention_policy` and `get_list_retention_policies` are right for every
    name; durations are text: `361800s`, `3600000000001ns`, `0s`.
    """
    columns = ("name", "duration", "shardGroupDuration", "replicaN", "default")
    for name in ODD:
        client.create_database(name)
        client.create_retention_policy(name, "361800s", "1", name, shard_duration="3600000000001ns")
        [_, policy] = client.get_list_retention_policies(name)
        assert tuple(map(policy.get, columns)) == (name, "100h30m0s", "1h0m0.000000001s", 1, False)
        client.alter_retention_policy(name, name, duration="0s", shard_duration="2h", default=True)
        [_, policy] = client.get_list_retention_policies(name)
        assert tuple(map(policy.get, columns)) == (name, "0s", "2h0m0s", 1, True)


def test_library_policy_errors(client: InfluxDBClient) -> None:
    """Errors of statements inside an answer with status 200 are raised: a policy that exists otherwise, one that
    does not, an unknown database.
    """
    client.create_database("db")
    client.create_retention_policy("p", "2d", "1", "db")
    client.create_retention_policy("p", "2d", "1", "db")
    assert "already exists" in _fails(lambda: client.create_retention_policy("p", "3d", "1", "db"))
    assert "not found" in _fails(lambda: client.alter_retention_policy("q", "db", duration="3d"))
    assert "not found" in _fails(lambda: client.get_list_retention_policies("none"))


def test_library_users(client: InfluxDBClient, owned: InfluxServer) -> None:
    """`create_user`, `get_list_users`, `grant_privilege` and `get_list_privileges` are right for every name that
    InfluxDB accepts, with newlines and control characters too.
    """
    client.create_database('d"b')
    for name in USERS:
        client.create_user(name, "secret")
        client.grant_privilege("read", 'd"b', name)
        assert client.get_list_privileges(name) == [{"database": 'd"b', "privilege": "READ"}]
    client.create_user("boss", "secret", admin=True)
    expected = {owned.user: True, **dict.fromkeys(USERS, False), "boss": True}
    assert {user["user"]: user["admin"] for user in client.get_list_users()} == expected
    assert _fails(lambda: client.get_list_privileges("none")) == "user not found"
    assert _fails(lambda: client.grant_privilege("read", "none", "boss")) == "database not found: none"


def test_library_passwords(client: InfluxDBClient, owned: InfluxServer) -> None:
    """`create_user` takes every password but those with newline, CR or NUL, which InfluxQL cannot say: they are
    refused, not changed.
    """
    for i, password in enumerate((*ODD, "a\\b", "a\\", "'", "a\tb", "\x7f\u200b", "")):
        client.create_user(f"u{i}", password)
        assert _client(owned, username=f"u{i}", password=password.encode()).get_list_database() == []
    for password in ("a\nb", "a\rb", "a\0b"):
        assert "error parsing query" in _fails(partial(client.create_user, "u", password))


def test_library_continuous_queries(client: InfluxDBClient, owned: InfluxServer) -> None:
    """`get_list_continuous_queries` is right: the queries of each database as they are stored, [] for one without;
    a user with READ needs a client with a database.
    """
    for name in ('d"b', "none"):
        client.create_database(name)
    text = (
        r'CREATE CONTINUOUS QUERY "c\"q" ON "d\"b" RESAMPLE EVERY 1h BEGIN SELECT mean(v) AS "x\ny" INTO '
        r""""d\"b".autogen."t'" FROM "d\"b".autogen."m\ny" WHERE t =~ /a\/b/ GROUP BY time(1m), * END"""
    )
    owned.query(text)
    expected = [{'d"b': [{"name": 'c"q', "query": text}]}, {"none": []}]
    assert client.get_list_continuous_queries() == expected
    client.create_user("reader", "secret")
    client.grant_privilege("read", 'd"b', "reader")
    reader = _client(owned, username="reader", password="secret")
    _fails(reader.get_list_continuous_queries)
    reader.switch_database('d"b')
    assert reader.get_list_continuous_queries()[0] == expected[0]


def test_library_refusals(client: InfluxDBClient, owned: InfluxServer, impostor: Impostor) -> None:
    """A status that was not expected is raised: InfluxDBClientError with `code`, InfluxDBServerError from 500 on,
    without one.
    """
    nonsense = partial(client.create_retention_policy, "a", "", "", "db")
    for call in (_client(owned, password="x").get_list_users, nonsense):
        with pytest.raises(InfluxDBClientError) as raised:
            call()
        assert raised.value.code in (400, 401)
    impostor.status = 503
    assert _fails(impostor.client().get_list_database, InfluxDBServerError) == "b'{}'"


def test_library_cut_answers(impostor: Impostor) -> None:
    """An answer that was cut is never taken for a whole one: msgpack and JSON alike raise, but not errors of the
    library.
    """
    whole = msgpack.packb({"results": [{"series": [{"columns": ["name"], "values": [["a"], ["b"]]}]}]})
    impostor.headers = {"Content-Type": "application/x-msgpack"}
    impostor.body = whole
    assert impostor.client().get_list_database() == [{"name": "a"}, {"name": "b"}]
    for length in range(1, len(whole)):
        impostor.body = whole[:length]
        _fails(impostor.client().get_list_database, ValueError)
    impostor.headers["Content-Length"] = "1000"
    _fails(impostor.client().get_list_database, requests.exceptions.ChunkedEncodingError)
    impostor.headers, impostor.body = {"Content-Type": "application/json"}, b'{"results":[{"series":[{"colu'
    _fails(impostor.client().get_list_database, requests.exceptions.JSONDecodeError)


def test_library_sessions(impostor: Impostor, other: Impostor) -> None:
    """With a `session` of one's own that follows no redirect the library does not either: it raises the status."""
    impostor.status, impostor.headers = 307, {"Location": f"http://127.0.0.1:{other.port}/query?q=x"}
    with pytest.raises(InfluxDBClientError) as raised:
        impostor.client(session=PlainSession()).create_database("x")
    assert (raised.value.code, other.asked) == (307, [])


# ---------------------------------------------------------------- not right


def test_library_row_limit(client: InfluxDBClient, owned: InfluxServer) -> None:
    """Not right: where the server has a `max-row-limit`, each list of more rows is cut without a word; `partial`
    in `query(...).raw` tells of it.
    """
    client.create_database("db")
    for i in range(MOST_ROWS + 1):
        client.create_database(f"db{i}")
        client.create_user(f"u{i}", "x")
        client.grant_privilege("read", f"db{i}", "u0")
        client.create_retention_policy(f"p{i}", "0s", "1", "db")
        select = "SELECT mean(v) INTO x FROM m GROUP BY time(1m)"
        owned.query(f"CREATE CONTINUOUS QUERY c{i} ON db BEGIN {select} END")
    queries = [query for query in client.get_list_continuous_queries() if query.get("db")]
    for found in (
        client.get_list_database(),
        client.get_list_users(),
        client.get_list_privileges("u0"),
        client.get_list_retention_policies("db"),
        queries[0]["db"],
    ):
        assert len(found) == MOST_ROWS
    assert client.query("SHOW USERS").raw["series"][0]["partial"] is True


def test_library_credentials(client: InfluxDBClient, owned: InfluxServer) -> None:
    """Not right: a user name or password that is not ASCII is sent as Latin-1, and refused, or cannot be sent at
    all; handed over as UTF-8 bytes it is right.
    """
    client.create_user("\u00e4", "\u00f6")
    client.create_user("\u20ac", "\u20ac")
    with pytest.raises(InfluxDBClientError) as raised:
        _client(owned, username="\u00e4", password="\u00f6").get_list_database()
    assert raised.value.code == 401
    _fails(_client(owned, username="\u20ac", password="\u20ac").get_list_database, UnicodeEncodeError)
    for name, password in (("\u00e4", "\u00f6"), ("\u20ac", "\u20ac")):
        assert _client(owned, username=name.encode(), password=password.encode()).get_list_database() == []


def test_library_passwords_in_urls(impostor: Impostor) -> None:
    """Not right: statements travel in the URL, so `create_user` leaves passwords in the logs of every proxy."""
    impostor.body = b'{"results":[{"statement_id":0}]}'
    impostor.client().create_user("u", "secret")
    impostor.client().set_user_password("u", "secret")
    assert [asked.split()[0] for asked in impostor.asked] == ["POST", "GET"]
    assert all("secret" in asked for asked in impostor.asked)


def test_library_beliefs(impostor: Impostor) -> None:
    """Not right: any JSON with status 200 is believed: `{}` is a database created, a user made; lists fail with an
    AttributeError.
    """
    client = impostor.client()
    for body in (b"{}", b'{"error":"no InfluxDB here"}', b'{"results":[]}'):
        impostor.body = body
        client.create_database("x")
        client.create_user("x", "x")
        client.grant_privilege("read", "x", "x")
        client.create_retention_policy("p", "0s", "1", "x")
        _fails(client.get_list_database, AttributeError)


def test_library_redirects(impostor: Impostor, other: Impostor) -> None:
    """Not right: redirects are followed to any host, `ping()` gives the version found there, and a 302 makes
    POST a GET; the password does not go along.
    """
    impostor.headers = {"Location": f"http://127.0.0.1:{other.port}/elsewhere"}
    other.status, other.headers = 204, {"X-Influxdb-Version": "stranger"}
    impostor.status = 302
    assert impostor.client().ping() == "stranger"
    other.status, other.body = 200, b"{}"
    impostor.client().create_database("x")
    impostor.status = 307
    impostor.client().create_database("x")
    assert other.asked == ["GET /elsewhere", "GET /elsewhere", "POST /elsewhere"]
    assert (set(impostor.signed), set(other.signed)) == ({True}, {False})


def test_library_retries(impostor: Impostor) -> None:
    """Not right: unless `retries=1`, a request that lost its connection is sent again at once, three times in all,
    writes and CREATE USER too; `retries=0` never ends.
    """
    impostor.hangs_up = True
    _fails(lambda: impostor.client(retries=3).create_user("u", "x"), requests.exceptions.ConnectionError)
    assert len(impostor.asked) == 3
    _fails(lambda: impostor.client().create_user("u", "x"), requests.exceptions.ConnectionError)
    assert len(impostor.asked) == 4


def test_library_timeouts() -> None:
    """Not right: without `timeout` it waits for ever, and without `verify_ssl` it takes any certificate."""
    client = InfluxDBClient()
    assert (client._timeout, client._verify_ssl) == (None, False)


def test_library_times(client: InfluxDBClient, owned: InfluxServer) -> None:
    """Not right: without `epoch` times are rounded to microseconds, and one before 1970 raises OverflowError; with
    `epoch="ns"` they are integers, and exact.
    """
    client.create_database("db")
    times = [-1, 1_700_000_000_123_456_789, 1_700_000_000_999_999_999]
    owned.write("\n".join(f"m v=1 {time}" for time in times), "db")
    query = "SELECT v FROM m WHERE time >= 0"
    found = [point["time"] for point in client.query(query, database="db").get_points()]
    assert found == ["2023-11-14T22:13:20.123457Z", "2023-11-14T22:13:21Z"]
    _fails(lambda: client.query("SELECT v FROM m", database="db"), OverflowError)
    exact = client.query("SELECT v FROM m", database="db", epoch="ns").get_points()
    assert [point["time"] for point in exact] == times


def test_library_stray_bytes(client: InfluxDBClient, owned: InfluxServer) -> None:
    """Not right: an answer with bytes that are not UTF-8, as names, tags and strings may have, raises
    UnicodeDecodeError; a name with such bytes cannot be asked for.
    """
    client.create_database("db")
    owned.write(b"m,t=\xff v=1 1", "db")
    _fails(lambda: client.query("SELECT t, v FROM m", database="db"), UnicodeDecodeError)
    _fails(lambda: client.get_list_retention_policies("a\udcff"), UnicodeEncodeError)


def test_library_chunks(client: InfluxDBClient, owned: InfluxServer) -> None:
    """Not right: `chunked=True` fails for more than one chunk, unless the client asks for JSON."""
    client.create_database("db")
    owned.write("m v=1 1\nm v=2 2", "db")
    wish = {"query": "SELECT v FROM m", "database": "db", "chunked": True, "chunk_size": 1, "epoch": "ns"}
    _fails(lambda: client.query(**wish), ValueError)
    chunks = _client(owned, headers={"Accept": "application/json"}).query(**wish)
    assert [list(chunk.get_points()) for chunk in chunks] == [[{"time": 1, "v": 1}], [{"time": 2, "v": 2}]]


def test_library_injection(client: InfluxDBClient) -> None:
    """Not right: privileges and durations go into statements as they are, and may hold other statements."""
    client.create_database("db")
    client.create_user("u", "x")
    client.create_user("v", "x")
    client.grant_privilege("ALL ON db TO v; GRANT READ", "db", "u")
    assert client.get_list_privileges("v") == [{"database": "db", "privilege": "ALL PRIVILEGES"}]


def test_library_arguments(client: InfluxDBClient) -> None:
    """Not right: `alter_retention_policy` leaves out a `duration` of the number 0, and without a database calls
    fail with an AttributeError.
    """
    client.create_database("db")
    assert "found EOF" in _fails(lambda: client.alter_retention_policy("autogen", "db", duration=0))
    _fails(lambda: client.create_retention_policy("p", "0s", "1"), AttributeError)


LOADING = {
    "plain": "",
    "placeholder": (
        "import types\n"
        "placeholder = types.ModuleType('influxdb.dataframe_client')\n"
        "placeholder.DataFrameClient = None\n"
        "sys.modules['influxdb.dataframe_client'] = placeholder\n"
    ),
}


@pytest.mark.parametrize(("how", "loads"), [("plain", True), ("placeholder", False)])
def test_library_loads_pandas(how: str, loads: bool) -> None:
    """Importing it loads pandas; not when `influxdb.dataframe_client` is in `sys.modules` already, with some
    `DataFrameClient`.
    """
    program = (
        f"import sys\n{LOADING[how]}from influxdb import InfluxDBClient\n"
        "assert InfluxDBClient.ping; print('pandas' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(loads)
