"""What a job's file itself holds that others should not read. Pure."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from settings.yaml_reader import Replaced, Unresolved, read_yaml

SERVERS: Final = ("source", "destination")
"""The sections that may hold a password."""


def has_password(section: Mapping[str, object]) -> bool:
    """Whether the section of a server gives one, and not an empty one."""
    return section.get("password") not in (None, "", Replaced("", None), Unresolved())


@dataclass(frozen=True)
class AllSetTo(Mapping[str, str]):
    """An environment in which every variable is there, with this text."""

    text: str

    def __getitem__(self, name: str) -> str:
        return self.text

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@functools.lru_cache(maxsize=2000)
def held_secret(content: bytes) -> str:
    """What a job's file itself holds that others should not read: 'a password', 'a notification URL', or ''.

    Not what comes from another file, a variable, or (of a URL) in part from a variable.
    """
    data, other = (read_yaml(content.decode("utf-8-sig", "replace"), AllSetTo(text)).data for text in ("", "x"))
    sections = [data.get(name) for name in SERVERS] if isinstance(data, dict) else []
    if any(has_password(section) for section in sections if isinstance(section, dict)):
        return "a password"
    pairs = zip(_notification_urls(data), _notification_urls(other), strict=False)
    return "a notification URL" if any(url and then in (url, "x") for url, then in pairs) else ""


def _notification_urls(data: object) -> Iterator[str]:
    """The texts of `options.ping_url` and `options.notify.urls`; '' where there is none."""
    options = data.get("options") if isinstance(data, dict) else None
    options = options if isinstance(options, dict) else {}
    notify = options.get("notify")
    urls = notify.get("urls") if isinstance(notify, dict) else None
    for value in (options.get("ping_url"), *(urls if isinstance(urls, list) else [urls])):
        text = value.text if isinstance(value, Replaced) else value
        yield text if isinstance(text, str) else ""
