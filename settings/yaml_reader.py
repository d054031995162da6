"""Reads a YAML text into plain values, without guessing: limits, duplicate keys, `${VAR}` references.

No message of this module repeats a value of the file, so none can show a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_BYTES: Final = 1024 * 1024
MAX_NODES: Final = 10_000
MAX_DEPTH: Final = 32

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Replaced:
    """An unquoted scalar that held a reference: the text it became, and the value that text means in YAML.

    The environment knows only texts, so who expects a text takes `text` (a password of digits stays one) and
    who expects a number or a boolean takes `value`.
    """

    text: str
    value: str | int | float | bool | None


class WrittenInt(int):
    """A whole number that YAML reads from another text than its digits: `0123`, `1_000`, `12:30`."""

    written: str


class WrittenFloat(float):
    """The same of a number with decimals: `1e3`, `1_000.5`."""

    written: str


@dataclass(frozen=True)
class Unresolved:
    """Stands for a scalar that has been reported already and must not be reported again."""


@dataclass
class Document:
    """What was read: `data` of dicts, lists, scalars, Replaced and Unresolved; and problems by their path."""

    data: object = None
    problems: list[tuple[KeyPath, str]] = field(default_factory=list)


class _UnreadableError(Exception):
    """The text cannot be read any further; the message says where and why."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that leaves dates as texts (a datetime has no nanoseconds) and knows no `=` values."""


_LEFT_AS_TEXT = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _LEFT_AS_TEXT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str, environ: Mapping[str, str]) -> Document:
    """The one document in the text; one that cannot be read at all has one problem, with the path ()."""
    try:
        _check_limits(text)
        node = yaml.compose(text, Loader=_Loader)
        return _Builder(environ).build(node)
    except _UnreadableError as error:
        return Document(problems=[((), str(error))])
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML lets ValueError and OverflowError out where an escape such as "\UFFFFFFFF" is no character.
        return Document(problems=[((), _syntax_message(error, text))])


def nodes_of(text: str) -> Node | None:
    """The nodes of a text that `read_yaml` has read without a problem, as they are written; None for any other."""
    try:
        _check_limits(text)
        return yaml.compose(text, Loader=_Loader)
    except (_UnreadableError, yaml.YAMLError, ValueError, OverflowError):
        return None


def _check_limits(text: str) -> None:
    """Looks at the flat stream of events first: the parser of the tree would recurse into anything."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _UnreadableError(f"larger than {MAX_BYTES // 1024} KiB; this is not a configuration file")
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        documents += isinstance(event, yaml.DocumentStartEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1 if event.start_mark else 0
        if documents > 1:
            raise _UnreadableError(f"line {line}: a second document starts here (---); one file is one job")
        if nodes > MAX_NODES:
            raise _UnreadableError(f"line {line}: more than {MAX_NODES} values; no configuration needs that")
        if depth > MAX_DEPTH:
            raise _UnreadableError(f"line {line}: nested more than {MAX_DEPTH} levels deep")


# --- Syntax errors -----------------------------------------------------------------------------------

_REMEDIES: Mapping[str, str] = {
    "while scanning an alias": 'a text that starts with * needs quotes: "* 3 * * *", ["*"]',
    "while scanning an anchor": "a text that starts with & needs quotes",
    "cannot start any token": "a text that starts with this character needs quotes (a tab cannot indent)",
    "mapping values are not allowed": "check the indentation, and quote a text with a colon and a space",
    "could not find expected ':'": "check the indentation, and put a colon and a space after the key",
    "undefined alias": 'a text that starts with * needs quotes: "*"',
    "unexpected end of stream": "a quote is not closed",
    "unknown escape": "a backslash in double quotes must be doubled; single quotes take it as it is",
    "expected <block end>": "check the indentation",
    "expected the node content": "check the indentation, and quote a text that starts with punctuation",
    "expected ',' or": "check the brackets, and quote a text that holds brackets, braces or ${...}",
}


def _syntax_message(error: Exception, text: str) -> str:
    """Where the YAML is malformed and what to do; not in the parser's words, which may repeat a value."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        column = len(before) - before.rfind("\n")
        line = before.count("\n") + 1
        return f"line {line}, column {column}: a character that YAML does not allow; remove it"
    if not isinstance(error, yaml.MarkedYAMLError):
        return "not well-formed YAML; check the escapes (\\U...) in double quotes"
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    told = f"{error.context} {error.problem}"
    remedies = (remedy for known, remedy in _REMEDIES.items() if known in told)
    return f"{where}not well-formed YAML; {next(remedies, 'check this line and the one above')}"


# --- From nodes to values ----------------------------------------------------------------------------

_TAG = "tag:yaml.org,2002:"
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME_AND_DEFAULT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_CONSTRUCTOR = _Loader("")
_INT64 = range(-(2**63), 2**63)
_LONGEST_NUMBER = 400
"""Characters: beyond any float's; YAML's numbers to the base 60 would take quadratic time."""


class _Builder:
    """Turns the nodes of one document into values, and collects problems on the way."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._document = Document()
        self._nodes = 0

    def build(self, node: Node | None) -> Document:
        """The document below this node."""
        self._document.data = None if node is None else self._value(node, ())
        if self._document == Document():
            self._problem((), "the file is empty; copy config/backup.template.yaml and fill it in")
        return self._document

    def _problem(self, path: KeyPath, message: str) -> Unresolved:
        self._document.problems.append((path, message))
        return Unresolved()

    def _value(self, node: Node, path: KeyPath, depth: int = 0) -> object:
        self._count(node, depth)
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            items = self._items(node, path, depth)
            return {key: self._value(item, (*path, key), depth + 1) for key, item in items}
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            return [self._value(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, ScalarNode) and node.tag.removeprefix(_TAG) in _SCALARS:
            return self._scalar(node, path)
        named = f"the tag !!{node.tag.removeprefix(_TAG)}" if node.tag.startswith(_TAG) else "a tag"
        remedy = "remove it, or quote a text that starts with !"
        return self._problem(path, f"line {_line(node)}: {named} is not supported; {remedy}")

    def _count(self, node: Node, depth: int, nodes: int = 1) -> None:
        """Counts again, because an alias repeats all that is below its anchor, or itself."""
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _UnreadableError(f"line {_line(node)}: aliases expand to more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise _UnreadableError(f"line {_line(node)}: its aliases nest more than {MAX_DEPTH} levels deep")

    def _items(self, node: MappingNode, path: KeyPath, depth: int) -> Iterator[tuple[str, Node]]:
        """The keys (as written: a name like 7 or on stays a name) and values, then what `<<` merges in."""
        lines: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merged += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
            elif not isinstance(key_node, ScalarNode) or not _is_unicode(key_node.value):
                self._problem(path, f"line {_line(key_node)}: a key must be a text")
            elif key_node.value in lines:
                where = f"lines {lines[key_node.value]} and {_line(key_node)}"
                self._problem((*path, key_node.value), f"given twice, on {where}; keep one")
            else:
                lines[key_node.value] = _line(key_node)
                yield key_node.value, value_node
        yield from self._merged(merged, set(lines), path, depth + 1)

    def _merged(self, nodes: list[Node], known: set[str], path: KeyPath, depth: int) -> Iterator[tuple[str, Node]]:
        """What `<<` brings in: keys that are not there yet."""
        for node in nodes:
            self._count(node, depth, 1 + len(node.value))  # also the keys that are there already take their time
            if not isinstance(node, MappingNode):
                self._problem(path, f"line {_line(node)}: << takes an alias of a section")
                continue
            for key, value in self._items(node, path, depth):
                if key not in known:
                    known.add(key)
                    yield key, value

    def _scalar(self, node: ScalarNode, path: KeyPath) -> object:
        """The value of a scalar, its references replaced and, unless quoted, its type found again."""
        text = self._replace(node.value, path)
        if text is None:
            return Unresolved()
        if not _is_unicode(text):
            return self._problem(path, f"line {_line(node)}: holds what is not valid Unicode")
        if text == node.value or node.style is not None:
            return self._typed(ScalarNode(node.tag, text, node.start_mark), path)
        return Replaced(text, _constructed(ScalarNode(_plain_tag(text), text), text))

    def _typed(self, node: ScalarNode, path: KeyPath) -> object:
        value = _constructed(node, None)
        if value is None and node.tag != _TAG + "null":
            kind = node.tag.removeprefix(_TAG)
            remedy = "correct it, or quote it if it is a text"
            return self._problem(path, f"line {_line(node)}: not a valid {kind}, or too large; {remedy}")
        return value

    def _replace(self, text: str, path: KeyPath) -> str | None:
        """The text with its references replaced; None where one of them cannot be."""
        complete = True

        def value(match: re.Match[str]) -> str:
            nonlocal complete
            if match[0] == "$${":
                return "${"
            found = self._look_up(match, path)
            complete = complete and found is not None
            return found or ""

        replaced = _REFERENCE.sub(value, text)
        return replaced if complete else None

    def _look_up(self, match: re.Match[str], path: KeyPath) -> str | None:
        reference = _NAME_AND_DEFAULT.fullmatch(match[1])
        if reference is None or not match[2]:
            remedy = "write ${NAME} or ${NAME:-default}, and $${ where a literal ${ is meant"
            self._problem(path, f"a malformed reference to an environment variable; {remedy}")
            return None
        name, default = reference.groups()
        found = self._environ.get(name)
        if not found and default is not None:
            return str(default)
        if found is None:
            remedy = f"set it, or write ${{{name}:-default}} (and $${{ where a literal ${{ is meant)"
            self._problem(path, f"environment variable {name} is not set; {remedy}")
        elif oddity := _oddity(found):
            self._problem(path, f"environment variable {name} {oddity}")
            return None
        return found


def _oddity(text: str) -> str:
    """What is wrong with the value of a variable, which is never shown: it holds more than its text."""
    if text.endswith(("\n", "\r")):
        return "ends with a line end, which belongs to no text; set it without (printf instead of echo)"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" and text.count(text[0]) == 2:
        return "has quotes around its text, as docker's --env-file keeps them; set it without them"
    return ""


_SCALARS = ("str", "int", "float", "bool", "null")


def _plain_tag(text: str) -> str:
    """The tag that YAML finds for an unquoted text."""
    resolvers = _Loader.yaml_implicit_resolvers.get(text[:1], [])
    found = next((tag for tag, pattern in resolvers if pattern.match(text)), _TAG + "str")
    return str(found)


def _constructed(node: ScalarNode, otherwise: str | None) -> str | int | float | bool | None:
    """The scalar as YAML understands it; `otherwise` where its text does not fit its tag or 64 bits."""
    kind = node.tag.removeprefix(_TAG)
    if kind in ("int", "float") and len(node.value) > _LONGEST_NUMBER:
        return otherwise
    try:
        if kind == "int":
            number = int(_CONSTRUCTOR.construct_yaml_int(node))
            return _as_written(WrittenInt(number), node.value) if number in _INT64 else otherwise
        if kind == "float":
            return _as_written(WrittenFloat(_CONSTRUCTOR.construct_yaml_float(node)), node.value)
        if kind == "bool":
            return bool(_CONSTRUCTOR.construct_yaml_bool(node))
    except (ValueError, LookupError, OverflowError):
        return otherwise
    return None if kind == "null" else str(node.value)


def _as_written(number: WrittenInt | WrittenFloat, text: str) -> int | float:
    """The number, which remembers its text where it does not look like that."""
    plain = int(number) if isinstance(number, int) else float(number)
    number.written = text
    return plain if str(plain) == text else number


def _is_unicode(text: str) -> bool:
    """Whether the text is free of lone surrogates, which no server and no terminal can take."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
