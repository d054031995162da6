"""The JSON Schema of a configuration file, so that editors complete and check it while it is written."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from settings.keys import File
from settings.kinds import kind_of, section_of, yaml_fields

Schema = dict[str, object]

_REFERENCE: Schema = {"$ref": "#/$defs/reference"}
_NAME: Schema = {"type": "string", "minLength": 1}
_UNSET: Schema = {"$ref": "#/$defs/unset"}
_DEFINITIONS: Schema = {
    "reference": {
        "description": "A reference to an environment variable: ${NAME} or ${NAME:-default}",
        "type": "string",
        "pattern": r"\$\{",
    },
    "unset": {"description": "Not set: the default applies", "enum": [None, ""]},
}


def _section_schema(section: type[BaseModel], *, optional: bool = False) -> Schema:
    """The JSON Schema of a section; all of its keys may be left open where the section is `optional`."""
    fields = yaml_fields(section)
    schema: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: _field_schema(field, optional=optional) for key, field in fields.items()},
    }
    required = [key for key, field in fields.items() if _is_required(field) and not optional]
    return schema | ({"required": required} if required else {})


def _is_required(field: FieldInfo) -> bool:
    """Whether the file must hold the key: it has no default, and neither has all that is below it."""
    section = section_of(field.annotation)
    if section is None or not field.is_required():
        return field.is_required()
    return any(_is_required(inner) for inner in yaml_fields(section).values())


def _field_schema(field: FieldInfo, *, optional: bool) -> Schema:
    about: Schema = {"description": field.description}
    if not field.is_required() and section_of(field.annotation) is None:
        default = field.get_default(call_default_factory=True)
        kind = kind_of(field.metadata)
        about["default"] = kind.write(default) if kind and default is not None else _plain(default)
    value = _value_schema(field.annotation, field.metadata, optional=optional)
    return about | (value if _is_required(field) and not optional else _optional(value))


def _plain(default: object) -> object:
    """An empty tuple or mapping in JSON's terms."""
    if isinstance(default, tuple):
        return list(default)
    return dict(default) if isinstance(default, Mapping) else default


def _optional(value: Schema) -> Schema:
    alternatives = value["anyOf"] if list(value) == ["anyOf"] else [value]
    return {"anyOf": [*typing.cast("list[Schema]", alternatives), _UNSET]}


def _value_schema(annotation: object, metadata: Iterable[object], *, optional: bool = False) -> Schema:
    """The schema of a scalar, a section (whose keys may all be `optional`), or a list or mapping of them."""
    kind, section = kind_of(metadata), section_of(annotation)
    if kind is not None:
        anything = kind.schema == {"type": "string"}
        return dict(kind.schema) if anything else {"anyOf": [dict(kind.schema), _REFERENCE]}
    if section is not None:
        return _section_schema(section, optional=optional or section is not annotation)
    item = typing.get_args(annotation)[-1 if typing.get_origin(annotation) is Mapping else 0]
    inner = _value_schema(item, getattr(item, "__metadata__", ()))
    if typing.get_origin(annotation) is tuple:
        if section_of(item):  # of databases, which may be given by their names alone
            return {"anyOf": [_NAME, {"type": "array", "items": {"anyOf": [_NAME, inner]}}]}
        return {"type": "array", "items": inner}
    return {"type": "object", "additionalProperties": _optional(inner) if section_of(item) else inner}


def schema(*, shared: bool = False) -> Schema:
    """The JSON Schema (draft 2020-12) of a configuration file; every value may be a reference, too.

    `shared`: of what all jobs of a folder share, and of a job beside that. Neither has to give any key.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "InfluxDB backup job, or what jobs share" if shared else "InfluxDB backup job",
        **_section_schema(File, optional=shared),
        "$defs": _DEFINITIONS,
    }
