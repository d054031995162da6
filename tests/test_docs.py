"""The documentation is tested: what it shows is what there is."""

import re
from pathlib import Path
from typing import Any

import pytest

from config import ConfigError, parse_config, schema

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FENCED = README.split("```")[1::2]
BLOCKS = [block.removeprefix("yaml\n") for block in FENCED if block.startswith("yaml\n")]


def _keys(node: dict[str, Any], definitions: dict[str, Any]) -> set[str]:
    """Every dotted key of the schema that holds a value; maps of names count as `<name>`."""
    if "$ref" in node:
        return _keys(definitions[node["$ref"].split("/")[-1]], definitions)
    for choice in node.get("anyOf", []):
        if found := _keys(choice, definitions):
            return found
    found = set()
    for name, child in node.get("properties", {}).items():
        below = _keys(child, definitions)
        found |= {f"{name}.{key}" for key in below} or {name}
    named = node.get("additionalProperties")
    if isinstance(named, dict) and not node.get("properties"):
        found |= {f"<name>.{key}" for key in _keys(named, definitions)}
    return found


def _documented() -> set[str]:
    """The keys in the first column of the README's reference; `.b` after `x.a` means `x.b`."""
    keys = set()
    for line in README.split("## Configuration")[1].split("## Command line")[0].splitlines():
        if not line.startswith("| `"):
            continue
        names = re.findall(r"`([^`]+)`", line.split("|")[1])
        parent = names[0].rpartition(".")[0]
        keys |= {parent + name if name.startswith(".") else name for name in names}
    return keys


@pytest.mark.parametrize("block", BLOCKS)
def test_every_yaml_block_of_the_readme_is_a_valid_job(block: str) -> None:
    """Copied as it stands, it runs."""
    assert parse_config(block, {}, "readme.yaml").name == "readme"


def test_the_readme_has_a_complete_example() -> None:
    """At least the one on its first screen."""
    assert BLOCKS


def test_the_reference_names_every_key_and_no_other() -> None:
    """Schema and README know the same keys."""
    document: dict[str, Any] = schema()
    known = _keys(document, document.get("$defs", {}))
    assert len(known) > 40
    assert _documented() == known


def test_the_errors_that_the_readme_shows_are_real() -> None:
    """Word for word what the mistakes in it bring about."""
    shown = next(block for block in FENCED if "2 problems" in block)
    text = BLOCKS[0] + '  retires: 5\n  incremental:\n    schedule: "0 2 * *"\n'
    with pytest.raises(ConfigError) as error:
        parse_config(text, {}, "config/telegraf.yaml")
    assert str(error.value) == shown.strip()
