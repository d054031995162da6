"""What to copy and where to resume: the decisions that keep every point and skip only what is asked for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basics.times import DAY, END_OF_TIME, HOUR, MIN_TIME
from config import FieldRules
from copying.resume import filter_obsolete_fields, hidden_since, is_obsolete, resume_points
from copying.retention import kept
from copying.selection import allowed_types, field_rules, fits, get_fields_to_backup, split_for_downsampling
from copying.task import Copy, Target
from influx.errors import QueryRefused
from influx.influxql import Location, Policy, Tags
from settings.keys import MeasurementRules

REPRODUCIBLE = settings(derandomize=True, database=None, deadline=None, max_examples=200)
Types = dict[str, tuple[str, ...]]

FIELDS: Types = {
    "usage_user": ("float",),
    "usage_system": ("float", "integer"),
    "count": ("integer",),
    "message": ("string",),
    "ok": ("boolean",),
    "mixed": ("string", "float"),
    "a.b*[c]": ("float",),
    "new\nline": ("string",),
    "stray\udcff": ("float",),
}


def rules(include: str = "", exclude: str = "", types: str = "") -> FieldRules:
    """Rules from words."""
    return FieldRules.model_validate(
        {"include": include.split(), "exclude": exclude.split(), "types": types.split()}
    )


# ---------------------------------------------------------------- fields


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (rules(), list(FIELDS)),
        (rules(include="count"), ["count"]),
        (rules(include="usage_*"), ["usage_user", "usage_system"]),
        (rules(include="/^usage/ ok"), ["usage_user", "usage_system", "ok"]),
        (rules(include="usage_*", exclude="*_user"), ["usage_system"]),
        (rules(exclude="* "), []),
        (rules(include="coun"), []),
        (rules(include="Count"), []),
        (rules(include="a.b*[c]"), ["a.b*[c]"]),
        (rules(include="/./", exclude="/^[a-z]/"), []),
        (rules(types="float"), ["usage_user", "usage_system", "mixed", "a.b*[c]", "stray\udcff"]),
        (rules(types="integer"), ["usage_system", "count"]),
        (rules(types="string"), ["message", "mixed", "new\nline"]),
        (rules(types="boolean"), ["ok"]),
        (rules(types="numeric"), ["usage_user", "usage_system", "count", "mixed", "a.b*[c]", "stray\udcff"]),
        (rules(types="boolean string"), ["message", "ok", "mixed", "new\nline"]),
        (rules(include="count message", types="string"), ["message"]),
        (rules(include="count", exclude="count"), []),
    ],
)
def test_fields_are_chosen_by_name_then_by_type(chosen: FieldRules, names: list[str]) -> None:
    """A field with several types stays if one of them is wanted, and keeps all of them."""
    assert get_fields_to_backup(FIELDS, chosen) == {name: FIELDS[name] for name in names}


@pytest.mark.parametrize(
    ("types", "allowed"),
    [
        ("", {"float", "integer", "string", "boolean", "unsigned"}),
        ("numeric", {"float", "integer", "unsigned"}),
        ("numeric float", {"float", "integer", "unsigned"}),
        ("float", {"float"}),
        ("unsigned", {"unsigned"}),
        ("numeric string", {"float", "integer", "unsigned", "string"}),
        ("boolean string", {"boolean", "string"}),
    ],
)
def test_numeric_is_every_kind_of_number(types: str, allowed: set[str]) -> None:
    """Without a list, every type is let through."""
    assert allowed_types(rules(types=types)) == allowed


# ---------------------------------------------------------------- obsolete

NOW, THRESHOLD = 1000, 100


@pytest.mark.parametrize(
    ("copied", "newest", "obsolete"),
    [
        # old at the destination, and nothing newer in the source
        (899, 899, True),
        (899, None, True),
        (899, 100, True),
        (-5, -5, True),
        (0, 0, True),
        # exactly on the threshold is not older than it
        (900, 900, False),
        (901, 901, False),
        (1000, None, False),
        (2000, 2000, False),
        # old at the destination, but the source has newer data
        (899, 900, False),
        (0, 1, False),
        (0, 999, False),
        (0, 5000, False),
        # nothing copied yet
        (None, None, False),
        (None, 5, False),
        (None, 999, False),
    ],
)
def test_obsolete_is_what_is_old_at_the_destination_and_has_nothing_newer(
    copied: int | None, newest: int | None, obsolete: bool
) -> None:
    """What has newer data in the source is never skipped, nor what was never copied."""
    assert is_obsolete(copied, newest, THRESHOLD, NOW) is obsolete


def test_a_threshold_of_nothing_still_needs_both_conditions() -> None:
    """Only what is complete up to the source's newest point may be skipped."""
    assert is_obsolete(999, 999, 0, NOW)
    assert not is_obsolete(1000, 1000, 0, NOW)
    assert not is_obsolete(999, 1000, 0, NOW)


def test_obsolete_fields_are_left_out_one_by_one() -> None:
    """The others stay in their order."""
    copied = {"old": 5, "revived": 5, "fresh": 950, "never": None, "gone": 5}
    newest: Mapping[str, int | None] = {"old": 5, "revived": 990, "fresh": 950, "never": 5}
    assert filter_obsolete_fields(copied, newest, THRESHOLD, NOW) == ("revived", "fresh", "never")


def test_no_fields_are_no_fields() -> None:
    """There is nothing to skip."""
    assert filter_obsolete_fields({}, {}, THRESHOLD, NOW) == ()


# ---------------------------------------------------------------- where to resume

Edges = dict[str, int | None]


@pytest.mark.parametrize(
    ("copied", "first", "fallback", "starts"),
    [
        # empty destination: the source's first point, or the fallback where that is later
        ({"a": None, "b": None}, {"a": 10, "b": 20}, None, {"a": 10, "b": 20}),
        ({"a": None, "b": None}, {"a": 10, "b": 20}, 15, {"a": 15, "b": 20}),
        ({"a": None}, {"a": 10}, 10, {"a": 10}),
        ({"a": None}, {"a": -10}, 0, {"a": 0}),
        ({"a": None}, {"a": 10}, -5, {"a": 10}),
        ({"a": None}, {"a": 0}, None, {"a": 0}),
        # resuming: each at its own newest point, the fallback does not count
        ({"a": 50, "b": 40}, {}, None, {"a": 50, "b": 40}),
        ({"a": 50, "b": 40}, {"a": 10, "b": 10}, 45, {"a": 50, "b": 40}),
        ({"a": 0}, {"a": 7}, 9, {"a": 0}),
        ({"a": -50}, {"a": -90}, None, {"a": -50}),
        # a field that the destination has never seen: all of its history, not just from the fallback
        ({"a": 50, "new": None}, {"new": 3}, None, {"a": 50, "new": 3}),
        ({"a": 50, "new": None}, {"new": 3}, 45, {"a": 50, "new": 3}),
        ({"a": 0, "new": None}, {"new": 3}, 45, {"a": 0, "new": 3}),
        # fields without any value have nothing to copy
        ({"a": None}, {"a": None}, None, {}),
        ({"a": None}, {}, 5, {}),
        ({"a": 50, "b": None}, {"b": None}, 5, {"a": 50}),
        ({}, {}, None, {}),
        ({}, {}, 5, {}),
    ],
)
def test_each_field_resumes_at_its_own_place(
    copied: Edges, first: Edges, fallback: int | None, starts: dict[str, int]
) -> None:
    """A watermark if there is one, else the first point in the source."""
    assert resume_points(copied, first, fallback) == starts


TIMES = st.none() | st.integers(-5, 5)


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(TIMES, TIMES)), TIMES)
@REPRODUCIBLE
def test_no_field_starts_later_than_its_first_missing_point(
    edges: dict[str, tuple[int | None, int | None]], fallback: int | None
) -> None:
    """Whatever the others do; only an empty destination is allowed to begin at the fallback."""
    starts = resume_points({f: c for f, (c, _) in edges.items()}, {f: e for f, (_, e) in edges.items()}, fallback)
    nothing_there = not any(copied is not None for copied, _ in edges.values())
    for name, (copied, first) in edges.items():
        missing_from = copied if copied is not None else first
        assert (name in starts) is (missing_from is not None)
        if missing_from is not None and not (nothing_there and fallback is not None):
            assert starts[name] == missing_from
        elif missing_from is not None and fallback is not None:
            assert starts[name] in (missing_from, fallback)
            assert starts[name] >= fallback


# ---------------------------------------------------------------- downsampling


@pytest.mark.parametrize(
    ("types", "averaged", "latest"),
    [
        ({}, [], []),
        ({"f": ("float",), "s": ("string",), "i": ("integer",), "b": ("boolean",)}, ["f", "i"], ["s", "b"]),
        ({"f": ("float", "integer")}, ["f"], []),
    ],
)
def test_numbers_are_averaged_and_the_rest_keeps_its_last_value(
    types: Types, averaged: list[str], latest: list[str]
) -> None:
    """In the order of the fields."""
    assert split_for_downsampling(types, FieldRules()) == (averaged, latest)


@pytest.mark.parametrize(
    "kinds", [("float", "string"), ("boolean", "integer"), ("float", "integer", "string"), ("string", "boolean")]
)
def test_a_field_whose_types_no_window_can_hold_is_refused(kinds: tuple[str, ...]) -> None:
    """It is named, with its types and a way out."""
    with pytest.raises(QueryRefused) as caught:
        split_for_downsampling({"ok": ("float",), "bad": kinds}, FieldRules())
    assert f"'bad' ({' and '.join(kinds)} in different shards) cannot" in str(caught.value)
    assert "; exclude it, or copy without source.group_by" in str(caught.value)


@pytest.mark.parametrize("wanted", ["integer", "float"])
def test_a_field_of_which_some_numbers_are_not_wanted_is_refused(wanted: str) -> None:
    """One of a single type, or all of whose types are wanted, is not."""
    chosen = rules(types=wanted)
    assert split_for_downsampling({"f": (wanted,)}, chosen) == (["f"], [])
    types = {"f": ("float", "integer")}
    assert split_for_downsampling(types, rules(types="numeric")) == (["f"], [])
    remedy = "exclude it, want all of its types, or copy without source.group_by"
    with pytest.raises(QueryRefused, match=f"of which fields.types wants {wanted}\\).*; {remedy}"):
        split_for_downsampling(types, chosen)


# ---------------------------------------------------------------- a copy

POLICY = Policy("p", 0, 7 * DAY, is_default=True)


def copy_of(types: Types) -> Copy:
    """A copy whose destination has another name and knows one measurement."""
    written = {"m": {"f": ("float",)}}
    target = Target("there", POLICY, Policy("q", 0, DAY, is_default=False), None, (), written)
    return Copy(Location("here", "p", "m"), target, types, ())


def test_a_copy_goes_to_the_destinations_database_and_policy() -> None:
    """The measurement keeps its name."""
    assert copy_of({}).destination == Location("there", "q", "m")


@pytest.mark.parametrize(
    ("types", "mixed"),
    [({}, False), ({"f": ("float",)}, False), ({"f": ("float",), "g": ("float", "integer")}, True)],
)
def test_a_copy_is_mixed_when_one_of_its_fields_has_two_types(types: Types, mixed: bool) -> None:
    """Two fields of different types are nothing special."""
    assert copy_of(types).is_mixed is mixed


def test_a_copy_knows_the_types_at_the_destination() -> None:
    """Of its own measurement only; of a new measurement there are none."""
    copy = copy_of({"f": ("float",)})
    assert copy.written_types == {"f": ("float",)}
    assert Copy(Location("here", "p", "new"), copy.target, {}, ()).written_types == {}


@pytest.mark.parametrize(
    ("duration", "text"), [(0, "ever"), (7 * DAY, "7d"), (HOUR, "1h"), (30 * DAY + HOUR + 1, "30d1h1ns")]
)
def test_how_long_a_policy_keeps_points_is_said_in_words(duration: int, text: str) -> None:
    """A duration of 0 is for ever."""
    assert kept(Policy("p", duration, HOUR, is_default=False)) == text


A, B = (("host", "a"),), (("host", "b"),)


@pytest.mark.parametrize(
    ("source", "destination", "since"),
    [
        ({}, {}, END_OF_TIME),
        ({A: 5}, {A: 5}, END_OF_TIME),
        ({A: 5}, {A: 9}, END_OF_TIME),
        ({}, {A: 9}, END_OF_TIME),
        ({A: 9}, {A: 5}, 5),
        ({A: 9, B: 9}, {A: 5, B: 3}, 3),
        ({A: 9, B: 3}, {A: 5, B: 4}, 5),
        ({A: 9, B: 3}, {A: 5}, MIN_TIME),
    ],
)
def test_a_series_that_is_behind_the_source_hides_what_came_after_its_newest_point(
    source: dict[Tags, int], destination: dict[Tags, int], since: int
) -> None:
    """One that the destination lacks may hide points of any age; one that the source has lost hides none."""
    assert hidden_since(source, destination) == since


@pytest.mark.parametrize(
    ("types", "there", "found", "expected"),
    [
        ({"v": ("float",)}, {}, {"v": "float"}, True),
        ({"v": ("float",)}, {"v": ("float",), "w": ("string",)}, {"v": "float"}, True),
        ({"v": ("float",)}, {"v": ("integer",)}, {"v": "float"}, False),
        ({"v": ("float",)}, {"v": ("string",)}, {"v": "float"}, False),
        ({"v": ("float",)}, {"v": ("float", "integer")}, {"v": "float"}, False),
        ({"v": ("float",), "w": ("float",)}, {"w": ("integer",)}, {"v": "float", "w": "float"}, False),
        ({"v": ("float", "integer")}, {}, {"v": "float"}, False),
        ({"v": ("float",), "w": ("float", "integer")}, {"v": ("float",)}, {"v": "float"}, False),
    ],
)
def test_types_fit_where_the_destination_has_no_other_one(
    types: Types, there: Types, found: dict[str, str], expected: bool
) -> None:
    """In any of its shards; nor may one of the measurement's own fields have several."""
    policy = Policy("p", 0, DAY, is_default=True)
    target = Target("db", policy, policy, (), (), {"m": there})
    assert fits(Copy(Location("db", "p", "m"), target, types, ()), found) is expected


def test_fields_have_the_rules_of_their_measurement() -> None:
    """Without any of its own all are wanted."""
    rules = MeasurementRules.model_validate({"specific": {"cpu*": {"fields": {"include": ["v"]}}}})
    assert field_rules(rules, "cpu0") == rules.specific["cpu*"].fields != FieldRules()
    assert field_rules(rules, "mem") == FieldRules()
