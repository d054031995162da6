"""The whole trip with random data: names, tags, fields, values of all types, times, retention policies."""

import itertools

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from influx import influxql, line_protocol, pages, storable
from tests.integration.harness import DAY, Pair
from tests.support.servers import InfluxServer

# what InfluxDB can keep; the table in test_line_protocol.py has the names that it cannot
_characters = st.characters(codec="utf-8", exclude_characters="\n")
_nasty = st.sampled_from(
    [",", " ", "=", '"', "\\", "'", "\r", "\0", "\t", "%", "/", "*", "é", "🚀", "a", "Z", "_"]
)
_text = st.lists(_nasty | _characters, min_size=1, max_size=8).map("".join)
measurements = _text.filter(lambda n: not storable.measurement_problem(n))
# A tag and a field of one name that cannot be quoted cannot be told apart, whatever the policy: such a measurement
# is refused. So such names of tags have an odd length here, and those of fields an even one.
tag_keys = _text.filter(lambda n: not storable.tag_problem(n) and (influxql.is_quotable(n) or len(n) % 2 == 1))
tag_values = _text.filter(lambda n: not storable.tag_value_problem(n))
field_keys = _text.filter(lambda n: not storable.field_problem(n) and (influxql.is_quotable(n) or len(n) % 2 == 0))
values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.binary(max_size=20).filter(lambda b: b"\n" not in b) | st.text(max_size=10).map(str.encode),
)
times = st.one_of(
    st.integers(-9223372036854775806, 9223372036854775806),
    st.integers(-3, 3),
    st.integers(0, 40).map(lambda days: 1_704_067_200_000_000_000 + days * DAY),
)


@st.composite
def points(draw: st.DrawFn) -> list[line_protocol.Point]:
    """Points of a few measurements; a field has one type within four weeks, as a shard group demands."""
    names = draw(st.lists(measurements, min_size=1, max_size=3, unique=True))
    keys = draw(st.lists(tag_keys, min_size=1, max_size=3, unique=True))
    fields = draw(st.lists(field_keys, min_size=1, max_size=4, unique=True))
    result = []
    kinds: dict[tuple[str, str, int], type] = {}
    for _ in range(draw(st.integers(1, 25))):
        name, at = draw(st.sampled_from(names)), draw(times)
        tags = draw(st.dictionaries(st.sampled_from(keys), tag_values, max_size=3))
        chosen = draw(st.dictionaries(st.sampled_from(fields), values, min_size=1, max_size=4))
        period = at // (28 * DAY)
        kept = {
            field: value
            for field, value in chosen.items()
            if kinds.setdefault((name, field, period), type(value)) is type(value)
            and kinds.get((name, field, period - 1), type(value)) is type(value)
            and kinds.get((name, field, period + 1), type(value)) is type(value)
        }
        if not all(map(storable.needs_company, kept)):
            result.append(line_protocol.Point(name, tags, kept, at))
    return result


_numbers = itertools.count()


def examples(count: int) -> settings:
    """So many of them, always the same."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],  # each example is a run on two servers: too slow to shrink
        suppress_health_check=list(HealthCheck),
    )


def assert_arrives(data: st.DataObject, pair: Pair) -> None:
    """Random points in two policies are the same on both sides after a run. The databases are dropped."""
    source, database = pair.source, pair.database
    try:
        source.create_database(database)
        source.query(
            f'CREATE RETENTION POLICY "second" ON "{database}" DURATION INF REPLICATION 1 SHARD DURATION 3d'
        )
        for policy in ("autogen", "second"):
            for point in data.draw(points(), label=policy):
                source.write(line_protocol.encode_point(point), database, policy)
        result = pair.backup({"options": {"allow_empty": True}})  # no point may be drawn
        assert result.failures == ()
        if result.written.points:
            pair.assert_equal()
    finally:
        for server in (source, pair.destination):
            server.drop_database(database)


@pytest.mark.parametrize("cells", [12, 1_000_000])
@examples(60)
@given(data=st.data())
def test_random_points_arrive_unchanged(
    cells: int,
    data: st.DataObject,
    source: InfluxServer,
    destination: InfluxServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever InfluxDB can keep is copied exactly, with pages of any size and from several policies."""
    database = f"trip_{cells}_{next(_numbers)}"
    original, pages.PAGE_CELLS = pages.PAGE_CELLS, cells
    try:
        assert_arrives(data, Pair(source, destination, database, tmp_path_factory.mktemp("trip")))
    finally:
        pages.PAGE_CELLS = original
