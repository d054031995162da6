"""What is valid in a job's file, and most likely not what was meant. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Final

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from settings.held_secrets import SERVERS
from settings.known_keys import HIDDEN, dotted
from settings.yaml_reader import KeyPath, nodes_of

_VARIABLE: Final = re.compile(r"\$([A-Z_][A-Z0-9_]*)")
_CUT: Final = re.compile(r"[ \t]+#(?=[^\s#])")
"""A comment that begins without a space: of a text that was meant to go on."""


@functools.lru_cache(maxsize=2000)
def cautions(content: bytes) -> tuple[str, ...]:
    """A sentence for each value that will be taken otherwise than it looks. Never shows a password."""
    text = content.decode("utf-8-sig", "replace")
    return tuple(
        f"{dotted(path)}: {caution}"
        for path, node in _scalars(nodes_of(text), (), set())
        for caution in (_variable(path, node), _cut(path, node, text))
        if caution
    )


def _scalars(node: Node | None, path: KeyPath, seen: set[int]) -> Iterator[tuple[KeyPath, ScalarNode]]:
    """Every value of the file with its path; what aliases repeat comes once: there may be billions of them."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        yield path, node
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _scalars(item, (*path, index), seen)
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*path, str(key.value)), seen)


def _variable(path: KeyPath, node: ScalarNode) -> str:
    """A value that looks like the reference of a shell."""
    match = _VARIABLE.fullmatch(node.value)
    if not match:
        return ""
    if _is_password(path):
        return "begins with $ and is taken as it stands; write ${NAME} for the variable NAME of the environment"
    return f"{node.value} is taken as it stands; write ${{{match[1]}}} for the variable of the environment"


def _cut(path: KeyPath, node: ScalarNode, text: str) -> str:
    """A password without quotes, behind which a comment begins."""
    rest = text[node.end_mark.index :]
    if not _is_password(path) or node.style or "${" in node.value or not _CUT.match(rest):
        return ""
    return "ends before ' #', where a comment begins; put all of it into quotes if it is a part of the password"


def _is_password(path: KeyPath) -> bool:
    return len(path) == 2 and path[0] in SERVERS and path[1] == HIDDEN
