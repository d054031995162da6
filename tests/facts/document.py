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

UNTRIED = {
    *("fingerprints", "counters", "balance", "identity", "library", "catalog"),
    *("test_means_of_large_integers", "test_last_bounds", "test_last_window", "test_queries_of_readers"),
    *("test_what_counts_for_select_series", "test_query_size", "test_keywords", "test_time_in_conditions"),
    *("test_name_in_conditions", "test_renamed_tags", "test_series_of_a_point", "test_fields_behind_others"),
    *("test_fields_behind_others_after_a_restart", "test_empty_texts"),
}
"""Modules and facts that nobody has tried on the last of the columns yet, which no test runs on by itself."""


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
        "catalog",
        "counters",
        "balance",
        "identity",
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
    cells = {name: _cells(module, name) for module in modules() for name in facts(module)}
    yield "## What differs between versions\n"
    yield _row("claim", *COLUMNS, "the tool")
    yield _row(*["---"] * (len(COLUMNS) + 2))
    for name, claim in claims.items():
        if name in DIFFERENCES:
            yield _row(_cell(claim), *cells[name], _cell(DIFFERENCES[name].tool))
    yield ""


def _section(module: ModuleType) -> Iterator[str]:
    yield f"## {_cell((module.__doc__ or '').strip().rstrip('.'))}\n"
    yield _row("claim", *COLUMNS)
    yield _row(*["---"] * (len(COLUMNS) + 1))
    for name, claim in facts(module).items():
        yield _row(_cell(claim), *_cells(module, name))
    yield ""


def _cells(module: ModuleType, fact: str) -> list[str]:
    """What each version does."""
    cells = list(_outcomes(DIFFERENCES[fact])) if fact in DIFFERENCES else ["yes"] * len(COLUMNS)
    if {fact, module.__name__.rpartition("test_")[2]} & UNTRIED:
        cells[-1] = "not tried"
    return cells


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
