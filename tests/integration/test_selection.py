"""Which databases, measurements, fields and types are copied, and under which names."""

from typing import Any

import pytest

from main import run_worker
from tests.integration.harness import MONDAY, WEEK, Pair, job_config, snapshot, write_job
from tests.support.reader import difference

DATA = (
    'cpu usage=1,idle=2i,label="x",on=true 1\ncpu.load one=1 1\ndisk used=1 1\ndisk_io reads=1i 1\n'
    'Disk used=1 1\nmem free=1i,note="n" 1'
)


def names(pair: Pair) -> set[tuple[str, str]]:
    """Measurement and field of everything in the destination."""
    return {(at[1].decode(), at[3].decode()) for at in pair.found().points}


@pytest.mark.parametrize(
    ("measurements", "expected"),
    [
        ({"include": ["disk*"]}, {"disk", "disk_io"}),
        ({"include": ["disk"]}, {"disk"}),
        ({"include": ["/^[dD]isk/"]}, {"disk", "disk_io", "Disk"}),
        ({"exclude": ["disk*", "mem"]}, {"cpu", "cpu.load", "Disk"}),
        ({"include": ["cpu*", "mem"], "exclude": ["/load$/"]}, {"cpu", "mem"}),
    ],
)
def test_measurements_are_included_first_and_then_excluded(
    measurements: dict[str, list[str]], expected: set[str], pair: Pair
) -> None:
    """Exact names, globs and regexes."""
    pair.write(DATA)
    assert pair.backup({"measurements": measurements}).succeeded
    assert {m for m, _ in names(pair)} == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"include": ["usage", "i*"]}, {"usage", "idle"}),
        ({"exclude": ["/^u/"]}, {"idle", "label", "on"}),
        ({"types": ["numeric"]}, {"usage", "idle"}),
        ({"types": ["float"]}, {"usage"}),
        ({"types": ["integer", "boolean"]}, {"idle", "on"}),
        ({"types": ["string"]}, {"label"}),
        ({"include": ["u*", "l*"], "types": ["string"]}, {"label"}),
    ],
)
def test_fields_of_a_measurement_are_selected_by_name_and_type(
    fields: dict[str, list[str]], expected: set[str], pair: Pair
) -> None:
    """The rules hold for that measurement alone."""
    pair.write(DATA)
    assert pair.backup({"measurements": {"specific": {"cpu": {"fields": fields}}}}).succeeded
    assert {f for m, f in names(pair) if m == "cpu"} == expected
    assert {f for m, f in names(pair) if m == "mem"} == {"free", "note"}


def test_rules_find_a_measurement_with_dots_in_its_name(pair: Pair) -> None:
    """`specific` is looked up by the whole name."""
    pair.write("cpu.load one=1,two=2 1\ncpu one=1,two=2 1")
    sections = {"measurements": {"specific": {"cpu.load": {"fields": {"include": ["one"]}}}}}
    assert pair.backup(sections).succeeded
    assert names(pair) == {("cpu.load", "one"), ("cpu", "one"), ("cpu", "two")}


def test_types_select_values_where_a_field_changes_its_type(pair: Pair) -> None:
    """Only the shards in which the field has a wanted type are copied."""
    pair.write(f'm v=1,w=1i {MONDAY}\nm v="text",w=2i {MONDAY + WEEK}\nm v="only" {MONDAY + WEEK + 1}')
    sections = {"measurements": {"specific": {"m": {"fields": {"types": ["numeric"]}}}}}
    assert pair.backup(sections).succeeded
    found = {(at[3], at[4]) for at in pair.found().points}
    assert found == {(b"v", MONDAY), (b"w", MONDAY), (b"w", MONDAY + WEEK)}


def _run(pair: Pair, databases: Any, source: dict[str, str]) -> None:  # noqa: ANN401
    config = job_config(pair.source, pair.destination, databases, {"source": source})
    assert run_worker(write_job(pair.directory, config)).succeeded


def test_prefix_and_suffix_stand_once_around_the_destination_name(pair: Pair) -> None:
    """Around the mapped name, not the source's."""
    pair.write("m v=1 1")
    name = f"pre_{pair.database}_mapped_post"
    try:
        _run(pair, {pair.database: f"{pair.database}_mapped"}, {"prefix": "pre_", "suffix": "_post"})
        _run(pair, {pair.database: f"{pair.database}_mapped"}, {"prefix": "pre_", "suffix": "_post"})
        copied = snapshot(pair.destination, name)
        assert difference(snapshot(pair.source, pair.database), copied) == ""
        assert {d for d in _databases(pair) if pair.database in d} == {name}
    finally:
        pair.destination.drop_database(name)


def _databases(pair: Pair) -> set[str]:
    return {row[0] for row in pair.destination.rows("SHOW DATABASES")}


def test_an_empty_list_of_databases_means_all_but_internal(pair: Pair) -> None:
    """Every database of the source that is not the server's own."""
    pair.write("m v=1 1")
    there = {row[0] for row in pair.source.rows("SHOW DATABASES")} - {"_internal"}
    _run(pair, [], {"prefix": "all_"})
    copied = {name for name in _databases(pair) if name.startswith("all_")}
    try:
        assert copied == {f"all_{name}" for name in there}
    finally:
        for name in copied:
            pair.destination.drop_database(name)
