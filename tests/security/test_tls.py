"""TLS with a private authority: trusted only when it is named, and a refused server is told nothing."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from basics.stopping import StopRequest
from config import Config
from copying.results import JobResult
from influx.errors import AccessDenied
from influx.transport import _untrusted
from influx_client import connect
from main import run_worker
from tests.integration.harness import MONDAY, Pair, endpoint, job_config, snapshot, write_job
from tests.support.certificates import Authority, Certificate, TlsListener
from tests.support.reader import difference
from tests.support.servers import InfluxServer
from tests.support.web import Page, http_server

SECRET = "hush-hush-7"
LINES = "\n".join(f'm,h={i % 3} v={i}i,s="é" {MONDAY + i}' for i in range(100))
SIDES = ("source", "destination")


class Files(NamedTuple):
    """An authority and what it signed; `junk` is no certificate at all."""

    authority: Path
    other: Path
    junk: Path
    good: Certificate
    expired: Certificate
    elsewhere: Certificate


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """All certificates."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = Authority(directory)
    junk = directory / "junk.pem"
    junk.write_text("no certificate")
    return Files(
        authority.certificate,
        Authority(directory, "other").certificate,
        junk,
        authority.issue("good"),
        authority.issue("expired", days=-1),
        authority.issue("elsewhere", hosts=("elsewhere.example", "10.1.2.3")),
    )


@pytest.fixture(scope="module")
def secured(files: Files) -> Iterator[InfluxServer]:
    """An InfluxDB whose certificate the authority has signed."""
    with InfluxServer.start("secured", settings=files.good.settings) as server:
        yield server


def run(directory: Path, config: dict[str, Any]) -> JobResult:
    """One run without patience."""
    config["options"] |= {"retries": 0, "timeout_client": 2}
    return run_worker(write_job(directory, config))


@pytest.mark.parametrize("side", SIDES)
def test_an_authority_is_trusted_where_ca_file_names_it(
    side: str, secured: InfluxServer, source: InfluxServer, files: Files, tmp_path: Path
) -> None:
    """At the source and at the destination, by address and by name; without ca_file not a point is copied."""
    servers = (secured, source) if side == "source" else (source, secured)
    database, copy = f"from_{side}", f"to_{side}"
    servers[0].create_database(database)
    servers[0].write(LINES, database)
    config = job_config(*servers, {database: copy})
    try:
        (failure,) = run(tmp_path, config).failures
        assert f"{side} {secured.url}: " in failure
        assert copy not in {row[0] for row in servers[1].rows("SHOW DATABASES")}
        config[side]["ca_file"] = str(files.authority)
        for host in ("127.0.0.1", "localhost"):
            config[side]["url"] = secured.url.replace("127.0.0.1", host)
            assert run(tmp_path, config).failures == ()
            assert difference(snapshot(servers[0], database), snapshot(servers[1], copy)) == ""
    finally:
        servers[0].drop_database(database)
        servers[1].drop_database(copy)


@pytest.mark.parametrize("side", SIDES)
def test_http_to_a_port_of_tls_is_told(side: str, secured: InfluxServer, pair: Pair) -> None:
    """With what to write instead."""
    url = secured.url.replace("https:", "http:")
    (failure,) = run(pair.directory, pair.config({side: {"url": url}})).failures
    assert f"{side} {url}: " in failure
    assert "TLS is spoken there: write https://" in failure


REFUSED = {
    "no ca_file": ("good", None, "set ca_file"),
    "another authority": ("good", "other", "set ca_file"),
    "expired": ("expired", "authority", "certificate has expired .* renew the server's certificate"),
    "another host": (
        "elsewhere",
        "authority",
        "not valid for '127.0.0.1'.* let url name the host",
    ),
    "no PEM": ("good", "junk", "ca_file must be a readable PEM file"),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_server_is_named_and_told_nothing(kind: str, side: str, pair: Pair, files: Files) -> None:
    """The message says which server and what to do; no request reaches it, and so no password."""
    certificate, ca_file, remedy = REFUSED[kind]
    pair.write(LINES)
    login = {"user": "reader", "password": SECRET, "ca_file": str(getattr(files, ca_file)) if ca_file else ""}
    with TlsListener(getattr(files, certificate)) as listener:
        result = run(pair.directory, pair.config({side: {"url": listener.url, **login}}))
    (failure,) = result.failures
    assert f"{side} {listener.url}: " in failure
    assert re.search(remedy, failure)
    assert SECRET not in repr(result)
    assert listener.received == b""


def test_a_trusted_server_is_told_the_password(files: Files, pair: Pair) -> None:
    """The listener of the test above would have noticed."""
    login = {"user": "reader", "password": SECRET, "ca_file": str(files.authority)}
    with TlsListener(files.good) as listener:
        run(pair.directory, pair.config({"source": {"url": listener.url, **login}}))
    assert b"\r\nAuthorization: Basic " in listener.received


@pytest.mark.parametrize("side", SIDES)
def test_a_server_without_tls_is_named(side: str, pair: Pair) -> None:
    """https:// where http:// is meant."""
    with http_server(Page) as url:
        secured = url.replace("http:", "https:")
        (failure,) = run(pair.directory, pair.config({side: {"url": secured}})).failures
    assert f"{side} {secured}: " in failure
    assert "no TLS is spoken there: write http://" in failure


IS_STRICT = sys.version_info >= (3, 13)
"""Whether this Python wants certificates to keep to RFC 5280."""


@pytest.mark.parametrize("side", SIDES)
def test_an_authority_without_key_usage_is_taken_or_refused_as_this_python_does(side: str, pair: Pair) -> None:
    """From 3.13 on it is refused, though ca_file names it, and the message says why; before, it is trusted."""
    pair.write(LINES)
    authority = Authority(pair.directory, "without", key_usage=False)
    login = {"user": "reader", "password": SECRET, "ca_file": str(authority.certificate)}
    with TlsListener(authority.issue("server")) as listener:
        result = run(pair.directory, pair.config({side: {"url": listener.url, **login}}))
    (failure,) = result.failures
    assert ("CA cert does not include key usage extension" in failure) == IS_STRICT
    assert ("from 3.13 on Python takes only certificates that keep to RFC 5280" in failure) == IS_STRICT
    assert (listener.received == b"") == IS_STRICT


@pytest.mark.parametrize(
    "reason",
    [
        "CA cert does not include key usage extension",
        "Basic Constraints of CA cert not marked critical",
        "Missing Authority Key Identifier",
        "Missing Subject Key Identifier",
    ],
)
def test_what_a_strict_python_refuses_is_named_with_its_remedy(reason: str) -> None:
    """In the words of OpenSSL."""
    error = _untrusted(
        OSError(f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {reason} (_ssl.c:1028)")
    )
    assert reason in str(error)
    assert "with Python 3.11 or 3.12" in str(error)
    assert "set ca_file" not in str(error)


def test_a_ca_file_that_is_gone_is_no_bug(files: Files, secured: InfluxServer, pair: Pair) -> None:
    """A daemon's file may disappear between two runs."""
    ca_file = pair.directory / "ca.pem"
    ca_file.write_bytes(files.authority.read_bytes())
    path = write_job(pair.directory, pair.config({"source": {**endpoint(secured), "ca_file": str(ca_file)}}))
    config = Config(path)
    connect(config.job.options, config.job.source, "source", StopRequest()).close()
    ca_file.unlink()
    with pytest.raises(AccessDenied, match=f"source {secured.url}: .*ca_file must be a readable PEM file"):
        connect(config.job.options, config.job.source, "source", StopRequest())
