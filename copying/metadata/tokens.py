"""The databases that the text of a continuous query names, and the text with other names for them. Pure.

The server shows its own words for a query: no comments, names quoted where they have to be. A database stands
after the first ON, and as the first of three parts after INTO and FROM, also in subqueries. Nothing else is one:
not a field, measurement or text that is called like it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from influx import influxql

_TOKEN = re.compile(
    r"""
    (?P<space> \s+ )
    | (?P<name> [A-Za-z_][A-Za-z0-9_]* | "(?: \\. | [^"\\] )*" )
    | (?P<text> '(?: \\. | [^'\\] )*' )
    | (?P<number> [0-9][0-9A-Za-zµ.]* )
    | (?P<symbol> :: | =~ | !~ | . )
    """,
    re.VERBOSE | re.DOTALL,
)

_REGEX = re.compile(r"/(?:[^/\\\n]|\\/|\\(?!/))*/")
r"""A slash ends it unless a backslash is before it, even one that follows another backslash."""

_BEFORE_REGEX = {"SELECT", "FROM", "BY", "WHERE", "AND", "OR"}
"""Words after which a slash does not divide."""

_ESCAPES = {"\\n": "\n", "\\\\": "\\", '\\"': '"', "\\'": "'"}


class NotAQuery(ValueError):
    """The text is not that of a continuous query."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text."""

    kind: str
    text: str
    start: int

    @property
    def name(self) -> str:
        """The name that an identifier says."""
        if not self.text.startswith('"'):
            return self.text
        return re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), self.text[1:-1], flags=re.DOTALL)

    @property
    def keyword(self) -> str:
        """The word in capitals, if it stands without quotes; InfluxQL's words never are names then."""
        return self.text.upper() if self.kind == "name" and not self.text.startswith('"') else ""


_END = Token("end", "", 0)


def tokens(text: str) -> tuple[Token, ...]:
    """The tokens of InfluxQL without the space between them."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        kind, piece = _piece(text, position, may_be_regex=_may_be_regex(found))
        if kind != "space":
            found.append(Token(kind, piece, position))
        position += len(piece)
    return tuple(found)


def _piece(text: str, position: int, *, may_be_regex: bool) -> tuple[str, str]:
    """The kind and the text of what stands there."""
    regex = _REGEX.match(text, position) if may_be_regex else None
    if regex:
        return "regex", regex[0]
    match = _TOKEN.match(text, position)
    return (str(match.lastgroup), match[0]) if match else ("symbol", text[position])


def _may_be_regex(before: Sequence[Token]) -> bool:
    """Whether a slash that comes now begins a regex; after a value it divides."""
    last = before[-1] if before else _END
    if last.kind == "name":
        is_type = len(before) > 1 and before[-2].text == "::"
        return last.keyword in _BEFORE_REGEX and not is_type
    return last.kind == "symbol" and last.text not in (")", "*")


class _Cursor:
    """Reads tokens one after the other, and collects those that name a database."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._at = 0
        self.found: list[Token] = []
        self.written: list[Token] = []

    @property
    def next(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def take(self) -> Token:
        token = self.next
        self._at += 1
        return token

    def head(self) -> Token:
        """The name of the query, after which its database comes. Raises NotAQuery for another beginning."""
        for word in ("CREATE", "CONTINUOUS", "QUERY"):
            self._expect(word)
        name = self._identifier()
        self._expect("ON")
        self.found.append(self._identifier())
        return name

    def _identifier(self) -> Token:
        if self.next.kind != "name":
            raise NotAQuery(f"expected a name, found {self.next.text!r}")
        return self.take()

    def _expect(self, word: str) -> None:
        if self.next.keyword != word:
            raise NotAQuery(f"expected {word}, found {self.next.text!r}")
        self.take()

    def rest(self) -> None:
        """All that follows, up to the parenthesis that closes what was opened before."""
        while self.next is not _END and self.next.text != ")":
            token = self.take()
            if token.keyword == "INTO":
                before = len(self.found)
                self.place()
                self.written += self.found[before:]
            elif token.keyword == "FROM":
                self.sources()
            elif token.text == "(":
                self.rest()
                self.take()

    def sources(self) -> None:
        """Measurements and subqueries, with commas between them."""
        while True:
            if self.next.text == "(":
                self.take()
                self.rest()
                self.take()
            else:
                self.place()
            if self.next.text != ",":
                return
            self.take()

    def place(self) -> None:
        """`database.policy.measurement`, of which less may be there; the policy may be empty."""
        if self.next.kind != "name":
            self.take()  # a regex, of which nothing follows
            return
        first, dots = self.take(), 0
        while self.next.text == ".":
            self.take()
            dots += 1
            if self.next.text == ":":  # :MEASUREMENT
                self.take()
            if self.next.kind in ("name", "regex"):
                self.take()
        if dots == 2:
            self.found.append(first)


def _read(text: str) -> _Cursor:
    cursor = _Cursor(text)
    cursor.head()
    cursor.rest()
    return cursor


def databases(text: str) -> tuple[str, ...]:
    """The databases that the query names, its own first. Raises NotAQuery."""
    return tuple(dict.fromkeys(token.name for token in _read(text).found))


def written(text: str) -> tuple[str, ...]:
    """Those that it names as the place to write to; the server's own words always name it. Raises NotAQuery."""
    return tuple(token.name for token in _read(text).written)


def renamed(text: str, names: Mapping[str, str]) -> str:
    """The query with other names for these databases, and not another character changed. Raises NotAQuery."""
    parts: list[str] = []
    position = 0
    for token in _read(text).found:
        if token.name in names:
            parts += [text[position : token.start], influxql.quote(names[token.name])]
            position = token.start + len(token.text)
    return "".join((*parts, text[position:]))


def meaning(text: str) -> tuple[tuple[str, str], ...]:
    """The text without what two servers may write otherwise for the same: quotes that are not needed."""
    return tuple(_meanings(tokens(text)))


def _meanings(found: Sequence[Token]) -> Iterator[tuple[str, str]]:
    for token in found:
        yield token.kind, token.name if token.kind == "name" else token.text


def has_lost_a_number(text: str) -> bool:
    """Whether it holds 0.000, as InfluxDB before 1.12 keeps every number that is smaller than 0.0005."""
    return any(token.kind == "number" and token.text == "0.000" for token in tokens(text))
