"""What a server has besides points, as small frozen values. Pure."""

from dataclasses import dataclass

PRIVILEGES = ("READ", "WRITE", "ALL PRIVILEGES")
"""What a user can have on a database."""


@dataclass(frozen=True, slots=True)
class ContinuousQuery:
    """A continuous query; `text` is the statement that creates it, in the server's own words."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class User:
    """A user of the server. No server tells passwords, nor what is left of them."""

    name: str
    is_admin: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user may do in a database."""

    user: str
    database: str
    privilege: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where a copy of what is written to a retention policy goes."""

    policy: str
    name: str
    mode: str
    destinations: tuple[str, ...]
