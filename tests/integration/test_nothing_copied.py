"""A job that protects nothing, or less than its file says, is never green."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from copying.inventory import Inventory, take_inventory
from copying.results import JobResult
from main import run_worker
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair, job_config, run_main, write_job
from tests.integration.parts import parts
from tests.support.proxy import Proxy, error_document, only, respond
from tests.support.servers import InfluxServer


@pytest.fixture
def lonely() -> Iterator[tuple[InfluxServer, InfluxServer]]:
    """Two servers that hold nothing yet, for jobs that copy all databases."""
    with InfluxServer.start("lonely") as source, InfluxServer.start("copy") as destination:
        yield source, destination


def _run(directory: Path, servers: tuple[InfluxServer, InfluxServer], **sections: Any) -> JobResult:  # noqa: ANN401
    return run_worker(write_job(directory, job_config(*servers, [], sections)))


RULES: dict[str, Any] = {
    "include": ["cpu*", "dsk", "mem"],
    "exclude": ["/temp$/"],
    "specific": {
        "cpu": {"fields": {"include": ["usage", "idel"], "exclude": ["x*"], "types": ["numeric", "string"]}},
        "net*": {"fields": {"types": ["float"]}},
        "cpu*": {"fields": {"include": ["load"]}},
    },
}


def test_every_rule_that_matches_nothing_is_named_by_check_and_by_each_run(pair: Pair) -> None:
    """Patterns of measurements and fields, names of `specific`, types: with the key and what comes nearest."""
    pair.write("cpu usage=1,idle=2i 1\nmem free=1i 1\ndisk used=1 1")
    path = write_job(pair.directory, pair.config({"measurements": RULES}))
    named = (
        "measurements.include[1]: 'dsk' matches no measurement of",
        "did you mean 'disk'?",
        "measurements.exclude[0]: '/temp$/' matches no measurement",
        "measurements.specific.cpu.fields.include[1]: 'idel' matches no field there; did you mean 'idle'?",
        "measurements.specific.cpu.fields.exclude[0]: 'x*' matches no field there",
        "measurements.specific.cpu.fields.types: no field there is string",
        "measurements.specific.net*: 'net*' matches no measurement",
        "measurements.specific.cpu*: has no effect",
    )
    done = run_main("check", "--config", path)
    assert done.returncode == 1
    assert all(part in done.stdout for part in named), done.stdout
    assert done.stdout.count("PROBLEM") == 7
    ran = run_main("run", "--once", "--config", path)
    assert ran.returncode == 0
    assert all(part in ran.stdout for part in named), ran.stdout
    assert ran.stdout.count(f"WARNING job: {path}: measurements") == 7
    assert "ok, 7 warnings" in ran.stdout
    assert {at[1] for at in pair.found().points} == {b"cpu", b"mem"}


def test_a_rule_is_looked_for_in_all_databases_of_the_job(pair: Pair) -> None:
    """What one of them has is matched, and rules that all match say nothing."""
    other = f"{pair.database}_other"
    pair.write("cpu v=1 1")
    try:
        pair.source.create_database(other)
        pair.source.write("mem v=1 1", other)
        config = job_config(pair.source, pair.destination, [pair.database, other])
        config["measurements"] = {"include": ["cpu", "mem"], "specific": {"m*": {"fields": {"include": ["v"]}}}}
        result = run_worker(write_job(pair.directory, config))
        assert result.outcome == "ok"
        assert result.cautions == ()
    finally:
        pair.source.drop_database(other)
        pair.destination.drop_database(other)


def test_specific_takes_globs_and_regexes_and_the_exact_name_comes_first(pair: Pair) -> None:
    """Then the first key that matches."""
    pair.write("cpu a=1,b=2,c=3 1\ncpu_load a=1,b=2,c=3 1\ndisk a=1,b=2,c=3 1")
    specific = {
        "*_load": {"fields": {"include": ["a"]}},
        "/load|disk/": {"fields": {"include": ["b"]}},
        "cpu": {"fields": {"include": ["c"]}},
    }
    result = pair.backup({"measurements": {"specific": specific}})
    assert result.cautions == ()
    found = {(at[1], at[3]) for at in pair.found().points}
    assert found == {(b"cpu", b"c"), (b"cpu_load", b"a"), (b"disk", b"b")}


@pytest.mark.parametrize("measurements", [{"include": ["cpuu"]}, {"exclude": ["*"]}])
def test_a_run_that_selects_no_measurement_fails_unless_that_is_allowed(
    measurements: dict[str, list[str]], pair: Pair
) -> None:
    """Nothing is created at the destination either."""
    pair.write("cpu v=1 1")
    result = pair.backup({"measurements": measurements})
    assert not result.succeeded
    assert "nothing to copy" in result.problems[0]
    assert "options.allow_empty" in result.problems[0]
    assert pair.database not in {row[0] for row in pair.destination.rows("SHOW DATABASES")}
    assert pair.backup({"measurements": measurements, "options": {"allow_empty": True}}).outcome == "ok"


def test_a_source_without_a_database_or_a_measurement_fails_the_run_and_the_check(
    lonely: tuple[InfluxServer, InfluxServer], tmp_path: Path
) -> None:
    """With exit code 1, and without once that is allowed."""
    path = write_job(tmp_path, job_config(*lonely, []))
    assert "shows this user no database" in _run(tmp_path, lonely).failures[0]
    lonely[0].create_database("empty")
    assert "empty at http" in _run(tmp_path, lonely).failures[0]
    assert run_main("run", "--once", "--config", path).returncode == 1
    checked = run_main("check", "--config", path)
    assert (checked.returncode, "PROBLEM: nothing to copy" in checked.stdout) == (1, True)
    assert _run(tmp_path, lonely, options={"allow_empty": True}).outcome == "ok"


JUNE_POINT = 2_286_000_000_000_000_000
JUNE = {"backup_mode": "range", "range": {"start_date": "2042-06-01", "end_date": "2042-07-01"}}


@pytest.mark.parametrize(
    ("options", "where"),
    [
        (JUNE, "in [2042-06-01T00:00:00Z, 2042-07-01T00:00:00Z)"),
        ({"incremental": {"fallback_days": 7}}, "where this run reads"),
    ],
    ids=["range", "fallback_days"],
)
def test_a_run_that_meets_not_one_point_warns(options: dict[str, Any], where: str, pair: Pair) -> None:
    """By database, where the rules select a measurement of it; not where that is allowed, nor when it met one."""
    pair.write(f"cpu v=1 {MONDAY}\nmem v=1 {MONDAY}\nnet v=1 {MONDAY}")
    job = {"options": options, "measurements": {"exclude": ["net"]}}
    result = pair.backup(job)
    warning = (
        f"database {pair.database}: 2 measurements to copy, and not one point {where}; nothing of it is copied"
    )
    assert (result.outcome, result.cautions) == ("ok", (warning,))
    assert pair.backup({**job, "options": {**options, "allow_empty": True}}).cautions == ()
    pair.write(
        f"net v=1 {time.time_ns() - HOUR}\nmem v=1 {JUNE_POINT if options is JUNE else time.time_ns() - HOUR}"
    )
    for points in (1, 0):
        again = pair.backup(job)
        assert (again.outcome, again.cautions, again.written.points) == ("ok", (), points)


def test_what_the_source_has_lost_is_a_warning_with_numbers(
    lonely: tuple[InfluxServer, InfluxServer], tmp_path: Path
) -> None:
    """Measurements and whole databases that only the destination still has; they stay there."""
    source, destination = lonely
    for database in ("kept", "gone", "emptied"):
        source.create_database(database)
        source.write("cpu v=1 1\nmem v=1 1\ndisk v=1 1", database)
    copied = _run(tmp_path, lonely)
    assert (copied.outcome, copied.cautions) == ("ok", ())
    source.query("DROP DATABASE gone")
    for measurement in ("mem", "disk"):
        source.query(f'DROP MEASUREMENT "{measurement}"', db="kept")
    for measurement in ("cpu", "mem", "disk"):
        source.query(f'DROP MEASUREMENT "{measurement}"', db="emptied")
    result = _run(tmp_path, lonely)
    assert result.outcome == "ok"
    told = "\n".join(result.cautions)
    assert "the destination holds 1 database that" in told
    assert ": gone; dropped there" in told
    assert "the destination's kept holds 2 measurements that the source does not: disk, mem" in told
    assert "the destination's emptied holds 3 measurements" in told
    assert "database emptied: no measurement at" in told
    checked = run_main("check", "--config", write_job(tmp_path, job_config(*lonely, [])))
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("WARNING") == 4
    assert len(destination.rows("SELECT v FROM cpu, mem", db="gone")) == 2


@pytest.mark.parametrize("affixes", [{"suffix": "_bak"}, {"prefix": "bak_"}, {"prefix": "b_", "suffix": "_k"}])
def test_only_databases_that_could_be_copies_are_named_as_lost(
    affixes: dict[str, str], lonely: tuple[InfluxServer, InfluxServer], tmp_path: Path
) -> None:
    """By their names: other databases of the destination are nobody's business."""
    source, destination = lonely
    for database in ("kept", "gone"):
        source.create_database(database)
        source.write("cpu v=1 1", database)
    around = affixes.get("prefix", ""), affixes.get("suffix", "")
    for other in ("something_else", f"x{around[1]}" if around[0] else "x", "".join(around)):
        destination.create_database(other)
    assert _run(tmp_path, lonely, source=affixes).cautions == ()
    source.query("DROP DATABASE gone")
    (told,) = _run(tmp_path, lonely, source=affixes).cautions
    assert f"this user: {around[0]}gone{around[1]}; dropped there" in told


def test_nothing_new_is_said_when_nothing_is_new(pair: Pair) -> None:
    """The newest points are read and written again in each run, and are no news: in no number at all."""
    pair.write("\n".join(f"cpu,host={h} a={i},b={i}i {MONDAY + i * HOUR}" for i in range(3) for h in "xyz"))
    pair.write(f"mem free=1i {MONDAY}")
    first = pair.backup()
    assert (first.written.points, first.written.values) == (10, 19)
    again = pair.backup()
    assert (again.written.points, again.written.values, again.written.bytes) == (0, 0, 0)
    assert "run ended: nothing new in" in again.sentence
    pair.write(f"cpu,host=new a=1,b=2i {MONDAY + 2 * HOUR}\ncpu,host=x a=5 {MONDAY + 3 * HOUR}")
    more = pair.backup()
    assert (more.written.points, more.written.values, more.late) == (2, 3, 2)
    assert pair.backup().written.points == 0
    pair.assert_equal()


@pytest.mark.parametrize("mode", ["range", "alone", "forecasts"])
def test_points_that_are_written_again_do_not_count_as_new(mode: str, pair: Pair) -> None:
    """In range mode, of a measurement that travels alone, and of forecasts."""
    now = time.time_ns()
    pair.write("\n".join(f"cpu,host={h} a={i},b={i} {now + (i - 40) * HOUR}" for i in range(48) for h in "xy"))
    sections: dict[str, Any] = {}
    if mode == "range":
        limits = {"start_date": "2020-01-01", "end_date": "2200-01-01"}
        sections = {"options": {"backup_mode": "range", "range": limits}}
    if mode != "forecasts":
        pair.source.query(f"DELETE WHERE time > {now}", db=pair.database)
    first, again = pair.backup(sections), pair.backup(sections)
    assert first.written.points == (96 if mode == "forecasts" else 82)
    assert (again.written.points, again.written.values) == (0, 0)
    pair.write(f"cpu,host=x a=1 {now - HOUR // 2}")
    assert pair.backup(sections).written.values == 1
    pair.assert_equal()


def test_late_values_count_once(pair: Pair) -> None:
    """Not the windows around them, that are copied with them."""
    now = time.time_ns() // DAY * DAY
    pair.write("\n".join(f"cpu,host={h} a={i} {now - i * HOUR // 10}" for i in range(200) for h in "xy"))
    pair.backup()
    pair.write("\n".join(f"cpu,host=late a={i} {now - i * HOUR}" for i in range(5)))
    result = pair.backup()
    assert (result.written.points, result.written.values, result.late) == (5, 5, 5)
    pair.assert_equal()


def test_a_source_that_has_nothing_new_for_longer_than_max_lag_is_warned_of(pair: Pair) -> None:
    """The newest point at the source itself counts, not that of the copy; points of the future do not."""
    now = time.time_ns()
    pair.write(f"cpu v=1 {now - 3 * HOUR}\nmem v=1 {now - 5 * HOUR}\nmem v=1 {now + DAY}")
    sections = {"options": {"max_lag": "2h"}}
    for _ in range(2):
        result = pair.backup(sections)
        assert result.outcome == "ok"
        assert "nothing new at the source since" in result.cautions[0]
        assert "options.max_lag is 2h" in result.cautions[0]
        assert [(age.newest, age.is_stale) for age in result.ages] == [(now - 3 * HOUR, True)]
    assert pair.backup({"options": {"max_lag": "4h"}}).cautions == ()
    path = write_job(pair.directory, pair.config(sections))
    done = run_main("run", "--once", "--config", path)
    assert (done.returncode, "ok, 1 warning" in done.stdout) == (0, True)
    checked = run_main("check", "--config", path)
    assert (checked.returncode, "WARNING: database" in checked.stdout) == (0, True)
    pair.write(f"cpu v=1 {now}")
    assert pair.backup(sections).cautions == ()


def test_what_only_the_destination_still_has_does_not_hide_that_the_source_is_old(pair: Pair) -> None:
    """The source lost its newest points."""
    now = time.time_ns()
    pair.write(f"cpu v=1 {now - HOUR}\ncpu v=1 {now - DAY}")
    sections = {"options": {"max_lag": "2h", "field_obsolete_threshold": "1h"}}
    assert pair.backup(sections).cautions == ()
    pair.source.query(f"DELETE WHERE time = {now - HOUR}", db=pair.database)
    (age,) = pair.backup(sections).ages
    assert (age.newest, age.is_stale) == (now - DAY, True)


def test_points_that_only_the_destination_has_are_a_warning_with_their_number_in_every_run(pair: Pair) -> None:
    """As long as they are there: what was looked at once is not forgotten, nor looked at again."""
    pair.write("\n".join(f"cpu,host={h} a={i},b={i} {MONDAY + i * HOUR}" for i in range(700) for h in "xy"))
    assert pair.backup().cautions == ()
    gone = [f"host = 'y' AND time < {MONDAY + 10 * HOUR}"]
    gone.append(f"host = 'x' AND time >= {MONDAY + 2 * WEEK} AND time < {MONDAY + 2 * WEEK + 7 * HOUR}")
    for condition in gone:
        pair.source.query(f"DELETE FROM cpu WHERE {condition}", db=pair.database)  # noqa: S608
    for _ in range(3):
        result = pair.backup()
        assert (result.outcome, result.extra) == ("ok", 34)
        assert "the destination holds 34 values that the source lacks" in result.cautions[0]
    for condition in gone:
        pair.destination.query(f"DELETE FROM cpu WHERE {condition}", db=pair.database)  # noqa: S608
    assert pair.backup().cautions == ()


def test_what_cannot_be_looked_at_is_left_out_and_a_server_that_is_gone_is_asked_no_further(pair: Pair) -> None:
    """Then nothing is said of rules, or of what is not there; nor of a database that the source lacks."""
    names = [pair.database, f"{pair.database}_b", f"{pair.database}_c"]
    for name in names:
        pair.source.create_database(name)
        pair.source.write("m,t=x v=1,w=2i 1", name)
    pair.destination.create_database(names[0])
    pair.destination.write("old v=1 1", names[0])
    rules = {"specific": {"m": {"fields": {"include": ["v"]}}}}
    listed = {"databases": [{"name": name} for name in names]}
    try:
        for answer, asked in ((error_document("no reason"), 3), (respond(503), 1)):
            with Proxy(pair.source.url) as proxy:
                changes = {"source": {**listed, "url": proxy.url}, "options": {"retries": 0}}
                with parts(pair, changes) as run:
                    fault = proxy.inject(
                        only(lambda text: "SHOW MEASUREMENTS" in text, answer), "query", count=None
                    )
                    assert take_inventory(run.job, run.source, run.destination) == Inventory(is_whole=False)
                    assert fault.injected == asked
        with parts(pair, {"source": listed, "measurements": rules}) as run:
            found = take_inventory(run.job, run.source, run.destination)
            assert [(database.name, database.copied) for database in found.databases] == [
                (names[0], ("old",)),
                (names[1], ()),
                (names[2], ()),
            ]
            assert found.databases[1].fields == {"m": {"v": ("float",), "w": ("integer",)}}
            assert (found.is_whole, found.orphans) == (True, ())
        with parts(pair, {"source": {"databases": [{"name": n} for n in (names[0], "missing")]}}) as run:
            found = take_inventory(run.job, run.source)
            assert ([database.name for database in found.databases], found.is_whole) == ([names[0]], False)
            assert (found.databases[0].copied, found.databases[0].fields) == ((), {})
    finally:
        for name in names[1:]:
            pair.source.drop_database(name)
