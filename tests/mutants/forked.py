"""Runs pytest as often as it is told, each time in a fork of this process, which has read the packages already.

Each line of the input is a list of arguments and the file for what is printed; two lines answer: the process
(and group of processes), and at its end what it returned.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading

import msgpack  # noqa: F401 - these are what takes long to read
import numpy as np  # noqa: F401
import polars  # noqa: F401
import pydantic  # noqa: F401
import pytest
import requests  # noqa: F401
import yaml  # noqa: F401

PATIENCE, ENDLESS = 10.0, 99
"""Seconds for a thread that is left over, and what is returned where it does not end."""


def main() -> int:
    """Serve until the input ends; the argument is how many bytes of addresses a test run may have."""
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for line in sys.stdin:
        arguments, printed = json.loads(line)
        child = os.fork()
        if not child:
            _become_a_test_run(printed)
            return _ended(int(pytest.main(arguments)))
        _answer(child)
        _, status = os.waitpid(child, 0)
        _answer(os.waitstatus_to_exitcode(status))
    return 0


def _ended(code: int) -> int:
    """The code, unless a thread goes on that would keep the process from ending: that is a mistake, too."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(PATIENCE)
            if thread.is_alive():
                os._exit(ENDLESS)
    return code


def _become_a_test_run(printed: str) -> None:
    os.setsid()
    output = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file, place in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(file, place)


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
