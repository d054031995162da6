"""Apprise: whether it can use a URL, and the sending of one message. Heavy: imported only where it is used."""

from __future__ import annotations

import difflib
import logging
import re
import threading
import urllib.parse
from typing import Any, Literal

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat, NotifyType, PersistentStoreMode
from apprise.manager_plugins import NotificationManager

__all__ = ["NotDelivered", "send", "url_problem"]

SERVICES = "https://appriseit.com/services"
_ASSET = AppriseAsset(
    app_id="influxdb-backup",
    app_desc="influxdb-backup",
    app_url="",
    image_url_mask="",
    image_url_logo="",
    storage_mode=PersistentStoreMode.MEMORY,  # nothing on the disk
)
_TYPES = {"failure": NotifyType.FAILURE, "success": NotifyType.SUCCESS}

# Its log tells hosts and tokens; what matters of it is in NotDelivered, masked.
_log = logging.getLogger("apprise")
_log.propagate = False
_log.setLevel(logging.WARNING)


class NotDelivered(Exception):
    """The service did not take the message; the text says why, without anything of the URL."""


def url_problem(url: str) -> str:
    """Why Apprise cannot use this URL; '' if it can. Only the scheme of the URL is shown."""
    if _service(url) is not None:
        return ""
    found = re.match(r"\s*([A-Za-z0-9]{1,20})://", url)
    if not found:
        return "not an Apprise URL (it is not shown); write it as service://..., for example slack://"
    scheme = found[1].lower()
    manager: Any = NotificationManager()  # type: ignore[no-untyped-call]
    enabled = manager.schemas(include_disabled=False)
    if scheme in enabled:
        return f"not a complete {scheme}:// URL (it is not shown); see {SERVICES}"
    if scheme in manager.schemas():
        return f"{scheme}:// needs a Python package that is not installed; see {SERVICES}"
    if scheme in ("http", "https"):
        return f"Apprise knows no service at this {scheme}:// URL; for a webhook write json{scheme[4:]}://"
    near = difflib.get_close_matches(scheme, sorted(enabled), 1)
    remedy = f"did you mean {near[0]}://?" if near else f"see {SERVICES}"
    return f"unknown Apprise scheme {scheme}://; {remedy}"


def send(url: str, title: str, text: str, kind: Literal["failure", "success"]) -> None:
    """Deliver one message; takes as long as the service does. Raises NotDelivered."""
    service = _service(url)
    if service is None:
        raise NotDelivered("Apprise cannot use its URL")
    with _Words() as words:
        try:
            taken = service.notify(text, title=title, notify_type=_TYPES[kind], body_format=NotifyFormat.TEXT)
        except Exception as error:  # noqa: BLE001 -- a hundred plugins, each with errors of its own
            raise NotDelivered(type(error).__name__) from None  # its text may hold the URL
    if not taken:
        raise NotDelivered(masked(words.last, url) or "it refused")


def _service(url: str) -> NotifyBase | None:
    """What delivers to this URL; None where Apprise cannot use it."""
    service = Apprise.instantiate(url, asset=_ASSET)
    return service if isinstance(service, NotifyBase) else None


class _Words(logging.Handler):
    """The last thing that Apprise says in this thread."""

    last = ""

    def __enter__(self) -> _Words:
        self._thread = threading.get_ident()
        _log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        _log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        if record.thread == self._thread:
            self.last = record.getMessage()


SHORTEST_SECRET = 3


def masked(text: str, url: str) -> str:
    """The text in which every part of the URL but its scheme is replaced by `***`."""
    _, _, rest = url.partition("://")
    parts = {part for form in (rest, urllib.parse.unquote(rest)) for part in re.split(r"[/:@?&=#,\s]+", form)}
    for part in sorted((p for p in parts if len(p) >= SHORTEST_SECRET), key=len, reverse=True):
        text = text.replace(part, "***")
    return text
