"""What a user may not do does not keep from being copied what can be, and the remedy is the statement to run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from main import run_worker
from tests.integration.harness import Pair, job_config, run_main, snapshot, write_job
from tests.support.servers import InfluxServer

PLAIN = {"user": "plain", "password": "plain"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[InfluxServer]:
    """A destination that asks for a password, with a user who is no administrator."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as server:
        server.query("CREATE USER plain WITH PASSWORD 'plain'")
        yield server


def _config(pair: Pair, guarded: InfluxServer) -> dict[str, Any]:
    config = job_config(pair.source, guarded, [pair.database])
    config["destination"] |= PLAIN
    return config


def test_a_policy_that_may_not_be_created_is_one_failure_and_the_others_are_copied(
    pair: Pair, guarded: InfluxServer, tmp_path: Path
) -> None:
    """With ALL on the database; the statement that the failure names makes the next run whole."""
    pair.write("m v=1 1")
    pair.source.query(f'CREATE RETENTION POLICY "two" ON "{pair.database}" DURATION 0s REPLICATION 1')
    pair.write("m v=2 2\nn v=2 2", "two")
    guarded.create_database(pair.database)
    guarded.query(f'GRANT ALL ON "{pair.database}" TO plain')
    path = write_job(tmp_path, _config(pair, guarded))
    result = run_worker(path)
    assert len(result.failures) == 1
    statement = (
        f'CREATE RETENTION POLICY "two" ON "{pair.database}" DURATION 0s REPLICATION 1 SHARD DURATION 604800s'
    )
    assert f"an administrator of {guarded.url} should run {statement}; the other" in result.failures[0]
    assert {(at[0], at[4]) for at in snapshot(guarded, pair.database).points} == {("autogen", 1)}
    checked = run_main("check", "--config", path)
    assert checked.returncode == 1
    assert f"should run {statement}" in checked.stdout
    assert len([line for line in checked.stdout.splitlines() if "PROBLEM" in line]) == 1
    guarded.query(statement)
    assert run_worker(path).outcome == "ok"
    assert len(snapshot(guarded, pair.database)) == 3


def test_a_database_that_may_not_be_created_is_a_failure_with_the_statements_to_run(
    pair: Pair, guarded: InfluxServer, tmp_path: Path
) -> None:
    """After them the run succeeds."""
    pair.write("m v=1 1")
    path = write_job(tmp_path, _config(pair, guarded))
    (failure,) = run_worker(path).failures
    statements = failure.split(" should run ")[1].removesuffix("; the other policies are copied").split("; ")
    assert [s.split()[0] for s in statements] == ["CREATE", "GRANT"]
    assert "should run CREATE DATABASE" in run_main("check", "--config", path).stdout
    for statement in statements:
        guarded.query(statement)
    assert run_worker(path).outcome == "ok"


def test_the_advice_for_a_source_that_may_not_be_read_is_read(
    pair: Pair, guarded: InfluxServer, tmp_path: Path
) -> None:
    """Not ALL, which a source never needs; at the destination it is ALL."""
    guarded.create_database(f"{pair.database}_in")
    guarded.write("m v=1 1", f"{pair.database}_in")
    config = job_config(guarded, pair.destination, [f"{pair.database}_in"])
    config["source"] |= PLAIN
    (failure,) = run_worker(write_job(tmp_path, config)).failures
    assert "the user lacks a right: grant READ on the database" in failure
    assert "ALL" not in failure
    guarded.create_database(pair.database)
    guarded.query(f'GRANT READ ON "{pair.database}" TO plain')
    pair.write("m v=1 1")
    (failure,) = run_worker(write_job(tmp_path, _config(pair, guarded))).failures
    assert "the user lacks a right: grant ALL on the database" in failure
