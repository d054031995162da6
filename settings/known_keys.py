"""The keys of a file by their dotted names, and what to say of a key that no section has. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel

from settings.held_secrets import SERVERS
from settings.keys import DatabaseMapping, File, SpecificMeasurement
from settings.kinds import section_of, shown, yaml_fields
from settings.yaml_reader import KeyPath

HIDDEN: Final = "password"
_LONGEST_KEY: Final = 100
_NEAR: Final = 0.75
"""How alike two keys are of which one may be meant for the other;"""
_VERY_NEAR: Final = 0.8
"""and where they stand in different sections."""

Names = tuple[str, ...]


# --- Names -------------------------------------------------------------------------------------------


def dotted(path: KeyPath) -> str:
    """`source.databases[0].name`; nothing below a password is shown."""
    shown_parts = path[: path.index(HIDDEN) + 1] if HIDDEN in path else path
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_printable(part)}" for part in shown_parts)
    return text.removeprefix(".")


def _printable(key: str) -> str:
    """The key as it is, unless that could not be read on one line."""
    plain = key and key.isprintable() and key == key.strip() and len(key) <= _LONGEST_KEY
    return key if plain else shown(key)


def names_of(path: KeyPath) -> Names:
    """The path without list positions, and with `<name>` for a measurement, as `KEYS` has it."""
    names = tuple(part for part in path if isinstance(part, str))
    specific = names[:2] == ("measurements", "specific") and len(names) > len(("measurements", "specific"))
    return (*names[:2], "<name>", *names[3:]) if specific else names


def _all_keys(section: type[BaseModel], path: Names = ()) -> Iterator[tuple[Names, object]]:
    """Every key of the file with its example, if it has one."""
    for key, field in yaml_fields(section).items():
        yield (*path, key), (field.examples or [None])[0]
        inner = section_of(field.annotation)
        if inner is not None:
            yield from _all_keys(inner, (*path, key))


EXAMPLES: Final[Mapping[Names, object]] = {
    **dict(_all_keys(File)),
    **dict(_all_keys(DatabaseMapping, ("source", "databases"))),
    **dict(_all_keys(SpecificMeasurement, ("measurements", "specific", "<name>"))),
}
KEYS: Final = tuple(EXAMPLES)


# --- Keys that no section has ------------------------------------------------------------------------

_URL = "the server is one key, {section}.url: http://host:8086"
_SCHEDULE = "the times to run are options.incremental.schedule"
_LOGGING = "what is logged belongs into options: log_level, log_format, log_directory, log_rotation"
_ON = "that is the key on, which some programs write as true: put it in quotes, 'on', or write when"

_HABITS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("host", "hostname", "address", "server", "port", "scheme", "protocol"), _URL),
    **dict.fromkeys(("backup_schedule", "cron", "interval", "every"), _SCHEDULE),
    **dict.fromkeys(("logging", "log"), _LOGGING),
    **dict.fromkeys(
        ("log_file", "logfile", "log_path", "log_dir"),
        "the log is a file <job>/<job>.log in the folder that options.log_directory names",
    ),
    **dict.fromkeys(("username", "login"), "did you mean {section}.user?"),
    **dict.fromkeys(("database", "db"), "did you mean source.databases?"),
}
"""What other programs call it, and how it is written here."""


def unknown_key(path: KeyPath) -> str:
    """The error for a key that no section has, with the key that may have been meant."""
    name, section = str(path[-1]), names_of(path[:-1])
    if re.search("[:=]", name):
        return "unknown key; put a space after the colon"
    siblings = {key[-1]: key for key in KEYS if key[:-1] == section}
    if habit := _habit(name, section):
        return f"unknown key; {habit}"
    if near := _near(name, path, siblings):
        return f"unknown key; did you mean {near}?"
    return f"unknown key; known here: {', '.join(siblings)}"


def _habit(name: str, section: Names) -> str:
    """How to write what other programs call by this name; empty for any other."""
    if name == "true" and section == ("options", "notify"):
        return _ON
    folded = name.lower().replace("-", "_")
    text = _HABITS.get(folded, "") if len(section) <= 1 else ""
    if "{section}" in text and section not in [(server,) for server in SERVERS]:
        return ""
    if text == _SCHEDULE and section[:1] in [(server,) for server in SERVERS]:
        return ""
    return text.format(section=".".join(section))


def _near(name: str, path: KeyPath, siblings: Mapping[str, Names]) -> str:
    """The one key that is written nearly so, of the same section or of a near one; empty where there is none."""
    folded = name.lower().replace("-", "_")
    elsewhere = [key for key in KEYS if key[-1] == folded and _may_be_meant(key, names_of(path[:-1]))]
    near = difflib.get_close_matches(folded, siblings, 1, _NEAR)
    near = near or [key for key in siblings if key.startswith(f"{folded}_")][:1]
    if not elsewhere and not near:
        reachable = [key for key in KEYS if _may_be_meant(key, names_of(path[:-1]))]
        far = difflib.get_close_matches(folded, sorted({key[-1] for key in reachable}), 1, _VERY_NEAR)
        elsewhere = [key for key in reachable if far and key[-1] == far[0]]
    # a schedule is the runs'
    elsewhere = [key for key in elsewhere if key[-2:-1] not in (("verify",), ("drill",))] or elsewhere
    if len(elsewhere) == 1:
        return dotted(elsewhere[0])
    return dotted((*path[:-1], near[0])) if near else ""


def _may_be_meant(key: Names, section: Names) -> bool:
    """Whether it is near: in the same part of the file, or not deep inside another one."""
    return len(key) <= 2 or key[: len(section)] == section or key[:1] == section[:1] != ("options",)
