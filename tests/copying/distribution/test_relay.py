"""What a worker tells of a unit: nothing is lost, and lines of others are not taken along."""

from __future__ import annotations

import logging
import threading

import pytest

from copying.distribution import relay as relaying
from copying.distribution.relay import LOGGERS, Call, Message, Relay
from copying.distribution.unit import opened
from influx.influxql import Location
from influx.written import Written
from tests.support.waiting import wait_until

PLACE = Location("db", "autogen", "m")


def told(sent: list[bytes]) -> list[Call]:
    """The calls of all messages."""
    messages = [opened(message) for message in sent]
    assert all(isinstance(message, Message) for message in messages)
    return [call for message in messages if isinstance(message, Message) for call in message.calls]


def test_everything_is_told_in_its_order() -> None:
    """Some of it while the unit goes on, the rest at its end; each message is counted."""
    sent: list[bytes] = []
    relay = Relay("run", "key", sent.append)
    with relay:
        relay.begun(PLACE)
        relay.tell()
        relay.wrote(PLACE, Written(3, 4))
        relay.reached(PLACE, 50, 40)
        relay.reached(PLACE, 60, 30)
        relay.reached(PLACE, 70)
        relay.acknowledged()
    assert [name for name, _ in told(sent)] == ["begun", "wrote", "reached", "reached", "reached", "acknowledged"]
    assert (relay.messages, relay.newest) == (2, {PLACE: 40})
    assert {message.attempt for message in map(opened, sent) if isinstance(message, Message)} == {relay.attempt}


def test_what_the_daemon_tells_by_itself_is_not_told_twice() -> None:
    """The plan, and the ends."""
    sent: list[bytes] = []
    with Relay("run", "key", sent.append) as relay:
        relay.phase("copying")
        relay.databases(1)
        relay.database("db", 1)
        relay.planned([])
        relay.copying()
        relay.failed(["no"])
    assert sent == []


def test_a_trouble_is_over_when_the_last_request_has_settled() -> None:
    """The daemon does not know the worker's threads."""
    sent: list[bytes] = []
    with Relay("run", "key", sent.append) as relay:
        relay.retrying("slow")
        relay.retrying("slower")
        relay.settled()
    assert [name for name, _ in told(sent)] == ["retrying", "retrying", "settled"]


def test_a_trouble_is_over_when_the_last_of_all_requests_has_settled() -> None:
    """Several are on their way at once, each in a thread of its own."""
    sent: list[bytes] = []
    with Relay("run", "key", sent.append) as relay:
        relay.retrying("slow")
        is_over = threading.Event()

        def another() -> None:
            relay.retrying("slower")
            is_over.wait(300)
            relay.settled()

        other = threading.Thread(target=another)
        other.start()
        wait_until(lambda: len(relay._troubled) == 2, "the trouble of another thread", hang=20)
        relay.settled()
        relay.acknowledged()
        is_over.set()
        other.join()
    assert [name for name, _ in told(sent)] == [
        "retrying",
        "retrying",
        "acknowledged",
        "settled",
    ]


def test_what_happens_is_told_while_it_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, where there is anything to tell; nobody does so after the end."""
    monkeypatch.setattr(relaying, "TICK", 0.01)
    sent: list[bytes] = []
    with Relay("run", "key", sent.append) as relay:
        assert [thread.daemon for thread in threading.enumerate() if thread.name == "relay"] == [True]
        relay.begun(PLACE)
        wait_until(lambda: len(sent) == 1, "a message", hang=20)
        relay.begun(PLACE)
        wait_until(lambda: len(sent) == 2, "another one", hang=20)
        relay.acknowledged()
    assert [name for name, _ in told(sent)] == ["begun", "begun", "acknowledged"]
    assert relay.messages == len(sent)
    assert [thread for thread in threading.enumerate() if thread.name == "relay"] == []


def test_lines_of_the_log_come_along() -> None:
    """Those of the copy, at the job's level, and only while the unit goes on."""
    sent: list[bytes] = []
    ours, others = logging.getLogger("copying.reading"), logging.getLogger("somebody.else")
    levels = [logging.getLogger(name).level for name in LOGGERS]
    with Relay("run", "key", sent.append) as relay:
        with relay.logs("INFO", "w1"):
            ours.info("read %d", 7)
            ours.warning("slow")
            ours.debug("too much")
            others.error("not ours")
        ours.warning("later")
    assert [logging.getLogger(name).level for name in LOGGERS] == levels
    assert told(sent) == [
        ("log", ("copying.reading", logging.INFO, "read 7")),
        ("log", ("copying.reading", logging.WARNING, "slow (worker w1)")),
    ]
