"""What the pages say, and that nothing in a name or an error can change what they are."""

import re
from datetime import date, timedelta
from html.parser import HTMLParser

import pytest

from basics.humanize import ago, lasting, to_the_minute, took
from tests.support.states import (
    DISK_FULL,
    MINUTE,
    NOW,
    REFUSED,
    SECOND,
    WARNINGS,
    all_fine,
    archived,
    died,
    everything,
    failing,
    fine,
    finished,
    invalid,
    known,
    recovered,
    running,
    runs,
    state_of,
    waiting,
    warned,
)
from watching.days import Day
from watching.events import (
    HISTORY,
    Event,
    FileChecked,
    JobKnown,
    RunFinished,
    RunRecord,
    RunStarted,
    Totals,
    Verified,
)
from watching.repeats import once
from watching.standing import headline, in_order, tone, word
from watching.state import State
from watching.web.chart import HEIGHT, SHAPES, chart, heartbeat
from watching.web.facts import Fact
from watching.web.page import render_job, render_missing, render_status
from watching.web.tables import measurement_table, run_table
from watching.web.view import Card, card, cards, groups

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}\u202e\x00"


def shown(events: list[Event]) -> Card:
    """The card of the only job."""
    (job,) = state_of(*events).jobs.values()
    return card(job, NOW)


def fact(events: list[Event], label: str) -> Fact:
    """One line of it."""
    return next(fact for fact in shown(events).facts if fact.label == label)


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((-3, "0 s"), (0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3_599, "59 min"), (3_600, "1 h")),
        *((3_660, "1 h 1 min"), (172_799, "47 h 59 min"), (172_800, "2 days"), (864_000_000, "10,000 days")),
    ],
)
def test_durations_are_as_exact_as_one_wants_to_read(seconds: float, words: str) -> None:
    """Two units at most."""
    assert lasting(seconds) == words


def test_times_name_the_day_only_where_it_is_another_one() -> None:
    """And the year only where that is another one; in the time zone that is asked for."""
    assert to_the_minute(NOW - MINUTE) == "2026-11-24 03:56 UTC"
    assert to_the_minute(0) == "1970-01-01 00:00 UTC"
    assert ago(NOW - 3 * SECOND, NOW) == "just now"
    assert took(0.04) == "0.0 s"
    assert took(720) == "12 min"


# ---------------------------------------------------------------- cards


@pytest.mark.parametrize(
    ("events", "words", "colour", "doing"),
    [
        (fine(), "Idle", "good", "The last run copied 15,010 points in 3.0 s"),
        (running(), "Running", "busy", "Copying sensors (1 of 2), measurement 8 of 12: temperature"),
        (failing(), "Failing", "bad", "The last run failed: 5 errors, 0 points copied in 3.0 s"),
        (waiting(), "Waiting for server", "wait", "Next attempt in 42 s"),
        (recovered(), "Idle", "good", "Nothing new in the last run, 3.0 s"),
        (finished(), "Finished", "good", "The last run copied 31,536,000 points in 3.0 s"),
        (invalid(), "Invalid file", "bad", "Correct its file, then have the daemon read it again (SIGHUP)"),
        (died(), "Worker died", "bad", "Its process is started again in 3 s"),
        (known("new"), "Starting", "quiet", "Its process is starting"),
        ([*failing(), RunStarted("billing", NOW)], "Failing, running again", "bad", "Connecting to both servers"),
    ],
)
def test_each_state_has_its_words_its_colour_and_what_goes_on(
    events: list[Event], words: str, colour: str, doing: str
) -> None:
    """A job that runs again after a failure has not made it good yet."""
    found = shown(events)
    assert (found.condition, found.tone, found.doing) == (words, colour, doing)


def test_a_run_shows_how_far_it_is() -> None:
    """Share, amounts, rate, time so far and time left."""
    found = shown(running())
    assert found.bar is not None
    assert found.bar.percent == 62
    assert found.more == (
        "1,203,400 points, 5,402,000 values, 84,213 points a second",
        "running for 20 s, about 12 s left",
    )


def test_a_run_that_does_not_copy_yet_has_no_bar() -> None:
    """There is no share to show."""
    assert shown([*known("new"), RunStarted("new", NOW)]).bar is None


def test_the_lag_is_told_for_each_database_the_longest_first() -> None:
    """A card names the worst of many; a range has none."""
    assert fact(running(), "Lag").lines == (("3 min", "sensors"), ("3 min", "weather"))
    assert [note for _, note in fact(waiting(), "Lag").lines] == ["site_a", "site_b", "site_c", "less in 2 more"]
    assert fact(finished(), "Lag").lines[0][1] == "of a range"


def test_the_next_run_is_in_the_same_zone_as_all_times() -> None:
    """And one that is overdue says so."""
    assert fact(failing(), "Next run").lines == (("in 20 h", "2026-11-24 23:57 UTC"),)
    assert fact(running(), "Next run").lines == (("after this one", ""),)
    (job,) = state_of(*fine()).jobs.values()
    late = card(job, NOW + 600 * SECOND).facts[3]
    assert (late.lines[0][0], late.tone) == ("overdue by 7 min", "bad")


def test_errors_are_shown_in_full_and_counted() -> None:
    """The card has the first ones, the page of the job all; a message of several lines is one error."""
    problems = shown(failing()).problems
    assert problems is not None
    assert problems.texts == (DISK_FULL, REFUSED, "the third error")
    assert problems.more == 2
    assert problems.title.startswith("Failing since 2026-11-21 01:57 UTC, 3 days ago; last error ")
    (job,) = state_of(*failing()).jobs.values()
    assert "the fifth error" in render_job(job, NOW)
    mistakes = shown(invalid()).problems
    assert mistakes is not None
    assert len(mistakes.texts) == 1
    assert "did you mean options.retries?" in mistakes.texts[0]


def test_an_error_that_is_over_is_kept_but_does_not_shout() -> None:
    """The job is fine; whoever wants can read what happened."""
    found = shown(recovered())
    assert found.problems is None
    assert found.past is not None
    assert found.past.texts == ("weather: the server was restarted",)


@pytest.mark.parametrize(
    ("state", "words", "colour"),
    [
        (State(), "No job is known yet", "quiet"),
        (state_of(*fine()), "The only job is fine", "good"),
        (all_fine(), "All 3 jobs are fine", "good"),
        (state_of(*fine(), *waiting()), "1 of 2 jobs waits for a server: edge-site-7", "wait"),
        (
            state_of(*fine(), *waiting(), *failing()),
            "2 of 3 jobs are failing, 1 of them waiting for a server: billing, edge-site-7",
            "bad",
        ),
        (
            everything(),
            "4 of 8 jobs are failing, 1 of them waiting for a server: billing, crashed, typo, edge-site-7",
            "bad",
        ),
        (state_of(*failing(), *warned()), "1 of 2 jobs is failing: billing; 1 more with warnings", "bad"),
        (
            state_of(*(event for n in range(6) for event in invalid(f"j{n}"))),
            "6 of 6 jobs are failing: j0, j1, j2, j3 and 2 more",
            "bad",
        ),
    ],
)
def test_one_sentence_says_whether_all_is_well(state: State, words: str, colour: str) -> None:
    """What fails counts more than what waits."""
    assert headline(state) == (words, colour)


def test_those_that_need_attention_come_first() -> None:
    """Failing, then waiting, then all others by name."""
    names = [job.name for job in in_order(everything().jobs.values())]
    assert names == ["billing", "crashed", "typo", "edge-site-7", "import-2025", "sensors", "telegraf", "weather"]


# ---------------------------------------------------------------- the chart


def record(points: int, outcome: str = "ok") -> RunRecord:
    """A run that copied so many points."""
    return RunRecord(NOW, 1.0, outcome, Totals(points=points))


def test_the_chart_has_a_bar_for_each_run_the_newest_at_the_right() -> None:
    """Their heights are their points."""
    drawn = chart([record(100), record(50)])
    first, second = drawn.bars
    assert second.x + 8 == drawn.width == HISTORY * 8
    assert second.height * 2 == first.height
    assert first.y + first.height == HEIGHT
    assert (drawn.caption, drawn.scale) == ("2 runs", "100 points")


def test_a_first_run_of_years_does_not_flatten_all_others() -> None:
    """Its bar is broken off, and the others keep their differences."""
    drawn = chart([record(10_000_000), *(record(n) for n in (100, 200, 100, 200))])
    assert drawn.bars[0].notch
    assert not any(bar.notch for bar in drawn.bars[1:])
    assert drawn.bars[2].height == pytest.approx(2 * drawn.bars[1].height, rel=0.01)
    assert drawn.bars[1].height > 10


def test_a_point_is_not_half_of_five_thousand() -> None:
    """Heights are in proportion, and what the highest stands for is written beside it."""
    drawn = chart([record(1), record(1), record(5_000), record(0)])
    one, _, most, none = (bar.height for bar in drawn.bars)
    assert none < one < most / 20
    assert not any(bar.notch for bar in drawn.bars)
    assert drawn.scale == "5,000 points"


def test_a_run_that_failed_has_a_shape_of_its_own() -> None:
    """Not only a colour; the label counts it."""
    drawn = chart([record(5), record(0, "FAILED")])
    assert [bool(bar.cross) for bar in drawn.bars] == [False, True]
    assert drawn.label == "Points of the last 2 runs: 0 to 5, the last one 0; 1 failed"


@pytest.mark.parametrize("amounts", [[], [0], [0, 0], [1], [2**63]])
def test_every_chart_can_be_drawn(amounts: list[int]) -> None:
    """None, nothing, and more than anybody has."""
    drawn = chart([record(n) for n in amounts])
    assert all(bar.y >= 0 and bar.height > 0 and bar.y + bar.height == HEIGHT for bar in drawn.bars)


# ---------------------------------------------------------------- pages


class Reader(HTMLParser):
    """Takes a page apart: its elements, and whether each is closed."""

    VOID = ("meta", "link", "br", "input")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """It is the one that began last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        self.text += data


def pages(state: State) -> list[str]:
    """All pages of a state."""
    return [render_status(state, NOW), *(render_job(job, NOW) for job in state.jobs.values())]


@pytest.mark.parametrize("state", [State(), everything(), all_fine()], ids=["nothing", "everything", "fine"])
def test_pages_are_well_formed_and_need_nothing_from_elsewhere(state: State) -> None:
    """No other host, no inline script or style; links are relative, for proxies with a path; ids are unique."""
    for page in [*pages(state), render_missing("nobody", NOW)]:
        tags = Reader(page).tags
        ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        for tag, attributes in tags:
            assert tag != "style"
            assert not any(name == "style" or name.startswith("on") for name in attributes)
            assert not re.match(r"(?i)[a-z]+:|/", attributes.get("src") or attributes.get("href") or "")
        assert all("src" in attributes for tag, attributes in tags if tag == "script")


def test_names_and_errors_cannot_become_markup() -> None:
    """Of jobs, databases and servers, and texts of theirs: all is escaped, and control characters are visible."""
    events = [
        JobKnown(HOSTILE, NOW, HOSTILE, "UTC", HOSTILE, HOSTILE, HOSTILE),
        RunFinished(HOSTILE, NOW, RunRecord(NOW, 1.0, "FAILED", Totals(), (HOSTILE,))),
        Verified(HOSTILE, NOW, "differs", HOSTILE),
        FileChecked(HOSTILE, NOW, HOSTILE),
    ]
    for page in pages(state_of(*events)):
        read = Reader(page)
        assert [tag for tag, _ in read.tags].count("script") == 1
        assert "{{ 7*7 }}" in read.text
        assert "49" not in read.text
        assert "\x00" not in page
        assert "\u202e" not in page


def test_names_that_are_not_utf8_have_a_page() -> None:
    """File names may hold any bytes."""
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    state = state_of(*fine(name))
    assert 'href="jobs/caf%E9"' in render_status(state, NOW)
    for page in pages(state):
        page.encode()


# ---------------------------------------------------------------- tables


def test_measurements_that_need_attention_come_first() -> None:
    """Failed ones with their problems, then those under way."""
    (job,) = state_of(*failing()).jobs.values()
    rows = measurement_table(job, NOW).rows
    assert [row.condition for row in rows] == ["failed", "done", "done"]
    assert rows[0].problems == (DISK_FULL,)
    (job,) = state_of(*running()).jobs.values()
    assert measurement_table(job, NOW).rows[0].condition == "copying, 66 %"


def test_runs_are_listed_newest_first_with_their_first_failure() -> None:
    """And how many more there were."""
    (job,) = state_of(*failing()).jobs.values()
    rows = run_table(job, NOW).rows
    assert rows[0].problems == (DISK_FULL, "and 4 more")
    assert rows[0].name > rows[1].name
    assert [row.condition for row in rows[2:5]] == ["failed", "ok", "ok"]
    assert len(rows) == HISTORY


def test_every_tone_has_an_icon() -> None:
    """The tab shows the state, too."""
    from watching.web.site import ASSETS

    used = {tone(job) for job in everything().jobs.values()} | {"quiet", headline(all_fine())[1]}
    assert {f"icon-{name}.svg" for name in used} <= {file.name for file in ASSETS.iterdir()}
    assert word(next(iter(state_of(*runs("x", [1])).jobs.values())))


# ---------------------------------------------------------------- warnings


def test_a_job_with_warnings_is_amber_and_names_them() -> None:
    """Before those that are fine, and still while the next run goes on; a failure is red."""
    found = shown(warned())
    assert (found.tone, found.condition) == ("wait", "Idle, with warnings")
    assert found.problems is not None
    assert (found.problems.title, found.problems.tone) == ("2 warnings of the last run, 1 min ago", "wait")
    assert found.problems.texts == WARNINGS
    again = shown([*warned(), RunStarted("plant", NOW)])
    assert (again.tone, again.condition) == ("wait", "Running, with warnings")
    assert headline(state_of(*fine("a"), *warned())) == ("1 of 2 jobs has warnings: plant", "wait")
    assert [job.name for job in in_order(state_of(*fine("a"), *warned()).jobs.values())] == ["plant", "a"]
    failed = RunFinished("plant", NOW, RunRecord(NOW, 1.0, "FAILED", failures=("x",)), 1)
    assert shown([*warned(), failed]).tone == "bad"
    (row,) = run_table(state_of(*warned()).jobs["plant"], NOW).rows
    assert (row.tone, row.condition, row.problems) == ("wait", "ok, 2 warnings", (WARNINGS[0], "and 1 more"))


def test_a_run_that_was_stopped_leaves_the_warnings_of_the_one_before() -> None:
    """It has judged nothing."""
    stopped = RunFinished("plant", NOW, RunRecord(NOW, 1.0, "stopped"), 1)
    assert shown([*warned(), stopped]).condition == "Idle, with warnings"


# ---------------------------------------------------------------- the last days, many jobs, repeated errors


def test_each_kind_of_day_has_a_shape_of_its_own_and_all_are_told_in_words() -> None:
    """Nothing is told by colour alone."""
    assert len({parts for _, parts in SHAPES.values()}) == len(SHAPES)
    today = date(2026, 11, 24)
    days = {today: Day(good=1), today - timedelta(days=1): Day(failed=1), today - timedelta(days=2): Day(warned=1)}
    drawn = heartbeat(days, today)
    assert len(drawn.bars) == 90
    assert drawn.label == "The last 90 days: 33 % of 3 days good; 1 failed, 1 warned"
    assert [bar.title for bar in drawn.bars[-3:]] == [
        "2026-11-22: warned",
        "2026-11-23: failed",
        "2026-11-24: good",
    ]
    assert heartbeat({}, today).caption == "no day with a run yet"


def test_of_more_than_six_jobs_that_are_well_each_has_one_line() -> None:
    """Those that need attention stay in full."""
    six = [event for n in range(6) for event in fine(f"j{n}")]
    assert not any(found.is_folded for found in cards(in_order(state_of(*six, *failing()).jobs.values()), NOW))
    found = cards(in_order(state_of(*six, *running(), *failing(), *warned()).jobs.values()), NOW)
    assert [(c.name, c.is_folded) for c in found[:3]] == [("billing", False), ("plant", False), ("j0", True)]
    assert sum(c.is_folded for c in found) == 7


def test_the_groups_count_as_the_sentence_on_top_does() -> None:
    """A job that waits for its server is one of those that fail."""
    jobs = list(everything().jobs.values())
    assert groups(jobs) == [
        ("failing", "Failing", 4),
        ("waiting", "Waiting", 1),
        ("running", "Running", 1),
        ("fine", "Fine", 4),
    ]


def test_errors_that_say_the_same_are_one_with_their_number() -> None:
    """Whatever they are about, and whatever range they name."""
    refused = [
        f"db.autogen.m{n}: read [2026-01-0{n}T00:00:00Z, 2026-01-09T00:00:00Z): refused" for n in range(1, 7)
    ]
    assert once([*refused, "other"]) == [
        f"{refused[0]}\n(6 times: also db.autogen.m2, db.autogen.m3, db.autogen.m4 and 2 more)",
        "other",
    ]
    assert once(["a", "a"]) == ["a\n(2 times)"]
    assert once([]) == []
    found = shown([*runs("x", [-1], failures=refused)]).problems
    assert found is not None
    assert len(found.texts) == 1


def test_a_run_that_failed_as_the_one_above_it_says_so() -> None:
    """Thirty times the same text would hide what differs."""
    (job,) = state_of(*failing()).jobs.values()
    problems = [row.problems for row in run_table(job, NOW).rows[:3]]
    assert problems[1:] == [("the same as above",)] * 2


def test_a_card_says_when_both_sides_were_compared() -> None:
    """And with which result, where they were not equal."""
    facts = {fact.label: fact for fact in shown(recovered()).facts}
    assert facts["Verified"].lines == (("3 h ago", "2026-11-24 00:57 UTC"),)
    differs = Verified("weather", NOW - MINUTE, "differs", "DIFFERENT: 1 value missing")
    facts = {fact.label: fact for fact in shown([*recovered(), differs]).facts}
    assert facts["Verified"] == Fact("Verified", (("differs", "1 min ago"),), "wait")


def test_a_card_shows_the_archive_and_the_last_drill() -> None:
    """Of jobs that have them; a drill that did not pass, with when one last did."""
    facts = {fact.label: fact for fact in shown(archived()).facts}
    assert facts["Archive"].lines == (("14 snapshots", "48.2 MB, newest 1 h 57 min ago"),)
    assert facts["Restore drill"] == Fact("Restore drill", (("3 days ago", "2026-11-21 03:57 UTC"),))
    assert facts["Verified"].lines == (("3 h ago", "2026-11-24 00:57 UTC"),)
    facts = {fact.label: fact for fact in shown(archived(drill="failed")).facts}
    assert facts["Restore drill"] == Fact("Restore drill", (("failed 5 h ago", "passed 3 days ago"),), "wait")
    facts = {fact.label: fact for fact in shown(archived(drill="never")).facts}
    assert facts["Restore drill"].lines == (("none yet", ""),)
    assert not {"Archive", "Restore drill"} & {fact.label for fact in shown(fine()).facts}


def test_the_page_of_a_job_says_all_of_its_archive() -> None:
    """Files new and reused, what reading them found, and the drill in a sentence."""
    (job,) = state_of(*archived()).jobs.values()
    page = render_job(job, NOW)
    for text in (
        "3 new, 120 reused files",
        "read 1,402 of 1,402 files, 48.2 MB",
        "passed: restored 8,352,000 points of snapshot 20261124T020000.000000000Z of /backups/influx",
        "0 6 * * 0 (UTC)",
    ):
        assert text in page
