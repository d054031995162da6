"""Turns a YAML file into one validated, immutable Job, or into one error that lists all of its problems.

Exceptions: ConfigError is the only one that reading a configuration raises.
"""

from __future__ import annotations

import copy
import difflib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from settings.conflicts import conflicts
from settings.held_secrets import SERVERS, has_password
from settings.json_schema import schema
from settings.keys import (
    DatabaseMapping,
    Destination,
    FieldRules,
    FieldType,
    File,
    IncrementalOptions,
    Job,
    LogRotation,
    Loki,
    MeasurementRules,
    Notify,
    Options,
    RangeOptions,
    Sections,
    Server,
    Source,
    SpecificMeasurement,
)
from settings.kinds import Section, section_of, shown, yaml_fields
from settings.yaml_reader import MAX_BYTES, KeyPath, Replaced, Unresolved, read_yaml

__all__ = [
    "Config",
    "ConfigError",
    "DatabaseMapping",
    "Destination",
    "FieldRules",
    "FieldType",
    "IncrementalOptions",
    "Job",
    "LogRotation",
    "Loki",
    "MeasurementRules",
    "Notify",
    "Options",
    "Problem",
    "RangeOptions",
    "Server",
    "Source",
    "SpecificMeasurement",
    "load_config",
    "parse_config",
    "password_in",
    "read_file",
    "schema",
]

# --- Errors --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """One thing to correct: the dotted key ('' for the file as a whole), and what is wrong with it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(Exception):
    """A configuration that cannot be used; lists every problem found, and never a password."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__(source, tuple(problems))
        self.source = source
        self.problems = tuple(problems)

    def __str__(self) -> str:
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        return "\n".join([f"{self.source}: {count}", *(f"  {problem}" for problem in self.problems)])


_HIDDEN: Final = "password"
_LONGEST_KEY: Final = 100


def _dotted(path: KeyPath) -> str:
    """`source.databases[0].name`; nothing below a password is shown."""
    shown_parts = path[: path.index(_HIDDEN) + 1] if _HIDDEN in path else path
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_printable(part)}" for part in shown_parts)
    return text.removeprefix(".")


def _printable(key: str) -> str:
    """The key as it is, unless that could not be read on one line."""
    plain = key and key.isprintable() and key == key.strip() and len(key) <= _LONGEST_KEY
    return key if plain else shown(key)


# --- Parsing -------------------------------------------------------------------------------------------


def load_config(path: Path | str, environ: Mapping[str, str] = os.environ, *, content: bytes | None = None) -> Job:
    """The job in this file (or in `content`, read from it before). Raises ConfigError, also when unreadable."""
    text = _decoded(read_file(path) if content is None else content, str(path))
    return parse_config(text, environ, str(path))


def read_file(path: Path | str) -> bytes:
    """The content of a job's file, cut where it is too large. Raises ConfigError for what is no readable file."""
    try:
        return _beginning(Path(path), MAX_BYTES)
    except ValueError as error:
        raise ConfigError(str(path), [Problem("", f"cannot be read: {error}")]) from None


def _beginning(path: Path, most: int) -> bytes:
    """The content of a file, at most a byte more than `most`. Raises ValueError with the reason.

    Only of a regular one: a FIFO may have no writer to wait for, and a device no end.
    """
    try:
        if path.is_fifo() or path.is_char_device() or path.is_block_device():
            reason = "a device or a pipe, not a file"
        else:
            with path.open("rb") as file:
                return file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a valid path"
    raise ValueError(reason)


def _decoded(content: bytes, source: str) -> str:
    if len(content) > MAX_BYTES:
        problem = f"larger than {MAX_BYTES // 1024} KiB; this is not a configuration file"
    else:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problem = f"not encoded in UTF-8 (byte {error.start + 1}); save it as UTF-8"
    raise ConfigError(source, [Problem("", problem)])


def parse_config(text: str, environ: Mapping[str, str], source: str) -> Job:
    """The job in this YAML text; `source` is the name of its file. Reads nothing but password and CA files.

    Raises ConfigError with all the problems that can be found at once.
    """
    document = read_yaml(text, environ)
    found = list(document.problems)
    if () not in [path for path, _ in found]:
        data, unreadable = _with_passwords_of_files(document.data)
        found += unreadable
        file, invalid = _validated(data)
        found += invalid
        found += _conflicts(data, file, [path for path, _ in found])
        if file is not None and not found:
            return _job(file, source)
    raise ConfigError(source, [Problem(_dotted(path), message) for path, message in dict.fromkeys(found)])


def _job(file: File, source: str) -> Job:
    """The job; its range is None in incremental mode, so that nobody can apply it by mistake."""
    options = (
        file.options if file.options.backup_mode == "range" else file.options.model_copy(update={"range": None})
    )
    return Job(
        name=Path(source).stem,
        source=file.source,
        destination=file.destination,
        measurements=file.measurements,
        options=options,
        archive=file.archive,
    )


# --- Password files ------------------------------------------------------------------------------------


_Found = list[tuple[KeyPath, str]]
_LONGEST_PASSWORD: Final = 64 * 1024


def _with_passwords_of_files(data: object) -> tuple[object, _Found]:
    """The data with `password` taken from `password_file`, where that is given."""
    problems: _Found = []
    result = dict(data) if isinstance(data, dict) else {}
    for key, section in result.items():
        file = section.get("password_file") if isinstance(section, dict) else None
        name = file.text if isinstance(file, Replaced) else file
        if key not in SERVERS or not isinstance(name, str) or not name or not name.isprintable():
            continue
        try:
            if has_password(section):
                raise ValueError("given together with password; keep one of them")
            result[key] = {**section, _HIDDEN: password_in(Path(name))}
        except ValueError as error:
            problems.append(((key, "password_file"), str(error)))
    return result if isinstance(data, dict) else data, problems


def password_in(path: Path) -> str:
    """The text of the file without its last line end. Raises ValueError, never with what is in the file."""
    try:
        content = _beginning(path, _LONGEST_PASSWORD)
    except ValueError as error:
        remedy = "create it, or correct the path"
        raise ValueError(f"{str(path)!r} cannot be read: {error}; {remedy}") from None
    try:
        password = content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{shown(str(path))} is not encoded in UTF-8") from None
    password = password.removesuffix("\n").removesuffix("\r")
    if not password or len(content) > _LONGEST_PASSWORD:
        raise ValueError(f"{shown(str(path))} is empty or far too long for a password")
    return password


# --- Validation ----------------------------------------------------------------------------------------


def _validated(data: object) -> tuple[File | None, _Found]:
    try:
        return File.model_validate(data), []
    except ValidationError as error:
        # Not chained to what is raised later: pydantic's error holds the values, passwords too.
        details = error.errors(include_url=False)
    reported = (detail for detail in details if not _is_reported_already(detail))
    return None, [(_path(detail), _message(detail)) for detail in reported]


def _is_reported_already(detail: ErrorDetails) -> bool:
    return isinstance(detail["input"], Unresolved) and detail["type"] != "extra_forbidden"


def _path(detail: ErrorDetails) -> KeyPath:
    """The path of the error; an unknown key is cut before a colon: it may be `password:secret`."""
    path = detail["loc"]
    if detail["type"] != "extra_forbidden":
        return path
    name = str(path[-1])
    return (*path[:-1], re.split("[:=]", name)[0] + ":..." if re.search("[:=]", name) else name)


def _message(detail: ErrorDetails) -> str:
    """Pydantic's message in plain words, with the remedy."""
    match detail["type"]:
        case "value_error":
            return str(detail["ctx"]["error"])
        case "missing":
            example = _EXAMPLES.get(_names(detail["loc"]))
            return "missing; add it" + (f", for example {example}" if example else "")
        case "extra_forbidden":
            return _unknown_key(detail["loc"])
        case "model_type" | "model_attributes_type" | "dict_type":
            kind = "a list" if isinstance(detail["input"], list) else "a single value"
            return f"expected a section of keys, got {kind}; put the keys below it, indented"
    return detail["msg"]


def _unknown_key(path: KeyPath) -> str:
    """The error for a key that no section has, with the key that may have been meant."""
    name, section = str(path[-1]), _names(path[:-1])
    if re.search("[:=]", name):
        return "unknown key; put a space after the colon"
    siblings = {key[-1]: key for key in _KEYS if key[:-1] == section}
    elsewhere = [key for key in _KEYS if key[-1] == name]
    near = difflib.get_close_matches(name.lower(), siblings, 1)
    far = difflib.get_close_matches(name.lower(), sorted({key[-1] for key in _KEYS}), 1, _VERY_CLOSE)
    if not elsewhere and not near and far:
        elsewhere = [key for key in _KEYS if key[-1] == far[0]]
    if len(elsewhere) == 1:
        return f"unknown key; did you mean {_dotted(elsewhere[0])}?"
    if near:
        return f"unknown key; did you mean {_dotted((*path[:-1], near[0]))}?"
    return f"unknown key; known here: {', '.join(siblings)}"


_Names = tuple[str, ...]
_VERY_CLOSE: Final = 0.8


def _names(path: KeyPath) -> _Names:
    """The path without list positions, and with `<name>` for a measurement, as `_KEYS` has it."""
    names = tuple(part for part in path if isinstance(part, str))
    specific = names[:2] == ("measurements", "specific") and len(names) > len(("measurements", "specific"))
    return (*names[:2], "<name>", *names[3:]) if specific else names


def _all_keys(section: type[BaseModel], path: _Names = ()) -> Iterator[tuple[_Names, object]]:
    """Every key of the file with its example, if it has one."""
    for key, field in yaml_fields(section).items():
        yield (*path, key), (field.examples or [None])[0]
        inner = section_of(field.annotation)
        if inner is not None:
            yield from _all_keys(inner, (*path, key))


_EXAMPLES: Final[Mapping[_Names, object]] = {
    **dict(_all_keys(File)),
    **dict(_all_keys(DatabaseMapping, ("source", "databases"))),
    **dict(_all_keys(SpecificMeasurement, ("measurements", "specific", "<name>"))),
}
_KEYS: Final = tuple(_EXAMPLES)


def _conflicts(data: object, file: File | None, broken: list[KeyPath]) -> _Found:
    """The problems between keys, as far as the keys themselves are sound: what is broken is left out first."""
    if file is None:
        file, _ = _validated(_without(data, broken))
    if file is None or () in broken:
        return []
    names = [_dotted(path) for path in broken]

    def is_sound(key: str) -> bool:
        return not any(name.startswith(key) or key.startswith(name) for name in names)

    return [
        (tuple(conflict.path.split(".")), conflict.message)
        for conflict in conflicts(file)
        if all(map(is_sound, conflict.depends))
    ]


def _without(data: object, broken: list[KeyPath]) -> object:
    """The data without the broken keys, and with examples instead of what is required."""
    result = _copied(data) if isinstance(data, dict) else {}
    for path in broken:
        keys = tuple(takewhile(lambda part: isinstance(part, str), path))
        *parents, last = keys[:2] if keys[:2] == ("options", "range") else keys or ("",)
        section: object = result
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if isinstance(section, dict):
            section.pop(last, None)
    for section_name, key in (("source", "url"), ("options", "backup_mode")):
        given = result.get(section_name)
        result[section_name] = {key: _EXAMPLES[section_name, key]} | (given if isinstance(given, dict) else {})
    return result


def _copied(data: dict[str, object]) -> dict[str, object]:
    """A copy whose sections can be changed; lists are kept."""
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in data.items()}


# --- Dotted access -------------------------------------------------------------------------------------


class Config:
    """A configuration file: its `job`, and access to single values by their dotted key."""

    def __init__(
        self, path: Path | str, environ: Mapping[str, str] = os.environ, *, content: bytes | None = None
    ) -> None:
        self.path = Path(path)
        self.job = load_config(path, environ, content=content)

    def get(self, key: str, default: object = None) -> object:
        """The typed value of a key as the file spells it (`options.retries`); `default` where there is none."""
        found = _look_up(self.job, key)
        return default if found is None else found

    def with_job(self, job: Job) -> Config:
        """The same file with another job, made of what is in it."""
        other = copy.copy(self)
        other.job = job
        return other

    def __repr__(self) -> str:
        return f"Config({str(self.path)!r})"


def _look_up(value: object, key: str) -> object:
    """The value below a section or mapping; the longest name that fits comes first, for names with dots."""
    for name, inner in sorted(_children(value), key=lambda child: -len(child[0])):
        found = inner if key == name else None
        if key.startswith(name + "."):
            found = _look_up(inner, key.removeprefix(name + "."))
        if found is not None:
            return found
    return None


def _children(value: object) -> Iterable[tuple[str, object]]:
    """What is below a value, by its key in the file."""
    if isinstance(value, Mapping):
        return value.items()
    if not isinstance(value, Section):
        return ()
    fields = Sections.model_fields if isinstance(value, Job) else type(value).model_fields
    inner = {field.alias or name: getattr(value, name) for name, field in fields.items()}
    return (inner | ({"ssl": value.ssl} if isinstance(value, Server) else {})).items()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")
