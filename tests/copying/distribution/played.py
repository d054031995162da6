"""Dask as a daemon sees it, played, so that everything that can become of a unit comes up at will.

The tests in tests/integration/test_distribution.py and tests/faults/ have the real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from copying.distribution import cluster
from copying.distribution.relay import Call, Message
from copying.distribution.unit import Unit, opened, packed
from copying.distribution.version import resource
from copying.listener import SilentRun
from influx.influxql import Location
from influx.written import Written

SERVER = "b:8086"
SCHEDULER = "tls://s:8786"


@dataclass
class Future:
    """What a client shows of a unit: so many looks long that it goes on, and then how it has ended."""

    end: str = "finished"
    value: object = None
    error: BaseException | None = None
    goes_on: int = 0
    is_lost: int = 0
    """How often what came of it cannot be had."""

    @property
    def status(self) -> str:
        """As Dask calls it."""
        self.goes_on -= 1
        return "pending" if self.goes_on >= 0 else self.end

    def result(self, _timeout: float) -> bytes:
        """What came of it."""
        self.is_lost -= 1
        if self.is_lost >= 0:
            raise OSError("its worker is gone") if self.is_lost else CancelledError("its worker is gone")
        return packed(self.value)

    def exception(self, _timeout: float) -> BaseException | None:
        """Why it has failed."""
        return self.error


class Dask:
    """A client, its scheduler, and workers that do with each unit what the test says."""

    def __init__(self, work: Callable[[Dask, Unit], Future]) -> None:
        self._work = work
        self.scheduler = self
        self.status = "running"
        self.workers: dict[str, dict[str, Any]] = {"tcp://1": worker("w1")}
        self.units: list[Unit] = []
        self.how: list[Mapping[str, Any]] = []
        self.events: list[tuple[str, str]] = []
        self.topic = ""
        self.is_silent = False
        self.variables: dict[str, object] = {}
        self.looks = 0

    def subscribe_topic(self, topic: str, handler: Callable[[tuple[int, bytes]], None]) -> None:
        """Who hears what workers tell."""
        self.topic = topic
        self._handler = handler

    def tell(self, run: str, key: str, attempt: str, *calls: Call) -> None:
        """A worker tells something of a unit."""
        self.send(Message(run, key, attempt, calls))

    def send(self, message: object) -> None:
        """Whatever a worker may send."""
        self._handler((0, packed(message)))

    def submit(self, _task: object, topic: str, unit: bytes, **how: Any) -> Future:  # noqa: ANN401
        """A unit that is handed out."""
        asked = opened(unit)
        assert isinstance(asked, Unit)
        assert topic == self.topic
        self.units.append(asked)
        self.how.append(how)
        return self._work(self, asked)

    def sync(self, ask: Callable[..., Any], *values: object, **arguments: Any) -> object:  # noqa: ANN401
        """The answer of the scheduler."""
        if self.is_silent:
            raise OSError("timed out")
        answer = ask(*values, **arguments)
        if not asyncio.iscoroutine(answer):
            return answer
        with ThreadPoolExecutor(1) as pool:  # a loop may be running in this thread
            return pool.submit(asyncio.run, answer).result()

    async def variable_set(self, name: str, data: object, timeout: float) -> None:
        """As the variables of Dask call it."""
        assert timeout
        self.variables[name] = data

    def _send_to_scheduler(self, message: Mapping[str, str]) -> None:
        assert message["op"] == "variable_delete"
        del self.variables[message["name"]]

    def identity(self, n_workers: int, callback_timeout: float) -> dict[str, object]:
        """Which workers there are: all of them."""
        assert (n_workers, callback_timeout) == (-1, cluster.ASKING)
        self.looks += 1
        return {"workers": self.workers}

    def event_set(self, name: str, callback_timeout: float) -> None:
        """Something has come to pass."""
        assert callback_timeout
        self.events.append(("set", name))

    def event_clear(self, name: str, callback_timeout: float) -> None:
        """It is forgotten."""
        assert callback_timeout
        self.events.append(("clear", name))

    def close(self, _timeout: float) -> None:
        """The end of the connection."""
        self.status = "closed"


@dataclass
class Listener(SilentRun):
    """Writes down what it hears."""

    heard: list[Call] = field(default_factory=list)

    def begun(self, source: Location) -> None:
        """Write it down."""
        self.heard.append(("begun", (source,)))

    def wrote(self, source: Location, written: Written) -> None:
        """Write it down."""
        self.heard.append(("wrote", (source, written)))

    def reached(self, source: Location, position: int, newest: int | None = None) -> None:
        """Write it down."""
        self.heard.append(("reached", (source, position, newest)))

    def acknowledged(self) -> None:
        """Write it down."""
        self.heard.append(("acknowledged", ()))

    def retrying(self, trouble: str) -> None:
        """Write it down."""
        self.heard.append(("retrying", (trouble,)))

    def settled(self) -> None:
        """Write it down."""
        self.heard.append(("settled", ()))


def worker(name: str, *, source: str = "", server: str = SERVER) -> dict[str, Any]:
    """A worker as the scheduler tells of it."""
    return {"name": name, "resources": {server: 1.0, source or resource(): 1.0}}
