"""versitygw: a real object store that speaks S3, over a folder, with conditional writes."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers import ServerError, free_port

PROGRAM = Path(__file__).parents[2] / ".cache" / "versitygw" / "versitygw"
START_SECONDS = 300.0
BUCKET = "backups"
_KEYS = ("admin", "admin's secret")


class ObjectStore:
    """One store with one bucket, its objects as files below `directory`; it can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        """Nothing is started yet. Raises ServerError where the program is missing."""
        if not os.access(PROGRAM, os.X_OK):
            raise ServerError(f"there is no {PROGRAM}: run tests/support/programs.sh versitygw")
        self.objects = directory / "objects" / BUCKET
        self.objects.mkdir(parents=True)
        self._log = directory / "versitygw.log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> Mapping[str, str]:
        """What a tool needs in its environment to use it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": _KEYS[0],
            "AWS_SECRET_ACCESS_KEY": _KEYS[1],
        }

    def start(self) -> None:
        """Start it and wait until it answers. Raises ServerError."""
        options = ["--port", f"127.0.0.1:{self.port}", "--access", _KEYS[0], "--secret", _KEYS[1]]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM), *options, "posix", str(self.objects.parent)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"versitygw did not start, see {self._log}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status > 0
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """Stop it; the objects stay."""
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None


@contextmanager
def object_store(directory: Path) -> Iterator[ObjectStore]:
    """A store that runs, and is gone afterwards."""
    store = ObjectStore(directory)
    store.start()
    try:
        yield store
    finally:
        store.stop()
