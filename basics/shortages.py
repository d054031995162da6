"""What the system may have too little of: an error that comes from that, in words, with the remedy. Pure."""

import errno
import os

_REMEDIES = {
    errno.EMFILE: "raise ulimit -n (LimitNOFILE= of a unit, --ulimit nofile= of a container), or run fewer jobs",
    errno.ENFILE: "the whole system has too many open files: raise fs.file-max, or close some",
    errno.EAGAIN: "raise ulimit -u (TasksMax= of a unit, --pids-limit of a container), or the limit of memory",
    errno.ENOMEM: "give it more memory (MemoryMax= of a unit, --memory of a container), or run fewer jobs",
}


def shortage(error: BaseException | None) -> str:
    """What there was too little of, and what to do; empty for an error that has another cause."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if number := _number(error):
            return f"{_words(error)}: {_REMEDIES[number]}"
        error = error.__cause__ or error.__context__
    return ""


def _words(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or "out of memory"


def _number(error: BaseException) -> int:
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return errno.EAGAIN
    if type(error).__name__ == "PanicException":  # how libraries in Rust end, which have only words
        return next((number for number in _REMEDIES if os.strerror(number) in str(error)), 0)
    return error.errno or 0 if isinstance(error, OSError) and error.errno in _REMEDIES else 0
