"""What a server tells of its shards: which times they hold, and what was written to them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from basics.spans import Span
from basics.times import DAY, END_OF_TIME, MIN_TIME
from influx.activity import Activity
from influx.answers import Series, as_text, shard_time

STATEMENTS = ("SHOW SHARDS", "SHOW STATS FOR 'shard'")
"""What to ask, all at once; administrators only."""

COUNTERS = ("writePointsOk", "writePointsErr", "writePointsDropped", "seriesCreate", "fieldsCreate", "diskBytes")
"""Each of them moves when points are written or deleted, and otherwise only when files are compacted."""


@dataclass(frozen=True, slots=True)
class ShardStates:
    """The shards of one retention policy, in a process of the server that `started` stands for."""

    started: str
    shards: tuple[tuple[Span, tuple[str, ...]], ...]
    """The times of each shard, and its id and counters as text."""
    is_blind: bool = False
    """Whether the times may not be seen: then each shard but the latest one may hold any time."""
    activity: Activity | None = None
    """The same as numbers that add up, where the server tells all of them."""

    def of(self, span: Span) -> tuple[str, tuple[tuple[str, ...], ...]]:
        """Which process the server is, and what it says of the shards that hold any of these times."""
        return self.started, tuple(state for times, state in self.shards if _overlap(times, span))


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def states(started: str, answers: Sequence[Sequence[Series]], database: str, policy: str) -> ShardStates:
    """The answers to STATEMENTS of the process that `started` stands for, for one retention policy."""
    shown, stats = answers
    counted = {
        series.tags["id"]: _counters(series)
        for series in stats
        if (series.tags.get("database"), series.tags.get("retentionPolicy")) == (database, policy)
    }
    shards = [
        (Span(shard_time(row["start_time"]), shard_time(row["end_time"])), row["id"])
        for row in _rows(shown)
        if (row["database"], row["retention_policy"]) == (database, policy)
    ]
    return ShardStates(started, tuple(sorted((span, (id_, *counted.get(id_, ()))) for span, id_ in shards)))


def states_of_vars(document: object, database: str, policy: str, now: int) -> ShardStates | None:
    """The same from `/debug/vars`, which most servers show everybody; None for what is no such document.

    It does not tell which times a shard holds. The latest one is taken for that of the present.
    """
    entries = document.values() if isinstance(document, dict) else ()
    found = [entry for entry in entries if isinstance(entry, dict) and entry.get("name") == "shard"]
    system = document.get("system") if isinstance(document, dict) else None
    if not found or not isinstance(system, dict):
        return None
    wanted = {"database": database, "retentionPolicy": policy}
    shards = sorted(
        (int(entry["tags"]["id"]), tuple(str(entry["values"].get(name, "")) for name in COUNTERS))
        for entry in found
        if {name: entry["tags"].get(name) for name in wanted} == wanted
    )
    latest = shards[-1][0] if shards else 0
    present = Span(now - DAY, END_OF_TIME)
    whole = Span(MIN_TIME, END_OF_TIME)
    placed = (((present if id_ == latest else whole), (str(id_), *counters)) for id_, counters in shards)
    return ShardStates(str(system.get("started")), tuple(placed), is_blind=True)


def _rows(found: Iterable[Series]) -> list[dict[str, str]]:
    return [dict(zip(s.columns, map(as_text, row), strict=True)) for s in found for row in s.rows]


def _counters(series: Series) -> tuple[str, ...]:
    (row,) = _rows([series])
    return tuple(row.get(name, "") for name in COUNTERS)
