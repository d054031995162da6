"""What the answer to a write means, and what is stored then."""

from __future__ import annotations

import gzip
import re
import time

import pytest

from tests.facts.harness import (
    DAY,
    FIRST_TIME,
    HOUR,
    LAST_TIME,
    MONDAY,
    WEEK,
    Database,
    packed,
    plain,
)
from tests.support.servers import InfluxServer
from tests.support.waiting import wait_until

GZIP = {"Content-Encoding": "gzip"}


def _policy(db: Database, name: str, duration: str) -> None:
    db.rows(f'CREATE RETENTION POLICY "{name}" ON "{db.name}" DURATION {duration} REPLICATION 1 SHARD DURATION 1h')


def _brief(error: str, db: Database) -> str:
    """The error without times and names of points."""
    return re.sub(r" - oldest point .* Bound at \S+", " - ...", error).replace(db.name, "DB")


# ---------------------------------------------------------------- taken


def test_success(db: Database) -> None:
    """A write that is taken is answered 204, without a body, and can be read at once."""
    answer = db.send("m v=1 1")
    assert (answer.status, answer.body) == (204, b"")
    assert db.rows("SELECT v FROM m") == [[1, 1.0]]


def test_durable() -> None:
    """What was answered 204 is there after kill -9 and a restart."""
    with InfluxServer.start("durable") as server:
        database = Database.make(server, "d")
        for i in range(20):
            database.put(f"m v={i}i {MONDAY + i * WEEK}")
        server.kill()
        server.restart()
        assert [v for _, v in database.rows("SELECT v FROM m")] == list(range(20))


def test_nothing(db: Database) -> None:
    """A write of nothing, compressed, is answered 204; of an unknown database 404."""
    assert db.write(packed(""), db.name, GZIP).status == 204
    assert db.write(packed(""), "none", GZIP).status == 404


def test_again(db: Database) -> None:
    """Writing a point again changes nothing; another value of the same series, field and time replaces the
    first.
    """
    for _ in range(2):
        db.put("m,t=x v=1,w=1 1")
    assert db.rows("SELECT v, w FROM m") == [[1, 1.0, 1.0]]
    db.put("m,t=x v=2 1")
    assert db.rows("SELECT v, w FROM m") == [[1, 2.0, 1.0]]


def test_again_in_one_request(db: Database) -> None:
    """Of two values for one point in one request the last one stays."""
    db.put("m v=1 1", "m v=2 1")
    assert db.rows("SELECT v FROM m") == [[1, 2.0]]


def test_policy_parameter(db: Database) -> None:
    """`rp` names the policy; without it the default one is written."""
    _policy(db, "p", "0s")
    db.put("m v=1 1", rp="p")
    db.put("m v=2 1")
    assert [db.rows(f'SELECT v FROM "{db.name}"."{p}"."m"') for p in ("p", "autogen")] == [[[1, 1.0]], [[1, 2.0]]]


def test_comments(db: Database) -> None:
    """Lines that begin with `#` are skipped."""
    db.put("# a comment", "m v=1 1", "#another", "m v=2 2")
    assert len(db.rows("SELECT v FROM m")) == 2


def test_comments_that_swallow_lines(db: Database) -> None:
    """A comment with a quote after `=` swallows what follows, one that ends in a backslash the next line: 204."""
    db.put('# says m="x', "m v=1 1", "m v=2 2")
    assert db.rows("SELECT v FROM m") == []
    db.put("# ends in \\", "m v=1 1", "m v=2 2")
    assert db.rows("SELECT v FROM m") == [[2, 2.0]]


def test_numbers(db: Database) -> None:
    """Floats in their shortest text come back with the same bits; NaN, infinity and integers beyond int64 are
    refused.
    """
    floats = [0.1, 1e21, 5e-324, 1.7976931348623157e308, -1.5e-300, 123456789012345680.0, 2.0**53 + 2]
    db.put(*(f"m f={value!r} {i}" for i, value in enumerate(floats)))
    assert [value for _, value in db.rows("SELECT f FROM m")] == floats
    for wrong in ("f=NaN", "f=inf", "f=+Inf", "f=1e309", "i=9223372036854775808i"):
        assert db.send(f"m {wrong} 1").status == 400


def test_times_out_of_range(db: Database) -> None:
    """Times beyond -9223372036854775806 and 9223372036854775806 are refused: 400 `time outside range`."""
    for moment in (FIRST_TIME - 1, LAST_TIME + 1):
        answer = db.send(f"m v=1 {moment}")
        assert (answer.status, "time outside range" in answer.error) == (400, True)


def test_precision(db: Database) -> None:
    """`precision=ns` and `n` are nanoseconds, `u ms s m h` what they say."""
    units = {"ns": 1, "n": 1, "u": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": HOUR}
    for name, unit in units.items():
        db.put(f"m_{name} v=1 7", precision=name)
        assert db.rows(f"SELECT v FROM m_{name}") == [[7 * unit, 1.0]]


def test_unknown_precision(db: Database, outcome: str) -> None:
    """What a precision means that InfluxDB does not know, such as `us`."""
    answer = db.send("m v=1 7", precision="us")
    seen = {400: "refused", 204: "something else"}[answer.status]
    if answer.status == 204:
        seen = {7: "nanoseconds", 7000: "microseconds"}[db.rows("SELECT v FROM m")[0][0]]
    assert seen == outcome


# ---------------------------------------------------------------- refused


def test_write_to_unknown_database(db: Database) -> None:
    """An unknown database: 404 `database not found: "x"`."""
    answer = db.write("m v=1 1", "none")
    assert (answer.status, answer.error) == (404, 'database not found: "none"')


def test_write_to_unknown_policy(db: Database) -> None:
    """An unknown retention policy: 500 `retention policy not found: x`, not worth a retry."""
    answer = db.send("m v=1 1", rp="none")
    assert (answer.status, answer.error) == (500, "retention policy not found: none")


def test_unable_to_parse(db: Database) -> None:
    """A line that is none: 400 `unable to parse '...': ...`, with the line, and the other lines are stored."""
    answer = db.send("m v=1 1", "nonsense", "m v=2 2")
    assert answer.status == 400
    assert "unable to parse 'nonsense': missing fields" in answer.error
    assert len(db.rows("SELECT v FROM m")) == 2


def test_conflict(db: Database, outcome: str) -> None:
    """A field of another type: 400 `partial write: field type conflict: input field "v" on measurement "m" is type
    float, already exists as type integer dropped=N`, and what follows.
    """
    db.put("m v=1i 1")
    answer = db.send("m v=2,w=2 2")
    text = (
        'partial write: field type conflict: input field "v" on measurement "m" is type float, '
        "already exists as type integer dropped=1"
    )
    assert (answer.status, answer.error[: len(text)]) == (400, text)
    assert (answer.error[len(text) :].replace(db.name, "DB").strip() or "nothing") == outcome


def test_conflict_of_odd_names(db: Database, outcome: str) -> None:
    """How that message spells a field called `a"b`."""
    db.put('m a\\"b=1i 1')
    error = db.send('m a\\"b=2 2').error
    assert error.startswith(
        f'partial write: field type conflict: input field "{outcome}" on measurement "m" is type'
    )


def test_conflict_drops_points(db: Database) -> None:
    """With a type conflict the conflicting points are dropped whole, with all their fields; the rest of the shard
    is written.
    """
    db.put("m v=1i,w=1 1")
    assert db.send("m v=2,w=2 2", "m v=3i,w=3 3", "m w=4 4").status == 400
    assert db.rows("SELECT v, w FROM m") == [[1, 1, 1.0], [3, 3, 3.0], [4, None, 4.0]]


def test_conflict_in_one_shard(db: Database) -> None:
    """A request is not atomic: with a conflict in one shard the points of others are stored, some only after the
    answer.
    """
    db.put(f"m v=1i {MONDAY}")
    assert db.send(f"m v=2 {MONDAY + WEEK}", f"m v=2 {MONDAY + 1}", f"m v=3 {MONDAY + 2 * WEEK}").status == 400
    expected = [MONDAY, MONDAY + WEEK, MONDAY + 2 * WEEK]

    def times() -> list[int]:
        return [row[0] for row in db.rows('SELECT "v"::float FROM m')]

    wait_until(lambda: times() == expected, "the other points", progress=times)
    assert times() == expected


def test_expired(db: Database, outcome: str) -> None:
    """Points older than the policy keeps: 400, all others of the request are stored; the message, of 2 such
    points.
    """
    _policy(db, "p", "1d")
    now = time.time_ns()
    answer = db.send(
        f"m v=1 {now - 3 * DAY}", f"m v=2 {now}", f"m v=3 {now - 2 * DAY}", f"m v=4 {now - HOUR}", rp="p"
    )
    assert answer.status == 400
    assert [v for _, v in db.rows(f'SELECT v FROM "{db.name}"."p"."m"')] == [4.0, 2.0]
    assert _brief(answer.error, db) == outcome


def _answer_outside_of_window(db: Database, shard_duration: str) -> str:
    """What is said of a point too old and one too new for a policy, beside one that is taken; "" where there is no
    such policy. A point is taken now, so its shard is there.
    """
    policy = f'RETENTION POLICY "p" ON "{db.name}" DURATION 0s REPLICATION 1 SHARD DURATION {shard_duration}'
    created = db.ask(f"CREATE {policy} FUTURE LIMIT 2h PAST LIMIT 1h")
    if created.status == 400:
        assert created.error.startswith("error parsing query")
        return ""
    now = time.time_ns()
    answer = db.send(f"m v=1 {now - DAY}", f"m v=2 {now}", f"m v=3 {now + DAY}", rp="p")
    assert answer.status == 400
    assert [v for _, v in db.rows(f'SELECT v FROM "{db.name}"."p"."m"')] == [2.0]
    return _brief(answer.error, db)


def test_write_window(db: Database, outcome: str) -> None:
    """A policy with FUTURE LIMIT and PAST LIMIT; the answer to 2 points outside of them in a shard that exists."""
    assert (_answer_outside_of_window(db, "100000d") or "no such policies") == outcome


def test_write_window_without_shards(db: Database, outcome: str) -> None:
    """The same where no shard holds their time."""
    assert (_answer_outside_of_window(db, "1h") or "no such policies") == outcome


def test_expired_and_conflicting(db: Database) -> None:
    """When points are too old and others conflict, the message is about the conflict alone."""
    _policy(db, "p", "1d")
    now = time.time_ns()
    db.put(f"m v=1i {now}", rp="p")
    answer = db.send(f"m v=1i {now - 3 * DAY}", f"m v=2 {now + 1}", rp="p")
    assert answer.status == 400
    assert answer.error.startswith("partial write: field type conflict")
    assert "retention policy of" not in answer.error


def test_all_expired(db: Database) -> None:
    """When all points of a request are too old, the answer is the same as when some are, and nothing is stored."""
    _policy(db, "p", "1d")
    answer = db.send(f"m v=1 {time.time_ns() - 3 * DAY}", rp="p")
    assert (answer.status, "dropped=1" in answer.error, "retention policy" in answer.error) == (400, True, True)
    assert db.rows(f'SELECT v FROM "{db.name}"."p"."m"') == []


def test_points_of_the_future(db: Database) -> None:
    """Points of the future are taken, in a policy with a duration too."""
    _policy(db, "p", "1d")
    db.put(f"m v=1 {time.time_ns() + 1000 * DAY}", rp="p")
    assert len(db.rows(f'SELECT v FROM "{db.name}"."p"."m"')) == 1


def test_longest_key(db: Database) -> None:
    """A series key longer than 65535 bytes is refused: 400 `max key length exceeded`."""
    db.put(f"m,t={'x' * 60_000} v=1 1")
    answer = db.send(f"m,t={'x' * 65_536} v=1 1")
    assert (answer.status, "max key length exceeded" in answer.error) == (400, True)


# ---------------------------------------------------------------- damaged on the way


def test_compressed(db: Database) -> None:
    """A body may be gzip, compressed or in stored blocks."""
    for level in (0, 1, 9):
        assert db.write(gzip.compress(b"m v=1 %d" % level, level), db.name, GZIP).status == 204
    assert len(db.rows("SELECT v FROM m")) == 3


def test_truncated_plain(db: Database) -> None:
    """A plain body that was cut can be a valid line with a wrong time: 204."""
    assert db.send("m v=1 1600000000"[:-4]).status == 204
    assert db.rows("SELECT v FROM m") == [[160000, 1.0]]


@pytest.mark.parametrize("level", [0, 1])
def test_truncated_gzip(level: int, db: Database) -> None:
    """A compressed body that was cut, wherever, is answered 400 `unexpected EOF` or `EOF`, and nothing of it is
    stored.
    """
    body = gzip.compress(b"\n".join(b"m v=1 %d" % i for i in range(100)), level)
    for end in (*range(1, 30), len(body) // 2, *range(len(body) - 20, len(body))):
        answer = db.write(body[:end], db.name, GZIP)
        assert (answer.status, answer.error) in ((400, "unexpected EOF"), (400, "EOF")), end
    assert db.rows("SELECT v FROM m") == []


def test_damaged_gzip(db: Database) -> None:
    """A compressed body with a wrong bit is answered 400 `gzip: ...`, `flate: ...` or EOF, and nothing is
    stored.
    """
    body = bytearray(gzip.compress(b"\n".join(b"m v=1 %d" % i for i in range(100)), 0))
    for at in (15, 40, len(body) // 2, len(body) - 6, len(body) - 1):
        damaged = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        answer = db.write(bytes(damaged), db.name, GZIP)
        assert answer.status == 400, at
        assert answer.error.startswith(("gzip: ", "flate: ", "unexpected EOF", "EOF")), (at, plain(answer.error))
    assert db.rows("SELECT v FROM m") == []
