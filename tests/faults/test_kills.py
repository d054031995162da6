"""The tool is killed or asked to stop in the middle of a copy: the next run makes the destination whole."""

import os
import random
import signal
from contextlib import suppress

from tests.faults.harness import (
    Middle,
    assert_mended,
    assert_partly_copied,
    copying,
    ended,
    fresh,
    lines,
    slow,
)
from tests.faults.rounds import Rounds
from tests.integration.daemon import Daemon
from tests.integration.harness import Pair

COPIED = 300
"""How many minutes an incremental run finds at the destination already."""


def test_kill_9_of_the_tool(pair: Pair, rounds: Rounds) -> None:
    """Of the parent, of its worker, or of both: nothing is left in a state that the next run cannot mend."""
    for number in rounds.of("kill -9 of the tool", 50):
        _interrupt(pair, number, signal.SIGKILL)


def test_sigterm_of_the_tool(pair: Pair, rounds: Rounds) -> None:
    """The copy stops between two batches; it is not complete, and the exit code says so."""
    for number in rounds.of("SIGTERM of the tool", 50):
        _interrupt(pair, number, signal.SIGTERM)


def _interrupt(pair: Pair, number: int, sent: signal.Signals) -> None:
    """First loads and incremental runs by turns; whom the signal hits is random."""
    chance = random.Random(number)
    with fresh(pair, number) as round_:
        round_.write(lines())
        if number % 2:
            _copy_beginning(round_)
        with Middle(round_, chance) as middle, copying(round_, middle.of(slow())) as tool:
            middle.wait(tool)
            parent, workers = tool.process.pid, tool.workers()
            assert workers, tool.log
            victims = chance.choice([[parent], workers, [parent, *workers]])
            for victim in victims:
                with suppress(ProcessLookupError):  # a worker whose parent was killed may have ended already
                    os.kill(victim, sent)
            if sent == signal.SIGTERM:
                if parent in victims:
                    tool.wait_for("stopping after the batches in flight")
                middle.let_go()
            found = ended(tool)
            _assert_code(tool, found.code, sent, hit_parent=parent in victims)
        assert_partly_copied(round_)
        assert_mended(round_, slow() if number % 3 == 0 else None)


def _copy_beginning(round_: Pair) -> None:
    round_.destination.create_database(round_.database)
    round_.destination.write(lines(COPIED), round_.database)


def _assert_code(tool: Daemon, code: int, sent: signal.Signals, *, hit_parent: bool) -> None:
    if sent == signal.SIGKILL and hit_parent:
        assert code == -signal.SIGKILL, tool.log
    else:  # whoever started it must not take it for complete
        assert code == 1, tool.log
        assert ("SIGKILL" if sent == signal.SIGKILL else "stopped") in tool.log
