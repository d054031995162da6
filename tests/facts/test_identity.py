"""Whether two addresses lead to one server"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator

import pytest

from tests.facts.harness import Client
from tests.support.servers import InfluxServer

AUTHENTICATED = {"http.auth-enabled": True}


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Client, Client]]:
    """Two servers with users, one started just after the other."""
    one = InfluxServer.start("one", settings=AUTHENTICATED)
    with one, InfluxServer.start("other", settings=AUTHENTICATED) as other:
        for server in (one, other):
            Client(server).ask("CREATE DATABASE db; CREATE USER u WITH PASSWORD 'u'; GRANT ALL ON db TO u")
        yield Client(one), Client(other)


def _system(client: Client) -> dict[str, object]:
    [series] = client.ask("SHOW DIAGNOSTICS FOR 'system'", "json").series
    return dict(zip(series["columns"], series["values"][0], strict=True))


def test_system_diagnostics(pair: tuple[Client, Client]) -> None:
    """SHOW DIAGNOSTICS FOR 'system' tells administrators process id and start, to the nanosecond in JSON; the
    start stays while the server runs, and is another one at any other server and after a restart.
    """
    one, other = map(_system, pair)
    assert one["PID"] == pair[0].server.pid
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", str(one["started"]))
    assert (one["started"], one["PID"]) != (other["started"], other["PID"])
    assert one["started"] == _system(pair[0])["started"]
    [series] = pair[0].ask("SHOW DIAGNOSTICS FOR 'network'", "json").series
    assert series["columns"] == ["hostname"]
    pair[1].server.restart()
    assert _system(pair[1])["started"] != other["started"]


def test_whole_diagnostics_in_msgpack(pair: tuple[Client, Client]) -> None:
    """SHOW DIAGNOSTICS as a whole breaks off in msgpack, with status 200; FOR 'system' and in JSON it is whole."""
    names = [series["name"] for series in pair[0].ask("SHOW DIAGNOSTICS", "json").series]
    assert {"build", "network", "runtime", "system"} <= set(names)
    assert pair[0].ask("SHOW DIAGNOSTICS").documents == []
    assert [series["name"] for series in pair[0].ask("SHOW DIAGNOSTICS FOR 'system'").series] == ["system"]


def test_diagnostics_of_users(pair: tuple[Client, Client]) -> None:
    """SHOW DIAGNOSTICS is for administrators; `/debug/vars` tells everybody the same start: `system.started`."""
    user = Client(pair[0].server, ("u", "u"))
    nobody = Client(pair[0].server)
    nobody.login = None
    assert "requires admin privilege" in user.ask("SHOW DIAGNOSTICS FOR 'system'", db="db").error
    for client in (user, nobody):
        assert (
            json.loads(client.request("GET", "/debug/vars").body)["system"]["started"]
            == _system(pair[0])["started"]
        )


def _sequence(client: Client) -> int:
    return uuid.UUID(client.request("GET", "/ping").headers["X-Request-Id"]).clock_seq


def test_request_ids_of_one_process(pair: tuple[Client, Client]) -> None:
    """The `X-Request-Id` of an answer, also of a ping of anybody, is a UUID of version 1 whose clock sequence
    grows by one with each request to that process, modulo 2^14: seventy pings of one address are seen in it
    through another address of the same process, and not at another process.
    """
    for server, same in ((pair[0].server, True), (pair[1].server, False)):
        watcher, worker = Client(server, ("x", "y")), pair[0]
        assert uuid.UUID(watcher.request("GET", "/ping").headers["X-Request-Id"]).version == 1
        before = _sequence(watcher)
        for _ in range(70):
            worker.request("GET", "/ping")
        assert (_sequence(watcher) - before) % 2**14 == (71 if same else 1)


def test_own_request_ids(pair: tuple[Client, Client]) -> None:
    """A `Request-Id` or `X-Request-Id` of the request comes back instead."""
    for header in ("Request-Id", "X-Request-Id"):
        answer = pair[0].request("GET", "/ping", headers={header: "mine"})
        assert answer.headers["X-Request-Id"] == "mine"


def test_build_header(pair: tuple[Client, Client]) -> None:
    """`/ping` has `X-Influxdb-Build: OSS`, and with the version nothing that differs between two servers."""
    headers = [client.request("GET", "/ping").headers for client in pair]
    assert [one["X-Influxdb-Build"] for one in headers] == ["OSS", "OSS"]
    changing = {"Request-Id", "X-Request-Id", "Date"}
    plain = [{k: v for k, v in one.items() if k not in changing} for one in headers]
    assert plain[0] == plain[1]


def test_markers(pair: tuple[Client, Client]) -> None:
    """A point that was written through one address is read through another one at once if they are one process,
    and a user with READ and WRITE may delete it again.
    """
    user, query = Client(pair[0].server, ("u", "u")), "SELECT v FROM db.autogen.marker"
    assert user.write("marker v=1 1", "db").status == 204
    assert Client(pair[0].server).ask(query).rows == [[1, 1.0]]
    assert pair[1].ask(query).rows == []
    answer = user.ask("DELETE FROM marker", db="db")
    assert (answer.status, answer.error) == (200, "")
    assert user.ask(query).rows == []
    assert "requires admin privilege" in user.ask("DROP MEASUREMENT marker", db="db").error
