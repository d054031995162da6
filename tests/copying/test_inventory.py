"""What is said of rules that match nothing, of jobs that copy nothing, and of what only the destination has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from basics.times import DAY
from config import parse_config
from copying import inventory
from copying.inventory import DatabaseInventory, FieldThere, Inventory
from copying.task import Target
from influx.influxql import Location, Policy
from settings.keys import Job

POLICY = Policy("p", 0, DAY, is_default=True)


def job(
    measurements: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
    **options: Any,  # noqa: ANN401
) -> Job:
    """A job with these rules and options."""
    config = {
        "source": {"url": "http://a:8086", **(source or {})},
        "destination": {"url": "http://b:8086"},
        "measurements": dict(measurements or {}),
        "options": {"backup_mode": "incremental", **options},
    }
    return parse_config(yaml.safe_dump(config, sort_keys=False), {}, "job.yaml")


def found(*databases: DatabaseInventory, **more: Any) -> Inventory:  # noqa: ANN401
    """All that there is."""
    return Inventory(databases, **more)


IDLE = "has no effect: what it matches is left out by other rules, or has rules of its own"
CPU = DatabaseInventory("db", ("cpu", "disk"), fields={"cpu": {"usage": ("float",), "idle": ("integer",)}})

# ---------------------------------------------------------------- nothing to copy


def test_a_job_without_anything_to_copy_says_why() -> None:
    """No database, no measurement, or none that the rules leave; each with what to do."""
    remedy = "; correct that, or set options.allow_empty: true if it may be so"
    empty, other = DatabaseInventory("one"), DatabaseInventory("two")
    assert inventory.emptiness(job(), found()) == (
        f"nothing to copy: http://a:8086 shows this user no database but _internal{remedy}"
    )
    assert inventory.emptiness(job(), found(empty, other)) == (
        f"nothing to copy: one, two at http://a:8086 holds no measurement{remedy}"
    )
    assert inventory.emptiness(job({"include": ["mem"]}), found(empty, CPU)) == (
        f"nothing to copy: measurements.include and .exclude leave no measurement of one, db{remedy}"
    )


def test_nothing_is_said_where_something_may_be_copied() -> None:
    """One measurement of one database is enough; nor where nothing may be there, or is not known."""
    assert not inventory.emptiness(job({"include": ["disk"]}), found(DatabaseInventory("one"), CPU))
    assert not inventory.emptiness(job(allow_empty=True), found())
    assert not inventory.emptiness(job(), found(is_whole=False))


def test_a_database_of_which_nothing_is_copied_is_named() -> None:
    """Beside others, of which something is."""
    assert inventory.empty_database(job(), DatabaseInventory("a\nb")) == (
        "database a\\nb: no measurement at http://a:8086; nothing of it is copied"
    )
    assert inventory.empty_database(job({"exclude": ["cpu", "disk"]}), CPU) == (
        "database db: no measurement that the rules select; nothing of it is copied"
    )
    assert not inventory.empty_database(job({"exclude": ["cpu"]}), CPU)
    assert not inventory.empty_database(job(allow_empty=True), DatabaseInventory("db"))


def test_a_database_is_found_by_its_name() -> None:
    """One that could not be looked at is not there."""
    both = found(DatabaseInventory("other"), CPU)
    assert both.of("db") == (CPU,)
    assert both.of("d") == ()


# ---------------------------------------------------------------- rules that match nothing


def unmatched(rules: Mapping[str, Any], *databases: DatabaseInventory) -> list[str]:
    """What is said of these rules."""
    return list(inventory.unmatched_rules(job(rules), found(*databases or (CPU,))))


def test_each_pattern_of_measurements_that_matches_nothing_is_named_by_its_place() -> None:
    """With what comes nearest; in any of the databases is enough."""
    assert unmatched({"include": ["cpu", "dsk"], "exclude": ["/temp/", "disk"]}) == [
        "measurements.include[1]: 'dsk' matches no measurement of db; did you mean 'disk'?",
        "measurements.exclude[0]: '/temp/' matches no measurement of db; correct or remove it",
    ]
    assert unmatched({"include": ["cpu", "mem"]}, CPU, DatabaseInventory("other", ("mem",))) == []


def test_rules_of_fields_are_looked_at_where_they_hold() -> None:
    """Patterns and types, in all databases; an exact name comes before a pattern."""
    fields = {"include": ["usage", "idel"], "exclude": ["x*"], "types": ["numeric", "string"]}
    specific = {"cpu": {"fields": fields}, "c*": {"fields": {"include": ["load"]}}, "net": {"fields": {}}}
    assert unmatched({"specific": specific}) == [
        "measurements.specific.cpu.fields.include[1]: 'idel' matches no field there; did you mean 'idle'?",
        "measurements.specific.cpu.fields.exclude[0]: 'x*' matches no field there; correct or remove it",
        "measurements.specific.cpu.fields.types: no field there is string; correct or remove it",
        f"measurements.specific.c*: {IDLE}",
        "measurements.specific.net: 'net' matches no measurement of db; correct or remove it",
    ]
    more = {"cpu": {"x": ("float",), "text": ("string",)}, "cpus": {"load": ("float",)}}
    other = DatabaseInventory("other", ("cpu", "cpus"), fields=more)
    specific["cpu"] = {"fields": {**fields, "include": ["usage", "text"]}}
    del specific["net"]
    assert unmatched({"specific": specific}, CPU, other) == []


def test_types_are_looked_for_among_the_fields_that_are_selected() -> None:
    """Others do not count; nor do rules of a measurement that is left out have an effect."""
    rules = {"include": ["usage"], "types": ["float", "integer"]}
    said = "measurements.specific.cpu.fields.types: no field there is integer; correct or remove it"
    assert unmatched({"specific": {"cpu": {"fields": rules}}}) == [said]
    assert unmatched({"exclude": ["cpu"], "specific": {"cpu": {"fields": rules}}}) == [
        f"measurements.specific.cpu: {IDLE}"
    ]


def test_types_of_one_field_in_several_databases_are_all_known() -> None:
    """Of the same measurement, in the order of the databases."""
    parts = [DatabaseInventory(n, ("m",), fields={"m": {"v": (t,)}}) for n, t in (("a", "float"), ("b", "string"))]
    assert unmatched({"specific": {"m": {"fields": {"types": ["float", "string"]}}}}, *parts) == []


def test_nothing_is_said_of_rules_where_not_all_could_be_looked_at() -> None:
    """What was not seen may match."""
    rules = job({"include": ["mem"]})
    assert inventory.unmatched_rules(rules, found(CPU))
    assert inventory.unmatched_rules(rules, found(CPU, is_whole=False)) == ()
    assert inventory.unmatched_rules(rules, found()) == ()


def test_five_names_are_shown_and_how_many_there_are_more() -> None:
    """Each as one line of plain text."""
    assert inventory.shown([*"abcd", "e\n"]) == "a, b, c, d, e\\n"
    assert inventory.shown([*"abcdef"]) == "a, b, c, d, e and 1 more"
    assert inventory.shown([str(n) for n in range(2000)]).endswith("3, 4 and 1,995 more")


# ---------------------------------------------------------------- what only the destination has


def test_databases_that_only_the_destination_has_are_named() -> None:
    """With their number."""
    assert not inventory.lost_databases(job(), found(CPU))
    said = inventory.lost_databases(job(), found(CPU, orphans=("x", "y")))
    assert said.startswith("the destination holds 2 databases that http://a:8086 does not show this user: x, y; ")


def test_measurements_that_only_the_destination_has_are_named_if_the_job_wants_them() -> None:
    """By the name of the copy."""
    known = DatabaseInventory("db", ("cpu",), ("cpu", "mem", "disk", "out"))
    wanted = job({"exclude": ["out"]}, {"suffix": "_bak"})
    assert inventory.lost_measurements(wanted, known) == (
        "database db: the destination's db_bak holds 2 measurements that the source does not: disk, mem; "
        "dropped there, or of another origin: they stay"
    )
    assert not inventory.lost_measurements(job({"include": ["cpu"]}), known)


def target(written: Mapping[str, Any], source: Mapping[str, Any], *, is_foreign: bool = False) -> Target:
    """A policy with these measurements and fields on both sides."""
    return Target("copy", POLICY, POLICY, (), (), written, source, is_foreign=is_foreign)


FLOAT, WHOLE, TEXT = ("float",), ("integer",), ("string",)
THERE = {"cpu": {"v": FLOAT, "more": FLOAT, "text": TEXT}, "mem": {"v": FLOAT}, "out": {"v": FLOAT}}


def test_fields_that_only_the_destination_shows_are_those_that_the_rules_select() -> None:
    """By measurement, name and type; of a measurement that the source lacks all of them."""
    known = target(THERE, {"cpu": {"v": WHOLE}})
    rules = {"exclude": ["out"], "specific": {"c*": {"fields": {"types": ["float"]}}}}
    assert inventory.only_there(job(rules), known) == [
        (Location("copy", "p", "cpu"), "more", FLOAT),
        (Location("copy", "p", "mem"), "v", FLOAT),
    ]
    assert inventory.only_there(job(), target(THERE, THERE)) == []
    mixed = target({"m": {"v": ("float", "string")}}, {})
    only_text = job({"specific": {"m": {"fields": {"types": ["string"]}}}})
    assert inventory.only_there(only_text, mixed) == [(Location("copy", "p", "m"), "v", TEXT)]


@pytest.mark.parametrize(
    ("types", "group_by", "fields"),
    [(["integer"], "1h", ["f"]), (["integer"], None, []), (["string"], "1h", ["s"]), ([], "1h", ["f", "s"])],
)
def test_means_of_numbers_are_floats_whatever_is_selected(
    types: list[str], group_by: str | None, fields: list[str]
) -> None:
    """A field of integers at the source is one of floats there; other types stay as they are."""
    rules = {"specific": {"m": {"fields": {"types": types}}}}
    downsampled = job(rules, {"group_by": group_by} if group_by else {})
    known = target({"m": {"f": FLOAT, "s": TEXT}}, {})
    assert [name for _, name, _ in inventory.only_there(downsampled, known)] == fields


def test_what_is_lost_in_policies_is_told_for_each_of_them() -> None:
    """A whole policy by its name alone; else measurements that this policy lacks, and fields of others."""
    place = Location("copy", "p", "cpu")
    held = [
        (target(THERE, {}, is_foreign=True), [(place, "v", FLOAT)]),
        (
            target(THERE, {"cpu": {"v": FLOAT}}),
            [(place, "more", FLOAT), (place, "text", TEXT), (Location("copy", "p", "mem"), "v", FLOAT)],
        ),
    ]
    there, rest = "database db: the destination's db_bak", "; dropped there, or of another origin: they stay"
    assert inventory.lost_in_policies(job(source={"suffix": "_bak"}), CPU, held) == (
        f"{there} holds 1 policy that the source does not: p{rest}",
        f"{there}.p holds 1 measurement that the source does not: mem{rest}",
        f"{there}.p holds 2 fields that the source does not: cpu.more, cpu.text{rest}",
    )
    nothing: list[tuple[Target, list[FieldThere]]] = [(target({}, {}, is_foreign=True), []), (target({}, {}), [])]
    assert inventory.lost_in_policies(job(), CPU, nothing) == ()
