"""What all jobs of a folder share: below a job's own values, and named wherever something is wrong with it."""

from pathlib import Path

import pytest

from config import ConfigError, Job, load_config, parse_config, read_defaults

SHARED = """
source: {url: http://a:8086, user: reader, password: "${PASSWORD}"}
destination: {url: http://b:8086}
options:
  backup_mode: incremental
  retries: 7
  incremental: {schedule: "0 3 * * *", timezone: Europe/Berlin}
  notify: {urls: ["json://hook/x"], on: [failure]}
"""


def job(own: str, shared: str = SHARED, **environ: str) -> Job:
    """The job of a text, above what is shared."""
    return parse_config(own, {"PASSWORD": "hunter2"} | environ, "config/prod.yaml", shared)


def problems(own: str, shared: str = SHARED, **environ: str) -> list[str]:
    """All that is wrong, one line each."""
    with pytest.raises(ConfigError) as caught:
        parse_config(own, environ, "config/prod.yaml", shared)
    assert caught.value.source == "config/prod.yaml"
    return [str(problem) for problem in caught.value.problems]


def test_a_job_gives_only_what_is_its_own() -> None:
    """All else is shared, and it is known which keys are."""
    found = job("source: {databases: [telegraf]}")
    assert (found.name, found.source.url, found.source.user) == ("prod", "http://a:8086", "reader")
    assert found.source.password.get_secret_value() == "hunter2"
    assert [mapping.name for mapping in found.source.databases] == ["telegraf"]
    assert (found.options.retries, found.options.incremental.timezone.key) == (7, "Europe/Berlin")
    assert found.inherited == (
        "source.url",
        "source.user",
        "source.password",
        "destination.url",
        "options.backup_mode",
        "options.retries",
        "options.incremental.schedule",
        "options.incremental.timezone",
        "options.notify.urls",
        "options.notify.on",
    )


def test_its_own_values_come_first_and_empty_ones_are_not_set() -> None:
    """Key by key; a list takes the place of a list."""
    times = "{timezone: '', run_on_start: true}"
    found = job(f"options: {{retries: 1, retry_delay: , incremental: {times}, notify: {{urls: []}}}}")
    assert (found.options.retries, found.options.incremental.timezone.key) == (1, "Europe/Berlin")
    assert found.options.incremental.run_on_start
    assert (found.options.notify.urls, found.options.notify.on) == ((), ("failure",))
    assert "options.retries" not in found.inherited
    assert "options.incremental.timezone" in found.inherited


def test_who_gives_one_of_two_keys_shares_neither(tmp_path: Path) -> None:
    """Else `password_file` and a shared `password` would be two for one server."""
    (tmp_path / "secret").write_text("other\n")
    found = job(f"source: {{password_file: {tmp_path}/secret}}\noptions: {{notify: {{when: [success]}}}}")
    assert found.source.password.get_secret_value() == "other"
    assert found.options.notify.occasions == ("success",)
    assert not {"source.password", "options.notify.on"} & set(found.inherited)


@pytest.mark.parametrize("shared", ["", "\n", "# nothing yet\n\n  # here\n"])
def test_nothing_that_is_shared_changes_nothing(shared: str) -> None:
    """A file of comments, or none."""
    own = "source: {url: http://a}\ndestination: {url: http://b}\noptions: {backup_mode: incremental}"
    assert job(own, shared) == parse_config(own, {}, "config/prod.yaml")


def test_a_problem_says_that_it_is_in_the_shared_file() -> None:
    """Those of both files come at once, and only of values that the job takes."""
    shared = SHARED + "  retires: 3\n  timeout_client: 20s\n"
    found = problems("source: {databases: 7}\noptions: {timeout_client: 9}", shared)
    assert found == [
        "source.password: environment variable PASSWORD is not set; set it, or write ${PASSWORD:-default} "
        "(and $${ where a literal ${ is meant) (in _defaults.yaml)",
        "source.databases[0].name: expected a non-empty text, got 7; put it in quotes",
        "options.retires: unknown key; did you mean options.retries? (in _defaults.yaml)",
    ]
    assert problems("source: {password: x}\noptions: {timeout_client: 9}", shared) == found[-1:]


@pytest.mark.parametrize(
    ("shared", "told"),
    [
        ("source: [", "_defaults.yaml: line 1, column 10: not well-formed YAML"),
        ("- a", "_defaults.yaml: expected sections of keys, as a job has them"),
        ("a: 1\n---\nb: 2", "_defaults.yaml: line 2: a second document starts here"),
    ],
)
def test_a_shared_file_that_cannot_be_read_is_a_problem_of_each_job(shared: str, told: str) -> None:
    """None of them runs with half of what it needs."""
    (problem,) = problems("source: {databases: [a]}", shared)
    assert problem.startswith(told)


def test_the_file_beside_a_job_is_the_one(tmp_path: Path) -> None:
    """In its own folder, whichever of the two names it has."""
    assert read_defaults(tmp_path / "job.yaml") == b""
    (tmp_path / "_defaults.yml").write_text(SHARED)
    (tmp_path / "job.yaml").write_text("source: {databases: [a]}")
    assert read_defaults(tmp_path / "job.yaml") == SHARED.encode()
    assert load_config(tmp_path / "job.yaml", {"PASSWORD": "x"}).options.retries == 7
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "job.yaml").write_text("source: {databases: [a]}")
    with pytest.raises(ConfigError):
        load_config(tmp_path / "sub" / "job.yaml", {"PASSWORD": "x"})


def test_a_shared_file_without_the_right_to_read_it_is_named(tmp_path: Path) -> None:
    """A folder in its place, here, which nobody can read as a file."""
    (tmp_path / "_defaults.yaml").mkdir()
    (tmp_path / "job.yaml").write_text("source: {databases: [a]}")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "job.yaml", {})
    assert str(tmp_path / "_defaults.yaml") in str(caught.value)
