"""What `main.py verify` found last, in small files beside the health file, so that the daemon hears of it."""

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


KINDS = {"at": int, "result": str, "detail": str, "how": str, "missing": int, "extra": int, "different": int}


def verdict_folder(environ: Mapping[str, str]) -> Path | None:
    """Where they are: beside $BACKUP_HEALTH_FILE; without it none are kept."""
    file = health_file(environ)
    return file.with_name(f"{file.name}.verified") if file else None


def write_verdict(folder: Path, verified: Verified) -> None:
    """Keep what was found, in place of what was found before. A full disk costs a warning."""
    file = folder / f"{verified.job}.json"
    new = folder / f".{os.getpid()}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(asdict(verified)))
        os.replace(new, file)  # noqa: PTH105 -- Path.replace is the same
    except OSError as error:
        logger.warning("%s cannot be written, so the daemon does not hear of this: %s", file, error.strerror)


class Verdicts:
    """Looks for results that are new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, int] = {}

    def news(self, jobs: Container[str]) -> list[Verified]:
        """Those about these jobs that were written since the last look."""
        found: list[Verified] = []
        with suppress(OSError):  # the folder is not there before the first result
            found.extend(self._news(jobs))
        return found

    def _news(self, jobs: Container[str]) -> Iterator[Verified]:
        for entry in os.scandir(self._folder):
            name, changed = entry.name.removesuffix(".json"), entry.stat().st_mtime_ns
            if name in jobs and self._seen.get(name) != changed:
                self._seen[name] = changed
                with suppress(OSError, ValueError, TypeError):  # whatever else lies there
                    found = Verified(**json.loads(Path(entry.path).read_text()))
                    if found.job == name and all(type(getattr(found, key)) is kind for key, kind in KINDS.items()):
                        yield found
