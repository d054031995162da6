"""Results of verify in files: what was written is read once, and whatever else lies there harms nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from watching.events import Drilled, Proved, Verified
from watching.verdict_files import Verdicts, differences, proofs, verdict_folder, write_verdict

FOUND = Verified("a", 5, "differs", "DIFFERENT: 2 values missing", "counts", 2, 0, 0, 1.5)


def test_what_was_written_is_news_once(tmp_path: Path) -> None:
    """And again when it is written anew."""
    folder = tmp_path / "health.verified"
    verdicts = Verdicts(folder)
    assert verdicts.news({"a"}) == []
    write_verdict(folder, FOUND)
    assert verdicts.news({"a"}) == [FOUND]
    assert verdicts.news({"a"}) == []
    write_verdict(folder, Verified("a", 6))
    assert verdicts.news({"a"}) == [Verified("a", 6)]
    assert [path.name for path in folder.iterdir()] == ["a.json"]


def test_a_difference_is_kept_until_it_is_known_to_be_gone(tmp_path: Path) -> None:
    """Also for a daemon that was not there when it was found."""
    write_verdict(tmp_path, FOUND)
    sample = Verified("a", 6, is_complete=False)
    write_verdict(tmp_path, sample)
    assert Verdicts(tmp_path).news({"a"}) == [FOUND, sample]
    assert differences(tmp_path) == {"a": "verify: DIFFERENT: 2 values missing"}
    write_verdict(tmp_path, Verified("a", 7))
    assert Verdicts(tmp_path).news({"a"}) == [Verified("a", 7)]
    assert differences(tmp_path) == differences(tmp_path / "nothing") == {}


def test_a_job_that_is_not_known_yet_is_news_later(tmp_path: Path) -> None:
    """As when the daemon has just been started."""
    write_verdict(tmp_path, FOUND)
    verdicts = Verdicts(tmp_path)
    assert verdicts.news(set()) == []
    assert verdicts.news({"a"}) == [FOUND]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"job": "a"}',
        '{"job": "a", "at": "now"}',
        '{"job": "b", "at": 1}',
        '{"job": "a", "at": 1, "sauce": 1}',
        json.dumps({"job": "a", "at": 1, "missing": None}),
    ],
)
def test_other_content_is_passed_over(content: str, tmp_path: Path) -> None:
    """Half a file, or one of another version."""
    (tmp_path / "a.json").write_text(content)
    write_verdict(tmp_path, Verified("c", 1))
    assert Verdicts(tmp_path).news({"a", "b", "c"}) == [Verified("c", 1)]


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The comparison itself has its exit code."""
    (tmp_path / "file").write_text("")
    write_verdict(tmp_path / "file", FOUND)
    (record,) = caplog.records
    assert "the daemon does not hear of this" in record.getMessage()


def test_the_folder_is_beside_the_health_file() -> None:
    """Without one there is none."""
    assert verdict_folder({"BACKUP_HEALTH_FILE": "/run/health"}) == Path("/run/health.verified")
    assert verdict_folder({}) is None


def test_proofs_and_drills_have_files_of_their_own(tmp_path: Path) -> None:
    """No kind clears what another one found, whatever jobs are called."""
    proof, drill = Proved("a", 6, "damaged", "x is missing"), Drilled("a", 7, "failed", "y differs")
    passed = Drilled("a", 5)
    for found in (FOUND, proof, passed, drill, Verified("archives", 1), Drilled("drills", 1)):
        write_verdict(tmp_path, found)
    verdicts = Verdicts(tmp_path)
    assert verdicts.news({"a"}) == [FOUND, proof, passed, drill]
    assert verdicts.news({"a", "archives", "drills"}) == [Verified("archives", 1), Drilled("drills", 1)]
    texts = "verify: DIFFERENT: 2 values missing; archive verify: x is missing; drill: FAILED: y differs"
    assert differences(tmp_path) == {"a": texts}
    write_verdict(tmp_path, Proved("a", 8, files=1, of=2))
    assert "x is missing" in differences(tmp_path)["a"]
    write_verdict(tmp_path, Proved("a", 9, files=2, of=2))
    write_verdict(tmp_path, Drilled("a", 9))
    assert differences(tmp_path) == {"a": "verify: DIFFERENT: 2 values missing"}
    assert proofs(tmp_path, "a") == [Proved("a", 9, files=2, of=2), Drilled("a", 9)]
