"""Too little memory, too few files or processes: told as such, with the remedy, and not as a bug."""

import errno
import logging
import os

import pytest

from basics.boundary import error_boundary
from basics.shortages import shortage


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), ["Too many open files", "ulimit -n"]),
        (OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)), ["temporarily unavailable", "ulimit -u"]),
        (RuntimeError("can't start new thread"), ["new thread", "pids-limit"]),
        (MemoryError(), ["out of memory", "more memory"]),
    ],
)
def test_a_shortage_is_told_with_its_remedy(
    error: Exception, words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """One line, also where it is the cause of another error."""
    with caplog.at_level(logging.ERROR), error_boundary() as outcome:
        raise ValueError("because of it") from error
    assert all(word in outcome.problem for word in words)
    assert [record.getMessage() for record in caplog.records] == [outcome.problem]
    assert caplog.records[0].exc_info is None


def test_another_error_is_still_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    """With its traceback."""
    assert shortage(OSError(errno.ENOENT, "no such file")) == shortage(ValueError("x")) == shortage(None) == ""
    with error_boundary() as outcome:
        raise ValueError("odd")
    assert "unexpected ValueError: odd" in outcome.problem
    assert caplog.records[0].exc_info


def test_a_panic_of_a_library_in_rust_ends_at_the_boundary() -> None:
    """It is no `Exception`, and would end the process without a word of ours."""
    from polars.exceptions import PanicException

    with error_boundary() as outcome:
        raise PanicException(f'Os {{ code: 24, message: "{os.strerror(errno.EMFILE)}" }}')
    assert "ulimit -n" in outcome.problem
