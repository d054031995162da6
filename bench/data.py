"""The data sets, as line protocol: pure, and the same in every run.

The fields of a row are taken from a pool of texts that was made once from a fixed seed, so that a million lines
take about a second. The pool is longer than a batch and its length is a prime, so that what repeats is too far
apart for a compressor to find, and no series gets the same value twice in a row.

Each set takes a `scale`: 1 is the full size.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR
WEEK = 7 * DAY
MONDAY = 1_704_067_200 * SECOND
"""2024-01-01T00:00:00Z, a Monday and so the edge of a shard group of seven days."""
POOL = 19_997
BATCH = 10_000
"""Lines in a write; past that InfluxDB gains nothing."""

Lines = Iterator[str]


@dataclass(frozen=True, slots=True)
class DataSet:
    """Rows of line protocol under a name, which is also the name of their database.

    `windows` are the ranges of time inside which every field has one type; none where that holds everywhere.
    """

    name: str
    rows: int
    fields: int
    """Fields that each row has."""
    lines: Callable[[], Lines]
    batch: int = BATCH
    windows: tuple[tuple[int, int], ...] = ()

    @property
    def values(self) -> int:
        """How many field values there are."""
        return self.rows * self.fields

    def batches(self) -> Iterator[bytes]:
        """The rows as bodies of writes, in the order of their times."""
        lines = self.lines()
        while part := list(itertools.islice(lines, self.batch)):
            yield "\n".join(part).encode()


def devops(scale: float = 1.0, begin: int = MONDAY, measurements: int = 1) -> DataSet:
    """What an agent sends from 100 hosts every ten seconds: 5 tags, 5 floats, 5 integers.

    Where there are more `measurements`, each has as many of the hosts as any other.
    """
    names = [f"cpu{number}" for number in range(measurements)] if measurements > 1 else ["cpu"]
    hosts = [
        f"{names[h % len(names)]},datacenter=eu-{h % 7},host=host_{h:02d},os=debian{10 + h % 3},region=r{h % 4},"
        f"team=t{h % 9}"
        for h in range(100)
    ]
    steps = _count(4320, scale)

    def fields(chance: random.Random) -> str:
        return (
            f"usage_user={chance.uniform(0, 100):.2f},usage_system={chance.uniform(0, 20):.2f},"
            f"usage_idle={chance.uniform(0, 100):.4f},load={chance.random() * 8!r},"
            f"temperature={chance.gauss(50, 9)!r},processes={chance.randrange(500)}i,"
            f"threads={chance.randrange(5000)}i,interrupts={chance.randrange(10**6)}i,"
            f"received={chance.randrange(10**12)}i,sent={chance.randrange(10**9)}i"
        )

    def lines() -> Lines:
        return _grid(hosts, _pool("devops", fields), _times(begin, 10 * SECOND, steps))

    return DataSet("devops", steps * len(hosts), 10, lines)


WORDS = (
    *("GET", "POST", "connection", "refused", "user", "session", "timeout", "retry", "worker", "queue", "closed"),
    *("request", "it's", "status=200,", '"/api/v1/items?page=2"', r"C:\temp\log", '{"key":[1,2]}'),
    *("naïve", "Größe", "日本語", "path=/var/log", "192.168.0.17"),
)
"""With what has to be escaped, and what is longer than a byte."""


def text(scale: float = 1.0) -> DataSet:
    """Log lines: two texts of 20 to 400 characters; one in five details is empty, one in ten has several lines."""
    sources = [f"logs,level={level},service=service{n}" for n in range(10) for level in ("info", "warn", "error")]
    steps = _count(16_000, scale)

    def fields(chance: random.Random) -> str:
        message = _sentence(chance)
        detail = "" if chance.random() < 0.2 else _sentence(chance)
        if chance.random() < 0.1:
            detail = detail.replace(" ", "\n  at ", 3)
        return f"message={_string(message)},detail={_string(detail)}"

    def lines() -> Lines:
        return _grid(sources, _pool("text", fields), _times(MONDAY, 30 * SECOND, steps))

    return DataSet("text", steps * len(sources), 2, lines)


def sparse(scale: float = 1.0) -> DataSet:
    """60 fields of all four types, of which each row has three."""
    devices = [f"events,device=d{n:02d}" for n in range(50)]
    steps = _count(8000, scale)

    def fields(chance: random.Random) -> str:
        return ",".join(_typed(n, chance) for n in sorted(chance.sample(range(60), 3)))

    def lines() -> Lines:
        return _grid(devices, _pool("sparse", fields), _times(MONDAY, 20 * SECOND, steps))

    return DataSet("sparse", steps * len(devices), 3, lines)


def series(scale: float = 1.0) -> DataSet:
    """100,000 series of 20 points each, 3 tags, 5 fields."""
    devices = [f"net,device=d{n:06d},kind=k{n % 7},site=s{n % 500}" for n in range(_count(100_000, scale))]

    def fields(chance: random.Random) -> str:
        return (
            f"in={chance.randrange(10**9)}i,out={chance.randrange(10**9)}i,errors={chance.randrange(9)}i,"
            f"load={chance.random():.3f},signal={chance.gauss(-60, 9):.1f}"
        )

    def lines() -> Lines:
        return _grid(devices, _pool("series", fields), _times(MONDAY, 300 * SECOND, 20))

    return DataSet("series", 20 * len(devices), 5, lines)


def many(scale: float = 1.0, begin: int = MONDAY, *, minutes: int = 100, one: bool = False) -> DataSet:
    """1,000 measurements of 10 fields, a row for each of 100 minutes; or the same rows in `one` measurement."""
    head = "all,id=" if one else "measurement_"
    names = [f"{head}{n:04d},host=host_{n % 10}" for n in range(_count(1000, scale))]

    def fields(chance: random.Random) -> str:
        floats = ",".join(f"float_{n}={chance.uniform(0, 1000):.3f}" for n in range(5))
        return floats + "," + ",".join(f"integer_{n}={chance.randrange(10**6)}i" for n in range(5))

    def lines() -> Lines:
        return _grid(names, _pool("many", fields), _times(begin, 60 * SECOND, minutes))

    return DataSet("many_in_one" if one else "many", minutes * len(names), 10, lines)


def wide(scale: float = 1.0) -> DataSet:
    """300 fields, half of them integers, from 10 machines."""
    machines = [f"plant,machine=m{n}" for n in range(10)]
    steps = _count(1000, scale)

    def fields(chance: random.Random) -> str:
        floats = ",".join(f"sensor_{n:03d}={chance.uniform(0, 100):.3f}" for n in range(150))
        return floats + "," + ",".join(f"counter_{n:03d}={chance.randrange(10**6)}i" for n in range(150))

    def lines() -> Lines:
        return _grid(machines, _pool("wide", fields, 997), _times(MONDAY, 10 * SECOND, steps))

    return DataSet("wide", steps * len(machines), 300, lines, batch=1000)


def gaps(scale: float = 1.0, *, dense: bool = False) -> DataSet:
    """10 years with data on 20 days of them; or the same rows on 20 days in a row (`dense`)."""
    steps = _count(2160, scale)
    apart = DAY if dense else 192 * DAY
    days = _times(MONDAY - 10 * 365 * DAY, apart, 20)
    times = [time for day in days for time in _times(day, 40 * SECOND, steps)]
    return _thermometers("gaps_closed" if dense else "gaps", times)


def _thermometers(name: str, times: Sequence[int]) -> DataSet:
    hosts = [f"climate,room=r{n}" for n in range(10)]

    def fields(chance: random.Random) -> str:
        return (
            f"temperature={chance.gauss(20, 3):.2f},humidity={chance.uniform(20, 80):.1f},"
            f"pressure={chance.gauss(1013, 9)!r},co2={chance.randrange(400, 2000)}i,people={chance.randrange(9)}i"
        )

    def lines() -> Lines:
        return _grid(hosts, _pool("thermometers", fields), times)

    return DataSet(name, len(times) * len(hosts), 5, lines)


def thin(scale: float = 1.0, *, dense: bool = False) -> DataSet:
    """100 measurements, a row every 6 hours for 10 years; or the same in one measurement, every 10 s (`dense`)."""
    names = [f"all,id={n:02d}" if dense else f"meter_{n:02d},site=s{n % 5}" for n in range(100)]
    steps = _count(4 * 3652, scale)
    step = 10 * SECOND if dense else 6 * HOUR
    return _meters("thin_in_one" if dense else "thin", names, _times(MONDAY - 10 * 365 * DAY, step, steps))


def years(scale: float = 1.0) -> DataSet:
    """Five years of 10 measurements, a row every hour."""
    names = [f"meter_{n:02d},site=s{n % 5}" for n in range(10)]
    return _meters("years", names, _times(MONDAY - 5 * 365 * DAY, HOUR, _count(5 * 8760, scale)))


def _meters(name: str, names: Sequence[str], times: Sequence[int]) -> DataSet:
    def fields(chance: random.Random) -> str:
        return f"reading={chance.uniform(0, 10**5):.3f},errors={chance.randrange(100)}i"

    def lines() -> Lines:
        return _grid(names, _pool("thin", fields), times)

    return DataSet(name, len(times) * len(names), 2, lines)


def mixed(scale: float = 1.0) -> DataSet:
    """Two fields of five change their type every week, for four weeks: each shard has one of its own."""
    hosts = [f"mixed,host=host_{n}" for n in range(10)]
    steps = _count(5000, scale)

    def fields(week: int) -> Callable[[random.Random], str]:
        def make(chance: random.Random) -> str:
            number = f"{chance.randrange(10**6)}i" if week % 2 else f"{chance.uniform(0, 100):.3f}"
            common = f"x={chance.random():.4f},y={chance.randrange(100)}i,z={_string(chance.choice(WORDS))}"
            return f"any={_value(week % 4, chance)},number={number},{common}"

        return make

    def lines() -> Lines:
        for week in range(4):
            times = _times(MONDAY + week * WEEK, WEEK // steps, steps)
            yield from _grid(hosts, _pool(f"mixed{week}", fields(week), 4999), times)

    windows = tuple((MONDAY + week * WEEK, MONDAY + (week + 1) * WEEK) for week in range(4))
    return DataSet("mixed", 4 * steps * len(hosts), 5, lines, windows=windows)


# ---- what they are made of


def _count(full: int, scale: float) -> int:
    return max(1, round(full * scale))


def _times(begin: int, step: int, count: int) -> Sequence[int]:
    return range(begin, begin + count * step, step)


def _grid(heads: Sequence[str], pool: Sequence[str], times: Iterable[int]) -> Lines:
    """A row of each series at each time."""
    fields = itertools.cycle(pool)
    return (f"{head} {next(fields)} {time}" for time in times for head in heads)


def _pool(seed: str, make: Callable[[random.Random], str], size: int = POOL) -> list[str]:
    chance = random.Random(seed)
    return [make(chance) for _ in range(size)]


def _typed(number: int, chance: random.Random) -> str:
    """A field whose name's number decides its type."""
    return f"f{number:02d}={_value(number % 4, chance)}"


def _value(kind: int, chance: random.Random) -> str:
    match kind:
        case 0:
            return repr(chance.uniform(-1000, 1000))
        case 1:
            return f"{chance.randrange(-(10**9), 10**9)}i"
        case 2:
            return _string(chance.choice(WORDS))
        case _:
            return chance.choice(("true", "false"))


def _sentence(chance: random.Random) -> str:
    length = chance.randint(20, 400)
    return " ".join(chance.choices(WORDS, k=length // 3))[:length]


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
