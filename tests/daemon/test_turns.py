"""Whose turn it is: how many runs at once, in all and at one server."""

import datetime as dt
import itertools

import pytest

from config import Job, parse_config
from daemon.turns import Limits, Sameness, Servers, Turns, places, read_limits
from scheduler import Timetable, spread
from settings.cron import parse_cron

SECOND = 10**9


def job(name: str, source: str, destination: str = "http://to:8086") -> Job:
    """A job between two servers."""
    servers = f"source: {{url: '{source}'}}\ndestination: {{url: '{destination}'}}"
    text = f"{servers}\noptions: {{backup_mode: incremental}}"
    return parse_config(text, {}, f"{name}.yaml")


A, B, C = (job(name, f"http://{name}:8086") for name in "abc")


def test_as_many_runs_as_the_limit_says() -> None:
    """The next one hears why it waits."""
    turns = Turns(Limits(2))
    assert turns.obstacle(C, [A]) == ""
    assert turns.obstacle(C, [A, B]) == "2 runs go on, as many as BACKUP_MAX_RUNS allows"
    assert list(turns.doubts(C, [A])) == []


def test_a_server_has_its_own_limit() -> None:
    """Whether it is read from or written to; another server is no obstacle."""
    turns = Turns(Limits(per_server=1))
    why = "1 run goes on at the destination http://to:8086, as many as BACKUP_MAX_RUNS_PER_SERVER allows"
    assert turns.obstacle(B, [A]) == why
    apart = job("d", "http://d:8086", "http://elsewhere:8086")
    assert turns.obstacle(apart, [A]) == ""
    back = job("e", "http://TO:8086/", "http://elsewhere:8086")
    assert "at the source http://to:8086" in turns.obstacle(back, [A])


def test_a_name_that_was_never_compared_is_asked_about_once() -> None:
    """What is found is known from then on, of all names of a server."""
    turns = Turns(Limits(per_server=1), Servers())
    other = job("o", "http://o:8086", "http://alias:8086")
    doubts = {doubt.place.role: doubt for doubt in turns.doubts(other, [A])}
    assert [near.place.server.url for near in doubts["destination"].others] == ["http://a:8086", "http://to:8086"]
    assert doubts["destination"].room == 1
    alias, to, source = ("alias", 8086, ""), ("to", 8086, ""), ("a", 8086, "")
    turns.servers.learn(Sameness(alias, to, is_same=True))
    assert "at the destination http://alias:8086" in turns.obstacle(other, [A])
    turns.servers.learn(Sameness(("third", 8086, ""), to, is_same=True))
    assert turns.servers.known_as(alias) == {alias, to, ("third", 8086, "")}
    turns.servers.learn(Sameness(source, to, is_same=False))
    assert not turns.servers.may_be(source, alias)


def test_nobody_is_asked_while_there_is_room_for_all() -> None:
    """Whichever of them should be one server."""
    other = job("o", "http://o:8086", "http://alias:8086")
    assert list(Turns(Limits(per_server=3)).doubts(other, [A])) == []


def test_an_archive_is_no_server() -> None:
    """A job to one reads from its source, and no more."""
    text = "source: {url: 'http://a:8086'}\ndestination: {archive: /tmp/x}\noptions: {backup_mode: incremental}"
    assert [place.role for place in places(parse_config(text, {}, "x.yaml"))] == ["source"]


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "٣", "1000000"])
@pytest.mark.parametrize("name", ["BACKUP_MAX_RUNS", "BACKUP_MAX_RUNS_PER_SERVER"])
def test_a_limit_that_is_no_number_is_refused_by_its_name(name: str, text: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match=f"{name}=.*write a whole number from 1 on"):
        read_limits({name: text})


def test_without_limits_a_machine_is_kept_from_drowning() -> None:
    """And an empty variable is none."""
    assert read_limits({"BACKUP_MAX_RUNS": " ", "BACKUP_MAX_RUNS_PER_SERVER": ""}) == Limits(32, None)
    assert read_limits({"BACKUP_MAX_RUNS": "8", "BACKUP_MAX_RUNS_PER_SERVER": "2"}) == Limits(8, 2)


# --- Spreading equal schedules -----------------------------------------------------------------------


def test_equal_schedules_are_spread_always_alike() -> None:
    """Over the whole of the jitter, and never beyond."""
    found = [spread(f"edge-{number}", 600 * SECOND) for number in range(500)]
    assert found == [spread(f"edge-{number}", 600 * SECOND) for number in range(500)]
    assert min(found) >= dt.timedelta()
    assert max(found) < dt.timedelta(minutes=10)
    tenths = [sum(dt.timedelta(minutes=m) <= f < dt.timedelta(minutes=m + 1) for f in found) for m in range(10)]
    assert min(tenths) > 25
    assert spread("edge-1", 0) == dt.timedelta()


@pytest.mark.parametrize("minutes", [0, 7, 59, 61, 1500])
def test_a_job_that_is_put_off_runs_as_often_as_before(minutes: int) -> None:
    """Each of its times comes later by the same, also where that is longer than the time between two."""
    later = dt.timedelta(minutes=minutes)
    start = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
    times = Timetable.of(parse_cron("0 * * * *"), "UTC", start, later=later)
    found = []
    for _ in range(30):
        found.append(times.due)
        times.plan(times.due)
    assert all(moment.minute == minutes % 60 for moment in found)
    assert {b - a for a, b in itertools.pairwise(found)} == {dt.timedelta(hours=1)}
    assert dt.timedelta() < found[0] - start <= dt.timedelta(hours=1)
