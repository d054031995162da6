"""Metrics: what they say of a state, Prometheus's conventions, and the alerts and the dashboard that use them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from basics.times import SECOND
from copying.results import SnapshotTaken, SourceAge
from tests.support.prometheus import promtool
from watching.events import (
    Drilled,
    DrillResult,
    Event,
    FileChecked,
    JobKnown,
    JobRemoved,
    MeasurementsChanged,
    MeasurementState,
    NextRun,
    ProofResult,
    Proved,
    RunFinished,
    RunProgress,
    RunRecord,
    RunStarted,
    RunState,
    Totals,
    Verified,
    VerifyResult,
    WaitingForServer,
    WorkerStarted,
)
from watching.metrics import exposition
from watching.state import State, applied

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
RULES = yaml.safe_load((MONITORING / "alerts.yml").read_text())
START = 1_767_225_600 * SECOND
TOTALS = Totals(
    points=11, values=12, bytes=13, batches=14, retries=15, failures=16, expired=17, quarantined=18, late=19,
    runs=20, failed_runs=21, newly_quarantined=22,
)  # fmt: skip

Labels = frozenset[tuple[str, str]]


def at(seconds: float) -> int:
    """So long after the start."""
    return START + int(seconds * SECOND)


def state_after(*events: Event) -> State:
    """A daemon with the job `prod`, and these events."""
    known = JobKnown("prod", START, "0 * * * *", "Europe/Berlin", "incremental", "http://a", "http://b")
    state = State(START)
    for event in (known, WorkerStarted("prod", START, 7), *events):
        state = applied(state, event)
    return state


TAKEN = SnapshotTaken("/a", "20260101T000000.000000000Z", 9, 900, 2, 50, 1000, 40, 3, 1200)
AGE = SourceAge("telegraf", at(-50), is_stale=True)


def everything() -> State:
    """Every family has a sample: a job that ran, waits, runs again, was verified."""
    newest = MeasurementState("telegraf", "autogen", "cpu", at(10), "done", newest=at(-50))
    return state_after(
        RunStarted("prod", at(10)),
        MeasurementsChanged("prod", at(12), (newest,)),
        RunFinished(
            "prod",
            at(15),
            RunRecord(at(10), 5.0, "ok", TOTALS, (), ("old",), 1, (AGE,), in_quarantine=5, snapshot=TAKEN),
            1,
            TOTALS,
        ),
        NextRun("prod", at(15), when=at(3600)),
        Verified("prod", at(20), "differs", missing=3, extra=2, different=1),
        Proved("prod", at(18), "whole", files=9, of=9),
        Drilled("prod", at(18), points=7, values=21, seconds=2.5),
        Drilled("prod", at(19), "not done", "Connection refused", seconds=0.5),
        JobKnown("other", at(21), "* * * * *", source="http://a"),
        RunProgress(
            "other", at(25), RunState(at(22), "copying", measurements=4, covered=25, span=100), 1, Totals(points=1)
        ),
        FileChecked("broken", at(26), "config/broken.yaml: 1 problem"),
    )


def samples(state: State, now: int = at(60)) -> dict[str, dict[Labels, float]]:
    """The samples by their names and their labels, without PREFIX."""
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(exposition(state, now).decode()):
        for sample in family.samples:
            name = sample.name.removeprefix("influxdb_backup_")
            found.setdefault(name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def of(job: str, **labels: str) -> Labels:
    """The labels of a job's sample."""
    return frozenset({"backup_job": job, **labels}.items())


# ---------------------------------------------------------------- what they say


def test_every_number_of_a_job_is_there() -> None:
    """Times in seconds, and each total under its own name."""
    found = samples(everything())
    job = of("prod")
    assert found["start_timestamp_seconds"] == {frozenset(): START / SECOND}
    assert found["last_attempt_timestamp_seconds"][job] == at(10) / SECOND
    assert found["last_success_timestamp_seconds"] == {job: at(15) / SECOND}
    assert found["next_run_timestamp_seconds"] == {job: at(3600) / SECOND}
    assert found["lag_seconds"] == {of("prod", database="telegraf"): 110}
    assert found["warnings"] == {of("prod"): 3}
    assert found["quarantine_waiting_lines"] == {job: 5}
    assert found["source_newest_timestamp_seconds"] == {of("prod", database="telegraf"): at(-50) / SECOND}
    assert found["source_stale"] == {of("prod", database="telegraf"): 1}
    assert found["running"] == {of("prod"): 0, of("other"): 1, of("broken"): 0}
    assert found["run_progress_ratio"] == {of("other"): 0.25}
    totals = {
        name.removesuffix("_total"): values[job] for name, values in found.items() if name.endswith("_total")
    }
    assert totals == {
        "written_points": 11, "written_values": 12, "written_bytes": 13, "written_batches": 14, "retries": 15,
        "failures": 16, "expired_lines": 17, "quarantined_lines": 22, "healed_values": 19, "runs": 20,
        "failed_runs": 21,
    }  # fmt: skip


def test_the_durations_of_runs_are_a_histogram() -> None:
    """Cumulative buckets, sum and count."""
    found = samples(everything())
    buckets = {
        dict(k)["le"]: v for k, v in found["run_duration_seconds_bucket"].items() if ("backup_job", "prod") in k
    }
    assert (buckets["1.0"], buckets["5.0"], buckets["15.0"], buckets["+Inf"]) == (0, 1, 1, 1)
    assert found["run_duration_seconds_sum"][of("prod")] == 5
    assert found["run_duration_seconds_count"][of("prod")] == 1


def test_a_job_is_failing_by_cause() -> None:
    """A server, a run, a worker, a file: each is told apart."""
    state = state_after(
        RunFinished("prod", at(15), RunRecord(at(10), 5.0, "FAILED", failures=("x",)), 1),
        WaitingForServer("prod", at(20), "source", "Connection refused", at(80)),
    )
    causes = {dict(labels)["cause"]: value for labels, value in samples(state)["failing"].items()}
    assert causes == {"run": 1, "server": 1, "worker": 0, "file": 0}


def test_a_range_has_no_lag_and_a_database_that_a_reload_removed_leaves() -> None:
    """As on the page."""
    parts = [MeasurementState(name, "autogen", "m", 1, "done", newest=at(0)) for name in ("telegraf", "old")]
    events = [MeasurementsChanged("prod", at(2), tuple(parts))]
    assert "lag_seconds" not in samples(state_after(JobKnown("prod", at(1), mode="range"), *events))
    reloaded = JobKnown("prod", at(9), source="http://a", destination="http://b", databases=("telegraf",))
    assert samples(state_after(*events, reloaded))["lag_seconds"] == {of("prod", database="telegraf"): 60}
    moved = JobKnown("prod", at(9), source="http://a", destination="http://c")
    assert "lag_seconds" not in samples(state_after(*events, moved))


@pytest.mark.parametrize("result", ["equal", "differs", "could not check"])
def test_could_not_check_is_told_apart_from_differs(result: VerifyResult) -> None:
    """One of the three is 1."""
    found = samples(state_after(Verified("prod", at(20), result, missing=3, extra=2, different=1)))
    results = {dict(labels)["result"]: value for labels, value in found["verify_result"].items()}
    assert results == {"equal": 0, "differs": 0, "could not check": 0} | {result: 1}
    values = {dict(labels)["difference"]: value for labels, value in found["verify_values"].items()}
    assert values == {"missing": 3, "extra": 2, "different": 1}
    assert found["last_verify_timestamp_seconds"] == {of("prod"): at(20) / SECOND}


def test_an_archive_and_its_drills_have_their_numbers() -> None:
    """Of a drill that did not pass there is the time when one last did, too."""
    found, job = samples(everything()), of("prod")
    numbers = {
        "archive_snapshots": 3, "archive_bytes": 1200, "archive_newest_snapshot_timestamp_seconds": START / SECOND,
        "archive_last_verify_timestamp_seconds": at(18) / SECOND, "drill_duration_seconds": 0.5,
        "drill_last_attempt_timestamp_seconds": at(19) / SECOND, "drill_restored_points": 0,
        "drill_last_success_timestamp_seconds": at(18) / SECOND,
    }  # fmt: skip
    assert {name: found[name] for name in numbers} == {name: {job: value} for name, value in numbers.items()}
    assert found["archive_snapshot_files"] == {of("prod", kind="new"): 2, of("prod", kind="reused"): 7}


@pytest.mark.parametrize("result", ["passed", "failed", "not done"])
def test_the_results_of_drills_are_told_apart(result: DrillResult) -> None:
    """One of the three is 1."""
    found = samples(state_after(Drilled("prod", at(20), result)))["drill_result"]
    words = ("passed", "failed", "not done")
    assert found == {of("prod", result=word): word == result for word in words}


@pytest.mark.parametrize("result", ["whole", "damaged", "could not check"])
def test_the_results_of_proofs_are_told_apart(result: ProofResult) -> None:
    """One of the three is 1."""
    found = samples(state_after(Proved("prod", at(20), result)))["archive_verify_result"]
    words = ("whole", "damaged", "could not check")
    assert found == {of("prod", result=word): word == result for word in words}


def test_what_is_not_known_yet_has_no_sample() -> None:
    """Not a zero, which would be the year 1970."""
    found = samples(state_after())
    absent = {"last_attempt_timestamp_seconds", "last_success_timestamp_seconds", "next_run_timestamp_seconds",
              "lag_seconds", "run_progress_ratio", "verify_result", "last_verify_timestamp_seconds", "warnings",
              "source_stale", "source_newest_timestamp_seconds", "archive_snapshots", "archive_bytes",
              "archive_newest_snapshot_timestamp_seconds", "archive_snapshot_files", "archive_verify_result",
              "archive_last_verify_timestamp_seconds", "drill_last_attempt_timestamp_seconds", "drill_result",
              "drill_last_success_timestamp_seconds", "drill_duration_seconds",
              "drill_restored_points"}  # fmt: skip
    assert not absent & found.keys()
    assert found["written_points_total"] == {of("prod"): 0}


def test_a_job_that_is_gone_has_no_samples_any_more() -> None:
    """Its series end."""
    found = samples(applied(everything(), JobRemoved("prod", at(30))))
    assert not [name for name, values in found.items() for labels in values if ("backup_job", "prod") in labels]


@pytest.mark.parametrize("name", ['we"ird', "back\\slash", "two\nlines", "é 日本", "a{b='c'}"])
def test_any_name_of_a_job_or_database_arrives_whole(name: str) -> None:
    """Nobody can forge a sample with it."""
    newest = MeasurementState(name, "autogen", "m", at(10), "done", newest=at(0))
    state = state_after(JobKnown(name, at(1)), MeasurementsChanged(name, at(2), (newest,)))
    assert samples(state)["lag_seconds"] == {of(name, database=name): 60}
    promtool("check", "metrics", text=exposition(state, at(60)))


# ---------------------------------------------------------------- conventions, alerts, dashboard


def test_names_units_and_types_are_as_prometheus_wants_them() -> None:
    """Promtool has nothing to remark, of all metrics and of none."""
    promtool("check", "metrics", text=exposition(everything(), at(60)))
    promtool("check", "metrics", text=exposition(State(START), at(60)))


def test_promtool_would_remark_on_a_bad_name() -> None:
    """The check itself."""
    with pytest.raises(AssertionError, match="counter metrics should have"):
        promtool("check", "metrics", text=b"# HELP points Points.\n# TYPE points counter\npoints 1\n")


def test_the_alert_rules_are_valid_and_do_what_they_should() -> None:
    """Promtool plays the stories of alerts_test.yml."""
    promtool("check", "rules", "alerts.yml", directory=MONITORING)
    promtool("test", "rules", "alerts_test.yml", directory=MONITORING)


def test_every_alert_has_a_story_in_which_it_fires() -> None:
    """Otherwise promtool would have nothing to say about it."""
    stories = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    fired = {test["alertname"] for story in stories for test in story["alert_rule_test"] if test["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES["groups"][0]["rules"]}


def expressions() -> list[str]:
    """Every query of the alerts and of the dashboard: panels, variables, annotations."""
    found = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    found += [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    found += [variable["definition"] for variable in DASHBOARD["templating"]["list"]]
    return found + [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]


def test_every_query_asks_for_metrics_that_exist() -> None:
    """With labels that they have."""
    found = samples(everything())
    asked: set[str] = set()
    for expression in expressions():
        for name, matchers in re.findall(r"\binfluxdb_backup_(\w+)(?:\{([^}]*)\})?", expression):
            asked.add(name)
            assert name in found, expression
            labels = {label for labels in found[name] for label, _ in labels} | {"instance"}
            assert set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', matchers)) <= labels, expression
    assert len(expressions()) > 30
    assert found.keys() - asked == {
        "last_attempt_timestamp_seconds",
        "quarantine_waiting_lines",
        "runs_total",
    }


def test_the_dashboard_has_panels_with_titles_that_do_not_overlap() -> None:
    """Each target names the data source that the demo provisions."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place: dict[str, Any] = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert panel["title"]
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"prometheus"}
        taken |= cells


def test_the_command_line_loads_neither_apprise_nor_prometheus() -> None:
    """`main.py --help` is there at once."""
    code = "import sys, main\ntry: main.main(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "'requests'" in done.stdout
    for module in ("apprise", "prometheus_client", "rich.live", "jinja2", "polars", "numpy"):
        assert f"'{module}'" not in done.stdout
