"""Snapshots in a folder: what is at the source is in them, exactly, and comes back; damage is noticed."""

import ast
import importlib
import itertools
import json
import os
import random
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basics.stopping import StopRequest
from basics.times import SECOND
from checking.archives import open_archive, prune, pruning
from config import Config
from influx import line_protocol
from influx.fingerprints import Look
from influx_client import InfluxClient
from main import main, run_worker
from tests.integration.archives import Archived
from tests.integration.harness import DAY, HOUR, MONDAY, ROOT, WEEK, Pair, run_main, snapshot, write_job
from tests.integration.test_exactness import CASES
from tests.integration.test_round_trip import examples, points
from tests.support.archive_reader import read_snapshot
from tests.support.proxy import Exchange, Proxy, forward, only, respond
from tests.support.reader import difference
from tests.support.samples import load_demo_data
from tests.support.servers import InfluxServer
from tests.support.waiting import wait_until


@pytest.fixture
def archived(pair: Pair) -> Archived:
    """The pair's source with an archive."""
    return Archived(pair)


def hourly(weeks: int = 3, begin: int = MONDAY) -> str:
    """Points of all types over some shard groups."""
    return "\n".join(
        f'cpu,host=h{i % 3} v={i}.25,n={i}i,s="text {i % 7}",b={"tf"[i % 2]} {begin + i * HOUR}'
        for i in range(weeks * 7 * 24)
    )


# ---------------------------------------------------------------- exactness


def test_every_nasty_case_comes_back_bit_by_bit(archived: Archived) -> None:
    """Each in a database of its own, all of them in one snapshot."""
    pair = archived.pair
    names = [f"{pair.database}_{number}" for number in range(len(CASES))]
    for name, (content, _) in zip(names, CASES.values(), strict=True):
        pair.source.create_database(name)
        pair.source.write(content, name)
    archived.taken({"source": {"databases": [{"name": name} for name in names]}})
    proof = archived.json("archive", "verify", "--source")
    assert (proof["result"], proof["changed_parts"], proof["damages"]) == ("whole", 0, [])
    archived.main("restore", "--from", "archive", "--yes", "--verify", "full", "--to", pair.destination.url)
    for name, (_, values) in zip(names, CASES.values(), strict=True):
        assert len(snapshot(pair.destination, name)) == values
        assert_kept_and_restored(archived, name)


def assert_kept(archived: Archived, database: str) -> None:
    """The newest snapshot holds the same as the source, each by a reader of its own."""
    expected = snapshot(archived.pair.source, database)
    held = read_snapshot(archived.folder, archived.snapshots()[-1], database)
    assert not difference(expected, held, names=("source", "archive"))


def assert_kept_and_restored(archived: Archived, database: str) -> None:
    """The newest snapshot and the destination hold the same as the source."""
    assert_kept(archived, database)
    expected = snapshot(archived.pair.source, database)
    assert not difference(expected, snapshot(archived.pair.destination, database), names=("source", "restored"))


_numbers = itertools.count()


@examples(6)
@given(data=st.data())
def test_random_points_of_all_kinds_come_back(
    data: st.DataObject, source: InfluxServer, destination: InfluxServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever InfluxDB can keep: names, tags, values, times."""
    pair = Pair(source, destination, f"drawn_{next(_numbers)}", tmp_path_factory.mktemp("drawn"))
    assert_drawn_points_come_back(data, Archived(pair))


def assert_drawn_points_come_back(data: st.DataObject, archived: Archived) -> None:
    """Two databases of random points, in one snapshot; they are dropped."""
    pair = archived.pair
    names = [f"{pair.database}_{number}" for number in range(2)]
    for name in names:
        pair.source.create_database(name)
        for point in data.draw(points(), label=name):
            pair.source.write(line_protocol.encode_point(point), name)
    archived.taken({"source": {"databases": [{"name": name} for name in names]}, "options": {"allow_empty": True}})
    restore = ["restore", "--from", "archive", "--yes", "--verify", "full", "--to", pair.destination.url]
    assert main([*restore, "--config", str(pair.directory / "job.yaml")]) == 0
    for name in names:
        assert_kept_and_restored(archived, name)
        for server in (pair.source, pair.destination):
            server.drop_database(name)


def test_types_that_change_between_shards_come_back(archived: Archived) -> None:
    """Inside a shard group a field has one type, and each group has its files."""
    archived.pair.write(
        f'm v=1 {MONDAY}\nm v=2i {MONDAY + WEEK}\nm v="three" {MONDAY + 2 * WEEK}\nm v=true {MONDAY + 3 * WEEK}'
    )
    archived.taken()
    archived.assert_restored()


def test_floats_that_no_integer_can_hold_come_back_from_a_field_that_is_an_integer_elsewhere(
    archived: Archived,
) -> None:
    """The source adds them up as integers, too."""
    archived.pair.write(
        f"m v=1e300 {MONDAY}\nm v=-1e19 {MONDAY + 1}\nm v=1.5 {MONDAY + 2}\nm v=2i {MONDAY + WEEK}"
    )
    archived.taken()
    archived.assert_restored()


def test_files_of_any_size_hold_the_same(archived: Archived, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones are cut between times, and their sums go on from one to the next."""
    from copying.archive import making, portions

    monkeypatch.setattr(making, "portions", lambda pages: portions.portions(pages, 300))
    archived.pair.write(hourly())
    archived.taken()
    assert len(archived.files()) == 12
    archived.assert_restored()


def test_policies_and_their_settings_come_back(archived: Archived) -> None:
    """As the demo has them, metadata is in the snapshot too."""
    load_demo_data(archived.pair.source, archived.pair.database, weeks=1)
    archived.taken()
    archived.assert_restored()
    (manifest,) = archived.snapshots()
    assert archived.pair.database in json.loads(manifest.read_bytes())["snapshot"]["metadata"]


def test_a_user_without_rights_to_see_shards_gets_the_same(pair: Pair) -> None:
    """Groups are assumed then, and everything is compared in every run."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER reader WITH PASSWORD 'pw'")
        guarded.create_database(pair.database)
        guarded.query(f'GRANT READ ON "{pair.database}" TO reader')
        guarded.write(hourly(), pair.database)
        other = Archived(Pair(guarded, pair.destination, pair.database, pair.directory))
        sections = {"source": {"user": "reader", "password": "pw"}}
        for _ in range(2):
            assert other.run(sections).failures == ()
        assert len(other.files()) == 3
        other.assert_restored()


def test_such_a_user_gets_the_rest_of_an_import_that_goes_back_in_time(pair: Pair) -> None:
    """The shard with the highest number holds the oldest points then; numbers, and a text that is overwritten."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER reader WITH PASSWORD 'pw'")
        guarded.create_database(pair.database)
        guarded.query(f'GRANT READ ON "{pair.database}" TO reader')
        for week in (3, 2, 1):
            guarded.write(hourly(weeks=1, begin=MONDAY + week * WEEK), pair.database)
        other = Archived(Pair(guarded, pair.destination, pair.database, pair.directory))
        sections = {"source": {"user": "reader", "password": "pw"}}
        other.taken(sections)
        for line in ("cpu,host=h9 v=1", 'cpu,host=h0 s="other"'):
            guarded.write(f"{line} {MONDAY + WEEK}", pair.database)
            other.taken(sections)
            assert_kept(other, pair.database)


# ---------------------------------------------------------------- a point in time


def test_what_nobody_wrote_to_is_taken_over(archived: Archived) -> None:
    """The second snapshot names the same files; a late point makes one shard group anew."""
    archived.pair.write(hourly())
    archived.taken()
    before = archived.files()
    first = archived.run()
    assert first.snapshot
    assert (first.snapshot.new_files, archived.files()) == (0, before)
    archived.pair.write(f"cpu,host=late v=1 {MONDAY + WEEK + 5}")
    second = archived.run()
    assert second.snapshot
    assert (second.snapshot.new_files, second.snapshot.files) == (1, 3)
    assert (first.snapshot.snapshots, second.snapshot.snapshots) == (2, 3)
    archived.assert_restored()


@pytest.mark.parametrize(
    "line", ['s="another"', "b=true", "v=-1", "n=7i"], ids=["text", "boolean", "float", "integer"]
)
def test_a_value_that_was_overwritten_is_in_the_next_snapshot(line: str, archived: Archived) -> None:
    """At the same time, so that no count tells, in an old shard group."""
    archived.pair.write(hourly())
    archived.taken()
    archived.pair.write(f"cpu,host=h1 {line} {MONDAY + 25 * HOUR}")
    archived.taken()
    archived.assert_restored()


@pytest.mark.parametrize("value", ["1.5", "7i"])
def test_the_same_values_in_a_field_of_another_name_are_in_the_next_snapshot(
    value: str, archived: Archived
) -> None:
    """A measurement is dropped and written anew: all numbers and times are as before."""
    for field in "ab":
        archived.pair.source.create_database(archived.pair.database)
        archived.pair.source.query("DROP MEASUREMENT m", db=archived.pair.database)
        archived.pair.write("\n".join(f"m,host=h{i % 3} {field}={value} {MONDAY + i * HOUR}" for i in range(90)))
        archived.taken()
        assert_kept(archived, archived.pair.database)
    archived.assert_restored()


def test_rules_that_want_a_field_of_the_same_values_get_that_one(archived: Archived) -> None:
    """Nobody wrote to the source meanwhile."""
    archived.pair.write("\n".join(f"m,host=h{i % 3} x=0,y=0 {MONDAY + i * HOUR}" for i in range(90)))
    for name in "xy":
        archived.taken({"measurements": {"specific": {"m": {"fields": {"include": [name]}}}}})
        held = read_snapshot(archived.folder, archived.snapshots()[-1], archived.pair.database)
        assert {field for _, _, _, field, _ in held.points} == {name.encode()}


def test_a_text_that_was_overwritten_counts_though_the_files_are_as_large_as_before(archived: Archived) -> None:
    """The source has put its files together again meanwhile; of a text fingerprints tell number and time alone."""
    soon = {f"data.{key}-cold-duration": "1s" for key in ("cache-snapshot-write", "compact-full-write")}
    with InfluxServer.start("compacting", settings=soon) as server:
        pair = Pair(server, archived.pair.destination, archived.pair.database, archived.pair.directory)
        own, chance = Archived(pair), random.Random(1)
        pair.write("\n".join(f'm s="{chance.getrandbits(64):016x}" {MONDAY + n}' for n in range(1000)))
        size = compacted(server)
        own.taken()
        pair.write(f'm s="{chance.getrandbits(64):016x}" {MONDAY + 5}')
        wait_until(lambda: compacted(server) == size, "files of the same size")
        own.taken()
        own.assert_restored()


def compacted(server: InfluxServer) -> int:
    """How large the only shard is, once all of it is in one file."""
    sizes = list[int]()

    def is_one() -> bool:
        sizes[:] = [file.stat().st_size for file in server.directory.glob("data/**/*.tsm")]
        told = server.records("SHOW STATS FOR 'shard'")[0]["diskBytes"]
        return len(sizes) == 1 and told == sizes[0]

    wait_until(is_one, "one file", pause=0.2)
    return sizes[0]


def test_points_that_were_deleted_are_gone_from_the_next_snapshot_and_still_in_the_one_before(
    archived: Archived,
) -> None:
    """That is what snapshots are for."""
    archived.pair.write(hourly())
    before = snapshot(archived.pair.source, archived.pair.database)
    name = archived.taken()
    archived.pair.source.restart()  # points in files are deleted without any counter that moves
    archived.pair.source.query(f"DELETE FROM cpu WHERE time >= {MONDAY + WEEK}", db=archived.pair.database)  # noqa: S608
    archived.taken()
    found = archived.restored("--at", name)
    assert not difference(before, found, names=("before", "restored"))


def test_a_server_that_was_restarted_costs_a_comparison_and_no_new_file(archived: Archived) -> None:
    """Numbers are compared by fingerprints, texts are read again; both have the same bytes."""
    archived.pair.write(hourly())
    archived.taken()
    before = archived.files()
    archived.pair.source.restart()
    result = archived.run()
    assert result.snapshot
    assert (result.failures, result.snapshot.new_files, archived.files()) == ((), 0, before)


def test_what_comes_while_it_is_read_does_not_fail_it(archived: Archived) -> None:
    """Writers never stop."""
    from tests.integration.test_restore import writing

    archived.pair.write(hourly(begin=time.time_ns() - 2 * WEEK, weeks=2))
    with writing(archived.pair):
        for _ in range(3):
            archived.taken()
    archived.taken()
    archived.assert_restored()


def test_a_job_with_a_server_and_an_archive_does_both(archived: Archived) -> None:
    """Its summary tells of both."""
    archived.pair.write(hourly())
    sections = {"destination": {"url": archived.pair.destination.url, "archive": str(archived.folder)}}
    archived.job(sections)
    done = archived.main("run", "--once")
    assert "SNAPSHOT job: 2" in done.stdout
    archived.pair.assert_equal()
    assert len(archived.snapshots()) == 1
    assert "1 snapshot of this job" in archived.main("check").stdout


def test_check_tells_of_the_databases_that_a_snapshot_would_hold(archived: Archived) -> None:
    """Those of the job's list, or all there are; what the rules leave out is not counted."""
    pair = archived.pair
    pair.write(f"cpu v=1 {MONDAY}\nmem v=1 {MONDAY}")
    other = f"{pair.database}_other"
    pair.source.create_database(other)
    try:
        archived.job()
        told = archived.main("check").stdout
        assert f"database {pair.database}: 2 measurements" in told
        assert other not in told
        archived.job({"source": {"databases": []}, "measurements": {"exclude": ["cpu"]}})
        told = archived.main("check").stdout
        assert f"database {pair.database}: 1 measurement\n" in told
        assert f"database {other}: 0 measurements" in told
        archived.job({"measurements": {"include": ["nosuch"]}})
        assert "nothing to keep: " in archived.main("check", code=1).stdout
        archived.job({"measurements": {"exclude": ["*"]}, "options": {"allow_empty": True}})
        assert "nothing to keep" not in archived.main("check").stdout
    finally:
        pair.source.drop_database(other)


def test_an_archive_that_keeps_less_than_its_file_says_is_not_green(archived: Archived) -> None:
    """Rules that match nothing, and a database of which nothing is kept: as with a server."""
    pair = archived.pair
    pair.write(f"cpu usage=1,idle=2i {MONDAY}\nmem free=1i {MONDAY}")
    empty = f"{pair.database}_empty"
    pair.source.create_database(empty)
    specific = {"cpu": {"fields": {"include": ["usage", "idel"]}}}
    sections = {
        "source": {"databases": [{"name": pair.database}, {"name": empty}]},
        "measurements": {"include": ["cpu", "memm"], "specific": specific},
    }
    file = archived.job(sections)
    named = (
        "measurements.include[1]: 'memm' matches no measurement of",
        "measurements.specific.cpu.fields.include[1]: 'idel' matches no field there; did you mean 'idle'?",
        f"database {empty}: no measurement at",
    )
    try:
        told = archived.main("check", code=1).stdout
        assert all(part in told for part in named), told
        assert (told.count("PROBLEM"), told.count("WARNING")) == (2, 1)
        result = archived.run(sections)
        assert result.verdict == "ok, 3 warnings"
        assert all(part in caution for part, caution in zip(named, result.cautions, strict=True))
        assert result.cautions[0].startswith(f"{file}: ")
        both = {**sections, "destination": {"url": pair.destination.url}}
        assert archived.run(both).cautions == result.cautions
        sections["measurements"] = {"include": ["cpu"]}
        sections["source"] = {"databases": [{"name": pair.database}]}
        assert archived.run(sections).verdict == "ok"
        assert "PROBLEM" not in archived.main("check").stdout
    finally:
        pair.source.drop_database(empty)
        pair.destination.drop_database(empty)


def test_what_a_snapshot_warns_of_is_not_lost_beside_a_server(archived: Archived) -> None:
    """The server is not copied to, so that only the snapshot sees that the source is old."""
    archived.pair.write(f"cpu v=1 {MONDAY}")
    here = archived.pair.source.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104 -- the same server
    result = archived.run({"destination": {"url": here}, "options": {"max_lag": "1d"}})
    assert len(result.problems) == 1
    assert result.snapshot
    (caution,) = result.cautions
    assert "nothing new at the source since" in caution


# ---------------------------------------------------------------- commands


def test_a_snapshot_of_any_time_can_be_restored(archived: Archived) -> None:
    """By its name, or the newest that is not later than a time."""
    archived.pair.write(hourly(weeks=1))
    name = archived.taken()
    archived.pair.write(hourly(weeks=1, begin=MONDAY + WEEK))
    archived.taken()
    listed = archived.json("archive", "list")["snapshots"]
    assert [line["snapshot"] == name for line in listed] == [True, False]
    assert [line["points"] for line in listed] == [168, 336]
    assert len(archived.restored("--at", listed[0]["taken"])) == 168 * 4
    archived.assert_restored("--existing", "fill")
    wrong = archived.main("restore", "--from", "archive", "--yes", "--at", "2001-01-01", code=2)
    assert f"the oldest is {name}" in wrong.stderr


def test_cat_prints_line_protocol_that_another_server_takes(archived: Archived) -> None:
    """The points of a measurement and a range, or all of it, without any other tool."""
    archived.pair.write(hourly(weeks=2))
    archived.taken()
    text = archived.main("archive", "cat").stdout
    lines = [line for line in text.splitlines() if line.startswith("cpu")]
    assert text.startswith(f'# DDL\nCREATE DATABASE "{archived.pair.database}"\nCREATE RETENTION POLICY ')
    assert f"# DML\n# CONTEXT-DATABASE: {archived.pair.database}\n# CONTEXT-RETENTION-POLICY: autogen\n" in text
    archived.pair.destination.create_database(archived.pair.database)
    archived.pair.destination.write("\n".join(lines), archived.pair.database)
    archived.pair.assert_equal(points=4 * 336)
    some = archived.main("archive", "cat", "--measurement", "c*", "--end", "2024-01-01T05:00:00Z").stdout
    assert sum(line.startswith("cpu") for line in some.splitlines()) == 5
    assert "cpu" not in archived.main("archive", "cat", "--measurement", "mem").stdout
    unknown = archived.main("archive", "cat", "--database", "typo", code=2).stderr
    assert f"database 'typo' is not in the snapshot; it holds: {archived.pair.database}" in unknown


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [("| head -c 9", 0, ""), ("> /dev/full", 2, "cannot write to standard output: No space")],
)
def test_cat_says_in_a_line_that_it_cannot_go_on(end: str, code: int, said: str, archived: Archived) -> None:
    """Nothing where the reader has seen enough."""
    archived.pair.write(hourly(weeks=30))
    archived.taken()
    job = str(archived.pair.directory / "job.yaml")
    tool = shlex.join([sys.executable, str(ROOT / "main.py"), "archive", "cat", "--config", job])
    script = f"set -o pipefail; {tool} {end}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == bool(said)


def test_prune_shows_what_would_go_and_with_yes_it_goes(archived: Archived) -> None:
    """Snapshots first, then files that none names any more and that are older than the grace period."""
    for week in range(3):
        archived.pair.write(hourly(weeks=1, begin=MONDAY + week * HOUR))
        archived.taken()
    assert len(archived.files()) == 5
    archived.job({"archive": {"keep": {"last": 1}, "grace": "1ns"}})
    shown = archived.json("archive", "prune")
    assert (shown["done"], len(shown["removed"]), shown["files"]) == (False, 2, 3)
    assert len(archived.snapshots()) == 3
    done = archived.json("archive", "prune", "--yes")
    assert (done["done"], len(archived.snapshots()), len(archived.files())) == (True, 1, 2)
    assert archived.json("archive", "verify")["result"] == "whole"
    archived.assert_restored()


def test_prune_without_a_rule_does_nothing(archived: Archived) -> None:
    """Nobody has said what to keep."""
    archived.pair.write(hourly(weeks=1))
    archived.taken()
    assert "archive.keep says nothing" in archived.main("archive", "prune", "--yes", code=2).stderr


def test_a_snapshot_that_is_stopped_publishes_nothing(archived: Archived) -> None:
    """It is told as stopped, and the next one holds all of it."""
    archived.pair.write(hourly(weeks=3))
    stopping, reads = StopRequest(), itertools.count()

    def stop(exchange: Exchange) -> None:
        stopping.requested = next(reads) > 0
        forward(exchange)

    with Proxy(archived.pair.source.url) as proxy:
        proxy.inject(only(lambda question: "LIMIT" in question, stop), "query", count=None)
        result = run_worker(archived.job({"source": {"url": proxy.url}}), stopping)
    assert (result.outcome, result.snapshot) == ("stopped", None)
    assert archived.snapshots() == []
    archived.taken()
    archived.assert_restored()


def test_a_job_with_a_long_name_is_pruned(archived: Archived) -> None:
    """Its folder has a shorter one."""
    archived.pair.write(hourly(weeks=1))
    config = archived.pair.config({"archive": {"keep": {"last": 1}}})
    config["destination"] = {"archive": str(archived.folder)}
    path = write_job(archived.pair.directory, config, "n" * 150 + "\N{CYRILLIC SMALL LETTER A}" * 20)
    for _ in range(2):
        assert run_worker(path).failures == ()
    done = run_main("archive", "prune", "--yes", "--config", path)
    assert (done.returncode, len(archived.snapshots())) == (0, 1), done.stderr


def test_a_file_that_a_run_names_again_while_others_are_removed_stays(archived: Archived) -> None:
    """It was old when the plan was made."""
    archived.pair.write(f"cpu v=1 {MONDAY}")
    archived.taken()
    archived.pair.write(f"cpu v=2 {MONDAY}")
    sections = {"archive": {"keep": {"last": 1}, "grace": "1ns"}}
    archived.taken(sections)
    archive = open_archive(str(archived.folder))
    plan = pruning(archive, Config(archived.job(sections)).job, time.time_ns())
    assert len(plan.files) == 1
    archived.pair.write(f"cpu v=1 {MONDAY}")
    archived.taken(sections)
    prune(archive, plan)
    assert archived.json("archive", "verify")["result"] == "whole"
    archived.assert_restored()


def test_a_young_file_that_no_snapshot_names_stays(archived: Archived) -> None:
    """A run may be about to name it."""
    archived.pair.write(hourly(weeks=1))
    archived.taken()
    young = archived.files()[0].with_name("0" * 64 + ".parquet")
    young.write_bytes(b"half")
    archived.job({"archive": {"keep": {"last": 1}}})
    assert archived.json("archive", "prune", "--yes")["files"] == 0
    assert young.exists()


def test_what_a_killed_writer_left_goes_too(archived: Archived) -> None:
    """Beside files and beside snapshots, once it is old."""
    archived.pair.write(hourly(weeks=1))
    archived.taken()
    left = [path.with_name(".new-0123") for path in (archived.files()[0], archived.snapshots()[0])]
    for path in left:
        path.write_bytes(b"half")
    archived.job({"archive": {"keep": {"last": 1}}})
    assert archived.json("archive", "prune", "--yes")["files"] == 0
    archived.job({"archive": {"keep": {"last": 1}, "grace": "1ns"}})
    assert archived.json("archive", "prune", "--yes")["files"] == 2
    assert not any(path.exists() for path in left)
    assert archived.json("archive", "verify")["result"] == "whole"


# ---------------------------------------------------------------- damage


def test_every_byte_of_a_small_snapshot_that_is_flipped_is_noticed(archived: Archived) -> None:
    """In its file, in the snapshot, and in archive.json; restore refuses it before anything is written."""
    from checking.archives import verified
    from config import Config
    from copying.archive.errors import ArchiveError

    archived.pair.write('m,t=a v=1,s="x" 1\nm v=2i 2'.replace("v=2i", "w=2i"))
    archived.taken()
    config = Config(archived.job())
    flipped = 0
    for file in (*archived.files(), *archived.snapshots(), archived.folder / "archive.json"):
        content = file.read_bytes()
        for place in range(len(content)):
            file.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
            try:
                word = verified(config, 1.0, with_source=False, stopping=StopRequest()).word
            except ArchiveError:
                word = "DAMAGED"
            assert word == "DAMAGED", (file, place)
            flipped += 1
        file.write_bytes(content)
    assert flipped > 2000
    archived.files()[0].write_bytes(b"x" * archived.files()[0].stat().st_size)
    refused = archived.main("restore", "--from", "archive", "--yes", "--to", archived.pair.destination.url, code=2)
    assert "is damaged" in refused.stderr
    assert [archived.pair.database] not in archived.pair.destination.rows("SHOW DATABASES")


def test_a_file_that_is_lost_or_cut_is_named_and_the_next_run_writes_it_again(archived: Archived) -> None:
    """The source still has it."""
    archived.pair.write(hourly())
    archived.taken()
    lost, cut, changed = archived.files()
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    proof = archived.json("archive", "verify", code=1)
    assert (proof["result"], len(proof["damages"])) == ("DAMAGED", 2)
    assert str(lost.relative_to(archived.folder)) in json.dumps(proof)
    result = archived.run()
    assert result.failures == ()
    assert [text for text in result.cautions if lost.name in text]
    assert archived.json("archive", "verify")["result"] == "whole"
    content = changed.read_bytes()
    changed.write_bytes(content[:50] + b"\x00" + content[51:])
    assert archived.json("archive", "verify", code=1)["result"] == "DAMAGED"
    archived.pair.write(
        f"cpu,host=h0 v=1 {MONDAY}\ncpu,host=h0 v=1 {MONDAY + WEEK}\ncpu,host=h0 v=1 {MONDAY + 2 * WEEK}"
    )
    archived.taken()
    archived.assert_restored()


def test_a_file_that_is_damaged_is_written_again_when_its_shard_group_is_looked_at(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By chance, in one run or another; or as soon as somebody has deleted it."""
    archived.pair.write(hourly())
    archived.taken()
    first, other, _ = archived.files()
    monkeypatch.setattr(random, "choice", min)
    for file in (first, other):
        content = file.read_bytes()
        file.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    (caution,) = archived.run().cautions
    assert f"{first.name} is damaged" in caution
    assert "it is written again" in caution
    other.unlink()
    archived.taken()
    assert archived.json("archive", "verify")["result"] == "whole"
    archived.assert_restored()


@pytest.mark.parametrize("now", ["1.9", "1.0"])
def test_a_number_that_was_overwritten_where_another_shard_group_has_another_type_is_kept(
    now: str, archived: Archived
) -> None:
    """The sum of integers drops what is behind the point."""
    archived.pair.write(f"cpu v=5.5 {MONDAY}\ncpu v=1.2 {MONDAY + 1}\ncpu v=5i {MONDAY + WEEK}")
    archived.taken()
    archived.pair.write(f"cpu v={now} {MONDAY + 1}")
    archived.taken()
    archived.assert_restored()


@pytest.mark.parametrize(
    ("lines", "types"),
    [
        ('cpu v="a",w=1 {}\ncpu v=2 {}', ["float"]),
        ("cpu v=1i,w=1 {}\ncpu v=2 {}", ["float"]),
        ('cpu v=true,w="t" {}\ncpu v="s" {}', ["string"]),
    ],
)
def test_a_field_of_which_one_type_is_wanted_may_have_others(
    lines: str, types: list[str], archived: Archived
) -> None:
    """In the first row of a series, too, where the source shows them."""
    archived.pair.write(lines.format(MONDAY, MONDAY + WEEK))
    sections = {"measurements": {"specific": {"cpu": {"fields": {"types": types}}}}}
    for _ in range(2):
        archived.taken(sections)
    found = archived.restored()
    assert len(found) == 2
    assert {value[0] for value in found.points.values()} == set(types)


def test_a_restore_of_another_snapshot_does_not_go_on_where_one_was_stopped(archived: Archived) -> None:
    """What came of the other one is written over."""
    names = []
    for value in (1, 2):
        archived.pair.write("\n".join(f"cpu v={value} {MONDAY + i * WEEK}" for i in range(20)))
        names.append(archived.taken())
    with Proxy(archived.pair.destination.url) as proxy:
        command = ("restore", "--from", "archive", "--yes", "--to", proxy.url, "--existing", "overwrite")
        late = str(MONDAY + 15 * WEEK)
        fault = proxy.inject(only(lambda text: f" {late}" in text, respond(400)), "write", count=None)
        archived.main(*command, "--at", names[1], code=1)
        assert fault.injected > 0
        proxy.heal()
        archived.main(*command, "--at", names[0])
    found = snapshot(archived.pair.destination, archived.pair.database)
    assert [value for _, value in found.points.values()] == ["1.0"] * 20


def test_series_that_are_too_many_to_be_compared_fail_the_snapshot(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for half of the time, and half of that: not for ever."""
    archived.pair.write(hourly(weeks=1))
    asked = list[int]()

    def nothing_fits(_client: InfluxClient, looks: Sequence[Look]) -> list[None]:
        asked.extend(look.span.length for look in looks)
        return [None] * len(looks)

    monkeypatch.setattr(InfluxClient, "get_fingerprints", nothing_fits)
    result = archived.run()
    assert "one second holds too many series to compare" in result.failures[0]
    assert min(asked) > SECOND // 2
    assert archived.snapshots() == []


def test_a_clock_that_goes_backwards_publishes_nothing(archived: Archived) -> None:
    """Its snapshot would not be the newest one."""
    archived.pair.write(hourly(weeks=1))
    name = archived.taken()
    (manifest,) = archived.snapshots()
    later = manifest.with_name(name.replace("2026", "2126") + ".json")
    manifest.rename(later)
    result = archived.run()
    assert "correct the clock" in result.failures[0]
    assert archived.snapshots() == [later]
    assert "is later than this machine's clock: correct the clock" in archived.main("check", code=1).stdout


def test_a_newer_format_is_refused_and_left_alone(archived: Archived) -> None:
    """Another version of this tool has written it."""
    from copying.archive import manifest

    archived.pair.write(hourly(weeks=1))
    archived.taken()
    (file,) = archived.snapshots()
    body = json.loads(file.read_bytes())["snapshot"]
    file.write_bytes(manifest.sealed("snapshot", {**body, "format": 2}))
    result = archived.run()
    assert "update this tool" in result.failures[0]
    assert archived.snapshots() == [file]


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_published(
    archived: Archived, tmp_path: Path
) -> None:
    """A missing mount, a file instead of a folder."""
    archived.pair.write(hourly(weeks=1))
    archived.folder = tmp_path / "missing" / "mount" / "archive"
    assert "create it, or mount it" in archived.run().failures[0]
    (tmp_path / "file").write_text("")
    archived.folder = tmp_path / "file"
    assert str(archived.folder) in archived.run().failures[0]


def test_a_source_that_holds_nothing_is_no_good_snapshot(archived: Archived) -> None:
    """Unless the job allows it."""
    archived.pair.source.create_database(archived.pair.database)
    assert "nothing to keep" in archived.run().failures[0]
    archived.taken({"options": {"allow_empty": True}})


def test_verify_and_repair_of_servers_say_that_this_is_an_archive(archived: Archived) -> None:
    """And which command proves it."""
    archived.pair.write(hourly(weeks=1))
    archived.taken()
    assert "main.py archive verify" in archived.main("verify", code=2).stdout
    assert "nothing" not in archived.main("check").stdout
    assert archived.main("status", code=2)


def test_two_writers_cannot_hurt_each_other(archived: Archived) -> None:
    """Both publish, of the same files."""
    from concurrent.futures import ThreadPoolExecutor

    archived.pair.write(hourly())
    job = archived.job()
    from tests.integration.harness import run_main

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: run_main("run", "--once", "--config", job), range(2)))
    assert [each.returncode for each in done] == [0, 0], done
    assert (len(archived.snapshots()), len(archived.files())) == (2, 3)
    assert archived.json("archive", "verify")["result"] == "whole"


def test_shard_groups_that_overlap_are_not_kept_twice(archived: Archived) -> None:
    """After the shard duration was altered; from 1.12 on the server cuts them."""
    archived.pair.write(hourly(weeks=1))
    archived.pair.source.query(f'ALTER RETENTION POLICY autogen ON "{archived.pair.database}" SHARD DURATION 1d')
    archived.pair.write("\n".join(f"cpu,host=z v={i} {MONDAY + 6 * DAY + i * HOUR}" for i in range(72)))
    archived.taken()
    archived.assert_restored()


def test_other_programs_read_the_files(archived: Archived) -> None:
    """As docs/archive.md shows it."""
    import glob

    import pandas
    import polars

    archived.pair.write(hourly() + f"\ncpu,host=h0 late=1 {MONDAY + 2 * WEEK}")
    archived.taken()
    page = (ROOT / "docs" / "archive.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = block.replace("/backups/influx/data/telegraf", f"{archived.folder}/data/{archived.pair.database}")
    names = {"polars": polars, "pandas": pandas, "glob": glob}
    lines = (ast.unparse(statement) for statement in ast.parse(code).body)
    scanned, joined = (eval(line, names) for line in lines)  # noqa: S307 -- it is our own page
    assert scanned.select(polars.len()).collect().item() == 3 * 7 * 24
    assert scanned.select(polars.col("f:n").sum()).collect().item() == sum(range(3 * 7 * 24))
    assert len(joined) == 3 * 7 * 24
    assert set(joined.columns) == {"time", "t:host", "f:v", "f:n", "f:s", "f:b", "f:late"}


@pytest.mark.skipif("VERSION_TESTS" not in os.environ, reason="make test-versions brings DuckDB")
def test_duckdb_reads_the_files(archived: Archived) -> None:
    """As docs/archive.md shows it."""
    duckdb: Any = importlib.import_module("duckdb")
    archived.pair.write(hourly() + f"\ncpu,host=h0 late=1 {MONDAY + 2 * WEEK}")
    archived.taken()
    page = (ROOT / "docs" / "archive.md").read_text()
    (query,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    query = query.replace("/backups/influx/data/telegraf", f"{archived.folder}/data/{archived.pair.database}")
    rows = duckdb.sql(query.replace("f:usage_idle", "f:n")).fetchall()
    assert sorted(rows) == [(f"h{i}", sum(range(i, 504, 3)) / 168) for i in range(3)]
