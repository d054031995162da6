"""The words, counts and the line of protection that the page, the command line, health and metrics share."""

from __future__ import annotations

from tests.support.states import (
    HOUR,
    MINUTE,
    NOW,
    archived,
    everything,
    failing,
    fine,
    finished,
    known,
    recovered,
    runs,
    state_of,
    waiting,
    warned,
)
from watching.events import Drilled, Event, Proved, Verified
from watching.metrics import exposition
from watching.standing import headline, protection, protection_line, word
from watching.state import applied
from watching.web.api import cautions, health, status_document
from watching.web.client import status_table
from watching.web.page import render_status


def line(*events: Event) -> str:
    """The line of protection after these events."""
    return protection_line(protection(state_of(*events), NOW), NOW)


def test_the_headline_the_status_and_the_health_count_alike() -> None:
    """A job that waits for its server is one of those that fail, and no run succeeds before it answers."""
    state = everything()
    document = status_document(state, NOW)
    names = {job["name"] for job in document["jobs"] if job["failing"]}
    assert names == {"billing", "crashed", "typo", "edge-site-7"}
    assert headline(state)[0].startswith(f"{len(names)} of {len(state.jobs)} jobs are failing")
    assert document["headline"] == headline(state)[0]
    assert {text.partition(": ")[0] for text in health(state).splitlines()} == names
    assert status_table(document).count("FAILING ") == len(names)
    metrics = exposition(state, NOW).decode().splitlines()
    failing_now = [
        text for text in metrics if text.startswith("influxdb_backup_failing{") and text.endswith(" 1.0")
    ]
    assert len(failing_now) == len(names)


def test_a_state_has_one_word_everywhere() -> None:
    """On the page it has a capital letter."""
    state = state_of(*finished(), *failing(), *warned(), *waiting(), *fine())
    page, document = render_status(state, NOW), status_document(state, NOW)
    table = status_table(document)
    for job, told in zip(state.jobs.values(), document["jobs"], strict=True):
        assert told["state"] == word(job)
        assert f"{job.name}  " in table
        assert f"  {word(job)}  " in table
        assert f"</svg>{word(job)[0].upper()}{word(job)[1:]}</span>" in page
    assert word(state.jobs["import-2025"]) == "finished"


def test_health_names_every_problem() -> None:
    """Not the first of each job, and the warnings of others too."""
    state = state_of(*failing(), *warned())
    assert len(health(state).splitlines()) == 5
    assert len(cautions(state).splitlines()) == 2


def test_a_difference_is_amber_everywhere_and_named() -> None:
    """On the page, in the table, at /healthz, in the metrics."""
    differs = Verified("telegraf", NOW - MINUTE, "differs", "DIFFERENT: 7 values missing", missing=7)
    state = state_of(*fine(), differs)
    assert headline(state) == ("1 of 1 job has warnings: telegraf", "wait")
    assert cautions(state) == "telegraf: verify: DIFFERENT: 7 values missing"
    assert "idle, with warnings" in status_table(status_document(state, NOW))
    assert "verify: DIFFERENT: 7 values missing" in render_status(state, NOW)
    assert 'influxdb_backup_warnings{backup_job="telegraf"} 1.0' in exposition(state, NOW).decode()


def test_the_line_of_protection_says_what_is_safe_how_old_it_is_and_who_looked() -> None:
    """Nothing that fails, or warns, counts as protected."""
    assert line(*fine(), *recovered()) == (
        "2 of 2 databases protected; oldest copy 30 min; 1 of 2 jobs verified, the oldest 3 h ago"
    )
    assert line(*recovered()) == "1 of 1 database protected; oldest copy 30 min; verified 3 h ago"
    assert line(*fine(), *failing()) == "1 of 3 databases protected; oldest copy 4 days; 0 of 2 jobs verified"
    difference = Verified("weather", NOW - HOUR, "differs")
    assert line(*fine(), *recovered(), difference) == (
        "1 of 2 databases protected; oldest copy 30 min; 0 of 2 jobs verified, 1 differs"
    )


def test_what_is_not_known_is_not_protected() -> None:
    """A job of which no run has ended yet."""
    assert line(*known("new")) == ("no database is known yet; no complete copy is known yet; 0 of 1 job verified")
    assert line(*known("new"), *fine()) == (
        "1 of 1 database protected (of 1 job none is known yet); oldest copy 5 min (1 job without one); "
        "0 of 2 jobs verified"
    )


def test_a_range_that_was_copied_does_not_grow_old() -> None:
    """Its end is where it was."""
    assert "oldest copy 5 min;" in line(*finished(), *fine())
    assert "no complete copy" in line(*finished(), *runs("import-2025", [5]))


def test_the_line_says_when_a_restore_was_rehearsed() -> None:
    """Where one is to be: of the job for which that is longest ago, and how many did not pass."""
    assert line(*archived()) == (
        "1 of 1 database protected; oldest copy 2 h; verified 3 h ago; last restore drill 3 days ago"
    )
    assert line(*archived(drill="never")).endswith("; no restore drill yet")
    assert line(*archived(drill="failed")).endswith("; no restore drill has passed, 1 did not pass")
    assert line(*archived(), *archived("b", "failed")).endswith(
        "; restore drills of 1 of 2 jobs, the oldest 3 days ago, 1 did not pass"
    )
    assert "drill" not in line(*fine())


def test_a_drill_that_did_not_pass_and_damage_are_amber_everywhere_and_named() -> None:
    """On the page, in the table, at /healthz, in the metrics, until they are known to be gone."""
    state = state_of(*archived(drill="failed"), Proved("nightly", NOW - HOUR, "damaged", "x.parquet is missing"))
    assert headline(state) == ("1 of 1 job has warnings: nightly", "wait")
    assert "nightly: archive verify: x.parquet is missing" in cautions(state)
    assert "nightly: drill: FAILED: database telegraf: " in cautions(state)
    assert "drill: FAILED: database telegraf: " in render_status(state, NOW)
    table = status_table(status_document(state, NOW))
    assert "14 snapshots, 48.2 MB  failed, 5 h ago" in table
    assert 'influxdb_backup_warnings{backup_job="nightly"} 2.0' in exposition(state, NOW).decode()
    part = Proved("nightly", NOW, files=1, of=9)
    assert applied(state, part).jobs["nightly"].damage is not None
    state = applied(state, Proved("nightly", NOW, files=9, of=9))
    state = applied(state, Drilled("nightly", NOW))
    assert headline(state) == ("The only job is fine", "good")
    assert protection_line(protection(state, NOW), NOW).endswith("; last restore drill just now")


def test_the_table_has_columns_for_archives_and_drills_where_there_are_any() -> None:
    """Of a job that has none a dash."""
    lines = status_table(status_document(state_of(*archived(), *fine()), NOW)).splitlines()
    assert lines[3].split("  ")[-1] == "now"
    cells = [text.strip() for text in lines[5].split("  ") if text.strip()]
    assert cells[4:7] == ["3 h ago", "14 snapshots, 48.2 MB", "3 days ago"]
    cells = [text.strip() for text in lines[6].split("  ") if text.strip()]
    assert cells[4:7] == ["-", "-", "-"]
    assert " drill " not in status_table(status_document(state_of(*fine()), NOW))
