"""The documentation is tested: what it shows is what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import ConfigError, parse_config, schema
from metrics import exposition
from tests.test_metrics import everything

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()
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


def test_the_job_that_shows_how_to_be_told_is_valid() -> None:
    """Copied as it stands, with its variables set."""
    block = OPERATING.split("```yaml\n")[1].split("```")[0]
    environ = {"SLACK_URL": "json://hook", "MAIL_PASSWORD": "x", "CHECK_UUID": "1234"}
    options = parse_config(block, environ, "telegraf.yaml").options
    assert len(options.notify.urls) == 2
    assert options.ping_url.get_secret_value() == "https://hc-ping.com/1234"


def test_every_metric_is_documented_with_its_type_and_no_other() -> None:
    """The table is what `/metrics` can show."""
    rows = re.findall(r"^\| `(influxdb_backup_\w+)` \| (\w+) \|", OPERATING, re.MULTILINE)
    text = exposition(everything(), 0).decode()
    assert sorted(rows) == sorted(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))


def test_every_alert_is_documented_with_its_severity_and_in_the_runbook() -> None:
    """Table, runbook and rules name the same alerts."""
    rules = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yml").read_text())["groups"][0]["rules"]
    known = {rule["alert"]: rule["labels"]["severity"] for rule in rules}
    assert dict(re.findall(r"^\| `(InfluxDBBackup\w+)` \| .* \| (\w+) \|$", OPERATING, re.MULTILINE)) == known
    assert set(re.findall(r"^### (InfluxDBBackup\w+)$", OPERATING, re.MULTILINE)) == known.keys()


def test_every_link_to_a_part_of_this_project_leads_somewhere() -> None:
    """Files exist, and headings too."""
    headings = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall("^#+ (.*)$", README, re.M)
    }
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", OPERATING)
    assert len(links) > 3
    for path, anchor in links:
        file = (ROOT / "docs" / path).resolve()
        assert file.exists(), path
        assert not anchor or file != ROOT / "README.md" or anchor in headings, anchor
