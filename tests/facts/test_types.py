"""Fields whose type is another one in another shard."""

from __future__ import annotations

import pytest

from tests.facts.harness import DAY, MONDAY, WEEK, Database, choice

ODD = 9007199254740993
"""An integer that no float holds."""

TYPES = ("float", "integer", "string", "boolean")
VALUES = ("1.5", f"{ODD}i", '"text"', "true")
TIMES = tuple(MONDAY + i * WEEK for i in range(4))


@pytest.fixture
def mixed(db: Database) -> Database:
    """The field `v` in four shards: a float, an integer, a string, a boolean."""
    db.put(*(f"m v={value} {time}" for value, time in zip(VALUES, TIMES, strict=True)))
    return db


def _group(i: int) -> str:
    return f"time >= {TIMES[i]} AND time < {TIMES[i] + WEEK}"


def test_fields_of_several_types(mixed: Database) -> None:
    """SHOW FIELD KEYS lists a field once for each type that it has in a shard."""
    assert sorted(mixed.rows("SHOW FIELD KEYS")) == sorted(["v", type_] for type_ in TYPES)


def test_one_shard(mixed: Database) -> None:
    """A query of one shard group gives its values exactly, with the type in msgpack."""
    found = [mixed.rows(f'SELECT "v"::field FROM m WHERE {_group(i)} LIMIT 1') for i in range(4)]
    assert found == [[[t, v]] for t, v in zip(TIMES, (1.5, ODD, "text", True), strict=True)]
    assert [type(rows[0][1]) for rows in found] == [float, int, str, bool]


def test_several_shards(mixed: Database) -> None:
    """A query over shards of several types silently drops rows of strings and booleans, and rounds integers beside
    floats.
    """
    assert mixed.rows('SELECT "v"::field FROM m') == [[TIMES[0], 1.5], [TIMES[1], float(ODD)]]
    assert float(ODD) != ODD
    assert mixed.rows(f'SELECT "v"::field FROM m WHERE time >= {TIMES[2]}') == [[TIMES[2], "text"]]


def test_casts_of_numbers(mixed: Database) -> None:
    """`::integer` truncates floats, `::float` rounds integers; a cast between numbers and others gives no row."""
    assert mixed.rows('SELECT "v"::integer FROM m') == [[TIMES[0], 1], [TIMES[1], ODD]]
    assert mixed.rows('SELECT "v"::float FROM m') == [[TIMES[0], 1.5], [TIMES[1], float(ODD)]]


def test_casts_of_others(mixed: Database) -> None:
    """`::string` gives strings alone, `::boolean` booleans alone."""
    assert mixed.rows('SELECT "v"::string FROM m') == [[TIMES[2], "text"]]
    assert mixed.rows('SELECT "v"::boolean FROM m') == [[TIMES[3], True]]


def test_counts_of_kinds(mixed: Database) -> None:
    """Counting as any number type counts all numbers, as string or boolean those alone, whatever the
    shards hold.
    """
    columns = ", ".join(f'count("v"::{type_})' for type_ in TYPES)
    assert mixed.rows(f"SELECT {columns} FROM m") == [[0, 2, 2, 1, 1]]
    assert mixed.rows(f"SELECT {columns} FROM m WHERE {_group(2)}") == [[TIMES[2], None, None, 1, None]]


def test_edges_of_kinds(mixed: Database) -> None:
    """`first` and `last` with a cast find the right time among the shards of that kind, exact between number
    types.
    """
    edges = {
        type_: [mixed.rows(f'SELECT {edge}("v"::{type_}) FROM m')[0][0] for edge in ("first", "last")]
        for type_ in TYPES
    }
    numbers = [TIMES[0], TIMES[1]]
    others = {"string": [TIMES[2]] * 2, "boolean": [TIMES[3]] * 2}
    assert edges == {"float": numbers, "integer": numbers, **others}


def test_casts_of_tags(db: Database) -> None:
    """A cast field is never a tag of the same name."""
    db.put("m,v=tag v=1 1")
    assert db.rows('SELECT count("v"::float), count("v"::string) FROM m') == [[0, 1, None]]


def test_type_of_a_shard(db: Database) -> None:
    """A value of another type in the same shard is refused, in another shard group it is taken."""
    db.put(f"m v=1 {MONDAY}")
    assert db.send(f"m v=1i {MONDAY + DAY}").status == 400
    db.put(f"m v=1i {MONDAY + WEEK}")
    assert sorted(db.rows("SHOW FIELD KEYS")) == [["v", "float"], ["v", "integer"]]


def test_conflict_in_a_request(db: Database, outcome: str) -> None:
    """What becomes of a request with two types of a new field in one shard: 400, and ..."""
    db.put("other v=1 1")
    answer = db.send("m v=1i 1", "m v=2 2", "m v=3i 3")
    assert (answer.status, "field type conflict" in answer.error) == (400, True)
    kinds = {"the first type stays": [[1, 1], [3, 3]], "nothing of it is written": []}
    found = db.rows("SELECT v FROM m")
    assert choice((name, found == rows) for name, rows in kinds.items()) == outcome


def test_one_type_of_two_measurements(db: Database) -> None:
    """Measurements that are read with one regex share one type for each field name: rows of another one are lost
    or changed.
    """
    db.put(f"ma v={ODD}i 1", "mb v=1.5 1", "mc v=true 1")
    assert sorted(db.rows("SELECT v FROM /m./")) == [[1, 1.5], [1, float(ODD)]]


def test_delete_and_types(db: Database) -> None:
    """DELETE of some points of a measurement keeps the type of a field in their shard, DROP MEASUREMENT
    clears it.
    """
    db.put("m v=1 1", "m w=1 2")
    db.rows("DELETE FROM m WHERE time = 1")
    assert db.send("m v=1i 1").status == 400
    db.rows("DROP MEASUREMENT m")
    db.put("m v=1i 1")


def test_delete_of_everything(db: Database, outcome: str) -> None:
    """Whether DELETE of all points of a measurement clears the types of its fields."""
    db.put("m v=1 1", "other v=1 1")
    db.rows("DELETE FROM m")
    assert db.rows("SELECT v FROM m") == []
    assert {400: "kept", 204: "cleared"}[db.send("m v=1i 1").status] == outcome


def test_fields_of_deleted_points(db: Database) -> None:
    """SHOW FIELD KEYS goes on listing a field after all of its points were deleted, while its measurement has
    others.
    """
    db.put("m v=1 1", "m w=1 2")
    db.rows("DELETE FROM m WHERE time = 1")
    assert db.names("SHOW FIELD KEYS") == ["v", "w"]
