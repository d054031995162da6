"""docs/restore.md, played: every command of its five situations, and what they print."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import ROOT, job_config, run_main, snapshot, write_job
from tests.support.reader import difference
from tests.support.servers import InfluxServer

PAGE = (ROOT / "docs" / "restore.md").read_text()
DATABASE = "telegraf"
MINUTE = 60 * 10**9
MONDAY = 1_767_571_200 * 10**9
"""2026-01-05T00:00:00Z."""

WEEK = 7 * 24 * 60


def lines() -> str:
    """A week of two measurements: one point a minute, of two hosts and of one."""
    return "\n".join(
        f"cpu,host=web0{h} usage={i % 100}.5,n={i}i {MONDAY + i * MINUTE}" for i in range(WEEK) for h in (1, 2)
    ) + "".join(f"\nmem,host=web01 used={i}i {MONDAY + i * MINUTE}" for i in range(WEEK))


def shown(situation: str) -> list[tuple[str, str]]:
    """The commands of a situation, each with what it prints."""
    part = next(part for part in PAGE.split("\n## ") if part.startswith(situation))
    blocks = re.findall(r"^```\n(\$ .*?)^```$", part, re.MULTILINE | re.DOTALL)
    assert blocks, situation
    commands = [command for block in blocks for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    pairs = [command.split("\n", 1) for command in commands]
    return [(command, output) for command, output in pairs if "main.py" in command]


def masked(text: str) -> str:
    """Without what differs from run to run: how long it took."""
    text = re.sub(r"\d+\.\d s|about \d+ s|about \d+ min|_restored_\w+", "T", text)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).strip()


def lose_server(source: InfluxServer) -> None:
    """It is back, and empty."""
    source.drop_database(DATABASE)


def drop_measurement(source: InfluxServer) -> None:
    """By somebody who was sure."""
    source.query('DROP MEASUREMENT "cpu"', db=DATABASE)


def write_bad_values(source: InfluxServer) -> None:
    """A sensor that reads wrong for a day, over what was right."""
    begin = MONDAY + 2 * 24 * 60 * MINUTE
    source.write("\n".join(f"cpu,host=web01 usage=-1 {begin + i * MINUTE}" for i in range(24 * 60)), DATABASE)


def leave_alone(_source: InfluxServer) -> None:
    """Nothing is wrong with it."""


SITUATIONS: list[tuple[str, Callable[[InfluxServer], None]]] = [
    ("The server is lost", lose_server),
    ("A database was dropped", lose_server),
    ("A measurement was deleted", drop_measurement),
    ("Bad values were written for a day", write_bad_values),
    ("Move to a new server", leave_alone),
]


@pytest.mark.parametrize(("situation", "harm"), SITUATIONS)
def test_a_situation_of_the_page(situation: str, harm: Callable[[InfluxServer], None], tmp_path: Path) -> None:
    """The commands do what the page says, and print it; afterwards all is there."""
    with (
        InfluxServer.start("source") as source,
        InfluxServer.start("backup") as backup,
        InfluxServer.start("new") as new,
    ):
        source.create_database(DATABASE)
        source.write(lines(), DATABASE)
        config = job_config(source, backup, [DATABASE])
        config["options"]["quarantine_directory"] = str(tmp_path / "quarantine")
        job = write_job(tmp_path / "config", config, DATABASE)
        assert run_main("--config", job).returncode == 0
        expected = snapshot(source, DATABASE)
        harm(source)
        names = {source.url: "http://influxdb:8086", backup.url: "http://influxdb-backup:8086"}
        names[new.url] = "http://new.example.org:8086"
        for command, output in shown(situation):
            said = _played(command, job, names)
            assert masked(said) == masked(output), said
        restored = new if situation.startswith("Move") else source
        assert not difference(expected, snapshot(restored, DATABASE), names=("before", "restored"))


def _played(command: str, job: Path, names: dict[str, str]) -> str:
    """What a command of the page prints, a yes where it asks, with the servers' names of the page."""
    here = {name: url for url, name in names.items()}
    words = [here.get(word, word) for word in shlex.split(command)]
    words = words[words.index("main.py") :]
    main_, terminal = os.openpty()
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        stdin=terminal,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "BACKUP_CONFIG_DIR": str(job.parent)},
    ) as tool:
        os.write(main_, b"y\n")
        said, _ = tool.communicate()
    os.close(main_)
    os.close(terminal)
    for url, name in names.items():
        said = said.replace(url, name)
    return said.replace("[y/N] ", "[y/N] y\n")


def test_the_five_situations_are_those_of_the_page() -> None:
    """None is left out, and the page has no other command blocks that nobody runs."""
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert [name for name, _ in SITUATIONS if not any(h.startswith(name) for h in headings)] == []
    played = [command for name, _ in SITUATIONS for command, _ in shown(name)]
    assert len(re.findall(r"^\$ .*main\.py", PAGE, re.MULTILINE)) == len(played) > 5
