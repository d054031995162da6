"""One truth: `main.py health` and `/healthz` say the same of a job, also after the daemon was started anew."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.integration.daemon import Daemon, Held, running, wait_until
from tests.integration.harness import Pair, run_main, write_job
from tests.support.servers import InfluxServer, free_port

NO_DATABASE = {"name": "no_such_database", "destination": "elsewhere"}


class Both:
    """What the two say of the jobs of a daemon."""

    def __init__(self, daemon: Daemon, address: str, health: Path) -> None:
        self.daemon, self._address, self._health = daemon, address, health

    def become(self, verdict: str, word: str) -> None:
        """Wait until both have this verdict (`well`, `ill`) with this word in it."""
        wait_until(lambda: self._verdicts(word) == (verdict, verdict), f"{verdict} with {word!r}", self.daemon)

    def _verdicts(self, word: str) -> tuple[str, str]:
        told = run_main("health", environ={**os.environ, "BACKUP_HEALTH_FILE": str(self._health)})
        try:
            page = requests.get(f"http://{self._address}/healthz", timeout=60)
        except requests.ConnectionError:  # it is not there yet
            return "", ""
        return _verdict(told.stdout, word, told.returncode == 0), _verdict(
            page.text, word, page.status_code == 200
        )


def _verdict(text: str, word: str, is_well: bool) -> str:
    return ("well" if is_well else "ill") if word in text else ""


@contextmanager
def asked(pair: Pair, number: int = 1) -> Iterator[Both]:
    """A daemon that has both, on the state of the one before; its health file is gone as after a reboot."""
    folder, address = pair.directory / str(number), f"127.0.0.1:{free_port()}"
    folder.mkdir()
    health, state = folder / "health", pair.directory / "state"
    environ = {"BACKUP_HEALTH_FILE": str(health), "BACKUP_STATE_DIR": str(state)}
    with running(pair.directory / "jobs", folder, "--http", address, **environ) as daemon:
        yield Both(daemon, address, health)


def _job(pair: Pair, *, databases: list[dict[str, str]] | None = None, **options: Any) -> None:  # noqa: ANN401 -- YAML
    config = pair.config({"options": {"incremental": {"schedule": "0 0 1 1 *", "run_on_start": True}}})
    config["options"] |= options
    config["source"]["databases"] = databases or config["source"]["databases"]
    write_job(pair.directory / "jobs", config, "yearly")


def test_a_job_whose_last_run_failed_is_ill_in_the_next_daemon_too_until_a_run_succeeds(pair: Pair) -> None:
    """Nor does it make it well that its file was gone for a while."""
    pair.write("m v=1 1")
    _job(pair, databases=[NO_DATABASE])
    with asked(pair, 1) as both:
        both.become("ill", "no_such_database")
        assert both.daemon.stop()[0] == 0
    held = Held(pair.directory)
    _job(pair, hooks={"before": held.hook})
    with asked(pair, 2) as both:
        both.daemon.wait_for("options.hooks.before")
        both.become("ill", "no_such_database")
        held.let_go()
        both.become("well", "")
        assert both.daemon.stop()[0] == 0
    with asked(pair, 3) as both:
        both.become("well", "")


def test_a_job_that_comes_back_is_as_ill_as_it_was(pair: Pair) -> None:
    """Its file was away for a while; the one that came has the next run at its time."""
    pair.write("m v=1 1")
    _job(pair, databases=[NO_DATABASE])
    other = pair.config({"options": {"incremental": {"schedule": "0 0 1 1 *", "run_on_start": True}}})
    write_job(pair.directory / "jobs", other, "other")
    with asked(pair) as both:
        both.become("ill", "no_such_database")
        file = pair.directory / "jobs" / "yearly.yaml"
        away = file.rename(pair.directory / "yearly.yaml")
        both.daemon.send(signal.SIGHUP)
        both.become("well", "")
        away.rename(file)
        _job(pair, databases=[NO_DATABASE], incremental={"schedule": "0 0 1 1 *", "run_on_start": False})
        both.daemon.send(signal.SIGHUP)
        both.become("ill", "no_such_database")


def test_a_server_that_is_back_makes_a_job_well_that_has_had_no_run(
    source: InfluxServer, database: str, tmp_path: Path
) -> None:
    """Both are ill while it is waited for: no run has failed."""
    with InfluxServer.start("late") as destination:
        pair = Pair(source, destination, database, tmp_path)
        pair.write("m v=1 1")
        destination.stop()
        _job(
            pair, initial_connection_retry_delay=0.5, incremental={"schedule": "0 0 1 1 *", "run_on_start": False}
        )
        with asked(pair) as both:
            both.become("ill", "waiting for the destination")
            destination.restart()
            both.become("well", "")
