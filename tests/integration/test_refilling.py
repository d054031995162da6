"""What a restore plans and writes, in the test's own process: no more and no less than it was asked for."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from basics.spans import Span
from basics.stopping import StopRequest
from checking import restore
from checking.restore import CannotBegin, How, Restored, restore_job
from config import Config
from copying.restore import marker as markers
from copying.restore import refilling
from copying.restore.asked import EVER, Asked, Mapped
from copying.restore.marker import Marker
from copying.restore.plan import Holding, RestorePlan
from influx.influxql import Location
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair, snapshot, write_job
from tests.support.proxy import Action, Exchange, Proxy, forward, only, respond
from tests.support.reader import difference, read_policies

PLAN = How(confirm=None, quiet=True)
DO = How(confirm=lambda: True, verify="none", quiet=True)


def restored(pair: Pair, how: How = DO, sections: dict[str, Any] | None = None, **asked: Any) -> Restored:  # noqa: ANN401
    """A restore of the pair's job to its source."""
    config = Config(write_job(pair.directory, pair.config(sections)))
    return restore_job(config, config.job.source, Asked(**asked), how, {})


def planned(pair: Pair, **asked: Any) -> RestorePlan:  # noqa: ANN401
    """Its plan."""
    return restored(pair, PLAN, **asked).plan


def backed_up(pair: Pair, *lines: str, policy: str | None = None) -> None:
    """The lines at the source and in its backup."""
    pair.write("\n".join(lines), policy)
    assert pair.backup().failures == ()


# ---------------------------------------------------------------- the plan


def test_a_plan_tells_what_the_backup_holds_in_the_range_and_what_the_target_has_there(pair: Pair) -> None:
    """Of each measurement points, values, first and newest times; those without any are no part of it."""
    lines = [f"cpu,h={h} v={i}.5,w={i}i {MONDAY + i * HOUR}" for i in range(200) for h in "ab"]
    lines += [f"cpu x=1 {MONDAY + 300 * HOUR}", f"mem v=1 {MONDAY + WEEK}", f"old v=1 {MONDAY - 1}"]
    backed_up(pair, *lines)
    pair.source.query(f"DELETE FROM cpu WHERE time > {MONDAY + 9 * HOUR}", db=pair.database)  # noqa: S608
    pair.source.query("DROP MEASUREMENT mem", db=pair.database)
    whole = planned(pair, existing="fill")
    (policy,) = whole.policies
    assert policy.holdings == (
        Holding("cpu", 400, 801, MONDAY, MONDAY + 300 * HOUR, MONDAY + 9 * HOUR),
        Holding("mem", 1, 1, MONDAY + WEEK, MONDAY + WEEK),
        Holding("old", 1, 1, MONDAY - 1, MONDAY - 1, MONDAY - 1),
    )
    assert (whole.new, policy.there is not None, policy.dropped) == (frozenset(), True, 0)
    assert whole.sample.values == 7 * 24 * 4, "it is the first page of the largest measurement"
    assert whole.sample.bytes == sum(len(line) + 1 for line in lines[: 7 * 24 * 2])
    (part,) = planned(pair, span=Span(MONDAY + 2 * HOUR, MONDAY + 5 * HOUR), existing="fill").policies
    assert part.holdings == (Holding("cpu", 6, 12, MONDAY + 2 * HOUR, MONDAY + 4 * HOUR, MONDAY + 4 * HOUR),)
    (part,) = planned(pair, measurements=("m*", "o?d"), existing="fill").policies
    assert [holding.measurement for holding in part.holdings] == ["mem", "old"]


def test_policies_that_hold_nothing_come_with_a_whole_database_alone(pair: Pair) -> None:
    """And those that are asked for by name have to be in the backup."""
    pair.source.create_database(pair.database)
    pair.source.query(f'CREATE RETENTION POLICY "more" ON "{pair.database}" DURATION INF REPLICATION 1')
    backed_up(pair, f"cpu v=1 {MONDAY}", policy="more")
    pair.source.drop_database(pair.database)

    def names(**asked: Any) -> list[tuple[str, int]]:  # noqa: ANN401
        return [(p.policy.name, len(p.holdings)) for p in planned(pair, **asked).policies]

    assert names() == [("autogen", 0), ("more", 1)]
    assert names(measurements=("cpu",)) == names(policies=("more",)) == [("more", 1)]
    with pytest.raises(CannotBegin, match="the backup holds nothing of that"):
        planned(pair, policies=("autogen",))
    assert planned(pair).new == {pair.database}
    with pytest.raises(CannotBegin, match="policy 'mere' is not in the backup; it holds: autogen, more"):
        planned(pair, policies=("more", "mere"))


def test_a_plan_says_what_the_target_would_drop(pair: Pair) -> None:
    """Only of the range that is asked for; with what its policy keeps, and what that of the backup does."""
    now = time.time_ns()
    backed_up(pair, *(f"m v={i},w={i} {now - i * DAY - HOUR}" for i in range(20)))
    assert planned(pair, existing="fill").dropped == 0
    pair.source.query(f'ALTER RETENTION POLICY "autogen" ON "{pair.database}" DURATION 7d')
    found = planned(pair, existing="fill")
    assert found.dropped == 26
    said = f"policy {pair.database}.autogen keeps points for 7d at the target, but for ever in the backup"
    assert sum(said in note for note in found.notes) == 1
    assert planned(pair, span=Span(now - 9 * DAY, EVER.end), existing="fill").dropped == 4
    assert planned(pair, span=Span(now - 5 * DAY, EVER.end), existing="fill").dropped == 0


def test_the_default_policy_changes_where_it_is_another_one_and_all_is_restored(pair: Pair) -> None:
    """Of databases that are there; a part, or another target, leaves it as it is."""
    pair.source.create_database(pair.database)
    pair.source.query(f'CREATE RETENTION POLICY "more" ON "{pair.database}" DURATION INF REPLICATION 1')
    backed_up(pair, f"cpu v=1 {MONDAY}")
    change = 'ALTER RETENTION POLICY "{}" ON "{}" DEFAULT'
    assert planned(pair, existing="fill").defaults == ()
    pair.source.query(change.format("more", pair.database))
    plain: dict[str, Any] = {"metadata": frozenset(), "existing": "fill"}
    assert planned(pair, **plain).defaults == ((pair.database, "autogen"),)
    assert planned(pair, **plain, measurements=("cpu",)).defaults == ()
    assert planned(pair, databases=(f"{pair.database}:{pair.database}_x",), metadata=frozenset()).defaults == ()
    assert restored(pair, **plain).code == 0
    assert planned(pair, **plain).defaults == ()


def test_continuous_queries_of_the_target_are_named_unless_they_do_not_run(pair: Pair) -> None:
    """Those of the database that is restored."""
    backed_up(pair, f"m v=1 {MONDAY}")
    other = f"{pair.database}_other"
    pair.source.create_database(other)
    for name in (pair.database, other):
        select = 'SELECT mean(v) INTO "h" FROM "m" GROUP BY time(1h)'
        pair.source.query(f'CREATE CONTINUOUS QUERY "of {name}" ON "{name}" BEGIN {select} END')
    (note,) = planned(pair, metadata=frozenset(), existing="fill").notes
    assert f"continuous query of {pair.database} of {pair.database} fires" in note
    pair.source.drop_database(other)


def test_what_the_rules_leave_out_is_named_once(pair: Pair) -> None:
    """Not what was not asked for either."""
    backed_up(pair, *(f"{name} v=1 {MONDAY}" for name in ("a", "b1", "b2")))
    rules = {"measurements": {"exclude": ["b*"]}}

    def notes(**asked: Any) -> list[str]:  # noqa: ANN401
        return [n for n in restored(pair, PLAN, rules, existing="fill", **asked).plan.notes if "not select" in n]

    assert [note.rpartition(": ")[2] for note in notes()] == ["b1, b2"]
    assert [note.rpartition(": ")[2] for note in notes(measurements=("a", "b2"))] == ["b2"]
    assert notes(measurements=("a",)) == []


def test_a_new_database_has_the_policy_that_is_restored_as_its_default_one(pair: Pair) -> None:
    """It cannot be without; that of the backup, or the first where that is not asked for. No other one is made."""
    pair.source.create_database(pair.database)
    for name in ("more", "most"):
        pair.source.query(f'CREATE RETENTION POLICY "{name}" ON "{pair.database}" DURATION INF REPLICATION 1')
        backed_up(pair, f"cpu v=1 {MONDAY}", policy=name)
    backed_up(pair, f"cpu v=1 {MONDAY}")
    for number, (policies, default) in enumerate(
        (((), "autogen"), (("most",), "most"), (("most", "more"), "more"), (("most", "autogen"), "autogen"))
    ):
        new = f"{pair.database}_{number}"
        done = restored(pair, databases=(f"{pair.database}:{new}",), policies=policies, metadata=frozenset())
        assert (done.word, done.plan.new) == ("restored", frozenset({new}))
        found = read_policies(pair.source.url, new)
        assert sorted(found) == sorted(policies or ("autogen", "more", "most"))
        assert [name for name, policy in found.items() if policy.default] == [default]
        assert len(snapshot(pair.source, new)) == len(found)
        pair.source.drop_database(new)


# ---------------------------------------------------------------- what is written


def weekly(weeks: int = 6) -> list[str]:
    """Three points in each shard group, of two series."""
    return [
        f'cpu,h={"ab"[i % 2]} v={i},s="t{i}" {MONDAY + week * WEEK + i * DAY}'
        for week in range(weeks)
        for i in range(3)
    ]


def without_weeks(pair: Pair, *weeks: int) -> None:
    """They are gone at the source."""
    for week in weeks:
        start = MONDAY + week * WEEK
        where = f"time >= {start} AND time < {start + WEEK}"
        pair.source.query(f"DELETE FROM cpu WHERE {where}", db=pair.database)  # noqa: S608


def counting(questions: list[str]) -> Action:
    """Lets everything through, and writes down what was asked."""

    def act(exchange: Exchange) -> None:
        questions.append(exchange.text())
        forward(exchange)

    return act


@pytest.mark.parametrize("batch", [1, 2, 50])
def test_only_what_is_missing_is_read_and_written(batch: int, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shard groups that are missing are read as one where they touch; of what is there nothing is read."""
    monkeypatch.setattr(refilling, "BATCH", batch)
    backed_up(pair, *weekly(14))
    expected = snapshot(pair.source, pair.database)
    without_weeks(pair, *range(1, 11), 12)
    questions = list[str]()
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(counting(questions), "query", count=None)
        done = restored(pair, sections={"destination": {"url": proxy.url}}, existing="fill")
    assert not difference(expected, snapshot(pair.source, pair.database), names=("before", "after"))
    assert done.copied is not None
    assert (done.word, done.copied.written.points) == ("restored", 33)
    pages = [q for q in questions if "LIMIT" in q and "count(" not in q]
    assert (len(pages) - 1 < 11) is (batch == 50), "the first one is the sample"
    assert [q for q in pages[1:] for week in (0, 11, 13) if f"time >= {MONDAY + week * WEEK} " in q] == []


def test_what_is_missing_in_the_middle_of_what_is_there_comes_alone(pair: Pair) -> None:
    """Points, fields of points; values that differ stay, and are counted as nothing."""
    backed_up(pair, *(f"m,h=a v={i},w={i}i {MONDAY + i * HOUR}" for i in range(300)))
    gone = [3, 40, 41, 299]
    for i in gone:
        pair.source.query(f"DELETE FROM m WHERE time = {MONDAY + i * HOUR}", db=pair.database)  # noqa: S608
    pair.source.write(f"m,h=a v=-1 {MONDAY + 3 * HOUR}\nm,h=a v=-1 {MONDAY + 5 * HOUR}", pair.database)
    questions = list[str]()
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(counting(questions), "query", count=None)
        done = restored(pair, sections={"destination": {"url": proxy.url}}, existing="fill")
    looks = [question for question in questions if "sum(" in question]
    assert len(looks) == 1, "what holds little is looked at at once, not in ever smaller windows"
    assert done.copied is not None
    assert (done.copied.written.points, done.copied.written.values) == (4, 7)
    found = snapshot(pair.source, pair.database).points
    assert len(found) == 600
    assert {key[4] for key, value in found.items() if value == ("float", "-1.0")} == {
        MONDAY + 3 * HOUR,
        MONDAY + 5 * HOUR,
    }


@pytest.mark.parametrize(
    ("existing", "earlier", "written"),
    [
        ("overwrite", "overwrite", 3 * 4),
        ("overwrite", "fill", 3 * 6),
    ],
)
def test_a_restore_goes_on_where_it_was_stopped(existing: str, earlier: str, written: int, pair: Pair) -> None:
    """Unless it was another kind: what that passed over is not overwritten yet."""
    backed_up(pair, *weekly())
    place = Location(pair.database, "autogen", "cpu")
    begun_before(pair, earlier, {place: MONDAY + 2 * WEEK})
    done = restored(pair, existing=existing)
    assert done.copied is not None
    assert (done.word, done.copied.written.points, done.plan.begun) == ("restored", written, 5)
    assert list((pair.directory / "quarantine" / ".restoring").iterdir()) == []
    begun_before(pair, existing, {place: EVER.end})
    again = restored(pair, existing=existing)
    assert again.copied is not None
    assert (again.word, again.copied.written.points) == ("restored", 0)


def begun_before(pair: Pair, existing: str, positions: dict[Location, int]) -> None:
    """There was such a restore, which came so far."""
    config = Config(write_job(pair.directory, pair.config()))
    name = pair.database
    file = markers.file_of(config.job, {}, "", config.job.source.url, [Mapped(name, name, name)], Asked())
    file.parent.mkdir(parents=True, exist_ok=True)
    markers.save(file, Marker("job", config.job.source.url, (name,), 5, existing, positions=positions))


def test_a_measurement_that_fails_is_named_and_the_others_come(pair: Pair) -> None:
    """With its range; the marker stays, for the same command tries it again."""
    names = ("a", "cpu", "z")
    backed_up(pair, *(f"{name} v={i} {MONDAY + i * DAY}" for name in names for i in range(20)))
    expected = snapshot(pair.source, pair.database)
    for name in names:
        pair.source.query(f"DELETE FROM {name} WHERE time > {MONDAY + 3 * DAY}", db=pair.database)  # noqa: S608

    def is_of_cpu(question: str) -> bool:
        return '"cpu"' in question and "sum(" in question

    with Proxy(pair.destination.url) as proxy:
        broken = respond(400, b'{"error":"no"}', "application/json")
        proxy.inject(only(is_of_cpu, broken), "query", count=None)
        sections = {"destination": {"url": proxy.url}, "options": {"retries": 0}}
        done = restored(pair, sections=sections, existing="fill")
    assert done.copied is not None
    (problem,) = done.copied.failures
    assert problem.startswith(f"restore {pair.database}.autogen.cpu ")
    assert (done.word, done.code, done.is_whole) == ("failed", 1, False)
    (database,) = done.copied.databases
    assert [(m.is_whole, m.written.points) for m in database.measurements] == [(True, 16), (False, 0), (True, 16)]
    assert len(list((pair.directory / "quarantine" / ".restoring").iterdir())) == 1
    assert restored(pair, existing="refuse").code == 0
    assert not difference(expected, snapshot(pair.source, pair.database), names=("before", "after"))


def test_a_database_that_cannot_be_asked_about_is_named(pair: Pair) -> None:
    """A source that fails after the plan was made."""
    backed_up(pair, *weekly())
    without_weeks(pair, 1)
    broken = [False]

    def is_broken(_: str) -> bool:
        return broken[0]

    def agree() -> bool:
        broken[0] = True
        return True

    with Proxy(pair.destination.url) as proxy:
        proxy.inject(only(is_broken, respond(400, b'{"error":"no"}', "application/json")), "query", count=None)
        sections = {"destination": {"url": proxy.url}, "options": {"retries": 0}}
        done = restored(pair, replace(DO, confirm=agree), sections, existing="fill")
    assert done.copied is not None
    (problem,) = done.copied.failures
    assert problem.startswith(f"database {pair.database}: ")
    assert (done.word, done.is_whole) == ("failed", False)


def test_values_that_are_too_old_for_the_target_are_not_sent(pair: Pair) -> None:
    """They are told, as many as the fullest field has; the marker stays, for they are not there."""
    now = time.time_ns()
    backed_up(pair, *(f"m v={i}{',w=1' * (i % 2)} {now - i * DAY - HOUR}" for i in range(20)))
    pair.source.query(f'ALTER RETENTION POLICY "autogen" ON "{pair.database}" DURATION 7d')
    pair.source.query(f"DELETE FROM m WHERE time < {now - 3 * DAY}", db=pair.database)  # noqa: S608
    sent = list[str]()
    with Proxy(pair.source.url) as proxy:
        proxy.inject(counting(sent), "write", count=None)
        done = restored(pair, sections={"source": {"url": proxy.url}}, existing="fill")
    assert done.copied is not None
    assert (done.copied.written.points, done.copied.written.expired) == (4, 13)
    assert sum(len(body.splitlines()) for body in sent) == 4
    assert done.word == "failed"


def test_a_restore_that_is_stopped_ends_after_what_it_is_at(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as stopped, not as failed; the same command brings the rest."""
    monkeypatch.setattr(refilling, "BATCH", 2)
    backed_up(pair, *weekly(14))
    expected = snapshot(pair.source, pair.database)
    without_weeks(pair, *range(1, 14))
    stopping = StopRequest()
    requests = iter([stopping, StopRequest()])
    monkeypatch.setattr(restore, "StopRequest", lambda: next(requests))

    def stop(exchange: Exchange) -> None:
        stopping.requested = True
        forward(exchange)

    later = list[str]()

    def note(exchange: Exchange) -> None:
        later.extend([exchange.text()] * stopping.requested)
        forward(exchange)

    with Proxy(pair.source.url) as proxy:
        proxy.inject(only(lambda lines: "cpu" in lines, stop), "write")
        proxy.inject(note, "query", count=None)
        sections = {"source": {"url": proxy.url}, "options": {"parallel_workers": 1}}
        done = restored(pair, sections=sections, existing="fill")
        assert done.copied is not None
        assert (done.word, done.copied.stopped, done.copied.failures) == ("stopped", True, ())
        assert not any(m.is_whole for database in done.copied.databases for m in database.measurements)
        assert done.copied.written.points <= 9
        assert [question for question in later if "sum(" in question] == []
        proxy.heal()
        again = restored(pair, sections=sections, existing="fill")
    assert (again.word, again.plan.begun is not None) == ("restored", True)
    assert not difference(expected, snapshot(pair.source, pair.database), names=("before", "after"))


def test_what_the_target_alone_has_is_no_part_of_a_restore(pair: Pair) -> None:
    """Measurements and fields: they stay, and nobody asks about them."""
    backed_up(pair, *weekly(2))
    without_weeks(pair, 1)
    pair.source.write(f"mine v=1 {MONDAY}\ncpu,h=a mine=1 {MONDAY}", pair.database)
    done = restored(pair, existing="fill")
    assert done.copied is not None
    (database,) = done.copied.databases
    assert [(m.name, m.written.points) for m in database.measurements] == [(f"{pair.database}.autogen.cpu", 3)]
    found = snapshot(pair.source, pair.database).points
    assert len(found) == 6 * 2 + 2
