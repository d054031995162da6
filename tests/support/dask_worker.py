"""A worker of Dask and its scheduler, played: as far as a task of ours sees them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

SOON = 0.01
"""Seconds that the scheduler waits at most, whatever it is asked for."""


class Scheduler:
    """Knows leases, events and variables."""

    def __init__(self) -> None:
        self.leases: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.events: set[str] = set()
        self.variables: dict[str, object] = {}
        self.waits: list[float] = []
        self.is_silent = False

    async def semaphore_register(self, name: str, max_leases: int, lease_timeout: float) -> None:
        """A semaphore keeps to what was said of it first."""
        assert max_leases == 1
        self.seconds.setdefault(name, lease_timeout)

    async def semaphore_acquire(self, name: str, timeout: float, lease_id: str) -> bool:
        """Whether it is this one's, by now."""
        assert name in self.seconds
        await self._wait(timeout)
        return self.leases.setdefault(name, lease_id) == lease_id

    async def semaphore_release(self, name: str, lease_id: str) -> None:
        """Free for others, if it was this one's."""
        if self.leases.get(name) == lease_id:
            del self.leases[name]

    async def event_wait(self, name: str, timeout: float) -> bool:
        """Whether it has come to pass meanwhile."""
        assert timeout > 0
        await self._wait(timeout)
        return name in self.events

    async def event_is_set(self, name: str) -> bool:
        """Whether it has."""
        return name in self.events

    async def event_set(self, name: str) -> None:
        """It has."""
        self.events.add(name)

    async def variable_get(self, name: str, timeout: float, client: str) -> dict[str, object]:
        """Its value; it is waited for."""
        assert client == "id"
        await self._wait(timeout)
        if name not in self.variables:
            raise TimeoutError
        return {"value": self.variables[name]}

    async def _wait(self, timeout: float) -> None:
        self.waits.append(timeout)
        await asyncio.sleep(3600 if self.is_silent else min(timeout, SOON))


class Worker:
    """Carries out the task `key`."""

    def __init__(self, key: str, loop: asyncio.AbstractEventLoop) -> None:
        self.address = "tcp://h:1"
        self.name = "w1"
        self.id = "id"
        self.scheduler = Scheduler()
        self.loop = SimpleNamespace(asyncio_loop=loop)
        self.status = SimpleNamespace(name="running")
        self.state = SimpleNamespace(tasks={key: SimpleNamespace(state="executing")})
        self.told: list[tuple[str, bytes]] = []

    def log_event(self, topic: str, message: bytes) -> None:
        """What it tells."""
        self.told.append((topic, message))


@contextmanager
def working(key: str) -> Iterator[Worker]:
    """A worker, and its loop in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Worker(key, loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
