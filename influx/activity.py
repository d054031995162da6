"""What a server has counted since it was started: what was written to a policy, and who asked it anything. Pure.

tests/facts/test_balance.py shows what each of these counters tells.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from influx.answers import Series, as_text

STATEMENTS = ("SHOW STATS FOR 'httpd'", "SHOW DIAGNOSTICS FOR 'system'")
"""What to ask beside the shards; administrators only."""

HARMLESS = ("writeReq", "pingReq", "statusReq")
"""Requests that delete nothing; what they write is counted by its shard."""

LAST_OLD = (1, 8)
"""Up to this version nothing but a query can delete; later ones have addresses for it, counted with all others."""


class Writes(NamedTuple):
    """The counters of a shard: requests that began, ended well, and did not; points that were stored, and not."""

    begun: int = 0
    ended: int = 0
    failed: int = 0
    stored: int = 0
    lost: int = 0


NAMES = ("writeReq", "writeReqOk", "writeReqErr", "writePointsOk", "writePointsErr")
"""Their names at the server."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What a process of a server has counted of one retention policy, and of the requests of everybody else."""

    started: str
    """Stands for the process."""
    shards: Mapping[str, Writes]
    asked: int
    """Requests that could have deleted something, without our own (`endpoints` says which)."""

    @property
    def is_idle(self) -> bool:
        """Whether no write is on its way: what is counted is all that a query finds."""
        return all(shard.begun == shard.ended + shard.failed for shard in self.shards.values())

    @property
    def stored(self) -> int:
        """How many points were stored, each as often as it came."""
        return sum(shard.stored for shard in self.shards.values())

    @property
    def lost(self) -> int:
        """How many points were taken and not stored, or only in part."""
        return sum(shard.lost for shard in self.shards.values())

    def has_written(self, since: "Activity") -> bool:
        """Whether anybody has written since then, or that is not known."""
        return self.started != since.started or dict(self.shards) != dict(since.shards)


def endpoints(version: str) -> tuple[str, ...]:
    """Our own endpoints whose requests are counted among those that could have deleted something."""
    return ("query",) if _is_old(version) else ("query", "debug/vars")


def _is_old(version: str) -> bool:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return found is not None and tuple(map(int, found.groups())) <= LAST_OLD


def process(system: Iterable[Series]) -> str:
    """What stands for the process that has counted, in the answer to the last of STATEMENTS.

    Ids of requests do not: a restarted server on a machine with a network card goes on with the card's number.
    """
    rows = [_row(series) for series in system]
    return " ".join(as_text(row[name]) for row in rows for name in ("PID", "started") if name in row)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose counters: of which policy, at a server of which version, and how many requests were our own."""

    database: str
    policy: str
    version: str
    own: int


def of_answers(started: str, stats: Iterable[Series], http: Iterable[Series], wanted: Wanted) -> Activity | None:
    """From the answers about shards and to the first of STATEMENTS; None where they do not tell all of it."""
    place = (wanted.database, wanted.policy)
    shards = {
        series.tags["id"]: _row(series)
        for series in stats
        if (series.tags.get("database"), series.tags.get("retentionPolicy")) == place
    }
    return _activity(started, shards, [_row(series) for series in http], wanted)


def of_vars(document: object, wanted: Wanted) -> Activity | None:
    """The same from `/debug/vars`."""
    place = {"database": wanted.database, "retentionPolicy": wanted.policy}
    shards = {
        str(entry["tags"]["id"]): entry["values"]
        for entry in _entries(document, "shard")
        if {name: entry["tags"].get(name) for name in place} == place
    }
    system = document.get("system") if isinstance(document, dict) else None
    started = str(system.get("started", "")) if isinstance(system, dict) else ""
    return _activity(started, shards, [entry["values"] for entry in _entries(document, "httpd")], wanted)


def _entries(document: object, name: str) -> Iterator[Mapping[str, Any]]:
    for entry in document.values() if isinstance(document, dict) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            yield entry


def _row(series: Series) -> dict[str, object]:
    return dict(zip(series.columns, series.rows[0], strict=True)) if series.rows else {}


def _activity(
    started: str,
    shards: Mapping[str, Mapping[str, object]],
    listeners: Sequence[Mapping[str, object]],
    wanted: Wanted,
) -> Activity | None:
    count = _queries if _is_old(wanted.version) else _not_harmless
    try:
        written = {number: Writes(*(_number(row, name) for name in NAMES)) for number, row in shards.items()}
        asked = sum(map(count, listeners)) - wanted.own
    except KeyError:
        return None
    return Activity(started, written, asked) if started and listeners else None


def _queries(row: Mapping[str, object]) -> int:
    return _number(row, "queryReq")


def _not_harmless(row: Mapping[str, object]) -> int:
    return _number(row, "req") - sum(_number(row, name) for name in HARMLESS)


def _number(row: Mapping[str, object], name: str) -> int:
    """A counter. Raises KeyError for one that is not shown."""
    value = row.get(name)
    if not isinstance(value, int):
        raise KeyError(name)
    return value
