"""A real Prometheus on loopback with a data folder of its own, and promtool: Debian's package `prometheus`."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.servers import free_port
from tests.support.waiting import wait_until

Sample = dict[str, Any]


def program(name: str) -> str:
    """Where it is. An AssertionError tells what to install: a test that needs it must not be skipped."""
    found = shutil.which(name, path="/usr/bin:/usr/local/bin:/usr/sbin") or shutil.which(name)
    assert found, f"{name} is missing: install Debian's package prometheus (apt-get install prometheus)"
    return found


def promtool(*arguments: str, text: bytes = b"", directory: Path | None = None) -> None:
    """Run it; an AssertionError with what it says when it is not content, or has anything to remark."""
    command = [program("promtool"), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, cwd=directory, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    assert arguments[0] != "check" or arguments[1] != "metrics" or not said, said


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str
    log: Path

    def get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 -- JSON
        """The data of an answer of its interface; an AssertionError for an error."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=60) as answer:  # noqa: S310
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]

    def query(self, expression: str) -> list[Sample]:
        """The samples of an instant query."""
        found: list[Sample] = self.get("query", query=expression)["result"]
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        alerts = self.get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Until it holds; an AssertionError with the log of Prometheus when nothing changes any more."""
        wait_until(condition, what, progress=lambda: (self.firing(), self.log.read_text()[-3000:]), pause=0.2)


@contextmanager
def prometheus(target: str, rules: Path, directory: Path) -> Iterator[Prometheus]:
    """One that asks `target` (host:port) twice a second and evaluates the rules as often."""
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "prometheus.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
                "rule_files": [str(rules)],
                "scrape_configs": [{"job_name": "influxdb-backup", "static_configs": [{"targets": [target]}]}],
            }
        )
    )
    promtool("check", "config", str(config))
    port, log = free_port(), directory / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=output,
            stderr=output,
            cwd=directory,
        )
    found = Prometheus(f"http://127.0.0.1:{port}", log)
    try:
        _wait_until_ready(found, process)
        yield found
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(server: Prometheus, process: subprocess.Popen[bytes]) -> None:
    def is_ready() -> bool:
        assert process.poll() is None, server.log.read_text()
        try:
            with urllib.request.urlopen(f"{server.url}/-/ready", timeout=5):  # noqa: S310
                return True
        except OSError:
            return False

    wait_until(is_ready, "Prometheus", progress=server.log.read_text)
