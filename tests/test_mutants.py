"""Which tests look at the mistakes of `make mutants`: they are there, and each module has some."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.noticing import MODULES, PACKAGES, files_of, quick_files_of

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("module", [*MODULES, *(f"{package}/any.py" for package in PACKAGES)])
def test_the_tests_of_a_module_are_there_and_quick_ones_come_first(module: str) -> None:
    """A test that moved would look at nothing, and every mistake would seem to be noticed."""
    found, quick = files_of(module), quick_files_of(module)
    assert found
    assert [path for path in found if not (ROOT / path).exists()] == []
    assert found[: len(quick)] == quick


def test_every_module_that_has_tests_of_its_own_is_there() -> None:
    """A module that moved would be looked at by all tests of its package, or by none."""
    assert [module for module in MODULES if not (ROOT / module).is_file()] == []
