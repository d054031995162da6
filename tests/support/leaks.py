"""Looks for a secret wherever it may have leaked to, in every form in which it may have been written."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

SHORTEST = 8
"""Characters of a secret that is not found by chance."""


def assert_no_secret(texts: Iterable[str | bytes | Path], secret: str) -> None:
    """None of the texts holds the secret, as it is or encoded; a path stands for the file's content.

    An AssertionError shows where it was found, not the secret.
    """
    assert len(secret) >= SHORTEST
    forms = set(_forms(secret))
    for number, text in enumerate(texts):
        name = str(text) if isinstance(text, Path) else f"text {number}"
        for form in forms:
            at = _bytes(text).find(form)
            assert at < 0, f"the secret is in {name} at byte {at}, as {len(form)} bytes"


def _bytes(text: str | bytes | Path) -> bytes:
    if isinstance(text, Path):
        return text.read_bytes()
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _forms(secret: str) -> Iterator[bytes]:
    """Plain, escaped for Python, JSON, YAML, line protocol and URLs, and inside of any base64."""
    raw = secret.encode()
    escaped = secret.replace("\\", "\\\\")
    texts = (secret, escaped, escaped.replace('"', '\\"'), escaped.replace("'", "\\'"), secret.replace("'", "''"))
    yield from (text.encode() for text in texts)
    yield from (ascii(secret)[1:-1].encode(), repr(secret)[1:-1].encode(), repr(raw)[2:-1].encode())
    yield from (json.dumps(secret)[1:-1].encode(), json.dumps(secret, ensure_ascii=False)[1:-1].encode())
    yield from (urllib.parse.quote(secret, safe="").encode(), urllib.parse.quote_plus(secret).encode())
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        first, last = (
            -(-shift * 8 // 6),
            (shift + len(raw)) * 8 // 6,
        )  # what comes before and after leaves its mark
        yield encoded[first:last]
