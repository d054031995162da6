"""The house rules that no linter knows: where modules lie, what they are called, what the page about them says."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("basics", "settings", "influx", "copying", "watching", "checking", "daemon", "commands")
"""In the order of their imports: each knows only those before it."""

FACES = {
    "config": "settings",
    "influx_client": "influx",
    "backup": "copying",
    "logger_config": "watching",
    "scheduler": "daemon",
    "main": "commands",
}
"""The modules at the root, each with the package whose face it is."""

MODULES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py"
)
PAGE = ROOT / "docs" / "architecture.md"


def _imported(path: Path) -> set[str]:
    """The first parts of the names of all modules that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    from_ = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in plain | from_}


def test_the_six_modules_of_the_design_are_the_only_ones_at_the_root() -> None:
    """Everything else has a room."""
    assert {path.stem for path in ROOT.glob("*.py")} == FACES.keys()


@pytest.mark.parametrize("face", FACES)
def test_a_face_imports_nothing_above_its_package(face: str) -> None:
    """import-linter sees packages only, so the modules at the root are looked at here."""
    height = PACKAGES.index(FACES[face])
    above = {
        *PACKAGES[height + 1 :],
        *(name for name, package in FACES.items() if PACKAGES.index(package) > height),
    }
    assert _imported(ROOT / f"{face}.py") & above == set()


@pytest.mark.parametrize(
    "package", [*PACKAGES, "watching/web", "copying/archive", "copying/distribution", "copying/metadata"]
)
def test_a_package_begins_with_a_docstring_and_nothing_else(package: str) -> None:
    """It says what the package is for, and with which module to begin."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text())
    assert len(tree.body) == 1
    named = re.findall(r"`([a-z_]+)`", ast.get_docstring(tree) or "")
    assert any((ROOT / package / f"{name}.py").exists() for name in named)


def test_no_two_modules_are_told_apart_by_an_ending_only() -> None:
    """`plan` and `planner`, `report` and `reporter` look alike in a list of files."""
    pairs = [(one, other) for one in MODULES for other in MODULES if one.parts[0] == other.parts[0]]
    assert [pair for pair in pairs if re.fullmatch(rf"{pair[0].stem}(s|r|er|or|ing)", pair[1].stem)] == []


def test_no_module_repeats_the_name_of_its_package() -> None:
    """`watching/web/page.py`, not `web_page.py`."""
    assert [path for path in MODULES if path.parent.name in path.stem.split("_")] == []


def test_no_name_of_a_module_is_used_twice_in_one_package() -> None:
    """Nor does a package inside another one repeat it."""
    assert [name for name, count in Counter((p.parts[0], p.stem) for p in MODULES).items() if count > 1] == []


def test_the_page_about_the_architecture_names_only_what_is_there() -> None:
    """Each path in it exists, with its module; every package has its place in the drawing."""
    text = PAGE.read_text()
    paths = re.findall(r"`([\w./-]+(?:\.py|\.md|\.html|\.yaml|\.json|\.yml|\.toml|/))`", text)
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []
    drawing = text.split("```mermaid")[1].split("```")[0]
    assert [package for package in PACKAGES if package not in drawing] == []
    assert text.count("\n") < 150


def test_the_root_has_few_entries() -> None:
    """No more than thirty-two, hidden ones included: a newcomer sees the whole house at a glance."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert 20 < len({name.partition("/")[0] for name in listed.splitlines()}) <= 32
