"""Names: how queries and line protocol spell them, and which ones InfluxDB accepts but cannot keep."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.facts.harness import Database, choice
from tests.support.servers import InfluxServer, quoted

ODD = "a b,c=d\"e'f\\g\th/i.j;k\u00e4\U0001f600(*)--"
"""A name with everything that means something somewhere, but no newline."""


def _measurement(name: str) -> str:
    return name.replace(",", "\\,").replace(" ", "\\ ")


def _tag(text: str) -> str:
    return _measurement(text).replace("=", "\\=")


def _field(name: str) -> str:
    return _tag(name).replace('"', '\\"')


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# ---------------------------------------------------------------- line protocol


def test_measurement_escapes(db: Database) -> None:
    """In a measurement `,` and space have a backslash before them, and nothing else, not `=`, not quotes."""
    for name in ("a,b c", "a=b", '"quoted"', "it's", "a\\b", "\u00e4\t1", "select"):
        db.put(f"{_measurement(name)} v=1 1")
        assert name in db.names("SHOW MEASUREMENTS")
        assert db.rows(f"SELECT v FROM {quoted(name)}") == [[1, 1.0]]


def test_tag_escapes(db: Database) -> None:
    """In tag keys and values `,`, space and `=` have a backslash before them; backslashes are never doubled."""
    texts = ("a,b c=d", '"quoted"', "a\\b", "C:\\\\server\\share", "\u00e4\t1", "from", "{}", "a\\xb")
    for i, text in enumerate(texts):
        db.put(f"m,{_tag(text)}={_tag(text)} v=1 {i}")
        assert db.rows(f"SELECT v, {quoted(text)}::tag FROM m WHERE time = {i}") == [[i, 1.0, text]]


def test_field_escapes(db: Database) -> None:
    """In field keys `,`, space, `=` and `"` have a backslash before them, and backslashes are never doubled."""
    for i, name in enumerate(("a,b c=d", 'a"b', "a\\b", "\u00e4\t1", "group", "1")):
        db.put(f"m {_field(name)}={i} {i}")
        assert name in db.names("SHOW FIELD KEYS")
        assert db.rows(f"SELECT {quoted(name)}::field FROM m WHERE time = {i}") == [[i, float(i)]]


def test_string_escapes(db: Database) -> None:
    """In strings backslash and quote have a backslash before them; newlines and all other bytes are raw."""
    texts = [
        "",
        "\\",
        '"',
        '\\"',
        "a\nb",
        "\r\n",
        "\\n",
        "a,b=c d",
        "\0\x01\x7f",
        "\u00e4\U0001f600",
        "x" * 100_000,
    ]
    db.put(*(f"m s={_string(text)} {i}" for i, text in enumerate(texts)), b'm s="\xff\xc3(" 99')
    assert [row[1] for row in db.rows("SELECT s FROM m")] == [*texts, "\udcff\udcc3("]


def test_long_strings(db: Database, outcome: str) -> None:
    """A string of ten megabytes."""
    answer = db.send(f'm s="{"x" * 10_000_000}" 1')
    kept = [len(row[1]) for row in db.rows("SELECT s FROM m")] == [10_000_000]
    refused = answer.status == 400 and 'input field "s" on measurement "m" is too long' in answer.error
    assert choice({"kept": kept, "refused, more than 1048576": refused}.items()) == outcome
    db.put(f'm s="{"x" * 1_048_576}" 1')


def test_random_points(db: Database) -> None:
    """By these rules random names and values come back as they were: 150 points of awkward characters."""
    rng = random.Random(6)

    def text(characters: str) -> str:
        return "".join(rng.choice(characters) for _ in range(rng.randint(1, 6))) + "x"

    expected = {}
    for time in range(150):
        tag, value, field, string = (text('ab, ="\\\u00e4\r') for _ in range(4))
        if any("\\" + c in tag + field for c in ', ="') or "\r" in tag + field:
            tag, field = "plain", "simple"
        line = f"m,{_tag(tag)}={_tag(value)} {_field(field)}={_string(string)} {time}"
        db.put(line)
        rows = db.rows(f"SELECT {quoted(field)}::field, {quoted(tag)}::tag FROM m WHERE time = {time}")
        expected[line] = (rows, [[time, string, value]])
    assert [line for line, (found, right) in expected.items() if found != right] == []


def test_empty_tags(db: Database) -> None:
    """A tag whose value is empty is refused: 400 `missing tag value`."""
    answer = db.send("m,t= v=1 1")
    assert (answer.status, "missing tag value" in answer.error) == (400, True)


def test_tag_order(db: Database) -> None:
    """The order of tags in a line does not matter: it is the same point."""
    db.put("m,a=1,b=2 v=1 1", "m,b=2,a=1 v=2 1")
    assert db.rows("SELECT v FROM m") == [[1, 2.0]]


# ---------------------------------------------------------------- names in queries


def test_quotes(db: Database) -> None:
    """In a quoted name backslash, quote and newline have a backslash before them; other characters stand for
    themselves.
    """
    name = ODD + "\\\nz"
    db.put(f"{_measurement(ODD)},{_tag(ODD)}=x {_field(ODD)}=1 1")
    query = (
        f"SELECT {quoted(ODD)}::field, {quoted(ODD)}::tag FROM {quoted(db.name)}.{quoted('autogen')}.{quoted(ODD)}"
    )
    assert db.rows(query) == [[1, 1.0, "x"]]
    db.put(f"m,t={_tag(name)} v=1 1")
    assert db.rows("SELECT v, t FROM m") == [[1, 1.0, name]]


@pytest.mark.parametrize("byte", ["\r", "\0", "\udcff"], ids=["CR", "NUL", "0xFF"])
def test_unquotable_names(byte: str, db: Database) -> None:
    r"""Names with CR, NUL or bytes that are not UTF-8 cannot be quoted; an anchored regex with `\x{D}`, `\x{FFFD}`
    finds them.
    """
    code = "FFFD" if byte == "\udcff" else f"{ord(byte):X}"
    name, regex = f"a{byte}b", f"/^(?s:a\\x{{{code}}}b)$/"
    measurement = "m" if byte == "\udcff" else name
    db.put(f"{measurement},{name}=x v=1 1", "other,t=y v=2 1")
    found = db.select(f"SELECT {regex}, v FROM {regex if measurement == name else 'm'}")
    assert found.columns == ["time", name, "v"]
    assert found.rows == [[1, "x", 1.0]]
    if measurement == name:
        spelled = f'SELECT v FROM "{name}"'
        assert db.ask(spelled, db=db.name).status == 400 or db.select(spelled).rows == []


def test_stray_bytes_in_regexes(db: Database) -> None:
    r"""A regex sees each byte that is not UTF-8 as U+FFFD: two names that differ in it alone match both."""
    db.put("m,a\udcffb=1,a\udcfeb=2 v=1 1")
    assert len(db.select(r"SELECT v, /^(?s:a\x{FFFD}b)$/ FROM m").columns) == 4


def test_regex_columns(db: Database) -> None:
    """A column named by a regex takes no `::field`, selects tags and fields alike, and is missing where there is
    none.
    """
    db.put("m,ab=x v=1 1")
    assert db.ask("SELECT /^ab$/::tag FROM m", db=db.name).status == 400
    assert db.select("SELECT /^ab$/, v FROM m").columns == ["time", "ab", "v"]
    assert db.select("SELECT /^none$/, v FROM m").columns == ["time", "v"]


def test_regex_counts(db: Database) -> None:
    """`count(/regex/)` counts a field that the regex names, as a column `count_NAME`."""
    db.put("m a\rb=1 1", "m a\rb=2 2")
    answer = db.select(r"SELECT count(/^(?s:a\x{D}b)$/) FROM m")
    assert (answer.columns, answer.rows) == (["time", "count_a\rb"], [[0, 2]])


def test_system_measurements(db: Database) -> None:
    """Measurements `_series _fieldKeys _tagKeys _tags _measurements` are written, and cannot be read by their
    names.
    """
    for name in ("_series", "_fieldKeys", "_tagKeys", "_tags", "_measurements"):
        db.put(f"{name} v=1 1")
        answer = db.ask(f'SELECT v FROM "{db.name}"."autogen"."{name}"', db=db.name)
        assert [1, 1.0] not in ([] if answer.status != 200 else answer.rows)


def test_underscores(db: Database) -> None:
    """Other measurements that begin with `_` are read by a regex."""
    db.put("_own v=1 1")
    assert db.rows(rf'SELECT v FROM "{db.name}"."autogen"./^(?s:\x{{5F}}own)$/') == [[1, 1.0]]


def test_system_fields(db: Database) -> None:
    """Fields `_name _tagKey _tagValue _seriesKey _fieldKey` give no value."""
    for i, name in enumerate(("_name", "_tagKey", "_tagValue", "_seriesKey", "_fieldKey")):
        db.put(f"m {name}=1 {i}")
        assert [i, 1.0] not in db.rows(f'SELECT "{name}"::field FROM m')


# ---------------------------------------------------------------- names in conditions

KEYWORDS = [
    "all",
    "alter",
    "analyze",
    "and",
    "any",
    "as",
    "asc",
    "begin",
    "by",
    "cardinality",
    "create",
    "continuous",
    "database",
    "databases",
    "default",
    "delete",
    "desc",
    "destinations",
    "diagnostics",
    "distinct",
    "drop",
    "duration",
    "end",
    "every",
    "exact",
    "explain",
    "false",
    "field",
    "fill",
    "for",
    "from",
    "grant",
    "grants",
    "group",
    "groups",
    "in",
    "inf",
    "insert",
    "into",
    "key",
    "keys",
    "kill",
    "limit",
    "measurement",
    "measurements",
    "name",
    "now",
    "offset",
    "on",
    "or",
    "order",
    "password",
    "policies",
    "policy",
    "privileges",
    "queries",
    "query",
    "read",
    "replication",
    "resample",
    "retention",
    "revoke",
    "select",
    "series",
    "set",
    "shard",
    "shards",
    "show",
    "slimit",
    "soffset",
    "stats",
    "subscription",
    "subscriptions",
    "tag",
    "true",
    "to",
    "user",
    "users",
    "values",
    "where",
    "with",
    "write",
    "_time",
    "_field",
    "_measurement",
]

TIMES = ("Time", "TIME", "tIME", "tImE")


def _cases(word: str) -> list[str]:
    return [word, word.upper(), word.title(), word[:-1] + word[-1].upper()]


def _count(db: Database, condition: str) -> list[list[Any]]:
    table = f'"{db.name}"."autogen"."m"'
    return db.rows(f'SELECT count("v"::float) FROM {table} WHERE time >= 5 AND time < 6 AND {condition}')


def test_keywords(db: Database) -> None:
    """Tags and fields may be called like any keyword, in capitals and small letters: quoted they are found, in
    conditions too.
    """
    names = sorted({name for word in KEYWORDS for name in _cases(word)})
    db.put(*(f"m,{name}={value} v=1 5" for name in names for value in ("x", "y")))
    db.put(*(f"f {name}=1 5" for name in (*names, *TIMES)))
    for name in names:
        assert _count(db, f"{quoted(name)}::tag = 'x'") == [[5, 1]], name
    for name in (*names, *TIMES):
        assert db.rows(f'SELECT count("{name}"::float) FROM f WHERE time >= 5 AND time < 6') == [[5, 1]], name


@pytest.mark.parametrize("name", TIMES)
def test_time_in_conditions(name: str, db: Database) -> None:
    """A tag called `Time` or `TIME`, in any letters, cannot stand in a condition, however it is spelled: `invalid
    operation: time and *influxql.StringLiteral are not compatible`; nor behind GROUP BY; SELECT gives it.
    """
    db.put(f"m,{name}=x v=1 5", f"m,{name}=y v=1 5")
    for condition in (
        f"""{name} = 'x'""",
        f""""{name}" = 'x'""",
        f""""{name}"::tag = 'x'""",
        f"""'x' = "{name}"::tag""",
        f""""{name}"::tag != 'y'""",
        f""""{name}"::tag =~ /^x$/""",
        f""""{name}"::string = 'x'""",
    ):
        for query in (
            f"SELECT v FROM m WHERE {condition}",
            f"SHOW SERIES FROM m WHERE {condition}",
            f'SHOW TAG VALUES FROM m WITH KEY = "{name}" WHERE {condition}',
        ):
            assert "invalid operation: time and" in db.select(query).error, query
    assert _count(db, f""""m"."{name}" = 'x'""") == []
    assert "time() is a function" in db.select(f'SELECT count(v) FROM m GROUP BY "{name}"').error
    assert db.rows(f'SELECT v, "{name}"::tag FROM m') == [[5, 1.0, "x"], [5, 1.0, "y"]]
    assert db.rows(f'SHOW TAG VALUES FROM m WITH KEY = "{name}"') == [[name, "x"], [name, "y"]]


def test_name_in_conditions(db: Database) -> None:
    """A tag called `_name` in a condition is silently taken for the name of the measurement."""
    db.put("m,_name=x v=1 5", "m,_name=y v=1 5")
    assert _count(db, """"_name"::tag = 'x'""") == []
    assert _count(db, """"_name"::tag = 'm'""") == [[5, 2]]
    assert db.rows('SELECT v, "_name"::tag FROM m') == [[5, 1.0, "x"], [5, 1.0, "y"]]


@pytest.mark.parametrize("name", [*TIMES, "_name", "select", ODD])
def test_renamed_tags(name: str, db: Database) -> None:
    """Every tag that quotes can hold can stand in a condition under another name: `SELECT count(f) FROM (SELECT
    "v"::float AS f, "Time"::tag AS t FROM m WHERE time >= 5 AND time < 6 AND ...) WHERE t = 'x'`, for fields of
    every type.
    """
    key, last = _tag(name), 2**63 - 2
    db.put(
        f"m,{key}=x,a=1 v=1 5", f"m,{key}=y,a=1 v=1 5", f"m,{key}=x v=1 5", f"m,{key}=x,a=1 v=1 6", "m,a=1 v=1 5"
    )
    db.put(f'm,{key}=x,a=1 i=1i,s="",b=true 5', f"m,{key}=z,a=1 v=1 {last}", f"m,{key}=z,a=1 v=1 {-last}")

    def count(field: str, type_: str, value: str, time: int) -> list[int]:
        where = f"WHERE time >= {time} AND time < {time + 1}"
        inner = f"""SELECT "{field}"::{type_} AS f, {quoted(name)}::tag AS t FROM m {where} AND "a"::tag = '1'"""
        return [row[1] for row in db.rows(f"SELECT count(f) FROM ({inner}) {where} AND t = '{value}'")]

    for field, type_ in (("v", "float"), ("i", "integer"), ("s", "string"), ("b", "boolean")):
        assert count(field, type_, "x", 5) == [1]
    assert count("v", "float", "none", 5) == count("none", "float", "x", 5) == []
    assert count("v", "float", "z", last) == [1]
    assert count("v", "float", "z", -last) == [1]


def test_series_of_a_point(db: Database) -> None:
    """GROUP BY * at one time gives each series that has a point there with all its tags, whatever their names,
    those too that no condition can name.
    """
    tags = {"Time": "x", "_name": "y", "a\rb": "\udcff", "select": "z"}
    line = ",".join(f"{key}={value}" for key, value in tags.items())
    db.put(f"m,{line} v=1 5", f"m,{line},a=b v=1 5", f"m,{line} w=1 5", f"m,{line},c=d v=1 6")
    found = db.select('SELECT count("v"::float) FROM m WHERE time >= 5 AND time < 6 GROUP BY *').series
    expected = [tags, {**tags, "a": "b"}]
    series = [{key: value for key, value in one["tags"].items() if value} for one in found]
    assert sorted(series, key=len) == expected


def test_field_keys_that_begin_with_a_tab_or_nul(db: Database) -> None:
    """In front of a line's fields tabs and NULs are skipped; a field key that begins with one is kept behind
    another field.
    """
    db.put(b"m b=1,\ta=2 10", b"m b=1,\0c=3 20", b"m \td=4 30")
    assert db.names("SHOW FIELD KEYS") == ["\0c", "\ta", "b", "d"]
    assert db.rows('SELECT "\ta"::field FROM m') == [[10, 2]]


# ---------------------------------------------------------------- names that are accepted and not kept

STRAY = "is not UTF-8"

NAMES = {
    "ends in a backslash": "a\\",
    "a lonely newline": "a\nb",
    "a newline after two backslashes": "a\\\\\nb",
    "starts with #": "#a",
    "starts with a tab": "\ta",
    "starts with NUL": "\0a",
    "a backslash before a comma": "a\\,b",
    "a backslash before a space": "a\\ b",
    'a backslash before "="': "a\\=b",
    "a backslash before a quote": 'a\\"b',
    "#!~#": "a#!~#b",
    "time": "time",
    STRAY: "a\udcffb",
}

MEASUREMENTS = [case for case in NAMES if case not in ("time", STRAY)]
TAGS = ["ends in a backslash", "a lonely newline", "a newline after two backslashes", "#!~#"]
FIELDS = [
    "a lonely newline",
    "a newline after two backslashes",
    "starts with a tab",
    "starts with NUL",
    "a backslash before a comma",
    "a backslash before a space",
    'a backslash before "="',
    "time",
]

Found = tuple[str, dict[str, str], dict[str, float]]
"""Measurement, tags, fields."""


class Restarted:
    """A server on which points with odd names were written, each into a database of its own, before it was
    restarted.
    """

    def __init__(self, server: InfluxServer) -> None:
        self.server = server
        self._databases: dict[str, Database] = {}

    def write(self, name: str, line: str) -> None:
        """Write the line, and a good one, into a new database."""
        self.server.create_database(name)
        database = self._databases[name] = Database(self.server, name)
        database.put("good,t=x v=1 1")
        database.send(line)

    def found(self, name: str) -> list[Found]:
        """All points of the database, but for the good one, which has to be there."""
        series = self._databases[name].select("SELECT *::field FROM /.*/ GROUP BY *").series
        found = [(s["name"], {k: v for k, v in s.get("tags", {}).items() if v}, _values(s)) for s in series]
        assert self.is_open(name) or STRAY in name
        return [point for point in found if point[0] != "good"]

    def is_open(self, name: str) -> bool:
        """Whether the good point is there."""
        return self._databases[name].rows("SELECT v FROM good") == [[1, 1.0]]


def _values(series: dict[str, Any]) -> dict[str, float]:
    [row] = series["values"]
    return {
        name: value
        for name, value in zip(series["columns"], row, strict=True)
        if value is not None and name != "time"
    }


@pytest.fixture(scope="module")
def restarted() -> Iterator[Restarted]:
    """All the names below, written and looked at after a restart: some are there until then."""
    with InfluxServer.start("names") as server:
        names = Restarted(server)
        names.write("good", "m,t=x v=1 1")
        for case in MEASUREMENTS:
            names.write(f"measurement {case}", f"{_measurement(NAMES[case])},t=x v=1 1")
        for case in TAGS:
            names.write(f"tag {case}", f"m,{_tag(NAMES[case])}=x v=1 1")
            names.write(f"value {case}", f"m,t={_tag(NAMES[case])} v=1 1")
        names.write("tag time", "m,time=x v=1 1")
        names.write(f"measurement {STRAY}", f"{NAMES[STRAY]},t=x v=1 1")
        names.write("fields behind others", "m,t=x ok=1,\ta=5,\0b=6 1")
        for case in (*FIELDS, STRAY):
            names.write(f"field {case}", f"m,t=x {_field(NAMES[case])}=1 1")
        server.restart()
        yield names


def test_good_names(restarted: Restarted) -> None:
    """After a restart, points with ordinary names are there as before."""
    assert restarted.found("good") == [("m", {"t": "x"}, {"v": 1.0})]


def test_fields_behind_others_after_a_restart(restarted: Restarted) -> None:
    """After a restart fields that start with a tab or NUL, behind another field, are there as before."""
    assert restarted.found("fields behind others") == [("m", {"t": "x"}, {"ok": 1.0, "\ta": 5.0, "\0b": 6.0})]


@pytest.mark.parametrize("case", MEASUREMENTS)
def test_lost_measurements(case: str, restarted: Restarted) -> None:
    """Not kept as they are: measurements ending in a backslash, or with a newline without exactly one backslash,
    starting with `#`, tab or NUL, with a backslash before `,` space `=` or `"`, or with `#!~#`.
    """
    assert (NAMES[case], {"t": "x"}, {"v": 1.0}) not in restarted.found(f"measurement {case}")


@pytest.mark.parametrize("case", [*TAGS, "time"])
def test_lost_tags(case: str, restarted: Restarted) -> None:
    """Not kept as they are: tag keys ending in a backslash, with a newline without exactly one backslash, `#!~#`,
    `time`.
    """
    assert ("m", {NAMES[case]: "x"}, {"v": 1.0}) not in restarted.found(f"tag {case}")


@pytest.mark.parametrize("case", TAGS)
def test_lost_tag_values(case: str, restarted: Restarted) -> None:
    """Not kept as they are: tag values ending in a backslash, with a newline without exactly one backslash, or
    `#!~#`.
    """
    assert ("m", {"t": NAMES[case]}, {"v": 1.0}) not in restarted.found(f"value {case}")


@pytest.mark.parametrize("case", FIELDS)
def test_lost_fields(case: str, restarted: Restarted) -> None:
    """Not kept as they are: fields with a newline without exactly one backslash, starting with tab or NUL, with a
    backslash before `,` space or `=`, or `time`.
    """
    assert ("m", {"t": "x"}, {NAMES[case]: 1.0}) not in restarted.found(f"field {case}")


def test_fields_behind_others(db: Database) -> None:
    """A field that starts with a tab or NUL is kept when another field stands before it in the line; as the first
    one it loses that character.
    """
    db.put("m,t=x ok=1,\ta=5,\0b=6 1", "n,t=x \ta=5 1", "o,t=x \0b=6 1")
    answer = db.select("SELECT *::field FROM m")
    assert (answer.columns, answer.rows) == (["time", "\0b", "\ta", "ok"], [[1, 6.0, 5.0, 1.0]])
    assert db.rows('SELECT "\ta"::field FROM m') == [[1, 5.0]]
    assert db.rows(r"SELECT count(/^(?s:\x{0}b)$/) FROM m") == [[0, 1]]
    assert [db.names(f"SHOW FIELD KEYS FROM {name}") for name in ("n", "o")] == [["a"], ["b"]]


def test_field_that_ends_in_a_backslash(db: Database) -> None:
    """A field key that ends in a backslash is refused: 400 `unable to parse`."""
    for key in ("a\\", "a\\\\"):
        answer = db.send(f"m,t=x {key}=1 1")
        assert (answer.status, answer.error.startswith("unable to parse")) == (400, True)


@pytest.mark.parametrize(("kind", "point"), [
    ("measurement", (NAMES[STRAY], {"t": "x"}, {"v": 1.0})),
    ("field", ("m", {"t": "x"}, {NAMES[STRAY]: 1.0})),
])  # fmt: skip
def test_stray_names(kind: str, point: Found, restarted: Restarted, outcome: str) -> None:
    """What becomes, after a restart, of a measurement or field key that is not UTF-8."""
    found = restarted.found(f"{kind} {STRAY}")
    is_open = restarted.is_open(f"{kind} {STRAY}")
    kinds = {"it is kept": is_open and found == [point], "its shard does not open": not is_open}
    assert choice(kinds.items()) == outcome


def test_kept_newlines(db: Database) -> None:
    """A newline after exactly one backslash is kept in measurements, tags and field keys."""
    name = "a\\\nb"
    db.put(f"{name},{name}={name} {name}=1 1")
    [series] = db.select("SELECT *::field FROM /.*/ GROUP BY *").series
    assert (series["name"], series["tags"], series["columns"]) == (name, {name: name}, ["time", name])


def test_lines_side_by_side(db: Database) -> None:
    """Lines with an odd number of backslashes before a separator in a name are kept, alone and beside others."""
    risky = ['m,t=a\\\\\\ b s="1" 1', 'm,t=a\\\\\\,b s="2" 2', 'm,t=a\\\\\\=b s="3" 3', 'm,t=a\\"b s="4" 4']
    for line in risky:
        db.put(line)
    rows = db.rows("SELECT s, t FROM m")
    db.rows("DROP MEASUREMENT m")
    db.put('n s="x" 1', *(part for line in risky for part in (line, 'n s="y" 2')))
    assert db.rows("SELECT s, t FROM m") == rows
    assert [[s, t] for _, s, t in rows] == [["1", "a\\\\ b"], ["2", "a\\\\,b"], ["3", "a\\\\=b"], ["4", 'a\\"b']]
    assert len(db.rows("SELECT s FROM n")) == 2
