"""Hostile and broken job files: each is one clear error, in bounded time and memory; the other jobs go on."""

import os
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from commands.jobs import find_jobs, load_jobs
from commands.options import UsageError
from config import Config, ConfigError, read_file
from settings.yaml_reader import MAX_BYTES
from tests.integration.harness import MONDAY, Pair, run_main, write_job

GOOD = """
source: {url: "http://a:8086"}
destination: {url: "http://b:8086"}
options: {backup_mode: incremental, WHAT}
"""
"""A job to which an option can be added."""

MOST_MEMORY = 24 * MAX_BYTES
"""A file may have one MiB, and PyYAML makes several objects of each of its values."""


def _text(text: str, encoding: str = "utf-8") -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text.encode(encoding))


def _option(option: str) -> Callable[[Path], object]:
    return _text(GOOD.replace("WHAT", option))


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * MAX_BYTES)


def _huge_text(path: Path) -> None:
    path.write_text("source: {}\n" + "# a comment\n" * (9 * MAX_BYTES))


def _aliases(path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    path.write_text("\n".join(lines))


def _merges(path: Path) -> None:
    keys = ", ".join(f"k{n}: 1" for n in range(3000))
    path.write_text(f"a: &a {{{keys}}}\nb: {{<<: [{', '.join(['*a'] * 3500)}]}}\n")


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "python object": (_text("source: !!python/object:os.system {}"), "the tag !!python/object:os.system"),
    "python call": (_text('source: !!python/object/apply:os.mkdir ["CANARY"]'), "is not supported"),
    "python name": (_text("source: !!python/name:os.system"), "is not supported"),
    "custom tag": (_text("source: !include /etc/passwd"), "line 1: a tag is not supported"),
    "set": (_text("source: !!set {a, b}"), "the tag !!set is not supported"),
    "billion laughs": (_aliases, "aliases expand to more than 10000 values"),
    "billion merges": (_merges, "aliases expand to more than 10000 values"),
    "alias of itself": (_text("a: &a [*a]"), "nest more than 32 levels deep"),
    "merge of itself": (_text("a: &a {<<: *a}"), "nest more than 32 levels deep"),
    "deep list": (_text("[" * 500_000), "nested more than 32 levels deep"),
    "deep mapping": (_text("\n".join(" " * n + "a:" for n in range(1000))), "nested more than 32 levels deep"),
    "many values": (_text("- 1\n" * 100_000), "more than 10000 values"),
    "100 MB of NUL": (_huge, "larger than 1024 KiB"),
    "100 MB of comments": (_huge_text, "larger than 1024 KiB"),
    "one byte too many": (_text("#" * (MAX_BYTES + 1)), "larger than 1024 KiB"),
    "cut in a character": (_text("#" * MAX_BYTES + "é"), "larger than 1024 KiB"),
    "NUL": (_option("log_level: IN\0FO"), "line 4, column 50: a character that YAML does not allow"),
    "escape code": (_option("log_level: \x1b[2J"), "a character that YAML does not allow"),
    "latin-1": (_text("source: {user: Müller}", "latin-1"), "not encoded in UTF-8 (byte 17); save it as UTF-8"),
    "utf-16": (_text(GOOD, "utf-16"), "not encoded in UTF-8 (byte 1); save it as UTF-8"),
    "utf-16 without mark": (_text(GOOD, "utf-16-le"), "a character that YAML does not allow"),
    "utf-32": (_text(GOOD, "utf-32"), "not encoded in UTF-8 (byte 1)"),
    "duplicate key": (_option("retries: 1, retries: 2"), "options.retries: given twice, on lines 4 and 4"),
    "duplicate section": (_text("source: {}\nsource: {}"), "source: given twice, on lines 1 and 2"),
    "two documents": (_text("source: {}\n---\nsource: {}"), "line 2: a second document"),
    "time zone outside": (_option("incremental: {timezone: ../../../etc/passwd}"), "unknown time zone"),
    "directory": (Path.mkdir, "Is a directory"),
    "fifo": (os.mkfifo, "a device or a pipe, not a file"),
    "endless device": (_device, "a device or a pipe, not a file"),
    "broken link": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "link to itself": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
}

ENDLESS: dict[str, tuple[Callable[[Path], object], str]] = {
    "endless digits": (_option(f"incremental: {{lookback: '{'1' * 900_000}'}}"), "incremental.lookback: '1111"),
    "endless base 60": (_option(f"retries: 1{':1' * 400_000}"), "options.retries: line 4: not a valid int"),
    "endless colons": (_option(f"log_level: '{':' * 900_000}'"), "options.log_level: expected one of DEBUG"),
    "endless key": (_option(f"? '{'re' * 400_000}'\n : 1"), "unknown key"),
    "endless time zone": (_option(f"incremental: {{timezone: {'Eu' * 400_000}}}"), "unknown time zone"),
}
"""Values that would take minutes or hours if the work on them grew with the square of their length."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_one_clear_error(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file and what is wrong; nothing of the file is run, waited for or read without end."""
    monkeypatch.chdir(tmp_path)
    make, message = HOSTILE[kind]
    make(tmp_path / "bad.yaml")
    tracemalloc.start()
    try:
        valid, invalid = load_jobs(find_jobs([tmp_path]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (valid, list(invalid)) == ([], ["bad"])
    assert str(tmp_path / "bad.yaml") in invalid["bad"]
    assert message in invalid["bad"]
    assert len(invalid["bad"]) < 1000
    assert peak < MOST_MEMORY
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_value_takes_no_endless_time(kind: str, tmp_path: Path) -> None:
    """Whatever is done with it is done in one go."""
    make, message = ENDLESS[kind]
    make(tmp_path / "bad.yaml")
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        Config(tmp_path / "bad.yaml")
    assert len(str(caught.value)) < 1000


@pytest.mark.timeout(600)
def test_hostile_files_stop_no_other_job(pair: Pair) -> None:
    """All of them in one folder: every one is named, in one message, and the good job is run."""
    pair.write(f"m v=1 {MONDAY}")
    jobs = pair.directory / "jobs"
    write_job(jobs, pair.config(), "good")
    for number, (make, _) in enumerate(HOSTILE.values()):
        make(jobs / f"bad{number}.yaml")
    done = run_main("--config", jobs)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    errors = [told for told in re.split(r"^(?=\d{4}-\d\d-)", done.stderr, flags=re.MULTILINE) if " ERROR " in told]
    for number, (_, message) in enumerate(HOSTILE.values()):
        (told,) = [told for told in errors if f"bad{number}.yaml: " in told]
        assert message in told
    pair.assert_equal(points=1)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("make", [os.mkfifo, _device, Path.mkdir], ids=["fifo", "device", "directory"])
def test_a_password_file_that_is_no_file_is_an_error(make: Callable[[Path], object], tmp_path: Path) -> None:
    """Nobody waits for a pipe that has no writer."""
    make(tmp_path / "secret")
    text = GOOD.replace('a:8086"', f'a:8086", password_file: {tmp_path}/secret').replace(", WHAT", "")
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"source\.password_file: .*secret' cannot be read: (a device|Is a dir)"):
        Config(tmp_path / "job.yaml")


def _as_somebody_else(run: Callable[[], object]) -> None:
    """Run it without root's right to read everything."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65_534)
    try:
        run()
    finally:
        os.seteuid(me)


def test_an_unreadable_file_and_an_unreadable_folder_are_errors(tmp_path: Path) -> None:
    """Permissions are a user's mistake, too."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "bad.yaml").write_text(GOOD)
    (folder / "bad.yaml").chmod(0)
    for parent in (tmp_path, *tmp_path.parents[:3]):  # as far up as pytest made them for root alone
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o055)

    def unreadable_file() -> None:
        assert find_jobs([folder]) == [folder / "bad.yaml"]
        assert load_jobs([folder / "bad.yaml"]) == (
            [],
            {"bad": f"{folder}/bad.yaml: 1 problem\n  cannot be read: Permission denied"},
        )

    def unreadable_folder() -> None:
        with pytest.raises(UsageError, match="cannot be read: Permission denied"):
            find_jobs([folder])
        with pytest.raises(UsageError, match="cannot be read: Permission denied"):
            find_jobs([folder / "bad.yaml"])

    _as_somebody_else(unreadable_file)
    folder.chmod(0)
    try:
        _as_somebody_else(unreadable_folder)
    finally:
        folder.chmod(0o755)


def test_a_file_of_the_greatest_size_is_read_whole(tmp_path: Path) -> None:
    """The limit cuts nothing that is allowed."""
    text = GOOD.replace(", WHAT", "")
    content = text.encode() + b"#" * (MAX_BYTES - len(text))
    (tmp_path / "job.yaml").write_bytes(content)
    assert read_file(tmp_path / "job.yaml") == content
    assert Config(tmp_path / "job.yaml").job.name == "job"
