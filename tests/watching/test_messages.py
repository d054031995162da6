"""What is told about a job: one message per change of state, never one per attempt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest

from basics.times import SECOND
from watching.events import (
    Drilled,
    Event,
    FileChecked,
    JobEnded,
    JobKnown,
    NextRun,
    Proved,
    RunFinished,
    RunRecord,
    RunStarted,
    Totals,
    Verified,
    WaitingForServer,
    WorkerDied,
    WorkerStarted,
)
from watching.messages import FAILURES_TOLD, Message, Place, Signal, Told, message, signals
from watching.state import Cause, JobState, State, Trouble, applied

START = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z"""

DEFAULT = ("failure", "warning", "recovery")
ALL = ("failure", "warning", "recovery", "success")


def at(seconds: float) -> int:
    """A time so long after the start."""
    return START + int(seconds * SECOND)


@dataclass
class Story:
    """A job, what happens to it, and what was told."""

    on: tuple[str, ...] = DEFAULT
    schedule: str = "0 * * * *"
    timezone: str = "UTC"
    state: State = field(default_factory=lambda: State(START))
    told: Told = field(default_factory=Told)
    messages: list[Message] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.happens(JobKnown("prod", START, schedule=self.schedule, timezone=self.timezone))
        self.happens(WorkerStarted("prod", START, pid=7))

    def happens(self, event: Event) -> None:
        """One event, and what it brings about."""
        before, self.state = self.state, applied(self.state, event)
        known, job = before.jobs.get("prod") or JobState("prod"), self.state.jobs["prod"]
        self.told, found = message(self.told, known, job, self.on, event.at)
        self.messages += [found] if found else []
        self.signals += signals(known, job)

    def run(self, seconds: float, *failures: str, outcome: str = "", warnings: tuple[str, ...] = ()) -> None:
        """A run that begins then and takes ten seconds."""
        begun, ended = at(seconds), at(seconds + 10)
        outcome = outcome or ("FAILED" if failures else "ok")
        amounts = Totals(points=1234, values=5678, bytes=90_000, failures=len(failures))
        self.happens(RunStarted("prod", begun))
        record = RunRecord(begun, 10.0, outcome, amounts, failures, warnings, len(warnings))
        self.happens(RunFinished("prod", ended, record))

    @property
    def occasions(self) -> list[str]:
        """Of the messages."""
        return [found.occasion for found in self.messages]


def test_a_job_that_goes_on_failing_is_told_once_and_its_recovery_once() -> None:
    """Whatever fails in between."""
    story = Story()
    story.run(0)
    for hour in range(1, 5):
        story.run(3600 * hour, f"cpu: refused, for the {hour}. time")
        story.happens(NextRun("prod", at(3600 * hour + 11), when=at(3600 * (hour + 1))))
    story.run(18_000)
    story.run(21_600)
    assert story.occasions == ["failure", "recovery"]
    story.run(25_200, "again")
    assert story.occasions == ["failure", "recovery", "failure"]


def test_a_failure_says_what_failed_since_when_and_the_next_try() -> None:
    """And when the last run succeeded; times are those of the schedule's zone."""
    story = Story(timezone="Europe/Berlin", schedule="30 2 * * *")
    story.run(0)
    story.run(86_400, "telegraf.autogen.cpu: write to backup: HTTP 503", "telegraf.autogen.mem: HTTP 503")
    (found,) = story.messages
    assert found.title == "prod: backup is failing"
    assert found.at == at(86_410)
    assert found.text.splitlines() == [
        "Job prod is failing.",
        "",
        "telegraf.autogen.cpu: write to backup: HTTP 503",
        "telegraf.autogen.mem: HTTP 503",
        "",
        "Since: 2026-01-02 01:00:10 Europe/Berlin",
        "Last success: 2026-01-01 01:00:10 Europe/Berlin",
        "Next try: 2026-01-02 02:30:00 Europe/Berlin",
        "What to do: Look the message up in docs/troubleshooting.md; "
        "to copy now: main.py run --once --config prod.yaml",
    ]


def test_a_message_says_which_copy_where_and_what_to_do_and_links_to_the_page() -> None:
    """Each error once, with how many there are."""
    place = Place("backup01", "https://backup.example.org/b/")
    before = JobState("a b", source="http://one:8086", destination="http://two:8086", schedule="0 * * * *")
    troubles: dict[Cause, Trouble] = {"server": Trouble("m1: refused\nm2: refused", START, START)}
    _, found = message(Told(), before, replace(before, troubles=troubles), DEFAULT, START, place)
    assert found is not None
    lines = found.text.splitlines()
    assert lines[2:4] == ["m1: refused", "(2 times: also m2)"]
    assert lines[-4:] == [
        "From: http://one:8086 to http://two:8086",
        "Host: backup01",
        "Page: https://backup.example.org/b/jobs/a%20b",
        "What to do: Start the server, or correct its URL: the job goes on by itself.",
    ]


def test_a_difference_is_a_warning_that_is_told_once_until_it_is_gone() -> None:
    """With how to mend it."""
    story = Story()
    story.run(0)
    differs = Verified("prod", at(60), "differs", "DIFFERENT: 2 values missing")
    story.happens(differs)
    story.happens(replace(differs, at=at(120), detail="DIFFERENT: 3 values missing"))
    story.run(3600)
    assert story.occasions == ["warning"]
    assert "verify: DIFFERENT: 2 values missing" in story.messages[0].text
    assert "What to do: main.py verify --full --config prod.yaml" in story.messages[0].text
    story.happens(Verified("prod", at(7200), "equal"))
    assert story.occasions == ["warning", "recovery"]


def test_a_recovery_says_what_was_wrong_and_since_when() -> None:
    """And what the run did that succeeded."""
    story = Story()
    story.run(0, "cpu: refused")
    story.run(3600)
    assert story.messages[1].title == "prod: backup is fine again"
    assert story.messages[1].text.splitlines() == [
        "Job prod is fine again.",
        "",
        "It was failing since 2026-01-01 00:00:10 UTC:",
        "cpu: refused",
        "",
        "Last run: ok: 1,234 points, 5,678 values, 90.0 kB in 10.0 s",
        "Next run: 2026-01-01 02:00:00 UTC",
    ]


def test_many_failures_and_names_with_line_ends_make_no_long_message() -> None:
    """The first of them, one line each."""
    story = Story()
    story.run(0, *(f"m{number}\x1b\r: refused{chr(97 + number)}" for number in range(20)))
    lines = story.messages[0].text.splitlines()
    assert lines[2] == r"m0\x1b\r: refuseda"
    assert lines[2 + FAILURES_TOLD] == "... and more, see the log"
    assert len(lines) == FAILURES_TOLD + 8


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (("failure",), ["failure", "failure"]),
        (("recovery",), ["recovery"]),
        (("success",), ["success", "success", "success"]),
        (ALL, ["success", "failure", "recovery", "success", "failure"]),
        (DEFAULT, ["failure", "recovery", "failure"]),
        ((), []),
    ],
)
def test_what_is_told_is_what_was_asked_for(on: tuple[str, ...], expected: list[str]) -> None:
    """A run that succeeds after a failure is a recovery, or a success where recoveries are not wanted."""
    story = Story(on)
    for hour, failures in enumerate([[], ["x"], ["y"], [], [], ["z"]]):
        story.run(3600 * hour, *failures)
    assert story.occasions == expected


def test_a_worker_that_dies_again_and_again_is_told_once() -> None:
    """Being started again is no recovery; a run that succeeds is."""
    story = Story(ALL)
    for minute in range(4):
        restart = at(60 * minute + 5)
        story.happens(RunStarted("prod", at(60 * minute)))
        story.happens(WorkerDied("prod", at(60 * minute + 1), death="SIGKILL", restart_at=restart))
        story.happens(WorkerStarted("prod", restart, pid=8))
        story.happens(NextRun("prod", restart, when=at(60 * minute + 60)))
    assert story.occasions == ["failure"]
    assert "its worker process died (SIGKILL)" in story.messages[0].text
    assert "Next try: 2026-01-01 00:00:05 UTC" in story.messages[0].text
    story.run(600)
    assert story.occasions == ["failure", "recovery"]
    assert "its worker process died (SIGKILL)" in story.messages[1].text


def test_servers_that_answer_again_are_a_recovery() -> None:
    """The next run may be a month away."""
    story = Story()
    for second in range(0, 180, 60):
        waiting = WaitingForServer("prod", at(second), "source", "Connection refused", retry_at=at(second + 60))
        story.happens(waiting)
    story.happens(NextRun("prod", at(200), when=at(3600)))
    assert story.occasions == ["failure", "recovery"]
    assert "waiting for the source: Connection refused" in story.messages[0].text
    assert "Next try: 2026-01-01 00:01:00 UTC" in story.messages[0].text
    assert "Last success: none since the daemon was started" in story.messages[0].text
    assert "Next run: 2026-01-01 01:00:00 UTC" in story.messages[1].text


def test_a_job_that_waits_and_then_fails_has_not_recovered_in_between() -> None:
    """Not before servers answer and nothing else is wrong."""
    story = Story()
    story.run(0, "x")
    story.happens(WaitingForServer("prod", at(60), "source", "Connection refused", retry_at=at(120)))
    story.happens(NextRun("prod", at(130), when=at(3600)))
    story.run(3600, "x")
    assert story.occasions == ["failure"]


def test_an_invalid_file_is_told_and_its_correction_too() -> None:
    """The job goes on as it was, and people should know that."""
    story = Story()
    story.run(0)
    story.happens(FileChecked("prod", at(60), "config/prod.yaml: 1 problem"))
    story.run(3600)
    assert story.occasions == ["failure"]
    story.happens(FileChecked("prod", at(7200)))
    assert story.occasions == ["failure", "recovery"]


def test_a_job_that_runs_once_is_not_tried_again() -> None:
    """Its message says so."""
    story = Story(schedule="")
    story.run(0, "x")
    story.happens(JobEnded("prod", at(11), "FAILED", ("x",)))
    assert story.occasions == ["failure"]
    assert "Next try: none: it was to run once" in story.messages[0].text


def pings(found: Iterable[Signal]) -> list[str]:
    """Their ends of the URL."""
    return [signal.ping for signal in found]


def test_a_check_hears_of_the_start_and_the_end_of_each_run() -> None:
    """With the summary, and every failure."""
    story = Story()
    story.run(0)
    story.run(3600, "cpu: refused", "mem: refused")
    story.run(7200)
    assert pings(story.signals) == ["/start", "", "/start", "/fail", "/start", ""]
    assert story.signals[1].text == "ok: 1,234 points, 5,678 values, 90.0 kB in 10.0 s"
    assert story.signals[3].text.splitlines()[0].startswith("FAILED: 1,234 points")
    assert story.signals[3].text.splitlines()[1:] == ["cpu: refused", "mem: refused"]
    assert [signal.at for signal in story.signals] == [at(x) for x in (0, 10, 3600, 3610, 7200, 7210)]


def test_a_check_hears_once_of_servers_that_do_not_answer_and_of_a_worker_that_died() -> None:
    """They keep the job from running."""
    story = Story()
    for second in (0, 60, 120):
        story.happens(
            WaitingForServer("prod", at(second), "source", "Connection refused", retry_at=at(second + 60))
        )
    assert [(s.ping, s.text) for s in story.signals] == [("/fail", "waiting for the source: Connection refused")]
    story.happens(RunStarted("prod", at(180)))
    story.happens(WorkerDied("prod", at(190), death="SIGSEGV", restart_at=at(191)))
    assert pings(story.signals) == ["/fail", "/start", "/fail"]


def test_a_check_does_not_hear_of_a_run_that_was_stopped_on_purpose() -> None:
    """It neither succeeded nor failed: the check tells when no other run follows."""
    story = Story()
    story.run(0, outcome="stopped")
    assert pings(story.signals) == ["/start"]
    assert story.messages == []


OLD = "database telegraf: nothing new at the source since 2026-01-01T00:00:00Z; options.max_lag is 6h"


def test_a_warning_is_told_once_whatever_its_numbers_and_its_end_is_a_recovery() -> None:
    """Until a run no longer has it; another one is told beside it."""
    story = Story()
    story.run(0)
    for hour in (1, 2, 3):
        story.run(3600 * hour, warnings=(OLD.replace("T00", f"T0{hour}"),))
    assert story.occasions == ["warning"]
    assert story.messages[0].title == "prod: backup has warnings"
    assert "nothing new at the source since 2026-01-01T01:00:00Z" in story.messages[0].text
    story.run(14_400, warnings=(OLD, "another"))
    assert story.occasions == ["warning", "warning"]
    story.run(18_000)
    assert story.occasions == ["warning", "warning", "recovery"]
    assert "its last run has no warnings" in story.messages[-1].text
    story.run(21_600, warnings=(OLD,))
    assert story.occasions[-1] == "warning"


def test_a_run_that_is_stopped_or_fails_leaves_what_was_warned_of() -> None:
    """It is not told again, and a failure comes before any warning."""
    story = Story()
    story.run(0, warnings=(OLD,))
    story.run(3600, outcome="stopped")
    story.run(7200, warnings=(OLD,))
    assert story.occasions == ["warning"]
    story.run(10_800, "refused", warnings=(OLD,))
    story.run(14_400, warnings=(OLD,))
    assert story.occasions == ["warning", "failure", "recovery"]


def test_who_did_not_ask_for_warnings_is_told_none() -> None:
    """Nor of their end; a check is told of them with its success."""
    story = Story(on=("failure", "success"))
    story.run(0, warnings=(OLD,))
    story.run(3600)
    assert story.occasions == ["success", "success"]
    assert [(signal.ping, OLD in signal.text) for signal in story.signals] == [
        ("/start", False),
        ("", True),
        ("/start", False),
        ("", False),
    ]


def test_a_drill_that_did_not_pass_is_told_once_and_its_end_is_a_recovery() -> None:
    """With what came of it and what to do; one that was tried in vain, too."""
    story = Story()
    story.run(0)
    for hour in range(1, 4):
        story.happens(Drilled("prod", at(3600 * hour), "failed", f"database db: {hour} values missing"))
    assert story.occasions == ["warning"]
    assert "drill: FAILED: database db: 1 values missing" in story.messages[0].text
    assert "What to do: docs/archive.md, Rehearse a restore" in story.messages[0].text
    story.happens(Drilled("prod", at(20_000), "not done", "target http://x: Connection refused"))
    assert story.occasions == ["warning", "warning"]
    story.happens(Drilled("prod", at(30_000)))
    assert story.occasions == ["warning", "warning", "recovery"]


def test_a_drill_that_passed_is_told_to_who_wants_to_hear_of_successes() -> None:
    """With its points and its seconds."""
    story = Story(on=ALL)
    drill = Drilled("prod", at(5), origin="snapshot S", target="http://x", points=1234, values=99, seconds=2.5)
    story.happens(drill)
    (found,) = story.messages
    assert (found.occasion, found.title) == ("success", "prod: restore drill passed")
    assert "passed: restored 1,234 points of snapshot S to http://x in 2.5 s, 99 values equal" in found.text
    story.happens(replace(drill, at=at(6), sample=5.0))
    assert "1,234 points of snapshot S (5 % of the time)" in story.messages[-1].text
    other = Story()
    other.happens(drill)
    assert other.messages == []


def test_damage_in_an_archive_is_a_warning_until_all_of_it_is_whole() -> None:
    """A share of it that is whole proves nothing of the rest."""
    story = Story()
    story.happens(Proved("prod", at(1), "damaged", "archive /a: x.parquet is missing", files=1, of=9))
    assert "archive verify: archive /a: x.parquet is missing" in story.messages[0].text
    assert "main.py archive verify --config prod.yaml" in story.messages[0].text
    story.happens(Proved("prod", at(2), files=1, of=9))
    story.happens(Proved("prod", at(3), "could not check", "no answer"))
    assert story.occasions == ["warning"]
    story.happens(Proved("prod", at(4), files=9, of=9))
    assert story.occasions == ["warning", "recovery"]
