"""Which program this is: workers and daemon exchange values of it, so they have to hold the same one."""

import functools
import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("basics", "settings", "influx", "copying", "backup.py", "config.py", "influx_client.py")
"""What a worker runs of it."""


MARK = "influxdb-backup, source "


def resource() -> str:
    """The name of the resource of a worker that holds this program."""
    return MARK + version()


@functools.cache
def version() -> str:
    """A short text for its source code."""
    found = hashlib.sha256()
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.py")) or [ROOT / part]:
            found.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]
