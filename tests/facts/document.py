"""Writes the tables of docs/influxdb.md from the facts: `python -m tests.facts.document`."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tests.facts.differences import COLUMNS, DIFFERENCES, Difference
from tests.support.servers import UNSIGNED

FILE = Path(__file__).parents[2] / "docs" / "influxdb.md"
BEGIN, END = "<!-- written by tests/facts/document.py from here -->\n", "<!-- to here -->\n"


def modules() -> list[ModuleType]:
    """The modules with facts, in the order in which the document has them."""
    names = [
        "formats",
        "answers",
        "selects",
        "fingerprints",
        "types",
        "metadata",
        "names",
        "writes",
        "limits",
        "rights",
        "http",
        "library",
    ]
    found = {path.stem for path in Path(__file__).parent.glob("test_*.py")} - {"test_document"}
    assert found == {f"test_{name}" for name in names}
    return [importlib.import_module(f"tests.facts.test_{name}") for name in names]


def facts(module: ModuleType) -> dict[str, str]:
    """Name and claim of each fact of a module, in its order."""
    found = {name: value for name, value in vars(module).items() if name.startswith("test_")}
    return {name: " ".join((inspect.getdoc(test) or "").split()) for name, test in found.items()}


def tables() -> str:
    """All that the facts say."""
    return "\n".join([*_differences(), *(line for module in modules() for line in _section(module))]) + "\n"


def written(document: str) -> str:
    """The document with the tables of now."""
    before, rest = document.split(BEGIN)
    return before + BEGIN + "\n" + tables() + "\n" + END + rest.split(END)[1]


def _differences() -> Iterator[str]:
    claims = {name: claim for module in modules() for name, claim in facts(module).items()}
    yield "## What differs between versions\n"
    yield _row("claim", *COLUMNS, "the tool")
    yield _row(*["---"] * (len(COLUMNS) + 2))
    for name, claim in claims.items():
        if name in DIFFERENCES:
            difference = DIFFERENCES[name]
            yield _row(_cell(claim), *_outcomes(difference), _cell(difference.tool))
    yield ""


def _section(module: ModuleType) -> Iterator[str]:
    yield f"## {_cell((module.__doc__ or '').strip().rstrip('.'))}\n"
    yield _row("claim", *COLUMNS)
    yield _row(*["---"] * (len(COLUMNS) + 1))
    for name, claim in facts(module).items():
        same = ["yes"] * len(COLUMNS)
        yield _row(_cell(claim), *(_outcomes(DIFFERENCES[name]) if name in DIFFERENCES else same))
    yield ""


def _outcomes(difference: Difference) -> Iterator[str]:
    for column in COLUMNS:
        unsigned = difference.outcomes.get(column + UNSIGNED)
        yield _cell(
            difference.outcomes[column]
            + (f"; built with the tag `{UNSIGNED[1:]}`: {unsigned}" if unsigned else "")
        )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text)


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text()))
