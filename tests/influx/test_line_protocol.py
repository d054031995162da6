r"""Line protocol: what is sent is exactly what was read, and what InfluxDB cannot keep is never sent.

The judge is a parser of its own: `split_lines` finds lines as InfluxDB 1.x does (a backslash hides the byte
after it), `parse_line` takes a line apart as it does (a backslash before a separator escapes it).
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influx import frames, line_protocol, storable
from influx.frames import Frame
from influx.line_protocol import Body, Point, Value
from influx.written import Refusal, Written

REPRODUCIBLE = settings(derandomize=True, database=None, deadline=None, max_examples=120)
FIRST_TIME, LAST_TIME = -9223372036854775806, 9223372036854775806
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


# ---------------------------------------------------------------- an independent reader


@dataclass(frozen=True)
class Read:
    """A point as the server understands it; floats are their eight bytes."""

    measurement: bytes
    tags: tuple[tuple[bytes, bytes], ...]
    fields: tuple[tuple[bytes, str, int | bool | bytes], ...]
    time: int


def split_lines(body: bytes) -> list[bytes]:
    """The lines of a request body as the server's scanner finds them."""
    lines = []
    start = position = equals = commas = 0
    quoted = in_fields = False
    while position < len(body):
        byte = body[position : position + 1]
        if byte == b"\\" and position + 2 < len(body):
            position += 2
            continue
        in_fields = in_fields or byte == b" "
        if in_fields and not quoted and byte == b"=":
            equals += 1
        elif in_fields and not quoted and byte == b",":
            commas += 1
        elif in_fields and byte == b'"' and equals > commas:
            quoted = not quoted
        elif byte == b"\n" and not quoted:
            lines.append(body[start:position])
            start, equals, commas, in_fields = position + 1, 0, 0, False
        position += 1
    return [*lines, body[start:]]


def cut(line: bytes, position: int, separators: bytes) -> tuple[bytes, bytes, int]:
    """The text up to the first of the separators that has no backslash before it, which one, and what follows."""
    match = re.compile(rb"(?<!\\)[" + separators + rb"]").search(line, position)
    assert match, line
    return line[position : match.start()], match[0], match.end()


def unescape(text: bytes, escaped: bytes) -> bytes:
    """The text without the backslashes before these characters; all other backslashes stay."""
    return re.sub(rb"\\([" + escaped + rb"])", rb"\1", text)


def bits(number: float) -> bytes:
    """The float as it is stored: -0.0 is not 0.0."""
    return struct.pack(">d", number)


def parse_line(line: bytes) -> Read:
    """One line as the server reads it."""
    name, separator, position = cut(line, 0, b", ")
    tags = []
    while separator == b",":
        key, _, position = cut(line, position, b"=")
        value, separator, position = cut(line, position, b", ")
        tags.append((unescape(key, b", ="), unescape(value, b", =")))
    fields = []
    separator = b","
    while line[position : position + 1] in (b" ", b"\t", b"\0"):  # it skips them, to whichever field they belong
        position += 1
    while separator == b",":
        key, _, position = cut(line, position, b"=")
        type_, found, separator, position = parse_value(line, position)
        fields.append((unescape(key, b', ="'), type_, found))
    assert re.fullmatch(rb"-?\d+", line[position:]), line
    return Read(unescape(name, b", "), tuple(sorted(tags)), tuple(fields), int(line[position:]))


def parse_value(line: bytes, position: int) -> tuple[str, int | bool | bytes, bytes, int]:
    """A field's type and value, the separator after it, and what follows."""
    if line[position : position + 1] == b'"':
        match = re.compile(rb'"((?:\\.|[^"\\])*)"([, ])', re.DOTALL).match(line, position)
        assert match, line
        return "string", re.sub(rb'\\(["\\])', rb"\1", match[1]), match[2], match.end()
    text, separator, position = cut(line, position, b", ")
    if text in (b"true", b"false"):
        return "boolean", text == b"true", separator, position
    if text.endswith(b"i"):
        return "integer", int(text[:-1]), separator, position
    return "float", bits(float(text)), separator, position


def as_bytes(text: str) -> bytes:
    """Names travel as bytes."""
    return text.encode("utf-8", "surrogateescape")


def typed(value: Value) -> tuple[str, int | bool | bytes]:
    """What the reader should find for a value."""
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, bytes):
        return "string", value
    return ("integer", value) if isinstance(value, int) else ("float", bits(value))


def expected(point: Point) -> Read:
    """What the reader should find for a point."""
    return Read(
        as_bytes(point.measurement),
        tuple(sorted((as_bytes(k), as_bytes(v)) for k, v in point.tags.items() if v)),
        tuple((as_bytes(k), *typed(point.fields[k])) for k in sorted(point.fields, key=storable.needs_company)),
        point.time,
    )


def is_risky(name: str) -> bool:
    """Whether a backslash that has no partner stands before something that the server's scanner looks at."""
    runs = re.finditer(r'(\\+)[, =\n"]', name)
    return any(len(run[1]) % 2 for run in runs)


# ---------------------------------------------------------------- one point


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cpu", b"cpu"),
        ("a,b", rb"a\,b"),
        ("a b", rb"a\ b"),
        (" ", rb"\ "),
        ("a=b", b"a=b"),
        ('a"b', b'a"b'),
        ('"', b'"'),
        ("a\\b", rb"a\b"),
        ("a\\\\b", rb"a\\b"),
        ("C:\\x", rb"C:\x"),
        ("a#b", b"a#b"),
        ("a\tb\r\0", b"a\tb\r\0"),
        ("Zürich 🚀", "Zürich\\ 🚀".encode()),
        ("a\\\nb", b"a\\\nb"),
    ],
)
def test_a_measurement_escapes_commas_and_spaces_only(name: str, text: bytes) -> None:
    """Not the equals sign, not quotes, and no backslash is doubled."""
    assert line_protocol.encode_point(Point(name, {}, {"f": 1}, 7)) == text + b" f=1i 7"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("k", b"k"),
        ("a,b", rb"a\,b"),
        ("a b", rb"a\ b"),
        ("a=b", rb"a\=b"),
        ("=", rb"\="),
        ('a"b', b'a"b'),
        ("a\\b", rb"a\b"),
        ("a\\,b", rb"a\\,b"),
        ("/mnt/a=b,c d", rb"/mnt/a\=b\,c\ d"),
        ("\udcff\udc80", b"\xff\x80"),
        ("é\0", "é\0".encode()),
        ("$1 \\g<0>", rb"$1\ \g<0>"),
    ],
)
def test_tag_keys_and_tag_values_escape_equals_signs_too(name: str, text: bytes) -> None:
    """Both by the same rule; stray bytes are sent as they are."""
    assert line_protocol.encode_point(Point("m", {name: "v"}, {"f": 1}, 7)) == b"m," + text + b"=v f=1i 7"
    assert line_protocol.encode_point(Point("m", {"k": name}, {"f": 1}, 7)) == b"m,k=" + text + b" f=1i 7"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f", b"f"),
        ("a,b", rb"a\,b"),
        ("a b", rb"a\ b"),
        ("a=b", rb"a\=b"),
        ('a"b', rb"a\"b"),
        ('"', rb"\""),
        ("a\\b", rb"a\b"),
        ('a\\"b', rb'a\\"b'),
        ("#!~#", b"#!~#"),
        ("🚀", "🚀".encode()),
    ],
)
def test_a_field_key_escapes_quotes_too(name: str, text: bytes) -> None:
    """An open quote in a field key would swallow the rest of the line."""
    assert line_protocol.encode_point(Point("m", {}, {name: 1}, 7)) == b"m " + text + b"=1i 7"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", b'""'),
        (b" ", b'" "'),
        (b'"', rb'"\""'),
        (b"\\", rb'"\\"'),
        (rb"\"", rb'"\\\""'),
        (b"C:\\temp\\", rb'"C:\\temp\\"'),
        (b"a\nb\r\n", b'"a\nb\r\n"'),
        (b"\0", b'"\0"'),
        (b"a,b=c d", b'"a,b=c d"'),
        ("日本 🚀".encode(), '"日本 🚀"'.encode()),
        (b"\xff\xfe\x80", b'"\xff\xfe\x80"'),
        (b"null", b'"null"'),
        (b"1i", b'"1i"'),
        (True, b"true"),
        (False, b"false"),
        (0, b"0i"),
        (-1, b"-1i"),
        (INT64_MAX, b"9223372036854775807i"),
        (INT64_MIN, b"-9223372036854775808i"),
        (2**53 + 1, b"9007199254740993i"),
        (line_protocol.Unsigned(0), b"0u"),
        (line_protocol.Unsigned(2**64 - 1), b"18446744073709551615u"),
        (0.0, b"0.0"),
        (-0.0, b"-0.0"),
        (1.0, b"1.0"),
        (0.1, b"0.1"),
        (5e-324, b"5e-324"),
        (1e21, b"1e+21"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
        (-2.2250738585072014e-308, b"-2.2250738585072014e-308"),
        (9007199254740993.0, b"9007199254740992.0"),
    ],
)
def test_a_value_is_written_exactly_in_its_type(value: Value, text: bytes) -> None:
    """Strings keep every byte, integers every digit, floats every bit."""
    assert line_protocol.encode_point(Point("m", {}, {"f": value}, 7)) == b"m f=" + text + b" 7"


@pytest.mark.parametrize("time", [0, -1, 1, FIRST_TIME, LAST_TIME, 1_600_000_000_123_456_789])
def test_a_time_is_written_in_whole_nanoseconds(time: int) -> None:
    """Also before 1970, and at both ends of what can be stored."""
    assert line_protocol.encode_point(Point("m", {}, {"f": True}, time)) == b"m f=true " + str(time).encode()


def test_tags_are_sorted_and_empty_ones_left_out_while_fields_keep_their_order() -> None:
    """InfluxDB has no empty tag; sorted keys help its index."""
    point = Point("m", {"z": "1", "a": "2", "k": "", "B": "3"}, {"z": 1, "a": b"x", "m": False}, 5)
    assert line_protocol.encode_point(point) == b'm,B=3,a=2,z=1 z=1i,a="x",m=false 5'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_not_finite_is_an_error(value: float) -> None:
    """InfluxDB cannot hold it, so it cannot have come from there."""
    with pytest.raises(ValueError, match="cannot hold the float"):
        line_protocol.encode_point(Point("m", {}, {"f": value}, 0))


def test_a_point_without_fields_is_an_error() -> None:
    """It would not be a line."""
    with pytest.raises(ValueError, match="'m' has no fields"):
        line_protocol.encode_point(Point("m", {"k": "v"}, {}, 0))


# ---------------------------------------------------------------- names that InfluxDB cannot keep


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("_series", "system name"),
        ("_fieldKeys", "system name"),
        ("_tagKeys", "system name"),
        ("_tags", "system name"),
        ("_measurements", "system name"),
        ("#", "comment"),
        ("#cpu", "comment"),
        ("\tcpu", "comment or blank"),
        ("\0cpu", "comment or blank"),
        ("a\\,b", "backslash before"),
        ("a\\ b", "backslash before"),
        ("a\\=b", "backslash before"),
        ('a\\"b', "backslash before"),
        ("a\\", "ends in a backslash"),
        ("\\", "ends in a backslash"),
        ("a\\\\", "ends in a backslash"),
        ("a\nb", "newline"),
        ("\n", "newline"),
        ("a\n", "newline"),
        ("a\\\\\nb", "newline"),
        ("a\\\n\nb", "newline"),
        ("a#!~#b", "inside its index"),
        ("a\udcff", "not UTF-8"),
        ("\udc80", "not UTF-8"),
    ],
)
def test_a_measurement_that_cannot_be_kept_is_found(name: str, reason: str) -> None:
    """The reason says what is wrong with it."""
    problem = storable.measurement_problem(name)
    assert problem
    assert reason in problem


@pytest.mark.parametrize(
    "name",
    ["_internal", "series", "_", "a#", " #", "a\t", "a\0", "a\\b", "a\\\\b", "a\\'b", "\\a", "a\\\nb", "a\rb",
     "a#!~", "!~#", "a# !~#", "time", "=", '"', ",", " ", "é", "\ufffd", "_SERIES", "_name"],
)  # fmt: skip
def test_a_measurement_that_only_looks_dangerous_is_kept(name: str) -> None:
    """Nothing is refused that InfluxDB would keep."""
    assert storable.measurement_problem(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("time", "system name"),
        ("_name", "system name"),
        ("_tagKey", "system name"),
        ("_tagValue", "system name"),
        ("_seriesKey", "system name"),
        ("_fieldKey", "system name"),
        ("a\\,b", "backslash before"),
        ("a\\ b", "backslash before"),
        ("a\\=b", "backslash before"),
        ("a\\", "ends in a backslash"),
        ("a\nb", "newline"),
        ("a\\\\\nb", "newline"),
        ("a\udcff", "not UTF-8"),
    ],
)
def test_a_field_that_cannot_be_kept_is_found(name: str, reason: str) -> None:
    """The reason says what is wrong with it."""
    problem = storable.field_problem(name)
    assert problem
    assert reason in problem


@pytest.mark.parametrize(
    "name",
    ["Time", "times", "_time", "_field", "_series", "#f", "f\t", "f\0", " f", 'a\\"b', "a\\b", "a\\\\b", "a\\\nb",
     "a#!~#b", ",", " ", "=", '"', "🚀"],
)  # fmt: skip
def test_a_field_that_only_looks_dangerous_is_kept(name: str) -> None:
    """The series separator and a leading hash are harmless in a field."""
    assert storable.field_problem(name) is None


@pytest.mark.parametrize("name", ["a\\", "\\", "a\nb", "\n", "a\\\\\nb", "\\\n\n", "#!~#", "a#!~#b", "##!~##"])
def test_a_tag_key_or_value_that_cannot_be_kept_is_found(name: str) -> None:
    """Keys and values obey the same rule."""
    assert storable.tag_problem(name)
    assert storable.tag_value_problem(name)


@pytest.mark.parametrize(
    "name",
    [
        "a\\b",
        "a\\,b",
        "a\\ b",
        "a\\=b",
        'a\\"b',
        "a\\\nb",
        "#",
        "!~#",
        "#!~ #",
        "\0",
        "\t",
        "\r",
        "\udcff",
        "_name",
    ],
)
def test_a_tag_key_or_value_that_only_looks_dangerous_is_kept(name: str) -> None:
    """Tags survive much that measurements and fields do not, stray bytes too."""
    assert storable.tag_problem(name) is None
    assert storable.tag_value_problem(name) is None


def test_time_is_refused_as_a_tag_key_but_not_as_a_tag_value() -> None:
    """A tag called `time` cannot be read back."""
    assert storable.tag_problem("time")
    assert storable.tag_value_problem("time") is None


# ---------------------------------------------------------------- a whole frame: tables

Rows = Sequence[Sequence[Value | None]]


@dataclass(frozen=True)
class Whole:
    """All bodies of a frame, and what was refused."""

    bodies: tuple[Body, ...]
    refusals: tuple[Refusal, ...]


def encode(
    rows: Rows, fields: Sequence[str], tags: Sequence[str] = (), measurement: str = "m", cuts: Sequence[int] = ()
) -> Whole:
    """Rows of `time, *fields, *tags` through a frame."""
    encoded = line_protocol.encode_frame(frames.to_frame(rows, fields, tags), measurement, cuts)
    return Whole(tuple(encoded.bodies), encoded.refusals)


def read_back(bodies: Sequence[Body]) -> list[Read]:
    """Every point of the bodies, in order; each body must split into as many lines as it says."""
    points: list[Read] = []
    for body in bodies:
        found = [parse_line(line) for line in split_lines(body.text)]
        assert len(found) == body.points
        assert sum(len(point.fields) for point in found) == body.values
        points.extend(found)
    return points


def test_a_frame_becomes_one_body_with_its_rows_in_order() -> None:
    """Missing tags and fields are left out; points are lines, values are fields."""
    rows: Rows = [(1, 1.5, None, b"x", None), (2, None, 7, None, b"y"), (3, -0.0, 8, b"x", b"y")]
    assert encode(rows, ["f", "g"], ["k", "a"]) == Whole(
        (Body(b"m,k=x f=1.5 1\nm,a=y g=7i 2\nm,a=y,k=x f=-0.0,g=8i 3", 3, 4),), ()
    )


def test_a_frame_without_rows_becomes_no_body() -> None:
    """Nothing is sent for nothing."""
    assert encode([], ["f"], ["k"]) == Whole((), ())


@pytest.mark.parametrize(
    "column",
    [
        [0.0, -0.0, 5e-324, -5e-324, 1e21, 1e22, 1e-7, 1e16, 123456789012345680.0, 0.1, 2 / 3],
        [1.7976931348623157e308, -1.7976931348623157e308, 2.2250738585072014e-308, 1.0, 100.0, 1e15],
        [INT64_MIN, INT64_MAX, 0, -1, 2**53 + 1, None],
        [True, False, None],
        [
            b"",
            b" ",
            b'"',
            b"\\",
            b'\\"',
            b"a\nb",
            b"\n",
            b"\0",
            b"null",
            b"NaN",
            b"1",
            b"$1",
            b"\\1",
            "é🚀".encode(),
        ],
        [b"\xff", b"a\n\xfe", b'"\x80\\', "é".encode(), b"", b"ok"],
    ],
)
def test_a_column_keeps_every_value_exactly(column: list[Value | None]) -> None:
    """Floats bit by bit, integers digit by digit, text byte by byte."""
    rows = [(time, True, value) for time, value in enumerate(column)]
    found = read_back(encode(rows, ["there", "f"]).bodies)
    assert [point.fields[1:] for point in found] == [() if v is None else ((b"f", *typed(v)),) for v in column]


def test_a_tag_and_a_field_of_the_same_name_stay_apart() -> None:
    """Each keeps its own value."""
    assert encode([(1, 5, b"t")], ["x"], ["x"]).bodies[0].text == b"m,x=t x=5i 1"


def test_an_empty_tag_value_is_left_out() -> None:
    """InfluxDB has no empty tag."""
    assert encode([(1, 5, b""), (2, 6, b"t")], ["f"], ["x"]).bodies[0].text == b"m f=5i 1\nm,x=t f=6i 2"
    for tags in ((b"", b""), (b"", None), (None, None)):
        (body,) = encode([(1, 5, tags[0]), (2, 6, tags[1])], ["f"], ["x"]).bodies
        assert body.text == b"m f=5i 1\nm f=6i 2"


def test_a_column_without_any_value_is_left_out() -> None:
    """A field or tag that no row has does not appear."""
    assert (
        encode([(1, 5, None, None), (2, 6, None, None)], ["f", "g"], ["x"]).bodies[0].text == b"m f=5i 1\nm f=6i 2"
    )


def test_a_tag_key_that_is_not_utf8_is_sent_as_it_is() -> None:
    """InfluxDB keeps stray bytes in tags."""
    assert encode([(1, 5, b"v"), (2, 6, None)], ["f"], ["k\udcff"]).bodies[0].text == b"m,k\xff=v f=5i 1\nm f=6i 2"


@pytest.mark.parametrize("name", ["#m", "a\\", "m\udcff", "_series", "a\nb"])
def test_a_frame_of_a_measurement_that_cannot_be_kept_is_an_error(name: str) -> None:
    """Whoever chooses measurements leaves it out; reaching the encoder is a mistake."""
    with pytest.raises(ValueError, match=r"^measurement "):
        encode([(1, 5)], ["f"], measurement=name)


@pytest.mark.parametrize("name", ["time", "a\\", "f\udcff", "a\\ b"])
def test_a_frame_with_a_field_that_cannot_be_kept_is_an_error(name: str) -> None:
    """One such key crashes a real server, so nothing of the frame may be encoded."""
    with pytest.raises(ValueError, match=r"^field .* of 'm' "):
        encode([(1, 5, 6)], ["ok", name])


def test_a_column_of_a_type_that_influxdb_does_not_know_is_an_error() -> None:
    """Types are never guessed."""
    frame = Frame(pl.Series([1]), (("f", pl.Series([1], dtype=pl.Int32)),), ())
    with pytest.raises(TypeError, match="'f' has the type Int32"):
        tuple(line_protocol.encode_frame(frame, "m").bodies)


def test_rows_with_a_tag_that_cannot_be_kept_are_counted_and_left_out() -> None:
    """One refusal for each tag and reason, with the first value as the example; the others are sent in order."""
    rows: Rows = [(1, 5, b"ok"), (2, 6, b"bad\\"), (3, 7, b"x\ny"), (4, 8, b"worse\\"), (5, 9, None)]
    encoded = encode(rows, ["f"], ["k"])
    assert [body.text for body in encoded.bodies] == [b"m,k=ok f=5i 1", b"m f=9i 5"]
    assert encoded.refusals == (
        Refusal("tag 'k' with the value 'bad\\\\'", "ends in a backslash", 2),
        Refusal("tag 'k' with the value 'x\\ny'", "has a newline without exactly one backslash before it", 1),
    )


def test_rows_with_a_tag_key_that_cannot_be_kept_are_left_out_only_where_they_have_it() -> None:
    """A row without the tag is not harmed by its neighbours."""
    encoded = encode([(1, 5, b"x"), (2, 6, None), (3, 7, b"y")], ["f"], ["time"])
    assert [body.text for body in encoded.bodies] == [b"m f=6i 2"]
    assert encoded.refusals == (Refusal("tag 'time'", "is a system name", 2),)


def test_a_row_with_two_tags_that_cannot_be_kept_is_counted_once() -> None:
    """The count is of points, not of reasons."""
    encoded = encode([(1, 5, b"x\\", b"y\\")], ["f"], ["a", "b"])
    assert encoded.bodies == ()
    assert sum(refusal.points for refusal in encoded.refusals) == 1


@pytest.mark.parametrize("value", [rb"a\,b", rb"a\ b", rb"a\\\ b", rb"a\=b", b"a\\\nb", rb"a\"b", b"\xff\\ b"])
def test_a_row_with_a_risky_tag_value_travels_alone(value: bytes) -> None:
    """It cannot swallow a neighbour, and the order is kept."""
    encoded = encode([(1, 5, b"x"), (2, 6, value), (3, 7, b"y"), (4, 8, b"z")], ["f"], ["k"])
    assert [body.points for body in encoded.bodies] == [1, 1, 2]
    assert [point.time for point in read_back(encoded.bodies)] == [1, 2, 3, 4]
    assert read_back(encoded.bodies)[1].tags == ((b"k", value),)


@pytest.mark.parametrize(
    ("measurement", "field", "tag"),
    [("m", 'f\\"g', "k"), ("m", "f", "k\\,l"), ("m\\\nn", "f", "k")],
)
def test_every_row_under_a_risky_name_travels_alone(measurement: str, field: str, tag: str) -> None:
    """The name is in each line."""
    encoded = encode([(1, 5, b"x"), (2, 6, b"y")], [field], [tag], measurement)
    assert [body.points for body in encoded.bodies] == [1, 1]


def test_harmless_backslashes_share_a_body() -> None:
    """Windows paths, and newlines or quotes in string values, are no reason to slow down."""
    rows: Rows = [
        (1, b'a\n\\\n"', b"C:\\Program Files\\App"),
        (2, b"\\", b"\\\\server\\share"),
        (3, b'"', rb"a\\ b"),
        (4, b"x", b"y"),
    ]
    encoded = encode(rows, ["f"], ["k"])
    assert [body.points for body in encoded.bodies] == [4]
    assert [dict(point.tags)[b"k"] for point in read_back(encoded.bodies)] == [row[2] for row in rows]
    assert [point.fields[0][2] for point in read_back(encoded.bodies)] == [b'a\n\\\n"', b"\\", b'"', b"x"]


def test_a_body_is_halved_until_it_is_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost or counted twice on the way, and a line that is longer still travels alone."""
    monkeypatch.setattr(line_protocol, "BODY_BYTES", 40)
    rows: Rows = [(time, b"x" * (100 if time == 3 else 1), time if time % 2 else None) for time in range(9)]
    encoded = encode(rows, ["f", "g"])
    assert all(len(body.text) <= 40 or body.points == 1 for body in encoded.bodies)
    assert max(body.points for body in encoded.bodies) > 1
    assert [point.time for point in read_back(encoded.bodies)] == list(range(9))


def test_a_body_of_exactly_the_limit_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is what a body may hold."""
    text = b"m f=1i 1\nm f=2i 2"
    monkeypatch.setattr(line_protocol, "BODY_BYTES", len(text))
    assert encode([(1, 1), (2, 2)], ["f"]).bodies == (Body(text, 2, 2),)
    monkeypatch.setattr(line_protocol, "BODY_BYTES", len(text) - 1)
    assert len(encode([(1, 1), (2, 2)], ["f"]).bodies) == 2


# ---------------------------------------------------------------- anything at all

CHARACTERS = st.sampled_from('\\\\\\,= "\n#!~\t\r\0$_aé🚀')
STRAY = st.sampled_from('\\\\,= "\n#!~\0aé\udcff')


def names(characters: st.SearchStrategy[str], size: int = 5) -> st.SearchStrategy[str]:
    """Short names full of what line protocol is sensitive to."""
    return st.text(characters, min_size=1, max_size=size)


def test_a_field_that_the_server_would_skip_a_part_of_stands_behind_another() -> None:
    """A tab or NUL in front is no part of a name for the server; a point of nothing else is refused."""
    point = Point("m", {}, {"\ta": 1.0, "\0": 2.0, "b": 3.0}, 4)
    assert line_protocol.encode_point(point) == b"m b=3.0,\ta=1.0,\0=2.0 4"
    encoded = encode([[1, 1.0, 2.0], [2, 1.0, None], [3, None, 2.0]], ["\ta", "b"], [], "m")
    assert [body.text for body in encoded.bodies] == [b"m b=2.0,\ta=1.0 1", b"m b=2.0 3"]
    (refusal,) = encoded.refusals
    assert (refusal.name, refusal.points) == ("field '\\ta'", 1)
    with pytest.raises(ValueError, match="no other field"):
        list(line_protocol.encode_points([Point("m", {}, {"\ta": 1.0}, 4)]))


MEASUREMENTS = names(CHARACTERS).filter(lambda name: storable.measurement_problem(name) is None)
FIELDS = names(CHARACTERS).filter(lambda name: storable.field_problem(name) is None)
TAG_KEYS = names(STRAY)
TAG_VALUES = st.one_of(names(STRAY), st.sampled_from(["a", "b c", "C:\\x"])).map(as_bytes)
TIMES = st.integers(FIRST_TIME, LAST_TIME)
VALUES: Mapping[str, st.SearchStrategy[Value]] = {
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "integer": st.integers(INT64_MIN, INT64_MAX),
    "boolean": st.booleans(),
    "text": names(CHARACTERS, 8).map(as_bytes),
    "bytes": st.one_of(st.binary(max_size=6), names(STRAY).map(as_bytes)),
}


@dataclass(frozen=True)
class Table:
    """A measurement's rows, from which both a frame and single points can be made."""

    measurement: str
    fields: tuple[str, ...]
    tags: tuple[str, ...]
    rows: tuple[tuple[Value | None, ...], ...]

    def frame(self) -> Frame:
        """The rows as the source's answer would arrive."""
        return frames.to_frame(self.rows, self.fields, self.tags)

    def points(self) -> Iterator[Point]:
        """The rows as points."""
        for time, *cells in self.rows:
            values, tags = cells[: len(self.fields)], cells[len(self.fields) :]
            assert isinstance(time, int)
            yield Point(
                self.measurement,
                {k: v.decode("utf-8", "surrogateescape") for k, v in zip(self.tags, tags, strict=True)
                 if isinstance(v, bytes)},
                {k: v for k, v in zip(self.fields, values, strict=True) if v is not None},
                time,
            )  # fmt: skip


def can_be_kept(point: Point) -> bool:
    """Whether InfluxDB can keep the tags of a point, and one of its fields can stand in front."""
    return not all(map(storable.needs_company, point.fields)) and not any(
        storable.tag_problem(key) or storable.tag_value_problem(value) for key, value in point.tags.items()
    )


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Random tables: all types, nulls everywhere, but a value in each row."""
    fields = tuple(draw(st.lists(FIELDS, min_size=1, max_size=3, unique=True)))
    tags = tuple(draw(st.lists(TAG_KEYS, max_size=3, unique=True)))
    columns = [VALUES[draw(st.sampled_from(sorted(VALUES)))] for _ in fields]
    rows = []
    for _ in range(draw(st.integers(1, 7))):
        values = [draw(st.none() | column) for column in columns]
        if all(value is None for value in values):
            values[0] = draw(columns[0])
        rows.append((draw(TIMES), *values, *(draw(st.none() | TAG_VALUES) for _ in tags)))
    return Table(draw(MEASUREMENTS), fields, tags, tuple(rows))


@given(tables())
@REPRODUCIBLE
def test_a_point_is_read_back_as_it_was_whatever_its_names(table: Table) -> None:
    """Every point that can be kept survives the server's own way of reading."""
    for point in filter(can_be_kept, table.points()):
        line = line_protocol.encode_point(point)
        assert parse_line(line) == expected(point)
        assert split_lines(line) == [line]


@given(tables(), st.sampled_from([1, 30, 80, 4_000_000]))
@REPRODUCIBLE
def test_a_frame_is_encoded_like_its_points_one_by_one(table: Table, limit: int) -> None:
    """Same points, same order, right counts, no body too long, and the server finds each line's end."""
    kept = [point for point in table.points() if can_be_kept(point)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_protocol, "BODY_BYTES", limit)
        encoded = encode(table.rows, table.fields, table.tags, table.measurement)
    single = [parse_line(line_protocol.encode_point(point)) for point in kept]
    assert read_back(encoded.bodies) == single == [expected(point) for point in kept]
    assert all(len(body.text) <= limit or body.points == 1 for body in encoded.bodies)
    assert sum(refusal.points for refusal in encoded.refusals) == len(table.rows) - len(kept)


def test_rows_with_few_of_many_fields_are_encoded_like_their_points() -> None:
    """Every type and awkward names; some rows have one field, others two, in the order of the fields."""
    names = tuple(f'f{number} =",\\x' for number in range(12))
    cells: tuple[Callable[[int], Value], ...] = (float, int, lambda n: n % 3 == 0, lambda n: b'a "\\%d' % n)
    rows = [
        (
            1000 - n,
            *(cells[i % 4](n) if i in {n % 12, 7 * (n % 3 == 0)} else None for i in range(12)),
            b"x" if n % 2 else None,
        )
        for n in range(50)
    ]
    table = Table("m, =", names, ("t",), tuple(rows))
    (body,) = encode(table.rows, table.fields, table.tags, table.measurement).bodies
    assert body.lines() == [line_protocol.encode_point(point) for point in table.points()]
    assert (body.points, body.values) == (50, sum(len(point.fields) for point in table.points()))


@pytest.mark.parametrize("stray", [b"x", b"\xff"])
def test_unsigned_integers_of_a_frame_keep_their_type(stray: bytes) -> None:
    """As whole columns, and one by one where other texts are not UTF-8."""
    frame = frames.to_frame([(1, 2**64 - 1, 5, stray), (2, None, 6, None)], ["u", "i"], ["t"], {"u"})
    (body,) = line_protocol.encode_frame(frame, "m").bodies
    assert body.text == b"m,t=%s u=18446744073709551615u,i=5i 1\nm i=6i 2" % stray


@given(tables())
@REPRODUCIBLE
def test_a_body_can_be_taken_apart_without_a_change_to_a_line(table: Table) -> None:
    """Line by line, and into halves, the older one first, down to single lines."""
    waiting = list(line_protocol.encode_frame(table.frame(), table.measurement).bodies)
    for body in list(waiting):
        assert b"\n".join(body.lines()) == body.text
        assert len(body.lines()) == body.points
    whole = [line for body in waiting for line in body.lines()]
    found: list[bytes] = []
    while waiting:
        body = waiting.pop(0)
        smaller = line_protocol.halves(body)
        found += [] if smaller else body.lines()
        assert smaller or body.points == 1
        assert sum(half.points for half in smaller) == (body.points if smaller else 0)
        assert sum(half.values for half in smaller) == (body.values if smaller else 0)
        waiting = [*smaller, *waiting]
    assert found == whole


@given(tables())
@REPRODUCIBLE
def test_a_field_can_be_taken_out_of_a_body(table: Table) -> None:
    """What is left and what is taken out are the same values as before; a field that stands alone stays."""
    for body in line_protocol.encode_frame(table.frame(), table.measurement).bodies:
        for name in (*body.fields, "not there"):
            parts = line_protocol.apart(body, name)
            if len(body.fields) == 1 or name == "not there" or not line_protocol.can_be_taken_apart(body):
                assert parts == ()
                continue
            assert {name} in [part.fields for part in parts]
            assert sorted(_values(parts)) == sorted(_values([body]))
            assert all(part.fields == {name} or name not in part.fields for part in parts)


def _values(bodies: Sequence[Body]) -> list[str]:
    points = [parse_line(line) for body in bodies for line in body.lines()]
    return [repr((p.measurement, p.tags, value, p.time)) for p in points for value in p.fields]


def test_single_points_cannot_be_taken_apart() -> None:
    """They are few, and each error names them."""
    (body,) = line_protocol.encode_points([Point("m", {}, {"v": 1, "w": 2}, 1), Point("m", {}, {"v": 2}, 2)])
    assert line_protocol.halves(body) == line_protocol.apart(body, "v") == ()


@given(tables())
@REPRODUCIBLE
def test_no_body_of_several_points_holds_a_risky_name(table: Table) -> None:
    """Neither from a frame nor from single points."""
    kept = [point for point in table.points() if can_be_kept(point)]
    bodies = [
        *line_protocol.encode_frame(table.frame(), table.measurement).bodies,
        *line_protocol.encode_points(kept),
    ]
    for body in bodies:
        for point in map(parse_line, split_lines(body.text)) if body.points > 1 else ():
            parts = [point.measurement, *(t for tag in point.tags for t in tag), *(f[0] for f in point.fields)]
            assert not any(is_risky(part.decode("utf-8", "surrogateescape")) for part in parts)


@given(tables(), st.sampled_from([1, 12, 40, 100, 4_000_000]))
@REPRODUCIBLE
def test_single_points_become_bodies_in_their_order(table: Table, limit: int) -> None:
    """Same points, same order, right counts, no body too long."""
    kept = [point for point in table.points() if can_be_kept(point)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_protocol, "BODY_BYTES", limit)
        bodies = list(line_protocol.encode_points(kept))
    assert read_back(bodies) == [expected(point) for point in kept]
    assert all(len(body.text) <= limit or body.points == 1 for body in bodies)


@given(tables(), st.sampled_from([40, 200, 4_000_000]))
@REPRODUCIBLE
def test_a_body_gives_its_newest_point(table: Table, limit: int) -> None:
    """However it was made: from a frame, from a part of one, from several, from single points.

    Those of several and of single points are ordered by time already: there it is the last one.
    """
    frame = table.frame()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_protocol, "BODY_BYTES", limit)
        whole = list(line_protocol.encode_frame(frame, table.measurement).bodies)
        plain = line_protocol.encode_plain(frame, table.measurement, range(1, len(frame))) or []
        single = list(line_protocol.encode_points(point for point in table.points() if can_be_kept(point)))
        bodies = [
            *whole,
            *itertools.chain(*map(line_protocol.halves, whole)),
            *(line_protocol.packed(plain) if plain else ()),
            *single,
        ]
    for body in bodies:
        assert body.last is not None
        points = [parse_line(line) for line in (split_lines(body.text) if body.points > 1 else [body.text])]
        newest = max(reversed(points), key=lambda point: point.time) if body.frame else points[-1]
        assert parse_line(line_protocol.encode_point(body.last())) == newest


# ---------------------------------------------------------------- single points, sums


@pytest.mark.parametrize(
    ("point", "named"),
    [
        (Point("#m", {}, {"f": 1}, 0), "'#m' starts"),
        (Point("m", {"time": "x"}, {"f": 1}, 0), "'time' is a system name"),
        (Point("m", {"k": "x\\"}, {"f": 1}, 0), "'k' ends in a backslash"),
        (Point("m", {"k": "x"}, {"f": 1, "a\nb": 2}, 0), r"'a\\nb' has a newline"),
    ],
)
def test_a_single_point_that_cannot_be_kept_is_an_error_that_names_the_part(point: Point, named: str) -> None:
    """It is never sent."""
    with pytest.raises(ValueError, match=named):
        list(line_protocol.encode_points([point]))


def test_no_points_become_no_body() -> None:
    """Nothing is sent for nothing."""
    assert list(line_protocol.encode_points([])) == []


def test_a_body_of_short_lines_counts_its_newlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for the whole body."""
    monkeypatch.setattr(line_protocol, "BODY_BYTES", 20)
    bodies = list(line_protocol.encode_points(Point("m", {}, {"f": 1}, time) for time in range(6)))
    assert [len(body.text) for body in bodies] == [17, 17, 17]
    monkeypatch.setattr(line_protocol, "BODY_BYTES", 16)
    bodies = list(line_protocol.encode_points(Point("m", {}, {"f": 1}, time) for time in range(2)))
    assert [len(body.text) for body in bodies] == [8, 8]


def test_refusals_of_one_tag_and_reason_add_up() -> None:
    """Other tags and other reasons stay apart; the first value is the example."""
    refusals = [
        Refusal("tag 'a' with the value 'x'", "ends", 1),
        Refusal("tag 'b' with the value 'x'", "ends", 2),
        Refusal("tag 'a' with the value 'y'", "ends", 4),
        Refusal("tag 'a' with the value 'x'", "breaks", 8),
        Refusal("measurement", "ends", 16),
    ]
    assert line_protocol.add_up(refusals) == (
        Refusal("tag 'a' with the value 'x'", "ends", 5),
        Refusal("tag 'b' with the value 'x'", "ends", 2),
        Refusal("tag 'a' with the value 'x'", "breaks", 8),
        Refusal("measurement", "ends", 16),
    )


def test_what_was_written_adds_up() -> None:
    """Every count, and the refusals of both."""
    one, two = Refusal("a", "r", 1), Refusal("b", "r", 2)
    assert Written(1, 2, 3, 4, (one,)) + Written(10, 20, 30, 40, (two,)) == Written(11, 22, 33, 44, (one, two))
    assert sum([Written(1), Written(2)], Written()) == Written(3)


@pytest.mark.parametrize(("value", "type_"), [(b"1", "string"), (True, "boolean"), (1, "integer"), (1.0, "float")])
def test_a_value_is_looked_for_as_what_it_is(value: line_protocol.Value, type_: str) -> None:
    """A boolean is no integer."""
    assert line_protocol.type_of(value) == type_
