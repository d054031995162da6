"""Whose turn it is to run: how many runs go on at once, in all and at one server. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from basics.humanize import counted
from basics.urls import same_host, without_credentials
from settings.keys import Job, Server

USUAL_RUNS = 32
"""How many runs go on at once where nobody says otherwise: some 50 MB of memory each."""

Address = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many runs go on at once: in all, and at one server (None: any number)."""

    runs: int = USUAL_RUNS
    per_server: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A server that a job reads from or writes to."""

    role: str
    server: Server

    @property
    def address(self) -> Address:
        """By which it is known."""
        return same_host(self.server.host), self.server.port, self.server.path


@dataclass(frozen=True, slots=True)
class Near:
    """A server at which so many runs go on, and that may be the job's own by another name."""

    place: Place
    runs: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a process asks before its run: its server has room for so many runs more; which others are the same?"""

    place: Place
    room: int
    others: Sequence[Near]


@dataclass(frozen=True, slots=True)
class Sameness:
    """Whether two addresses lead to one server, as a process has found."""

    one: Address
    other: Address
    is_same: bool


def places(job: Job) -> tuple[Place, ...]:
    """The servers of a job."""
    both = (Place("source", job.source), Place("destination", job.destination))
    return tuple(place for place in both if place.server.url)


@dataclass
class Servers:
    """Which addresses are one server, as far as processes have found out."""

    _same: dict[Address, frozenset[Address]] = field(default_factory=dict)
    _apart: set[frozenset[Address]] = field(default_factory=set)

    def learn(self, found: Sameness) -> None:
        """What a process has found."""
        if not found.is_same:
            self._apart.add(frozenset((found.one, found.other)))
            return
        together = self.known_as(found.one) | self.known_as(found.other)
        self._same |= dict.fromkeys(together, together)

    def known_as(self, address: Address) -> frozenset[Address]:
        """All addresses that are known to be this server."""
        return self._same.get(address, frozenset((address,)))

    def may_be(self, one: Address, other: Address) -> bool:
        """Whether nobody has found yet that they are not one server."""
        pairs = (frozenset((a, b)) for a in self.known_as(one) for b in self.known_as(other))
        return not any(pair in self._apart for pair in pairs)


@dataclass(frozen=True)
class Turns:
    """Decides, from the limits and from what is known of servers, who may begin."""

    limits: Limits
    servers: Servers = field(default_factory=Servers)

    def obstacle(self, job: Job, running: Sequence[Job]) -> str:
        """Why a job has to wait while these run; empty when it may begin."""
        if len(running) >= self.limits.runs:
            return f"{_runs(len(running))}, as many as BACKUP_MAX_RUNS allows"
        for place, here in self._at(job, running):
            if self.limits.per_server is not None and here >= self.limits.per_server:
                return full(place, here)
        return ""

    def doubts(self, job: Job, running: Sequence[Job]) -> Iterator[Doubt]:
        """What a job that may begin has to ask first: whether its servers are those of runs that go on."""
        most = self.limits.per_server
        if most is None:
            return
        for place, here in self._at(job, running):
            others = tuple(self._others(place, running))
            if here + sum(other.runs for other in others) >= most:
                yield Doubt(place, most - here, others)

    def _at(self, job: Job, running: Sequence[Job]) -> Iterator[tuple[Place, int]]:
        """Each server of the job, and how many runs are known to go on there."""
        addresses = [{place.address for place in places(other)} for other in running]
        for place in places(job):
            known = self.servers.known_as(place.address)
            yield place, sum(bool(known & there) for there in addresses)

    def _others(self, place: Place, running: Iterable[Job]) -> Iterator[Near]:
        found: dict[Address, list[Place]] = {}
        known = self.servers.known_as(place.address)
        for other in (other for job in running for other in places(job)):
            if other.address not in known and self.servers.may_be(place.address, other.address):
                found.setdefault(other.address, []).append(other)
        return (Near(same[0], len(same)) for same in found.values())


def full(place: Place, runs: int) -> str:
    """Why a job waits for a server."""
    url = without_credentials(place.server.url)
    return f"{_runs(runs)} at the {place.role} {url}, as many as BACKUP_MAX_RUNS_PER_SERVER allows"


def _runs(count: int) -> str:
    return f"{counted(count, 'run')} {'goes' if count == 1 else 'go'} on"


def read_limits(environ: Mapping[str, str]) -> Limits:
    """The limits of the environment. Raises ValueError, which names the variable."""
    runs, per_server = (_number(environ, f"BACKUP_MAX_RUNS{end}") for end in ("", "_PER_SERVER"))
    return Limits(USUAL_RUNS if runs is None else runs, per_server)


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 100_000):
        raise ValueError(
            f"{name}={text!r} is not a number of runs; write a whole number from 1 on, or leave it out"
        )
    return int(text)
