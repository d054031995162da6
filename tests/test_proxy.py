"""The fault proxy itself: transparent without a fault, and each fault is what it says, as a client sees it."""

from __future__ import annotations

import gzip
import http.client
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress

import msgpack
import pytest

from tests.support.proxy import (
    LOGIN_PAGE,
    Action,
    Gate,
    Proxy,
    before,
    black_hole,
    cut_documents,
    cut_request,
    cut_response,
    damage_request,
    delay,
    documents,
    error_document,
    only,
    reset_request,
    reset_response,
    respond,
    slices,
    throttle,
    when,
)
from tests.support.servers import InfluxServer
from tests.support.waiting import wait_until

LINES = b"\n".join(b"m,host=h%d v=%di %d" % (i % 3, i, 1000 + i) for i in range(60))
QUERY = "SELECT v FROM m; SHOW DATABASES"


@pytest.fixture
def proxy(source: InfluxServer, database: str) -> Iterator[Proxy]:
    """In front of a server with a database."""
    source.create_database(database)
    with Proxy(source.url) as proxy:
        yield proxy


def ask(url: str, path: str, body: bytes | None = None, *, timeout: float = 30) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body. Without a body it is a GET."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=timeout)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, path, body, {"Accept": "application/x-msgpack"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def read(url: str, database: str, *, timeout: float = 30) -> tuple[int, bytes]:
    """A query whose answer comes in several documents."""
    params = {"db": database, "epoch": "ns", "chunked": "true", "chunk_size": 25, "q": QUERY}
    return ask(url, f"/query?{urllib.parse.urlencode(params)}", b"", timeout=timeout)


def write(url: str, database: str, lines: bytes = LINES) -> tuple[int, bytes]:
    """A write."""
    return ask(url, f"/write?db={database}", lines)


def stored(server: InfluxServer, database: str) -> int:
    """How many points there are."""
    return sum(row[1] for row in server.rows("SELECT count(v) FROM m", db=database))


def test_without_a_fault_it_is_transparent(proxy: Proxy, source: InfluxServer, database: str) -> None:
    """Requests and answers, chunked or not, with or without a body, are the server's own."""
    assert write(proxy.url, database) == (204, b"")
    assert stored(source, database) == 60
    assert read(proxy.url, database) == read(source.url, database)
    assert len(documents(read(proxy.url, database)[1])) == 4
    assert ask(proxy.url, "/ping") == (204, b"")
    assert ask(proxy.url, "/query")[0] == ask(source.url, "/query")[0] == 400
    assert ask(proxy.url, f"/write?db={database}", b"nonsense")[0] == 400
    assert proxy.seen == {"query": 3, "write": 2, "ping": 1}


def test_a_connection_serves_many_requests(proxy: Proxy, database: str) -> None:
    """It is kept open between them, as the server's own are."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(proxy.url).netloc)
    connection.connect()
    local = connection.sock.getsockname()
    for _ in range(3):
        connection.request("POST", f"/write?db={database}", LINES)
        assert connection.getresponse().read() == b""
        assert connection.sock.getsockname() == local
    connection.close()
    assert proxy.seen == {"write": 3}


def test_answers_can_be_compressed(source: InfluxServer, database: str) -> None:
    """For clients that cannot tell how far away the server is."""
    source.create_database(database)
    source.write(LINES, database)
    with Proxy(source.url, compressed=True) as proxy:
        status, body = read(proxy.url, database)
    assert status == 200
    assert gzip.decompress(body) == read(source.url, database)[1]


def test_a_fault_hits_the_requests_that_it_is_for(proxy: Proxy, database: str) -> None:
    """The endpoint, the first, how many: all others go through, and both are counted."""
    fault = proxy.inject(respond(503), "write", first=2, count=2)
    assert [write(proxy.url, database)[0] for _ in range(5)] == [204, 503, 503, 204, 204]
    assert ask(proxy.url, "/ping")[0] == 204
    assert (fault.injected, proxy.seen) == (2, {"write": 5, "ping": 1})


def test_a_share_of_the_requests_is_random_and_repeatable(proxy: Proxy) -> None:
    """A seed stands for the same requests every time."""
    runs = []
    for _ in range(2):
        proxy.heal()
        fault = proxy.inject(respond(500), count=None, share=0.5, seed=7)
        runs.append([ask(proxy.url, "/ping")[0] for _ in range(40)])
        assert runs[-1].count(500) == fault.injected
    assert runs[0] == runs[1]
    assert 0 < fault.injected < 40


def test_healed_it_is_transparent_again(proxy: Proxy) -> None:
    """Faults end with `heal`."""
    proxy.inject(respond(500), count=None)
    assert ask(proxy.url, "/ping")[0] == 500
    proxy.heal()
    assert ask(proxy.url, "/ping")[0] == 204


def test_what_could_not_be_broken_is_not_counted(proxy: Proxy, database: str) -> None:
    """An answer without a body cannot be cut: the fault waits for one that can."""
    fault = proxy.inject(cut_response(10))
    assert write(proxy.url, database) == (204, b"")
    assert fault.injected == 0
    assert len(read(proxy.url, database)[1]) == 10
    assert fault.injected == 1


@pytest.mark.parametrize(
    ("act", "arrived"),
    [
        (reset_request(0), 0),
        (reset_request(0.5), 0),
        (reset_response(0), 60),
        (reset_response(10), 60),
    ],
)
def test_resets(act: Action, arrived: int, proxy: Proxy, source: InfluxServer, database: str) -> None:
    """The client loses its connection; the server has seen as much as the fault says."""
    fault = proxy.inject(act, "write")
    with pytest.raises(ConnectionResetError):
        write(proxy.url, database)
    assert (fault.injected, stored(source, database)) == (1, arrived)


def test_a_reset_in_the_middle_of_an_answer(proxy: Proxy, source: InfluxServer, database: str) -> None:
    """Its beginning arrives, its end does not, and the client notices."""
    source.write(LINES, database)
    fault = proxy.inject(reset_response(0.5), "query")
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        read(proxy.url, database)
    assert fault.injected == 1


@pytest.mark.parametrize(("carried_out", "arrived"), [(False, 0), (True, 60)])
def test_a_black_hole(carried_out: bool, arrived: int, proxy: Proxy, source: InfluxServer, database: str) -> None:
    """The client waits in vain; whether the server did as it was told is part of the fault."""
    fault = proxy.inject(black_hole(carried_out=carried_out), "write")
    with pytest.raises(TimeoutError):
        ask(proxy.url, f"/write?db={database}", LINES, timeout=1)
    assert (fault.injected, stored(source, database)) == (1, arrived)


@pytest.mark.parametrize("act", [delay(request=600), delay(response=600), throttle(1)])
def test_slowness_outlasts_a_client(act: Action, proxy: Proxy) -> None:
    """It is really waited, and the end of the proxy does not wait for it."""
    fault = proxy.inject(act)
    with pytest.raises(TimeoutError):
        ask(proxy.url, "/ping", timeout=0.3)
    assert fault.injected == 1


@pytest.mark.parametrize("act", [delay(0.01, 0.01), throttle(20_000), slices(), reset_response(1.0)])
def test_slowness_and_slices_change_nothing(
    act: Action, proxy: Proxy, source: InfluxServer, database: str
) -> None:
    """Requests and answers arrive as they were sent."""
    fault = proxy.inject(act, count=None)
    assert write(proxy.url, database) == (204, b"")
    assert stored(source, database) == 60
    assert read(proxy.url, database) == read(source.url, database)
    assert fault.injected == 2


@pytest.mark.parametrize("at", [0, 1, 200, -1, 0.5])
def test_a_cut_answer_is_well_framed(at: float, proxy: Proxy, source: InfluxServer, database: str) -> None:
    """HTTP does not notice: status 200, and the beginning of the body."""
    source.write(LINES, database)
    proxy.inject(cut_response(at))
    whole = read(source.url, database)[1]
    length = int(at * len(whole)) if isinstance(at, float) else at % len(whole)
    assert read(proxy.url, database) == (200, whole[:length])


@pytest.mark.parametrize(("at", "left"), [(0, 0), (2, 2), (-1, 3)])
def test_documents_can_be_cut_off(at: int, left: int, proxy: Proxy, source: InfluxServer, database: str) -> None:
    """What is left is whole documents, nothing else."""
    source.write(LINES, database)
    proxy.inject(cut_documents(at))
    whole = documents(read(source.url, database)[1])
    assert read(proxy.url, database) == (200, b"".join(whole[:left]))


def test_an_error_document(proxy: Proxy, source: InfluxServer, database: str) -> None:
    """It comes in place of the rest, in an answer with status 200."""
    source.write(LINES, database)
    proxy.inject(error_document("timeout", after=2))
    whole = documents(read(source.url, database)[1])
    status, body = read(proxy.url, database)
    *before, last = documents(body)
    assert (status, before) == (200, whole[:2])
    assert msgpack.unpackb(last) == {"results": [{"statement_id": 0, "error": "timeout"}]}


def test_a_cut_request_is_well_framed(proxy: Proxy, source: InfluxServer, database: str) -> None:
    """The server takes what came for all there is: here a whole number of lines."""
    place = LINES.index(b"\n", len(LINES) // 2)
    fault = proxy.inject(cut_request(place))
    assert write(proxy.url, database)[0] == 204
    assert fault.injected == 1
    assert stored(source, database) == LINES[:place].count(b"\n") + 1


def test_a_damaged_request(proxy: Proxy, source: InfluxServer, database: str) -> None:
    """One byte differs; a request without a body is left alone."""
    fault = proxy.inject(damage_request(0), count=None)
    assert ask(proxy.url, "/ping")[0] == 204
    assert fault.injected == 0
    assert write(proxy.url, database, b"m v=1 1")[0] == 204
    assert fault.injected == 1
    assert source.rows("SHOW MEASUREMENTS", db=database) == [["8"]]


@pytest.mark.parametrize(("carried_out", "arrived"), [(False, 0), (True, 60)])
@pytest.mark.parametrize("status", [200, 302, 400, 500, 503])
def test_another_answer(
    status: int, carried_out: bool, arrived: int, proxy: Proxy, source: InfluxServer, database: str
) -> None:
    """What the client gets is the proxy's; what the server got, the fault says."""
    fault = proxy.inject(respond(status, LOGIN_PAGE, carried_out=carried_out, Location="/login"))
    assert write(proxy.url, database) == (status, LOGIN_PAGE)
    assert (fault.injected, stored(source, database)) == (1, arrived)


def test_a_server_that_is_down_is_a_lost_connection(database: str) -> None:
    """The proxy invents no answer."""
    with InfluxServer.start("down") as server, Proxy(server.url) as proxy:
        server.stop()
        with pytest.raises(ConnectionError):
            read(proxy.url, database)


def test_a_mistake_of_the_proxys_is_not_hidden(source: InfluxServer) -> None:
    """It would pass for a fault of the network."""

    def act(_: object) -> None:
        raise ZeroDivisionError

    proxy = Proxy(source.url)
    proxy.inject(act)
    with pytest.raises(ConnectionError):
        ask(proxy.url, "/ping")
    with pytest.raises(ZeroDivisionError):
        proxy.close()


def test_a_fault_can_be_for_what_a_request_says(proxy: Proxy, source: InfluxServer, database: str) -> None:
    """A query or lines, packed or not; all other requests go through, and do not count."""
    refused = proxy.inject(only(lambda text: "host=h1" in text, respond(503)), "write", count=None)
    happened = list[int]()
    seen = proxy.inject(only(lambda text: text == QUERY, before(lambda: happened.append(1))), "query", count=None)
    assert write(proxy.url, database, b"m,host=h0 v=1i 1") == (204, b"")
    assert write(proxy.url, database, LINES)[0] == 503
    assert read(proxy.url, database) == read(source.url, database)
    assert ask(proxy.url, "/query?q=SHOW+DATABASES", b"")[0] == 200
    assert (refused.injected, seen.injected, happened) == (1, 1, [1])
    assert stored(source, database) == 1


def test_a_gate_holds_requests_until_it_is_opened(proxy: Proxy, source: InfluxServer, database: str) -> None:
    """From the first on that it is for; what it holds when the proxy closes never arrives."""

    def write(url: str, line: bytes) -> threading.Thread:
        def post() -> None:
            with suppress(OSError, http.client.HTTPException):
                ask(url, f"/write?db={database}", line, timeout=300)

        thread = threading.Thread(target=post)
        thread.start()
        return thread

    gate = Gate()
    proxy.inject(gate, "write", first=2, count=None)
    write(proxy.url, b"m v=1 1").join()
    assert not gate.is_reached()
    held = write(proxy.url, b"m v=2 2")
    wait_until(gate.is_reached, "the second write")
    assert source.rows("SELECT v FROM m", db=database) == [[1, 1]]
    gate.open()
    held.join()
    assert source.rows("SELECT v FROM m", db=database) == [[1, 1], [2, 2]]
    shut = Gate()
    with Proxy(source.url) as other:
        other.inject(when(lambda: True, shut), "write")
        lost = write(other.url, b"m v=3 3")
        wait_until(shut.is_reached, "the third write")
    lost.join()
    assert source.rows("SELECT v FROM m", db=database) == [[1, 1], [2, 2]]


def test_lines_are_told_from_their_packed_form(proxy: Proxy, database: str) -> None:
    """As the tool sends them."""
    fault = proxy.inject(only(lambda text: text.startswith("m,host=h0"), respond(503)), "write")
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(proxy.url).netloc)
    connection.request("POST", f"/write?db={database}", gzip.compress(LINES), {"Content-Encoding": "gzip"})
    assert connection.getresponse().status == 503
    assert fault.injected == 1
    connection.close()
