"""Finding the jobs, and the command line."""

from pathlib import Path

import pytest

import main
from commands.jobs import default_paths, find_jobs
from commands.options import UsageError


def test_templates_hidden_files_and_other_suffixes_are_no_jobs(tmp_path: Path) -> None:
    """Only *.yaml and *.yml that are meant to run."""
    for name in ("b.yaml", "a.yml", "x.template.yaml", "y.yaml.template", "z.template.yml", ".hidden.yaml",
                 "notes.txt", "c.yaml~", "schema.json", "d.YAML", "e.Template.YML"):  # fmt: skip
        (tmp_path / name).write_text("")
    assert [f.name for f in find_jobs([tmp_path])] == ["a.yml", "b.yaml", "d.YAML"]


def test_a_file_may_be_named_directly(tmp_path: Path) -> None:
    """Whatever its name is."""
    (tmp_path / "odd.conf").write_text("")
    assert find_jobs([tmp_path / "odd.conf"]) == [tmp_path / "odd.conf"]


def test_all_paths_that_are_missing_are_named(tmp_path: Path) -> None:
    """Not only the first of them."""
    (tmp_path / "a.yaml").write_text("")
    with pytest.raises(UsageError) as caught:
        find_jobs([tmp_path / "one", tmp_path / "a.yaml", tmp_path / "two.yaml"])
    assert str(caught.value) == f"{tmp_path}/one does not exist; {tmp_path}/two.yaml does not exist"


@pytest.mark.parametrize("other", ["a.yml", "sub/a.yaml"])
def test_two_files_for_one_job_name_are_refused(other: str, tmp_path: Path) -> None:
    """The name of a job is the name of its file: it must be the only one."""
    (tmp_path / "sub").mkdir()
    for name in ("a.yaml", other):
        (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match="rename one"):
        find_jobs([tmp_path, tmp_path / "sub"])


def test_naming_a_file_and_its_folder_is_no_conflict(tmp_path: Path) -> None:
    """The same file counts once."""
    (tmp_path / "a.yaml").write_text("")
    assert find_jobs([tmp_path, tmp_path / "a.yaml"]) == [tmp_path / "a.yaml"]


def test_the_environment_chooses_the_folder() -> None:
    """$BACKUP_CONFIG_DIR first; without it the container's /config, or ./config."""
    assert default_paths({"BACKUP_CONFIG_DIR": "/etc/backup"}) == [Path("/etc/backup")]
    assert default_paths({}) in ([Path("/config")], [Path("config")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["health", "--json"], "--json is for run, verify, repair, restore, drill, archive, check and status"),
        (["verify", "--quiet"], "--quiet is for run"),
        (["run", "--full"], "--full is for verify and repair"),
    ],
)
def test_options_of_other_commands_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rather than passed over."""
    with pytest.raises(SystemExit) as ended:
        main.parse_arguments(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
