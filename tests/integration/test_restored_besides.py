"""What a restore brings besides points, in the test's own process: said before, and what failed afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from basics.times import DAY
from checking.restore import CannotBegin, restore_job
from config import Config
from copying.restore.asked import Asked
from copying.restore.targets import server_at
from tests.integration.harness import MONDAY, Pair, write_job
from tests.integration.test_refilling import PLAN, backed_up, begun_before, planned, restored
from tests.support.proxy import Exchange, Proxy, forward, only, respond
from tests.support.reader import read_policies
from tests.support.servers import InfluxServer

BROKEN = respond(400, b'{"error":"no"}', "application/json")


def policy(pair: Pair, name: str, more: str = "DURATION INF REPLICATION 1") -> None:
    """One more at the source."""
    pair.source.query(f'CREATE RETENTION POLICY "{name}" ON "{pair.database}" {more}')


def query(pair: Pair) -> None:
    """A continuous query at the source."""
    select = f'SELECT mean(v) INTO "{pair.database}".autogen."h" FROM "cpu" GROUP BY time(1h)'  # noqa: S608
    pair.source.query(f'CREATE CONTINUOUS QUERY "hourly" ON "{pair.database}" BEGIN {select} END')


def defaults(pair: Pair) -> list[str]:
    """The default policy of the source."""
    return [name for name, found in read_policies(pair.source.url, pair.database).items() if found.default]


def saved(pair: Pair) -> Path:
    """Where runs have saved what the database has."""
    return pair.directory / "quarantine" / "metadata" / "job" / pair.database


def test_what_comes_with_the_points_is_not_said_twice(pair: Pair) -> None:
    """Policies that the backup has; a new database gets its default one with them."""
    pair.source.create_database(pair.database)
    policy(pair, "more", "DURATION INF REPLICATION 1 DEFAULT")
    policy(pair, "empty")
    query(pair)
    backed_up(pair, f"cpu v=1 {MONDAY}")
    pair.destination.query(f'DROP RETENTION POLICY "empty" ON "{pair.database}"')
    before = read_policies(pair.source.url, pair.database)
    pair.source.drop_database(pair.database)
    (metadata,) = planned(pair).metadata
    assert metadata.lines == ("retention policies: empty", "continuous queries: hourly")
    (metadata,) = planned(pair, metadata=frozenset({"queries"})).metadata
    assert metadata.lines == ("continuous queries: hourly",)
    assert planned(pair, metadata=frozenset()).metadata == ()
    done = restored(pair)
    assert (done.word, done.problems, done.passwords) == ("restored", (), None)
    assert read_policies(pair.source.url, pair.database) == before
    assert "hourly" in [row[0] for row in pair.source.rows("SHOW CONTINUOUS QUERIES")]


def test_the_default_policy_is_the_one_that_was_saved(pair: Pair) -> None:
    """Where policies come as they were saved; else that of the backup."""
    pair.source.create_database(pair.database)
    policy(pair, "more", "DURATION INF REPLICATION 1 DEFAULT")
    backed_up(pair, f"cpu v=1 {MONDAY}")
    pair.destination.query(f'ALTER RETENTION POLICY autogen ON "{pair.database}" DEFAULT')
    change = f'ALTER RETENTION POLICY "autogen" ON "{pair.database}" DEFAULT'
    pair.source.query(change)
    plan = planned(pair, existing="fill")
    assert (plan.defaults, [metadata.default for metadata in plan.metadata]) == ((), ["more"])
    assert restored(pair, existing="fill").code == 0
    assert defaults(pair) == ["more"]
    assert planned(pair, existing="fill", metadata=frozenset()).defaults == ((pair.database, "autogen"),)
    assert restored(pair, existing="fill", metadata=frozenset()).code == 0
    assert defaults(pair) == ["autogen"]


def test_what_was_never_saved_or_cannot_be_read_is_said_and_ends_nothing(pair: Pair) -> None:
    """Of what would come: nobody needs policies to be saved, for they come as the backup has them."""
    backed_up(pair, f"cpu v=1 {MONDAY}")
    pair.source.drop_database(pair.database)
    (version,) = saved(pair).glob("*.json")
    content = version.read_bytes()
    version.write_bytes(content[:-1])
    (note,) = planned(pair).notes
    assert note.startswith(f"what was saved of {pair.database} cannot be read: {version} is damaged")
    shutil.rmtree(saved(pair))
    (note,) = planned(pair, metadata=frozenset({"policies", "queries", "users"})).notes
    assert note.endswith(": these are not restored: continuous queries, users")
    assert planned(pair, metadata=frozenset({"policies"})).notes == ()
    assert planned(pair, metadata=frozenset()).notes == ()
    done = restored(pair)
    assert (done.word, done.problems) == ("restored", ())


@pytest.mark.parametrize("begun", [False, True])
def test_a_policy_that_was_there_before_is_no_failure(begun: bool, pair: Pair) -> None:
    """Unless it is this restore that made it otherwise than it was saved, before it was stopped."""
    backed_up(pair, f"cpu v=1 {MONDAY}")
    pair.source.query(f'ALTER RETENTION POLICY autogen ON "{pair.database}" SHARD DURATION 1d')
    assert pair.backup().failures == ()
    pair.source.query(f'ALTER RETENTION POLICY autogen ON "{pair.database}" SHARD DURATION 7d')
    if begun:
        begun_before(pair, "fill", {})
    done = restored(pair, existing="fill")
    said = (
        f"retention policy {pair.database}.autogen has shard groups of 7d there, and had them of 1d; it is as in"
    )
    assert [problem.startswith(said) for problem in done.problems] == [True] * begun
    assert done.code == begun
    (note,) = planned(pair, existing="fill").notes
    assert note == said.removesuffix("; it is as in")


def test_what_cannot_be_changed_at_the_end_is_named(pair: Pair) -> None:
    """All points are there then, and the marker goes."""
    pair.source.create_database(pair.database)
    policy(pair, "more")
    query(pair)
    backed_up(pair, *(f"cpu v={n} {MONDAY + n * DAY}" for n in range(3)))
    pair.source.query(f'ALTER RETENTION POLICY "more" ON "{pair.database}" DEFAULT')
    pair.source.query(f'DROP CONTINUOUS QUERY "hourly" ON "{pair.database}"')
    with Proxy(pair.source.url) as proxy:
        sections = {"source": {"url": proxy.url}, "options": {"retries": 0}}
        proxy.inject(only(lambda asked: "DEFAULT" in asked and "ALTER" in asked, BROKEN), "query", count=None)
        done = restored(pair, sections=sections, existing="fill", metadata=frozenset())
        (problem,) = done.problems
        assert problem.startswith(f"autogen is not the default retention policy of {pair.database}: ")
        proxy.heal()
        proxy.inject(only(lambda asked: "CREATE CONTINUOUS" in asked, BROKEN), "query", count=None)
        done = restored(pair, sections=sections, existing="fill", metadata=frozenset({"queries"}))
        assert len(done.problems) == 1
        assert "hourly" in done.problems[0]
    assert (done.word, done.is_whole, done.code) == ("failed", True, 1)
    assert list((pair.directory / "quarantine" / ".restoring").iterdir()) == []


def test_a_server_that_fails_when_all_points_are_there_is_told(pair: Pair) -> None:
    """What comes besides them is not all there then, and nobody calls that restored."""
    pair.source.create_database(pair.database)
    query(pair)
    backed_up(pair, f"cpu v=1 {MONDAY}")
    pair.source.drop_database(pair.database)
    written = list[str]()

    def is_broken(question: str) -> bool:
        return bool(written) and "CONTINUOUS QUERIES" in question

    def write(exchange: Exchange) -> None:
        written.extend(line for line in exchange.text().splitlines() if line.startswith("cpu"))
        forward(exchange)

    with Proxy(pair.source.url) as proxy:
        proxy.inject(only(is_broken, BROKEN), "query", count=None)
        proxy.inject(write, "write", count=None)
        done = restored(pair, sections={"source": {"url": proxy.url}, "options": {"retries": 0}})
    (problem,) = done.problems
    assert problem.startswith("policies, continuous queries, users and rights are not all restored: ")
    assert (done.word, done.is_whole, done.code) == ("failed", True, 1)


def test_a_right_that_is_missing_at_the_target_is_named_in_the_plan(pair: Pair) -> None:
    """With the statement that gives it: for a database, a policy, points."""
    pair.source.create_database(pair.database)
    policy(pair, "more")
    backed_up(pair, f"cpu v=1 {MONDAY}", policy="more")
    environ = {"RESTORE_USER": "plain", "RESTORE_PASSWORD": "secret"}
    config = Config(write_job(pair.directory, pair.config()))
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER plain WITH PASSWORD 'secret'")

        def problem(asked: Asked) -> str:
            with pytest.raises(CannotBegin) as said:
                restore_job(config, server_at(guarded.url, config.job, environ), asked, PLAN, environ)
            return str(said.value)

        assert f'CREATE DATABASE "{pair.database}"' in problem(Asked())
        guarded.create_database(pair.database)
        guarded.query(f'GRANT ALL ON "{pair.database}" TO plain')
        assert f'CREATE RETENTION POLICY "more" ON "{pair.database}"' in problem(Asked())
        guarded.query(f'CREATE RETENTION POLICY "more" ON "{pair.database}" DURATION INF REPLICATION 1')
        guarded.query(f'REVOKE ALL ON "{pair.database}" FROM plain; GRANT READ ON "{pair.database}" TO plain')
        said = problem(Asked(policies=("more",)))
        assert f"{pair.database} cannot be written by user 'plain' (" in said
        assert "an administrator should grant ALL on it, or set RESTORE_USER and RESTORE_PASSWORD" in said
