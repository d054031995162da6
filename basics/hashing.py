"""A number from a name: the same on every machine, in every process and version of Python."""

import hashlib


def stable_number(name: str) -> int:
    """The first eight bytes of the name's SHA-256, as a whole number: `sha256sum` finds it, too."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8])
