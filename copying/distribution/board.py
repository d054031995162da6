"""What a worker asks the scheduler, and tells the daemon through it. The only place that knows Dask's worker."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds for the scheduler to answer what it can answer at once."""


class WorkerBoard:
    """Of the task `key` of a worker. Everything raises OSError when the scheduler does not answer."""

    def __init__(self, worker: Any, key: str, run: str, seconds: float) -> None:  # noqa: ANN401 -- untyped
        self._worker = worker
        self._key = key
        self._run = run
        self._seconds = seconds
        self._ids: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The worker's, for messages."""
        address = str(self._worker.address)
        return address if self._worker.name == address else f"{self._worker.name} at {address}"

    # ------------------------------------------------------------ leases

    def take(self, name: str, patience: float) -> bool:
        """Take or renew the lease of this name, waiting so many seconds while somebody else has it."""
        return self._asked(lambda: self._take(name, patience), patience)

    def renew(self, names: Sequence[str]) -> bool:
        """Renew those leases; whether none of them is another one's."""

        async def all_of_them() -> bool:
            return all(await asyncio.gather(*(self._take(name, 0) for name in names)))

        return self._asked(all_of_them)

    async def _take(self, name: str, patience: float) -> bool:
        scheduler, number = self._worker.scheduler, self._ids.setdefault(name, uuid.uuid4().hex)
        # what Dask's own Semaphore renews is not looked at: a lease that another one has would be taken back
        await scheduler.semaphore_register(name=name, max_leases=1, lease_timeout=self._seconds)
        return bool(await scheduler.semaphore_acquire(name=name, timeout=patience, lease_id=number))

    def give_back(self, name: str) -> None:
        """Let another one have it."""
        self._asked(lambda: self._worker.scheduler.semaphore_release(name=name, lease_id=self._ids[name]))

    # ------------------------------------------------------------ the daemon's wishes

    def is_over(self, patience: float) -> bool:
        """Whether the daemon has asked to stop; waits so many seconds for that."""
        wait = self._worker.scheduler.event_wait
        return bool(self._asked(lambda: wait(name=stop_event(self._run), timeout=max(patience, 0.01)), patience))

    def why_unwanted(self) -> str:
        """Why nobody waits for the unit any more; empty while somebody does."""
        if self._worker.status.name not in ("running", "paused"):
            return "the worker ends"
        task = self._worker.state.tasks.get(self._key)
        # Dask forgets a task whose client is gone, and tells the worker that it is cancelled
        return "" if task and task.state == "executing" else "the daemon is gone"

    def has_begun_before(self) -> bool:
        """Whether another worker has begun this task; from now on one has."""
        scheduler = self._worker.scheduler

        async def ask() -> bool:
            before = await scheduler.event_is_set(name=begun_event(self._key))
            await scheduler.event_set(name=begun_event(self._key))
            return bool(before)

        return self._asked(ask)

    # ------------------------------------------------------------ messages

    def tell(self, topic: str, message: bytes) -> None:
        """Send the daemon a message. Nobody waits for it."""
        self._worker.log_event(topic, message)

    def answer(self, name: str, patience: float) -> Any:  # noqa: ANN401 -- whatever was answered
        """What the daemon has answered under this name; None when it has not after so many seconds."""
        scheduler = self._worker.scheduler

        async def ask() -> Any:  # noqa: ANN401
            try:
                return (await scheduler.variable_get(name=name, timeout=patience, client=self._worker.id))["value"]
            except TimeoutError:
                return None

        return self._asked(ask, patience)

    def _asked(self, ask: Callable[[], Awaitable[T]], patience: float = 0.0) -> T:
        """The answer to a question that is asked in the worker's loop."""
        # a connection that is broken is an OSError, too, and so is TimeoutError
        future = asyncio.run_coroutine_threadsafe(
            asyncio.wait_for(_awaited(ask), patience + PATIENCE), self._worker.loop.asyncio_loop
        )
        return future.result()


async def _awaited(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()


def stop_event(run: str) -> str:
    """The name of the event by which a daemon stops the units of its run."""
    return f"influxdb-backup stop {run}"


def begun_event(key: str) -> str:
    """The name of the event that says that a task was begun."""
    return f"influxdb-backup begun {key}"
