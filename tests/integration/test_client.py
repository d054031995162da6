"""How the client reaches a server: TLS, passwords, path prefixes, redirects, addresses that are no InfluxDB."""

import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from basics.stopping import Stopped, StopRequest
from config import Config
from copying.results import JobResult
from influx_client import connect
from main import run_worker
from tests.integration.harness import MONDAY, WEEK, Pair, endpoint, job_config, snapshot, write_job
from tests.support.certificates import self_signed
from tests.support.proxy import Proxy, respond
from tests.support.reader import difference
from tests.support.servers import InfluxServer
from tests.support.web import Page, http_server, page

LINES = "\n".join(f'm,h={i % 3} v={i}i,s="é" {MONDAY + i}' for i in range(100))


def run(directory: Path, config: dict[str, Any]) -> JobResult:
    """One run with short patience."""
    config["options"] |= {"retries": 0, "timeout_client": 5}
    return run_worker(write_job(directory, config))


def test_tls_is_verified_and_a_private_authority_can_be_trusted(
    source: InfluxServer, database: str, tmp_path: Path
) -> None:
    """Without ca_file the certificate is refused; with it, or with verify_ssl off, the copy is exact."""
    signed = self_signed(tmp_path)
    with InfluxServer.start("tls", settings=signed.settings) as secured:
        Pair(source, secured, database, tmp_path).write(LINES)
        config = job_config(source, secured, [database])
        (failure,) = run(tmp_path, config).failures
        assert "certificate" in failure
        assert "ca_file" in failure
        config["destination"]["ca_file"] = str(signed.certificate)
        assert run(tmp_path, config).failures == ()
        del config["destination"]["ca_file"]
        config["destination"]["verify_ssl"] = False
        assert run(tmp_path, config).failures == ()
        assert secured.rows('SELECT count("v") FROM m', db=database) == [[0, 100]]


@pytest.mark.parametrize(("version", "status"), [("v2.7.1", 204), ("3.0.1", 200), ("3.1.0-nightly", 401)])
def test_a_server_of_another_generation_is_named_as_such(version: str, status: int, pair: Pair) -> None:
    """What 2.x and 3.x answer to a ping tells what they are, also where they want other credentials."""
    pair.write(LINES)
    with Proxy(pair.destination.url) as proxy:
        headers: dict[str, Any] = {"X-Influxdb-Version": version}
        proxy.inject(respond(status, **headers), "ping", count=None)
        config = pair.config({"destination": {"url": proxy.url}})
        (failure,) = run(pair.directory, config).failures
    assert f"that is InfluxDB {version.removeprefix('v')}" in failure
    assert "1.x only" in failure
    assert "password" not in failure


@pytest.fixture(scope="module")
def guarded() -> Iterator[InfluxServer]:
    """A server that wants a password."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as server:
        yield server


@pytest.mark.parametrize("password", ["secret", "ü€\\ñ:colon", 'with "quotes" ${x}'])
def test_passwords_of_any_kind_are_accepted(
    password: str, guarded: InfluxServer, destination: InfluxServer, tmp_path: Path
) -> None:
    """Basic authentication in UTF-8, from the file or from a password_file."""
    escaped = password.replace("\\", "\\\\").replace("'", "\\'")
    guarded.query(f"CREATE USER reader WITH PASSWORD '{escaped}'")
    guarded.create_database("secured")
    guarded.query('GRANT ALL ON "secured" TO reader')
    guarded.write(LINES, "secured")
    config = job_config(guarded, destination, ["secured"])
    config["source"] |= {"user": "reader", "password": password.replace("${", "$${")}
    try:
        assert run(tmp_path, config).failures == ()
        (tmp_path / "password").write_text(password + "\n")
        del config["source"]["password"]
        config["source"]["password_file"] = str(tmp_path / "password")
        assert run(tmp_path, config).failures == ()
        assert difference(snapshot(guarded, "secured"), snapshot(destination, "secured")) == ""
    finally:
        guarded.query("DROP USER reader")
        destination.drop_database("secured")


def limited_job(guarded: InfluxServer, copies: dict[str, str]) -> dict[str, Any]:
    """A job of a user who may READ the sources and do ALL in the destinations, which exist."""
    if "limited" not in {row[0] for row in guarded.rows("SHOW USERS")}:
        guarded.query("CREATE USER limited WITH PASSWORD 'limited'")
    for source, destination in copies.items():
        guarded.create_database(source)
        guarded.create_database(destination)
        guarded.query(f'GRANT READ ON "{source}" TO limited')
        guarded.query(f'GRANT ALL ON "{destination}" TO limited')
    config = job_config(guarded, guarded, copies)
    for side in ("source", "destination"):
        config[side] |= {"user": "limited", "password": "limited"}
    return config


def test_a_user_without_admin_rights_can_copy(guarded: InfluxServer, tmp_path: Path) -> None:
    """READ at the source and ALL at the destination are enough when the database exists, for all of time."""
    config = limited_job(guarded, {"plain": "plain_copy"})
    guarded.query('ALTER RETENTION POLICY "autogen" ON "plain" SHARD DURATION 1h')
    year_2100 = 4_102_444_800 * 10**9
    guarded.write(f"{LINES}\nm,h=x v=15i {MONDAY + 5 * WEEK}\nm,h=x v=7i {year_2100}", "plain")
    for _ in range(2):
        assert run(tmp_path, config).failures == ()
        assert difference(snapshot(guarded, "plain"), snapshot(guarded, "plain_copy")) == ""


def test_types_that_change_need_an_admin_who_sees_the_shards(guarded: InfluxServer, tmp_path: Path) -> None:
    """Without the shards' boundaries no query is sure to be exact: it fails by name instead of dropping rows."""
    config = limited_job(guarded, {"mixed": "mixed_copy"})
    guarded.write(f'm v=1.5,w=1 {MONDAY}\nm v="text" {MONDAY + WEEK}\nfine v=1 1', "mixed")
    (failure,) = run(tmp_path, config).failures
    assert "v (float and string)" in failure or "v (string and float)" in failure
    assert "administrator" in failure
    assert {at[1] for at in snapshot(guarded, "mixed_copy").points} == {b"fine"}


@pytest.mark.parametrize(
    ("grant", "named"), [("WRITE", "plain2"), (None, "plain2"), ("password", "user and password")]
)
def test_missing_rights_are_named(grant: str | None, named: str, guarded: InfluxServer, source: InfluxServer,
                                  tmp_path: Path) -> None:  # fmt: skip
    """A wrong password and a missing right each say what to check, and show no password."""
    guarded.create_database("plain2")
    guarded.query("DROP USER weak") if "weak" in {r[0] for r in guarded.rows("SHOW USERS")} else None
    guarded.query("CREATE USER weak WITH PASSWORD 'weak-password'")
    if grant == "WRITE":
        guarded.query('GRANT WRITE ON "plain2" TO weak')
    guarded.write(LINES, "plain2")
    config = job_config(guarded, source, ["plain2"])
    password = "wrong-password" if grant == "password" else "weak-password"
    config["source"] |= {"user": "weak", "password": password}
    result = run(tmp_path, config)
    assert len(result.failures) == 1
    assert named in result.failures[0]
    assert password not in repr(result)


def test_a_path_prefix_of_a_reverse_proxy_is_kept(pair: Pair) -> None:
    """`http://proxy/some/influx` reaches the server behind it, queries and writes alike."""
    upstream = pair.destination.url

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            assert self.path.startswith("/some/influx/"), self.path
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {
                k: v for k, v in self.headers.items() if k in ("Content-Encoding", "Accept", "Content-Type")
            }
            request = urllib.request.Request(  # noqa: S310
                upstream + self.path.removeprefix("/some/influx"), body or None, headers, method=self.command
            )
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                content = answer.read()
                self.send_response(answer.status)
                for name in ("Content-Type", "X-Influxdb-Version"):
                    if answer.headers[name]:
                        self.send_header(name, answer.headers[name])
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = _forward  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """No lines on the console."""

    pair.write(LINES)
    with http_server(Proxy) as url:
        config = pair.config({"destination": {"url": f"{url}/some/influx/"}})
        assert run(pair.directory, config).failures == ()
    pair.assert_equal(points=200)


HTML = {"Content-Type": "text/html"}
LOGIN = {**HTML, "X-Influxdb-Version": "1.6.7"}


@pytest.mark.parametrize(
    ("handler", "named"),
    [
        (Page, "no InfluxDB answers there (HTTP 200); check the url"),
        (page(302, {"Location": "http://elsewhere.invalid/"}), "redirects to http://elsewhere.invalid/"),
        (page(503, HTML, b"<html>Service Unavailable</html>"), "HTTP 503"),
        (page(200, LOGIN, b"<html>Please log in</html>"), "not InfluxDB's"),
    ],
)
def test_an_address_that_is_no_influxdb_is_named(
    handler: type[BaseHTTPRequestHandler], named: str, pair: Pair
) -> None:
    """A web page, a redirect or a proxy's error is never taken for an empty database."""
    pair.write(LINES)
    with http_server(handler) as url:
        for side in ("source", "destination"):
            result = run(pair.directory, pair.config({side: {"url": url}}))
            assert len(result.failures) == 1, result
            assert named in result.failures[0]
            assert f"{side} {url}" in result.failures[0]


def test_proxies_of_the_environment_are_ignored(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup goes where its file says."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    pair.write(LINES)
    assert run(pair.directory, pair.config()).failures == ()
    assert endpoint(pair.source)["url"].startswith("http://127.0.0.1")
    pair.assert_equal(points=200)


def test_no_request_is_made_by_who_must_not_make_any(pair: Pair) -> None:
    """A worker that may not write any longer asks before each of them."""

    class NoMore(StopRequest):
        def before_request(self) -> None:
            raise Stopped

    with Proxy(pair.source.url) as proxy:
        job = Config(write_job(pair.directory, pair.config({"source": {"url": proxy.url}}))).job
        with pytest.raises(Stopped):
            connect(job.options, job.source, "source", NoMore())
        assert not sum(proxy.seen.values())
