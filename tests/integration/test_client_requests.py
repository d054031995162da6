"""What the client asks for, and how often: a proxy between it and a real server counts, or breaks an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing

import pytest

import influx_client
from basics.stopping import StopRequest
from config import Config
from influx import frames, line_protocol, pages, transport
from influx.errors import (
    AccessDenied,
    IncompleteAnswer,
    InfluxError,
    Overloaded,
    QueryRefused,
    QueryTooLarge,
    RequestTooLarge,
    TypesChanged,
    Unreachable,
)
from influx.fingerprints import Look
from influx.influxql import Location
from influx.line_protocol import Body
from influx_client import InfluxClient, connect
from tests.integration.asking import JSON, OURS, SPAN, answered, asking, noted, place, refusal
from tests.integration.harness import MONDAY, Pair, write_job
from tests.support.proxy import (
    LOGIN_PAGE,
    Exchange,
    Proxy,
    black_hole,
    cut_documents,
    only,
    reset_response,
    respond,
)
from tests.support.servers import UNSIGNED
from tests.support.waiting import wait_until


def forms(texts: list[str]) -> list[str]:
    """How each of these questions wants its answer: only msgpack has a proof of our own."""
    return ["msgpack" if text.endswith("SHOW DATABASES") else "csv" for text in texts]


def test_an_answer_that_broke_off_counts_for_nothing_when_it_is_asked_again(pair: Pair, proxy: Proxy) -> None:
    """What came of it before is not there twice."""
    pair.write(f"m,a=1,b=2 v=1 {MONDAY}\nn v=1i {MONDAY}")
    with asking(pair, proxy, retries=1) as client:
        for ask, expected in (
            (lambda: client.get_measurements(pair.database), ("m", "n")),
            (lambda: client.get_tag_keys(pair.database), {"m": ("a", "b")}),
            (
                lambda: client.get_field_keys(pair.database, "autogen"),
                {"m": {"v": ("float",)}, "n": {"v": ("integer",)}},
            ),
            (lambda: client.count_values(place(pair), {"v": ("float",)}, SPAN), {"v": 1}),
        ):
            proxy.heal()
            fault = proxy.inject(cut_documents(-1), "query")
            assert ask() == expected
            assert (fault.injected, proxy.seen["query"]) == (1, 2)


def test_an_answer_on_its_way_is_given_up_in_order_to_stop(pair: Pair, proxy: Proxy) -> None:
    """And not asked for again."""
    pair.write(f"m v=1 {MONDAY}")
    stopping = StopRequest()
    with asking(pair, proxy, stopping, retries=3) as client:
        assert client.get_measurements(pair.database) == ("m",)
        stopping.requested = True
        with pytest.raises(Unreachable, match=r"given up in order to stop$"):
            client.get_measurements(pair.database)
        with pytest.raises(Unreachable, match="given up in order to stop"):
            client.read_page(place(pair), {"v": ("float",)}, (), SPAN)
        assert proxy.seen["query"] == 3


def test_an_answer_that_is_lost_on_its_way_may_be_asked_for_again(pair: Pair, proxy: Proxy) -> None:
    """Also that of an error, which is not known then."""
    pair.write(f"m v=1 {MONDAY}")
    nonsense = "SELECT nonsense FROM"
    with asking(pair, proxy) as client:
        proxy.inject(reset_response(-5), "query", count=2)
        with pytest.raises(Unreachable, match="query SHOW MEASUREMENTS: "):
            client.get_measurements(pair.database)
        with pytest.raises(Unreachable, match=f"query {nonsense}: "):
            client.query_data(nonsense)
        with pytest.raises(QueryRefused, match="error parsing query"):
            client.query_data(nonsense)


def test_silence_is_taken_for_too_much_where_less_can_be_asked(pair: Pair, proxy: Proxy) -> None:
    """If the server is there at all, which a ping tells; other questions may be asked again as they are."""
    pair.write(f"m v=1 {MONDAY}")
    with asking(pair, proxy, timeout=2) as client:
        proxy.inject(black_hole(), "query", count=2)
        with pytest.raises(QueryTooLarge, match="no byte received for too long"):
            client.read_page(place(pair), {"v": ()}, (), SPAN)
        assert proxy.seen["ping"] == 1
        with pytest.raises(Unreachable, match="no byte received for too long"):
            client.get_measurements(pair.database)
        assert proxy.seen["ping"] == 1


def test_a_client_is_made_as_the_options_say(pair: Pair, proxy: Proxy) -> None:
    """With a connection for each thread of its workers, and as many retries, unless others are asked for."""
    sections = {
        "source": {"url": proxy.url},
        "options": {"parallel_workers": 3, "retries": 2, "retry_delay": 0.01},
    }
    job = Config(write_job(pair.directory, pair.config(sections))).job
    proxy.inject(respond(503), "ping", count=2)
    with closing(connect(job.options, job.source, "source", StopRequest())) as client:
        assert vars(client._server.session.get_adapter(client.url))["_pool_maxsize"] == 8
    proxy.heal()
    proxy.inject(respond(503), "ping", count=9)
    for retries, made in ((0, 1), (None, 3), (1, 2)):
        proxy.seen.clear()
        with pytest.raises(Overloaded, match=f"source {proxy.url}: ping: HTTP 503"):
            connect(job.options, job.source, "source", StopRequest(), retries=retries)
        assert proxy.seen["ping"] == made


def test_connections_are_closed_with_the_client(pair: Pair, proxy: Proxy) -> None:
    """One that is used again and again stays open until then."""
    with asking(pair, proxy) as client:
        for _ in range(3):
            client.get_databases()
        assert proxy.connections == 1
        client.close()
        wait_until(lambda: not proxy.connections, "the connection's end", hang=20)


@pytest.mark.parametrize(
    ("lines", "types", "expected"),
    [
        ([f"m,h=a v=1 {MONDAY + i}" for i in range(3)], {"v": ("float",)}, ["csv", "csv", "csv"]),
        ([f'm,h=a v="short" {MONDAY + i}' for i in range(3)], {"v": ("string",)}, ["csv", "csv", "csv"]),
        ([f'm,h=a v="{"x" * 999}" {MONDAY}'], {"v": ("string",)}, ["csv", "msgpack", "msgpack"]),
        ([f"m,h={h} v=1 {MONDAY}" for h in ("a", "\udcff")], {"v": ("float",)},
         ["csv", "msgpack", "msgpack", "msgpack"]),
        ([f"m,h=a v=1 {MONDAY}"], {"v": ()}, ["msgpack"] * 3),
    ],
)  # fmt: skip
def test_rows_are_asked_for_as_csv_as_long_as_that_pays(
    lines: list[str], types: dict[str, tuple[str, ...]], expected: list[str], pair: Pair, proxy: Proxy
) -> None:
    """What CSV does not tell for sure is asked once more as msgpack, and from then on at once."""
    pair.write("\n".join(lines).encode("utf-8", "surrogateescape"))
    with asking(pair, proxy) as client:
        texts = noted(proxy)
        for _ in range(3):
            assert client.read_page(place(pair), types, ["h"], SPAN).rows == len(lines)
    assert forms(texts) == expected


def test_a_page_that_is_too_large_is_no_reason_against_csv(
    pair: Pair, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one, which asks for less, is asked for in the same way."""
    pair.write("\n".join(f"m,h=a v={i} {MONDAY + i}" for i in range(100)))
    with asking(pair, proxy) as client:
        texts = noted(proxy)
        with monkeypatch.context() as patch:
            patch.setattr(pages, "PAGE_BYTES", 1000)
            with pytest.raises(QueryTooLarge, match="larger than 1000 bytes"):
                client.read_page(place(pair), {"v": ("float",)}, ["h"], SPAN)
        assert client.read_page(place(pair), {"v": ("float",)}, ["h"], SPAN).rows == 100
    assert forms(texts) == ["csv", "csv"]


def test_a_field_of_another_type_than_expected_is_noticed_in_either_form(pair: Pair, proxy: Proxy) -> None:
    """Unless the range lies in one group of shards, where there is one type, whichever it is."""
    pair.write(f"m v=1.5 {MONDAY}")
    with asking(pair, proxy) as client:
        texts = noted(proxy)
        with pytest.raises(TypesChanged, match=r"'v' \(float\)") as caught:
            client.read_page(place(pair), {"v": ("integer",)}, (), SPAN)
        assert caught.value.types == {"v": ("float",)}
        page = client.read_page(place(pair), {"v": ("integer",)}, (), SPAN, one_group=True)
        assert [frame.types for frame in page.frames] == [{"v": "float"}]
    assert forms(texts) == ["csv", "msgpack", "msgpack"]


def test_integers_are_unsigned_only_where_a_query_says_so(pair: Pair, proxy: Proxy) -> None:
    """A server shows both alike: what the field's types leave open is asked, and nothing else."""
    pair.write(f"m n=5i,x\r=1i,f=1.5 {MONDAY}".encode())
    with asking(pair, proxy) as client:
        for field, types, found, questions in (
            ("n", ("integer",), "integer", 1),
            ("n", (), "integer", 1),
            ("n", ("unsigned",), "unsigned", 1),
            ("n", ("integer", "unsigned"), "integer", 2),
            ("f", ("float", "unsigned"), "float", 1),
            ("no", ("integer", "unsigned"), None, 1),
        ):
            proxy.seen.clear()
            assert client.get_field_type(place(pair), field, SPAN, types) == found
            assert proxy.seen["query"] == questions
        with pytest.raises(QueryRefused, match=r"no query can tell the integers of field x\\r from unsigned ones"):
            client.get_field_type(place(pair), "x\r", SPAN, ("integer", "unsigned"))
        half = {"name": "m", "columns": ["time", "n"], "values": [[MONDAY, 2]]}  # as of an unsigned integer
        for types, questions, type_ in (
            (("unsigned",), 2, "unsigned"),  # as CSV, and as msgpack
            (("integer", "unsigned"), 3, "integer"),
            (("unsigned", "integer"), 3, "unsigned"),
        ):
            proxy.heal()
            if type_ == "unsigned":
                proxy.inject(only(lambda text: "/ 2" in text, answered([half])), "query")
            (frame,) = client.read_page(place(pair), {"n": types}, (), SPAN, one_group=True).frames
            assert frame.types == {"n": type_}
            assert proxy.seen["query"] == questions


def test_whether_unsigned_integers_are_held_is_asked_by_a_line_that_no_server_takes(
    pair: Pair, proxy: Proxy
) -> None:
    """For its time, or for the value before it; who takes it is no InfluxDB."""
    pair.write(f"there v=1 {MONDAY}")
    with asking(pair, proxy) as client:
        said = client.holds_unsigned(pair.database)
        assert client.get_measurements(pair.database) == ("there",)
        for text, holds in (("bad timestamp", True), ("invalid number", False)):
            proxy.inject(refusal(400, f"unable to parse 'm v=1u never': {text}"), "write")
            assert client.holds_unsigned(pair.database) is holds
        proxy.inject(respond(204, **OURS), "write")
        with pytest.raises(IncompleteAnswer, match="took a line that is none"):
            client.holds_unsigned(pair.database)
    assert said is pair.source.met_version.endswith(UNSIGNED)


@pytest.mark.parametrize(
    ("points", "text", "error"),
    [
        (influx_client.FEW_POINTS, "engine: cache-max-memory-size exceeded: (9/8)", Overloaded),
        (influx_client.FEW_POINTS + 1, "engine: cache-max-memory-size exceeded: (9/8)", RequestTooLarge),
        (influx_client.FEW_POINTS + 1, "timeout", Overloaded),
    ],
)
def test_a_large_request_is_made_smaller_for_a_full_cache_and_a_small_one_waits(
    points: int, text: str, error: type[InfluxError], pair: Pair, proxy: Proxy
) -> None:
    """Only when it is the cache that is full."""
    pair.source.create_database(pair.database)
    frame = frames.to_frame([(MONDAY + i, i) for i in range(points)], ["v"], [])
    (body,) = line_protocol.encode_frame(frame, "m").bodies
    with asking(pair, proxy) as client:
        proxy.inject(refusal(500, text), "write")
        with pytest.raises(error) as caught:
            client.write_body(body, place(pair))
        assert type(caught.value) is error
        assert client.acknowledged(pair.database, "autogen") == 0
        assert client.write_body(body, place(pair)).points == points
        assert client.acknowledged(pair.database, "autogen") == points


def test_points_that_are_too_old_are_none_of_those_that_were_written(pair: Pair, proxy: Proxy) -> None:
    """Nor are their values and bytes; a request without points is not told to anybody."""
    pair.source.create_database(pair.database)
    pair.source.query(f'CREATE RETENTION POLICY short ON "{pair.database}" DURATION 1h REPLICATION 1')
    far = 4_102_444_800 * 10**9
    frame = frames.to_frame([(time, 1, 2) for time in (1, 2, 3, far)], ["v", "w"], [])
    (body,) = line_protocol.encode_frame(frame, "m").bodies
    location = Location(pair.database, "short", "m")
    with asking(pair, proxy) as client:
        for times in (1, 2):
            written = client.write_body(body, location)
            assert (written.points, written.expired, written.values) == (1, 3, 2)
            assert written.bytes == len(body.text) // 4
            assert client.acknowledged(pair.database, "short") == times
        client.check_write(pair.database)
        assert client.acknowledged(pair.database, "") == client.acknowledged(pair.database, "autogen") == 0
        client.count_elsewhere(pair.database, "short", 5, 7)
        client.count_elsewhere(pair.database, "short", 6, 0)
        assert client.acknowledged(pair.database, "short") == 2 + 5 + 6
        asked = client.questions
        client.count_elsewhere(pair.database, "short", 0, 8)
        assert client.questions == asked + 8


@pytest.mark.parametrize(("most", "is_packed"), [(8, False), (7, True)])
def test_a_request_of_the_same_machine_is_compressed_when_it_is_large(
    most: int, is_packed: bool, pair: Pair, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so can a huge value get past a limit of the server's; else that would cost more than it saves."""
    pair.source.create_database(pair.database)
    monkeypatch.setattr(transport, "STORED_MOST", most)
    kinds: list[int] = []

    def act(exchange: Exchange) -> None:
        head = exchange.read(11)
        kinds.append(head[10] & 0b110)  # a block as it is, or with the codes of DEFLATE
        body = head + exchange.read()
        exchange.ask([body], len(body))
        exchange.send(exchange.answer().wire())

    proxy.inject(act, "write")
    with asking(pair, proxy) as client:
        assert client.write_body(Body(b"m v=1i 1", 1, 1), place(pair)).points == 1
    assert [bool(kind) for kind in kinds] == [is_packed]
    assert pair.source.rows("SELECT v FROM m", db=pair.database) == [[1, 1]]


def test_a_redirect_is_not_followed_and_may_pass_once_the_server_has_answered(pair: Pair, proxy: Proxy) -> None:
    """Its target is shown, as far as it helps, and without a password."""
    target = "http://user:hidden-word@login.invalid/" + "x" * 1000
    pair.write(f"m v=1 {MONDAY}")
    with asking(pair, proxy, retries=1) as client:
        login = proxy.inject(respond(302, LOGIN_PAGE, Location=target), "query")
        assert pair.database in client.get_databases()
        assert (login.injected, proxy.seen["query"]) == (1, 2)
        proxy.inject(respond(307, LOGIN_PAGE, Location=target), "query", count=2)
        with pytest.raises(IncompleteAnswer, match="redirects to") as caught:
            client.get_measurements(pair.database)
        message = str(caught.value)
        assert "http://***@login.invalid/xxx" in message
        assert "hidden-word" not in message
        assert message.count("x") < transport.LONGEST_TARGET + 50
        proxy.inject(respond(302, LOGIN_PAGE, Location=target), "ping")
        with pytest.raises(QueryRefused, match=r"put the final address into url$"):
            client.ping()


DENIED = "u not authorized to execute statement 'SHOW SHARDS', requires admin privilege"


def test_who_may_not_see_shards_is_told_of_them_by_what_everybody_sees(pair: Pair, proxy: Proxy) -> None:
    """Without their times; and nothing where that is not shown either."""
    pair.write(f"m v=1 {MONDAY}")
    with asking(pair, proxy) as client:
        seen = client.get_shard_states(pair.database, "autogen", MONDAY)
        assert seen is not None
        assert (seen.is_blind, len(seen.shards)) == (False, 1)
        assert seen.activity is not None
        assert (seen.activity.stored, seen.activity.is_idle) == (1, True)
        proxy.inject(only(lambda text: "SHOW SHARDS" in text, refusal(403, DENIED)), "query", count=None)
        blind = client.get_shard_states(pair.database, "autogen", MONDAY)
        assert blind is not None
        assert (blind.is_blind, len(blind.shards)) == (True, 1)
        assert blind.activity is not None
        assert (blind.activity.stored, blind.activity.is_idle) == (1, True)
        with pytest.raises(AccessDenied):
            client.query_data("SHOW SHARDS")
        shard = {"name": "shard", "tags": {"id": "1"}, "values": {}}
        shown = json.dumps({"system": {"started": "a"}, "shard": shard}).encode()  # by its form it could be one
        for other in (
            respond(404, b"404 page not found", "text/plain"),
            respond(401, b"", "text/plain"),
            respond(200, LOGIN_PAGE),
            respond(200, b'["a"]', JSON),
            respond(200, b"{}", JSON),
            respond(206, shown, JSON),
            respond(500, shown, JSON),
        ):
            proxy.inject(other, "vars")
            assert client.get_shard_states(pair.database, "autogen", MONDAY) is None


def test_an_answer_that_is_too_large_is_asked_for_in_parts(pair: Pair, proxy: Proxy) -> None:
    """Down to single questions; one that is too large by itself has none."""
    pair.write("\n".join(f"m{n},h={h} v=1 {MONDAY}" for n in range(5) for h in range(300 if n == 3 else 1)))
    looks = [Look(place(pair, f"m{n}"), {"v": ("float",)}, SPAN) for n in range(5)]
    with asking(pair, proxy) as client:
        whole = client.get_fingerprints(looks)
        assert [len(found or ()) for found in whole] == [1, 1, 1, 300, 1]
        assert proxy.seen["query"] == 1
        small = client.get_fingerprints(looks, most_bytes=5000)
        assert small == [None if number == 3 else found for number, found in enumerate(whole)]
        assert proxy.seen["query"] > 4
        assert client.get_fingerprints([]) == []


Ask = Callable[[InfluxClient], object]


@pytest.mark.parametrize(
    "ask", [lambda c: c.check_admin(), lambda c: c.get_shard_groups("a", "b"), lambda c: c.catalog.get_users()]
)
def test_what_only_administrators_may_is_asked_of_the_server(ask: Ask, pair: Pair, proxy: Proxy) -> None:
    """Its refusal is an error."""
    with asking(pair, proxy) as client:
        ask(client)
        proxy.inject(refusal(403, DENIED), "query")
        with pytest.raises(AccessDenied, match="only an administrator may do that"):
            ask(client)
