"""VictoriaLogs: a real server that takes Loki's pushes, and tells by queries what it holds."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.servers import ServerError, free_port

PROGRAM = Path(__file__).parents[2] / ".cache" / "victorialogs" / "victoria-logs"
START_SECONDS = 300.0


@dataclass(frozen=True)
class Line:
    """One line as the server holds it; `time` is RFC 3339."""

    time: str
    text: str
    labels: tuple[tuple[str, str], ...]


class VictoriaLogs:
    """One server with its data in `directory`; it can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        """Nothing is started yet. Raises ServerError where the program is missing."""
        if not os.access(PROGRAM, os.X_OK):
            raise ServerError(f"there is no {PROGRAM}: run make victorialogs")
        self._directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def options(self) -> dict[str, object]:
        """The section `loki` of a job that logs to it."""
        return {"enabled": True, "url": f"http://127.0.0.1:{self.port}/insert"}

    def start(self) -> None:
        """Start it and wait until it answers. Raises ServerError."""
        with (self._directory / "victoria-logs.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(PROGRAM),
                    f"-storageDataPath={self._directory / 'data'}",
                    f"-httpListenAddr=127.0.0.1:{self.port}",
                    "-loki.disableMessageParsing",  # a line is text, as in Loki, even if it looks like JSON
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._get("/health")
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise ServerError(f"VictoriaLogs did not start, see {log.name}: {error}") from error
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it. The data stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def lines(self, **labels: str) -> list[Line]:
        """All lines with these labels, in the order of their times."""
        self._get("/internal/force_flush")  # what was taken can be queried from now on
        chosen = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
        answer = self._get("/select/logsql/query?" + urllib.parse.urlencode({"query": f"{{{chosen}}}"}))
        rows: list[dict[str, Any]] = [json.loads(row) for row in answer.splitlines()]
        found = [
            Line(
                row.pop("_time"),
                row.pop("_msg", ""),
                tuple(sorted((name, value) for name, value in row.items() if not name.startswith("_"))),
            )
            for row in rows
        ]
        return sorted(found, key=lambda line: (line.time.rstrip("Z").ljust(29, "0"), line.text))

    def _get(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=60) as answer:
            body: bytes = answer.read()
            return body


@contextmanager
def victorialogs(directory: Path) -> Iterator[VictoriaLogs]:
    """A running server, stopped at the end."""
    server = VictoriaLogs(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
