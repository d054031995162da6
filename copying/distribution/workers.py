"""Which workers of a cluster may carry out the units of a job, and why none may. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from copying.distribution.version import MARK


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as the scheduler knows it."""

    name: str
    resources: frozenset[str]

    @property
    def source(self) -> str:
        """The resource that names the source code which it holds; empty: it holds none of ours."""
        return next((name for name in self.resources if name.startswith(MARK)), "")


def known_workers(told: Mapping[str, Mapping[str, Any]]) -> tuple[Worker, ...]:
    """What a scheduler tells of its workers, by their addresses."""
    return tuple(
        Worker(
            address if found.get("name") == address else f"{found.get('name')} at {address}",
            frozenset(str(name) for name, amount in found.get("resources", {}).items() if amount),
        )
        for address, found in told.items()
    )


def suited(workers: Iterable[Worker], server: str, source: str) -> tuple[Worker, ...]:
    """Those that hold this program, and may write to the server."""
    return tuple(worker for worker in workers if {server, source} <= worker.resources)


def refused(workers: Iterable[Worker], server: str, source: str) -> tuple[str, ...]:
    """A sentence for each that might write to the server, and does not hold this program."""
    return tuple(
        f"worker {worker.name} gets nothing: {_difference(worker, source)}"
        for worker in workers
        if server in worker.resources and worker.source != source
    )


def obstacle(workers: Sequence[Worker], scheduler: str, server: str, source: str) -> str:
    """Why none of them can carry out a unit; empty where one can."""
    if suited(workers, server, source):
        return ""
    command = (
        f'dask worker {scheduler} --nthreads 1 --resources "{server}=1" --preload copying.distribution.preload'
    )
    if not workers:
        return f"{scheduler} has no workers; start some: {command}"
    others = refused(workers, server, source)
    if others:
        return f"{scheduler} has no worker with this program: {'; '.join(others)}"
    return (
        f'none of the {len(workers)} workers of {scheduler} has the resource "{server}", so none may write to '
        f"that server; start some that do: {command}"
    )


def _difference(worker: Worker, source: str) -> str:
    if not worker.source:
        return "it does not say which program it holds; start it with --preload copying.distribution.preload"
    theirs, ours = (text.removeprefix(MARK) for text in (worker.source, source))
    return f"it holds the source code {theirs}, and the daemon {ours}; let both have the same, and start it again"
