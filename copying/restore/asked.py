"""What a restore is asked to bring back, and under which names. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from basics.spans import Span
from basics.text import printable
from basics.times import END_OF_TIME, MIN_TIME
from settings.keys import Job

Existing = Literal["refuse", "fill", "overwrite"]
"""What to do with a target that holds points in the range already."""

EVER = Span(MIN_TIME, END_OF_TIME)


class UnknownName(ValueError):
    """A database that is not in the backup; the message lists those that are."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Empty means all. `databases` are texts as the command line has them: NAME or NAME:NEW."""

    databases: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    measurements: tuple[str, ...] = ()
    span: Span = EVER
    existing: Existing = "refuse"
    metadata: frozenset[str] | None = None
    """What is to come besides points; None: what suits whole databases, and nothing of a part."""

    @property
    def kinds(self) -> frozenset[str]:
        """What comes besides points."""
        if self.metadata is None:
            return frozenset() if self.is_part else frozenset({"policies", "queries"})
        return self.metadata

    @property
    def is_part(self) -> bool:
        """Whether only some of each database is asked for."""
        return bool(self.policies or self.measurements or self.span != EVER)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A database: its name in the backup, at the source of the job, and at the target of the restore."""

    backup: str
    original: str
    target: str

    @property
    def is_renamed(self) -> bool:
        """Whether it gets a name that it never had."""
        return self.target != self.original


def originals(job: Job, there: Iterable[str]) -> dict[str, str]:
    """The databases of the job that the backup holds: name at the source -> name in the backup."""
    here = sorted(there)
    if job.source.databases:
        named = {mapping.name: job.source.destination_name(mapping.name) for mapping in job.source.databases}
        return {name: copied for name, copied in named.items() if copied in here}
    prefix, suffix = job.source.prefix, job.source.suffix
    fitting = (d for d in here if d.startswith(prefix) and d.endswith(suffix) and len(d) > len(prefix + suffix))
    return {name[len(prefix) : len(name) - len(suffix)]: name for name in fitting}


def absent(job: Job, known: Mapping[str, str]) -> list[str]:
    """The databases of the job that the backup lacks."""
    return [mapping.name for mapping in job.source.databases if mapping.name not in known]


def chosen(known: Mapping[str, str], texts: Sequence[str]) -> tuple[Mapped, ...]:
    """The databases that are asked for, NAME or NAME:NEW; all without any. Raises UnknownName."""
    if not known:
        raise UnknownName("the backup holds no database of this job, or none that this user may see")
    if not texts:
        return tuple(Mapped(copied, name, name) for name, copied in known.items())
    return tuple(_chosen(known, text) for text in dict.fromkeys(texts))


def _chosen(known: Mapping[str, str], text: str) -> Mapped:
    if text in known:  # a name may hold a colon
        return Mapped(known[text], text, text)
    name = max((name for name in known if text.startswith(f"{name}:")), key=len, default="")
    new = text.removeprefix(f"{name}:")
    if name and new:
        return Mapped(known[name], name, new)
    shown = ", ".join(map(printable, known))
    raise UnknownName(f"database {printable(text)!r} is not in the backup; it holds: {shown}")
