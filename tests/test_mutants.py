"""Which tests look at the mistakes of `make mutants`: they are there, and each module has some."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.mutants.bounds import shares
from tests.mutants.noticing import ENOUGH, MODULES, PACKAGES, all_files, chosen, files_of, quick_files_of, watchers
from tests.mutants.reached import Reached

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


def test_what_is_known_to_change_nothing_is_still_in_its_module_and_says_why() -> None:
    """A line that was rewritten is looked at anew."""
    known: dict[str, dict[str, str]] = tomllib.loads((ROOT / "tests" / "mutants" / "same.toml").read_text())
    assert known
    for module, mistakes in known.items():
        lines = {line.strip() for line in (ROOT / module).read_text().splitlines()}
        assert [mistake for mistake in mistakes if mistake.partition(" -> ")[0] not in lines] == []
        assert all(mistakes.values())


def test_of_the_tests_that_reach_a_mistake_those_without_a_server_come_first() -> None:
    """All of them. Of the others as many as there is time for: the likely, the quick, then those of rare ways."""
    names = ("test_b.py::test_slow", "test_b.py::test_quick", "test_likely.py::test_one", "test_b.py::test_rare")
    slow, quick, likely, rare = (f"tests/integration/{name}" for name in names)
    units = ["tests/copying/test_a.py::test_two", "tests/copying/test_a.py::test_one"]
    seconds = {slow: ENOUGH, quick: 0.5, likely: 2.0, rare: 0.6 * ENOUGH, units[0]: 0.1, units[1]: 3 * ENOUGH}
    found = chosen(seconds, seconds, ["tests/integration/test_likely.py"], rare={rare: 9.0, slow: 1.0})
    assert found == [*units, likely, quick, rare]
    assert chosen([slow, rare], seconds, [], enough=1.0) == [rare]


def test_a_test_that_goes_where_no_other_goes_is_a_rare_one() -> None:
    """Of each line that several reach, each has its share; those that are not asked are not counted."""
    lines = {"a.py": {1: frozenset({"one", "two"}), 2: frozenset({"two"}), 3: frozenset({"one", "unit"})}}
    known = Reached(dict.fromkeys(("one", "two", "unit"), 1.0), lines)
    assert known.rare(lambda test: test != "unit") == {"one": 1.5, "two": 1.5}
    assert known.rare(bool) == {"one": 1.0, "two": 1.5, "unit": 0.5}


def test_with_units_no_test_on_a_server_is_asked() -> None:
    """Of the files of all modules, and of what a mistake in any of them may reach."""
    units, every = all_files(ROOT, units=True), all_files(ROOT, units=False)
    assert "tests/copying/test_plan.py" in units
    assert [file for file in units if "integration" in file or "security" in file] == []
    assert {*units, "tests/integration/test_round_trip.py", "tests/security/test_tls.py"} <= {*every}


def test_a_sample_says_between_which_shares_that_of_all_lies() -> None:
    """Wilson's bounds, which stay between none and all; of no sample nothing is known."""
    assert shares(0, 0) == (0.0, 1.0)
    assert [round(share, 3) for share in shares(190, 200)] == [0.910, 0.973]
    assert [round(share, 3) for share in shares(20, 20)] == [0.839, 1.0]
    assert shares(0, 20)[0] == pytest.approx(0.0)


def test_tests_that_run_the_tool_as_a_process_are_known_by_what_they_call(tmp_path: Path) -> None:
    """By themselves, or by a function of their file: what they reach is not seen."""
    (tmp_path / "test_a.py").write_text(
        "def told():\n    return run_main('check')\n"
        "def checked():\n    return told()\n"
        "def test_one():\n    assert checked()\n"
        "def test_two():\n    assert archived.main('run')\n"
        "def test_three():\n    assert pair.backup()\n"
    )
    found = watchers(tmp_path, ["test_a.py"])
    assert sorted(name for name in found if "test_" in name.partition("::")[2]) == [
        "test_a.py::test_one",
        "test_a.py::test_two",
    ]
