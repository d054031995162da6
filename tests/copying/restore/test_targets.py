"""Which server a restore writes to, and with which user."""

from pathlib import Path

import pytest

from config import parse_config
from copying.restore.targets import login_of, server_at

JOB = parse_config(
    """
source: {url: "http://source:8086", user: s, password: one, databases: [{name: db}]}
destination: {url: "http://backup:8086", user: d, password: two}
options: {backup_mode: incremental}
""",
    {},
    "job.yaml",
)
LOGIN = {"RESTORE_USER": "x", "RESTORE_PASSWORD": "three"}


def test_a_server_of_the_job_has_its_user_unless_the_environment_says_another_one() -> None:
    """Any other server has that one alone."""
    for url, user, password in (("http://source:8086", "s", "one"), ("http://backup:8086", "d", "two")):
        found = server_at(url, JOB, {})
        assert (found.url, found.user, found.password.get_secret_value()) == (url, user, password)
    for url in ("http://source:8086", "http://backup:8086", "http://new:8086"):
        found = server_at(url, JOB, LOGIN)
        assert (found.url, found.user, found.password.get_secret_value()) == (url, "x", "three")
    assert server_at("http://new:8086", JOB, {}).user == ""


def test_a_password_may_be_in_a_file(tmp_path: Path) -> None:
    """It counts before one in the environment; what is not set is left out."""
    file = tmp_path / "password"
    file.write_text("four\n")
    assert login_of({}) == {}
    assert login_of({"RESTORE_PASSWORD_FILE": "", **LOGIN}) == {"user": "x", "password": "three"}
    found = login_of({**LOGIN, "RESTORE_PASSWORD_FILE": str(file), "RESTORE_CA_FILE": "/ca"})
    assert found == {"user": "x", "password": "four", "ca_file": "/ca"}
    with pytest.raises(ValueError, match=r"^RESTORE_PASSWORD_FILE: .*nosuch"):
        login_of({"RESTORE_PASSWORD_FILE": str(tmp_path / "nosuch")})


@pytest.mark.parametrize("url", ["ftp://x", "http://u:p@h:1"])
def test_what_is_no_address_is_said_in_a_line(url: str) -> None:
    """Without the words of the library that looks at it."""
    with pytest.raises(ValueError) as said:  # noqa: PT011 -- the text is looked at
        server_at(url, JOB, {})
    assert "validation error" not in str(said.value)
    assert "\n" not in str(said.value)
    assert str(said.value)
