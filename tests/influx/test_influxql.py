"""InfluxQL text: every name arrives at the server as it is, and every statement says what it should."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basics.text import printable
from influx import influxql
from influx.influxql import Among, Location, Policy, Share

REPRODUCIBLE = settings(derandomize=True, database=None, deadline=None, max_examples=150)

HOUR = 3_600_000_000_000
WEEK = 168 * HOUR
CPU = Location("telegraf", "autogen", "cpu")
OF_CPU = 'FROM "telegraf"."autogen"."cpu" WHERE time >= 1 AND time < 2'
NASTY = Location('d"b', "r\\p", "a\nb c,d=e/f'g")
SPECIAL = "\\\"'\n\r\0\t,;= /.*+?()[]{}|^$-_aZ09é🚀\u2028\ufffd\udcff\udc80"
NAMES = st.text(st.one_of(st.sampled_from(SPECIAL), st.characters(exclude_categories=["Cs"])), max_size=8)


def scan_identifier(text: str) -> str:
    """What InfluxQL's scanner reads from a quoted identifier; it knows four escapes and no raw newline."""
    assert text[0] == '"'
    name, rest = "", text[1:]
    while not rest.startswith('"'):
        if rest[0] == "\\":
            name += {"n": "\n", "\\": "\\", '"': '"', "'": "'"}[rest[1]]
            rest = rest[2:]
        else:
            assert rest[0] not in "\n\r\0", "the scanner stops here"
            name += rest[0]
            rest = rest[1:]
    assert rest == '"', "the identifier ended early"
    return name


def go_matches(regex: str, name: str) -> bool:
    """Whether the InfluxQL regex matches a name as Go sees it: each stray byte is U+FFFD, `$` is the very end."""
    assert regex.startswith("/")
    assert regex.endswith("$/")
    assert "/" not in regex[1:-1], "the literal would end early"
    python = re.sub(r"\\x\{([0-9A-F]+)\}", lambda m: f"\\U{int(m[1], 16):08x}", regex[1:-2])
    return re.search(python + r"\Z", re.sub("[\ud800-\udfff]", "\ufffd", name)) is not None


def influx_duration(text: str) -> int:
    """Nanoseconds of an InfluxQL duration literal, such as `7d`, `90m` or `1h1ms`."""
    units = {"ns": 1, "u": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": HOUR, "d": 24 * HOUR, "w": WEEK}
    parts = re.findall(r"(\d+)(ns|u|ms|s|m|h|d|w)", text)
    assert "".join(n + u for n, u in parts) == text
    return sum(int(n) * units[u] for n, u in parts)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("cpu", '"cpu"'),
        ("", '""'),
        ('di"sk', r'"di\"sk"'),
        ('"', r'"\""'),
        ("a\\b", r'"a\\b"'),
        ("\\", r'"\\"'),
        ('\\"', r'"\\\""'),
        ("a\nb", r'"a\nb"'),
        ("a\\nb", r'"a\\nb"'),
        ("a\\\nb", r'"a\\\nb"'),
        ("it's", '"it\'s"'),
        ("a.b c,d=e;--f", '"a.b c,d=e;--f"'),
        ("tab\t", '"tab\t"'),
        ("Zürich 🚀", '"Zürich 🚀"'),
        ('"; DROP DATABASE "x', r'"\"; DROP DATABASE \"x"'),
    ],
)
def test_a_quoted_name_is_escaped_as_the_scanner_reads_it(name: str, quoted: str) -> None:
    """Backslash, double quote and newline get a backslash, and nothing else changes."""
    assert influxql.quote(name) == quoted


@given(NAMES.filter(influxql.is_quotable))
@REPRODUCIBLE
def test_the_scanner_reads_back_every_quotable_name(name: str) -> None:
    """No name can end its quotes early or come out as another name."""
    assert scan_identifier(influxql.quote(name)) == name


@pytest.mark.parametrize("name", ["a\rb", "\r", "a\0", "\0", "a\udcffb", "\udc80", "ok\r\n"])
def test_a_name_that_quotes_cannot_hold_is_found(name: str) -> None:
    """CR, NUL and stray bytes cannot be quoted."""
    assert not influxql.is_quotable(name)


@pytest.mark.parametrize("name", ["", "a b", "\n", "\t", "\x01", "\x7f", "\\", '"', "é", "🚀", "\ufffd", "\ue000"])
def test_a_name_that_looks_difficult_but_can_be_quoted_is_quoted(name: str) -> None:
    """Every other character fits between quotes, so that its column keeps its `::kind`."""
    assert influxql.is_quotable(name)


@pytest.mark.parametrize(
    ("name", "regex"),
    [
        ("a\rb", r"/^(?s:a\x{D}b)$/"),
        ("\0", r"/^(?s:\x{0})$/"),
        ("a\udcffb", r"/^(?s:a\x{FFFD}b)$/"),
        ("a/b\r", r"/^(?s:a\x{2F}b\x{D})$/"),
        ("_x\n", r"/^(?s:\x{5F}x\x{A})$/"),
        (".*\r", r"/^(?s:\x{2E}\x{2A}\x{D})$/"),
        ("é🚀\r", r"/^(?s:\x{E9}\x{1F680}\x{D})$/"),
        ("²\r", r"/^(?s:\x{B2}\x{D})$/"),
    ],
)
def test_an_exact_regex_names_every_special_character_by_its_code(name: str, regex: str) -> None:
    """Only ASCII letters and digits stand for themselves."""
    assert influxql.exact_regex(name) == regex


@given(NAMES, NAMES)
@REPRODUCIBLE
def test_an_exact_regex_matches_its_own_name_and_no_other(name: str, other: str) -> None:
    """Not a longer name, not a shorter one, not one that the name would match were it a pattern."""
    regex = influxql.exact_regex(name)
    assert go_matches(regex, name)
    as_go = re.sub("[\ud800-\udfff]", "\ufffd", name)
    for different in (other, name + "\n", name + "a", "a" + name, "\n" + name, name[:-1], name.swapcase(), ""):
        if re.sub("[\ud800-\udfff]", "\ufffd", different) != as_go:
            assert not go_matches(regex, different)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cpu", "cpu"),
        ("a b", "a b"),
        ("a\nb", r"a\nb"),
        ("a\r\n\t", r"a\r\n\t"),
        ("\0", r"\x00"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x7f\x85", r"\x7f\x85"),
        ("\u2028", r"\u2028"),
        ("\u202etxt", r"\u202etxt"),
        ("\udcff", r"\udcff"),
        ("Zürich 🚀", "Zürich 🚀"),
        ("", ""),
    ],
)
def test_a_name_in_a_message_is_one_line_of_plain_text(name: str, text: str) -> None:
    """Control characters are spelled out; letters of any language stay."""
    assert printable(name) == text


@given(st.text(st.characters(), max_size=10))
@REPRODUCIBLE
def test_no_name_can_break_a_message(name: str) -> None:
    """Whatever the name, the message has no control character, one line, and can be encoded."""
    text = printable(name)
    assert text.isprintable()
    assert len(text.splitlines()) <= 1
    text.encode("utf-8")


def test_a_location_is_named_by_its_three_parts() -> None:
    """Messages say database, policy and measurement."""
    assert str(Location("telegraf", "autogen", "c\npu")) == r"telegraf.autogen.c\npu"


# ---------------------------------------------------------------- SELECT


def test_points_are_selected_by_name_and_kind_in_a_half_open_range() -> None:
    """Fields first, then tags, so that a tag and a field of one name both come back."""
    assert influxql.select_points(CPU, ["usage", "host"], ["host", "region"], -5, 10, 100) == (
        'SELECT "usage"::field, "host"::field, "host"::tag, "region"::tag FROM "telegraf"."autogen"."cpu" '
        "WHERE time >= -5 AND time < 10 LIMIT 100"
    )


def test_points_without_tags_are_selected_by_their_fields_alone() -> None:
    """No empty column is left behind."""
    assert influxql.select_points(CPU, ["v"], [], -9223372036854775806, 9223372036854775807, 2) == (
        'SELECT "v"::field FROM "telegraf"."autogen"."cpu" '
        "WHERE time >= -9223372036854775806 AND time < 9223372036854775807 LIMIT 2"
    )


def test_nasty_names_are_quoted_in_every_place_of_a_select() -> None:
    """Database, policy, measurement, field and tag are all escaped."""
    assert influxql.select_points(NASTY, ['f"'], ["t\\"], 0, 1, 1) == (
        r"""SELECT "f\""::field, "t\\"::tag FROM "d\"b"."r\\p"."a\nb c,d=e/f'g" """
        "WHERE time >= 0 AND time < 1 LIMIT 1"
    )


def test_names_that_cannot_be_quoted_are_selected_by_a_regex_without_a_kind() -> None:
    """A regex takes no `::field`."""
    location = Location("d", "p", "m\r")
    assert influxql.select_points(location, ["f\0", "g"], ["t\udcff"], 0, 1, 1) == (
        r'SELECT /^(?s:f\x{0})$/, "g"::field, /^(?s:t\x{FFFD})$/ FROM "d"."p"./^(?s:m\x{D})$/ '
        "WHERE time >= 0 AND time < 1 LIMIT 1"
    )


@pytest.mark.parametrize("name", ["_series", "_fieldKeys", "_tagKeys", "_tags", "_measurements", "_mine"])
def test_a_measurement_that_looks_like_a_system_name_is_read_by_a_regex(name: str) -> None:
    """In quotes the server takes it for a system source and refuses it."""
    expected = f'FROM "d"."p"./^(?s:\\x{{5F}}{name[1:]})$/ WHERE'
    assert expected in influxql.select_points(Location("d", "p", name), ["f"], [], 0, 1, 1)


def test_windows_average_numbers_and_take_the_last_of_the_rest() -> None:
    """One row per window and series, windows without data left out."""
    assert influxql.select_windows(CPU, ['a"'], ["s"], 0, 600, 300) == (
        r'SELECT mean("a\""::float), last("s"::field) FROM "telegraf"."autogen"."cpu" '
        "WHERE time >= 0 AND time < 600 GROUP BY time(300ns), * fill(none)"
    )


def test_windows_of_text_alone_have_no_mean() -> None:
    """A measurement without numbers is downsampled too."""
    text = influxql.select_windows(CPU, [], ["s"], 0, 600, 300)
    assert text.startswith('SELECT last("s"::field) FROM ')


@pytest.mark.parametrize(
    ("edge", "field", "type_", "column"),
    [
        ("first", "f", "float", 'first("f"::float)'),
        ("last", 'f"', "string", r'last("f\""::string)'),
        ("last", "f\r", "integer", r"last(/^(?s:f\x{D})$/)"),
    ],
)
def test_an_edge_is_asked_for_one_field_of_one_type(edge: str, field: str, type_: str, column: str) -> None:
    """The cast keeps each type's shards apart."""
    assert influxql.select_edge(edge, CPU, field, type_, 1, 2) == f"SELECT {column} {OF_CPU}"


def test_one_point_is_asked_for_by_its_tags() -> None:
    """Values are string literals; what no quotes can hold is left out."""
    tags = {"host": "it's \\ here", "line": "a\nb", "bad": "x\udcff", "cr\r": "v"}
    assert influxql.select_point(CPU, tags, "f", "float", 7) == (
        'SELECT count("f"::float) FROM "telegraf"."autogen"."cpu" WHERE time >= 7 AND time < 8 '
        r"""AND "host"::tag = 'it\'s \\ here' AND "line"::tag = 'a\nb' GROUP BY *"""
    )
    plain = influxql.select_point(CPU, {"host": "a"}, "f", "float", 7)
    assert plain.endswith("""AND "host"::tag = 'a'""")


def test_a_tag_that_is_named_like_the_time_is_in_no_condition() -> None:
    """The server would take it for the time, whatever its case; so the series are told apart by their tags."""
    for name in ("time", "Time", "TIME", "tImE", "TİME"):
        query = influxql.select_point(CPU, {"host": "a", name: "x"}, "f", "float", 7)
        assert query.endswith("""AND "host"::tag = 'a' GROUP BY *""")
        assert not influxql.is_comparable(name)
    assert all(map(influxql.is_comparable, ("times", "ti me", "select")))


def test_one_value_is_enough_to_see_a_type() -> None:
    """The type probe has a limit and no cast."""
    assert influxql.select_type(CPU, "f", 1, 2) == (
        'SELECT "f"::field FROM "telegraf"."autogen"."cpu" WHERE time >= 1 AND time < 2 LIMIT 1'
    )


@pytest.mark.parametrize(("field", "column"), [("f", '"f"::float'), ("f\udcff", r"/^(?s:f\x{FFFD})$/")])
def test_values_are_counted_for_a_field_of_any_name(field: str, column: str) -> None:
    """Also for the names that the tool refuses to copy: those are the ones that are counted."""
    assert influxql.select_counts(CPU, [(field, "float")], 1, 2) == f"SELECT count({column}) {OF_CPU}"


def test_values_are_counted_by_kinds() -> None:
    """Several fields, each once for each kind of its types; by series with the sums of the numbers."""
    assert influxql.kinds(("integer", "float", "string", "boolean")) == ("float", "string", "boolean")
    columns = [("f", "float"), ("f", "string")]
    assert influxql.select_counts(CPU, columns, 1, 2) == f'SELECT count("f"::float), count("f"::string) {OF_CPU}'
    assert influxql.select_totals(CPU, columns, columns[:1], ["f"], Among(1, 2)) == (
        f'SELECT count("f"::float), count("f"::string), sum("f"::float), first("f"::field) {OF_CPU} GROUP BY *'
    )


def test_the_first_row_and_the_times_of_each_series_are_asked_for() -> None:
    """Without series whose values of a tag cannot be kept."""
    assert influxql.select_first_rows(CPU, ["f", "g"], Among(1, 2)) == (
        f'SELECT "f"::field, "g"::field {OF_CPU} GROUP BY * LIMIT 1'
    )
    without = influxql.select_first_rows(CPU, ["f"], Among(1, 2, ("t",)))
    assert without.startswith(f'SELECT "f"::field {OF_CPU} AND "t"::tag !~ /')
    shares = (Share("t", "ab", 3), Share("u", "1", 0, is_rest=True))
    assert influxql.select_first_rows(CPU, ["f"], Among(1, 2, shares=shares)) == (
        f'SELECT "f"::field {OF_CPU} AND "t"::tag =~ /[ab](?s:.{{3}})$/ AND "u"::tag !~ /[1](?s:.{{0}})$/ '
        "GROUP BY * LIMIT 1"
    )
    between = f'SELECT elapsed("f"::float, 1ns) AS x {OF_CPU} GROUP BY *'
    since = "SELECT cumulative_sum(x) AS y FROM (" + between + ") GROUP BY *"
    assert influxql.select_moments(CPU, "f", "float", Among(1, 2)) == (
        "SELECT sum(z) FROM (SELECT y * y AS z FROM (" + since + ") GROUP BY *) GROUP BY *"
    )


@pytest.mark.parametrize(
    ("value", "is_in"),
    [("xa12", True), ("a12", True), ("xb12", True), ("xc12", False), ("12", False), ("a1", False), ("aa", False)],
)
def test_a_share_holds_series_by_a_character_of_a_tag(value: str, is_in: bool) -> None:
    """So many others come after it; all other series are in the rest, those without the tag as well."""
    share, rest = Share("t", "ab", 2), Share("t", "ab", 2, is_rest=True)
    assert (share.holds({"t": value, "u": "a"}), rest.holds({"t": value, "u": "a"})) == (is_in, not is_in)
    assert (share.holds({"u": "a12"}), rest.holds({})) == (False, True)


def test_durations_are_written_in_whole_seconds_or_in_nanoseconds() -> None:
    """As CREATE statements accept them; none is rounded."""
    assert [influxql.go_duration(ns) for ns in (0, HOUR, 10**9 + 1, 10**9 - 1)] == [
        "0s", "3600s", "1000000001ns", "999999999ns",
    ]  # fmt: skip


# ---------------------------------------------------------------- databases and policies


def test_a_database_is_created_plainly_or_with_its_default_policy() -> None:
    """With a policy, the server does not make its own `autogen` the default."""
    assert influxql.create_database('a"b') == r'CREATE DATABASE "a\"b"'
    policy = Policy('r"p', 720 * HOUR, 24 * HOUR, is_default=True)
    assert influxql.create_database("db", policy) == (
        r'CREATE DATABASE "db" WITH DURATION 2592000s REPLICATION 1 SHARD DURATION 86400s NAME "r\"p"'
    )


@pytest.mark.parametrize(
    ("here", "there", "less"),
    [
        (0, 0, False),
        (0, HOUR, False),
        (HOUR, 0, True),
        (HOUR, 2 * HOUR, True),
        (2 * HOUR, 2 * HOUR, False),
        (3 * HOUR, 2 * HOUR, False),
    ],
)
def test_a_policy_keeps_less_when_it_forgets_sooner(here: int, there: int, less: bool) -> None:
    """A duration of 0 is for ever, which nothing exceeds."""
    policy, other = Policy("a", here, HOUR, is_default=False), Policy("b", there, HOUR, is_default=False)
    assert policy.keeps_less_than(other) is less


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0s", 0),
        ("1s", 10**9),
        ("1m0s", 60 * 10**9),
        ("1h0m0s", HOUR),
        ("168h0m0s", WEEK),
        ("2h30m15s", 2 * HOUR + 30 * 60 * 10**9 + 15 * 10**9),
        ("1747200h0m0s", 1_747_200 * HOUR),
    ],
)
def test_a_duration_is_read_as_the_server_prints_it(text: str, nanoseconds: int) -> None:
    """Hours, minutes and seconds; hours may be many."""
    assert influxql.parse_go_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1h0m0.001s", HOUR + 10**6),
        ("1h0m0.000000001s", HOUR + 1),
        ("500ms", 5 * 10**8),
        ("1.5µs", 1500),
        ("3ns", 3),
    ],
)
def test_a_fraction_of_a_second_is_read_as_the_server_prints_it(text: str, nanoseconds: int) -> None:
    """`CREATE RETENTION POLICY ... DURATION 3600001ms` is legal, and shown with decimals."""
    assert influxql.parse_go_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "s", "h1", "5", "1h5", "-1h", "+1h", " 1h", "1h ", "1H", "INF", "1d", "1w", "1hh", "²s", "1..5s"]
)
def test_a_text_that_is_no_duration_is_an_error(text: str) -> None:
    """A policy that cannot be understood is never taken for another one."""
    with pytest.raises(ValueError, match=r"duration|invalid literal"):
        influxql.parse_go_duration(text)
