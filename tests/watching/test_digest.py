"""The message of each day: what it says, and when it is due."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from basics.times import HOUR, SECOND
from tests.support.states import DISK_FULL, NOW, failing, fine, runs, state_of, warned
from watching.digest import Calendar, asked_for, digest, next_digest
from watching.events import Contact, JobKnown
from watching.messages import Place

PLACE = Place("backup01", "https://backup.example.org")


def ns(text: str) -> int:
    """Nanoseconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def test_it_tells_of_all_jobs_and_first_of_those_that_need_attention() -> None:
    """The sentence of the page, what is protected, how yesterday went, each error once, a line for each job."""
    events = (*fine(), *failing(), *warned(), *runs("night", [7, -1], until=NOW - 20 * HOUR, failures=["x"]))
    found = digest(state_of(*events), "Europe/Berlin", NOW, PLACE)
    lines = found.text.splitlines()
    assert found.title == "Backups on 2026-11-24: 2 of 4 jobs are failing: billing, night; 1 more with warnings"
    assert found.occasion == "failure"
    assert lines[0] == "2 of 4 jobs are failing: billing, night; 1 more with warnings."
    assert "databases protected" in lines[1]
    assert lines[2].startswith("yesterday ")
    assert "failed, 0 with warnings" in lines[2]
    assert f"  {DISK_FULL}" in lines
    assert lines.index("billing: failing, for 3 days") < lines.index("plant: idle, with warnings")
    assert "telegraf: idle, last success 4 min ago, lag 12 s" in lines
    assert lines[-2:] == ["Host: backup01", "Page: https://backup.example.org/"]


def test_jobs_that_fail_of_the_same_stand_together() -> None:
    """A server that is down fails all of its jobs."""
    down = "source http://one:8086: ping: Connection refused (tried 2 times)"
    jobs = [event for n in range(3) for event in runs(f"site{n}", [-1], failures=[down])]
    text = digest(state_of(*jobs), "UTC", NOW, Place()).text
    assert text.count("Connection refused") == 1
    assert "site0, site1, site2: failing, for " in text
    assert text.count("site1: failing, no success yet") == 1


def test_where_all_is_well_it_says_so() -> None:
    """With the colour of a success."""
    found = digest(state_of(*fine()), "UTC", NOW, Place())
    assert (found.occasion, found.title) == ("success", "Backups on 2026-11-24: The only job is fine")


def test_a_service_has_the_time_and_zone_of_the_first_job_that_asks_for_it() -> None:
    """Others that name it, too, do not make it another one; who does not ask gets none."""
    contacts = {
        "b": Contact(("x://1", "x://2"), daily="08:00"),
        "a": Contact(("x://1",), daily="07:00"),
        "c": Contact(("x://3",)),
    }
    state = state_of(*(JobKnown(name, 1, timezone=f"Etc/GMT+{n}") for n, name in enumerate(contacts, 1)))
    assert asked_for(contacts, state.jobs) == {"x://1": ("07:00", "Etc/GMT+2"), "x://2": ("08:00", "Etc/GMT+1")}


def test_it_is_due_once_on_each_day_also_when_the_clocks_change() -> None:
    """In the zone of the job: 02:30 is skipped in spring and comes twice in autumn."""
    afters = "2026-03-28T12:00", "2026-03-29T12:00", "2026-10-24T12:00", "2026-10-25T00:30", "2026-10-25T12:00"
    found = [next_digest("02:30", "Europe/Berlin", ns(after)) for after in afters]
    days = ("2026-03-29T01:30", "2026-03-30T00:30", "2026-10-25T00:30", "2026-10-26T01:30", "2026-10-26T01:30")
    assert found == [ns(day) for day in days]


def test_one_that_was_missed_comes_once_where_a_file_remembers_the_last(tmp_path: Path) -> None:
    """A daemon that was down for a week has one to make, not seven; without the file it waits for the next."""
    asked, file = {"x://1": ("07:00", "UTC")}, tmp_path / "state" / "digests.json"
    calendar = Calendar(ns("2026-01-01T06:00"), file)
    told = [list(calendar.due(asked, ns(f"2026-01-01T{hour:02}:00"))) for hour in (6, 7, 8)]
    assert told == [[], ["x://1"], []]
    later = ns("2026-01-08T09:00")
    assert [list(Calendar(later, file).due(asked, later)) for _ in range(2)] == [["x://1"], []]
    assert list(Calendar(later).due(asked, later)) == []
    file.write_text("nonsense")
    assert list(Calendar(later, file).due(asked, later)) == []
