"""The command line: finds the command, and exits honestly. Each command is a module of commands/."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence

from basics.boundary import error_boundary
from basics.streams import make_safe
from basics.text import SEVERAL_LINES
from commands.archive import ARCHIVE
from commands.check import CHECK
from commands.drill import DRILL
from commands.health import HEALTH
from commands.interface import USAGE, Command, print_json
from commands.notify import NOTIFY
from commands.options import InvalidFiles, UsageError
from commands.repair import REPAIR
from commands.restore import RESTORE
from commands.run import RUN
from commands.status import STATUS
from commands.verify import VERIFY
from daemon.worker import run_worker
from logger_config import setup_logging

__all__ = ["main", "run_worker"]

logger = logging.getLogger(__name__)

_ALL = (RUN, VERIFY, REPAIR, RESTORE, DRILL, ARCHIVE, CHECK, NOTIFY, STATUS, HEALTH)
COMMANDS: Mapping[str, Command] = {command.name: command for command in _ALL}


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line; argparse exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="main.py",
        description="Exact backups of InfluxDB 1.x databases to another InfluxDB.",
        epilog="Each command has a help of its own: main.py COMMAND --help",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    parsers = {c.name: commands.add_parser(c.name, help=c.help, description=c.help) for c in COMMANDS.values()}
    for command in COMMANDS.values():
        for option in command.options:
            option.add_to(parsers[command.name])
    arguments, unknown = parser.parse_known_args(command_first(argv))
    if unknown:
        parsers[arguments.command].error(_not_understood(unknown))
    return arguments


def command_first(argv: Sequence[str]) -> list[str]:
    """The same with the command in front, which may stand behind options, and is `run` where there is none."""
    options = [option for command in COMMANDS.values() for option in command.options]
    skipped, takes_many = 0, False
    for index, word in enumerate(argv):
        if word.startswith("-"):
            option = next((o for o in options if o.flag.startswith(word)), None)  # argparse knows abbreviations
            skipped, takes_many = int(option is not None and option.takes_one), bool(option and option.takes_many)
        elif skipped:
            skipped = 0
        elif not takes_many:
            return [word, *argv[:index], *argv[index + 1 :]]
    return list(argv) if {"-h", "--help"} & set(argv) else ["run", *argv]


def _not_understood(words: Sequence[str]) -> str:
    """The message for words that the command does not know: an option may be that of another one."""
    flag = words[0].partition("=")[0]
    owners = [c.name for c in COMMANDS.values() for option in c.options if option.flag == flag]
    if not owners:
        return f"unrecognized arguments: {' '.join(words)}"
    return f"{flag} is for {' and '.join(filter(None, (', '.join(owners[:-1]), owners[-1])))}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0 for success, 1 for a failed job or an invalid file, 2 for wrong usage.

    `verify` and `repair` return 2 for whatever keeps them from comparing: it must not look like a difference.
    """
    setup_logging("main")
    arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    command = COMMANDS[arguments.command]
    with error_boundary() as outcome:
        try:
            return command.execute(arguments, os.environ)
        except UsageError as error:
            shown = SEVERAL_LINES if isinstance(error, InvalidFiles) else None
            logger.error("%s", error, extra=shown)  # noqa: TRY400 -- a user's mistake needs no traceback
            _print_not_done(command, arguments, str(error))
            return USAGE
    _print_not_done(command, arguments, outcome.problem)
    return command.on_bug


def _print_not_done(command: Command, arguments: argparse.Namespace, problem: str) -> None:
    if getattr(arguments, "json", False):
        print_json({"result": command.not_done, "problem": problem, "jobs": []})


if __name__ == "__main__":
    make_safe()
    raise SystemExit(main())
