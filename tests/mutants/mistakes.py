"""The mistakes that can be made in a module: those of cosmic-ray, and statements that are left out."""

from __future__ import annotations

import ast
import difflib
import functools
import hashlib
import random
import re
import tomllib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.operators.provider import OperatorProvider

Place = tuple[int, int]
"""Line, from 1, and column."""

Make = Callable[[], str | None]
"""Makes the whole text of a module with a mistake in it; None where it cannot be made."""

SAME: dict[str, dict[str, str]] = tomllib.loads((Path(__file__).parent / "same.toml").read_text())
"""Of each module the mistakes that change nothing, and why."""

Candidate = tuple[str, Make]
"""Of which kind it is, and what makes it."""


@dataclass(frozen=True)
class Mistake:
    """A module with one mistake in it."""

    module: str
    place: Place
    kind: str
    before: str
    after: str

    @property
    def name(self) -> str:
        """Where, and of which kind."""
        return f"{self.module}:{self.place[0]} {self.kind}"

    @property
    def lines(self) -> tuple[int, int] | None:
        """The first and the last line of the statement it is in (its head, if it has others inside).

        None for what is read on import: no test goes through it.
        """
        return _statement(ast.parse(self.before), self.place[0])

    @property
    def diff(self) -> str:
        """What is different."""
        lines = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), lineterm="", n=1)
        return "\n".join(list(lines)[2:])


@dataclass(frozen=True)
class Chance:
    """A place of a module where mistakes can be made. Making one takes a moment."""

    module: str
    source: str
    place: Place
    candidates: Sequence[Candidate]

    @property
    def key(self) -> str:
        """The same for the same mistake in the same module."""
        said = f"{self.source}\0{self.place}\0{[kind for kind, _ in self.candidates]}"
        return f"{self.module}:{self.place[0]} {hashlib.sha256(said.encode()).hexdigest()[:16]}"

    def mistake(self) -> Mistake | None:
        """The first that is one; None when none is, as at the `*` before what is handed over by name."""
        line, column = self.place
        if re.match(r"\*,", self.source.splitlines()[line - 1][column:]):
            return None
        for kind, make in self.candidates:
            after = make()
            if after is not None and after != self.source and _compiles(after) and not self._is_known(after):
                return Mistake(self.module, self.place, kind, self.source, after)
        return None

    def _is_known(self, after: str) -> bool:
        """Whether it is one of those that are known to change nothing."""
        lines = zip(self.source.splitlines(), after.splitlines(), strict=False)
        changed = next(((a, b) for a, b in lines if a != b), ("", ""))
        return " -> ".join(line.strip() for line in changed) in SAME.get(self.module, {})


def chances(root: Path, module: str, *, every: bool = False, seed: int = 0) -> list[Chance]:
    """The places of a module, the candidates of each in an order that the seed decides, or each by itself."""
    source = (root / module).read_text()
    places: dict[Place, list[Candidate]] = {}
    for place, kind, make in (*_replaced(source), *_left_out(source)):
        places.setdefault(place, []).append((kind, make))
    order, found = random.Random(f"{seed} {module}"), list[Chance]()
    for place in sorted(places):
        shuffled = order.sample(places[place], len(places[place]))
        parts = [[candidate] for candidate in shuffled] if every else [shuffled]
        found += [Chance(module, source, place, part) for part in parts]
    return found


def _replaced(source: str) -> Iterator[tuple[Place, str, Make]]:
    """Operators, comparisons, numbers, conditions, loops, exceptions, whole decorators."""
    nodes, provider, tree = list(ast_nodes(get_ast(source))), OperatorProvider(), ast.parse(source)
    idle, chosen, same = set(_idle(tree)), set(_chosen(tree)), _same(tree)
    for name in provider:
        spared = idle | chosen if name.endswith("NumberReplacer") else idle | same.get(_change(name), set())
        if not provider[name].arguments():
            operator = provider[name]()
            places = [start for node in nodes for start, _ in operator.mutation_positions(node)]
            for occurrence, place in enumerate(places):
                if place not in spared:
                    yield place, name, functools.partial(_mutated, source, operator, occurrence)


def _mutated(source: str, operator: Operator, occurrence: int) -> str | None:
    try:
        text: str | None = mutate_code(source, operator, occurrence)
    except AttributeError:  # cosmic-ray knows no exceptions with a dot in their name
        return None
    return text


def _idle(tree: ast.AST) -> Iterator[Place]:
    """All places inside of annotations and of what decorators are called with, which do nothing at run time.

    Nor do protocols, and what is asked for type checkers alone. And of `zip(..., strict=True)`, which guards
    against mistakes of our own: both lists come from one place; of how long a digest is; of indents; of whether
    polars copies, and of caches, without which all is slower and the same.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Protocol" for base in node.bases):
            yield from _places(node)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _places(node.test)
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for decorator in getattr(node, "decorator_list", []):
            parts.append(decorator)
            if ast.unparse(decorator).startswith(("functools.cache", "functools.lru_cache")):
                yield decorator.lineno, decorator.col_offset - 1
        if isinstance(node, ast.Call):
            parts += [
                word.value for word in node.keywords if word.arg in {"copy", "digest_size", "indent", "rechunk"}
            ]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "zip":
            parts += [keyword.value for keyword in node.keywords if keyword.arg == "strict"]
        for part in parts:
            if isinstance(part, ast.expr):
                yield from _places(part)


def _chosen(tree: ast.Module) -> Iterator[Place]:
    """Numbers of ten and more, and parts of seconds, in a module's constants: others would have done as well."""
    for statement in tree.body:
        targets = [getattr(statement, "target", None), *getattr(statement, "targets", [])]
        names = [
            name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)
        ]
        if names and all(name.isupper() for name in names):
            for node in ast.walk(statement):
                if isinstance(node, ast.Constant) and (
                    isinstance(node.value, float) or (isinstance(node.value, int) and node.value >= 10)
                ):
                    yield node.lineno, node.col_offset


def _change(operator: str) -> str:
    """Such as `Is_Eq`: what one of cosmic-ray's replaces, and by what."""
    return operator.rpartition("Operator_")[2]


def _same(tree: ast.Module) -> dict[str, set[Place]]:
    """Where another operator says the same in other words, by what replaces what.

    `is` or `==` beside None and members of an enumeration; `|`, `+` or `^` of flags that have no bit in common.
    Nor is a text that is asked whether it is another one asked whether it comes before that in the alphabet.
    """
    found: dict[str, set[Place]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(_is_alone(side) for side in (node.left, *node.comparators)):
            changes = ["Is_Eq", "IsNot_NotEq", "Eq_Is", "NotEq_IsNot"]
        elif isinstance(node, ast.Compare) and any(_is_text(side) for side in node.comparators):
            changes = [f"{asked}_{order}" for asked in ("Eq", "NotEq") for order in ("Lt", "LtE", "Gt", "GtE")]
        elif (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.BitOr)
            and ast.unparse(node).startswith("os.O_")
        ):
            changes = ["BitOr_Add", "BitOr_BitXor"]
        else:
            continue
        for change in changes:
            found.setdefault(change, set()).update(_places(node))
    return found


def _is_alone(side: ast.expr) -> bool:
    """Whether there is only one that is equal to it: itself."""
    is_member = isinstance(side, ast.Attribute) and side.attr.isupper()
    return is_member or (isinstance(side, ast.Constant) and (side.value is None or isinstance(side.value, bool)))


def _is_text(side: ast.expr) -> bool:
    return isinstance(side, ast.Constant) and isinstance(side.value, str)


def _places(part: ast.expr | ast.stmt) -> Iterator[Place]:
    for line in range(part.lineno, (part.end_lineno or part.lineno) + 1):
        first = part.col_offset if line == part.lineno else 0
        last = part.end_col_offset if line == part.end_lineno else 1000
        yield from ((line, column) for column in range(first, last or 0))


def _left_out(source: str) -> Iterator[tuple[Place, str, Make]]:
    """Calls for their effect, what is raised, sums that are added to, items and attributes that are set."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr):
            is_wanted = isinstance(node.value, ast.Call | ast.Yield | ast.YieldFrom) and not _is_debug(node.value)
        elif isinstance(node, ast.Assign):
            is_wanted = isinstance(node.targets[0], ast.Subscript | ast.Attribute)
        else:
            is_wanted = isinstance(node, ast.Raise | ast.AugAssign)
        if is_wanted and isinstance(node, ast.stmt):
            first, last = node.lineno - 1, node.end_lineno or node.lineno
            after = "".join([*lines[:first], lines[first][: node.col_offset], "pass\n", *lines[last:]])
            yield (node.lineno, node.col_offset), "left out", functools.partial(str, after)


def _is_debug(value: ast.expr) -> bool:
    """Whether it is a line for the log of whoever looks for a fault in the program."""
    return isinstance(value, ast.Call) and ast.unparse(value.func) == "logger.debug"


def _statement(tree: ast.AST, line: int) -> tuple[int, int] | None:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    if not any(node.body[0].lineno <= line <= (node.end_lineno or 0) for node in functions):
        return None
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.stmt):
            last = body[0].lineno - 1 if isinstance(body, list) else node.end_lineno or node.lineno
            if node.lineno <= line <= last:
                return node.lineno, last
    return line, line


def _compiles(source: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as `is` beside a number
        try:
            compile(source, "module", "exec")
        except (SyntaxError, SyntaxWarning, ValueError):
            return False
    return True
