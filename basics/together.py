"""Two questions at the same time: over a network each wait for an answer costs more than the answer."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def both(one: Callable[[], A], other: Callable[[], B]) -> tuple[A, B]:
    """What two functions return that run at the same time, the second one in a thread of its own.

    Both have ended when this does. Raises the error of the first one, or else that of the second.
    """
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(other)
        return one(), upcoming.result()
