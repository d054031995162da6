"""What a server has besides points: of one database, and not of its neighbours."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from basics.spans import Span
from influx import scratch
from influx.entries import ContinuousQuery, Grant, Subscription, User
from influx.errors import QueryRefused
from tests.integration.asking import OURS, asking, place, refusal
from tests.integration.harness import MONDAY, WEEK, Pair
from tests.support.proxy import Proxy, only, respond
from tests.support.servers import InfluxServer

SELECT = 'SELECT mean(v) INTO "DB".autogen.mean FROM "DB".autogen.m GROUP BY time(1h)'


@pytest.fixture
def neighbour(pair: Pair) -> Iterator[str]:
    """Another database with the same policies."""
    name = f"{pair.database}_neighbour"
    for database in (pair.database, name):
        pair.source.create_database(database)
        pair.source.query(f'CREATE RETENTION POLICY other ON "{database}" DURATION 0s REPLICATION 1')
    yield name
    pair.source.drop_database(name)


def test_shards_are_those_of_one_policy(pair: Pair, proxy: Proxy, neighbour: str) -> None:
    """Not those of another policy, or of the same one of another database."""
    places = [(database, policy) for database in (pair.database, neighbour) for policy in ("autogen", "other")]
    for week, (database, policy) in enumerate(places):
        pair.source.write(f"m,h={'ab'[week % 2]} v={week} {MONDAY + week * WEEK}", database, policy)
    spans = [Span(MONDAY + week * WEEK, MONDAY + (week + 1) * WEEK) for week in range(4)]
    with asking(pair, proxy) as client:
        for week, (database, policy) in enumerate(places):
            assert client.get_shard_groups(database, policy) == (spans[week],)
            states = client.get_shard_states(database, policy, MONDAY)
            assert states is not None
            assert [span for span, _ in states.shards] == [spans[week]]
            assert states.activity is not None
            assert (len(states.activity.shards), states.activity.stored) == (1, 1)
        assert client.get_shard_groups(pair.database, "no such policy") == ()
        assert client.get_field_keys(pair.database, "other") == {"m": {"v": ("float",)}}
        assert client.get_tag_values(place(pair), "h") == ("a", "b")


def test_queries_and_subscriptions_are_those_of_one_database(pair: Pair, proxy: Proxy, neighbour: str) -> None:
    """And complete: their destinations in their order, their texts in the server's words."""
    texts = {}
    for database in (pair.database, neighbour):
        texts[database] = f'CREATE CONTINUOUS QUERY cq ON "{database}" BEGIN {SELECT} END'.replace("DB", database)
    wanted = Subscription("other", "s", "ANY", ("udp://127.0.0.1:9", "udp://127.0.0.1:8"))
    with asking(pair, proxy) as client:
        for database, text in texts.items():
            for _ in range(2):
                client.catalog.create_continuous_query(text)
            client.catalog.create_subscription(database, wanted)
            with pytest.raises(QueryRefused, match="already exists"):
                client.catalog.create_subscription(database, wanted)
        for database in texts:
            assert client.catalog.get_subscriptions(database) == (wanted,)
            (query,) = client.catalog.get_continuous_queries(database)
            assert query == ContinuousQuery("cq", query.text)
            assert query.text.startswith("CREATE CONTINUOUS QUERY cq ON")
            assert f"INTO {database}.autogen.mean" in query.text
        assert set(texts) <= set(client.catalog.get_all_continuous_queries(pair.database))
        assert client.catalog.runs_continuous_queries() is True
        proxy.inject(
            only(lambda text: "config-cqs" in text, refusal(403, "requires admin privilege")), "query", count=2
        )
        assert client.catalog.runs_continuous_queries() is True  # it counts there, as everybody may see
        proxy.inject(respond(404, b"404 page not found", "text/plain"), "vars")
        assert client.catalog.runs_continuous_queries() is None
        client.catalog.set_default_policy(neighbour, "other")
        assert {p.name: p.is_default for p in client.get_retention_policies(neighbour)} == {
            "autogen": False, "other": True,
        }  # fmt: skip


def test_users_have_the_rights_that_they_were_given(pair: Pair, proxy: Proxy, neighbour: str) -> None:
    """One that was taken away again is none; nor has an administrator any of his own."""
    users = (User("it's a user", is_admin=False), User("boss", is_admin=True))
    try:
        with asking(pair, proxy) as client:
            for user in users:
                for _ in range(2):
                    client.catalog.create_user(user.name, "pass'word", is_admin=user.is_admin)
            with pytest.raises(QueryRefused, match="already exists"):
                client.catalog.create_user(users[0].name, "another", is_admin=False)
            assert set(users) <= set(client.catalog.get_users())
            wanted = (
                Grant(users[0].name, pair.database, "READ"),
                Grant(users[0].name, neighbour, "ALL PRIVILEGES"),
            )
            for grant in wanted:
                client.catalog.grant(grant)
            assert set(client.catalog.get_grants(users)) == set(wanted)
            pair.source.query(f'REVOKE READ ON "{pair.database}" FROM "{users[0].name}"')
            assert client.catalog.get_grants(users) == wanted[1:]
            assert client.catalog.get_grants([]) == ()
    finally:
        for user in users:
            pair.source.query(f'DROP USER "{user.name}"')


def test_a_scratch_database_is_dropped_by_its_mark_and_nothing_else_is(pair: Pair, proxy: Proxy) -> None:
    """A name that a drill would give it is not enough; nor is any other database taken for one."""
    pair.write(f"m v=1 {MONDAY}")
    marked, alike = (scratch.name_of("0a1b2c3d", MONDAY, f"{n:016x}") for n in (1, 2))
    try:
        with asking(pair, proxy) as client:
            client.create_scratch(marked)
            client.create_scratch(marked)
            client.create_database(alike)
            assert {marked, alike} <= set(client.get_all_databases())
            assert not {marked, alike, "_internal"} & set(client.get_databases())
            assert "_internal" not in client.get_all_databases()
            for name in (alike, pair.database):
                with pytest.raises(QueryRefused, match="is not of a drill: it stays"):
                    client.drop_scratch(name)
                with pytest.raises(QueryRefused, match="is there already; it is left alone"):
                    client.check_free(name)
            client.drop_scratch(marked)
            client.check_free(marked)
            assert {alike, pair.database} <= set(client.get_all_databases())
            assert client.get_measurements(pair.database) == ("m",)
    finally:
        for name in (marked, alike):
            pair.source.drop_database(name)


def test_a_server_shows_its_process_and_the_number_of_a_request(pair: Pair) -> None:
    """By which it is known under any address."""
    with InfluxServer.start("own") as own, Proxy(own.url) as proxy, asking(pair, proxy) as client:
        process = client.get_process()
        assert (process.pid, process.host) == (str(own.pid), socket.gethostname())
        assert process.started
        first, second = client.get_request_number(), client.get_request_number()
        assert first is not None
        assert second is not None
        assert first.comes_before(second)
        proxy.inject(respond(204, **OURS), "ping")
        assert client.get_request_number() is None


def test_a_right_that_there_is_not_is_never_given(pair: Pair, proxy: Proxy) -> None:
    """The library would put its name into a statement as it is."""
    pair.source.create_database(pair.database)
    with asking(pair, proxy) as client:
        with pytest.raises(ValueError, match="not a privilege: 'ALL; DROP'"):
            client.catalog.grant(Grant("u", pair.database, "ALL; DROP"))
        assert proxy.seen["query"] == 0
        assert client.catalog.get_continuous_queries("no such database") == ()
        assert client.catalog.get_subscriptions("no such database") == ()
