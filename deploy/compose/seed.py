"""Sample data for the demo: a week of measurements, then, with --follow, new ones every ten seconds."""

import argparse
import math
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from itertools import islice

DATABASE = "demo"
HOSTS = ("web01", "web02", "db01")
WEEK = 7 * 24 * 3600
STEP = 60
BATCH = 5_000


def lines(moment: int) -> Iterator[str]:
    """What all hosts report at a moment, in seconds: floats, integers, booleans and text."""
    for number, host in enumerate(HOSTS):
        usage = 50 + 40 * math.sin(moment / (3600 * (number + 1)))
        stamp = moment * 10**9
        yield f"cpu,host={host} usage={usage!r},processes={100 + moment % 37}i {stamp}"
        if moment % 3600 < STEP:
            yield f'events,host={host} message="hourly check, all well",ok=true {stamp}'


def history(now: int) -> Iterator[str]:
    """A week that ends at `now`."""
    for moment in range(now - WEEK, now, STEP):
        yield from lines(moment)


def post(url: str, path: str, parameters: dict[str, str], body: str = "") -> None:
    """One request to the server; an error answer raises."""
    address = f"{url}{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(address, data=body.encode(), timeout=30):  # noqa: S310 -- the URL is an argument
        pass


def write(url: str, points: Iterator[str]) -> None:
    """Write all points, batch by batch."""
    while batch := "\n".join(islice(points, BATCH)):
        post(url, "/write", {"db": DATABASE, "precision": "ns"}, batch)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the server to fill, such as http://localhost:8086")
    parser.add_argument("--follow", action="store_true", help="write new points for ever, and no history")
    arguments = parser.parse_args(argv)
    post(arguments.url, "/query", {"q": f"CREATE DATABASE {DATABASE}"})
    if not arguments.follow:
        write(arguments.url, history(int(time.time())))
        return 0
    while True:
        write(arguments.url, lines(int(time.time())))
        time.sleep(10)


if __name__ == "__main__":
    raise SystemExit(main())
