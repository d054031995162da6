"""The health file."""

from pathlib import Path

import pytest

from watching.health import STALE, health_file, health_problem, health_warnings, write_health


def test_a_fresh_file_without_failures_is_healthy(tmp_path: Path) -> None:
    """And stays so until it is stale."""
    file = tmp_path / "health"
    write_health(file, {}, 1000.0)
    assert health_problem(file, 1000.0 + STALE) == ""
    assert "no sign of life" in health_problem(file, 1001.0 + STALE)


def test_failing_jobs_are_named(tmp_path: Path) -> None:
    """Each with its problem."""
    file = tmp_path / "health"
    write_health(file, {"a": "refused", "b": "died"}, 1000.0)
    assert health_problem(file, 1000.0) == "a: refused; b: died"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"alive": "x", "failing": {}}', '{"alive": 1}', "null"])
def test_a_broken_file_is_no_sign_of_life(content: str, tmp_path: Path) -> None:
    """Never taken for health, and never a traceback."""
    file = tmp_path / "health"
    file.write_text(content)
    assert "no sign of life" in health_problem(file, 1.0)
    assert "no sign of life" in health_problem(tmp_path / "missing", 1.0)


def test_the_environment_says_where_the_file_is() -> None:
    """Without it none is kept."""
    assert health_file({"BACKUP_HEALTH_FILE": "/tmp/h"}) == Path("/tmp/h")  # noqa: S108
    assert health_file({}) is None


def test_warnings_are_told_and_are_no_problem(tmp_path: Path) -> None:
    """A file of a version that knew none is one without."""
    file = tmp_path / "health"
    write_health(file, {}, 1000.0, {"a": "old", "b": "empty"})
    assert (health_problem(file, 1000.0), health_warnings(file)) == ("", "a: old; b: empty")
    file.write_text('{"alive": 1000, "failing": {}}')
    assert (health_problem(file, 1000.0), health_warnings(file)) == ("", "")
    assert health_warnings(tmp_path / "missing") == ""
