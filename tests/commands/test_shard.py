"""Which jobs are whose, where several daemons share a folder."""

import argparse
from pathlib import Path

import pytest

from commands.jobs import Jobs
from commands.options import UsageError
from commands.shard import Shard, asked_shard, parse_shard


@pytest.mark.parametrize("text", ["0/1", "2/3", " 2/3\n", "999/1000"])
def test_a_shard_is_a_number_and_a_count(text: str) -> None:
    """It is shown as it was written."""
    assert str(parse_shard(text)) == text.strip()


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("3/2", "the last one of 2 is 1/2"),
        ("2/2", "the last one of 2 is 1/2"),
        ("0/0", "at least one, 0/1"),
        ("abc", "write 0/3, 1/3 and 2/3"),
        ("1", "write 0/3, 1/3 and 2/3"),
        ("-1/2", "write 0/3, 1/3 and 2/3"),
        ("1/2/3", "write 0/3, 1/3 and 2/3"),
        ("٣/٤", "write 0/3, 1/3 and 2/3"),
        ("$POD_INDEX/3", "write 0/3, 1/3 and 2/3"),
    ],
)
def test_what_is_no_shard_is_refused_with_what_to_write(text: str, remedy: str) -> None:
    """On the command line and in the environment, whose variable is named."""
    with pytest.raises(ValueError, match="is not a shard") as error:
        parse_shard(text)
    assert remedy in str(error.value)
    with pytest.raises(UsageError, match=r"BACKUP_SHARD: .* is not a shard"):
        asked_shard(argparse.Namespace(shard=None), {"BACKUP_SHARD": text})


def test_the_command_line_comes_before_the_environment() -> None:
    """And neither means all jobs."""
    asked = argparse.Namespace(shard=Shard(0, 2))
    assert asked_shard(asked, {"BACKUP_SHARD": "nonsense"}) == Shard(0, 2)
    nothing = argparse.Namespace(shard=None)
    assert asked_shard(nothing, {"BACKUP_SHARD": "1/2"}) == Shard(1, 2)
    assert asked_shard(nothing, {"BACKUP_SHARD": ""}) is None


def dealt(folder: Path, number: int, count: int, *named: Path) -> list[str]:
    """The jobs of a shard."""
    jobs = Jobs([*named] or [folder], Shard(number, count))
    jobs.load()
    assert jobs.invalid == {}
    return [job.name for job in jobs.own]


def test_every_job_is_one_shard_s_and_the_dealing_never_changes(tmp_path: Path) -> None:
    """Of files in folders; one that is named is meant, and a shard may have none."""
    names = [f"edge-{number:03}" for number in range(40)]
    for name in names:
        write(tmp_path, name)
    parts = [dealt(tmp_path, number, 4) for number in range(4)]
    assert sorted(name for part in parts for name in part) == names
    assert [len(part) for part in parts] == [11, 13, 9, 7]
    assert parts[0][:3] == ["edge-005", "edge-007", "edge-012"]
    assert dealt(tmp_path, 0, 4, tmp_path / "edge-001.yaml") == ["edge-001"]
    write(tmp_path / "few", "one")
    assert sorted(len(dealt(tmp_path / "few", number, 2)) for number in range(2)) == [0, 1]
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="no job in"):
        dealt(tmp_path / "none", 0, 2)


def test_jobs_that_would_write_the_same_are_refused_whoever_runs_them(tmp_path: Path) -> None:
    """Each daemon names its own of them, and not those of others."""
    for name in ("a", "d"):
        write(tmp_path, name, "")
    found = []
    for number in range(2):
        jobs = Jobs([tmp_path], Shard(number, 2))
        jobs.load()
        assert jobs.own == []
        found.append(dict(jobs.invalid))
    assert [list(part) for part in found] == [["a"], ["d"]]
    assert "the job 'd' also writes" in found[0]["a"]


def write(folder: Path, name: str, prefix: str | None = None) -> None:
    """A job's file."""
    folder.mkdir(exist_ok=True)
    before = f"{name}_" if prefix is None else prefix
    (folder / f"{name}.yaml").write_text(
        f"source: {{url: 'http://{name}:8086', databases: [x], prefix: '{before}'}}\n"
        "destination: {url: 'http://to:8086'}\noptions: {backup_mode: incremental}\n"
    )
