"""The connection to a server, as far as it asks nobody."""

from __future__ import annotations

import gzip
import socket

import pytest
from requests.auth import HTTPBasicAuth

from basics.stopping import StopRequest
from influx import transport
from influx.errors import Unreachable
from influx.library import Library
from influx.listener import SilentRequests
from influx.transport import Meter, Transport
from settings.keys import Server


def connection(url: str, **settings: object) -> Transport:
    """To a server that is never asked."""
    return Transport(
        Server.model_validate({"url": url, **settings}),
        "source",
        timeout=1,
        retries=0,
        retry_delay=0,
        threads=17,
        stopping=StopRequest(),
        listener=SilentRequests(),
    )


@pytest.mark.parametrize("length", [0, 1, 65_534, 65_535, 65_536, 131_070, 131_071, 300_000])
def test_a_body_that_is_not_compressed_is_gzip_all_the_same(length: int) -> None:
    """Of the length that its head tells, with a checksum; so a request that is cut is noticed."""
    body = bytes(i * 7 % 251 for i in range(length))
    stored = transport._Stored(body)
    pieces = list(stored)
    assert len(b"".join(pieces)) == len(stored)
    assert len(pieces) == max(1, -(-length // transport.STORED_BLOCK))
    assert gzip.decompress(b"".join(pieces)) == body
    for damaged in (b"".join(pieces)[:-1], b"".join(pieces)[:-8] + bytes(8) if length else b"\x1f"):
        with pytest.raises((EOFError, gzip.BadGzipFile)):
            gzip.decompress(damaged)


def test_a_meter_counts_bytes_and_knows_when_the_first_of_them_came() -> None:
    """Later pieces do not change that."""
    meter = Meter()
    assert (meter.size, meter.waited, meter.seconds) == (0, 0, 0)
    meter.see(b"abc")
    waited = meter.waited
    assert waited == meter.seconds > 0
    meter.see(b"de")
    assert meter.size == 5
    assert meter.waited == waited <= meter.seconds


@pytest.mark.parametrize(
    ("url", "encoding"),
    [
        ("http://localhost:8086", "identity"),
        ("http://127.0.0.1:8086", "identity"),
        ("http://[::1]:8086", "identity"),
        ("https://influx.example.org", "gzip"),
    ],
)
def test_answers_are_compressed_unless_they_stay_within_the_machine(url: str, encoding: str) -> None:
    """There it would cost more than it saves."""
    headers = connection(url).session.headers
    assert headers["Accept-Encoding"] == encoding
    assert (headers["Accept"], headers["User-Agent"]) == ("application/x-msgpack", "influxdb-backup")


@pytest.mark.parametrize("url", ["http://influx:8086", "https://influx/path"])
def test_there_is_a_connection_for_each_thread(url: str) -> None:
    """Also after the library has made itself at home in the session."""
    server = connection(url)
    Library(server)
    assert vars(server.session.get_adapter(url))["_pool_maxsize"] == 17


def test_a_connection_that_is_refused_is_told_in_the_systems_words() -> None:
    """There is no remedy for that where a port is named."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = connection(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(Unreachable, match=r"^Connection refused$"):
            server.ping()
    assert server.answered("ping") == 0


def test_a_session_has_a_user_and_password_only_where_they_are_given() -> None:
    """And verifies certificates unless it is told not to."""
    plain = connection("https://influx").session
    assert (plain.auth, plain.verify) == (None, True)
    named = connection("https://influx", user="ü", password="pä:ss").session.auth
    assert isinstance(named, HTTPBasicAuth)
    assert (named.username, named.password) == ("ü".encode(), "pä:ss".encode())


def test_a_certificate_that_is_not_verified_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Once for each server."""
    assert connection("https://influx").session.verify
    assert caplog.records == []
    assert connection("https://influx", verify_ssl=False).session.verify is False
    (record,) = caplog.records
    assert record.getMessage() == "https://influx: its certificate is not verified (verify_ssl: false)"


def test_questions_of_others_who_work_for_the_same_run_are_counted() -> None:
    """Each endpoint by itself."""
    server = connection("http://influx")
    assert server.answered("query", "debug/vars") == 0
    server.count_elsewhere("query", 3)
    server.count_elsewhere("query", 4)
    server.count_elsewhere("debug/vars", 10)
    assert (server.answered("query"), server.answered("query", "debug/vars"), server.answered()) == (7, 17, 0)
