"""URLs and hosts: what of them may be shown, and when two are the same. Pure."""

from __future__ import annotations

import re


def without_credentials(text: str) -> str:
    """A URL up to its query, and with *** for what stands before its host; another text as it is."""
    if "://" not in text and "@" not in text.partition(":")[2]:
        return text
    scheme, separator, rest = text.rpartition("://")
    _, at, host = rest.rpartition("@")
    masked = scheme.rpartition("@")[2] + separator + ("***@" if at else "") + host
    return re.sub(r"[?#\s].*", "...", masked, flags=re.DOTALL)


def same_host(host: str) -> str:
    """A spelling by which hosts are compared: lower case, and one for all names of this machine's loopback."""
    name = host.lower().rstrip(".")
    is_loopback = name in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", name) is not None
    return "localhost" if is_loopback else name
