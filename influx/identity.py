"""Whether two addresses lead to one and the same InfluxDB, whatever they are called.

An administrator is shown the process itself. Anybody else sees the number of each request: InfluxDB gives each an
id (a UUID of version 1) that has a part of its process, the same in all, and a counter, so that the requests of
one process have numbers that grow, whatever address they come by. Nothing is written, nothing is left behind.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Protocol

from basics.together import both
from influx.errors import AccessDenied, QueryRefused

ROUNDS = 12
"""How many requests each address has to answer in turn until numbers in order are no accident."""

COUNTER = 1 << 14
"""The counter begins anew at this number."""


@dataclass(frozen=True, slots=True)
class Process:
    """A server's process, as it shows itself to administrators."""

    pid: str
    started: str
    host: str


@dataclass(frozen=True, slots=True)
class RequestNumber:
    """What the id of a request tells: `node` is the same in all ids of a process."""

    node: int
    count: int

    def comes_before(self, other: RequestNumber) -> bool:
        """Whether `other` can be a later request of the same process."""
        return self.node == other.node and 0 < (other.count - self.count) % COUNTER < COUNTER // 2


def request_number(text: str | None) -> RequestNumber | None:
    """What an id tells; None for one that is not InfluxDB's own: a proxy may put in one of its own."""
    try:
        found = uuid.UUID(text or "")
    except ValueError:
        return None
    return RequestNumber(found.node, found.clock_seq) if found.version == 1 else None


class Server(Protocol):
    """A server, as far as this asks it."""

    def get_process(self) -> Process:
        """Its process. Raises AccessDenied for a user who is not an administrator."""

    def get_request_number(self) -> RequestNumber | None:
        """The number of a request made now, if it shows one."""


def is_same(one: Server, other: Server) -> bool | None:
    """Whether both are one process; None when they do not show it. Raises InfluxError when one does not answer."""
    try:
        processes = both(one.get_process, other.get_process)
    except (AccessDenied, QueryRefused):
        return _are_in_turn(one, other)
    return processes[0] == processes[1]


def _are_in_turn(one: Server, other: Server) -> bool | None:
    """Whether requests that are made to both in turn have numbers in order."""
    last: RequestNumber | None = None
    for _ in range(ROUNDS):
        for server in (one, other):
            number = server.get_request_number()
            if number is None:
                return None
            if last and not last.comes_before(number):
                return False
            last = number
    return True
