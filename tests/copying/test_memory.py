"""What earlier runs have compared already: kept in a file, of which nothing is trusted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from basics.spans import Span
from basics.times import DAY
from copying import memory
from copying.memory import Memory
from copying.task import Copy, Target
from copying.windows import Window
from influx.influxql import Location, Policy
from influx.shards import ShardStates
from tests.copying.archive.test_reusing import job

GROUPS = (Span(0, DAY), Span(DAY, 2 * DAY))
POLICY = Policy("autogen", 0, DAY, is_default=True)
TARGET = Target("copied", POLICY, POLICY, None, (), {})
WINDOW = Window(Copy(Location("db", "autogen", "m"), TARGET, {}, ()), GROUPS[0], {}, {}, mark=b"\x01\x02")


def states(*counts: str) -> ShardStates:
    """A shard of each group, with such a counter."""
    return ShardStates("now", tuple((g, (str(i), n)) for i, (g, n) in enumerate(zip(GROUPS, counts, strict=True))))


def test_what_was_equal_comes_back_from_the_file(tmp_path: Path) -> None:
    """A group is unknown again once one side tells something else of it; a file about another job says nothing."""
    file = tmp_path / "missing" / "deeper" / "job.json"
    before = Memory("this")
    signed = memory.unknown(before, TARGET, GROUPS, (states("5", "5"), states("7", "7")))
    assert signed.keys() == {*GROUPS}
    before.remember(TARGET, signed)
    before.accept(WINDOW, 3)
    memory.save(file, before)
    found = memory.load(file, "this")
    assert found == before
    assert memory.unknown(found, TARGET, GROUPS, (states("5", "5"), states("7", "7"))) == {}
    assert memory.unknown(found, TARGET, GROUPS, (states("5", "6"), states("7", "7"))).keys() == {GROUPS[1]}
    assert memory.unknown(found, TARGET, GROUPS, (states("5", "5"), states("8", "7"))).keys() == {GROUPS[0]}
    assert memory.unknown(found, replace(TARGET, database="other"), GROUPS, (states("5", "5"),) * 2)
    assert memory.load(file, "that") == Memory("that")
    assert [path.name for path in file.parent.iterdir()] == ["job.json"]


def test_what_only_the_destination_has_is_known_while_it_is_the_same() -> None:
    """Another mark is another difference; without a mark there is none."""
    found = Memory()
    assert found.known_extra(WINDOW) is None
    found.accept(WINDOW, 3)
    assert found.known_extra(WINDOW) == 3
    assert found.known_extra(replace(WINDOW, mark=b"\x01\x03")) is None
    assert found.known_extra(replace(WINDOW, span=GROUPS[1])) is None
    equal = replace(WINDOW, mark=b"")
    found.accept(equal, 0)
    assert found.known_extra(equal) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        '{"about": "this"}',
        '{"about": "this", "groups": [], "extras": {}}',
        '{"about": "this", "groups": {}, "extras": {"a": 1}}',
        '{"about": "this", "groups": {}, "extras": {"a": ["mark", "many"]}}',
        "\udcff",
    ],
)
def test_a_file_that_cannot_be_used_is_as_good_as_none(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything is compared again, and the log says why."""
    caplog.set_level("INFO")
    file = tmp_path / "job.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert memory.load(file, "this") == Memory("this")
    assert f"{file} cannot be used, so everything is compared again" in caplog.text


def test_without_a_file_nothing_is_known_and_nothing_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As in the first run of a job."""
    caplog.set_level("INFO")
    assert memory.load(tmp_path / "job.json", "this") == Memory("this")
    assert caplog.text == ""


def test_a_file_that_cannot_be_written_fails_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next run compares everything."""
    caplog.set_level("INFO")
    (tmp_path / "folder").write_text("a file")
    memory.save(tmp_path / "folder" / "job.json", Memory("this"))
    assert "cannot be written, so the next run compares everything" in caplog.text


def test_the_file_is_bounded_and_the_newest_entries_stay(tmp_path: Path) -> None:
    """Of each kind."""
    groups = {str(number): "x" for number in range(memory.MOST + 2)}
    memory.save(tmp_path / "job.json", Memory("this", groups, dict.fromkeys(groups, ("y", 1))))
    document = json.loads((tmp_path / "job.json").read_text())
    for kind in ("groups", "extras"):
        assert list(document[kind]) == list(groups)[2:]


def test_what_a_run_has_not_brought_is_not_known_of_the_one_before() -> None:
    """To forget what nobody knew changes nothing."""
    found, other = Memory(), replace(TARGET, database="other")
    found.forget_clean("db", TARGET)
    found.forget_proof("db", TARGET)
    assert [found.note_clean("db", TARGET, text) for text in ("a", "a", "b", "b")] == [False, True, False, True]
    assert not found.note_clean("db", other, "b")
    found.forget_clean("db", TARGET)
    assert [found.note_clean("db", target, "b") for target in (TARGET, other)] == [False, True]


def test_what_a_version_with_other_rules_took_for_equal_is_compared_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its file is about something else."""
    before = memory.about(job())
    assert memory.about(job()) == before
    monkeypatch.setattr(memory, "_RULES", "those of a version before")
    assert memory.about(job()) != before
