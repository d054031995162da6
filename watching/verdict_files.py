"""What comparisons, proofs of archives and drills found last, in small files beside the health file.

By these the daemon hears of them. A file holds the latest of a kind about a job, and what still stands of those
before: a difference or damage that no later one has shown to be gone; the last drill that passed.
"""

import json
import logging
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, fields
from pathlib import Path

from watching.events import Drilled, Proved, Verdict, Verified
from watching.health import health_file

logger = logging.getLogger(__name__)


KINDS: Mapping[str, type[Verdict]] = {"": Verified, "archives": Proved, "drills": Drilled}
"""The folder of each kind, below that of all."""

STANDS: Mapping[type[Verdict], str] = {Verified: "differs", Proved: "damaged", Drilled: "passed"}
"""The result that is kept beside later ones of other results."""


def verdict_folder(environ: Mapping[str, str]) -> Path | None:
    """Where they are: beside $BACKUP_HEALTH_FILE; without it none are kept."""
    file = health_file(environ)
    return file.with_name(f"{file.name}.verified") if file else None


def write_verdict(folder: Path, found: Verdict) -> None:
    """Keep what was found, and what still stands of before. A full disk costs a warning."""
    inside = next(folder / name for name, kind in KINDS.items() if isinstance(found, kind))
    file = inside / f"{found.job}.json"
    new = inside / f".{os.getpid()}.new"
    try:
        inside.mkdir(parents=True, exist_ok=True)
        kept = _standing(_read(file, found.job, type(found)), found)
        new.write_text(json.dumps([asdict(v) for v in (*kept, found)]))
        os.replace(new, file)  # noqa: PTH105 -- Path.replace is the same
    except OSError as error:
        logger.warning("%s cannot be written, so the daemon does not hear of this: %s", file, error.strerror)


def _standing(earlier: Sequence[Verdict], found: Verdict) -> Sequence[Verdict]:
    """The last one of before that this one does not make needless."""
    kept = STANDS[type(found)]
    if found.result == kept:
        return []
    return [verdict for verdict in earlier if verdict.result == kept and not _is_cleared(verdict, found)][-1:]


def _is_cleared(earlier: Verdict, found: Verdict) -> bool:
    if isinstance(earlier, Verified) and isinstance(found, Verified):
        return found.clears(earlier)
    return isinstance(earlier, Proved) and isinstance(found, Proved) and found.clears(earlier)


def differences(folder: Path) -> dict[str, str]:
    """By job: what was found that is not known to be gone: differences, damage, a drill that did not pass."""
    found: dict[str, list[str]] = {}
    with suppress(OSError):  # the folder is not there before the first result
        for name, kind in KINDS.items():
            for file in sorted((folder / name).glob("*.json")):
                for text in filter(None, map(_told, _read(file, file.stem, kind))):
                    found[file.stem] = [*found.get(file.stem, []), text]
    return {job: "; ".join(texts) for job, texts in found.items()}


def proofs(folder: Path, job: str) -> list[Proved | Drilled]:
    """The last proof of a job's archive, and its last drill."""
    found = (_read(folder / name / f"{job}.json", job, kind) for name, kind in KINDS.items())
    return [verdict for known in found for verdict in known[-1:] if not isinstance(verdict, Verified)]


def _told(verdict: Verdict) -> str:
    """What a verdict warns of; empty for one that is good."""
    first = verdict.detail.partition(chr(10))[0]
    match verdict:
        case Verified():
            return f"verify: {first}" if verdict.result == "differs" else ""
        case Proved():
            return f"archive verify: {first}" if verdict.result == "damaged" else ""
        case Drilled():
            return verdict.problem


def _read(file: Path, job: str, kind: type[Verdict]) -> list[Verdict]:
    """What a file holds, oldest first; nothing where it is not of our own making."""
    with suppress(OSError, ValueError, TypeError):
        content = json.loads(file.read_text())
        found = [kind(**each) for each in (content if isinstance(content, list) else [content])]
        return [v for v in found if v.job == job and _is_sound(v)]
    return []


def _is_sound(verdict: Verdict) -> bool:
    """Whether each of its values is of the type of its default."""
    pairs = [(getattr(verdict, f.name), 0 if f.default is MISSING else f.default) for f in fields(verdict)]
    return all(type(value) is type(default) for value, default in pairs[1:])


class Verdicts:
    """Looks for results that are new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[Path, int] = {}

    def news(self, jobs: Container[str]) -> list[Verdict]:
        """Those about these jobs that were written since the last look, oldest first."""
        found: list[Verdict] = []
        for name, kind in KINDS.items():
            with suppress(OSError):  # the folder is not there before the first result
                found.extend(self._news(self._folder / name, kind, jobs))
        return found

    def _news(self, folder: Path, kind: type[Verdict], jobs: Container[str]) -> Iterator[Verdict]:
        for entry in os.scandir(folder):
            name, changed = entry.name.removesuffix(".json"), entry.stat().st_mtime_ns
            path = Path(entry.path)
            if name in jobs and path.suffix == ".json" and self._seen.get(path) != changed:
                self._seen[path] = changed
                yield from _read(path, name, kind)
