"""What of a database is not saved or restored, and what is said of it; what is, is in test_whole_database.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from basics.stopping import StopRequest
from basics.times import HOUR
from config import Config
from copying.metadata import restoring
from copying.metadata.capture import Capture
from copying.metadata.passwords import GeneratedPasswords, GivenPasswords
from copying.metadata.restoring import MetadataPlan
from copying.metadata.running import running_queries
from copying.metadata.saving import Saver
from copying.metadata.snapshot import NOUNS, SavedMetadata
from influx.entries import ContinuousQuery, Grant, Subscription, User
from influx.errors import Unreachable
from influx.influxql import Policy
from influx_client import InfluxClient, connect
from settings.keys import MetadataKind, Options, Server
from tests.integration.harness import endpoint, job_config, write_job
from tests.support.proxy import Exchange, Proxy, respond
from tests.support.servers import InfluxServer, quoted

ALL: tuple[MetadataKind, ...] = ("policies", "queries", "users", "grants", "subscriptions")


@pytest.fixture(scope="module")
def guarded() -> Iterator[InfluxServer]:
    """A server with users."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as server:
        yield server


@pytest.fixture
def place(guarded: InfluxServer, database: str) -> Iterator[str]:
    """A database of it; users go with it."""
    guarded.create_database(database)
    yield database
    guarded.drop_database(database)
    for user, _ in guarded.rows("SHOW USERS"):
        if user != guarded.user:
            guarded.query(f"DROP USER {quoted(user)}")


def server_of(server: InfluxServer, **login: str) -> Server:
    """As a job has it."""
    return Server.model_validate(endpoint(server) | login)


def client(server: InfluxServer, **login: str) -> InfluxClient:
    """A client of our own."""
    options = Options.model_validate({"backup_mode": "incremental", "retries": 0})
    return connect(options, server_of(server, **login), "target", StopRequest())


def reader(server: InfluxServer, name: str, statement: str = "") -> dict[str, str]:
    """A user with a password like its name, and a right."""
    server.query(f"CREATE USER {name} WITH PASSWORD '{name}'; {statement}")
    return {"user": name, "password": name}


def sample(database: str) -> SavedMetadata:
    """Something of each kind."""
    select = "SELECT mean(v) INTO DB.p.m FROM DB.p.n GROUP BY time(1m)"
    text = f"CREATE CONTINUOUS QUERY q ON DB BEGIN {select} END".replace("DB", database)
    return SavedMetadata(
        database,
        (Policy("p", 0, HOUR, is_default=True),),
        (ContinuousQuery("q", text),),
        (User("somebody", is_admin=False),),
        (Grant("somebody", database, "READ"),),
        (Subscription("p", "s", "ALL", ("http://127.0.0.1:9",)),),
    )


# ---------------------------------------------------------------- saving


def test_what_is_not_shown_of_one_database_is_saved_of_another(guarded: InfluxServer, place: str) -> None:
    """Policies and queries need READ there; what administrators alone see is asked for once."""
    other = f"{place}_other"
    guarded.create_database(other)
    login = reader(guarded, "reader", f"GRANT READ ON {quoted(place)} TO reader")
    asking = client(guarded, **login)
    capture = Capture(asking, server_of(guarded, **login), ALL)
    hidden = capture.take(other)
    first = asking.questions
    shown = capture.take(place)
    assert hidden == SavedMetadata(other)
    assert shown.counts == (("policies", 1), ("queries", 0))
    assert asking.questions - first < first
    (warning,) = capture.warnings
    kinds = "retention policies, continuous queries, users, grants, subscriptions"
    assert warning.startswith(f"{kinds} are not saved: at {guarded.url} they are shown to administrators alone")
    assert "take policies, queries, users, grants, subscriptions out of options.metadata" in warning
    alone = Capture(asking, server_of(guarded, **login), ("policies",))
    assert alone.take(other) == SavedMetadata(other)
    assert alone.warnings == (
        f"retention policies are not saved: at {guarded.url} they need READ on the database, which user 'reader' "
        "lacks; grant it, or take policies out of options.metadata",
    )
    guarded.drop_database(other)


def test_users_are_asked_for_once_and_grants_are_those_of_each_database(guarded: InfluxServer, place: str) -> None:
    """However many databases a job has. Each answer is in an order of its own."""
    other = f"{place}_other"
    guarded.create_database(other)
    for name in ("zoe", "adam"):
        reader(guarded, name, f"GRANT READ ON {quoted(place)} TO {name}; GRANT ALL ON {quoted(other)} TO {name}")
    asking = client(guarded)
    capture = Capture(asking, server_of(guarded), ("users", "grants"))
    before = asking.questions
    one = capture.take(place)
    first, again = asking.questions - before, asking.questions
    two = capture.take(other)
    assert (first > 0, asking.questions - again) == (True, 0)
    assert one.grants == (Grant("adam", place, "READ"), Grant("zoe", place, "READ"))
    assert two.grants == (Grant("adam", other, "ALL PRIVILEGES"), Grant("zoe", other, "ALL PRIVILEGES"))
    assert [user.name for user in one.users or ()] == ["adam", guarded.user, "zoe"]
    assert (one.policies, capture.warnings) == (None, ())
    guarded.drop_database(other)


def test_nothing_is_kept_where_nothing_is_shown(
    guarded: InfluxServer, place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No version that says nothing hides those before it; the log tells of each new one."""
    caplog.set_level("INFO")
    login = reader(guarded, "reader", f"GRANT READ ON {quoted(place)} TO reader")
    config = job_config(guarded, guarded, {place: f"{place}_copy"}, {"options": {"metadata": ["users"]}})
    config["source"] |= login
    job = Config(write_job(tmp_path, config)).job
    saver = Saver(job, client(guarded, **login), tmp_path / "metadata", 0)
    assert saver.save(place) is None
    assert saver.warnings[0].startswith("users are not saved: ")
    assert not (tmp_path / "metadata").exists()
    with_rights = Saver(job, client(guarded), tmp_path / "metadata", 0)
    saved = with_rights.save(place)
    assert saved is not None
    assert (saved.is_new, [kind for kind, _ in saved.counts], with_rights.warnings) == (True, ["users"], ())
    again = with_rights.save(place)
    assert again is not None
    assert not again.is_new
    assert caplog.messages == [f"database {place}: metadata saved in {saved.file}"]


def test_what_a_server_refuses_to_tell_is_a_warning(guarded: InfluxServer) -> None:
    """Of that database and kind alone; nothing of it is saved as if there was none."""
    capture = Capture(client(guarded), server_of(guarded), ("policies", "queries"))
    found = capture.take("never there")
    assert found == SavedMetadata("never there", queries=())
    (warning,) = capture.warnings
    assert warning.startswith("database never there: its retention policies are not saved: ")


def test_a_server_that_does_not_answer_ends_the_attempt() -> None:
    """The next one may have an answer; a warning would hide that nothing was saved."""
    with InfluxServer.start("gone") as server:
        asking, described = client(server), server_of(server)
    with pytest.raises(Unreachable):
        Capture(asking, described, ALL).take("db")


# ---------------------------------------------------------------- continuous queries at the destination


def test_whether_queries_run_may_not_be_known(guarded: InfluxServer, place: str) -> None:
    """A user that may read nothing there is told nothing: the run itself fails on that."""
    login = reader(guarded, "nobody")
    assert running_queries(client(guarded, **login), place) == ("", False)
    assert running_queries(client(guarded), place) == ("", False)


def test_whether_queries_run_is_said_as_far_as_it_is_known(guarded: InfluxServer, place: str) -> None:
    """That they do; that they may, to who cannot see it; that nobody knows, where the answer is an error."""
    login = reader(guarded, "plain", f"GRANT ALL ON {quoted(place)} TO plain")
    (query,) = sample(place).queries or ()
    guarded.query(query.text.replace(".p.", ".autogen."))
    text, runs = running_queries(client(guarded), place)
    assert (text.startswith(f"continuous queries of {place} run, at the destination: q; "), runs) == (True, True)
    with Proxy(guarded.url) as proxy:
        proxy.inject(respond(404), "vars", count=None)
        text, runs = running_queries(client(guarded, **login, url=proxy.url), place)
        may = (
            f"continuous queries of {place} may run (this user may not see whether they do), at the destination: "
        )
        assert (text.startswith(may), runs) == (True, False)
        proxy.inject(respond(400, b'{"error": "not today"}', "application/json"), "query", count=None)
        text, runs = running_queries(client(guarded, **login, url=proxy.url), place)
    assert (text.partition(" is not known: ")[0], runs) == (
        f"whether continuous queries write into {place}",
        False,
    )
    assert "not today" in text


# ---------------------------------------------------------------- restoring: the plan


@pytest.mark.parametrize("kind", ALL)
def test_a_kind_that_is_not_wanted_is_not_planned(kind: str, guarded: InfluxServer, place: str) -> None:
    """Each by itself; nothing is said of the others either."""
    saved = sample(f"{place}_new")
    plan = restoring.plan(saved, {}, frozenset({kind}), client(guarded))
    found = {each: getattr(plan, each) for each in ALL}
    if kind == "grants":
        assert plan.warnings == (
            f"READ on {place}_new to somebody is not granted: there is no such user, and users are not restored",
        )
        found["grants"] = saved.grants
    else:
        assert plan.warnings == ()
    assert found == {each: getattr(saved, each) if each == kind else () for each in ALL}
    assert (plan.default, plan.database) == ("p" if kind == "policies" else "", f"{place}_new")
    unsaved = restoring.plan(SavedMetadata("db"), {}, frozenset({kind}), client(guarded))
    assert [("were never saved" in text) for text in unsaved.warnings] == [True]


def test_the_lines_of_a_plan_name_what_would_be_made() -> None:
    """The default policy comes last."""
    saved = sample("db")
    plan = MetadataPlan(
        "db", saved.policies or (), "p", saved.queries or (), saved.users or (), saved.grants or ()
    )
    assert plan.lines == (
        "retention policies: p",
        "continuous queries: q",
        "users: somebody",
        "grants: READ to somebody",
        "default retention policy: p",
    )
    assert MetadataPlan("db").lines == ()


def test_a_plan_names_only_what_differs(guarded: InfluxServer, place: str, tmp_path: Path) -> None:
    """A shard group of an hour is no less than one, and a default policy that is one stays."""
    saved = sample(place)
    plan = restoring.plan(saved, {}, frozenset(ALL), client(guarded))
    problems = restoring.apply(plan, client(guarded), GeneratedPasswords(tmp_path / "passwords"))
    assert problems == ()
    again = restoring.plan(saved, {}, frozenset(ALL), client(guarded))
    assert again.lines == ()
    assert again.warnings == ("1 user there already, each left with its password: somebody",)
    guarded.query(f"GRANT ALL PRIVILEGES TO somebody; ALTER RETENTION POLICY autogen ON {quoted(place)} DEFAULT")
    again = restoring.plan(saved, {}, frozenset(ALL), client(guarded))
    assert again.lines == ("default retention policy: p",)
    assert again.warnings[-1] == "user somebody is an administrator there, and was none"


def test_rights_are_asked_only_of_users_that_are_to_get_some(
    guarded: InfluxServer, place: str, tmp_path: Path
) -> None:
    """A server may have thousands."""
    saved, asked = sample(place), list[str]()
    plan = restoring.plan(saved, {}, frozenset({"users"}), client(guarded))
    restoring.apply(plan, client(guarded), GeneratedPasswords(tmp_path / "passwords"))
    reader(guarded, "other")

    def note(exchange: Exchange) -> None:
        asked.append(exchange.text())
        exchange.send(exchange.answer().wire())

    with Proxy(guarded.url) as proxy:
        proxy.inject(note, "query", count=None)
        found = restoring.plan(saved, {}, frozenset({"grants"}), client(guarded, url=proxy.url))
    assert found.grants == saved.grants
    assert [name for text in asked for name in re.findall('SHOW GRANTS FOR "([^"]*)"', text)] == ["somebody"]


@pytest.mark.parametrize("kind", ["queries", "users", "grants", "subscriptions"])
def test_what_the_target_does_not_show_is_not_planned(kind: str, guarded: InfluxServer, place: str) -> None:
    """Nobody knows whether it is there already; the warning names the kind."""
    login = reader(guarded, "writer", f"GRANT WRITE ON {quoted(place)} TO writer")
    plan = restoring.plan(sample(place), {}, frozenset({kind}), client(guarded, **login))
    assert plan.lines == ()
    (warning,) = plan.warnings
    assert warning.startswith(f"the {NOUNS[kind]} are not restored, for which a right is missing: ")


# ---------------------------------------------------------------- restoring: what cannot be made


def test_what_cannot_be_made_is_named_each_by_itself(guarded: InfluxServer, place: str, tmp_path: Path) -> None:
    """A user without rights makes nothing; every step says so."""
    login = reader(guarded, "plain", f"GRANT READ ON {quoted(place)} TO plain")
    saved = sample(place)
    plan = restoring.plan(saved, {}, frozenset(ALL), client(guarded))
    problems = restoring.apply(plan, client(guarded, **login), GeneratedPasswords(tmp_path / "passwords"))
    assert [text.partition(" is not restored: ")[0] for text in problems] == [
        f"{place}: retention policy p",
        f"{place}: the default retention policy",
        f"{place}: continuous query q",
        f"{place}: user somebody",
        f"{place}: the right of somebody",
        f"{place}: subscription s",
    ]


def test_a_password_that_influxdb_cannot_be_told_makes_no_user(
    guarded: InfluxServer, place: str, tmp_path: Path
) -> None:
    """It would be another one there."""
    file = tmp_path / "passwords.yaml"
    file.write_text('somebody: "a\\rb"\n')
    plan = MetadataPlan(place, users=(User("somebody", is_admin=False),))
    assert restoring.apply(plan, client(guarded), GivenPasswords(file)) == (
        f"{place}: user somebody is not restored: its password holds CR or NUL, which InfluxDB cannot be told",
    )
    assert "somebody" not in [user for user, _ in guarded.rows("SHOW USERS")]
