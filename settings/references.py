"""How the passwords of a job are written, for whoever has to look them up on another machine. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from settings.held_secrets import SERVERS, AllSetTo
from settings.shared import merged
from settings.yaml_reader import Replaced, read_yaml

PLAIN: Final = (
    "written as it is, and options.distribute sends the job to other machines, its passwords never: write "
    "${NAME}, and set the variable NAME for this daemon and for each of Dask's workers, or use password_file"
)


class _Names(Mapping[str, str]):
    """An environment in which every variable is there, and holds the reference to itself."""

    def __getitem__(self, name: str) -> str:
        return f"${{{name}}}"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def password_references(text: str, defaults: str) -> dict[str, str]:
    """Section of a server -> the references that its password is made of, such as `${SOURCE_PASSWORD}`.

    `text` is that of a job's file, `defaults` that of what all jobs share.
    """
    return _passwords(text, defaults, _Names())


def plain_passwords(text: str, defaults: str) -> tuple[str, ...]:
    """The sections whose password is more than references."""
    return tuple(_passwords(text, defaults, AllSetTo("")))


def resolved(reference: str, environ: Mapping[str, str]) -> str:
    """The password that such references lead to. Raises ValueError, never with a password in it."""
    document = read_yaml(f'password: "{reference}"', environ)
    if document.problems:
        raise ValueError(document.problems[0][1])
    data = document.data
    return str(data["password"]) if isinstance(data, dict) else ""


def _passwords(text: str, defaults: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Section -> its password, where there is one in this environment."""
    shared = read_yaml(defaults, environ).data
    data = merged(read_yaml(text, environ).data, shared if isinstance(shared, dict) else {})
    sections = {name: data.get(name) for name in SERVERS} if isinstance(data, dict) else {}
    values = {name: section.get("password") for name, section in sections.items() if isinstance(section, dict)}
    texts = {name: value.text if isinstance(value, Replaced) else value for name, value in values.items()}
    return {name: str(found) for name, found in texts.items() if found not in (None, "")}
