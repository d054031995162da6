"""Unsigned integers: copied exactly to a server that holds them, refused by name where it does not."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.harness import MONDAY, WEEK, Pair, run_main, write_job
from tests.support.reader import Key, Snapshot, Value, exact
from tests.support.servers import InfluxServer, RequestFailed

UNSIGNED = "1.8.10-uint64"
MOST = 2**64 - 1

LINES = f"""\
m,h=a u=0u,n=1i {MONDAY}
m,h=a u={MOST}u {MONDAY + 1}
m,h=b u={2**63}u,s="x",n=2i {MONDAY + 1}
m,h=b f=1.5 {MONDAY + 2}
small v=1u {MONDAY}
text,h=\u00e9 u=5u,s="\u00e9 {MOST}u" {MONDAY}
\ufffd u={2**53 + 1}u {MONDAY}"""
"""In order: null beside values, the extremes, beside text, as CSV, and where CSV cannot tell."""

CHANGING = f"""\
m v=5i,w=1.5,x="t",steady=1u {MONDAY}
m v=5u,w=3u,x=7u,steady=2u {MONDAY + WEEK}
m v=-6i,w=4i,x=true,steady=3u {MONDAY + 2 * WEEK}
m v={MOST}u,w={MOST}u,x=8u,steady={MOST}u {MONDAY + 3 * WEEK}"""
"""Fields that are unsigned in some shards and not in others."""


@contextmanager
def _pair(tmp_path: Path, destination: str) -> Iterator[Pair]:
    with (
        InfluxServer.start("source", version=UNSIGNED) as source,
        InfluxServer.start("destination", version=destination) as other,
    ):
        yield Pair(source, other, "db", tmp_path)


def _stored(pair: Pair, server: InfluxServer, snapshot: Snapshot) -> dict[Key, Value]:
    """The values with their types as they are stored: what is read shows integers and unsigned ones alike."""
    known: dict[tuple[bytes, bytes, int], str] = {}
    found = {}
    for at, (shown, value) in snapshot.points.items():
        _, measurement, _, field, time = at
        shard = (measurement, field, (time - MONDAY) // WEEK)
        if shown == "integer" and shard not in known:
            known[shard] = _stored_type(server, pair.database, measurement, field, time)
        found[at] = (known[shard] if shown == "integer" else shown, value)
    return found


def _stored_type(server: InfluxServer, database: str, measurement: bytes, field: bytes, time: int) -> str:
    """The server's own word: it refuses a text there, and says why."""
    with pytest.raises(RequestFailed) as refused:
        server.write(b'%s %s="" %d' % (measurement, field, time), database)
    (word,) = re.findall(r"already exists as type (\w+)", refused.value.message)
    return str(word)


@pytest.mark.parametrize("rules", [{}, {"m": {"fields": {"types": ["unsigned"]}}}], ids=["all", "only them"])
@pytest.mark.parametrize("lines", [LINES, CHANGING], ids=["plain", "changing"])
def test_a_server_that_holds_them_gets_them_unchanged(
    lines: str, rules: dict[str, object], tmp_path: Path
) -> None:
    """Beside other types, in shards where the field is of another type, and again in the next run."""
    with _pair(tmp_path, UNSIGNED) as pair:
        pair.write(lines)
        sections = {"measurements": {"specific": rules}}
        for _ in range(2):
            assert pair.backup(sections).failures == ()
        there, here = pair.snapshots()
        expected = _stored(pair, pair.source, there)
        assert [kind for kind, _ in expected.values()].count("unsigned") > 5
        if rules:
            expected = {at: v for at, v in expected.items() if at[1] != b"m" or v[0] == "unsigned"}
        assert _stored(pair, pair.destination, here) == expected
        if not rules:
            done = run_main("verify", "--full", "--config", write_job(tmp_path / "jobs", pair.config()))
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.6", "1.7.11", "1.8.10", "1.12.4"])
def test_a_server_that_lacks_them_refuses_them_by_name(version: str, tmp_path: Path) -> None:
    """Database, measurement and field are named; nothing of those fields is sent, what stands beside is copied."""
    with _pair(tmp_path, version) as pair:
        pair.write(LINES)
        for _ in range(2):
            result = pair.backup()
            named = {failure.partition(":")[0]: failure for failure in result.failures}
            assert set(named) == {f"copy db.autogen.{m}" for m in ("m", "small", "text", "\ufffd")}
            assert (
                "field 'u' holds unsigned integers, which the destination cannot store: 3 "
                in named["copy db.autogen.m"]
            )
        expected, found = pair.snapshots()
        stored = _stored(pair, pair.source, expected)
        assert found.points == {at: value for at, value in stored.items() if value[0] != "unsigned"}
        assert len(found) == 5
        done = run_main("check", "--config", write_job(tmp_path / "jobs", pair.config()))
        assert done.returncode == 1
        assert "PROBLEM: db.autogen.small: field 'v' holds unsigned integers" in done.stdout
        without = {"measurements": {"exclude": ["small", "\ufffd"], "specific": {
            name: {"fields": {"exclude": ["u"]}} for name in ("m", "text")}}}  # fmt: skip
        assert pair.backup(without).failures == ()


def test_means_of_them_are_floats_that_every_server_holds(tmp_path: Path) -> None:
    """Downsampling in transit refuses nothing."""
    with _pair(tmp_path, "1.8.10") as pair:
        pair.write(f"m u=1u {MONDAY}\nm u=4u {MONDAY + 1}")
        assert pair.backup({"source": {"group_by": "1h"}}).failures == ()
        assert list(pair.found().points.values()) == [exact(2.5)]
