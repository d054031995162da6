"""InfluxClient's public methods on a real server: what they give, and what they raise."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from basics.spans import Span
from basics.stopping import StopRequest
from config import Config
from influx.counting import Count
from influx.errors import AccessDenied, NotFound, QueryRefused, TooManySeries, WriteRefused
from influx.fingerprints import Look
from influx.influxql import Location, Policy
from influx.line_protocol import Point
from influx.pages import Ask
from influx_client import InfluxClient, connect
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair, write_job
from tests.support.reader import exact, key, read_database
from tests.support.servers import InfluxServer


@pytest.fixture
def client(pair: Pair) -> Iterator[InfluxClient]:
    """A client of the source, which holds the pair's database."""
    pair.write(
        f"cpu,host=a,rack=1 v=1.5,n=1i {MONDAY}\ncpu,host=b v=2.5 {MONDAY + HOUR}\n"
        f'cpu,host=a n=3i,s="x" {MONDAY + WEEK}\nmem free=true {MONDAY}\nchanging v=1i {MONDAY}\n'
        f"changing v=2.5 {MONDAY + WEEK}"
    )
    config = Config(write_job(pair.directory, pair.config({"options": {"retries": 0}})))
    found = connect(config.job.options, config.job.source, "source", StopRequest())
    yield found
    found.close()


def cpu(pair: Pair) -> Location:
    """The measurement of most tests."""
    return Location(pair.database, "autogen", "cpu")


def test_it_lists_what_the_server_holds(client: InfluxClient, pair: Pair) -> None:
    """Databases without `_internal`, policies, measurements, fields with all their types, tags, shard groups."""
    assert client.version.startswith("1.")
    assert pair.database in client.get_databases()
    assert "_internal" not in client.get_databases()
    assert client.get_retention_policies(pair.database) == (Policy("autogen", 0, WEEK, True),)
    assert client.get_measurements(pair.database) == ("changing", "cpu", "mem")
    fields = client.get_field_keys(pair.database, "autogen")
    assert fields["cpu"] == {"n": ("integer",), "s": ("string",), "v": ("float",)}
    assert set(fields["changing"]["v"]) == {"integer", "float"}
    assert client.get_tag_keys(pair.database) == {"cpu": ("host", "rack")}
    assert client.get_shard_groups(pair.database, "autogen") == (
        Span(MONDAY, MONDAY + WEEK),
        Span(MONDAY + WEEK, MONDAY + 2 * WEEK),
    )


def test_first_and_last_timestamps_are_per_field_and_type(client: InfluxClient, pair: Pair) -> None:
    """A field that changes its type has the edges of all its types; `end` is exclusive."""
    assert client.get_first_timestamp(cpu(pair), "v", ["float"]) == MONDAY
    assert client.get_last_timestamp(cpu(pair), "v", ["float"]) == MONDAY + HOUR
    assert client.get_last_timestamp(cpu(pair), "n", ["integer"]) == MONDAY + WEEK
    assert client.get_last_timestamp(cpu(pair), "n", ["integer"], end=MONDAY + WEEK) == MONDAY
    assert client.get_last_timestamp(cpu(pair), "no_such_field", ["float"]) is None
    changing = Location(pair.database, "autogen", "changing")
    assert client.get_first_timestamp(changing, "v", ["integer", "float"]) == MONDAY
    assert client.get_last_timestamp(changing, "v", ["integer", "float"]) == MONDAY + WEEK
    assert client.get_field_type(changing, "v", Span(MONDAY, MONDAY + WEEK)) == "integer"
    assert client.get_field_type(changing, "v", Span(MONDAY + WEEK, MONDAY + 2 * WEEK)) == "float"
    assert client.get_field_type(changing, "v", Span(MONDAY - WEEK, MONDAY)) is None
    types: dict[str, tuple[str, ...]] = {"v": ("float",), "n": ("integer",), "s": ("string",), "none": ("float",)}
    counted = client.count_values(cpu(pair), types, Span(MONDAY, MONDAY + WEEK + 1))
    assert counted == {"v": 2, "n": 2, "s": 1, "none": 0}


def test_a_range_is_one_dataframe(client: InfluxClient, pair: Pair) -> None:
    """Time, fields and tags as columns, ordered by time, with the server's types; the end is not in it."""
    frame = client.query_to_dataframe(cpu(pair), ["v", "n"], ["host"], Span(MONDAY, MONDAY + WEEK))
    assert frame["time", ""].tolist() == [MONDAY, MONDAY + HOUR]
    assert frame["tag", "host"].tolist() == ["a", "b"]
    assert frame["field", "v"].tolist() == [1.5, 2.5]
    assert frame["field", "n"].isna().tolist() == [False, True]
    nothing = client.query_to_dataframe(cpu(pair), ["v"], ["host"], Span(MONDAY - 2, MONDAY - 1))
    assert len(nothing) == 0


def test_a_dataframe_is_written_with_its_types(client: InfluxClient, pair: Pair) -> None:
    """What was read from one measurement arrives in another."""
    frame = client.query_to_dataframe(
        cpu(pair), ["v", "n", "s"], ["host", "rack"], Span(MONDAY, MONDAY + 2 * WEEK)
    )
    written = client.write_dataframe(frame, Location(pair.database, "autogen", "copy"))
    assert (written.points, written.values, written.expired, written.refusals) == (3, 5, 0, ())
    points = read_database(pair.source.url, pair.database).points
    original = {at[2:]: value for at, value in points.items() if at[1] == b"cpu"}
    assert {at[2:]: value for at, value in points.items() if at[1] == b"copy"} == original


def test_single_points_are_written(client: InfluxClient, pair: Pair) -> None:
    """Of all types, with awkward names."""
    points = [
        Point("p q", {"t": "x,y=z", "empty": ""}, {"f": -0.0, "i": 2**63 - 1, "b": True, "s": b'"\\'}, MONDAY),
        Point("p q", {"t": "C:\\ x"}, {"f": 1e300}, MONDAY + 1),
    ]
    written = client.write_points(points, pair.database, "autogen")
    assert (written.points, written.values) == (2, 5)
    found = read_database(pair.source.url, pair.database).points
    assert found[key("autogen", "p q", {"t": "x,y=z"}, "f", MONDAY)] == exact(-0.0)
    assert found[key("autogen", "p q", {"t": "x,y=z"}, "i", MONDAY)] == exact(2**63 - 1)
    assert found[key("autogen", "p q", {"t": "x,y=z"}, "s", MONDAY)] == exact(b'"\\')
    assert found[key("autogen", "p q", {"t": "C:\\ x"}, "f", MONDAY + 1)] == exact(1e300)


def test_databases_and_policies_are_created_as_told(client: InfluxClient, pair: Pair) -> None:
    """Creating them again changes nothing; another duration under the same name is refused."""
    name = f"{pair.database}_new"
    default, other = Policy("main", 30 * DAY, DAY, True), Policy("more", 0, 2 * DAY, False)
    try:
        for _ in range(2):
            client.create_database(name, default)
            client.create_retention_policy(name, other)
        assert set(client.get_retention_policies(name)) == {default, other}
        with pytest.raises(QueryRefused, match="already exists"):
            client.create_retention_policy(name, Policy("more", 0, 3 * DAY, False))
    finally:
        pair.source.drop_database(name)


def test_what_does_not_exist_is_an_error_and_not_an_empty_answer(client: InfluxClient, pair: Pair) -> None:
    """The message names the server and what was asked."""
    missing = Location("no_such_database", "autogen", "m")
    with pytest.raises(NotFound, match=f"source {pair.source.url}: query SHOW RETENTION POLICIES"):
        client.get_retention_policies("no_such_database")
    with pytest.raises(NotFound, match="database not found"):
        client.query_to_dataframe(missing, ["v"], [], Span(0, 1))
    with pytest.raises(NotFound, match="database not found"):
        client.write_points([Point("m", {}, {"v": 1.0}, 1)], "no_such_database", "autogen")
    with pytest.raises(NotFound, match="retention policy not found"):
        client.write_points([Point("m", {}, {"v": 1.0}, 1)], pair.database, "no_such_policy")
    with pytest.raises(QueryRefused, match="error parsing query"):
        client.query_data("SELECT nonsense FROM")
    with pytest.raises(WriteRefused, match=r"'v'.*float in the source and integer"):
        client.write_points([Point("changing", {}, {"v": 1.0}, MONDAY + 1)], pair.database, "autogen")


def test_names_from_the_server_cannot_inject_a_statement(client: InfluxClient, pair: Pair) -> None:
    """A measurement, a tag and a field with InfluxQL inside are names like any others."""
    evil = '"; DROP DATABASE x --'
    point = Point(evil, {evil: evil}, {evil: 1.0}, MONDAY)
    client.write_points([point], pair.database, "autogen")
    location = Location(pair.database, "autogen", evil)
    frame = client.query_to_dataframe(location, [evil], [evil], Span(MONDAY, MONDAY + 1))
    assert frame["tag", evil].tolist() == [evil]
    assert evil in client.get_measurements(pair.database)


def test_a_job_needs_no_more_than_a_path(pair: Pair, tmp_path: Path) -> None:
    """Config gives single values by their dotted key."""
    config = Config(write_job(tmp_path, pair.config({"options": {"retries": 7}})))
    assert config.get("options.retries") == 7
    assert config.get("options.nothing", "default") == "default"


def test_questions_longer_than_a_form_are_asked_in_parts(client: InfluxClient, pair: Pair) -> None:
    """Go reads no more than 10 MB of a form: edges, counts and single points of fields with very long names."""
    names = [f"{'n' * 12_000}{i}" for i in range(900)]
    pair.write(f"wide {','.join(f'{n}=1' for n in names)} {MONDAY}")
    wide = Location(pair.database, "autogen", "wide")
    assert client.get_edges("last", [(wide, name, ["float"]) for name in names]) == [MONDAY] * len(names)
    counts = [Count(wide, dict.fromkeys(names, ("float",)), Span(MONDAY, MONDAY + n)) for n in (1, 2)]
    assert [sum(found.values()) for found in client.count_many(counts)] == [900, 900]
    (found,) = client.get_fingerprints([Look(wide, counts[0].types, counts[0].span)])
    assert found is not None
    assert len(found) == 1
    sent = [(Span(0, n), Point("wide", {}, {name: 1.0}, MONDAY)) for n, name in enumerate(names)]
    assert client.find_lost(
        [*sent, (Span(1, 2), Point("wide", {}, {"no": 1.0}, 1))], pair.database, "autogen"
    ) == [Span(1, 2)]
    with pytest.raises(QueryRefused, match="exclude fields"):
        client.read_page(wide, dict.fromkeys(names, ("float",)), (), Span(MONDAY, MONDAY + 1))


def test_many_measurements_with_long_names_are_read_in_parts(client: InfluxClient, pair: Pair) -> None:
    """Together their statements would be a form of more than 10 MB."""
    names = [f"{'n' * 12_000}{i}" for i in range(500)]
    for first in range(0, len(names), 250):
        pair.write("\n".join(f"{name} v=1 {MONDAY}" for name in names[first : first + 250]))
    asked = [
        Ask(Location(pair.database, "autogen", name), {"v": ("float",)}, (), Span(MONDAY, MONDAY + 1))
        for name in names
    ]
    found = client.read_together(asked, 10)
    assert [None if frame is None else len(frame) for frame in found] == [1] * len(names)


def test_counts_that_are_too_much_for_the_server_are_asked_in_halves(pair: Pair) -> None:
    """Of the range, as long as it can be divided; then the limit is named."""
    with InfluxServer.start("few", settings={"coordinator.max-select-series": 10}) as few:
        own = Pair(few, pair.destination, pair.database, pair.directory)
        for week in range(3):  # more than ten series in all shards, but not in one
            own.write("\n".join(f'fine,h={week}{h} v={h},s="x" {MONDAY + week * WEEK}' for h in range(8)))
        own.write("\n".join(f"many,h={h} v={h} {MONDAY}" for h in range(11)))
        config = Config(write_job(own.directory, own.config({"options": {"retries": 0}})))
        client = connect(config.job.options, config.job.source, "source", StopRequest())
        types = {"v": ("float",), "s": ("string",)}
        fine, many = (Location(pair.database, "autogen", name) for name in ("fine", "many"))
        span = Span(MONDAY, MONDAY + 3 * WEEK)
        assert client.count_values(fine, types, span) == {"v": 24, "s": 24}
        two = Span(MONDAY, MONDAY + 2 * WEEK)
        assert client.count_many([Count(fine, types, span), Count(fine, {"v": ("float",)}, two)]) == [
            {"v": 24, "s": 24},
            {"v": 16},
        ]
        with pytest.raises(TooManySeries, match="max-select-series"):
            client.count_values(many, {"v": ("float",)}, span)
        client.close()


def test_a_question_that_is_turned_away_is_not_counted_as_asked(pair: Pair) -> None:
    """The server does not count it either: it would outweigh one of somebody else."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER reader WITH PASSWORD 'pw'")
        guarded.create_database("db")
        own = Pair(guarded, pair.destination, "db", pair.directory)
        login = {"source": {"user": "reader", "password": "pw"}, "options": {"retries": 0}}
        config = Config(write_job(pair.directory, own.config(login)))
        with closing(connect(config.job.options, config.job.source, "source", StopRequest())) as client:
            client.get_databases()
            assert client.questions == 1
            guarded.query("SET PASSWORD FOR reader = 'other'")
            with pytest.raises(AccessDenied):
                client.get_databases()
            assert client.questions == 1
