"""Which part of the jobs is a daemon's own, where several share a folder without talking to each other."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from basics.hashing import stable_number
from commands.options import Option, UsageError


@dataclass(frozen=True, slots=True)
class Shard:
    """The jobs whose name has this number; the first of `count` is 0, as Kubernetes and Nomad count."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, job: str) -> bool:
        """Whether a job is one of its own: the SHA-256 of its name decides, on every machine alike."""
        return stable_number(job) % self.count == self.number

    def file(self, file: Path) -> Path:
        """A file of its own beside those of other shards."""
        return file.with_name(f"{file.stem}-{self.number}-of-{self.count}{file.suffix}")


def parse_shard(text: str) -> Shard:
    """`0/3`, `1/3` or `2/3`. Raises ValueError, which says what to write instead."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a shard: write 0/3, 1/3 and 2/3 for three daemons")
    number, count = map(int, found.groups())
    if not count:
        raise ValueError(f"{text!r} is not a shard: there is at least one, 0/1")
    if number >= count:
        last = f"the last one of {count} is {count - 1}/{count}"
        raise ValueError(f"{text!r} is not a shard: they are counted from 0, and {last}")
    return Shard(number, count)


def _parsed(text: str) -> Shard:
    try:
        return parse_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


SHARD = Option(
    "--shard",
    {
        "type": _parsed,
        "metavar": "I/N",
        "help": "of the files in folders only this part, such as 0/3 (default: $BACKUP_SHARD, else all)",
    },
)


def asked_shard(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Shard | None:
    """That of the command line or else of the environment; None: all jobs. Raises UsageError."""
    shard: Shard | None = arguments.shard
    text = environ.get("BACKUP_SHARD", "")
    if shard is None and text.strip():
        try:
            return parse_shard(text)
        except ValueError as error:
            raise UsageError(f"BACKUP_SHARD: {error}") from None
    return shard
