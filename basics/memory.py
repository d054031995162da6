"""Memory that was freed is given back, before the libraries are loaded that would keep it."""

import ctypes
import os
from contextlib import suppress

M_MMAP_THRESHOLD = -3
"""glibc's number of that setting."""

LARGE = 1 << 20
"""From how many bytes on memory is given back at once when it is freed."""


def give_back_memory() -> None:
    """Let polars, Arrow and the C library of this process, and of those that it starts, keep less."""
    # polars' allocator keeps what is freed, for each thread apart: together more than what is in use
    os.environ["_RJEM_MALLOC_CONF"] = "narenas:1,dirty_decay_ms:100,muzzy_decay_ms:0"
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # of archives: one hoard less
    with suppress(AttributeError):  # not every C library can
        # large texts outside the heap: once one of them is freed, glibc would put the next ones inside, for good
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
