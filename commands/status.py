"""`main.py status`: what the running daemon is doing, and what is wrong."""

import argparse
from collections.abc import Mapping

from basics.streams import say
from commands.interface import FAILURE, SUCCESS, USAGE, Command, print_json
from commands.options import ASK, IGNORED, JSON, UsageError


def _status(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """What the running daemon says: 0 nothing is failing, 1 something is, 2 there is no daemon."""
    from watching.web.client import NoDaemon, ask, status_table  # noqa: PLC0415
    from watching.web.server import DEFAULT_ADDRESS, AddressError, parse_address  # noqa: PLC0415

    try:
        document = ask(parse_address(arguments.http or environ.get("BACKUP_HTTP") or DEFAULT_ADDRESS))
    except (AddressError, NoDaemon) as error:
        raise UsageError(str(error)) from None
    if arguments.json:
        print_json(document)
    else:
        say(status_table(document) + "\n")
    return FAILURE if document["status"] == "failing" else SUCCESS


STATUS = Command(
    "status",
    "what the running daemon is doing: asks it where --http or $BACKUP_HTTP says",
    (ASK, JSON, *IGNORED),
    _status,
    not_done="no daemon",
    on_bug=USAGE,
)
