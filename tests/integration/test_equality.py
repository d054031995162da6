"""Equality is the identity of points: opposite differences do not hide each other, whatever their age."""

import json
import time
from pathlib import Path

import pytest

from checking.verdict import JobVerdict, Scope
from copying.results import JobResult
from tests.integration.harness import DAY, HOUR, MONDAY, READER, WEEK, Pair
from tests.integration.test_late_data import NOW, run_at
from tests.integration.test_verify import sums, verified
from tests.support.proxy import Exchange, Proxy, forward, only

MINUTE = HOUR // 60


def minutely(begin: int, end: int, tags: str = "host=a", value: str = "v=1") -> str:
    """A point each minute, in [begin, end); all of the same value, so that only their times tell them apart."""
    return "\n".join(f"cpu,{tags} {value} {t}" for t in range(begin, end, MINUTE))


def at_destination(pair: Pair, lines: str) -> None:
    """Points that the destination has of another origin."""
    pair.destination.create_database(pair.database)
    pair.destination.write(lines, pair.database)


def only_there(pair: Pair) -> int:
    """How many values only the destination holds; none of the source's is missing or different there."""
    source, destination = (snapshot.points for snapshot in pair.snapshots())
    assert {key: destination.get(key) for key in source} == source
    return len(destination) - len(source)


def compared(pair: Pair) -> dict[str, object]:
    """What the memory of earlier runs holds."""
    (file,) = Path(pair.directory / "quarantine" / ".compared").glob("*.json")
    found = json.loads(file.read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.usefixtures("quick")
def test_a_point_of_another_series_does_not_stand_for_one_that_is_missing(pair: Pair) -> None:
    """One value on each side, at the same time: verify says what is missing and what is extra; a run brings it."""
    pair.write(f"cpu,host=a v=1 {NOW - HOUR}")
    at_destination(pair, f"cpu,host=b v=1 {NOW - HOUR}")
    assert sums(verified(pair)) == (1, 1, 0)
    result = run_at(pair, NOW)
    assert (result.failures, result.late) == ((), 1)
    assert only_there(pair) == 1


def halves(pair: Pair, begin: int, middle: int, end: int) -> None:
    """One series: the source holds it until the middle, the destination from there on."""
    pair.write(minutely(begin, middle))
    at_destination(pair, minutely(middle, end))


@pytest.mark.parametrize(
    ("begin", "middle", "end"),
    [
        (NOW - 20 * MINUTE, NOW - 10 * MINUTE, NOW),
        (NOW - 80 * MINUTE, NOW - 70 * MINUTE, NOW),
        (NOW - 10 * DAY, NOW - 10 * DAY + 6 * HOUR, NOW - 10 * DAY + 12 * HOUR),
        (NOW - 20 * DAY, NOW - 9 * DAY, NOW),
    ],
    ids=["minutes", "within an hour", "hours, days ago", "weeks"],
)
@pytest.mark.usefixtures("quick")
def test_opposite_halves_of_one_series_are_both_there_in_the_end(
    begin: int, middle: int, end: int, pair: Pair
) -> None:
    """As where people switch their writers to the new server first, and copy the history then."""
    halves(pair, begin, middle, end)
    there, here = (middle - begin) // MINUTE, (end - middle) // MINUTE
    assert sums(verified(pair)) == (there, here, 0)
    result = run_at(pair, NOW)
    assert result.failures == ()
    assert only_there(pair) == here
    assert sums(verified(pair)) == (0, here, 0)
    again = run_at(pair, NOW)
    assert (again.failures, again.late) == ((), 0)


def test_points_at_other_times_with_the_same_number_sum_and_ends_are_found(pair: Pair) -> None:
    """Constant values: only the times between the first and the last are not the same."""
    day = NOW - 9 * DAY
    ends = f"cpu,host=a v=1 {day}\ncpu,host=a v=1 {day + 12 * HOUR}\n"
    pair.write(ends + minutely(day + HOUR, day + 2 * HOUR))
    at_destination(pair, ends + minutely(day + 3 * HOUR, day + 4 * HOUR))
    result = run_at(pair, NOW)
    assert (result.failures, result.late) == ((), 60)
    assert only_there(pair) == 60


def test_a_field_that_lacks_a_value_does_not_hide_another_one_of_the_same_series(pair: Pair) -> None:
    """Of one the destination has fewer values; of the other as many, at other times."""
    old = NOW - 9 * DAY
    pair.write(
        f"cpu,host=a v=1 {old}\ncpu,host=a v=2 {old + 1}\ncpu,host=a w=1 {old + 2}\ncpu,host=a v=3,w=3 {NOW}"
    )
    at_destination(pair, f"cpu,host=a v=1 {old}\ncpu,host=a w=1 {old + 3}\ncpu,host=a v=3,w=3 {NOW}")
    assert run_at(pair, NOW).failures == ()
    assert only_there(pair) == 1


def test_a_value_that_was_overwritten_at_the_source_comes_again(pair: Pair) -> None:
    """At the same time, so that no count and no time tells; of any age."""
    pair.write("\n".join(f"cpu,host=h{i % 7} v={i}.5,n={i}i {NOW - i * HOUR}" for i in range(1500)))
    assert run_at(pair, NOW).failures == ()
    pair.write(f"cpu,host=h3 v=0.25 {NOW - 3 * HOUR}\ncpu,host=h4 n=-7i {NOW - 1068 * HOUR}")
    result = run_at(pair, NOW)
    assert (result.failures, result.late) == ((), 2)
    pair.assert_equal()


@pytest.mark.usefixtures("quick")
def test_values_of_a_field_with_several_numeric_types_that_were_overwritten_are_copied_again(pair: Pair) -> None:
    """By the same whole part, and by the same number as another type: neither is equal in any sum of integers."""
    old = NOW - 30 * DAY
    pair.write("\n".join(f"cpu v={i}i {old + i * MINUTE}" for i in range(60)))
    pair.write("\n".join(f"cpu v=0.{i + 10} {NOW - 3 * HOUR + i * MINUTE}" for i in range(60)))
    for _ in range(2):
        assert run_at(pair, NOW).failures == ()
    pair.write("\n".join(f"cpu v=0.95 {NOW - 3 * HOUR + i * MINUTE}" for i in range(20, 40)))
    assert sums(verified(pair)) == (0, 0, 20)
    result = run_at(pair, NOW)
    assert (result.failures, result.late) == ((), 20)
    pair.assert_equal()
    assert sums(verified(pair)) == (0, 0, 0)


@pytest.mark.usefixtures("quick")
def test_the_same_numbers_as_another_type_are_different(pair: Pair) -> None:
    """The field has both types somewhere; in the shard group of these values it has one."""
    for server, values in ((pair.source, "i"), (pair.destination, "")):
        server.create_database(pair.database)
        server.write(
            "\n".join(f"cpu a=1 {MONDAY + i}\ncpu v={i}{values} {MONDAY + i + 1}" for i in range(9)), pair.database
        )
        server.write(f"cpu v=1.5 {MONDAY + 5 * WEEK}", pair.database)
    assert sums(verified(pair)) == (0, 0, 9)


def test_a_shard_group_that_somebody_begins_while_a_run_is_planned_is_compared_by_the_next(pair: Pair) -> None:
    """Nothing is proved of what this run did not look at."""
    edge = MONDAY + 10 * WEEK
    pair.write(minutely(edge - 5 * HOUR, edge))
    with Proxy(pair.source.url) as proxy:
        sections = {"source": {"url": proxy.url}}
        for _ in range(2):
            assert run_at(pair, edge - HOUR, sections).failures == ()
        pair.write(f"cpu,host=a v=2 {edge - 1}")

        def write(exchange: Exchange) -> None:
            forward(exchange)
            pair.source.write(f"cpu,host=a v=3 {edge + 1}", pair.database)

        begun = proxy.inject(only(lambda text: text.startswith("SHOW SHARD GROUPS"), write), "query", count=1)
        assert run_at(pair, edge + 2, sections).failures == ()
        assert begun.injected == 1
        assert run_at(pair, edge + HOUR, sections).failures == ()
    assert only_there(pair) == 0


def test_what_only_the_destination_has_stays_and_is_told_with_its_number(pair: Pair) -> None:
    """It is looked at closely once, and then only counted while nobody writes there."""
    pair.write(minutely(NOW - 3 * DAY, NOW))
    assert run_at(pair, NOW).failures == ()
    at_destination(pair, minutely(NOW - 2 * DAY, NOW - DAY, "host=other"))
    pair.source.query(f"DELETE FROM cpu WHERE time < {NOW - 50 * HOUR}", db=pair.database)  # noqa: S608
    extra = 24 * 60 + 22 * 60
    first, second = run_at(pair, NOW), run_at(pair, NOW)
    for result in (first, second):
        (database,) = result.databases
        (cpu,) = database.measurements
        assert (result.failures, result.late, cpu.extra) == ((), 0, extra)
    assert only_there(pair) == extra
    assert compared(pair)["extras"]


def test_getting_data_back_by_swapping_source_and_destination_leaves_no_hole(pair: Pair) -> None:
    """Into a server that is already live again: what it lacks of the last hour comes, what is new there stays."""
    old = minutely(NOW - 5 * HOUR, NOW - 51 * MINUTE)
    pair.write(old + "\n" + minutely(NOW - 51 * MINUTE, NOW))
    at_destination(pair, minutely(NOW - 10 * MINUTE, NOW + 20 * MINUTE))
    result = run_at(pair, NOW + 20 * MINUTE)
    assert result.failures == ()
    assert only_there(pair) == 20


def late_by_days(pair: Pair) -> JobResult:
    """300 daily points are copied, then 100 points of another series come, 200 days back."""
    pair.write("\n".join(f"cpu,host=a v={d} {NOW - d * DAY}" for d in range(300)))
    assert run_at(pair, NOW).failures == ()
    pair.write("\n".join(f"cpu,host=b v={i} {NOW - 200 * DAY + i * MINUTE}" for i in range(100)))
    return run_at(pair, NOW)


def test_late_points_of_any_age_come_with_the_next_run(pair: Pair) -> None:
    """Which shards were written to is asked of the servers."""
    result = late_by_days(pair)
    assert (result.failures, result.late) == ((), 100)
    pair.assert_equal(points=400)


def test_points_of_any_age_that_the_destination_lost_come_with_the_next_run(pair: Pair) -> None:
    """A deletion there changes the size of its files."""
    pair.write("\n".join(f"cpu,host=a v={d} {NOW - d * DAY}" for d in range(300)))
    for _ in range(2):
        assert run_at(pair, NOW).failures == ()
    lost = f"time > {NOW - 160 * DAY} AND time < {NOW - 150 * DAY}"
    pair.destination.query(f"DELETE FROM cpu WHERE {lost}", db=pair.database)  # noqa: S608
    result = run_at(pair, NOW)
    assert (result.failures, result.late) == ((), 9)
    pair.assert_equal()


def test_what_nobody_wrote_to_is_not_compared_again(pair: Pair) -> None:
    """Also in another process; a memory that is lost, or unreadable, costs a comparison, and loses nothing."""
    pair.write("\n".join(f"cpu,host=a v={d} {NOW - d * DAY}" for d in range(300)))
    for _ in range(2):
        assert run_at(pair, NOW).failures == ()
    known = compared(pair)["groups"]
    assert isinstance(known, dict)
    assert len(known) >= 300 // 7
    (file,) = Path(pair.directory / "quarantine" / ".compared").glob("*.json")
    for content in ("", "{}", "[1]", '{"about": 1, "groups": 2}'):
        file.write_text(content)
        assert run_at(pair, NOW).failures == ()
        assert compared(pair)["groups"].keys() == known.keys()  # type: ignore[attr-defined]
    pair.assert_equal()


def test_a_server_that_was_restarted_is_compared_again(pair: Pair) -> None:
    """Its counters begin anew, so they say nothing of what came before."""
    pair.write("\n".join(f"cpu,host=a v={d} {NOW - d * DAY}" for d in range(300)))
    for _ in range(2):
        assert run_at(pair, NOW).failures == ()
    before = compared(pair)["groups"]
    pair.source.restart()
    assert run_at(pair, NOW).failures == ()
    after = compared(pair)["groups"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())


def verdict_of(pair: Pair, **scope: float) -> JobVerdict:
    """What verify says within so many seconds."""
    return verified(pair, Scope(**scope))  # type: ignore[arg-type]


@pytest.mark.usefixtures("quick")
def test_numbers_that_are_bounds_say_so(pair: Pair) -> None:
    """Without time to look closer verify does not pretend to know."""
    pair.write("\n".join(f"cpu,host=h{i % 5} v={i}.5 {MONDAY + i * HOUR}" for i in range(3000)))
    at_destination(pair, "\n".join(f"cpu,host=h{i % 5} v={i}.25 {MONDAY + i * HOUR}" for i in range(2990)))
    assert sums(verified(pair)) == (10, 0, 2990)
    begun = time.monotonic()
    verdict = verdict_of(pair, seconds=1e-9)
    assert time.monotonic() - begun < 60
    assert verdict.differs == any(d.at_least for m in verdict.measurements for d in m.differences)


def test_late_points_of_any_age_come_for_users_without_rights_too(guarded_pair: Pair) -> None:
    """Everybody is shown the counters of shards: a change in an old one makes the run look at all."""
    login = {"source": READER}
    guarded_pair.write("\n".join(f"cpu,host=a v={d} {NOW - d * DAY}" for d in range(300)))
    for _ in range(3):
        assert run_at(guarded_pair, NOW, login).failures == ()
    guarded_pair.write("\n".join(f"cpu,host=b v={i} {NOW - 200 * DAY + i * MINUTE}" for i in range(100)))
    result = run_at(guarded_pair, NOW, login)
    assert (result.failures, result.late) == ((), 100)
    guarded_pair.assert_equal(points=400)


def test_what_only_the_destination_has_beside_late_values_is_counted_once(pair: Pair) -> None:
    """Each side has a value of the series that the other lacks: one is brought, one is told."""
    now = time.time_ns()
    times = [now - i * 60 * 10**9 for i in range(60)]
    pair.write("\n".join(f"m v=1 {t}" for t in times))
    assert pair.backup().succeeded
    pair.write(f"m v=1 {times[30] + 1}")
    pair.destination.write(f"m v=1 {times[30] + 2}", pair.database)
    result = pair.backup()
    assert (result.failures, result.late, result.extra) == ((), 1, 1)


@pytest.mark.parametrize("kind", ["measurement", "field"])
def test_what_came_late_of_something_obsolete_comes_when_it_is_back(kind: str, pair: Pair) -> None:
    """It is not looked at meanwhile; then all is, though nobody has written to its shard group since."""
    name, field = ("old", "v") if kind == "measurement" else ("cpu", "old")
    options: dict[str, object] = {"field_obsolete_threshold": "30d"}
    if kind == "measurement":
        options = {"incremental": {"obsolete_threshold": "30d"}}
    pair.write("\n".join(f"cpu v=1 {NOW - i * HOUR}" for i in range(24 * 60)))
    pair.write("\n".join(f"{name} {field}=2 {NOW - 40 * DAY - i * HOUR}" for i in range(24 * 20)))
    for _ in range(2):
        assert run_at(pair, NOW, {"options": options}).failures == ()
    pair.write(f"{name} {field}=3 {NOW - 50 * DAY + 1}")
    assert run_at(pair, NOW, {"options": options}).late == 0
    pair.write(f"{name} {field}=4 {NOW + 1}")
    result = run_at(pair, NOW + 2, {"options": options})
    assert (result.failures, result.late) == ((), 1)
    pair.assert_equal()


def test_a_value_that_changes_while_it_is_looked_at_is_not_known_when_it_is_so_again(pair: Pair) -> None:
    """It was different by its fingerprint, and the same when it was read."""
    pair.write("\n".join(f"cpu v={i} {NOW - 30 * DAY + i * MINUTE}" for i in range(60)))
    pair.write(f"cpu v=1 {NOW - HOUR}")
    changed = f"cpu v=1000 {NOW - 30 * DAY + 30 * MINUTE}"
    with Proxy(pair.source.url) as proxy:
        sections = {"source": {"url": proxy.url}}
        for _ in range(2):
            assert run_at(pair, NOW, sections).failures == ()
        pair.write(changed)

        def write(exchange: Exchange) -> None:
            pair.write(f"cpu v=30 {NOW - 30 * DAY + 30 * MINUTE}")
            forward(exchange)

        looked = proxy.inject(only(lambda text: "LIMIT 20000" in text, write), "query", count=1)
        assert run_at(pair, NOW + 1, sections).late == 0
        assert looked.injected == 1
        pair.write(changed)
        result = run_at(pair, NOW + 2, sections)
    assert (result.failures, result.late) == ((), 1)
    pair.assert_equal()
