"""How values come out of a query: CSV, JSON and msgpack."""

from __future__ import annotations

import msgpack

from tests.facts.harness import FORMS, Database


def _csv(db: Database, query: str) -> list[bytes]:
    """The lines of the answer, without the head."""
    return db.select(query, "csv").body.splitlines()[1:]


def _json(db: Database, query: str) -> bytes:
    return db.select(query, "json").body


def test_content_types(db: Database) -> None:
    """Asked for `text/csv` and `application/x-msgpack`, answers have that `Content-Type`."""
    for form in ("csv", "msgpack"):
        assert db.select("SHOW DATABASES", form).headers["Content-Type"] == FORMS[form]


def test_content_type_of_csv(db: Database, outcome: str) -> None:
    """The `Content-Type` of an answer that was asked for as `application/csv`."""
    answer = db.request("POST", "/query", None, {"q": "SHOW DATABASES"}, {"Accept": "application/csv"})
    assert answer.headers["Content-Type"] == outcome


def test_nothing_and_empty(db: Database) -> None:
    """Null, an empty string and a missing tag are all empty in CSV; msgpack has nil, `""` and nil."""
    db.put('m s="",a=1 1', "m,t=x a=1 2")
    query = 'SELECT "s"::field, "t"::tag, "a"::field FROM m'
    assert _csv(db, query) == [b"m,,1,,,1", b"m,,2,,x,1"]
    assert db.rows(query) == [[1, "", None, 1], [2, None, "x", 1]]


def test_empty_texts(db: Database) -> None:
    """A condition that a field is `''` finds empty texts, and no missing ones, whatever tags are called."""
    db.put('m s="",a=1 1', "m,t=x,s=tag a=1 2", 'm,s=tag s="x" 3', 'm,t=y s="" 4', "m,s=tag a=1 5")
    query = """SELECT "s"::field, "t"::tag FROM m WHERE time >= 1 AND time < 9 AND "s"::string = ''"""
    assert db.rows(query) == [[1, "", None], [4, "", "y"]]


def test_whole_floats(db: Database) -> None:
    """The float 1.0 and the integer 1 are both `1` in CSV and JSON; msgpack has a float and an integer."""
    db.put("m f=1,i=1i 1")
    assert _csv(db, "SELECT f, i FROM m") == [b"m,,1,1,1"]
    assert b"[1,1,1]" in _json(db, "SELECT f, i FROM m")
    [[_, f, i]] = db.rows("SELECT f, i FROM m")
    assert (type(f), type(i)) == (float, int)


def test_negative_zero(db: Database) -> None:
    """-0.0 is `-0` in CSV and JSON, and exact in msgpack."""
    db.put("m f=-0 1")
    assert _csv(db, "SELECT f FROM m") == [b"m,,1,-0"]
    assert b"[1,-0]" in _json(db, "SELECT f FROM m")
    assert str(db.rows("SELECT f FROM m")[0][1]) == "-0.0"


def test_floats_at_the_edges(db: Database) -> None:
    """CSV writes floats in plain decimals, up to 330 digits, which read back as the same bits; msgpack is
    exact.
    """
    values = [1e21, 5e-324, 1.7976931348623157e308, 0.1, 123456789012345680.0, 0.30000000000000004]
    db.put(*(f"m f={value!r} {time}" for time, value in enumerate(values)))
    texts = [line.split(b",")[3] for line in _csv(db, "SELECT f FROM m")]
    assert not any(b"e" in text for text in texts)
    assert [float(text) for text in texts] == values
    assert [row[1] for row in db.rows("SELECT f FROM m")] == values


def test_extreme_integers(db: Database) -> None:
    """The extremes of int64, and 2^53+1, are exact in CSV, JSON and msgpack."""
    values = [9223372036854775807, -9223372036854775808, 9007199254740993]
    db.put(*(f"m i={value}i {time}" for time, value in enumerate(values)))
    assert [int(line.split(b",")[3]) for line in _csv(db, "SELECT i FROM m")] == values
    assert [row[1] for row in db.rows("SELECT i FROM m")] == values
    assert [row[1] for row in db.select("SELECT i FROM m", "json").rows] == values


def test_booleans(db: Database) -> None:
    """Booleans are `true` and `false` in CSV."""
    db.put("m b=t 1", "m b=F 2")
    assert _csv(db, "SELECT b FROM m") == [b"m,,1,true", b"m,,2,false"]
    assert db.rows("SELECT b FROM m") == [[1, True], [2, False]]


def test_stray_bytes(db: Database) -> None:
    """Bytes that are not UTF-8 are raw in CSV and msgpack, and U+FFFD in JSON."""
    db.put(b'm,t=\xff s="\xc3(" 1')
    query = 'SELECT "s"::field, "t"::tag FROM m'
    assert _csv(db, query) == [b"m,,1,\xc3(,\xff"]
    assert db.select(query).body.count(b"\xc3(") == db.select(query).body.count(b"\xa1\xff") == 1
    assert b'"\\ufffd(","\\ufffd"' in _json(db, query)


def test_stray_bytes_in_quotes(db: Database) -> None:
    """In a text that has to stand in quotes they are raw in CSV too, or U+FFFD in servers built with Go before
    1.13.
    """
    db.put(b'm s="a,\xff" 1')
    assert _csv(db, "SELECT s FROM m") in ([b'm,,1,"a,\xff"'], [b'm,,1,"a,\xef\xbf\xbd"'])


def test_csv_quotes(db: Database) -> None:
    """In CSV a text with a comma, quote, CR, newline or leading space stands in quotes, its quotes doubled, CR
    raw.
    """
    texts = {
        "a,b": b'"a,b"',
        '"': b'""""',
        "\r": b'"\r"',
        "\n": b'"\n"',
        " x": b'" x"',
        "\\": b"\\",
        "x\t": b"x\t",
    }
    for text, expected in texts.items():
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        db.put(f'm s="{escaped}" 1')
        body = db.select("SELECT s FROM m", "csv").body
        assert body == b"name,tags,time,s\nm,,1," + expected + b"\n"


def test_csv_tables(db: Database) -> None:
    """In CSV each statement with rows is a table with a head, a blank line between them; one without is
    nothing.
    """
    db.put("m,t=x v=1 1")
    body = db.select("SELECT v FROM m; SELECT v FROM none; SHOW TAG KEYS; SHOW FIELD KEYS", "csv").body
    tables = b"name,tags,time,v\nm,,1,1\n\nname,tags,tagKey\nm,,t\n\nname,tags,fieldKey,fieldType\nm,,v,float\n"
    assert body == tables


def test_csv_chunks(db: Database) -> None:
    """In CSV the chunks of one statement follow one another without a mark."""
    db.put(*(f"m v={i} {i}" for i in range(10)))
    body = db.select("SELECT v FROM m", "csv", chunk_size=3).body
    assert body.splitlines() == [b"name,tags,time,v", *(b"m,,%d,%d" % (i, i) for i in range(10))]


def test_times(db: Database) -> None:
    """`epoch=ns` gives integer nanoseconds; without it msgpack has times of an extension type."""
    db.put("m v=1 1700000000123456789")
    assert db.rows("SELECT v FROM m") == [[1700000000123456789, 1.0]]
    answer = db.request(
        "POST", "/query", {"db": db.name}, {"q": "SELECT v FROM m"}, {"Accept": "application/x-msgpack"}
    )
    [[time, _]] = answer.rows
    assert isinstance(time, msgpack.ExtType)


def test_chunk_size_of_the_server(db: Database) -> None:
    """Without `chunk_size` a chunk has 10,000 rows."""
    db.put(*(f"m v={i} {i}" for i in range(10_001)))
    assert [len(r["series"][0]["values"]) for r in db.select("SELECT v FROM m").results] == [10_000, 1]


def test_unsigned_integers(db: Database, outcome: str) -> None:
    """An unsigned integer, `1u`; where it is kept, its type is `unsigned` and msgpack has it as an integer."""
    answer = db.send("m u=18446744073709551615u 1")
    if answer.status == 204:
        assert db.rows("SHOW FIELD KEYS") == [["u", "unsigned"]]
        assert db.rows("SELECT u FROM m") == [[1, 18446744073709551615]]
        assert _csv(db, "SELECT u FROM m") == [b"m,,1,18446744073709551615"]
    else:
        assert answer.error.endswith("invalid number")
    assert {204: "kept", 400: "refused: invalid number"}[answer.status] == outcome
