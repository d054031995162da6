"""What an object store says of a request that failed, in a line. Pure: it reads the errors of the library."""

import re
from html import unescape

_MISSING_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
_MISSING_OBJECT = frozenset({"", "NoSuchKey", "BlobNotFound"})
_NO_KEYS = "169.254.169.254"
"""Whom the library asks for keys when the environment has none: the machine of a cloud."""


def is_broken(text: str) -> bool:
    """Whether the connection broke: the request may have been carried out, or not."""
    return "HTTP error" in text


def is_missing(text: str) -> bool:
    """Whether an answer that something was not found is about the object, not about its bucket or a user."""
    return _code(text) in _MISSING_OBJECT


def in_words(text: str) -> str:
    """What happened, and what to do."""
    if _NO_KEYS in text:
        return "no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what your store takes"
    code, status = _code(text), _found(r"status code: (\d{3}[\w ]*)", text)
    if code in _MISSING_BUCKET:
        return "there is no such bucket; create it"
    if status:
        told = ": ".join(filter(None, (code, unescape(_found(r"<Message>(.*?)</Message>", text)).rstrip("."))))
        remedy = "; correct the keys in the environment, or what they allow" if _is_refusal(status, code) else ""
        return ", ".join(filter(None, (status.strip(), told))) + remedy
    host = _found(r"Error performing \w+ (\w+://[^/ ]+)", text)
    reason = _found(r'message: "(.*?)"', text) or _head(text)
    return f"{host}: {reason}" if host and is_broken(text) else reason


def _is_refusal(status: str, code: str) -> bool:
    return status.startswith(("401", "403")) or "AccessKey" in code or "User" in code


def _code(text: str) -> str:
    return _found(r"<Code>(\w*)</Code>", text)


def _head(text: str) -> str:
    """The first line, without how long it took."""
    return re.sub(r"^.* - (?=HTTP error)", "", text.strip().partition("\n")[0])


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""
