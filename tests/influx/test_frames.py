"""Frames: what comes off the wire stays what it is, in type and in value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influx import frames
from influx.frames import Frame

REPRODUCIBLE = settings(derandomize=True, database=None, deadline=None, max_examples=100)
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def columns(frame: Frame) -> list[pl.Series]:
    """Time, then fields, then tags."""
    return [frame.time, *(column for _, column in (*frame.fields, *frame.tags))]


def column(frame: Frame, position: int) -> list[Any]:
    """The exact values of a column; None for null."""
    return columns(frame)[position].to_list()


def labels(frame: Frame) -> list[tuple[str, str]]:
    """Kind and name of each column."""
    return [
        ("time", ""), *(("field", name) for name, _ in frame.fields), *(("tag", name) for name, _ in frame.tags),
    ]  # fmt: skip


def dtypes(frame: Frame) -> list[pl.DataType]:
    """The type of each column."""
    return [column.dtype for column in columns(frame)]


@pytest.fixture
def frame() -> Frame:
    """Five rows of every type, two of them at the same time."""
    rows = [
        (10, 1.5, None, None, b"s", b"a"),
        (20, None, 7, None, None, None),
        (20, None, None, True, None, b"b"),
        (30, None, 8, False, b"t", b"a"),
        (40, 2.5, None, None, None, None),
    ]
    return frames.to_frame(rows, ["f", "i", "b", "s"], ["tag"])


def test_columns_are_labelled_by_kind_and_name_in_the_order_asked_for(frame: Frame) -> None:
    """Time first, then fields, then tags."""
    assert labels(frame) == [
        ("time", ""), ("field", "f"), ("field", "i"), ("field", "b"), ("field", "s"), ("tag", "tag"),
    ]  # fmt: skip


def test_each_column_has_the_type_that_came_off_the_wire(frame: Frame) -> None:
    """Floats, integers, booleans and text arrive apart, and nulls change none of them."""
    expected = [pl.Int64, pl.Float64, pl.Int64, pl.Boolean, pl.String, pl.String]
    assert dtypes(frame) == expected


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([2**53 + 1, None, INT64_MAX, INT64_MIN], pl.Int64),
        ([None, None, 2**53 + 1], pl.Int64),
        ([1.0, None, 2.0], pl.Float64),
        ([None, 1.7976931348623157e308, 5e-324], pl.Float64),
        ([None, True, False], pl.Boolean),
        ([b"", None, b"NA", b"null", b"NaN", b"1", b"true"], pl.String),
        ([None, b"\0", b"\n", "🚀".encode()], pl.String),
        ([None, None], pl.Null),
    ],
)
def test_values_beside_nulls_stay_exact(values: list[Any], type_: type[pl.DataType]) -> None:
    """No integer turns into a float, no text into a null."""
    found = frames.to_frame([(i, v) for i, v in enumerate(values)], ["f"], [])
    assert dtypes(found)[1] == type_
    assert column(found, 1) == [v.decode() if isinstance(v, bytes) else v for v in values]


def test_a_negative_zero_keeps_its_sign() -> None:
    """-0.0 and 0.0 are equal but not the same."""
    found = frames.to_frame([(1, -0.0), (2, 0.0)], ["f"], [])
    assert np.signbit(columns(found)[1].to_numpy()).tolist() == [True, False]


@pytest.mark.parametrize(
    "text", [[b"ok", b"\xff"], [b"\xff", None], [b"\xc3"], [b"\xed\xa0\x80"], [b"\xf8\x88\x80\x80\x80", b"\0"]]
)
def test_text_that_is_not_utf8_keeps_its_bytes(text: list[bytes | None]) -> None:
    """The whole column is binary then, in fields and in tags."""
    found = frames.to_frame([(i, t, t) for i, t in enumerate(text)], ["f"], ["t"])
    assert dtypes(found)[1:] == [pl.Binary, pl.Binary]
    assert column(found, 1) == column(found, 2) == text


@pytest.mark.parametrize(
    "name", ["", "time", "a.b", "a\nb", "\udcff", "0", "('tag', 'x')", "🚀", "__index_level_0__", "index"]
)
def test_a_name_is_any_text_for_tags_and_fields_alike(name: str) -> None:
    """A tag and a field of one name stay apart, whatever the name."""
    found = frames.to_frame([(1, 5, b"x")], [name], [name])
    assert labels(found) == [("time", ""), ("field", name), ("tag", name)]
    assert (column(found, 1), column(found, 2)) == ([5], ["x"])


def test_two_columns_of_one_name_and_kind_stay_two() -> None:
    """Nothing is merged by name."""
    found = frames.to_frame([(1, 5, 6)], ["f", "f"], [])
    assert (column(found, 1), column(found, 2)) == ([5], [6])


def test_no_rows_are_an_empty_frame_with_all_columns() -> None:
    """An empty answer is not an error."""
    found = frames.to_frame([], ["f"], ["t"])
    assert labels(found) == [("time", ""), ("field", "f"), ("tag", "t")]
    assert len(found) == 0
    assert found.times.tolist() == []
    assert found.types == {}


@pytest.mark.parametrize("rows", [[(1, 2)], [(1, 2, 3, 4)], [(1, 2), (2, 3)]])
def test_an_answer_with_another_number_of_columns_is_an_error(rows: list[tuple[int, ...]]) -> None:
    """Two names that a query cannot tell apart bring one column too many."""
    with pytest.raises(frames.UnexpectedRows, match="the 3 columns"):
        frames.to_frame(rows, ["f"], ["t"])


@pytest.mark.parametrize("rows", [[(1, 2, 3), (1, 2)], [(1, 2), (1, 2, 3)], [(), (1, 2, 3)]])
def test_rows_of_different_lengths_are_an_error(rows: list[tuple[int, ...]]) -> None:
    """No value is ever shifted into another column."""
    with pytest.raises(ValueError, match=r"zip\(\)|columns"):
        frames.to_frame(rows, ["f"], ["t"])


@pytest.mark.parametrize("values", [[True, 1], [1, True], [b"x", 1], [1, b"x"], [1.5, b"x"], [1.5, 2**53 + 1]])
def test_a_column_of_two_types_is_an_error(values: list[Any]) -> None:
    """The server never mixes them in one answer; were it to, nothing would be cast to its neighbour's type."""
    with pytest.raises((ValueError, TypeError)):
        frames.to_frame([(i, v) for i, v in enumerate(values)], ["f"], [])


# ---------------------------------------------------------------- looking into a frame


def test_integers_are_unsigned_where_their_field_is() -> None:
    """The wire shows both alike; what does not fit into the type of its field is an error, never another value."""
    rows = [(1, 2**64 - 1, 5, b"5"), (2, None, -6, b"6"), (3, 0, 7, b"7")]
    found = frames.to_frame(rows, ["u", "i"], ["u"], {"u"})
    assert found.types == {"u": "unsigned", "i": "integer"}
    assert [column(found, at) for at in (1, 2, 3)] == [[2**64 - 1, None, 0], [5, -6, 7], ["5", "6", "7"]]
    for values, unsigned in ((2**63, ()), (-1, ("u",)), (2**64, ("u",))):
        with pytest.raises(frames.UnexpectedRows, match="out of the range"):
            frames.to_frame([(1, values)], ["u"], [], unsigned)


def test_field_types_are_those_of_influxdb(frame: Frame) -> None:
    """Tags and time have none."""
    assert frame.types == {"f": "float", "i": "integer", "b": "boolean", "s": "string"}


def test_text_that_is_not_utf8_is_a_string_to_influxdb() -> None:
    """Binary is only our way to hold it."""
    assert frames.to_frame([(1, b"\xff")], ["f"], []).types == {"f": "string"}


def test_a_field_without_any_value_has_no_type() -> None:
    """A column of nulls tells nothing."""
    assert frames.to_frame([(1, None, 2)], ["f", "g"], []).types == {"g": "integer"}


@pytest.mark.parametrize("time", [-9223372036854775806, -1, 0, 2**53 + 1, 9223372036854775806])
def test_times_are_exact_nanoseconds(time: int) -> None:
    """At both ends of what can be stored, and where a float would round."""
    times = frames.to_frame([(time, 1)], ["f"], []).times
    assert times.dtype == np.int64
    assert times.tolist() == [time]


@pytest.mark.parametrize(
    ("moment", "times"),
    [
        (9, []),
        (10, []),
        (11, [10]),
        (20, [10]),
        (21, [10, 20, 20]),
        (40, [10, 20, 20, 30]),
        (41, [10, 20, 20, 30, 40]),
        (-9223372036854775806, []),
        (9223372036854775807, [10, 20, 20, 30, 40]),
    ],
)
def test_the_rows_before_a_moment_leave_out_all_rows_of_that_moment(
    frame: Frame, moment: int, times: list[int]
) -> None:
    """Half-open, like every range."""
    assert frame.before(moment).times.tolist() == times


@pytest.mark.parametrize(
    ("now", "newest"), [(9, None), (10, 10), (19, 10), (20, 20), (39, 30), (40, 40), (9223372036854775807, 40)]
)
def test_the_newest_point_is_not_later_than_now(frame: Frame, now: int, newest: int | None) -> None:
    """Clocks of sources may be ahead."""
    assert frame.newest(now) == newest


def test_values_are_counted_without_those_that_are_missing(frame: Frame) -> None:
    """And without tags."""
    assert frame.values == 2 + 2 + 2 + 2
    assert frames.to_frame([], ["f"], []).values == 0


@pytest.mark.parametrize(
    ("positions", "parts"),
    [
        ([], [[10, 20, 20, 30, 40]]),
        ([1], [[10], [20, 20, 30, 40]]),
        ([0, 2, 2, 5], [[10, 20], [20, 30, 40]]),
        ([1, 2, 3, 4], [[10], [20], [20], [30], [40]]),
    ],
)
def test_a_frame_is_split_before_the_given_rows(
    frame: Frame, positions: list[int], parts: list[list[int]]
) -> None:
    """Every row is in exactly one part, and no part is empty."""
    assert [part.times.tolist() for part in frame.split(positions)] == parts


def test_an_empty_frame_splits_into_nothing() -> None:
    """There is no part to write."""
    assert frames.to_frame([], ["f"], []).split([0]) == []


@given(st.integers(0, 6), st.data())
@REPRODUCIBLE
def test_the_parts_of_a_frame_put_together_are_the_frame(length: int, data: st.DataObject) -> None:
    """No row is lost or doubled."""
    positions = sorted(data.draw(st.lists(st.integers(0, length), max_size=5)))
    whole = frames.to_frame([(i, i) for i in range(length)], ["f"], [])
    parts = whole.split(positions)
    assert [t for part in parts for t in part.times.tolist()] == list(range(length))
    starts = {int(part.times[0]) for part in parts}
    assert starts == {p for p in positions if p < length} | ({0} if length else set())


@pytest.mark.parametrize(
    ("values", "types"),
    [
        ([[1], [2], [3]], [pl.Int64]),
        ([[1], [2.5]], [pl.Int64, pl.Float64]),
        ([[1], [None], [2]], [pl.Int64]),
        ([[None], [2.5], [None]], [pl.Float64]),
        ([[None], [None]], [pl.Null]),
        ([["a"], [b"\xff"], ["c"]], [pl.Binary]),
        ([[b"\xff"], [None], ["c"]], [pl.Binary]),
        ([["a"], [b"\xff"], [True]], [pl.Binary, pl.Boolean]),
        ([[1], [True], [1]], [pl.Int64, pl.Boolean, pl.Int64]),
    ],
)
def test_frames_become_one_as_far_as_no_value_changes(
    values: list[list[Any]], types: list[type[pl.DataType]]
) -> None:
    """Another type begins another frame; text and bytes go together, as bytes."""
    parts = [
        Frame(pl.Series(values=[n], dtype=pl.Int64), (("f", pl.Series(values=part)),), ())
        for n, part in enumerate(values)
    ]
    found = frames.joined(parts)
    assert [part.fields[0][1].dtype for part in found] == [kind() for kind in types]
    assert [t for part in found for t in part.times.tolist()] == list(range(len(values)))
    raw = [v for part in found for v in part.fields[0][1].to_list()]
    assert [v.decode("latin-1") if isinstance(v, bytes) else v for v in raw] == [
        v.decode("latin-1") if isinstance(v, bytes) else v for (v,) in values
    ]
    assert len(frames.joined([parts[0], replace(parts[0], fields=(("g", parts[0].fields[0][1]),))])) == 2


@pytest.mark.parametrize(
    ("allowed", "fields", "times"),
    [
        ({"float", "integer", "boolean", "string"}, ["f", "i", "b", "s"], [10, 20, 20, 30, 40]),
        ({"float"}, ["f"], [10, 40]),
        ({"integer"}, ["i"], [20, 30]),
        ({"boolean", "string"}, ["b", "s"], [10, 20, 30]),
        ({"unsigned"}, [], []),
        (set(), [], []),
    ],
)
def test_only_fields_of_the_allowed_types_stay_and_rows_that_have_one(
    frame: Frame, allowed: set[str], fields: list[str], times: list[int]
) -> None:
    """A row with nothing left but tags is no point."""
    found = frame.only_types(frozenset(allowed))
    assert [label for label in labels(found) if label[0] == "field"] == [("field", name) for name in fields]
    assert found.times.tolist() == times
    assert labels(found)[-1] == ("tag", "tag")


def test_a_tag_stays_when_the_field_of_its_name_is_left_out() -> None:
    """Types are those of fields; the tag of the same name is not asked."""
    found = frames.to_frame([(1, 5, 2.5, b"x")], ["x", "f"], ["x"]).only_types(frozenset({"float"}))
    assert labels(found) == [("time", ""), ("field", "f"), ("tag", "x")]
    assert column(found, 2) == ["x"]


def test_types_are_filtered_in_a_part_of_a_frame_too(frame: Frame) -> None:
    """A part keeps the row labels of the whole, which must not confuse the filter."""
    part = frame.split([2])[1]
    assert part.only_types(frozenset({"float"})).times.tolist() == [40]


# ---------------------------------------------------------------- the order of rows


def points(times: list[int], hosts: list[str | None]) -> Frame:
    """A point at each time, of a host each; its value is its position."""
    values = pl.Series("v", np.arange(len(times), dtype=float))
    return Frame(pl.Series(times, dtype=pl.Int64), (("v", values),), (("host", pl.Series(hosts)),))


def test_rows_go_series_by_series_between_the_cuts() -> None:
    """Those of one series by time; none leaves its part."""
    hosts: list[str | None] = ["a", "b", None, "a", "b", None, "b", "a"]
    found = points([1, 1, 1, 2, 2, 2, 3, 3], hosts).by_series([6])
    found_hosts, values = found.tags[0][1].to_list(), found.fields[0][1]
    first, second = found_hosts[:6], found_hosts[6:]
    assert sorted(map(str, first)) == ["None", "None", "a", "a", "b", "b"]
    assert first[0::2] == first[1::2]
    assert sorted(map(str, second)) == ["a", "b"]
    assert found.time.to_list()[:6] == [1, 2] * 3
    assert [hosts[int(value)] for value in values] == found_hosts


def test_many_rows_of_each_series_stay_as_they_are() -> None:
    """Nothing would be gained."""
    rows = points(list(range(2 * frames.FEW)), ["a", "b"] * frames.FEW)
    assert rows.by_series([]) is rows
    fewer = rows.slice(1, 2 * frames.FEW)
    assert fewer.by_series([]).tags[0][1].to_list() != fewer.tags[0][1].to_list()


def test_without_tags_there_is_one_series() -> None:
    """A tag that no point has is none."""
    rows = points([1, 2], [None, None])
    assert rows.by_series([]) is rows
    assert Frame(rows.time, rows.fields, ()).by_series([]).time.to_list() == [1, 2]


def test_tags_that_are_no_text_are_put_in_order_too() -> None:
    """InfluxDB keeps bytes that are not UTF-8."""
    tag = pl.Series([b"\xff", b"a", b"\xff", b"a"])
    rows = replace(points([1, 1, 2, 2], ["x"] * 4), tags=(("host", tag),))
    found = rows.by_series([]).tags[0][1].to_list()
    assert found[0] == found[1]
    assert found[2] == found[3]
