"""Whether the daemon is alive and its last runs succeeded: a small file that a container's health check reads."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

STALE = 30.0
"""Seconds without a sign of life after which the daemon counts as dead."""


def health_file(environ: Mapping[str, str]) -> Path | None:
    """Where the file is: $BACKUP_HEALTH_FILE; without it none is kept."""
    configured = environ.get("BACKUP_HEALTH_FILE")
    return Path(configured) if configured else None


def write_health(
    file: Path, failing: Mapping[str, str], now: float, warned: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Say that the daemon lives (`now`: seconds since 1970), which jobs fail and why, and what others warn of.

    Raises OSError.
    """
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"alive": now, "failing": dict(failing), "warned": dict(warned)}))
    os.replace(new, file)  # noqa: PTH105 -- Path.replace is the same


def health_problem(file: Path, now: float) -> str:
    """What is wrong, in one line; empty when all is well."""
    try:
        state = json.loads(file.read_text())
        silent = now - state["alive"]
        failing = dict(state["failing"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"no sign of life of the daemon: {error}"
    if silent > STALE:
        return f"no sign of life of the daemon for {silent:.0f} s"
    return "; ".join(f"{job}: {problem}" for job, problem in failing.items())


def health_warnings(file: Path) -> str:
    """What jobs warn of that do not fail, in one line; empty when all is well, or nothing is known."""
    try:
        warned = dict(json.loads(file.read_text()).get("warned", {}))
    except (OSError, ValueError, TypeError, AttributeError):
        return ""
    return "; ".join(f"{job}: {warning}" for job, warning in warned.items())
