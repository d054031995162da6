"""What all jobs of a folder share: the values of `_defaults.yaml` below those of a job's own file. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from settings.yaml_reader import KeyPath, Replaced

DEFAULTS: Final = ("_defaults.yaml", "_defaults.yml")
"""The names that the file may have; it is never a job."""

_EITHER: Final = (("password", "password_file"), ("on", "when"))
"""Keys of which one takes the place of the other: who gives one of them shares neither."""


def merged(own: object, shared: Mapping[str, object]) -> object:
    """The job's own values, and those that are shared where it gives none. Lists are not put together."""
    if not isinstance(own, dict):
        return own
    found = dict(own)
    for key, value in shared.items():
        if not _is_given(own, key):
            found[key] = value
        elif isinstance(value, dict):
            found[key] = merged(own[key], value)
    return found


def inherited(own: object, shared: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths of the values that `merged` takes from what is shared, sections and lists as their parts."""
    if not isinstance(shared, dict):
        yield path
        return
    for key, value in shared.items():
        if isinstance(own, dict) and not _is_given(own, key):
            yield from inherited({}, value, (*path, key))
        elif isinstance(own, dict) and isinstance(value, dict) and isinstance(own[key], dict):
            yield from inherited(own[key], value, (*path, key))


def comes_from(path: KeyPath, paths: Sequence[KeyPath]) -> bool:
    """Whether a problem at this path is one of these values, or of a part of one."""
    return any(path[: len(known)] == known for known in paths)


def _is_given(own: Mapping[str, object], key: str) -> bool:
    """Whether a section gives a value for the key, or for another one that takes its place."""
    group = next((group for group in _EITHER if key in group), (key,))
    return any(own.get(name) not in (None, "", Replaced("", None)) for name in group)
