"""The options of all commands, as values: one that several commands have is written once."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from basics.patterns import parse_pattern
from basics.spans import Span
from basics.times import END_OF_TIME, MIN_TIME, parse_duration, parse_end, parse_time


class UsageError(Exception):
    """The command line asks for something that cannot be done; the message says what to write instead."""


class InvalidFiles(UsageError):
    """Files of jobs are not valid; each of their problems has a line of its own."""


@dataclass(frozen=True)
class Option:
    """One option: its name, and what `argparse` is told of it."""

    flag: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Let the parser know it."""
        parser.add_argument(self.flag, **self.settings)

    @property
    def takes_many(self) -> bool:
        """Whether any number of values may follow it."""
        return "nargs" in self.settings

    @property
    def takes_one(self) -> bool:
        """Whether one value follows it."""
        return not self.takes_many and self.settings.get("action") != "store_true"


def _parsed(parse: Callable[[str], int]) -> Callable[[str], int]:
    """A type for argparse: the message of a ValueError is shown as it is."""

    def read(text: str) -> int:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


parsed_start, parsed_end = _parsed(parse_time), _parsed(parse_end)
"""Types of options that are times."""


def asked_span(arguments: argparse.Namespace) -> Span:
    """From --start to --end, or for ever. Raises UsageError for one that is empty."""
    start = MIN_TIME if arguments.start is None else arguments.start
    end = END_OF_TIME if arguments.end is None else arguments.end
    if start >= end:
        raise UsageError("--start must be before --end")
    return Span(start, end)


def check_patterns(arguments: argparse.Namespace) -> None:
    """Raise UsageError for a --measurement that is no pattern."""
    try:
        for pattern in arguments.measurement:
            parse_pattern(pattern)
    except ValueError as error:
        raise UsageError(f"--measurement: {error}") from None


def share_of(text: str) -> float:
    """A type of options that are shares."""
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0
    if not text.endswith("%") or not 0 < percent <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share; write it as 5%")
    return percent / 100


CONFIG = Option(
    "--config",
    {
        "nargs": "+",
        "type": Path,
        "metavar": "PATH",
        "help": "job files, or folders of them (default: $BACKUP_CONFIG_DIR, else /config, else ./config)",
    },
)
ONCE = Option("--once", {"action": "store_true", "help": "ignore schedules: run each job once, now"})
QUIET = Option("--quiet", {"action": "store_true", "help": "no progress and no summary: warnings and errors only"})
VERBOSE = Option("--verbose", {"action": "store_true", "help": "list what is equal, too"})
JSON = Option("--json", {"action": "store_true", "help": "print the results as JSON instead of a table"})
LISTEN = Option(
    "--http", {"metavar": "ADDRESS:PORT", "help": "answer there (default: $BACKUP_HTTP, else nowhere)"}
)
ASK = Option(
    "--http", {"metavar": "ADDRESS:PORT", "help": "ask there (default: $BACKUP_HTTP, else 127.0.0.1:8186)"}
)
START = Option(
    "--start",
    {"type": _parsed(parse_time), "metavar": "TIME", "help": "from when (default: as far back as both keep)"},
)
END = Option(
    "--end", {"type": _parsed(parse_end), "metavar": "TIME", "help": "until when (default: a minute ago)"}
)
FULL = Option("--full", {"action": "store_true", "help": "compare every value instead of fingerprints"})
SAMPLE = Option("--sample", {"type": share_of, "metavar": "5%", "help": "a random share of the windows"})
MAX_DURATION = Option(
    "--max-duration",
    {"type": _parsed(parse_duration), "metavar": "10m", "help": "stop after this long"},
)
AT = Option(
    "--at",
    {
        "default": "latest",
        "metavar": "latest|TIME|SNAPSHOT",
        "help": "which snapshot: the newest one (default), the newest not later than a time, or by its name",
    },
)
TEST = Option("--test", {"action": "store_true", "help": "send the message"})
YES = Option("--yes", {"action": "store_true", "help": "repair without asking"})

IGNORED: Sequence[Option] = tuple(
    Option(option.flag, {**option.settings, "help": argparse.SUPPRESS}) for option in (CONFIG, ONCE)
)
"""Accepted by commands that have no use for them, as they always were."""
