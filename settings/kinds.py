"""How each kind of value is written in a configuration file: how to read it strictly, and its JSON Schema."""

from __future__ import annotations

import datetime as dt
import difflib
import ipaddress
import math
import re
import shlex
import types
import typing
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from basics.patterns import parse_pattern
from basics.times import DAY, SECOND, format_duration, format_time, parse_duration, parse_end, parse_time
from basics.urls import without_credentials
from settings.cron import parse_cron
from settings.yaml_reader import Replaced, WrittenFloat, WrittenInt

Parsed = typing.TypeVar("Parsed")


@dataclass(frozen=True)
class Kind:
    """One kind of value: `read` turns what YAML holds into the typed value or raises ValueError.

    `write` is its inverse, for the defaults in the schema; `is_text` tells that YAML must hold a text.
    """

    read: Callable[[object], object]
    schema: Mapping[str, object]
    write: Callable[[typing.Any], object] = lambda value: value
    is_text: bool = True

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        """Lets pydantic validate by `read` alone: nothing is coerced."""
        return core_schema.no_info_plain_validator_function(self.read)


# --- Messages ----------------------------------------------------------------------------------------

_LONGEST_SHOWN = 80


def shown(value: object) -> str:
    """A value for a message: on one line, shortened, and without what may be credentials in a URL."""
    value = value.text if isinstance(value, Replaced) else value
    if isinstance(value, str):
        text = repr(without_credentials(value))
        return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, WrittenInt | WrittenFloat):
        return shown(value.written).strip("'")
    if isinstance(value, int | float):
        return str(value)
    return "a list" if isinstance(value, list) else "a section"


def _expected(what: str, value: object, remedy: str = "") -> ValueError:
    return ValueError(f"expected {what}, got {shown(value)}" + (f"; {remedy}" if remedy else ""))


def _hidden(what: str, remedy: str) -> ValueError:
    return ValueError(f"expected {what}, got another value (not shown); {remedy}")


# --- Texts -------------------------------------------------------------------------------------------


def _text(value: object, what: str = "a text") -> str:
    """The text; never a number or a boolean that YAML made of it."""
    if isinstance(value, Replaced):
        return value.text
    if not isinstance(value, str):
        raise _expected(what, value, "" if isinstance(value, list | dict) else "put it in quotes")
    return value


def _name(value: object) -> str:
    text = _text(value, "a non-empty text")
    if not text:
        raise ValueError("expected a non-empty text, got ''")
    return text


def _user(value: object) -> str:
    text = _text(value)
    if ":" in text:
        raise ValueError("a user name cannot hold a colon; the password belongs in the key password")
    return text


def _secret_text(value: object, what: str) -> str:
    """A text that no message may show."""
    text = value.text if isinstance(value, Replaced) else value
    if not isinstance(text, str):
        raise _hidden(what, "put it in quotes")
    return text


def _secret(value: object) -> SecretStr:
    return SecretStr(_secret_text(value, "a text"))


def _path(value: object) -> Path:
    text = _text(value, "a path")
    if not text.isprintable():
        raise _expected("a path", value, "remove the control characters")
    return Path(text)


def _existing_file(value: object) -> Path:
    path = _path(value)
    if not path.is_file():
        raise ValueError(f"there is no file {shown(str(path))}; create it, or correct the path")
    return path


def _parsed(parse: Callable[[str], Parsed], what: str) -> Callable[[object], Parsed]:
    """A reader of texts that `values` understands; its errors show the text as safely as all others."""

    def read(value: object) -> Parsed:
        text = _text(value, what)
        try:
            return parse(text)
        except ValueError as error:
            raise ValueError(str(error).replace(repr(text), shown(text))) from None

    return read


def _duration(value: object, *, zero: bool) -> int:
    """Nanoseconds; a bare 0 needs no unit."""
    plain = value.text if isinstance(value, Replaced) else value
    if isinstance(plain, int | float) and not isinstance(plain, bool) and plain != 0:
        raise _expected("a duration such as 30s or 1h30m", plain, "add a unit (ns us ms s m h d w M y)")
    ns = 0 if plain == 0 and not isinstance(plain, bool) else _parsed(parse_duration, "a duration")(value)
    if ns == 0 and not zero:
        raise _expected("a duration above 0", value, "leave it empty to turn this off")
    return ns


def _timezone(value: object) -> zoneinfo.ZoneInfo:
    name = _text(value, "a time zone such as Europe/Berlin")
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, zoneinfo.available_timezones(), 1)
        remedy = f"did you mean {near[0]}?" if near else "write an IANA name such as UTC or Europe/Berlin"
        raise ValueError(f"unknown time zone {shown(name)}; {remedy}") from None


def choice(*values: str) -> Kind:
    """One of these texts, exactly."""

    def read(value: object) -> str:
        text = value.text if isinstance(value, Replaced) else value
        if text in values and isinstance(text, str):
            return text
        folded = {known.casefold(): known for known in values}
        near = difflib.get_close_matches(text.casefold(), folded, 1) if isinstance(text, str) else []
        remedy = f"did you mean {folded[near[0]]}?" if near else ""
        raise _expected(f"one of {', '.join(values)}", value, remedy)

    return Kind(read, {"enum": list(values)})


def _command(value: object) -> tuple[str, ...]:
    """The words of a command: of a list, or of a text as a shell would divide it, which does nothing else here."""
    text = value.text if isinstance(value, Replaced) else value
    if isinstance(text, list):
        return tuple(map(_name, text))
    try:
        return tuple(shlex.split(_text(value, "a command, or a list of its words")))
    except ValueError as error:
        remedy = "close the quotes, or write a list of words" if "quotation" in str(error) else ""
        raise _expected("a command", value, remedy) if remedy else error from None


_DURATION_PATTERN = "^ *(0|([0-9]+(y|M|w|d|h|m|s|ms|us|ns))+) *$"
TEXT = Kind(_text, {"type": "string"})
NAME = Kind(_name, {"type": "string", "minLength": 1})
USER = Kind(_user, {"type": "string", "pattern": "^[^:]*$"})
SECRET = Kind(_secret, {"type": "string"}, write=lambda secret: secret.get_secret_value())
COMMAND = Kind(
    _command,
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string", "minLength": 1}}]},
    write=list,
)
PATH = Kind(_path, {"type": "string", "minLength": 1})
EXISTING_FILE = Kind(_existing_file, {"type": "string", "minLength": 1})
PATTERN = Kind(_parsed(parse_pattern, "a name, a glob or a /regex/"), {"type": "string", "minLength": 1})
CRON = Kind(
    _parsed(parse_cron, "a cron expression"), {"type": "string", "pattern": r"^\s*((\S+\s+){4}\S+|@[A-Za-z]+)\s*$"}
)
_TIME_SCHEMA = {"type": "string", "pattern": "^ *[0-9]{4}-[0-9]{2}-[0-9]{2}"}
TIME = Kind(_parsed(parse_time, "a date or time"), _TIME_SCHEMA, format_time)
END_TIME = Kind(_parsed(parse_end, "a date or time"), _TIME_SCHEMA, format_time)
TIMEZONE = Kind(_timezone, {"type": "string", "minLength": 1}, str)
DURATION = Kind(
    lambda value: _duration(value, zero=False),
    {"type": "string", "pattern": _DURATION_PATTERN},
    format_duration,
)
DURATION_OR_ZERO = Kind(
    lambda value: _duration(value, zero=True),
    {"anyOf": [{"type": "string", "pattern": _DURATION_PATTERN}, {"const": 0}]},
    format_duration,
)


def _percent(text: str) -> float:
    percent = float(text.removesuffix("%")) if re.fullmatch(r"[0-9.]+%", text) and text.count(".") < 2 else 0.0
    if not 0 < percent <= 100:
        raise ValueError(f"{text!r} is not a share above 0% up to 100%; write it as 5%")
    return percent


PERCENT = Kind(
    _parsed(_percent, "a share such as 5%"),
    {"type": "string", "pattern": r"^[0-9.]+%$"},
    lambda share: f"{share:g}%",
)


def _clock(value: object) -> dt.time:
    """A time of day; YAML takes one without quotes for a number."""
    text = value.text if isinstance(value, Replaced) else value
    text = text.written if isinstance(text, WrittenInt) else text
    found = re.fullmatch(r"\s*([01]?[0-9]|2[0-3]):([0-5][0-9])\s*", text) if isinstance(text, str) else None
    if not found:
        raise _expected("a time of day", value, 'write it as "07:00"')
    return dt.time(int(found[1]), int(found[2]))


CLOCK = Kind(
    _clock,
    {"type": "string", "pattern": r"^\s*([01]?[0-9]|2[0-3]):[0-5][0-9]\s*$"},
    lambda time: f"{time:%H:%M}",
)

# --- Numbers and booleans ----------------------------------------------------------------------------


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""

    def read(value: object) -> int:
        plain = value.value if isinstance(value, Replaced) else value
        if not isinstance(plain, int) or isinstance(plain, bool):
            raise _expected("a whole number", value, _as_whole(value))
        if not low <= plain <= high:
            raise _expected(f"a whole number from {low} to {high}", value)
        return int(plain)

    return Kind(read, {"type": "integer", "minimum": low, "maximum": high}, is_text=False)


def number(low: float, high: float, *, unit: str, above: bool = False) -> Kind:
    """A finite number of seconds or days (`unit`) from (`above`: greater than) `low` to `high`."""

    def read(value: object) -> float:
        plain = value.value if isinstance(value, Replaced) else value
        if not isinstance(plain, int | float) or isinstance(plain, bool) or math.isnan(plain):
            raise _expected("a number", value, _without_unit(value, unit) or _without_quotes(value))
        if not low <= plain <= high or (above and plain == low):
            limits = f"above {low:g}, up to {high:g}" if above else f"from {low:g} to {high:g}"
            raise _expected(f"a number {limits}", value)
        return float(plain)

    lowest = "exclusiveMinimum" if above else "minimum"
    return Kind(read, {"type": "number", lowest: low, "maximum": high}, is_text=False)


_NANOSECONDS = {"seconds": SECOND, "days": DAY}


def _without_unit(value: object, unit: str) -> str:
    """How to write a duration where a number of seconds or days is expected."""
    text = value.text if isinstance(value, Replaced) else value
    if not isinstance(text, str) or not text.strip()[-1:].isalpha():
        return ""
    try:
        count = parse_duration(text) / _NANOSECONDS[unit]
    except ValueError:
        return ""
    return f"write {count:g}, which means {unit}"


def _as_whole(value: object) -> str:
    """How to write a number that is whole but for its decimals."""
    plain = value.value if isinstance(value, Replaced) else value
    if isinstance(plain, float) and plain.is_integer():
        return f"write {plain:.0f}"
    return _without_quotes(value)


def _without_quotes(value: object) -> str:
    quoted_number = isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", value.strip())
    return "remove the quotes" if quoted_number else ""


def _flag(value: object) -> bool:
    plain = value.value if isinstance(value, Replaced) else value
    if not isinstance(plain, bool):
        quoted = isinstance(value, str) and value.lower() in ("true", "false")
        raise _expected("true or false", value, "remove the quotes" if quoted else "")
    return plain


FLAG = Kind(_flag, {"type": "boolean"}, is_text=False)

# --- URLs --------------------------------------------------------------------------------------------

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[\w.-]+")


def _url(value: object) -> str:
    """The normalised form: scheme and host in lower case, the path prefix kept, no slash at the end."""
    text = _text(value, "a URL")
    if not re.match("https?://", text, re.IGNORECASE):
        raise _expected("a URL with http:// or https://", text, "write it as http://host:8086")
    if "@" in text:
        raise ValueError("a URL must not hold credentials; put them into the keys user and password")
    if "?" in text or "#" in text:
        raise _expected("a URL without a query (?...) or fragment (#...)", text, "remove it")
    parts = _split(text)
    host, port = (None, None) if parts is None else _host_and_port(parts)
    if parts is None or host is None:
        # Not shown: it may be http://user:password with the rest forgotten.
        raise ValueError("expected a URL with a valid host and port; write it as http://host:8086")
    bracketed = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{bracketed}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _split(text: str) -> SplitResult | None:
    """The parts of a URL; None for a text that is none (and whose error might repeat a password)."""
    if not text.isprintable() or re.search(r"[\s\\]", text):
        return None
    try:
        return urlsplit(text)
    except ValueError:
        return None


def _host_and_port(parts: SplitResult) -> tuple[str | None, int | None]:
    """Host and port, where both are valid; the port is None where it is not given."""
    try:
        host, port = parts.hostname or "", parts.port
        if ":" in host:
            ipaddress.IPv6Address(host)
    except ValueError:
        return None, None
    valid = (":" in host or _HOST.fullmatch(host)) and port != 0 and not parts.netloc.endswith(":")
    return (host, port) if valid else (None, None)


URL = Kind(_url, {"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^@?#]+$"})


_BUCKETS = ("s3", "gs", "az")


def _archive(value: object) -> str:
    """The place of an archive: a folder, or the URL of a bucket (with a prefix) without a slash at its end."""
    text = _text(value, "a folder or the URL of a bucket")
    scheme, separator, rest = text.partition("://")
    if not text.isprintable() or text != text.strip():
        raise _expected("a folder or the URL of a bucket", text, "remove control characters and outer spaces")
    if not separator:
        return str(_path(text))
    if "@" in rest or "?" in rest or "#" in rest:
        raise ValueError("an archive's URL must not hold credentials, ? or #; keys come from the environment")
    if scheme.lower() not in _BUCKETS or not rest.strip("/"):
        raise _expected("a folder, s3://bucket/prefix, gs://... or az://...", text)
    return f"{scheme.lower()}://{rest.strip('/')}"


ARCHIVE = Kind(_archive, {"type": "string", "minLength": 1})


def _scheduler(value: object) -> str:
    """The address of Dask's scheduler."""
    text = _text(value, "the address of a scheduler")
    parts = _split(text)
    host, port = (None, None) if parts is None else _host_and_port(parts)
    is_whole = parts is not None and not (parts.path.strip("/") or parts.query or parts.fragment or "@" in text)
    if parts is None or parts.scheme not in ("tls", "tcp") or not (host and port and is_whole):
        raise _expected("tls://host:port or tcp://host:port", text, "Dask's schedulers listen at port 8786")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


SCHEDULER = Kind(_scheduler, {"type": "string", "pattern": "^[Tt]([Ll][Ss]|[Cc][Pp])://[^@?#/]+:[0-9]+/?$"})


def _url_or_host(value: object) -> str:
    """The same; a bare host is one of http://."""
    text = _text(value, "a URL")
    return _url(text if "://" in text else f"http://{text}")


URL_OR_HOST = Kind(_url_or_host, {"type": "string", "pattern": "^[^@?#]+$"})


_PING_ENDS = ("/start", "/fail")


def _ping_url(value: object) -> SecretStr:
    """As it is: whoever knows it may ping, so no message shows it."""
    text = _secret_text(value, "the URL of a check")
    parts = _split(text)
    if parts is None or parts.scheme not in _DEFAULT_PORTS or not all(_host_and_port(parts)[:1]) or parts.fragment:
        remedy = "write it as https://hc-ping.com/<uuid>"
        raise ValueError(f"not the http:// or https:// URL of a check (it is not shown); {remedy}")
    if end := next(filter(parts.path.rstrip("/").endswith, _PING_ENDS), ""):
        raise ValueError(f"ends with {end}, which is put after it anyway; remove that")
    return SecretStr(text)


def _notification_url(value: object) -> SecretStr:
    """As it is, if Apprise can use it. It may hold tokens and passwords, so only its scheme is ever shown."""
    text = _secret_text(value, "an Apprise URL")
    from basics.apprise_service import url_problem  # noqa: PLC0415 -- Apprise is heavy: only files that use it pay for it

    if problem := url_problem(text):
        raise ValueError(problem)
    return SecretStr(text)


PING_URL = Kind(
    _ping_url,
    {"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^#]+$"},
    write=lambda secret: secret.get_secret_value(),
)
NOTIFICATION_URL = Kind(_notification_url, {"type": "string", "pattern": "^ *[A-Za-z0-9]+://"})


def url_host(url: str) -> str:
    """The host of a normalised URL; without brackets around an IPv6 address."""
    return urlsplit(url).hostname or ""


def url_port(url: str) -> int:
    """The port of a normalised URL; its scheme's own (80, 443) where it names none."""
    parts = urlsplit(url)
    return parts.port or _DEFAULT_PORTS[parts.scheme]


# --- Sections ----------------------------------------------------------------------------------------


class Section(BaseModel):
    """A part of the file with a fixed set of keys; null and "" mean that a key or section is not set."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_not_set(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        given = dict(data)
        for key, field in yaml_fields(cls).items():
            if is_unset(given.get(key), field):
                given.pop(key, None)
            if key not in given and section_of(field.annotation) is field.annotation:
                given[key] = {}
        return without_odd_values(cls, given) if _is_switched_off(cls, given) else given


def yaml_fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a section by their key in the file."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _is_switched_off(section: type[BaseModel], given: Mapping[str, object]) -> bool:
    """Whether the section has a switch, and it is off."""
    field = yaml_fields(section).get("enabled")
    if field is None:
        return False
    value = given.get("enabled", field.default)
    return (value.value if isinstance(value, Replaced) else value) is False


def without_odd_values(section: type[BaseModel], given: Mapping[str, object]) -> dict[str, object]:
    """What a section that is switched off holds, without values that have the right type and mean nothing."""
    fields = yaml_fields(section)
    return {key: value for key, value in given.items() if key not in fields or not _is_odd(value, fields[key])}


def _is_odd(value: object, field: FieldInfo) -> bool:
    kind = kind_of(field.metadata)
    reads = [kind.read] if kind else [v.func for v in field.metadata if isinstance(v, BeforeValidator)]
    try:
        for read in reads:
            typing.cast("Callable[[object], object]", read)(value)
    except ValueError:
        plain = value.value if isinstance(value, Replaced) and not (kind and kind.is_text) else value
        if kind is None:
            return isinstance(value, dict)
        return isinstance(plain, str | Replaced if kind.is_text else int) and not isinstance(plain, bool)
    return False


def section_of(annotation: object) -> type[Section] | None:
    """The section class of an annotation such as `Source` or `RangeOptions | None`; None for any other."""
    candidates = (annotation, *typing.get_args(annotation))
    if isinstance(annotation, types.UnionType | type):
        return next((c for c in candidates if isinstance(c, type) and issubclass(c, Section)), None)
    return None


def is_unset(value: object, field: FieldInfo) -> bool:
    """Whether the file leaves this key open, so that its default applies."""
    if isinstance(value, Replaced):
        kind = kind_of(field.metadata)
        return value.text == "" or (value.value is None and not (kind and kind.is_text))
    return value is None or value == ""


def kind_of(metadata: Iterable[object]) -> Kind | None:
    """The kind among the metadata of an annotation."""
    return next((item for item in metadata if isinstance(item, Kind)), None)


def as_list(value: object) -> object:
    """The items of a YAML list."""
    if not isinstance(value, list | tuple):
        raise _expected("a list", value, "write [a, b], or one line '- a' for each item")
    return tuple(value)


def as_databases(value: object) -> object:
    """The databases of a list, or a single one; a plain text is the name of one."""
    items = value if isinstance(value, list | tuple) else [value]
    if isinstance(value, dict):
        raise _expected("a list of databases", value, "write [a, b], or one line '- name: a' for each database")
    is_name = str | Replaced | int | float
    return tuple({"name": item} if isinstance(item, is_name) else item for item in items)


def as_secrets(value: object) -> object:
    """The items of a YAML list that are set; no message shows any of them."""
    if not isinstance(value, list | tuple):
        raise _hidden("a list", "write one line '- URL' for each item")
    texts = ((item, item.text if isinstance(item, Replaced) else item) for item in value)
    return tuple(item for item, text in texts if text not in (None, ""))


def as_named_sections(value: object) -> dict[str, object]:
    """Sections by a name of the user's; one without content is an empty section."""
    if not isinstance(value, dict):
        raise _expected("names with a section below each", value)
    return {name: {} if item is None or item == "" else item for name, item in value.items()}


def as_measurement_sections(value: object) -> object:
    """Sections by the name, glob or /regex/ of measurements."""
    sections = as_named_sections(value)
    for name in sections:
        parse_pattern(name)
    return sections


def as_tags(value: object) -> object:
    """Labels as Loki allows them."""
    if not isinstance(value, dict):
        raise _expected("a name and a text for each tag, such as job: backup", value)
    for name in value:
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{shown(name)} is not a name of a Loki label; use letters, digits and _")
    return value
