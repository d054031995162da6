"""The project's reference of InfluxDB and the facts agree."""

from __future__ import annotations

from tests.facts import document
from tests.facts.differences import COLUMNS, DIFFERENCES, column
from tests.support.servers import UNSIGNED, VERSIONS


def test_the_document_has_every_fact_and_no_other() -> None:
    """Its tables are those that the facts make; `python -m tests.facts.document` writes them."""
    text = document.FILE.read_text()
    assert text == document.written(text)


def test_every_fact_makes_a_claim_of_its_own() -> None:
    """A name is a fact's in one module only, and each has a docstring that no other has."""
    found = [fact for module in document.modules() for fact in document.facts(module).items()]
    assert len(found) > 100
    assert all(claim for _, claim in found)
    assert len({name for name, _ in found}) == len({claim for _, claim in found}) == len(found)


def test_every_difference_is_a_facts_and_differs() -> None:
    """A fact that expects an outcome has one for each version, and they are not all the same."""
    names = {name for module in document.modules() for name in document.facts(module)}
    assert DIFFERENCES.keys() <= names
    for name, difference in DIFFERENCES.items():
        assert difference.outcomes.keys() - set(COLUMNS) <= {c + UNSIGNED for c in COLUMNS}, name
        assert difference.outcomes.keys() >= set(COLUMNS), name
        assert len(set(difference.outcomes.values())) > 1, name
        assert difference.tool, name


def test_every_tested_version_has_a_column() -> None:
    """So the table tells of all that the tests run on."""
    assert {column(version).removesuffix(UNSIGNED) for version in VERSIONS} <= set(COLUMNS)
