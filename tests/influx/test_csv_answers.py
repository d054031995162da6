"""CSV answers: what is taken for whole, and that values come out as the server holds them."""

from __future__ import annotations

import struct
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influx import csv_answers, frames
from influx.csv_answers import Doubtful
from influx.frames import Frame

REPRODUCIBLE = settings(derandomize=True, database=None, deadline=None, max_examples=200)
KEYS = b"name,tags,tagKey\nm,,host\nm,,rack\n\n"
TYPES = b"name,tags,fieldKey,fieldType\nm,,f,float\nm,,i,integer\nm,,b,boolean\n"
ROWS = b"name,tags,time,f,i,b,host\nm,,1,1.5,,true,a\nm,,2,,7,,\n"
WHOLE = ROWS + b"\n" + KEYS + TYPES


def test_a_whole_answer_is_rows_keys_and_types() -> None:
    """The types and keys are those after the reading."""
    answer = csv_answers.take_apart(WHOLE)
    assert answer.rows == ROWS
    assert answer.tags == {"host", "rack"}
    assert answer.types == {"f": ("float",), "i": ("integer",), "b": ("boolean",)}


def test_an_answer_without_rows_or_without_tags_is_whole_too() -> None:
    """A measurement may have neither in the range."""
    assert csv_answers.take_apart(KEYS + TYPES).rows == b""
    assert csv_answers.take_apart(ROWS + b"\n" + TYPES).tags == frozenset()
    assert csv_answers.take_apart(TYPES) == csv_answers.Answer(
        b"", frozenset(), {"f": ("float",), "i": ("integer",), "b": ("boolean",)}
    )


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_an_answer_that_is_cut_is_never_taken_for_another(length: int) -> None:
    """Cut at any byte, it is in doubt, or lacks a field type that the reader then misses; the rows are whole."""
    try:
        answer = csv_answers.take_apart(WHOLE[:length])
    except Doubtful:
        return
    assert answer.rows == ROWS
    assert len(answer.types) < 3 or length == len(WHOLE)


def test_a_tag_that_looks_like_the_proof_does_not_prove_anything() -> None:
    """Its text stands in quotes, which are open where the answer was cut."""
    rows = b'name,tags,time,f,host\nm,,1,1,"x\n\nname,tags,fieldKey,fieldType\nm,,f,float\n'
    with pytest.raises(Doubtful):
        csv_answers.take_apart(rows)


@pytest.mark.parametrize(
    "body",
    [
        ROWS + KEYS + TYPES,
        ROWS + TYPES,
        ROWS + b"\n" + KEYS.removesuffix(b"\n") + TYPES,
        KEYS.removesuffix(b"\n") + TYPES,
        ROWS + b"\r\n" + TYPES,
        b"\n" + TYPES,
    ],
)
def test_a_head_of_a_table_that_no_blank_line_precedes_is_in_doubt(body: bytes) -> None:
    """The server puts one between two tables: what comes without it is no table of its own."""
    with pytest.raises(Doubtful):
        csv_answers.take_apart(body)


@pytest.mark.parametrize("tag", ['"\ufffd,"', '" \ufffd"', "\ufffd"])
def test_a_text_whose_bytes_may_have_been_replaced_is_in_doubt(tag: str) -> None:
    """Older servers quote a text with bytes that are not UTF-8 without them, which is UTF-8 then."""
    rows = f"name,tags,time,f,host\nm,,1,1,{tag}\n".encode()
    with pytest.raises(Doubtful):
        csv_answers.take_apart(rows + b"\n" + KEYS + TYPES)


@pytest.mark.parametrize("key", [b'"ho"st', b'"host" ', b'"a","b"', b"a,b"])
def test_a_name_that_is_not_well_quoted_is_in_doubt(key: bytes) -> None:
    """A cut or a stray byte can make one."""
    with pytest.raises(Doubtful):
        csv_answers.take_apart(ROWS + b"\n" + b"name,tags,tagKey\nm,," + key + b"\n\n" + TYPES)


def test_a_field_of_two_types_has_both() -> None:
    """Shards may differ; the reader compares with what it expected."""
    assert csv_answers.take_apart(TYPES + b"m,,i,float\n").types["i"] == ("integer", "float")


@pytest.mark.parametrize(
    ("types", "tags", "plain"),
    [
        ({"f": ("float",), "i": ("integer",), "b": ("boolean",)}, ["host"], True),
        ({"s": ("string",)}, [], True),
        ({"f": ("float", "integer")}, [], False),
        ({"f": ()}, [], False),
        ({"f": ("float",)}, ["a,b"], False),
        ({'"': ("float",)}, [], False),
        ({"a\nb": ("float",)}, [], False),
        ({"f": ("float",)}, ["a\rb"], False),
        ({"f": ("float",)}, ["a\0b"], False),
        ({"f": ("float",)}, ["a\udcffb"], False),
    ],
)
def test_only_known_types_and_plain_names_are_read_as_csv(
    types: dict[str, tuple[str, ...]], tags: list[str], plain: bool
) -> None:
    """All else is left to msgpack."""
    assert csv_answers.is_plain(types, tags) is plain


def test_rows_become_columns_of_the_known_types() -> None:
    """Nothing is a null: no field, and no tag."""
    frame = csv_answers.to_frame(ROWS, {"f": "float", "i": "integer", "b": "boolean"}, ["host"])
    assert frame.times.tolist() == [1, 2]
    assert {name: column.to_list() for name, column in frame.fields} == {
        "f": [1.5, None], "i": [None, 7], "b": [True, None],
    }  # fmt: skip
    assert frame.tags[0][1].to_list() == ["a", None]
    assert frame.types == {"f": "float", "i": "integer", "b": "boolean"}


@pytest.mark.parametrize("tags", [["a"], ["a", "b", "c"], ["a", "b", "c", "d"], ["a", "b", "c", "d", "e"]])
def test_rows_of_another_width_are_in_doubt(tags: list[str]) -> None:
    """Each column has its place, however many tags there are."""
    rows = f"name,tags,time,f,{','.join(tags)}\nm,,1,1.5,{','.join(tags)}\n".encode()
    frame = csv_answers.to_frame(rows, {"f": "float"}, tags)
    assert [(name, column.to_list()) for name, column in frame.tags] == [(tag, [tag]) for tag in tags]
    for others in ([*tags, "z"], tags[1:]):
        with pytest.raises(Doubtful):
            csv_answers.to_frame(rows, {"f": "float"}, others)


def test_no_rows_become_empty_columns() -> None:
    """With their types, as if there were some."""
    frame = csv_answers.to_frame(b"", {"f": "float"}, ["host"])
    assert (len(frame), frame.types) == (0, {})
    assert [(name, str(column.dtype)) for name, column in (*frame.fields, *frame.tags)] == [
        ("f", "Float64"), ("host", "String"),
    ]  # fmt: skip


def quoted(text: str) -> str:
    """A cell as Go writes it."""
    needed = text == "\\." or any(c in text for c in ',"\r\n') or text[:1].isspace()
    return '"' + text.replace('"', '""') + '"' if needed else text


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1))
@REPRODUCIBLE
def test_numbers_are_exact_to_the_last_bit(number: float, integer: int) -> None:
    """The server writes floats without an exponent, with up to 330 digits."""
    text = format(Decimal(repr(number)), "f")
    rows = f"name,tags,time,f,i\nm,,{integer},{text},{integer}\n".encode()
    frame = csv_answers.to_frame(rows, {"f": "float", "i": "integer"}, [])
    (found,) = frame.fields[0][1].to_list()
    assert struct.pack("<d", found) == struct.pack("<d", number)
    assert (frame.fields[1][1].to_list(), frame.times.tolist()) == ([integer], [integer])


@pytest.mark.parametrize(
    "tag",
    [
        "a b",
        "a,b",
        'a "b"',
        "'a'",
        " a ",
        "ü🚀",
        "#a",
        "\\a",
        "NA",
        "null",
        "=",
        "1",
        "\n",
        "a\nb",
        '"\n"',
        "\x85",
        "\u2028",
        "\v",
        "\ufeff",
    ],
)
def test_tag_values_come_out_as_they_are(tag: str) -> None:
    """Quoted as Go's csv package quotes."""
    rows = f"name,tags,time,f,host\nm,,1,1,{quoted(tag)}\nm,,2,1,x\n".encode()
    assert csv_answers.to_frame(rows, {"f": "float"}, ["host"]).tags[0][1].to_list() == [tag, "x"]


@pytest.mark.parametrize(
    "rows",
    [
        b"name,tags,time,f\nm,,1,x\n",
        b"name,tags,time,f\nm,,,1\n",
        b"name,tags,time,f,g\nm,,1,1,1\n",
        b"name,tags,time,f\nm,,1,1,1\n",
        b"name,tags,time,i\nm,,1,1.5\n",
        b"name,tags,time,f,host\nm,,1,1,a\nb\n",
        b"name,tags,time,f,host\nm,,1,1,\xff\n",
        b"name,time,f\nm,1,1\n",
        b"name,tags,when,f\nm,,1,1\n",
    ],
)
def test_rows_that_are_not_what_was_asked_for_are_in_doubt(rows: bytes) -> None:
    """Other types, other columns, text that is not UTF-8 or goes on without quotes: msgpack has to tell."""
    tags = ["host"] if b"host" in rows else []
    types = {"i": "integer"} if b"time,i" in rows else {"f": "float"}
    with pytest.raises(Doubtful):
        csv_answers.to_frame(rows, types, tags)


@given(value=st.integers(0, 2**64 - 1))
def test_unsigned_integers_are_exact(value: int) -> None:
    """Up to the largest, and beside points that have none."""
    rows = b"name,tags,time,u\nm,,1,%d\nm,,2,\n" % value
    found = csv_answers.to_frame(rows, {"u": "unsigned"}, [])
    assert found.types == {"u": "unsigned"}
    assert found.fields[0][1].to_list() == [value, None]


TEXTS = st.text(max_size=8) | st.text(st.sampled_from('",\n \\#xé'), max_size=8)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=30))
@REPRODUCIBLE
def test_texts_come_out_as_they_are(cells: list[tuple[str, str, str]]) -> None:
    """Or in doubt, where there is a carriage return; a blank is none so far."""
    lines = [",".join(["m", "", str(i), *map(quoted, row)]) for i, row in enumerate(cells)]
    rows = "\n".join(["name,tags,time,s,t,host", *lines, ""]).encode()
    proof = b"name,tags,tagKey\nm,,host\n\nname,tags,fieldKey,fieldType\nm,,s,string\nm,,t,string\n"
    try:
        answer = csv_answers.take_apart(rows + b"\n" + proof)
    except Doubtful:
        assert b"\r" in rows or "\ufffd".encode() in rows
        return
    assert answer.rows == rows
    frame = csv_answers.to_frame(rows, {"s": "string", "t": "string"}, ["host"])
    columns = [column.to_list() for _, column in (*frame.fields, *frame.tags)]
    assert list(zip(*columns, strict=True)) == [tuple(text or None for text in row) for row in cells]


def test_blanks_become_empty_texts_where_such_a_row_was_found() -> None:
    """Of the same time and tags, whatever else is found; a tag that is missing may come as an empty one."""
    rows = b"name,tags,time,s,t,n,host\nm,,1,,,1,a\nm,,1,,x,,\nm,,2,y,x,,a\nm,,3,,x,,\n"
    frame = csv_answers.to_frame(rows, {"s": "string", "t": "string", "n": "integer"}, ["host"])
    assert csv_answers.blank_texts(frame) == ["s", "t"]
    found = [(1, b"", None), (2, b"", b"a"), (3, b"", b"a"), (3, b"", b""), (9, b"", None)]
    whole = csv_answers.with_empty_texts(frame, {"s": empty_rows(found[:1], found[1:]), "t": []})
    assert {name: column.to_list() for name, column in whole.fields} == {
        "s": [None, "", "y", ""], "t": [None, "x", "x", "x"], "n": [1, None, None, None],
    }  # fmt: skip
    every = empty_rows([(1, b"", b"a"), (1, b"", b""), (3, b"", None)])
    assert csv_answers.with_empty_texts(frame, {"s": every}).fields[0][1].to_list() == ["", "", "y", ""]


def empty_rows(*parts: list[tuple[int, bytes, bytes | None]]) -> list[Frame]:
    """As they come off the wire, one document after another."""
    return [frames.to_frame(part, ["s"], ["host"]) for part in parts]


def test_a_row_that_has_no_field_left_is_in_doubt() -> None:
    """It had an empty text when it was read, which was overwritten or removed before the second question."""
    frame = csv_answers.to_frame(b"name,tags,time,s,host\nm,,1,,a\nm,,2,x,a\n", {"s": "string"}, ["host"])
    assert csv_answers.with_empty_texts(frame, {"s": empty_rows([(1, b"", b"a")])}).fields[0][1].to_list() == [
        "",
        "x",
    ]
    for found in ([], empty_rows([(2, b"", b"a")])):
        with pytest.raises(Doubtful):
            csv_answers.with_empty_texts(frame, {"s": found})


def test_a_row_of_a_tag_that_is_not_utf_8_is_in_doubt() -> None:
    """It is a new one: the answer before had none."""
    frame = csv_answers.to_frame(b"name,tags,time,s,host\nm,,1,,a\n", {"s": "string"}, ["host"])
    with pytest.raises(Doubtful):
        csv_answers.with_empty_texts(frame, {"s": empty_rows([(1, b"", b"a")], [(1, b"", b"\xff")])})


def test_a_blank_of_a_field_that_no_condition_can_name_is_in_doubt() -> None:
    """A field called like the time."""
    frame = csv_answers.to_frame(b"name,tags,time,Time\nm,,1,\n", {"Time": "string"}, [])
    with pytest.raises(Doubtful):
        csv_answers.blank_texts(frame)
