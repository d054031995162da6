"""`main.py repair`: the same comparison as `verify`, then what differs is copied again."""

import argparse
import sys
from collections.abc import Mapping

from basics.streams import say
from commands.interface import USAGE, Command
from commands.options import YES, UsageError
from commands.verify import OPTIONS, compare


def _repair(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if not arguments.yes and (arguments.json or not sys.stdin.isatty()):
        raise UsageError("repair asks before it copies, and there is no terminal to ask on: say --yes")
    return compare(arguments, environ, (lambda: True) if arguments.yes else _confirmed)


def _confirmed() -> bool:
    say("Copy these again? [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


REPAIR = Command(
    "repair", "the same, then copy what differs; never deletes", (*OPTIONS, YES), _repair, on_bug=USAGE
)
