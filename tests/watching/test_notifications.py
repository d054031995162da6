"""The delivery: in order, in nobody's way, one warning for a service that is down, no secret shown."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from basics.times import MINUTE, SECOND
from tests.support import waiting
from tests.support.leaks import assert_no_secret
from tests.support.recorder import Recorder, recorder
from watching import notifications
from watching.events import Contact, Event, FileChecked, JobKnown, JobRemoved, RunFinished, RunRecord, RunStarted
from watching.messages import Message
from watching.monitor import Holder
from watching.notifications import Notifier
from watching.state import State, applied

TOKEN = "hush-hush-token"


@pytest.fixture
def service() -> Iterator[Recorder]:
    """What takes messages and pings."""
    with recorder() as found:
        yield found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other soon."""
    monkeypatch.setattr(notifications, "FIRST_DELAY", 0.02)
    monkeypatch.setattr(notifications, "LONGEST_DELAY", 0.1)
    monkeypatch.setattr(notifications, "GATHERED", 0.0)


def wait_until(happens: Callable[[], object]) -> None:
    """Give something in another thread its time."""
    waiting.wait_until(happens, "it", pause=0.01)


class Monitor:
    """As the monitor uses a notifier: every event, then what has changed."""

    def __init__(self, *urls: str, ping: str = "", on: tuple[str, ...] = ("failure", "recovery")) -> None:
        self.now = time.time_ns()
        self.state = State(self.now)
        self.holder = Holder(self.state)
        self.notifier = Notifier(self.now, self.holder)
        self.contact = Contact(urls, on, ping)
        self.know("prod")

    def know(self, job: str) -> None:
        """One job more."""
        self.happens(JobKnown(job, self.now, contact=self.contact))

    def happens(self, event: Event) -> None:
        """One event."""
        before, self.state = self.state, applied(self.state, event)
        self.notifier.see(event, before, self.state)

    def end(self, seconds: float = 120) -> None:
        """The monitor has so long."""
        self.holder.end_within = seconds
        self.notifier.close()

    def run(self, *failures: str, job: str = "prod", ago: int = 0) -> None:
        """A run of a second, so many nanoseconds ago."""
        self.now += SECOND
        at = self.now - ago
        record = RunRecord(at - SECOND, 1.0, "FAILED" if failures else "ok", failures=failures)
        self.happens(RunStarted(job, at - SECOND))
        self.happens(RunFinished(job, at, record))


def test_messages_arrive_once_at_each_service_and_in_order(service: Recorder) -> None:
    """With title, text and type as Apprise has them."""
    base = f"json://127.0.0.1:{service.port}"
    monitor = Monitor(f"{base}/a", f"{base}/b", on=("failure", "recovery", "success"))
    for failures in ([], ["cpu: refused"], ["cpu: refused"], [], []):
        monitor.run(*failures)
    monitor.end()
    expected = ["succeeded", "is failing", "is fine again", "succeeded"]
    for path in ("/a", "/b"):
        assert service.titles(path) == [f"prod: backup {end}" for end in expected]
    failure = service.at("/a")[1].json
    assert "cpu: refused" in failure["message"]
    assert failure["type"] == "failure"
    assert [request.json["type"] for request in service.at("/a")] == ["success", "failure", "success", "success"]


def test_pings_go_to_the_url_its_start_and_its_fail_with_the_summary_as_body(service: Recorder) -> None:
    """A query stays a query."""
    monitor = Monitor(ping=f"http://127.0.0.1:{service.port}/ping/{TOKEN}/?create=1")
    monitor.run()
    monitor.run("cpu: refused")
    monitor.end()
    base = f"/ping/{TOKEN}"
    paths = [f"{base}/start", base, f"{base}/start", f"{base}/fail"]
    assert [(r.method, r.path) for r in service.taken] == [("POST", f"{path}?create=1") for path in paths]
    assert service.taken[1].body.startswith("ok: nothing new")
    assert "cpu: refused" in service.taken[3].body


def test_a_service_that_refuses_costs_one_warning_and_gets_its_messages_later(
    service: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """In order, and one line says that it is back."""
    caplog.set_level(logging.INFO)
    service.status = 503
    url = f"http://127.0.0.1:{service.port}"
    monitor = Monitor(f"json://127.0.0.1:{service.port}/{TOKEN}", ping=f"{url}/{TOKEN}")
    monitor.run("x")
    monitor.run()
    wait_until(lambda: len(service.requests) > 12)
    down = [record for record in caplog.records if record.name == "watching.notifications"]
    assert [record.levelname for record in down] == ["WARNING", "WARNING"]
    text = " ".join(record.getMessage() for record in down)
    assert "the notification service json:// (options.notify.urls[0] of job prod) takes no messages" in text
    assert "error=503" in text
    assert "the check to ping (options.ping_url of job prod) takes no messages (HTTP 503)" in text
    service.status = 200
    wait_until(lambda: len(service.taken) == 6)
    wait_until(lambda: caplog.text.count("takes messages again; 0 were dropped") == 2)
    monitor.end()
    titles = [r.json["title"] for r in service.at(f"/{TOKEN}") if r.body.startswith("{")]
    assert titles == ["prod: backup is failing", "prod: backup is fine again"]
    assert_no_secret([caplog.text], TOKEN)


def test_a_service_of_many_jobs_that_is_down_costs_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens on that port; the second failure is not worth a word."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monitor = Monitor(f"json://user:{TOKEN}@127.0.0.1:{unused.getsockname()[1]}/{TOKEN}")
        for number in range(20):
            monitor.know(f"job{number}")
            monitor.run("x", job=f"job{number}")
        wait_until(lambda: "takes no messages" in caplog.text)
        time.sleep(0.5)
        monitor.end(1)
    assert caplog.text.count("takes no messages") == 1
    assert_no_secret([caplog.text], TOKEN)


def test_a_hanging_service_delays_nothing_and_no_other_service(service: Recorder) -> None:
    """Handing over never waits, and the end comes when it was asked for."""
    with recorder() as stuck:
        stuck.hanging = True
        monitor = Monitor(f"json://127.0.0.1:{stuck.port}/x", f"json://127.0.0.1:{service.port}/y")
        for _ in range(20):
            monitor.run("x")
            monitor.run()
        wait_until(lambda: len(service.titles("/y")) == 40)
        begun = time.monotonic()
        monitor.end(0.5)
        assert time.monotonic() - begun < 20  # not the 30 s that the service would take
        assert stuck.taken == []


def test_of_too_many_messages_the_oldest_are_dropped_and_counted(
    service: Recorder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that memory is bounded, whatever a service does."""
    monkeypatch.setattr(notifications, "MESSAGES_WAITING", 3)
    service.status = 500
    monitor = Monitor(f"json://127.0.0.1:{service.port}/x", on=("success",))
    for _ in range(10):
        monitor.run()
    wait_until(lambda: service.requests)
    service.status = 200
    wait_until(lambda: "7 were dropped" in caplog.text)
    monitor.end()
    assert len(service.taken) == 3


def test_what_waits_at_the_end_gets_one_more_attempt(service: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run from cron is told although the process ends right after it."""
    monkeypatch.setattr(notifications, "FIRST_DELAY", 600)
    service.status = 500
    monitor = Monitor(f"json://127.0.0.1:{service.port}/x")
    monitor.run("x")
    wait_until(lambda: service.requests)
    service.status = 200
    monitor.end()
    assert service.titles("/x") == ["prod: backup is failing"]


def test_what_an_earlier_monitor_has_told_is_not_told_again(service: Recorder) -> None:
    """A monitor that was started again hears of everything once more."""
    monitor = Monitor(f"json://127.0.0.1:{service.port}/x", ping=f"http://127.0.0.1:{service.port}/p")
    monitor.run("x", ago=3 * MINUTE)
    monitor.run("x", ago=2 * MINUTE)
    monitor.run("x")
    monitor.run()
    monitor.end()
    assert service.titles("/x") == ["prod: backup is fine again"]
    assert [r.path for r in service.taken if r.path != "/x"] == ["/p/start", "/p/fail", "/p/start", "/p"]


def test_the_same_news_of_many_jobs_is_one_message(service: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is down fails all of its jobs: their names, and each error once."""
    monkeypatch.setattr(notifications, "GATHERED", 2.0)
    monitor = Monitor(f"json://127.0.0.1:{service.port}/ops")
    for name in ("a", "b"):
        monitor.know(name)
    for name in ("prod", "a", "b"):
        monitor.run(f"source http://one:8086: ping: Connection refused (tried {len(name)} times)", job=name)
    wait_until(lambda: len(service.taken) == 1)
    (received,) = service.taken
    assert received.json["title"] == "3 jobs: backup is failing"
    lines = received.json["message"].splitlines()
    assert lines[0] == "a, b, prod"
    assert [line.partition(":")[0] for line in lines[-2:]] == ["Since", "What to do"]
    assert received.json["message"].count("Connection refused") == 1
    monitor.run(job="a")
    wait_until(lambda: len(service.taken) == 2)
    assert service.titles("/ops")[1:] == ["a: backup is fine again"]
    monitor.end()


def test_news_of_another_kind_or_of_the_same_job_stay_in_order() -> None:
    """Only what follows each other goes together."""
    told = ("a", "fails"), ("b", "fails"), ("a", "is fine"), ("a", "fails"), ("a", "fails"), ("", ""), ("", "")
    story = [Message("failure", 1, f"{job}: {kind}", "", job, kind) for job, kind in told]
    parts = []
    while story:
        count = notifications.of_one_kind(story)
        parts.append([item.title for item in story[:count]])
        story = story[count:]
    assert parts == [["a: fails", "b: fails"], ["a: is fine"], ["a: fails"], ["a: fails"], [": "], [": "]]


# ---------------------------------------------------------------- once a day


def test_a_digest_of_all_jobs_comes_once_a_day_to_each_service(
    service: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever number of jobs ask for it; of one that was missed the file tells, and it comes after the start."""
    monkeypatch.setattr(notifications, "SETTLED", 0)
    url, file = f"json://127.0.0.1:{service.port}/ops", tmp_path / "digests.json"
    soon = datetime.now(UTC) - timedelta(minutes=1)
    daily = Contact((url,), ("success",), daily=f"{soon:%H:%M}")
    for ago, expected in ((2 * MINUTE, 1), (0, 1), (2 * MINUTE, 1)):  # born before it, after it, and told already
        monitor = Monitor()
        monitor.notifier = Notifier(time.time_ns() - ago, monitor.holder, calendar=file)
        for name in ("prod", "other"):
            monitor.happens(JobKnown(name, monitor.now, contact=daily))
        for _ in range(3):
            monitor.notifier.look(monitor.state)
        monitor.end()
        assert len(service.taken) == expected
    assert "of 2 jobs" in service.titles("/ops")[0] or "All 2 jobs" in service.titles("/ops")[0]
    assert TOKEN not in file.read_text()
    file.write_text(json.dumps(dict.fromkeys(json.loads(file.read_text()), 0)))  # a daemon that was down for days
    monitor = Monitor()
    monitor.notifier = Notifier(time.time_ns(), monitor.holder, calendar=file)
    monitor.happens(JobKnown("prod", monitor.now, contact=daily))
    monitor.notifier.look(monitor.state)
    monitor.end()
    assert len(service.taken) == 2


def test_a_job_that_is_gone_is_forgotten(service: Recorder) -> None:
    """One of the same name that comes later is a new one."""
    monitor = Monitor(f"json://127.0.0.1:{service.port}/x")
    monitor.run("x")
    monitor.happens(JobRemoved("prod", monitor.now))
    monitor.know("prod")
    monitor.run("y")
    monitor.end()
    assert service.titles("/x") == ["prod: backup is failing", "prod: backup is failing"]


@pytest.mark.parametrize("scheme", ["slack://aaaaaaaaa/bbbbbbbbb/", "https://127.0.0.1:9/"])
def test_what_apprise_says_of_a_failure_shows_nothing_of_the_url(
    scheme: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host neither: some services have their tokens there."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing leaves this machine
    monkeypatch.setenv("NO_PROXY", "")
    caplog.set_level(logging.DEBUG, "notifications")
    token = "aaaaaaaabbbbbbbbcccccccc"  # as long as Slack's
    ping = scheme + token if scheme.startswith("https") else ""
    monitor = Monitor(*([] if ping else [scheme + token]), ping=ping)
    monitor.run("x")
    wait_until(lambda: "takes no messages" in caplog.text)
    monitor.end(1)
    assert_no_secret(
        [record.getMessage() for record in caplog.records if record.name == "watching.notifications"], token
    )


def test_a_file_that_was_never_valid_is_told_to_everybody_once(service: Recorder) -> None:
    """It could not say whom to tell; whoever is told of failures is, each once."""
    url = f"json://127.0.0.1:{service.port}/all"
    monitor = Monitor(url)
    monitor.know("other")
    monitor.happens(FileChecked("new", monitor.now, "config/new.yaml: 1 problem"))
    monitor.notifier.look(monitor.state)
    monitor.notifier.look(monitor.state)
    monitor.run("HTTP 503")
    wait_until(lambda: len(service.titles("/all")) == 2)
    assert service.titles("/all") == ["new: backup is failing", "prod: backup is failing"]
    assert "config/new.yaml: 1 problem" in service.at("/all")[0].json["message"]
    monitor.end()
