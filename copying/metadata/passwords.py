"""Passwords for users that are restored: no server tells those that they had."""

import json
import secrets
from pathlib import Path
from typing import Protocol

import yaml

from basics.files import write_whole

_BYTES = 24


class NoPassword(Exception):
    """There is no password for a user."""


class Passwords(Protocol):
    """Where the passwords of restored users come from."""

    def of(self, user: str) -> str:
        """The user's password. Raises NoPassword."""


class GeneratedPasswords:
    """New ones, kept in a file that its owner alone may read: JSON, name and password.

    A file that is there already is gone on with: whoever restores a second time needs the passwords of the first.
    """

    def __init__(self, file: Path) -> None:
        """Raises NoPassword for a file that holds something else."""
        self.file = file
        self._known = _read(file) if file.exists() else {}

    def of(self, user: str) -> str:
        """On the disk before it is told. Raises NoPassword where that fails."""
        if user not in self._known:
            known = {**self._known, user: secrets.token_urlsafe(_BYTES)}
            try:
                write_whole(self.file, json.dumps(known, indent=2).encode() + b"\n")
            except OSError as error:
                raise NoPassword(f"{self.file} cannot be written: {error.strerror}") from error
            self._known = known
        return self._known[user]


class GivenPasswords:
    """Those of a file: YAML or JSON, name and password, every one a text."""

    def __init__(self, file: Path) -> None:
        """Raises NoPassword for a file that cannot be read."""
        self._file = file
        self._known = _read(file)

    def of(self, user: str) -> str:
        """The user's password. Raises NoPassword."""
        if user not in self._known:
            raise NoPassword(f"{self._file} has no password for it")
        return self._known[user]


def _read(file: Path) -> dict[str, str]:
    """The names and passwords of a file; no message shows any of them."""
    try:
        found = _parsed(file.read_bytes())
    except OSError as error:
        raise NoPassword(f"{file} cannot be read: {error.strerror}") from error
    except yaml.YAMLError:
        raise NoPassword(f"{file} is no YAML: write one line 'name: password' for each user") from None
    if not isinstance(found, dict) or not all(isinstance(text, str) for pair in found.items() for text in pair):
        raise NoPassword(f"{file}: write one line 'name: password' for each user")
    return found


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)  # YAML has other escapes, and does not take every character
    except ValueError:
        return yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506 -- makes texts, and nothing else
