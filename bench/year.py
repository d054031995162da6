"""A year of minutely data of 20 hosts, 5 fields: copied in one run, with memory that does not grow with the range.

`python -m bench.year [DAYS ...]` (default: 30 365) prints a line for each number of days.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.reader import digest_database, digest_difference
from tests.support.servers import InfluxServer

ROOT = Path(__file__).parents[1]
MINUTE = 60 * 10**9
BEGIN = 1_735_689_600 * 10**9  # 2025-01-01
HOSTS = [f"cpu,host=host{h:02d},region=eu-{h % 3}" for h in range(20)]

JOB = """\
source:
  url: {source}
  databases: [{{name: year}}]
destination:
  url: {destination}
options:
  backup_mode: range
  range: {{start_date: 2025-01-01, end_date: 2026-01-01}}
"""


def load(server: InfluxServer, days: int) -> int:
    """The points of so many days; returns their number."""
    server.create_database("year")
    chance = random.Random(1)
    minutes = days * 1440
    for begin in range(0, minutes, 500):
        lines = [
            f"{host} user={chance.random() * 100:.4f},system={chance.random():.6f},load={minute % 97 / 8},"
            f"processes={chance.randrange(500)}i,context={minute * 1000 + chance.randrange(1000)}i "
            f"{BEGIN + minute * MINUTE}"
            for minute in range(begin, min(begin + 500, minutes))
            for host in HOSTS
        ]
        server.write("\n".join(lines), "year")
    return minutes * len(HOSTS)


def measure(days: int) -> str:
    """Load, copy, compare; the measured line."""
    with (
        tempfile.TemporaryDirectory() as directory,
        InfluxServer.start("source") as source,
        InfluxServer.start("destination") as destination,
    ):
        points = load(source, days)
        path = Path(directory) / "year.yaml"
        path.write_text(JOB.format(source=source.url, destination=destination.url))
        begun = time.monotonic()
        command = [sys.executable, "-m", "bench.peak", sys.executable, "main.py", "--config", str(path)]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.monotonic() - begun
        sys.stdout.write(done.stdout)
        found = digest_difference(*(digest_database(s.url, "year") for s in (source, destination)))
        if found:
            raise SystemExit(f"source and destination differ: {found}")
    return (
        f"{days:4d} days  {points:11,} points  {5 * points:11,} values  {seconds:7.1f} s  "
        f"{points / seconds:9,.0f} points/s  equal"
    )


def main() -> int:
    """Measure each number of days."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("days", nargs="*", type=int, default=[30, 365])
    for days in parser.parse_args().days:
        sys.stdout.write(measure(days) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
