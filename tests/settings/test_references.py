"""Passwords of a job that other machines copy: references travel, and nothing else is taken."""

from __future__ import annotations

import pytest

from config import ConfigError, parse_config
from settings.references import PLAIN, password_references, resolved

ENVIRON = {"PW": "geh'e\"im", "MORE": "123"}
PLAIN_TEXTS = ["secret", "'7'", "${PW:-secret}", "'$${PW}'", "x${PW}", "'${PW} '"]


def text(password: str, options: str = ", distribute: 'tls://Scheduler:8786'") -> str:
    """A job whose source has this password."""
    return (
        f"source:\n  url: http://a:8086\n  user: u\n  password: {password}\n"
        "destination: {url: 'http://b:8086'}\n"
        f"options: {{backup_mode: incremental{options}}}\n"
    )


@pytest.mark.parametrize("password", ["${PW}", "'${PW}'", "'${PW}${MORE}'"])
def test_what_consists_of_references_is_kept_as_it_is_written(password: str) -> None:
    """Another machine makes of it what this one does."""
    job = parse_config(text(password), ENVIRON, "job.yaml")
    assert job.references == {"source": password.strip("'")}
    assert job.options.distribute == "tls://scheduler:8786"
    assert resolved(job.references["source"], ENVIRON) == job.source.password.get_secret_value()


@pytest.mark.parametrize("password", PLAIN_TEXTS)
def test_a_plain_password_is_refused(password: str) -> None:
    """Also one that is plain in part, or only where a variable is missing."""
    with pytest.raises(ConfigError) as refused:
        parse_config(text(password), ENVIRON, "job.yaml")
    assert [str(problem) for problem in refused.value.problems] == [f"source.password: {PLAIN}"]


@pytest.mark.parametrize("password", PLAIN_TEXTS)
def test_without_a_cluster_it_is_nobodys_business(password: str) -> None:
    """As ever."""
    assert parse_config(text(password, ""), ENVIRON, "job.yaml").references == {}


def test_a_shared_password_is_looked_at_too() -> None:
    """And the message says where it stands."""
    own = text("''").replace("  password: ''\n", "")
    shared = "source: {password: '${PW}'}"
    assert parse_config(own, ENVIRON, "job.yaml", shared).references == {"source": "${PW}"}
    with pytest.raises(ConfigError) as refused:
        parse_config(own, ENVIRON, "job.yaml", "source: {password: secret}")
    assert "(in _defaults.yaml)" in str(refused.value)


def test_a_variable_that_is_missing_is_named() -> None:
    """Where it is looked up."""
    with pytest.raises(ValueError, match="environment variable PW is not set"):
        resolved("${PW}", {})


def test_no_password_no_reference() -> None:
    """Nor where it comes from a file."""
    assert password_references(text("''"), "") == {}


@pytest.mark.parametrize(
    "address", ["scheduler:8786", "http://s:8786", "tls://s", "tls://s:8786/x", "tcp://u@s:1", "tcp://s:0"]
)
def test_an_address_is_a_schedulers(address: str) -> None:
    """With its port."""
    with pytest.raises(ConfigError, match="expected tls://host:port or tcp://host:port, got"):
        parse_config(text("''", f", distribute: {address!r}"), {}, "job.yaml")


def test_an_archive_is_written_by_the_daemon_alone() -> None:
    """Beside a server it is."""
    only = text("''").replace("{url: 'http://b:8086'}", "{archive: /backups}")
    with pytest.raises(ConfigError, match=r"options\.distribute: there is only an archive"):
        parse_config(only, {}, "job.yaml")
    parse_config(text("''").replace("{url: 'http://b", "{archive: /backups, url: 'http://b"), {}, "job.yaml")
