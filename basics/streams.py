"""Standard streams that may be closed, full or of another encoding: what cannot be printed is lost, no more."""

import atexit
import io
import logging
import os
import sys
from contextlib import suppress
from typing import TextIO

logger = logging.getLogger(__name__)


def make_safe() -> None:
    """For the rest of this process, and those that are forked from it: no stream that is broken does any harm.

    One that is closed leads nowhere: else the next file or connection would get its number, and its output.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # without a buffer nothing is left to be written again, and to fail again, when a process is forked or ends
    raw = io.FileIO(2, "w", closefd=False)
    sys.stderr = io.TextIOWrapper(raw, sys.stderr.encoding, "backslashreplace", write_through=True)
    atexit.register(say, "")  # what argparse has printed


def say(text: str) -> None:
    """Print on standard output; where that is broken the text is lost, with a warning."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        logger.warning("cannot write to standard output: %s", error.strerror or error)
        lead_nowhere(sys.stdout)


def is_one_place() -> bool:
    """Whether standard output and standard error come to the same terminal, pipe or file."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):
        return False


def lead_nowhere(stream: TextIO) -> None:
    """Lose what is printed from now on, and what is left in the stream's buffer.

    Else that would fail again at the end of the process, and change its exit code.
    """
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
