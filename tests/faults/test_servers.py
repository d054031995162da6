"""A server dies or is stopped in the middle of a copy, is not up at all, or changes its password."""

import random
import signal

import pytest

from tests.faults.harness import (
    Middle,
    assert_mended,
    assert_partly_copied,
    copying,
    ended,
    fresh,
    lines,
    run,
    slow,
)
from tests.faults.rounds import Rounds
from tests.integration.daemon import Daemon, running
from tests.integration.harness import Pair, write_job
from tests.support.servers import InfluxServer, quoted

ROLES = pytest.mark.parametrize("role", ["source", "destination"])
OTHER = {"source": "destination", "destination": "source"}
"""The server that keeps a copy from its end while a fault hits the first."""


def _end(server: InfluxServer, *, kill: bool) -> None:
    if kill:
        server.kill()
    else:
        server.stop()


@ROLES
def test_a_server_comes_back_while_the_tool_retries(own: Pair, rounds: Rounds, role: str) -> None:
    """The run goes on where it was, and says ok."""
    server = getattr(own, role)
    for number in rounds.of(f"kill -9 or SIGTERM of the {role}, back while the tool retries", 10):
        with fresh(own, number) as round_:
            round_.write(lines())
            with (
                Middle(round_, random.Random(number), OTHER[role]) as middle,
                copying(round_, middle.of(slow(retries=10))) as tool,
            ):
                middle.wait(tool)
                _end(server, kill=number % 2 == 0)
                middle.let_go()
                tool.wait_for(f"{role} {server.url}: ")
                tool.wait_for("; retry 2 of 10")
                server.restart()
                found = ended(tool)
            assert found.code == 0, found
            round_.assert_equal()


@ROLES
def test_a_server_comes_back_after_the_tool_gave_up(own: Pair, rounds: Rounds, role: str) -> None:
    """The run fails and names server and reason; the next one goes on from the hole."""
    server = getattr(own, role)
    for number in rounds.of(f"kill -9 or SIGTERM of the {role}, back after the tool gave up", 10):
        with fresh(own, number) as round_:
            round_.write(lines())
            with (
                Middle(round_, random.Random(number), OTHER[role]) as middle,
                copying(round_, middle.of(slow(retries=1))) as tool,
            ):
                middle.wait(tool)
                _end(server, kill=number % 2 == 1)
                middle.let_go()
                ended(tool).assert_failed(f"{role} {server.url}: ", "Connection refused", "(tried 2 times)")
            server.restart()
            assert_partly_copied(round_)
            assert_mended(round_)


def test_a_single_run_without_servers_fails_clearly(own: Pair, rounds: Rounds) -> None:
    """It says which server is not there; the next run, with both up, copies all."""
    for number in rounds.of("both servers down at the start of a single run"):
        with fresh(own, number) as round_:
            round_.write(lines(10))
            own.source.stop()
            own.destination.stop()
            run(round_).assert_failed(f"source {own.source.url}: ", "Connection refused")
            own.source.restart()
            run(round_).assert_failed(f"destination {own.destination.url}: ", "Connection refused")
            own.destination.restart()
            assert_mended(round_)


def test_a_daemon_waits_for_its_servers(own: Pair, rounds: Rounds) -> None:
    """It says for which one, and copies as soon as both are there."""
    options = {
        "initial_connection_retry_delay": 0.3,
        "incremental": {"schedule": "0 0 1 1 *", "run_on_start": True},
    }
    for number in rounds.of("both servers down at the start of a daemon", 10):
        with fresh(own, number) as round_:
            round_.write(lines(10))
            jobs = round_.directory / "jobs"
            write_job(jobs, round_.config({"options": options}))
            own.source.stop()
            own.destination.stop()
            with running(jobs, round_.directory) as daemon:
                daemon.wait_for("waiting for the source", count=2)
                own.source.restart()
                daemon.wait_for("waiting for the destination", count=2)
                own.destination.restart()
                daemon.wait_for(": ok")
                daemon.send(signal.SIGTERM)
                assert ended(daemon).code == 0, daemon.log
            round_.assert_equal()


@ROLES
def test_the_password_changes_in_the_middle(own: Pair, rounds: Rounds, role: str) -> None:
    """The run fails at once and says that the password is wrong; with the right one the next run goes on."""
    for server in (own.source, own.destination):
        server.restart({"http.auth-enabled": True})
    server = getattr(own, role)
    for number in rounds.of(f"password of the {role} changed in the middle", 5):
        with fresh(own, number) as round_:
            round_.write(lines())
            user = {"user": "backup", "password": "old"}
            _create_user(server)
            with (
                Middle(round_, random.Random(number), OTHER[role]) as middle,
                copying(round_, middle.of({**slow(), role: user})) as tool,
            ):
                middle.wait(tool)
                server.query("SET PASSWORD FOR backup = 'new'")
                middle.let_go()
                ended(tool).assert_failed(f"{role} {server.url}: ", "HTTP 401", "check user and password")
                _assert_not_retried(tool)
            assert_partly_copied(round_)
            assert_mended(round_, {role: user | {"password": "new"}})


def _create_user(server: InfluxServer) -> None:
    """Or give it its old password back."""
    names = [row[0] for row in server.rows("SHOW USERS")]
    if "backup" in names:
        server.query("DROP USER backup")
    server.query(f"CREATE USER {quoted('backup')} WITH PASSWORD 'old' WITH ALL PRIVILEGES")


def _assert_not_retried(tool: Daemon) -> None:
    """A wrong password stays wrong: trying it again may lock the user out."""
    assert "retry" not in tool.log, tool.log
