"""Source and destination that are one server by two names are refused, and so are two jobs by two names."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from copying.same_server import shared_destination
from influx.identity import is_same
from influx_client import InfluxClient
from main import run_worker
from settings.keys import Server
from tests.integration.harness import Pair, endpoint, job_config, run_main, write_job
from tests.support.proxy import Exchange, Proxy
from tests.support.servers import InfluxServer


def names(server: InfluxServer) -> dict[str, str]:
    """Other spellings of a server's address, by what they are."""
    host = f"http://{socket.gethostname()}:{server.port}"
    return {
        "any address": f"http://0.0.0.0:{server.port}",
        "IPv4 in IPv6": f"http://[::ffff:127.0.0.1]:{server.port}",
        "one number": f"http://2130706433:{server.port}",
        "the machine's name": host,
    }


def reachable(urls: dict[str, str]) -> dict[str, str]:
    """Those by which this machine is reached here."""
    found = {}
    for what, url in urls.items():
        host, _, port = url.removeprefix("http://").rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), 1).close()
        except OSError:
            continue
        found[what] = url
    return found


@pytest.fixture(scope="module")
def guarded() -> Iterator[InfluxServer]:
    """A server that asks for a password, with a user who is no administrator."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as server:
        server.create_database("db")
        server.create_database("other")
        server.write("m v=1 1", "db")
        server.query("CREATE USER plain WITH PASSWORD 'plain'")
        for database in ("db", "other"):
            server.query(f'GRANT ALL ON "{database}" TO plain')
        yield server


PLAIN = {"user": "plain", "password": "plain"}


def _refused(directory: Path, config: dict[str, Any], urls: tuple[str, str]) -> None:
    """By every command, with both names, and with the exit codes of a failure."""
    path = write_job(directory, config)
    for command, code in (("run --once", 1), ("check", 1), ("verify", 2), ("repair --yes", 2)):
        done = run_main(*command.split(), "--config", path)
        assert done.returncode == code, (command, done.stdout, done.stderr)
        assert f"source {urls[0]} and destination {urls[1]} are one and the same server" in done.stdout, command


def test_a_server_by_another_name_is_refused_as_its_own_destination(pair: Pair) -> None:
    """By every command, with both names, whatever the spelling."""
    pair.write("m v=1 1")
    urls = reachable(names(pair.source))
    assert "any address" in urls
    for index, url in enumerate(urls.values()):
        config = job_config(pair.source, pair.source, [pair.database])
        config["destination"]["url"] = url
        if index == 0:
            _refused(pair.directory, config, (pair.source.url, url))
        result = run_worker(write_job(pair.directory, config))
        assert "are one and the same server" in result.failures[0]
        config["source"]["databases"] += [{"name": "second", "destination": "second"}]
        (failure,) = run_worker(write_job(pair.directory, config)).failures
        assert f"same server: {pair.database!r} would be copied onto itself" in failure
        config["source"] |= {"databases": [], "suffix": "_copy"}
        assert "and then the copies too" in run_worker(write_job(pair.directory, config)).failures[0]
    assert not [row for row in pair.source.rows("SHOW DATABASES") if "_copy" in row[0]]


def test_who_is_no_administrator_is_refused_too(guarded: InfluxServer, tmp_path: Path) -> None:
    """By the numbers of requests, which need no right at all."""
    config = job_config(guarded, guarded, ["db"])
    config["destination"]["url"] = names(guarded)["any address"]
    for side in ("source", "destination"):
        config[side] |= PLAIN
    _refused(tmp_path, config, (guarded.url, config["destination"]["url"]))


def test_a_copy_under_another_name_on_the_same_server_is_not_refused(pair: Pair) -> None:
    """Only what would be copied onto itself is."""
    pair.write("m v=1 1")
    config = job_config(pair.source, pair.source, {pair.database: f"{pair.database}_copy"})
    config["destination"]["url"] = names(pair.source)["any address"]
    try:
        assert run_worker(write_job(pair.directory, config)).outcome == "ok"
    finally:
        pair.source.drop_database(f"{pair.database}_copy")


@pytest.mark.parametrize("login", [{}, PLAIN], ids=["administrator", "other"])
def test_two_servers_are_told_apart_and_one_is_recognised(
    login: dict[str, str], guarded: InfluxServer, source: InfluxServer
) -> None:
    """Of the same machine and version, started at the same time, asked in any order, busy or not."""
    with InfluxServer.start("twin", settings={"http.auth-enabled": True}) as twin:
        twin.query("CREATE USER plain WITH PASSWORD 'plain'")
        clients = [_client(server, login) for server in (guarded, twin, guarded)]
        for _ in range(20):
            assert is_same(clients[0], clients[2]) is True
            assert is_same(clients[0], clients[1]) is False
            assert is_same(clients[1], clients[2]) is False
    assert source.running


def _client(server: InfluxServer, login: dict[str, str]) -> InfluxClient:
    return InfluxClient(Server.model_validate(endpoint(server) | login), "source")


def test_a_proxy_that_gives_requests_its_own_ids_makes_nobody_the_same(
    guarded: InfluxServer, tmp_path: Path
) -> None:
    """Whoever is no administrator cannot be told then, and is not refused; an administrator is."""
    with Proxy(guarded.url) as proxy:
        proxy.inject(_with_its_own_id, "ping", count=None)
        config = job_config(guarded, guarded, ["db"])
        config["destination"]["url"] = proxy.url
        assert "one and the same" in run_worker(write_job(tmp_path, config)).failures[0]
        for side in ("source", "destination"):
            config[side] |= PLAIN
        assert run_worker(write_job(tmp_path, config)).outcome == "ok"


def test_two_jobs_that_write_to_one_server_by_two_names_are_told_why_not(pair: Pair) -> None:
    """Where both are other servers nothing is said. No password is."""
    url = reachable(names(pair.source))["any address"]
    one, other, apart = (
        InfluxClient(Server.model_validate({**endpoint(server), **more}), "destination", retries=0)
        for server, more in ((pair.source, {}), (pair.source, {"url": url}), (pair.destination, {}))
    )
    assert shared_destination(one, apart, "job", "db") == ""
    text = shared_destination(one, other, "job", "db")
    assert text.startswith(
        f"destination {pair.source.url} is the same server as {url}, where job 'job' also writes db; "
    )
    for client in (one, other, apart):
        client.close()


def _with_its_own_id(exchange: Exchange) -> None:
    answer = exchange.answer()
    kept = tuple((name, value) for name, value in answer.headers if "request-id" not in name.lower())
    own = (("X-Request-Id", "0b9f9d2a6c1f4e1b8a52d3f0c7e4a911"),)
    exchange.send(replace(answer, headers=(*kept, *own)).wire())


def test_two_jobs_for_one_destination_by_two_names_are_refused(pair: Pair) -> None:
    """Each names the other one; a job of other measurements goes on."""
    pair.write("m v=1 1\nn v=1 1")
    jobs = pair.directory / "jobs"
    for name, url, include in (
        ("one", pair.destination.url, ["m"]),
        ("two", names(pair.destination)["any address"], ["m"]),
        ("three", names(pair.destination)["any address"], ["n"]),
    ):
        config = pair.config({"measurements": {"include": include}})
        config["destination"]["url"] = url
        write_job(jobs, config, name)
    done = run_main("run", "--once", "--config", jobs)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(lines) == 2
    assert any(line.startswith("FAILED one:") and "where job 'two' also writes" in line for line in lines)
    assert any(line.startswith("FAILED two:") and "where job 'one' also writes" in line for line in lines)
    assert {at[1] for at in pair.found().points} == {b"n"}
