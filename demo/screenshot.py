"""The picture of the status page in the documentation: a real daemon, real servers, some minutes, real faults.

python -m demo.screenshot --minutes 15 FOLDER
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

import yaml
from playwright.sync_api import sync_playwright

from tests.support.servers import InfluxServer

ROOT = Path(__file__).parents[1]
HOSTS, VALUES = 40, ",".join(f"f{n}={n}.5" for n in range(8))


def job(source: str, destination: str, database: str, copy: str, **options: object) -> dict[str, object]:
    """A job that runs every minute."""
    times = {"schedule": "* * * * *", "run_on_start": True, "timezone": "Europe/Berlin"}
    quick = {"retries": 1, "retry_delay": 1, "initial_connection_retry_delay": 30}
    return {
        "source": {"url": source, "databases": [{"name": database, "destination": copy}]},
        "destination": {"url": destination},
        "options": {"backup_mode": "incremental", "incremental": times, **quick, **options},
    }


def feed(source: InfluxServer, ended: Event) -> None:
    """Points of now, of some hosts, every few seconds."""
    while not ended.wait(random.uniform(1, 6)):
        now = time.time_ns()
        for database, names in (("telegraf", ("cpu", "disk", "mem", "net")), ("sensors", ("temperature", "wind"))):
            lines = (f"{name},host=h{i} {VALUES} {now}" for name in names for i in range(HOSTS))
            source.write("\n".join(lines), database)


def load(source: InfluxServer, database: str, measurements: tuple[str, ...], rows: int) -> None:
    """Points of the last days."""
    source.create_database(database)
    begin = time.time_ns() - rows * 10 * 10**9
    for measurement in measurements:
        for first in range(0, rows, 500):
            times = range(first, min(rows, first + 500))
            lines = (f"{measurement},host=h{h} {VALUES} {begin + t * 10**10}" for t in times for h in range(HOSTS))
            source.write("\n".join(lines), database)


@contextmanager
def daemon(jobs: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A running daemon, and its URL."""
    command = [sys.executable, "main.py", "--config", str(jobs), "--http", "127.0.0.1:0"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stderr=file, stdout=file)
    try:
        while not (match := re.search(r"status page at (\S+)", log.read_text())):
            time.sleep(0.2)
        yield process, match[1]
    finally:
        process.terminate()
        process.wait(15)


def show(minutes: float, pictures: Path) -> None:
    """Let it run, let a server fail, and take the pictures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source, destination, other = (
            stack.enter_context(InfluxServer.start(name)) for name in ("source", "destination", "other")
        )
        load(source, "telegraf", ("cpu", "disk", "mem", "net"), 400)
        load(source, "sensors", ("temperature", "wind"), 200)
        load(source, "billing", ("invoices", "payments"), 100)
        load(source, "archive", ("energy", "gas", "heat", "water"), 9_000)
        jobs = folder / "jobs"
        jobs.mkdir()
        for name, text in {
            "telegraf": job(source.url, destination.url, "telegraf", "telegraf"),
            "sensors": job(source.url, destination.url, "sensors", "sensors"),
            "billing": job(source.url, other.url, "billing", "billing"),
            "edge-site-7": job("http://127.0.0.1:1", destination.url, "edge", "edge"),
        }.items():
            (jobs / f"{name}.yaml").write_text(yaml.safe_dump(text))
        ended = Event()
        feeder = Thread(target=feed, args=(source, ended))
        feeder.start()
        stack.callback(feeder.join)
        stack.callback(ended.set)
        process, url = stack.enter_context(daemon(jobs, folder / "daemon.log"))
        time.sleep(minutes * 60)
        other.stop()
        time.sleep(130)
        long = job(source.url, destination.url, "archive", "archive", days_of_pagination=0.02, parallel_workers=2)
        (jobs / "archive.yaml").write_text(yaml.safe_dump(long))
        process.send_signal(signal.SIGHUP)
        take(url, pictures)


def take(url: str, pictures: Path) -> None:
    """The overview and a job, large and small, light and dark."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"), args=["--no-sandbox"]
        )
        for width, scheme in ((1400, "light"), (1400, "dark"), (360, "light"), (360, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(url)
            page.locator("#job-archive", has_text="points a second").wait_for(timeout=300_000)
            page.screenshot(path=pictures / f"status-{width}-{scheme}.png", full_page=True)
            for name in ("archive", "billing"):
                page.goto(f"{url}jobs/{name}")
                page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png", full_page=True)
        browser.close()


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("pictures", type=Path, help="folder for them")
    arguments = parser.parse_args()
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    show(arguments.minutes, arguments.pictures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
