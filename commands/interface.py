"""What a command is: its name, its help, its options, and what it calls."""

import argparse
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from basics.streams import say
from commands.options import Option

SUCCESS, FAILURE, USAGE = 0, 1, 2
"""Exit codes: all is well; a job failed or something differs; wrong usage, or nothing could be looked at."""


@dataclass(frozen=True)
class Command:
    """One command of `main.py`.

    `execute` gets the arguments and the environment, and returns the exit code; it may raise UsageError.
    """

    name: str
    help: str
    options: Sequence[Option]
    execute: Callable[[argparse.Namespace, Mapping[str, str]], int]
    not_done: str = "not checked"
    """`result` of its JSON document when it could not do anything."""
    on_bug: int = FAILURE
    """Exit code after an unforeseen error."""


def worst(codes: Collection[int]) -> int:
    """The exit code for several jobs: a failure counts for more than what could not be looked at."""
    return FAILURE if FAILURE in codes else max(codes)


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    say(json.dumps(document, indent=2) + "\n")
