"""Two throwaway servers, sample data, jobs, exact comparisons, new points, restores of what was dropped."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from basics.humanize import counted
from tests.support.reader import Key, Snapshot, difference, read_database, read_policies
from tests.support.samples import load_demo_data, load_new_points
from tests.support.servers import InfluxServer

ROOT = Path(__file__).parents[1]
DATABASE = "telegraf"
SERIES = 100
"""More than the sample data has: the newest known point of each may be read again."""

Wanted = Callable[[Key], bool]

INCREMENTAL = """\
source:
  url: {source}
  databases:
    - name: telegraf
destination:
  url: {destination}
options:
  backup_mode: incremental
"""

RANGE = """\
source:
  url: {source}
  databases:
    - name: telegraf
      destination: telegraf_week
destination:
  url: {destination}
measurements:
  include: [cpu, mem]
options:
  backup_mode: range
  range:
    start_date: {start}
    end_date: {end}
"""

ARCHIVE = """\
source:
  url: {source}
  databases:
    - name: telegraf
destination:
  archive: {archive}
options:
  backup_mode: incremental
"""


class DemoFailed(Exception):
    """Something that the demo shows did not happen."""


def say(text: str) -> None:
    """One line of the show."""
    print(f"\n== {text}", flush=True)


def run_jobs(*paths: Path) -> dict[str, int]:
    """`python main.py --config ...`, its output as it comes; job -> how many points the summary says it copied."""
    command = [sys.executable, "main.py", "--config", *map(str, paths)]
    print("$ python", *command[1:], flush=True)
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        raise DemoFailed("the backup failed; its output is above")
    jobs = {path.stem for path in paths}
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0]: int(row[3].replace(",", "")) for row in rows if row and row[0] in jobs}


def restore(job: Path, *arguments: str) -> None:
    """`python main.py restore --config ...`, its output as it comes."""
    command = [sys.executable, "main.py", "restore", "--config", str(job), *arguments]
    print("$ python", *command[1:], flush=True)
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise DemoFailed("the restore failed; its output is above")


def compare(source: InfluxServer, destination: InfluxServer, copy: str, wanted: Wanted) -> None:
    """Both databases through a reader that shares no code with the tool."""
    everything = read_database(source.url, DATABASE)
    original = Snapshot({at: value for at, value in everything.points.items() if wanted(at)})
    copied = read_database(destination.url, copy)
    found = difference(original, copied, names=("source", "destination"))
    if found or read_policies(source.url, DATABASE) != read_policies(destination.url, copy):
        raise DemoFailed(f"{DATABASE} and {copy} differ: {found or 'retention policies'}")
    measurements = len({at[1] for at in original.points})
    print(
        f"{copy} equals its source: {len(original):,} field values of {measurements} measurements, compared "
        "one by one: policy, tags, field, type, value, nanosecond"
    )


def write_jobs(source: InfluxServer, destination: InfluxServer, directory: Path, dates: list[str]) -> list[Path]:
    """The two files, shown as they are written."""
    paths = []
    for name, text in (("everything", INCREMENTAL), ("week", RANGE)):
        path = directory / f"{name}.yaml"
        path.write_text(text.format(source=source.url, destination=destination.url, start=dates[0], end=dates[1]))
        say(path.name)
        print(path.read_text(), end="")
        paths.append(path)
    return paths


def show_archive(source: InfluxServer, destination: InfluxServer, directory: Path) -> None:
    """Files instead of a server: a snapshot, and all of it back from there."""
    path, archive = directory / "files.yaml", directory / "archive"
    path.write_text(ARCHIVE.format(source=source.url, archive=archive))
    say(f"{path.name}: the same into files, which need no server")
    print(path.read_text(), end="")
    run_jobs(path)
    files = sorted(archive.glob("data/*/*/*/*/*.parquet"))
    print(f"{counted(len(files), 'file')} such as {files[0].relative_to(archive)}")
    say("somebody drops the whole database at the source; it comes back from the archive")
    source.drop_database(DATABASE)
    restore(path, "--from", "archive", "--yes")
    say("comparing a last time")
    compare(source, destination, DATABASE, lambda _: True)


def show(source: InfluxServer, destination: InfluxServer, directory: Path) -> None:
    """The demo itself."""
    say(f"source {source.url}, destination {destination.url}: real InfluxDB servers, gone afterwards")
    print(f"loaded {load_demo_data(source, DATABASE):,} points into {DATABASE}")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = today - timedelta(days=10), today - timedelta(days=3)
    paths = write_jobs(source, destination, directory, [start.date().isoformat(), end.date().isoformat()])
    first, last = (int(day.timestamp()) * 10**9 for day in (start, end))

    def in_week(at: Key) -> bool:
        return at[1] in (b"cpu", b"mem") and first <= at[4] < last

    say("first run: two jobs, a process each")
    run_jobs(*paths)
    say("comparing sources and copies exactly")
    compare(source, destination, DATABASE, lambda _: True)
    compare(source, destination, "telegraf_week", in_week)
    say("new points arrive at the source, and the incremental job runs again")
    new = load_new_points(source, DATABASE)
    print(f"wrote {new:,} new points")
    moved = run_jobs(paths[0])["everything"]
    if not new <= moved <= new + SERIES:
        raise DemoFailed(f"{moved} points moved, though only {new} were new")
    print(f"{moved} points moved: {new} new ones, and {moved - new} that share their series' newest known time")
    say("comparing again")
    compare(source, destination, DATABASE, lambda _: True)
    say("somebody drops the measurement cpu at the source; it comes back from the backup")
    source.query('DROP MEASUREMENT "cpu"', db=DATABASE)
    restore(paths[0], "--measurement", "cpu", "--yes")
    say("comparing once more")
    compare(source, destination, DATABASE, lambda _: True)
    show_archive(source, destination, directory)


def main() -> int:
    """Run the demo; 0 when everything happened as shown."""
    with (
        tempfile.TemporaryDirectory(prefix="influxdb-backup-demo-") as directory,
        InfluxServer.start("source") as source,
        InfluxServer.start("destination") as destination,
    ):
        try:
            show(source, destination, Path(directory))
        except DemoFailed as error:
            print(f"\nFAILED: {error}", file=sys.stderr)
            return 1
    say("done; the servers are stopped and their data is gone")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
