"""Somebody writes to the source while it is copied: once the writer has stopped, one more run makes both equal."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.harness import assert_mended, assert_nothing_invented, copying, ended, fresh, run, slow
from tests.faults.rounds import Rounds
from tests.integration.daemon import Daemon
from tests.integration.harness import Pair

SECOND = 10**9
HOSTS = "abcd"


class Writer:
    """Several hosts that write what they measure now, every 20 ms, in order of time."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.points = 0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Until the end of the block."""
        self._thread.start()
        try:
            yield
        finally:
            self._done.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.02):
            now = time.time_ns()
            self._pair.write("\n".join(f'm,host={h} v={self.points}i,s="{now}" {now}' for h in HOSTS))
            self.points += len(HOSTS)


def history(now: int) -> str:
    """The last days of the same hosts, a point a minute."""
    return "\n".join(f'm,host={h} v=0i,s="{h}" {now - n * 60 * SECOND}' for n in range(1, 2000) for h in HOSTS)


def test_a_writer_in_order_of_time(pair: Pair, rounds: Rounds) -> None:
    """First loads and incremental runs while it writes all say ok; the one after it makes both sides equal."""
    for number in rounds.of("a writer at the source during the copy", 10):
        with fresh(pair, number) as round_:
            round_.write(history(time.time_ns()))
            writer = Writer(round_)
            with writer.writing():
                for _ in range(2):
                    before = writer.points
                    with copying(round_, slow(days_of_pagination=0.05)) as tool:
                        _assert_ok(tool)
                    assert writer.points > before, "nothing was written during the copy"
            expected, found = round_.snapshots()
            assert_nothing_invented(found, expected)
            assert_mended(round_)


def test_a_host_that_is_late(pair: Pair, rounds: Rounds) -> None:
    """One host delivers its points 5 to 30 seconds after the others, when later ones have been copied already."""
    for number in rounds.of("a writer of which one host is 5 to 30 s late", 10):
        chance = random.Random(number)
        with fresh(pair, number) as round_:
            now = time.time_ns() - 600 * SECOND
            round_.write(history(now))
            for step in range(3):
                begin = now + step * 100 * SECOND
                late = int(chance.uniform(5, 30) * SECOND)
                round_.write(each_second(begin, begin + 100 * SECOND, "abc"))
                round_.write(each_second(begin - late, begin + 100 * SECOND - late, "d"))
                found = run(round_)
                assert found.code == 0, found
                round_.write(each_second(begin + 100 * SECOND - late, begin + 100 * SECOND, "d"))
            expected, copied = round_.snapshots()
            assert_nothing_invented(copied, expected)
            assert_mended(round_)


def each_second(begin: int, end: int, hosts: str) -> str:
    """What these hosts measured in this time."""
    return "\n".join(
        f'm,host={h} v={moment}i,s="{h}" {moment}' for moment in range(begin, end, SECOND) for h in hosts
    )


def _assert_ok(tool: Daemon) -> None:
    found = ended(tool)
    assert found.code == 0, found
