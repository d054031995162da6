"""Two questions at the same time."""

import threading

import pytest

from basics.together import both


def fail(text: str) -> None:
    """Raise it."""
    raise ValueError(text)


def test_both_run_at_the_same_time() -> None:
    """Each waits for the other here."""
    barrier = threading.Barrier(2, timeout=300)
    assert sorted(both(barrier.wait, barrier.wait)) == [0, 1]


def test_the_first_error_counts() -> None:
    """Whichever came first; and both have ended."""
    ended = threading.Event()
    with pytest.raises(ValueError, match="one"):
        both(lambda: fail("one"), lambda: fail("other"))
    with pytest.raises(ValueError, match="other"):
        both(ended.set, lambda: fail("other"))
    assert ended.is_set()
