"""Turns a YAML file into one validated, immutable Job, or into one error that lists all of its problems.

Exceptions: ConfigError is the only one that reading a configuration raises.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from basics.humanize import counted
from basics.text import printable
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
from settings.kinds import Section, shown
from settings.known_keys import EXAMPLES, HIDDEN, dotted, names_of, unknown_key
from settings.references import PLAIN, password_references, plain_passwords
from settings.shared import DEFAULTS, comes_from, inherited, merged
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
    "defaults_of",
    "load_config",
    "parse_config",
    "password_in",
    "read_defaults",
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
        head = f"{self.source}: {counted(len(self.problems), 'problem')}"
        return "\n".join(map(printable, (head, *(f"  {problem}" for problem in self.problems))))


# --- Parsing -------------------------------------------------------------------------------------------


def load_config(
    path: Path | str,
    environ: Mapping[str, str] = os.environ,
    *,
    content: bytes | None = None,
    defaults: bytes | None = None,
) -> Job:
    """The job in this file, above what all jobs of its folder share. Raises ConfigError, also when unreadable.

    `content` and `defaults` are what was read before of these files.
    """
    text = _decoded(read_file(path) if content is None else content, str(path))
    beside = read_defaults(path) if defaults is None else defaults
    return parse_config(text, environ, str(path), _decoded(beside, str(defaults_of(path) or DEFAULTS[0])))


def defaults_of(path: Path | str) -> Path | None:
    """The file beside this one that holds what all jobs of the folder share; None where there is none."""
    return next((file for name in DEFAULTS if os.path.lexists(file := Path(path).with_name(name))), None)


def read_defaults(path: Path | str) -> bytes:
    """What all jobs beside this file share, as it was written; nothing where there is no such file."""
    file = defaults_of(path)
    return read_file(file) if file else b""


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


def parse_config(text: str, environ: Mapping[str, str], source: str, defaults: str = "") -> Job:
    """The job in this YAML text; `source` is the name of its file. Reads nothing but password and CA files.

    `defaults` is the text of what all jobs share. Raises ConfigError with all problems that can be found at once.
    """
    document = read_yaml(text, environ)
    shared, found = _shared(defaults, environ)
    paths = tuple(inherited(document.data, shared.data)) if isinstance(document.data, dict) else ()
    found += [*document.problems, *(problem for problem in shared.problems if comes_from(problem[0], paths))]
    if () not in [path for path, _ in found]:
        data, unreadable = _with_passwords_of_files(merged(document.data, shared.data))
        found += unreadable
        file, invalid = _validated(data)
        found += invalid
        found += _conflicts(data, file, [path for path, _ in found])
        is_sent = file is not None and file.options.distribute
        found += [((name, HIDDEN), PLAIN) for name in (plain_passwords(text, defaults) if is_sent else ())]
        if file is not None and not found:
            known = password_references(text, defaults) if is_sent else {}
            told = {"inherited": tuple(map(dotted, paths)), "references": known}
            return _job(file, source).model_copy(update=told)
    raise ConfigError(source, [_problem(path, message, paths) for path, message in dict.fromkeys(found)])


@dataclass(frozen=True)
class _Shared:
    """What all jobs share, and the problems of single values of it."""

    data: dict[str, object]
    problems: tuple[tuple[KeyPath, str], ...] = ()


def _shared(text: str, environ: Mapping[str, str]) -> tuple[_Shared, _Found]:
    """That of this text, and the problem that keeps it from being read at all."""
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return _Shared({}), []
    document = read_yaml(text, environ)
    whole = [message for path, message in document.problems if not path]
    if whole or not isinstance(document.data, dict):
        message = whole[0] if whole else "expected sections of keys, as a job has them"
        return _Shared({}), [((), f"{DEFAULTS[0]}: {message}")]
    return _Shared(document.data, tuple(document.problems)), []


def _problem(path: KeyPath, message: str, paths: Sequence[KeyPath]) -> Problem:
    """One problem, with the file where that is not the job's own."""
    return Problem(dotted(path), f"{message} (in {DEFAULTS[0]})" if comes_from(path, paths) else message)


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
            result[key] = {**section, HIDDEN: password_in(Path(name))}
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
            example = EXAMPLES.get(names_of(detail["loc"]))
            return "missing; add it" + (f", for example {example}" if example else "")
        case "extra_forbidden":
            return unknown_key(detail["loc"])
        case "model_type" | "model_attributes_type" | "dict_type":
            kind = "a list" if isinstance(detail["input"], list) else "a single value"
            return f"expected a section of keys, got {kind}; put the keys below it, indented"
    return detail["msg"]


def _conflicts(data: object, file: File | None, broken: list[KeyPath]) -> _Found:
    """The problems between keys, as far as the keys themselves are sound: what is broken is left out first."""
    if file is None:
        file, _ = _validated(_without(data, broken))
    if file is None or () in broken:
        return []
    names = [dotted(path) for path in broken]

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
        result[section_name] = {key: EXAMPLES[section_name, key]} | (given if isinstance(given, dict) else {})
    return result


def _copied(data: dict[str, object]) -> dict[str, object]:
    """A copy whose sections can be changed; lists are kept."""
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in data.items()}


# --- Dotted access -------------------------------------------------------------------------------------


class Config:
    """A configuration file: its `job`, and access to single values by their dotted key."""

    def __init__(
        self,
        path: Path | str,
        environ: Mapping[str, str] = os.environ,
        *,
        content: bytes | None = None,
        defaults: bytes | None = None,
    ) -> None:
        self.path = Path(path)
        self.job = load_config(path, environ, content=content, defaults=defaults)

    def get(self, key: str, default: object = None) -> object:
        """The typed value of a key as the file spells it (`options.retries`); `default` where there is none."""
        found = _look_up(self.job, key)
        return default if found is None else found

    @classmethod
    def of(cls, path: Path, job: Job) -> Config:
        """That of a file which was read elsewhere."""
        made = cls.__new__(cls)
        made.path, made.job = path, job
        return made

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
    shared = sys.argv[1:] == ["--shared"]
    sys.stdout.write(json.dumps(schema(shared=shared), indent=2, ensure_ascii=False) + "\n")
