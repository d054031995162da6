"""What disappeared at the source since the snapshot before is told once, by name; nothing else is."""

import time

import pytest

from tests.integration.archives import Archived
from tests.integration.harness import DAY, HOUR, MONDAY, Pair


@pytest.fixture
def archived(pair: Pair) -> Archived:
    """A database with two policies and three measurements, of which the archive has a snapshot."""
    pair.write("\n".join(f"{name} v={i} {MONDAY + i * HOUR}" for name in ("cpu", "mem", "net") for i in range(30)))
    pair.source.query(f'CREATE RETENTION POLICY "more" ON "{pair.database}" DURATION INF REPLICATION 1')
    pair.write("\n".join(f"disk v={i} {MONDAY + i}" for i in range(7)), "more")
    found = Archived(pair)
    assert found.run().verdict == "ok"
    return found


def test_measurements_and_policies_that_disappear_are_told_once(archived: Archived) -> None:
    """With the snapshot that has them, names and points; in the next run they are no news."""
    source, name = archived.pair.source, archived.pair.database
    (before,) = archived.snapshots()
    source.query(f'DROP MEASUREMENT cpu; DROP MEASUREMENT mem; DROP RETENTION POLICY "more" ON "{name}"', db=name)
    result = archived.run()
    assert (result.verdict, result.failures) == ("ok, 2 warnings", ())
    policy, measurements = sorted(result.cautions, key=len)
    held = f"snapshot {before.stem} held"
    assert f"retention policy {name}.more: {held} 1 measurement (7 points) of it, which is gone" in policy
    assert "at the source: disk;" in policy
    assert f"retention policy {name}.autogen: {held} 2 measurements (60 points) of it, which are" in measurements
    assert "at the source: cpu, mem;" in measurements
    assert archived.run().verdict == "ok"


def test_a_database_that_disappears_is_told_once(archived: Archived) -> None:
    """Of a job that has all of them."""
    source, other = archived.pair.source, f"{archived.pair.database}_other"
    rules = {"source": {"databases": []}, "measurements": {"include": ["only_here"]}}
    for name in (archived.pair.database, other):
        source.create_database(name)
        source.write(f"only_here v=1 {MONDAY}\nonly_here v=2 {MONDAY + 1}", name)
    try:
        assert archived.run(rules).failures == ()
    finally:
        source.drop_database(other)
    told = [text for text in archived.run(rules).cautions if other in text]
    assert len(told) == 1
    assert f"database {other}: snapshot" in told[0]
    assert "held 1 measurement (2 points) of it, which is gone at the source: only_here" in told[0]
    assert not [text for text in archived.run(rules).cautions if other in text]


def test_what_the_rules_leave_out_now_is_not_told(archived: Archived) -> None:
    """By a measurement's name, by its fields, by the list of databases."""
    pair = archived.pair
    pair.write(f"cpu w=1i {MONDAY}")
    fields = {"include": ["cpu", "net"], "specific": {"net": {"fields": {"include": ["w"]}}}}
    pair.write(f"net w=1i {MONDAY + DAY * 100}")
    assert archived.run({"measurements": {"include": ["cpu", "net"]}}).verdict == "ok"
    pair.source.query("DELETE FROM net WHERE time < '2024-03-01T00:00:00Z'", db=pair.database)
    assert archived.run({"measurements": fields}).verdict == "ok"
    other = f"{pair.database}_other"
    pair.source.create_database(other)
    pair.source.write(f"cpu v=1 {MONDAY}", other)
    try:
        assert archived.run({"source": {"databases": [{"name": other}]}}).verdict == "ok"
    finally:
        pair.source.drop_database(other)


def test_what_retention_took_is_not_told(pair: Pair) -> None:
    """A policy that was altered holds less; a measurement that it still holds and that was dropped is told."""
    now, archived = time.time_ns(), Archived(pair)
    pair.write(f"old v=1 {now - 40 * DAY}\nyoung v=1 {now - DAY}\nstays v=1 {now - HOUR}")
    assert archived.run().verdict == "ok"
    pair.source.query(f'ALTER RETENTION POLICY "autogen" ON "{pair.database}" DURATION 14d SHARD DURATION 1d')
    pair.source.query("DROP MEASUREMENT old; DROP MEASUREMENT young", db=pair.database)  # old: as retention will
    (caution,) = archived.run().cautions
    assert "held 1 measurement (1 point) of it, which are gone at the source: young;" in caution
