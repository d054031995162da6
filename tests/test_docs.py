"""The documentation is tested: what it shows is what there is."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import ConfigError, parse_config, schema
from main import parse_arguments
from tests.watching.test_metrics import everything
from watching.metrics import exposition

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", ROOT / "README.es.md", *sorted((ROOT / "docs").glob("*.md")))
}
README, SPANISH = DOCUMENTS["README.md"], DOCUMENTS["README.es.md"]
CONFIGURATION, OPERATING = DOCUMENTS["docs/configuration.md"], DOCUMENTS["docs/operating.md"]

ENVIRON = {"SLACK_URL": "json://hook", "MAIL_PASSWORD": "x", "CHECK_UUID": "1234"}
"""Variables that the examples name without a default."""

SECTIONS = {"source", "destination", "options"}
"""What a YAML block has that is a whole job."""


# ---------------------------------------------------------------- reading documents


def fenced(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a document, each with its language."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert text.count("\n```") == 2 * len(blocks), "a fence that is not closed"
    return blocks


def yaml_blocks(text: str) -> list[str]:
    """The fenced blocks of YAML."""
    return [block for language, block in fenced(text) if language == "yaml"]


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """The pieces of code inside its prose and tables, each on one line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of the same rank."""
    rank = heading.split(maxsplit=1)[0]
    return text.split(f"\n{heading}\n")[1].split(f"\n{rank} ", maxsplit=1)[0]


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")


def program_files() -> list[Path]:
    """The modules of the program itself."""
    others = {"tests", "bench", "demo", "build"}
    found = [path.relative_to(ROOT) for path in ROOT.rglob("*.py")]
    return [ROOT / path for path in found if not path.parts[0].startswith(".") and path.parts[0] not in others]


# ---------------------------------------------------------------- YAML, keys, variables

YAML = [(name, block) for name, text in DOCUMENTS.items() for block in yaml_blocks(text)]


@pytest.mark.parametrize(("name", "block"), YAML)
def test_every_yaml_block_parses_and_every_whole_job_is_valid(name: str, block: str) -> None:
    """Copied as it stands, it runs; a block that is something else is YAML at least."""
    document = yaml.safe_load(block)
    assert isinstance(document, dict), name
    if document.keys() & SECTIONS:
        own, shared = (block, "") if "source" in document else ("source: {url: http://a}", block)
        assert parse_config(own, ENVIRON, "shown.yaml", shared).name == "shown"


@pytest.mark.parametrize("block", [*yaml_blocks(README), *yaml_blocks(SPANISH)])
def test_every_yaml_block_of_the_readmes_is_a_valid_job(block: str) -> None:
    """Without any variable that would have to be set first."""
    assert parse_config(block, {}, "readme.yaml").name == "readme"


@pytest.mark.parametrize("text", [README, SPANISH])
def test_the_readmes_have_a_complete_example_and_a_nightly_one(text: str) -> None:
    """The smallest one first, on the first screen."""
    smallest, nightly = (parse_config(block, {}, "readme.yaml").options for block in yaml_blocks(text))
    assert smallest.incremental.schedule is None
    assert nightly.incremental.schedule is not None
    assert nightly.incremental.run_on_start


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
    """The keys in the first column of the reference; `.b` after `x.a` means `x.b`."""
    keys = set()
    for line in section(CONFIGURATION, "## All keys").splitlines():
        if not line.startswith("| `"):
            continue
        names = re.findall(r"`([^`]+)`", line.split("|")[1])
        parent = names[0].rpartition(".")[0]
        keys |= {parent + name if name.startswith(".") else name for name in names}
    return keys


def test_the_reference_names_every_key_and_no_other() -> None:
    """Schema and reference know the same keys."""
    document: dict[str, Any] = schema()
    known = _keys(document, document.get("$defs", {}))
    assert len(known) > 40
    assert _documented() == known


def test_the_errors_that_are_shown_are_real() -> None:
    """Word for word what the mistakes in it bring about."""
    shown = next(block for _, block in fenced(CONFIGURATION) if "2 problems" in block)
    text = yaml_blocks(README)[0] + '  retires: 5\n  incremental:\n    schedule: "0 2 * *"\n'
    with pytest.raises(ConfigError) as error:
        parse_config(text, {}, "config/telegraf.yaml")
    assert str(error.value) == shown.strip()


def test_the_job_that_shows_how_to_be_told_is_valid() -> None:
    """Copied as it stands, with its variables set."""
    block = yaml_blocks(OPERATING)[0]
    options = parse_config(block, ENVIRON, "telegraf.yaml").options
    assert len(options.notify.urls) == 2
    assert options.ping_url.get_secret_value() == "https://hc-ping.com/1234"


def test_every_variable_that_is_read_is_documented_and_no_other() -> None:
    """`BACKUP_*` of the program, the image and the Compose file, in one place."""
    files = [*program_files(), ROOT / "Dockerfile", ROOT / "docker-compose.yml"]
    read = {name for file in files for name in re.findall(r"\bBACKUP_[A-Z_]+\b", file.read_text())}
    assert len(read) > 5
    assert set(re.findall(r"\bBACKUP_[A-Z_]+\b", section(CONFIGURATION, "## Variables"))) == read
    named = {name for text in DOCUMENTS.values() for name in re.findall(r"\bBACKUP_[A-Z_]+\b", text)}
    assert named <= read


def test_every_variable_of_the_compose_file_is_documented() -> None:
    """Those of the demo, too."""
    asked = set(re.findall(r"^[^#\n]*\$\{([A-Z_]+):?-", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE))
    assert len(asked) > 10
    assert asked <= {*spans(DOCUMENTS["docs/containers.md"]), *spans(CONFIGURATION)}


# ---------------------------------------------------------------- commands


def _commands(text: str) -> Iterator[str]:
    """The arguments of each command line of ours that a document shows."""
    lines = [line for language, block in fenced(text) if not language for line in block.splitlines()]
    for line in (*lines, *spans(text)):
        match = re.match(r"(?:.*(?:^|[ /])main\.py|(?:\$ )?influxdb-backup)(?:$| (.*))", line)
        if match:
            yield match[1] or ""


def test_every_command_line_that_is_shown_parses() -> None:
    """In blocks, tables and prose, of the program itself and of the command beside the service."""
    words = set()
    for name, text in DOCUMENTS.items():
        for command in _commands(text):
            arguments = shlex.split(command, comments=True)
            try:
                parse_arguments(arguments)
            except SystemExit:
                pytest.fail(f"{name} shows main.py {command}")
            words.update(arguments[:1])
    assert {"run", "verify", "repair", "check", "status", "health"} <= words


def test_the_command_lines_are_found() -> None:
    """The test above would pass without any."""
    text = "`main.py check` and `.venv/bin/python main.py\nverify --full`, but not `domain.py x` \n\n"
    text += "```\n$ python3 main.py run --once\ninfluxdb-backup status\napt-get install influxdb-backup-x\n```\n"
    assert list(_commands(text)) == ["run --once", "status", "check", "verify --full"]
    assert sum(len(list(_commands(text))) for text in DOCUMENTS.values()) > 50


def test_no_command_asks_for_a_python_that_debian_does_not_have() -> None:
    """It is `python3` there, or the one of the virtual environment; the container has both."""
    for name, text in DOCUMENTS.items():
        for line in (*(line for _, block in fenced(text) for line in block.splitlines()), *spans(text)):
            allowed = line.startswith("docker compose exec backup python")
            assert allowed or not re.match(r"(\$ )?(python|pip) ", line), f"{name}: {line}"


def test_every_target_of_make_that_is_shown_exists() -> None:
    """In blocks, tables and prose."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set()
    for text in DOCUMENTS.values():
        lines = (line for _, block in fenced(text) for line in block.splitlines())
        shown |= {
            match[1] for line in (*lines, *spans(text)) if (match := re.match(r"(?:\w+=\S+ )?make (\S+)", line))
        }
    assert {"demo", "test", "facts", "faults", "bench", "containers"} <= shown <= targets


def test_the_steps_for_a_host_are_the_same_in_both_languages() -> None:
    """And every file that they install is there."""
    steps = [
        [block for _, block in fenced(text) if "systemctl" in block or "useradd" in block]
        for text in (README, SPANISH)
    ]
    assert steps[0] == steps[1]
    assert len(steps[0]) == 2
    files = re.findall(r"install -m \d+ (\S+) ", steps[0][0])
    assert len(files) == 3
    assert all((ROOT / file).is_file() for file in files)


# ---------------------------------------------------------------- metrics, alerts, messages


def test_every_metric_is_documented_with_its_type_and_no_other() -> None:
    """The table is what `/metrics` can show."""
    rows = re.findall(r"^\| `(influxdb_backup_\w+)` \| (\w+) \|", OPERATING, re.MULTILINE)
    text = exposition(everything(), 0).decode()
    assert sorted(rows) == sorted(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))


def _severities() -> dict[str, str]:
    """Each alert with its severity."""
    rules = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yml").read_text())["groups"][0]["rules"]
    return {rule["alert"]: rule["labels"]["severity"] for rule in rules}


def test_every_alert_is_documented_with_its_severity() -> None:
    """Table and rules name the same alerts."""
    assert (
        dict(re.findall(r"^\| `(InfluxDBBackup\w+)` \| .* \| (\w+) \|$", OPERATING, re.MULTILINE)) == _severities()
    )


@pytest.mark.parametrize("runbook", [OPERATING, SPANISH])
def test_every_alert_is_in_both_runbooks(runbook: str) -> None:
    """Runbooks and rules name the same alerts."""
    assert set(re.findall(r"^### (InfluxDBBackup\w+)$", runbook, re.MULTILINE)) == _severities().keys()


def _said_by(part: ast.expr) -> str:
    """A text, the noun of what is counted, or a space."""
    match part:
        case ast.Constant():
            return str(part.value)
        case ast.FormattedValue(value=ast.Call(ast.Name("counted"), [_, ast.Constant(str(noun))])):
            return f" {noun}"
    return " "


def _said() -> str:
    """Every text in the program, one on a line; what is put into them is a space."""
    texts = []
    for file in program_files():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(_said_by(part) for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(re.sub(r"%[,.\d]*[sdg]", " ", node.value))
    return "\n".join(" ".join(text.split()) for text in texts).replace("lines", "line")


SYSTEM = {"Connection refused", "certificate verify failed", "HTTP 503", "HTTP 500", "HTTP 413"}
"""Words of the operating system, and statuses."""


def test_the_messages_of_troubleshooting_are_real() -> None:
    """What is looked up there is what the program says; `...` and `N` stand for what differs."""
    said = _said()
    text = DOCUMENTS["docs/troubleshooting.md"].split("InfluxDB's own words")
    tables = text[0] + text[1].split("\n## ", 1)[1]
    rows = [line.split(" | ")[0] for line in tables.splitlines() if line.startswith("| ")]
    messages = {message for row in rows for message in re.findall(r"`([^`]+)`", row)} - SYSTEM
    assert len(messages) > 50
    for message in messages:
        plain = message.replace("SIGKILL", "...").replace("lines", "line")
        parts = [part.strip() for part in re.split(r"\.\.\.|\bN\b", plain)]
        assert any(len(part) > 3 for part in parts), message
        for part in parts:
            assert part in said, f"{message}: nothing says {part!r}"


# ---------------------------------------------------------------- the documents themselves


def test_the_readme_is_short() -> None:
    """It is the first page, not the book."""
    assert len(README.splitlines()) <= 190


def test_the_readme_leads_to_every_page() -> None:
    """A page that nobody finds is none."""
    for name in DOCUMENTS.keys() - {"README.md"}:
        assert f"({name})" in README, name


def _links(text: str) -> list[tuple[str, str]]:
    """The links of a document to parts of this project: file, heading."""
    return re.findall(r"\]\((?![a-z]+:)([^)#]*)(?:#([^)]*))?\)", re.sub(r"`[^`]*`", "", prose(text)))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_to_a_part_of_this_project_leads_somewhere(name: str) -> None:
    """Files exist, and headings too."""
    for path, anchor in _links(DOCUMENTS[name]):
        file = (ROOT / name).parent.joinpath(path).resolve() if path else ROOT / name
        assert file.exists(), path
        assert ROOT in file.parents, path
        if anchor:
            headings = {
                slug(heading) for heading in re.findall(r"^#+ (.*)$", prose(file.read_text()), re.MULTILINE)
            }
            assert anchor in headings, f"{path}#{anchor}"


def test_the_links_are_found() -> None:
    """The test above would pass without any."""
    assert len(_links(OPERATING)) > 3
    assert len(_links(README)) > 20
