"""What a database has besides points is saved by each run, and comes back."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from basics.stopping import StopRequest
from copying.metadata import restoring, store, tokens
from copying.metadata.passwords import GeneratedPasswords, GivenPasswords
from copying.metadata.restoring import MetadataPlan
from copying.metadata.running import running_queries
from copying.metadata.snapshot import SavedMetadata
from copying.results import JobResult
from influx.entries import ContinuousQuery
from influx.errors import Unreachable
from influx.influxql import Policy
from influx_client import InfluxClient, connect
from main import run_worker
from settings.keys import Options, Server
from tests.integration.harness import Pair, endpoint, job_config, run_main, write_job
from tests.support.servers import InfluxServer, Settings, quoted

ALL = ("policies", "queries", "users", "grants", "subscriptions")

AWKWARD = (
    'SELECT mean("DB") INTO @."p"."DB" FROM @."DB"."DB" GROUP BY time(1m)',
    'SELECT mean(v) INTO m FROM n WHERE "DB" = \'DB\' GROUP BY time(1m), "DB"',
    'SELECT mean(v) INTO m FROM n WHERE t = \'"DB"."p"."m"\' GROUP BY time(1m)',
    "SELECT mean(v) INTO m FROM n WHERE t = ' FROM \"DB\".p.m' GROUP BY time(1m)",
    r"SELECT mean(v) INTO m FROM n WHERE t = 'it\'s \\' AND u = '\\\' FROM \"DB\".p.m' GROUP BY time(1m)",
    r'SELECT mean(v) INTO m FROM n WHERE t =~ /^\/"DB".p.m\/\\x/ GROUP BY time(1m)',
    r"SELECT mean(v) INTO m FROM n WHERE t !~ /\\\\\/ FROM \"DB\".p.m/ GROUP BY time(1m)",
    'SELECT mean(v) INTO @.p.:MEASUREMENT FROM @.p./"DB".p.m/ GROUP BY time(1m), *',
    "SELECT mean(v) INTO m FROM /^DB/, n, /x\\/y/ GROUP BY time(1m)",
    "SELECT mean(v) INTO @..m FROM @..n GROUP BY time(1m)",
    'SELECT mean(v) INTO "into" FROM "from", "ON"."BEGIN"."END" GROUP BY time(1m)',
    'SELECT mean("from") AS "INTO" INTO "a.b.c" FROM "DB.p.m", @."p.q"."m.n" GROUP BY time(1m)',
    "SELECT max(x) INTO m FROM (SELECT mean(v) AS x FROM @.p.n GROUP BY time(1m), *) GROUP BY time(1h)",
    "SELECT max(x) INTO m FROM (SELECT v AS x FROM @.p.a, @.q.b), (SELECT v AS x FROM c) GROUP BY time(1h)",
    "SELECT max(x) INTO m FROM (SELECT x FROM (SELECT a / b AS x FROM @.p.n), @.p.o) GROUP BY time(1h)",
    "SELECT mean(v) / 2 * max(w) / min(u) INTO m FROM @.p.n WHERE a / b > 1 AND t =~ /x/ GROUP BY time(1m)",
    'SELECT mean("a\\"b") AS "x\\ny" INTO "m\\\\" FROM @.p."n\\"\\n" GROUP BY time(1m)',
    'SELECT mean(/"DB".p.m/) INTO m FROM n GROUP BY time(1m)',
    'SELECT percentile(v, 99.5) AS "99.5" INTO m FROM n WHERE v > -1.5 GROUP BY time(1h30m, 5m) fill(0)',
    "SELECT mean(v::float) INTO m FROM n WHERE t::tag = 'DB' AND \"DB\"::field > 1 GROUP BY time(1m)",
    "SELECT count(DISTINCT v) INTO m FROM n WHERE a = true AND b != false GROUP BY time(1m) fill(previous)",
    'SELECT mean(v) INTO "other"."p"."DB" FROM "other"."DB"."m" GROUP BY time(1m)',
    'SELECT last(v) INTO "ä \U0001f600" FROM @.p."日本" WHERE "ü" = \'DB ß\' GROUP BY time(1d) tz(\'UTC\')',
    "SELECT mean(v) INTO m FROM n WHERE time > now() - 1d AND \"DB.p.m\" = '' GROUP BY time(1m)",
    'SELECT mean(*) INTO @."p".:MEASUREMENT FROM /.*/ WHERE "select" = \'/* */ -- no\' GROUP BY time(1m), /t/',
)
"""What a continuous query can be: @ is its database, and DB something else that is called like it."""


def awkward(number: int, called: str, database: str) -> str:
    """One of them in this database, with another thing called so."""
    return AWKWARD[number].replace("DB", called).replace("@", quoted(database))


def client(server: InfluxServer, **login: str) -> InfluxClient:
    """A client of our own."""
    options = Options.model_validate({"backup_mode": "incremental", "retries": 0})
    return connect(options, Server.model_validate(endpoint(server) | login), "target", StopRequest())


def queries(server: InfluxServer, database: str) -> dict[str, str]:
    """The continuous queries of a database, asked without the tool."""
    return {
        row[0]: row[1]
        for series in server.query("SHOW CONTINUOUS QUERIES")[0].get("series", [])
        if series["name"] == database
        for row in series.get("values", [])
    }


def prepare(server: InfluxServer, database: str, policy: str) -> None:
    """A database with all that AWKWARD names; one policy of it is called like the database that they are of."""
    for name, policies in ((database, ("p", "q", "p.q", policy)), ("ON", ("BEGIN",)), ("other", ("p", policy))):
        server.create_database(name)
        for each in policies:
            server.query(f"CREATE RETENTION POLICY {quoted(each)} ON {quoted(name)} DURATION 0s REPLICATION 1")


def create(server: InfluxServer, database: str, select: str, name: str = "q") -> None:
    """A continuous query."""
    server.query(f"CREATE CONTINUOUS QUERY {quoted(name)} ON {quoted(database)} BEGIN {select} END")


SELECT = 'SELECT mean(v) INTO "mean" FROM "m" GROUP BY time(1m), *'


@pytest.fixture(scope="module")
def guarded() -> Iterator[InfluxServer]:
    """A server with users."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as server:
        yield server


@pytest.fixture(scope="module")
def quiet() -> Iterator[InfluxServer]:
    """A server that runs no continuous queries, with users."""
    settings: Settings = {"http.auth-enabled": True, "continuous_queries.enabled": False}
    with InfluxServer.start("quiet", settings=settings) as server:
        yield server


@pytest.fixture
def place(guarded: InfluxServer, quiet: InfluxServer, database: str) -> Iterator[str]:
    """A database of the guarded server with a point, and nowhere else."""
    guarded.create_database(database)
    guarded.write("m v=1 1", database)
    yield database
    for server in (guarded, quiet):
        server.drop_database(database)
        for user, _ in server.rows("SHOW USERS"):
            if user != server.user:
                server.query(f"DROP USER {quoted(user)}")


def run(
    directory: Path, source: InfluxServer, destination: InfluxServer, database: str, **options: object
) -> JobResult:
    """A run of the job `job`, which saves in `directory`/quarantine/metadata."""
    sections = {"options": {"quarantine_directory": str(directory / "quarantine"), **options}}
    return run_worker(write_job(directory, job_config(source, destination, [database], sections)))


def load(directory: Path, database: str) -> SavedMetadata:
    """What is saved there."""
    return store.load(directory / "quarantine" / "metadata", "job", database)


def restored(
    saved: SavedMetadata, target: InfluxServer, directory: Path, names: Mapping[str, str] | None = None
) -> tuple[MetadataPlan, tuple[str, ...]]:
    """Put all of it back: the plan, and what went wrong."""
    with_client = client(target)
    plan = restoring.plan(saved, names or {saved.database: saved.database}, frozenset(ALL), with_client)
    return plan, restoring.apply(plan, with_client, GeneratedPasswords(directory / "passwords.json"))


# ---------------------------------------------------------------- saving


def test_each_run_saves_what_has_changed(pair: Pair) -> None:
    """The summary says where; what was saved before stays as it was."""
    pair.write("m v=1 1")
    result = pair.backup()
    [first] = result.saved
    assert result.outcome == "ok"
    assert not result.cautions
    assert first.is_new
    assert first.counts == (("policies", 1), ("queries", 0))
    assert first.file.parent == pair.directory / "quarantine" / "metadata" / "job" / pair.database
    before = {path: path.read_bytes() for path in first.file.parent.iterdir()}
    [same] = pair.backup().saved
    assert (same.file, same.is_new) == (first.file, False)
    create(pair.source, pair.database, SELECT)
    [second] = pair.backup().saved
    assert (second.is_new, dict(second.counts)["queries"]) == (True, 1)
    assert {path: path.read_bytes() for path in before} == before
    assert len(list(first.file.parent.iterdir())) == 4


def test_the_summary_and_check_say_what_is_saved_and_where(pair: Pair) -> None:
    """In the table's lines, in JSON, and before any run."""
    pair.write("m v=1 1")
    create(pair.source, pair.database, SELECT)
    path = write_job(pair.directory, pair.config())
    folder = pair.directory / "quarantine" / "metadata" / "job" / pair.database
    expected = f"metadata: 1 retention policy, 1 continuous query -> {folder}; nothing is saved there yet"
    assert expected in run_main("check", "--config", path).stdout
    assert not folder.exists()
    done = run_main("run", "--once", "--config", path)
    assert done.returncode == 0
    saved = f"1 retention policy, 1 continuous query of 1 database in {folder.parent} (1 new version)"
    assert f"SAVED job: {saved}" in done.stdout
    assert f"; the newest there is {store.newest_file(folder).name}" in run_main("check", "--config", path).stdout  # type: ignore[union-attr]
    assert "of 1 database in " in run_main("run", "--once", "--config", path).stdout
    done = run_main("run", "--once", "--json", "--config", path)
    assert '"queries": 1' in done.stdout


def test_the_statements_make_the_same_database_on_another_server(pair: Pair) -> None:
    """Sent as they stand, in one request."""
    pair.write("m v=1 1")
    pair.source.query(
        f'CREATE RETENTION POLICY "a b" ON "{pair.database}" DURATION 90d REPLICATION 1 SHARD DURATION 2h DEFAULT'
    )
    for server in (pair.source, pair.destination):
        prepare(server, pair.database, pair.database)
    for number in range(len(AWKWARD)):
        create(pair.source, pair.database, awkward(number, pair.database, pair.database), f"q{number}")
    [saved] = pair.backup().saved
    pair.destination.drop_database(pair.database)
    pair.destination.query(saved.file.with_suffix(".influxql").read_text())
    assert queries(pair.destination, pair.database) == queries(pair.source, pair.database)
    shown = f"SHOW RETENTION POLICIES ON {quoted(pair.database)}"
    assert sorted(pair.destination.rows(shown)) == sorted(pair.source.rows(shown))


def test_a_job_that_wants_none_saves_none(pair: Pair) -> None:
    """Nor asks for it."""
    pair.write("m v=1 1")
    result = pair.backup({"options": {"metadata": []}})
    assert (result.outcome, result.saved) == ("ok", ())
    assert not (pair.directory / "quarantine" / "metadata").exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_a_warning(pair: Pair) -> None:
    """The points are there all the same."""
    pair.write("m v=1 1")
    pair.directory.joinpath("closed").mkdir(mode=0o500)
    result = pair.backup({"options": {"metadata_directory": str(pair.directory / "closed")}})
    assert result.outcome == "ok"
    [warning] = result.cautions
    assert "metadata cannot be saved" in warning


def test_a_directory_that_is_a_file_is_one_warning(pair: Pair) -> None:
    """For all databases."""
    pair.write("m v=1 1")
    pair.directory.joinpath("file").write_text("")
    result = pair.backup({"options": {"metadata_directory": str(pair.directory / "file")}})
    assert (result.outcome, result.saved) == ("ok", ())
    [warning] = result.cautions
    assert warning == f"metadata cannot be saved in {pair.directory / 'file' / 'job'}: Not a directory"
    pair.assert_equal()


def test_a_reader_without_rights_gets_one_warning_that_names_the_right(
    guarded: InfluxServer, destination: InfluxServer, place: str, tmp_path: Path
) -> None:
    """For all kinds and all databases; what may be read is saved, and no run fails."""
    other = f"{place}_other"
    guarded.create_database(other)
    guarded.write("m v=1 1", other)
    create(guarded, place, SELECT)
    guarded.query("CREATE USER reader WITH PASSWORD 'reader'")
    for name in (place, other):
        guarded.query(f'GRANT READ ON "{name}" TO reader')
    sections = {
        "source": {"user": "reader", "password": "reader"},
        "options": {"quarantine_directory": str(tmp_path / "quarantine"), "metadata": list(ALL)},
    }
    path = write_job(tmp_path, job_config(guarded, destination, [place, other], sections))
    result = run_worker(path)
    assert result.outcome == "ok"
    [warning] = result.cautions
    assert warning == (
        f"users, grants, subscriptions are not saved: at {guarded.url} they are shown to administrators alone "
        "(the right ALL PRIVILEGES), which user 'reader' lacks; grant it, or take users, grants, subscriptions "
        "out of options.metadata"
    )
    assert [dict(saved.counts) for saved in result.saved] == [
        {"policies": 1, "queries": 1},
        {"policies": 1, "queries": 0},
    ]
    checked = run_main("check", "--config", path)
    assert (checked.returncode, checked.stdout.count(warning)) == (0, 1)
    guarded.drop_database(other)


# ---------------------------------------------------------------- continuous queries at the destination


def test_check_fails_where_continuous_queries_run_at_the_destination(pair: Pair) -> None:
    """In the job's database, or in another one and write into it; a run warns."""
    pair.write("m v=1 1")
    path = write_job(pair.directory, pair.config())
    assert pair.backup().verdict == "ok"
    create(pair.destination, pair.database, SELECT, "inside")
    pair.destination.create_database(f"{pair.database}_other")
    into = 'SELECT mean(v) INTO "DB"."autogen"."x" FROM "m" GROUP BY time(1m)'.replace("DB", pair.database)
    create(pair.destination, f"{pair.database}_other", into, "into it")
    create(pair.destination, f"{pair.database}_other", SELECT, "elsewhere")
    checked = run_main("check", "--config", path)
    assert checked.returncode == 1
    assert (
        f"PROBLEM: continuous queries of {pair.database} run, at the destination: inside, into it; "
        in checked.stdout
    )
    result = pair.backup()
    assert (result.verdict, len(result.cautions)) == ("ok, 1 warning", 1)
    pair.destination.drop_database(f"{pair.database}_other")


def test_a_server_that_does_not_answer_is_not_one_without_continuous_queries() -> None:
    """It is asked again, as all else of that run is."""
    with InfluxServer.start("gone") as server:
        asking = InfluxClient(Server.model_validate(endpoint(server)), "destination", retries=0)
    with pytest.raises(Unreachable, match="refused"):
        running_queries(asking, "db")


@pytest.mark.parametrize("login", [{}, {"user": "plain", "password": "plain"}])
def test_continuous_queries_that_do_not_run_are_no_problem(
    login: dict[str, str], pair: Pair, quiet: InfluxServer, tmp_path: Path
) -> None:
    """Administrators are told by the diagnostics, others by the counters that everybody sees."""
    pair.write("m v=1 1")
    quiet.create_database(pair.database)
    quiet.query(f"CREATE USER plain WITH PASSWORD 'plain'; GRANT ALL ON \"{pair.database}\" TO plain")
    create(quiet, pair.database, SELECT)
    config = job_config(pair.source, quiet, [pair.database])
    config["destination"] |= login
    config["options"]["quarantine_directory"] = str(tmp_path / "quarantine")
    path = write_job(tmp_path, config)
    checked = run_main("check", "--config", path)
    assert (checked.returncode, "continuous queries of" in checked.stdout) == (0, False), checked.stdout
    assert run_worker(path).verdict == "ok"
    quiet.drop_database(pair.database)
    quiet.query("DROP USER plain")


def test_a_user_who_is_no_administrator_is_told_that_they_run(
    pair: Pair, guarded: InfluxServer, tmp_path: Path
) -> None:
    """By the same counters."""
    pair.write("m v=1 1")
    guarded.create_database(pair.database)
    guarded.query(f"CREATE USER plain WITH PASSWORD 'plain'; GRANT ALL ON \"{pair.database}\" TO plain")
    create(guarded, pair.database, SELECT)
    config = job_config(pair.source, guarded, [pair.database])
    config["destination"] |= {"user": "plain", "password": "plain"}
    config["options"]["quarantine_directory"] = str(tmp_path / "quarantine")
    checked = run_main("check", "--config", write_job(tmp_path, config))
    assert checked.returncode == 1
    assert f"PROBLEM: continuous queries of {pair.database} run" in checked.stdout
    guarded.drop_database(pair.database)
    guarded.query("DROP USER plain")


# ---------------------------------------------------------------- renaming


@pytest.mark.parametrize("number", range(len(AWKWARD)))
def test_awkward_texts_survive_there_and_back(number: int, pair: Pair) -> None:
    """Renamed, each is what the server makes of it under that name; and back, it is what it was."""
    here, there = pair.database, f'{pair.database} "new"'
    prepare(pair.source, here, here)
    prepare(pair.destination, there, here)
    create(pair.source, here, awkward(number, here, here))
    create(pair.destination, there, awkward(number, here, there), "expected")
    original = queries(pair.source, here)["q"]
    pair.destination.query(tokens.renamed(original, {here: there}))
    renamed, expected = (queries(pair.destination, there)[name] for name in ("q", "expected"))
    assert renamed == expected.replace("QUERY expected ON", "QUERY q ON")
    pair.source.query(f"DROP CONTINUOUS QUERY q ON {quoted(here)}")
    pair.source.query(tokens.renamed(renamed, {there: here}))
    assert queries(pair.source, here)["q"] == original
    assert tokens.databases(renamed)[0] == there
    assert here not in tokens.databases(renamed)
    pair.destination.drop_database(there)


# ---------------------------------------------------------------- restoring


def test_a_whole_database_comes_back_on_an_empty_server(
    guarded: InfluxServer, quiet: InfluxServer, destination: InfluxServer, place: str, tmp_path: Path
) -> None:
    """Policies with the default one, queries, users with new passwords that work, grants, subscriptions."""
    guarded.query(
        f'CREATE RETENTION POLICY "p q" ON "{place}" DURATION 90d REPLICATION 1 SHARD DURATION 2h DEFAULT'
    )
    prepare(guarded, place, place)
    for number in range(5):
        create(guarded, place, awkward(number, place, place), f"q {number}")
    guarded.query(
        "CREATE USER \"re'ader\" WITH PASSWORD 'a'; CREATE USER boss WITH PASSWORD 'b' WITH ALL PRIVILEGES"
    )
    guarded.query(f'CREATE USER writer WITH PASSWORD \'c\'; GRANT READ ON "{place}" TO "re\'ader"')
    guarded.query(f'GRANT ALL ON "{place}" TO writer')
    guarded.query(f"CREATE SUBSCRIPTION s ON \"{place}\".autogen DESTINATIONS ALL 'http://127.0.0.1:9'")
    assert run(tmp_path, guarded, destination, place, metadata=list(ALL)).verdict == "ok"
    saved = load(tmp_path, place)
    plan, problems = restored(saved, quiet, tmp_path)
    assert problems == ()
    assert plan.warnings == (f"1 user there already, each left with its password: {quiet.user}",)
    for statement in (f'SHOW RETENTION POLICIES ON "{place}"', "SHOW USERS", "SHOW GRANTS FOR writer"):
        assert sorted(quiet.rows(statement)) == sorted(guarded.rows(statement))
    for statement in ('SHOW GRANTS FOR "re\'ader"', "SHOW SUBSCRIPTIONS"):
        assert quiet.rows(statement) == guarded.rows(statement)
    assert queries(quiet, place) == queries(guarded, place)
    passwords = GivenPasswords(tmp_path / "passwords.json")
    assert (tmp_path / "passwords.json").stat().st_mode & 0o777 == 0o600
    for user in ("re'ader", "boss", "writer"):
        assert client(quiet, user=user, password=passwords.of(user)).get_databases()


def test_restoring_again_finds_nothing_to_do(
    guarded: InfluxServer, quiet: InfluxServer, destination: InfluxServer, place: str, tmp_path: Path
) -> None:
    """What was restored in part goes on where it was."""
    create(guarded, place, SELECT)
    guarded.query(f"CREATE USER reader WITH PASSWORD 'a'; GRANT READ ON \"{place}\" TO reader")
    run(tmp_path, guarded, destination, place, metadata=list(ALL))
    saved = load(tmp_path, place)
    first, problems = restored(saved, quiet, tmp_path)
    assert (problems, len(first.lines)) == ((), 5)
    again, problems = restored(saved, quiet, tmp_path)
    assert (problems, again.lines) == ((), ())
    assert len(again.warnings) == 1
    late = restoring.apply(first, client(quiet), GeneratedPasswords(tmp_path / "passwords.json"))
    assert late == ()


def test_what_is_there_is_left_alone_and_said(
    guarded: InfluxServer, quiet: InfluxServer, destination: InfluxServer, place: str, tmp_path: Path
) -> None:
    """Policies, queries, users, grants and subscriptions that differ."""
    create(guarded, place, SELECT)
    guarded.query(f"CREATE USER reader WITH PASSWORD 'a'; GRANT READ ON \"{place}\" TO reader")
    guarded.query("CREATE USER zoe WITH PASSWORD 'a' WITH ALL PRIVILEGES")
    subscribe = f'CREATE SUBSCRIPTION s ON "{place}".autogen DESTINATIONS ALL '
    guarded.query(f"{subscribe}'udp://127.0.0.1:9'")
    run(tmp_path, guarded, destination, place, metadata=list(ALL))
    quiet.query(f'CREATE DATABASE "{place}" WITH DURATION 30d REPLICATION 1 SHARD DURATION 1h NAME "autogen"')
    create(quiet, place, SELECT.replace("mean", "max"))
    quiet.query(
        "CREATE USER reader WITH PASSWORD 'other' WITH ALL PRIVILEGES; "
        f'REVOKE ALL PRIVILEGES FROM reader; GRANT ALL ON "{place}" TO reader'
    )
    quiet.query(f"CREATE USER zoe WITH PASSWORD 'b'; {subscribe}'udp://127.0.0.1:10'")
    plan, problems = restored(load(tmp_path, place), quiet, tmp_path)
    assert (problems, plan.lines) == ((), ())
    theirs = queries(quiet, place)["q"]
    assert set(plan.warnings) == {
        f"retention policy {place}.autogen keeps points for 30d there, and kept them for ever: older points "
        "cannot be stored",
        f"retention policy {place}.autogen has shard groups of 1h there, and had them of 7d",
        f"continuous query q of {place} is left as it is there, and differs: {theirs}",
        f"3 users there already, each left with its password: {quiet.user}, reader, zoe",
        "user zoe is no administrator there, and was one",
        f"subscription autogen.s of {place} is left as it is there, and differs",
        f"READ on {place} to reader is not granted: the user has ALL PRIVILEGES there, which stays",
    }
    assert "max(v)" in theirs


def test_names_are_mapped_and_what_is_not_mapped_is_said(pair: Pair) -> None:
    """In queries; the database is created by its new name."""
    for server, names in ((pair.source, (pair.database, "second", "third")), (pair.destination, ("2nd", "third"))):
        for name in names:
            server.create_database(name)
            server.query(f"CREATE RETENTION POLICY p ON {quoted(name)} DURATION 0s REPLICATION 1")
    other = 'SELECT mean(v) INTO "second"."p"."x" FROM "third"."p"."y", "DB"."p"."z" GROUP BY time(1m)'
    create(pair.source, pair.database, other.replace("DB", pair.database))
    pair.write("m v=1 1")
    [saved] = pair.backup().saved
    target = f"{pair.database}_new"
    plan, problems = restored(
        load(pair.directory, pair.database),
        pair.destination,
        pair.directory,
        {pair.database: target, "second": "2nd"},
    )
    assert saved.is_new
    assert problems == ()
    assert plan.warnings[-1] == (
        f"continuous query q of {pair.database} also names third, which is not restored with it: it goes on "
        "naming that"
    )
    expected = (
        "CREATE CONTINUOUS QUERY q ON DB BEGIN SELECT mean(v) "
        'INTO "2nd".p.x FROM third.p.y, DB.p.z GROUP BY time(1m) END'
    )
    assert queries(pair.destination, target) == {"q": expected.replace("DB", target)}
    pair.destination.drop_database(target)


def test_what_a_server_loses_is_named(pair: Pair) -> None:
    """Small numbers, where it loses them (not from 1.12 on), and shard groups of less than an hour."""
    pair.write("m v=1 1")
    create(pair.source, pair.database, "SELECT mean(v) INTO x FROM m WHERE v < 0.00000001 GROUP BY time(1m)")
    pair.backup()
    saved = load(pair.directory, pair.database)
    assert saved.queries
    plan, _ = restored(saved, pair.destination, pair.directory)
    loses = "< 0.000 " in queries(pair.source, pair.database)["q"]
    assert any("q of" in text and "holds the number 0.000" in text for text in plan.warnings) is loses
    sent = saved.queries[0].text.replace("0.000 ", "0.00000001 ")
    short = Policy("short", 0, 1_800_000_000_000, is_default=False)
    other = SavedMetadata(saved.database, (short,), (ContinuousQuery("r", sent.replace("QUERY q ", "QUERY r ")),))
    plan, problems = restored(other, pair.destination, pair.directory)
    assert any("gets shard groups of 1h: InfluxDB has none of 30m" in text for text in plan.warnings)
    assert any("was changed by the server, which keeps" in text and "0.000 " in text for text in problems) is loses
    assert any("short has shard groups of 1h there, and had them of 30m" in text for text in problems)


def test_a_user_without_a_password_is_not_made_and_all_else_is(
    guarded: InfluxServer, quiet: InfluxServer, destination: InfluxServer, place: str, tmp_path: Path
) -> None:
    """With `--passwords FILE`, which has the others."""
    guarded.query("CREATE USER a WITH PASSWORD 'x'; CREATE USER b WITH PASSWORD 'x'")
    guarded.query(f'GRANT READ ON "{place}" TO a; GRANT READ ON "{place}" TO b')
    run(tmp_path, guarded, destination, place, metadata=["policies", "users", "grants"])
    (tmp_path / "given.yaml").write_text("b: it's secret\n")
    with_client = client(quiet)
    kinds = frozenset({"policies", "queries", "users", "grants"})
    plan = restoring.plan(load(tmp_path, place), {place: place}, kinds, with_client)
    assert f"the continuous queries of {place} were never saved" in plan.warnings[0]
    problems = restoring.apply(plan, with_client, GivenPasswords(tmp_path / "given.yaml"))
    assert problems[0] == f"{place}: user a is not restored: {tmp_path / 'given.yaml'} has no password for it"
    assert "the right of a is not restored" in problems[1]
    assert len(problems) == 2
    assert client(quiet, user="b", password="it's secret").get_databases() == (place,)


def test_rights_that_the_target_does_not_give_are_named(
    guarded: InfluxServer, quiet: InfluxServer, destination: InfluxServer, place: str, tmp_path: Path
) -> None:
    """In the plan, and the plan is made."""
    guarded.query(f"CREATE USER reader WITH PASSWORD 'a'; GRANT READ ON \"{place}\" TO reader")
    run(tmp_path, guarded, destination, place, metadata=list(ALL))
    quiet.create_database(place)
    quiet.query(f"CREATE USER plain WITH PASSWORD 'plain'; GRANT ALL ON \"{place}\" TO plain")
    plain = client(quiet, user="plain", password="plain")
    plan = restoring.plan(load(tmp_path, place), {place: place}, frozenset(ALL), plain)
    assert plan.lines == ()
    assert [text.partition(" are not restored, for which a right is missing: ")[0] for text in plan.warnings] == [
        "the users",
        "the grants",
    ]
    assert all("administrator" in text for text in plan.warnings)


def test_what_is_no_continuous_query_is_named_and_never_run(pair: Pair) -> None:
    """Whoever changed the file."""
    pair.destination.create_database(pair.database)
    odd = SavedMetadata(pair.database, (), (ContinuousQuery("q", f"DROP DATABASE {pair.database}"),))
    plan, problems = restored(odd, pair.destination, pair.directory)
    assert (plan.lines, problems) == ((), ())
    assert any("q of" in text and "cannot be read, so it is not restored" in text for text in plan.warnings)
    assert [pair.database] in pair.destination.rows("SHOW DATABASES")
