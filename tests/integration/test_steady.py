"""Runs that trust what earlier ones have proved: they cost what is new, and find whatever is not as it was."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from copying.compare import Comparer
from copying.results import JobResult
from tests.integration.harness import DAY, HOUR, Pair, snapshot
from tests.support.proxy import Exchange, Proxy, forward, only, respond
from tests.support.reader import Snapshot, difference
from tests.support.servers import InfluxServer

MINUTE = HOUR // 60
YEAR = 365 * DAY


def now() -> int:
    """The time, at a whole minute."""
    return time.time_ns() // MINUTE * MINUTE


def points(begin: int, end: int, host: str = "a", name: str = "cpu") -> str:
    """A point each minute."""
    return "\n".join(f"{name},host={host} v={t % 97}.5,n={t % 89}i {t}" for t in range(begin, end, MINUTE))


def assert_brought(pair: Pair) -> None:
    """The destination holds all that the source does, but for what is not wanted."""
    source, destination = pair.snapshots()
    wanted = {key: value for key, value in source.points.items() if key[1] != b"unwanted"}
    found = {key: value for key, value in destination.points.items() if key in wanted}
    assert len(wanted) > 0
    assert not (report := difference(Snapshot(wanted), Snapshot(found))), report


def proofs(pair: Pair) -> list[dict[str, Any]]:
    """What the last run has proved, as it keeps it."""
    [file] = Path(pair.directory / "quarantine" / ".compared").glob("*.json")
    return list(json.loads(file.read_text())["proofs"].values())


@pytest.fixture
def steady(pair: Pair) -> Pair:
    """A pair of which everything is proved: a year, with gaps. Nobody has asked the destination since."""
    pair.write("\n".join(points(now() - age - 2 * HOUR, now() - age) for age in (0, DAY, 40 * DAY, YEAR)))
    pair.write(points(now() - 2 * HOUR, now(), name="unwanted"))
    for _ in range(3):
        run(pair)
    assert len(proofs(pair)) == 1
    return pair


def run(pair: Pair) -> JobResult:
    """A run that succeeds."""
    result = pair.backup({"measurements": {"exclude": ["unwanted"]}})
    assert result.failures == ()
    return result


@contextmanager
def compared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """The stretches of time that are compared meanwhile."""
    spans: list[tuple[int, int]] = []
    look = Comparer.look

    def watched(self: Comparer, questions: Any) -> Any:  # noqa: ANN401 -- as the original
        spans.extend(question.span.edges for question in questions)
        return look(self, questions)

    with monkeypatch.context() as patched:
        patched.setattr(Comparer, "look", watched)
        yield spans


def test_where_nothing_happened_nothing_is_asked(steady: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither compared, nor read, nor written, and again in the run after it; the newest point is known."""
    newest = max(at[4] for at in snapshot(steady.source, steady.database).points if at[1] == b"cpu")
    for _ in range(3):
        with compared(monkeypatch) as spans:
            result = run(steady)
        assert spans == []
        assert [age.newest for age in result.ages] == [newest]
        assert (result.written.points, result.written.repeated) == (0, 0)
        assert [m.name for m in result.databases[0].measurements] == [f"{steady.database}.autogen.cpu"]
        assert len(proofs(steady)) == 1


def test_what_is_new_costs_itself(steady: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the minutes around the newest points are compared, and a small piece of what lies before them."""
    for number in range(3):
        begin = time.time_ns()
        steady.write("\n".join(f"cpu,host=a v={i}.5,n=1i {begin + i}" for i in range(10)))
        with compared(monkeypatch) as spans:
            result = run(steady)
        assert result.written.points == 10, number
        assert 0 < sum(end - begin for begin, end in spans) < 2 * HOUR
        assert len(proofs(steady)) == 1
    assert_brought(steady)


def test_the_pieces_that_are_compared_again_are_as_long_as_they_hold_little(
    steady: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as long as the one before where that held few values, half as long where it held many."""
    steady.write(f"cpu,host=a v=1 {now() - 50 * YEAR}")  # the longer all of it is, the sooner a piece is due
    for _ in range(3):
        run(steady)

    def change(many: int) -> float:
        """How many times as long the next piece is."""
        monkeypatch.setattr("copying.balance.AGAIN_VALUES", many)
        before = after = proofs(steady)[0]["patrol"]
        while after["compared_at"] == before["compared_at"]:
            steady.write(f"cpu,host=a v=1.5,n=1i {time.time_ns()}")
            run(steady)
            after = proofs(steady)[0]["patrol"]
        return float(after["length"] / before["length"])

    assert [change(200_000), change(200_000), change(4)] == [2, 2, 0.5]


def late(pair: Pair, begin: int) -> None:
    """A host that writes late."""
    pair.write(points(begin - HOUR, begin - HOUR + 5 * MINUTE, "late"))


def late_by_a_year(pair: Pair, begin: int) -> None:
    """Into a shard that is known to be equal."""
    pair.write(points(begin - YEAR + MINUTE, begin - YEAR + 3 * MINUTE, "late"))


def late_in_a_new_shard(pair: Pair, begin: int) -> None:
    """Older than all that there was."""
    pair.write(points(begin - 3 * YEAR, begin - 3 * YEAR + MINUTE))


def overwritten(pair: Pair, begin: int) -> None:
    """The number of points stays."""
    pair.write(f"cpu,host=a v=1000 {begin - 90 * MINUTE}")


def overwritten_a_year_ago(pair: Pair, begin: int) -> None:
    """The same in an old shard."""
    pair.write(f"cpu,host=a v=1000 {begin - YEAR - HOUR}")


def new_field(pair: Pair, begin: int) -> None:
    """In points that are there already."""
    pair.write(f"cpu,host=a z=1 {begin - 90 * MINUTE}")


def new_measurement(pair: Pair, begin: int) -> None:
    """All of it old."""
    pair.write(points(begin - 90 * MINUTE, begin - HOUR, name="new"))


def other_series(pair: Pair, begin: int) -> None:
    """One goes, another one comes late."""
    pair.source.query("DROP SERIES FROM cpu WHERE host = 'a'", db=pair.database)
    late(pair, begin)


def late_for_deleted(pair: Pair, begin: int) -> None:
    """One point is late, another one is deleted: the source holds as many as before."""
    delete = f"DELETE FROM cpu WHERE time = {begin - 100 * MINUTE}"  # noqa: S608
    pair.source.query(delete, db=pair.database)
    pair.write(f"cpu,host=a v=1,n=1i {begin - 100 * MINUTE + 1}")


def late_for_deleted_new(pair: Pair, begin: int) -> None:
    """As many points are late as new ones are deleted."""
    pair.write(f"cpu,host=b v=1,n=1i {begin}")
    pair.source.query(f"DELETE FROM cpu WHERE time >= {begin}", db=pair.database)  # noqa: S608
    pair.write(f"cpu,host=late v=1,n=1i {begin - 100 * MINUTE}")


def late_and_unwanted(pair: Pair, begin: int) -> None:
    """What is not copied is counted, too."""
    pair.write(points(begin, begin + MINUTE, name="unwanted"))
    pair.write(f"cpu,host=late v=1,n=1i {begin - 100 * MINUTE}")


HAPPENINGS = (
    late,
    late_by_a_year,
    late_in_a_new_shard,
    overwritten,
    overwritten_a_year_ago,
    new_field,
    new_measurement,
    other_series,
    late_for_deleted,
    late_for_deleted_new,
    late_and_unwanted,
)


@pytest.mark.parametrize("more", [0, 10])
@pytest.mark.parametrize("happen", HAPPENINGS)
def test_what_happens_at_the_source_is_found(steady: Pair, happen: Callable[[Pair, int], None], more: int) -> None:
    """With new points beside it, and without."""
    happen(steady, now())
    begin = time.time_ns()
    if more:
        steady.write("\n".join(f"cpu,host=a v={i}.5,n=1i {begin + i}" for i in range(more)))
    run(steady)
    assert_brought(steady)


def test_a_field_that_cannot_be_counted_in_each_of_its_types_proves_nothing(steady: Pair) -> None:
    """Only a regex can name it, which tells no types apart: asked for each of them, it counted values twice."""
    steady.write(f'unwanted a\rb="text" {now() - YEAR}')
    steady.write("\n".join(f"unwanted a\rb=1 {now() + i}" for i in range(10)))
    for _ in range(3):
        run(steady)
    begin = time.time_ns()
    steady.write("\n".join(f"unwanted a\rb=1 {begin + i}" for i in range(10)))
    steady.write("\n".join(f"cpu,host=late v=1.5 {begin - YEAR - HOUR + i}" for i in range(10)))
    run(steady)
    assert_brought(steady)


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM cpu WHERE time > {recent}",
        "DELETE FROM cpu WHERE time < {old}",
        "DROP SERIES FROM cpu WHERE host = 'a'",
        "DROP MEASUREMENT cpu",
    ],
)
def test_what_the_destination_loses_is_found(steady: Pair, harm: str) -> None:
    """Whatever its age: that somebody asked for something is enough to compare."""
    harm = harm.format(recent=now() - HOUR, old=now() - 300 * DAY)
    steady.destination.query(harm, db=steady.database)
    run(steady)
    assert_brought(steady)


@pytest.mark.parametrize("is_later", [False, True], ids=["a run before", "the same run"])
def test_an_answer_that_a_proxy_makes_hides_no_deletion(pair: Pair, is_later: bool) -> None:
    """The server has not counted that request of ours, so nothing outweighs the one of somebody else."""
    pair.write("\n".join(points(now() - age - 2 * HOUR, now() - age) for age in (0, YEAR)))
    with Proxy(pair.destination.url) as proxy:
        sections = {"destination": {"url": proxy.url}, "options": {"retry_delay": 0.01}}

        def bad_gateway(exchange: Exchange) -> None:
            proxy.inject(respond(502), "query")
            forward(exchange)

        def lose() -> None:
            pair.destination.query(f"DELETE FROM cpu WHERE time < {now() - 300 * DAY}", db=pair.database)  # noqa: S608

        for _ in range(3):
            assert pair.backup(sections).failures == ()
        assert len(proofs(pair)) == 1
        pair.write(f"cpu,host=a v=1.5,n=1i {time.time_ns()}")
        if is_later:  # after the counters were read
            fault = proxy.inject(only(lambda text: "SHOW STATS" in text, bad_gateway), "query")
            assert pair.backup(sections).failures == ()
            lose()
        else:
            lose()
            fault = proxy.inject(respond(502), "query")
        assert pair.backup(sections).failures == ()
        assert fault.injected == 1
    pair.assert_equal()


@pytest.mark.parametrize("age", [HOUR, 40 * DAY, YEAR])
def test_what_others_write_to_the_destination_is_found(steady: Pair, age: int) -> None:
    """A value in the place of ours, with as many points as before."""
    steady.destination.write(f"cpu,host=a v=-5 {now() - age - HOUR}", steady.database)
    run(steady)
    assert_brought(steady)


@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_restart_ends_what_is_proved(tmp_path: Path, side: str) -> None:
    """Counters begin anew: what was written before and after it adds up to nothing."""
    with InfluxServer.start("source") as source, InfluxServer.start("destination") as destination:
        own = Pair(source, destination, "db", tmp_path)
        own.write(points(now() - 2 * HOUR, now()))
        for _ in range(3):
            run(own)
        [before] = proofs(own)
        own.write(points(now() - HOUR, now() - HOUR + 3 * MINUTE, "late"))
        {"source": source, "destination": destination}[side].restart()
        own.write("\n".join(f"cpu,host=a v={i}.5,n=1i {time.time_ns()}" for i in range(10)))
        assert run(own).late > 0
        own.assert_equal()
        [after] = proofs(own)
        assert before[side]["started"] != after[side]["started"]


def test_points_that_are_sent_twice_are_no_proof(steady: Pair) -> None:
    """What is late beside them is found all the same."""
    begin = time.time_ns()
    steady.write("\n".join(f"cpu,host=a v={i}.5,n=1i {begin + i}" for i in range(10)))
    steady.write("\n".join(f"cpu,host=a v={i}.5,n=1i {begin + i}" for i in range(10)))
    steady.write(points(now() - HOUR, now() - HOUR + 5 * MINUTE, "late"))
    assert run(steady).late == 10
    assert_brought(steady)


def test_what_is_only_at_the_destination_is_told_in_every_run(steady: Pair) -> None:
    """It cannot be proved to be equal, so it is looked at again."""
    steady.destination.write(points(now() - HOUR, now() - HOUR + 5 * MINUTE, "foreign"), steady.database)
    for _ in range(4):
        result = run(steady)
        assert result.extra == 10
        assert result.outcome == "ok"
    assert proofs(steady) == []


def test_a_proof_that_is_lost_costs_one_comparison(steady: Pair) -> None:
    """As at the first time."""
    for file in Path(steady.directory / "quarantine" / ".compared").glob("*.json"):
        file.unlink()
    steady.write(points(now() - YEAR, now() - YEAR + 5 * MINUTE, "late"))
    assert run(steady).late == 10
    assert_brought(steady)


def test_a_user_who_may_not_see_shards_sees_counters(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What most servers show everybody is enough to prove as much."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER reader WITH PASSWORD 'pw'")
        guarded.create_database(pair.database)
        guarded.query(f'GRANT READ ON "{pair.database}" TO reader')
        own = Pair(guarded, pair.destination, pair.database, pair.directory)
        login = {"source": {"user": "reader", "password": "pw"}}
        own.write("\n".join(points(now() - age - 2 * HOUR, now() - age) for age in (0, 30 * DAY, YEAR)))
        for _ in range(3):
            assert own.backup(login).failures == ()
        with compared(monkeypatch) as spans:
            assert own.backup(login).failures == ()
        assert spans == []
        late(own, now())
        late_by_a_year(own, now())
        assert own.backup(login).late == 2 * 5 + 2 * 2
        own.assert_equal()
