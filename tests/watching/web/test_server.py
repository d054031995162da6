"""The HTTP server: addresses, whom it answers, what it refuses, and how long it waits."""

import http.client
import re
import socket
from collections.abc import Iterator

import pytest

from watching.web import server as server_module
from watching.web.server import (
    MOST_CONNECTIONS,
    SAFE_HEADERS,
    Address,
    AddressError,
    Answer,
    HttpServer,
    bound_address,
    is_own_name,
    listen,
    parse_address,
)


def site(path: str) -> Answer:
    """Says what it was asked for."""
    if path == "/bug":
        raise RuntimeError("hunter2")
    return Answer(f"you asked for {path}".encode("utf-8", "surrogateescape"))


@pytest.fixture
def server() -> Iterator[Address]:
    """A running server, where it listens."""
    listener = listen(Address("127.0.0.1", 0))
    address, running = bound_address(listener), HttpServer(listener, site, ["Backup.example.org"])
    running.start()
    yield address
    running.close()


def ask(
    address: Address, path: str = "/", method: str = "GET", host: str | None = None
) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=20)
    connection.request(method, path, headers={"Host": host} if host else {})
    with connection.getresponse() as response:
        return response.status, dict(response.headers), response.read().decode()


def raw(address: Address, sent: bytes) -> bytes:
    """All that comes back when these bytes are sent."""
    with socket.create_connection((address.host, address.port), timeout=20) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("text", "host", "port", "url"),
    [
        ("127.0.0.1:8186", "127.0.0.1", 8186, "http://127.0.0.1:8186"),
        ("0.0.0.0:80", "0.0.0.0", 80, "http://127.0.0.1:80"),  # noqa: S104
        ("[::1]:8186", "::1", 8186, "http://[::1]:8186"),
        ("[::]:8186", "::", 8186, "http://[::1]:8186"),
        ("backup.example.org:65535", "backup.example.org", 65535, "http://backup.example.org:65535"),
        ("localhost:0", "localhost", 0, "http://localhost:0"),
    ],
)
def test_addresses_that_are_understood(text: str, host: str, port: int, url: str) -> None:
    """Host and port, and the URL by which this machine reaches it."""
    assert parse_address(text) == Address(host, port)
    assert parse_address(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        *("", "8186", ":8186", "localhost", "localhost:", "localhost:65536", "localhost:-1", "localhost:http"),
        *("1.2.3:80", "256.1.1.1:80", "::1:8186", "[::1]", "[::g]:80", "[1.2.3.4]:80", "http://localhost:80"),
        *("local host:80", "localhost:80\n", "a/b:80", "user@host:80", "localhost:８０"),  # noqa: RUF001
    ],
)
def test_nonsense_is_refused_with_an_example(text: str) -> None:
    """The message shows what was given and how it is written."""
    with pytest.raises(AddressError, match=re.escape("such as 127.0.0.1:8186")):
        parse_address(text)


def test_a_taken_port_is_an_error_that_says_so() -> None:
    """And names the address, and the remedy."""
    with listen(Address("127.0.0.1", 0)) as first:
        taken = bound_address(first)
        with pytest.raises(AddressError, match=f"cannot listen on {taken}: Address already in use.*--http"):
            listen(taken)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_an_error(host: str) -> None:
    """Nobody can listen there."""
    with pytest.raises(AddressError, match=f"cannot listen on {host}:8186: "):
        listen(Address(host, 8186))


# ---------------------------------------------------------------- whom it answers


@pytest.mark.parametrize(
    ("host", "own"),
    [
        *((h, True) for h in ("127.0.0.1:8186", "192.168.1.7", "[::1]:8186", "[::1]", "localhost:8186", "backup")),
        *((h, True) for h in ("a.localhost", "nas.local:80", "b.svc.cluster.local", "x.internal", "LOCALHOST.")),
        *((h, True) for h in ("backup.example.org", "Backup.Example.Org:8186", "backup.example.org.")),
        *((h, False) for h in ("evil.example", "evil.example:8186", "127.0.0.1.evil.example", "xlocal.evil.org")),
        *((h, False) for h in ("localhost.evil.example", "notbackup.example.org", "1.2.3", "evil.internal.com")),
    ],
)
def test_a_name_that_somebody_else_could_let_point_here_is_not_ours(host: str, own: bool) -> None:
    """IP addresses, names without dots and those of private networks are; others have to be known."""
    assert is_own_name(host, ["Backup.example.org"]) is own


def test_a_foreign_host_header_gets_no_data(server: Address) -> None:
    """The answer says what to set if the name is right."""
    status, _, body = ask(server, host="evil.example:8186")
    assert status == 421
    assert "evil.example" in body
    assert "BACKUP_HTTP_HOSTS" in body
    assert "you asked" not in body
    assert ask(server, host="backup.example.org")[0] == 200


# ---------------------------------------------------------------- answers


def test_questions_are_answered(server: Address) -> None:
    """The path arrives decoded, also with bytes that are not UTF-8, and without its query."""
    assert ask(server, "/jobs/a%20b%2Fc?x=1")[2] == "you asked for /jobs/a b/c"
    assert b"you asked for /\xff" in raw(server, b"GET /%ff HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_everything_but_questions_is_refused(server: Address, method: str) -> None:
    """405, with what is allowed."""
    status, headers, _ = ask(server, method=method)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"


def test_a_head_request_gets_the_head_alone(server: Address) -> None:
    """With the length of the body that it does not get."""
    status, headers, body = ask(server, method="HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) == len("you asked for /")


@pytest.mark.parametrize(
    ("path", "method", "host", "expected"),
    [
        ("/", "GET", None, 200),
        ("/bug", "GET", None, 500),
        ("/", "POST", None, 405),
        ("/", "BREW", None, 501),
        ("/", "GET", "evil.example", 421),
    ],
)
def test_every_answer_has_the_safe_headers(
    server: Address, path: str, method: str, host: str | None, expected: int
) -> None:
    """Errors too, and none tells which software answers, or what went wrong inside."""
    status, headers, body = ask(server, path, method, host)
    assert status == expected
    assert SAFE_HEADERS.items() <= headers.items()
    assert headers["Server"].strip() == "influxdb-backup"
    assert "hunter2" not in body
    assert "Traceback" not in body


def test_the_policy_allows_nothing_from_elsewhere() -> None:
    """No inline script, no inline style, no other host, no frame."""
    policy = SAFE_HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|\*|data:", policy)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(200)) + b"\r\n",
        b"GET http://[broken/ HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_an_error_and_does_no_harm(server: Address, sent: bytes) -> None:
    """Nonsense, TLS, endless lines and heads."""
    assert re.match(rb"(HTTP/1\.0 )?(4\d\d|505) ", raw(server, sent))
    assert ask(server)[0] == 200


# ---------------------------------------------------------------- slow clients


def test_clients_that_say_nothing_do_not_keep_others_out(server: Address) -> None:
    """However many they are: the oldest is closed for each new one."""
    idle = [socket.create_connection((server.host, server.port)) for _ in range(MOST_CONNECTIONS + 20)]
    try:
        for _ in range(5):
            assert ask(server)[0] == 200
        idle[0].settimeout(20)
        assert idle[0].recv(1) == b""
    finally:
        for connection in idle:
            connection.close()


def test_a_client_that_trickles_is_closed(server: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps nobody's connection open for ever."""
    monkeypatch.setattr(server_module, "PATIENCE", 1.0)
    with socket.create_connection((server.host, server.port), timeout=0.1) as connection:
        closed = False
        while not closed:
            try:
                connection.sendall(b"G")
                closed = connection.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
    assert ask(server)[0] == 200
