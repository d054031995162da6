"""What comparisons of both sides found last, in small files beside the health file, by which the daemon hears.

A file holds the latest verdict on a job, and the last difference that no later one has shown to be gone.
"""

import json
import logging
import os
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from watching.events import Verified
from watching.health import health_file

logger = logging.getLogger(__name__)


NUMBERS = ("at", "missing", "extra", "different", "start", "end")
KINDS = {"result": str, "detail": str, "how": str, "is_complete": bool, **dict.fromkeys(NUMBERS, int)}


def verdict_folder(environ: Mapping[str, str]) -> Path | None:
    """Where they are: beside $BACKUP_HEALTH_FILE; without it none are kept."""
    file = health_file(environ)
    return file.with_name(f"{file.name}.verified") if file else None


def write_verdict(folder: Path, verified: Verified) -> None:
    """Keep what was found, and a difference from before that it does not clear. A full disk costs a warning."""
    file = folder / f"{verified.job}.json"
    new = folder / f".{os.getpid()}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = [v for v in _read(file, verified.job) if v.result == "differs" and not verified.clears(v)]
        kept = [] if verified.result == "differs" else found[-1:]
        new.write_text(json.dumps([asdict(v) for v in (*kept, verified)]))
        os.replace(new, file)  # noqa: PTH105 -- Path.replace is the same
    except OSError as error:
        logger.warning("%s cannot be written, so the daemon does not hear of this: %s", file, error.strerror)


def differences(folder: Path) -> dict[str, str]:
    """By job: in which differences were found that are not known to be gone, with what was found."""
    found: dict[str, str] = {}
    with suppress(OSError):  # the folder is not there before the first result
        for file in sorted(folder.glob("*.json")):
            for verified in _read(file, file.stem):
                if verified.result == "differs":
                    found[file.stem] = f"verify: {verified.detail.partition(chr(10))[0]}"
    return found


def _read(file: Path, job: str) -> list[Verified]:
    """What a file holds, oldest first; nothing where it is not of our own making."""
    with suppress(OSError, ValueError, TypeError):
        content = json.loads(file.read_text())
        found = [Verified(**each) for each in (content if isinstance(content, list) else [content])]
        return [v for v in found if v.job == job and all(type(getattr(v, k)) is kind for k, kind in KINDS.items())]
    return []


class Verdicts:
    """Looks for results that are new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, int] = {}

    def news(self, jobs: Container[str]) -> list[Verified]:
        """Those about these jobs that were written since the last look, oldest first."""
        found: list[Verified] = []
        with suppress(OSError):  # the folder is not there before the first result
            found.extend(self._news(jobs))
        return found

    def _news(self, jobs: Container[str]) -> Iterator[Verified]:
        for entry in os.scandir(self._folder):
            name, changed = entry.name.removesuffix(".json"), entry.stat().st_mtime_ns
            if name in jobs and self._seen.get(name) != changed:
                self._seen[name] = changed
                yield from _read(Path(entry.path), name)
