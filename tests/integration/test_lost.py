"""What only the destination has is told in every run and by `check`, and nothing else is told."""

import time
from pathlib import Path
from typing import Any

import pytest

from main import run_worker
from tests.integration.harness import DAY, HOUR, MONDAY, Pair, job_config, run_main, write_job
from tests.support.proxy import Proxy, only, respond
from tests.support.servers import InfluxServer

RULES: dict[str, Any] = {
    "measurements": {
        "exclude": ["out"],
        "specific": {"m": {"fields": {"exclude": ["/ruled/"], "types": ["integer"]}}},
    }
}
KEPT = f"m,host=a v=1i,ruled=1i {MONDAY}\nout v=1 {MONDAY}"
LOST = {
    "policy": ("", "1 policy that the source does not: b; "),
    "measurement": (f"n v=1i {MONDAY}\nn2 v=1i {MONDAY}", "2 measurements that the source does not: n, n2; "),
    "field": (f"m,host=b x=1i,ruled2=1i,f=1.5 {MONDAY}", "1 field that the source does not: m.x; "),
}
"""What is lost in policy `b` -> lines of it, what is said of it."""
GONE = {
    "policy": "DELETE FROM m",
    "measurement": "DELETE FROM n; DELETE FROM n2",
    "field": "DELETE FROM m WHERE host = 'b'",
}
"""What makes the destination lose it too; the names stay there."""


def _make(server: InfluxServer, database: str, policy: str = "b", duration: str = "0s") -> None:
    server.query(f'CREATE RETENTION POLICY "{policy}" ON "{database}" DURATION {duration} REPLICATION 1')


@pytest.fixture
def other(pair: Pair) -> Pair:
    """The pair with a policy `b` besides the default one, on both sides: nothing is lost."""
    pair.write(f"{KEPT}\nn v=1i {MONDAY}\nn2 v=1i {MONDAY}")
    _make(pair.source, pair.database)
    pair.write(KEPT, "b")
    assert pair.backup().cautions == ()
    return pair


@pytest.mark.parametrize("lost", LOST)
def test_what_a_policy_has_lost_is_told_in_every_run_and_by_check(lost: str, other: Pair) -> None:
    """A policy, measurements that another policy still has, a field, if the rules select them; until they go."""
    name, (lines, told) = other.database, LOST[lost]
    if lines:
        other.write(lines, "b")
        assert other.backup().cautions == ()
    assert other.backup(RULES).cautions == ()
    other.source.query(f"DROP RETENTION POLICY b ON {name}")
    if lost != "policy":
        _make(other.source, name)
        other.write(f"m,host=a v=1i {MONDAY}", "b")
    place = name if lost == "policy" else f"{name}.b"
    for _ in range(3):
        result = other.backup(RULES)
        assert result.outcome == "ok"
        (caution,) = result.cautions
        assert f"database {name}: the destination's {place} holds {told}" in caution
    path = other.directory / "job.yaml"
    ran, checked = run_main("run", "--once", "--config", path), run_main("check", "--config", path)
    assert (ran.returncode, ran.stdout.count(caution), "ok, 1 warning" in ran.stdout) == (0, 1, True), ran.stdout
    assert (checked.returncode, checked.stdout.count(f"WARNING: {caution}")) == (0, 1), checked.stdout
    other.destination.query(GONE[lost], db=name)
    if lost != "policy":  # which are gone from the other policy, too
        assert other.backup(RULES).failures == ()
    assert other.backup(RULES).cautions == ()
    assert "WARNING" not in run_main("check", "--config", path).stdout


def test_a_measurement_that_no_policy_of_the_source_has_is_told_once(other: Pair) -> None:
    """Not for each policy again."""
    other.write(f"n v=1i {MONDAY}", "b")
    assert other.backup().cautions == ()
    other.source.query('DROP MEASUREMENT "n"', db=other.database)
    (caution,) = other.backup().cautions
    assert f"the destination's {other.database} holds 1 measurement that the source does not: n; " in caution


def test_a_user_who_is_no_administrator_is_told_the_same(other: Pair, tmp_path: Path) -> None:
    """With ALL on the database of the destination."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER plain WITH PASSWORD 'plain'")
        guarded.create_database(other.database)
        for policy in ("b", "empty", "lost"):
            _make(guarded, other.database, policy)
        guarded.query(f'GRANT ALL ON "{other.database}" TO plain')
        job = job_config(other.source, guarded, [other.database])
        job["destination"] |= {"user": "plain", "password": "plain"}
        path = write_job(tmp_path, job)
        assert run_worker(path).cautions == ()
        guarded.write(f"m v=1 {MONDAY}", other.database, "lost")
        guarded.write(f"m more=1 {MONDAY}", other.database, "b")
        result = run_worker(path)
    assert result.outcome == "ok"
    told = "\n".join(result.cautions)
    assert "holds 1 policy that the source does not: lost; " in told
    assert f"{other.database}.b holds 1 field that the source does not: m.more; " in told


def test_what_has_expired_at_the_source_or_is_not_asked_for_is_no_loss(pair: Pair) -> None:
    """Points that the source keeps no longer, or outside of the range of a range job."""
    now, name = time.time_ns(), pair.database
    pair.write(f"m v=1 {now - HOUR}")
    _make(pair.source, name, duration="10d")
    pair.write(f"m v=1 {now - HOUR}", "b")
    assert pair.backup().cautions == ()
    pair.destination.query(f"ALTER RETENTION POLICY b ON {name} DURATION 0s")
    pair.destination.write(f"m old=1 {now - 10 * DAY + HOUR // 2}", name, "b")
    assert pair.backup().cautions == ()
    pair.destination.write(f"m newer=1 {now - 9 * DAY}", name, "b")
    (caution,) = pair.backup().cautions
    assert "holds 1 field that the source does not: m.newer; " in caution
    limits = {"start_date": "2020-01-01", "end_date": "2020-02-01"}
    options = {"backup_mode": "range", "range": limits, "allow_empty": True}
    assert pair.backup({"options": options}).cautions == ()


def test_a_mean_of_what_the_rules_select_is_told_when_the_source_has_lost_the_field(pair: Pair) -> None:
    """It is a float at the destination, whatever the source held."""
    sections: dict[str, Any] = {"source": {"group_by": "1h"}, "measurements": {"specific": {}}}
    sections["measurements"]["specific"]["m"] = {"fields": {"types": ["integer"]}}
    pair.write(f"m v=1i,x=2i {MONDAY}")
    assert pair.backup(sections).cautions == ()
    pair.source.query('DROP MEASUREMENT "m"', db=pair.database)
    pair.write(f"m v=1i {MONDAY}")
    (caution,) = pair.backup(sections).cautions
    assert "holds 1 field that the source does not: m.x; " in caution


def test_jobs_that_share_a_database_are_not_told_of_each_other(pair: Pair, tmp_path: Path) -> None:
    """Each has measurements and a policy of its own; what is lost is told to the job that had it."""
    source, name, copy = pair.source, pair.database, f"{pair.database}_copy"

    def run(prefix: str) -> tuple[str, ...]:
        job = job_config(source, pair.destination, {f"{name}_{prefix}": copy})
        job["measurements"] = {"include": [f"{prefix}*"]}
        result = run_worker(write_job(tmp_path, job, prefix))
        assert result.outcome == "ok"
        return result.cautions

    try:
        for prefix in "ab":
            source.create_database(f"{name}_{prefix}")
            _make(source, f"{name}_{prefix}", f"own_{prefix}")
            for policy in ("autogen", f"own_{prefix}"):
                source.write(f"{prefix}1 v=1 {MONDAY}", f"{name}_{prefix}", policy)
        assert [run(prefix) for prefix in "abab"] == [()] * 4
        source.query(f"DROP RETENTION POLICY own_b ON {name}_b")
        assert run("a") == ()
        (caution,) = run("b")
        assert f"database {name}_b: the destination's {copy} holds 1 policy that the source" in caution
    finally:
        source.drop_database(f"{name}_a")
        source.drop_database(f"{name}_b")
        pair.destination.drop_database(copy)


def test_a_run_asks_for_it_only_where_names_differ(other: Pair) -> None:
    """One question for a policy of which there is another at the destination, one more for what it holds."""
    with Proxy(other.destination.url) as proxy:

        def asked() -> int:
            for _ in range(5):  # until all is proved, and no run has more to ask than the one before
                before = proxy.seen["query"]
                assert other.backup({"destination": {"url": proxy.url}}).outcome == "ok"
            return proxy.seen["query"] - before

        usual = asked()
        _make(other.destination, other.database, "lost")
        assert asked() == usual + 1
        other.destination.write(f"m v=1i {MONDAY}", other.database, "lost")
        assert asked() == usual + 2


def test_what_cannot_be_asked_is_told_and_is_no_failure(other: Pair) -> None:
    """Of a run nor of `check`: everything is copied."""
    _make(other.destination, other.database, "lost")
    other.destination.write(f"m v=1i {MONDAY}", other.database, "lost")
    refused = respond(403, b'{"error":"not now"}', "application/json")
    with Proxy(other.destination.url) as proxy:
        fault = proxy.inject(only(lambda text: '"lost"' in text, refused), "query", count=None)
        result = other.backup({"destination": {"url": proxy.url}})
        checked = run_main("check", "--config", other.directory / "job.yaml")
        assert fault.injected == 2
    (caution,) = result.cautions
    assert result.outcome == "ok"
    assert f"database {other.database}: what only the destination holds is not known: " in caution
    assert "not now" in caution
    assert (checked.returncode, checked.stdout.count(f"WARNING: {caution}")) == (0, 1), checked.stdout
