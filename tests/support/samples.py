"""A small realistic data set: a few weeks of monitoring data, with the things that copies get wrong.

The line protocol is written by a tiny encoder of its own, independent of the tool that is tested with it.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Iterable, Iterator, Mapping

from tests.support.servers import InfluxServer, quoted

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

POLICIES = {
    "raw_30d": "DURATION 30d REPLICATION 1 SHARD DURATION 1d",
    "archive": "DURATION INF REPLICATION 1 SHARD DURATION 30d",
}
"""The policies besides InfluxDB's own default, `autogen`."""

HOSTS = {"web01": "eu-west", "web02": "eu-west", "db01": "us-east", "win01": "us-east"}
LINUX_PATHS = ("/", "/var/lib/my data", "/mnt/a=b,c")
WINDOWS_PATH = "C:\\Program Files\\App"
MESSAGES = (
    "service started",
    "user said \"hello\" and 'goodbye'",
    "no such file: C:\\temp\\new\\",
    "Traceback:\n  line 1\n\n  line 3",
    "deployed 🚀 to Zürich ✅",
    "",
    " ",
    "null",
    "NaN",
    "NA",
    "123",
    "1.50",
    "true",
    "a,b=c d",
    "tab\there, and a carriage return\r",
    'ends in a quote "',
    "日本語のメッセージ",
)

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
BATCH_LINES = 10_000

FieldValue = float | int | bool | str
Batches = Mapping[str, Iterable[str]]
"""Lines by retention policy."""


def load_demo_data(
    server: InfluxServer, database: str, *, weeks: float = 3, seed: int = 7, now: int | None = None
) -> int:
    """Create the database and fill it; how many points it then has.

    The newest points are an hour older than `now` (nanoseconds; by default the clock), which leaves room
    for `load_new_points`. The same arguments give the same points. A `now` of weeks ago is refused by the
    server, because the policy `raw_30d` forgets.
    """
    now = time.time_ns() if now is None else now
    end = now // MINUTE * MINUTE - HOUR
    begin = end - int(weeks * WEEK)
    server.create_database(database)
    for name, clauses in POLICIES.items():
        server.query(f"CREATE RETENTION POLICY {quoted(name)} ON {quoted(database)} {clauses}")
    chance = random.Random(seed)
    return _write(
        server,
        database,
        {
            "autogen": itertools.chain(
                _cpu(begin, end, 2 * MINUTE, chance),
                _mem(begin, end, 5 * MINUTE, chance),
                _disk(begin, end, chance),
                _http_requests(begin, end, 5 * MINUTE, chance),
                _logs(begin, end, 10 * MINUTE, chance),
                _sensor(begin, end, chance),
            ),
            "raw_30d": _cpu(max(begin, end - 4 * DAY), end, MINUTE, chance),
            "archive": _energy(end - 104 * WEEK, end, DAY, chance),
        },
    )


def load_new_points(server: InfluxServer, database: str, *, minutes: int = 30, seed: int = 8) -> int:
    """Write what came in during the `minutes` after the newest points; how many points that was."""
    [[newest, _]] = server.rows('SELECT last("usage_user") FROM "raw_30d"."cpu"', db=database)
    begin = newest + MINUTE
    end = begin + minutes * MINUTE
    chance = random.Random(seed)
    return _write(
        server,
        database,
        {
            "autogen": itertools.chain(
                _cpu(begin, end, MINUTE, chance),
                _mem(begin, end, 5 * MINUTE, chance),
                _http_requests(begin, end, MINUTE, chance),
                _logs(begin, end, 2 * MINUTE, chance),
            ),
            "raw_30d": _cpu(begin, end, MINUTE, chance),
        },
    )


def _write(server: InfluxServer, database: str, batches: Batches) -> int:
    count = 0
    for policy, lines in batches.items():
        waiting = iter(lines)
        while batch := list(itertools.islice(waiting, BATCH_LINES)):
            server.write("\n".join(batch), database, policy)
            count += len(batch)
    return count


# ---- the measurements


def _cpu(begin: int, end: int, step: int, chance: random.Random) -> Iterator[str]:
    for number, (host, region) in enumerate(HOSTS.items()):
        start = series("cpu", {"host": host, "region": region})
        for at in range(begin, end, step):
            load = 40 + 30 * math.sin(at / DAY * math.tau + number)
            user = load + chance.gauss(0, 4)
            yield line(
                start,
                {
                    "usage_user": user,
                    "usage_system": round(load / 4 + chance.random(), 2),
                    "usage_idle": max(0.0, 100 - user),
                    "processes": 180 + chance.randrange(60),
                    "context_switches": at // SECOND * 37 + chance.randrange(1000),
                },
                at,
            )


def _mem(begin: int, end: int, step: int, chance: random.Random) -> Iterator[str]:
    total = 16 * 2**30
    for host, region in HOSTS.items():
        start = series("mem", {"host": host, "region": region})
        for at in range(begin, end, step):
            used = total // 4 + chance.randrange(total // 2)
            yield line(start, {"total": total, "used": used, "used_percent": 100 * used / total}, at)


def _disk(begin: int, end: int, chance: random.Random) -> Iterator[str]:
    places = [(host, path, 10 * MINUTE) for host in ("web01", "db01") for path in LINUX_PATHS]
    places.append(("win01", WINDOWS_PATH, 6 * HOUR))
    for host, path, step in places:
        start = series("disk", {"host": host, "path": path, "fs type": "ntfs" if "\\" in path else "ext4"})
        free = 400 * 2**30
        for at in range(begin, end, step):
            free -= chance.randrange(2**20)
            yield line(start, {"free": free, "used percent": 100 - free / 2**32, "read_only": False}, at)


def _http_requests(begin: int, end: int, step: int, chance: random.Random) -> Iterator[str]:
    """Sparse: few points have all the fields, and the second service has no `method`."""
    for tags in ({"service": "shop", "method": "GET"}, {"service": "queue"}):
        start = series("http_requests", tags)
        for at in range(begin, end, step):
            fields: dict[str, FieldValue] = {
                "count": chance.randrange(5000),
                "healthy": chance.random() < 0.97,
            }
            if chance.random() < 0.3:
                fields["latency"] = chance.expovariate(20)
            if chance.random() < 0.05:
                fields["last_error"] = chance.choice(MESSAGES)
            if chance.random() < 0.02:
                fields["bytes_total"] = 2**53 + 1 + chance.randrange(2**40)
            yield line(start, fields, at + chance.randrange(SECOND))


def _logs(begin: int, end: int, step: int, chance: random.Random) -> Iterator[str]:
    texts = itertools.cycle(MESSAGES)
    for at in range(begin, end, step):
        start = series("logs", {"host": chance.choice(list(HOSTS)), "level": chance.choice(["info", "error"])})
        yield line(
            start, {"message": next(texts), "line": chance.randrange(10_000)}, at + chance.randrange(SECOND)
        )


def _sensor(begin: int, end: int, chance: random.Random) -> Iterator[str]:
    """Nanosecond neighbours, extremes of both number types, and a field named like a tag."""
    start = series("sensor", {"id": "t-1", "unit": "°C"})
    for at in range(begin, end, 6 * HOUR):
        yield line(start, {"value": -0.0, "ticks": INT64_MAX, "unit": "kelvin"}, at)
        yield line(start, {"value": 5e-324, "ticks": INT64_MIN}, at + 1)
        yield line(start, {"value": 1e21, "ticks": 2**53 + 1}, at + 2)
        yield line(start, {"value": chance.gauss(20, 5)}, at + 3)
        yield line(start, {"value": 1.7976931348623157e308, "ticks": 0}, at + SECOND)


def _energy(begin: int, end: int, step: int, chance: random.Random) -> Iterator[str]:
    for site in ("north", "south"):
        start = series("energy_daily", {"site": site})
        meter = 0.0
        for at in range(begin // DAY * DAY, end, step):
            meter += chance.uniform(5, 30)
            yield line(start, {"kwh": meter, "estimated": chance.random() < 0.1}, at)


# ---- line protocol


def series(measurement: str, tags: Mapping[str, str]) -> str:
    """The start of a line; tags without a value are left out."""
    pairs = [f",{_escaped(name)}={_escaped(value)}" for name, value in sorted(tags.items()) if value]
    return measurement.replace(",", "\\,").replace(" ", "\\ ") + "".join(pairs)


def line(start: str, fields: Mapping[str, FieldValue], at: int) -> str:
    """A whole line: what `series` gave, fields, nanoseconds."""
    return f"{start} {','.join([f'{_field_key(name)}={_value(fields[name])}' for name in fields])} {at}"


def _escaped(name: str) -> str:
    return name.replace(",", "\\,").replace(" ", "\\ ").replace("=", "\\=")


def _field_key(name: str) -> str:
    return _escaped(name).replace('"', '\\"')


def _value(value: FieldValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
