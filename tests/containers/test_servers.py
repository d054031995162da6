"""Servers in containers behave as local ones do; the integration tests can run on either."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.containers.harness import docker
from tests.integration.harness import ROOT
from tests.support.containers import ContainerServer, environment, image_name, image_problem, start_server
from tests.support.servers import InfluxdFailed, InfluxdMissing, InfluxServer, ServerError, Settings


@pytest.fixture(scope="module")
def server() -> Iterator[ContainerServer]:
    """A server with a database of one point."""
    with ContainerServer.start("second choice") as server:
        server.create_database("db")
        server.write("m value=1 1", "db")
        yield server


def test_a_stopped_server_is_gone_and_comes_back_with_its_port_and_data(server: ContainerServer) -> None:
    """As one that was only restarted."""
    url = server.url
    server.stop()
    assert not server.running
    with pytest.raises(InfluxdFailed):
        server.query("SHOW DATABASES")
    server.restart()
    assert server.url == url
    assert server.rows("SELECT value FROM m", db="db") == [[1, 1.0]]


def test_a_killed_server_keeps_what_it_acknowledged(server: ContainerServer) -> None:
    """As after a power cut."""
    server.write("m value=2 2", "db")
    server.kill()
    server.restart()
    assert server.rows("SELECT value FROM m", db="db") == [[1, 1.0], [2, 2.0]]


def test_a_paused_server_accepts_connections_and_does_not_answer(server: ContainerServer) -> None:
    """Until it is resumed; it can be stopped while it is paused, too."""
    server.pause()
    with pytest.raises(InfluxdFailed, match="timed out"):
        server.query("SHOW DATABASES", timeout=1)
    server.resume()
    assert server.rows("SHOW DATABASES")
    server.pause()
    server.restart()
    assert server.rows("SHOW DATABASES")


def test_other_settings_come_with_a_restart(server: ContainerServer) -> None:
    """Authentication, too, with an administrator."""
    server.restart({"http.auth-enabled": True})
    assert server.user
    assert server.rows("SELECT value FROM m", db="db")
    server.restart({})


def test_nothing_is_left_of_a_closed_server() -> None:
    """Neither the container nor its data."""
    with ContainerServer.start("closed") as server:
        volume = server.volume
        assert docker("ps", "--quiet", "--filter", f"volume={volume}")
        assert server.pid > 1
    assert not docker("ps", "--all", "--quiet", "--filter", f"volume={volume}")
    assert not docker("volume", "ls", "--quiet", "--filter", f"name={volume}")


def test_settings_are_the_variables_that_influxd_knows() -> None:
    """Dots and dashes are underscores; booleans are as in TOML."""
    settings: Settings = {
        "reporting-disabled": True,
        "continuous_queries.log-enabled": False,
        "data.wal-dir": "/x",
        "http.n": 1,
    }
    assert environment(settings) == {
        "INFLUXDB_REPORTING_DISABLED": "true",
        "INFLUXDB_CONTINUOUS_QUERIES_LOG_ENABLED": "false",
        "INFLUXDB_DATA_WAL_DIR": "/x",
        "INFLUXDB_HTTP_N": "1",
    }


@pytest.mark.parametrize("kind", ["auto", "containers", ""])
def test_servers_come_from_containers_where_the_image_is_at_hand(kind: str) -> None:
    """That is what `auto` prefers."""
    with start_server("chosen", {"INFLUX_SERVERS": kind, "INFLUXDB_IMAGE": image_name()}) as server:
        assert isinstance(server, ContainerServer)


@pytest.mark.parametrize(("kind", "name"), [("local", ""), ("auto", "local/no-such-image:1")])
def test_servers_are_local_ones_otherwise(kind: str, name: str) -> None:
    """When asked for, and where the image is not at hand."""
    with start_server("chosen", {"INFLUX_SERVERS": kind, "INFLUXDB_IMAGE": name or image_name()}) as server:
        assert type(server) is InfluxServer


def test_neither_kind_of_server_is_an_error_that_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that one knows what to install."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("INFLUXD", "/nonexistent/influxd")
    with pytest.raises(InfluxdMissing, match=r"docker is not installed; INFLUXD=/nonexistent/influxd"):
        start_server("missing", {"INFLUX_SERVERS": "auto"})


def test_an_unknown_kind_of_server_is_an_error() -> None:
    """A typo must not silently test something else."""
    with pytest.raises(ServerError, match="INFLUX_SERVERS=docker: expected one of auto, containers, local"):
        start_server("missing", {"INFLUX_SERVERS": "docker"})


def test_a_missing_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the engine's own words."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    assert "/nonexistent/docker.sock" in image_problem("influxdb:1.8.10")


def test_these_tests_are_collected_only_when_they_are_asked_for() -> None:
    """Without CONTAINER_TESTS there is nothing here, and that is pytest's exit code 5: never a silent success."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/containers"]
    done = subprocess.run(
        command, cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 5, done.stdout
