"""What the client makes of answers: pages, windows and edges, and how many questions they take."""

from __future__ import annotations

from typing import Any

import pytest

import influx_client
from basics.spans import Span
from basics.times import MIN_TIME, SECOND
from influx import frames, pages
from influx.counting import Count
from influx.errors import (
    AccessDenied,
    IncompleteAnswer,
    InfluxError,
    Overloaded,
    QueryRefused,
    QueryTooLarge,
    TooManySeries,
    WriteRefused,
)
from influx.fingerprints import Look
from influx.line_protocol import Body, Point
from tests.integration.asking import JSON, OURS, SPAN, answered, asking, place
from tests.integration.harness import HOUR, MONDAY, WEEK, Pair
from tests.support.proxy import Exchange, Proxy, error_document, forward, only, respond
from tests.support.servers import InfluxServer


def test_pages_end_before_a_time_that_may_go_on(pair: Pair, proxy: Proxy) -> None:
    """All that is asked for came: the last time is left to the next page, and asked for again."""
    pair.write("\n".join(f"m v={i} {MONDAY + i // 2 * 10}\nm,h=b v=1 {MONDAY + i * 5}" for i in range(0, 8, 2)))
    times = [0, 0, 10, 10, 20, 20, 30, 30]
    with asking(pair, proxy) as client:
        for types in ({"v": ("float",)}, {"v": ()}):
            for rows, end in ((9, 1000), (8, 30), (7, 30), (6, 20), (4, 10), (3, 10)):
                page = client.read_page(place(pair), types, ["h"], SPAN, rows)
                assert page.span == Span(MONDAY, MONDAY + end)
                assert [t - MONDAY for f in page.frames for t in f.times.tolist()] == [t for t in times if t < end]
                assert page.limit == rows
            page = client.read_page(place(pair), types, ["h"], SPAN, 2)  # both of them share a time
            assert (page.rows, page.limit) == (4, 6)
            assert page.span.end == MONDAY + 20


def test_a_page_that_cannot_be_divided_may_be_as_large_as_it_is(
    pair: Pair, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows are the fewest; of more rows less can be asked for."""
    pair.write("\n".join(f"m v={i} {MONDAY + i}" for i in range(9)))
    monkeypatch.setattr(pages, "PAGE_BYTES", 10)
    with asking(pair, proxy) as client:
        for types in ({"v": ("float",)}, {"v": ()}):
            assert client.read_page(place(pair), types, (), SPAN, 2).rows == 1
            with pytest.raises(QueryTooLarge):
                client.read_page(place(pair), types, (), SPAN, 3)


def test_an_answer_comes_in_documents_of_a_bounded_size(pair: Pair, proxy: Proxy) -> None:
    """A tenth of the rows, so that one sees when it begins; and not too many values."""
    pair.write(f"m v=1i {MONDAY}")
    sizes: list[str] = []

    def act(exchange: Exchange) -> None:
        sizes.append(exchange.parameters["chunk_size"])
        forward(exchange)

    proxy.inject(act, "query", count=None)
    many = {f"f{i}": () for i in range(198)}
    with asking(pair, proxy) as client:
        for rows in (5, 100, 1_000_000):
            client.read_page(place(pair), {"v": ()}, (), SPAN, rows)
        client.read_page(place(pair), {"v": (), **many}, (), SPAN, 1_000_000)
        client.read_page(place(pair), {"v": ("integer",)}, (), SPAN, 5)
    assert sizes == ["1", "10", "10000", "1000", "1000"]


def test_a_range_is_read_page_by_page_to_its_end(
    pair: Pair, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each point once."""
    pair.write("\n".join(f"m v={i}i {MONDAY + i // 2}" for i in range(40)))
    pair.write("\n".join(f"m,h=a v={i}i {MONDAY + i // 2}" for i in range(40)))
    monkeypatch.setattr(pages, "PAGE_CELLS", 15)
    with asking(pair, proxy) as client:
        parts = list(client.query_to_dataframes(place(pair), ["v"], ["h"], Span(MONDAY + 1, MONDAY + 19)))
        assert [t - MONDAY for part in parts for t in part.times.tolist()] == [
            t for t in range(1, 19) for _ in "ab"
        ]
        assert proxy.seen["query"] > 5


def test_rows_of_empty_texts_that_are_not_what_was_asked_for_are_in_doubt(pair: Pair, proxy: Proxy) -> None:
    """Of other columns, or of two types: then msgpack has to tell which texts are empty."""
    pair.write(f'm,h=a v="x",w=1 {MONDAY}\nm,h=a w=2 {MONDAY + 1}\nm,h=b v="",w=3 {MONDAY + 2}')
    types = {"v": ("string",), "w": ("float",)}
    for rows in ([[MONDAY, b""]], [[MONDAY, b"", b"a"], [MONDAY + 1, 5, b"a"]]):
        with asking(pair, proxy) as client:
            series = {"name": "m", "columns": ["time", "v", "h"], "values": rows}
            strange = proxy.inject(only(lambda text: "= ''" in text, answered([series], [])), "query")
            (frame,) = client.read_page(place(pair), types, ["h"], SPAN).frames
            assert frame.fields[0][1].to_list() == ["x", None, ""]
            assert strange.injected == 1


def test_rows_of_several_types_in_one_column_are_no_points(pair: Pair, proxy: Proxy) -> None:
    """Nor are those of other columns than were asked for: no server answers so, and nothing is made of it."""
    pair.write(f"m v=1 {MONDAY}")
    mixed = {"name": "m", "columns": ["time", "v"], "values": [[MONDAY, 1.5], [MONDAY + 1, b"x"]]}
    wide = {"name": "m", "columns": ["time", "v"], "values": [[MONDAY, 1.5, 2.5]]}
    ask = pages.Ask(place(pair), {"v": ()}, (), SPAN)
    with asking(pair, proxy) as client:
        for series, words in ((mixed, "a column holds several types: bytes, float"), (wide, "the 2 columns")):
            for answers, error, read in (
                (([series], []), IncompleteAnswer, lambda: client.read_page(place(pair), {"v": ()}, (), SPAN)),
                (([series], []), IncompleteAnswer, lambda: client.read_together([ask], 9)),
                (([series],), QueryRefused, lambda: client.read_windows(place(pair), ["v"], [], SPAN, 10)),
            ):
                strange = proxy.inject(answered(*answers), "query")
                with pytest.raises(error, match=f"autogen.m: .*{words}"):
                    read()
                assert strange.injected == 1
                read()


def test_columns_that_only_a_regex_names_are_told_by_their_names(pair: Pair, proxy: Proxy) -> None:
    """Where no shard of the range has one, its column is missing, and the others do not take its place."""
    pair.write(f"m,t=a v=1,w=2 {MONDAY}\nm,t=a,u\r=b v=3,w=4,x\r=5i {MONDAY + WEEK}".encode())
    types: dict[str, tuple[str, ...]] = {"v": (), "x\r": (), "w": ()}
    with asking(pair, proxy) as client:
        for begin, fields, tags in (
            (MONDAY, {"v": [1.0], "w": [2.0]}, {"t": ["a"]}),
            (MONDAY + WEEK, {"v": [3.0], "x\r": [5], "w": [4.0]}, {"t": ["a"], "u\r": ["b"]}),
        ):
            (frame,) = client.read_page(place(pair), types, ["t", "u\r"], Span(begin, begin + WEEK)).frames
            assert {name: column.to_list() for name, column in frame.fields} == fields
            found = {name: column.to_list() for name, column in frame.tags if column.null_count() == 0}
            assert found == tags


def test_measurements_that_are_read_together_are_whole_or_none(pair: Pair, proxy: Proxy) -> None:
    """As many points as may come may not be all; those with another tag would merge."""
    pair.write("\n".join(f"m{n},h=a v={i} {MONDAY + i}" for n in range(4) for i in range(n)))
    pair.write(f"other,h=a,k=b v=1 {MONDAY}\nempty v=1 1")
    names = ("m1", "m2", "m3", "other", "empty")
    asked = [pages.Ask(place(pair, name), {"v": ("float",)}, ["h"], SPAN) for name in names]
    with asking(pair, proxy) as client:
        found = client.read_together(asked, 3)
        assert [None if frame is None else len(frame) for frame in found] == [1, 2, None, None, 0]
        assert proxy.seen["query"] == 1
        assert found[1] is not None
        assert (found[1].times.tolist(), found[1].types) == ([MONDAY, MONDAY + 1], {"v": "float"})


@pytest.mark.parametrize("read", [False, True])
def test_windows_have_one_row_for_each_series_in_the_order_of_time(
    read: bool, pair: Pair, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are; one window has no parts, so it may be as large as it is."""
    monkeypatch.setattr(pages, "DOCUMENT_ROWS", 3 if read else 10_000)
    lines = [f'm,h={h} v={i}i,w={h} {MONDAY + i}\nm s="{i}" {MONDAY + i}' for h in range(3) for i in range(40)]
    pair.write("\n".join(lines))
    with asking(pair, proxy) as client:
        page = client.read_windows(place(pair), ["v", "w"], ["s"], Span(MONDAY, MONDAY + 40), 10)
        rows = [row for frame in page.frames for row in zip(*columns_of(frame), strict=True)]
        assert [row[0] - MONDAY for row in rows] == [0] * 4 + [10] * 4 + [20] * 4 + [30] * 4
        for begin in range(0, 40, 10):
            window = {row[1:] for row in rows if row[0] == MONDAY + begin}
            means = {(begin + 4.5, float(h), None, str(h)) for h in range(3)}
            assert window == means | {(None, None, str(begin + 9), None)}
        assert page.span == Span(MONDAY, MONDAY + 40)
        monkeypatch.setattr(pages, "PAGE_BYTES", 10)
        with pytest.raises(QueryTooLarge):
            client.read_windows(place(pair), ["v"], [], Span(MONDAY, MONDAY + 20), 10)
        assert client.read_windows(place(pair), ["v"], [], Span(MONDAY, MONDAY + 10), 10).rows == 3


def columns_of(frame: frames.Frame) -> list[list[object]]:
    """The values of time, fields and tags."""
    return [column.to_list() for column in (frame.time, *(c for _, c in (*frame.fields, *frame.tags)))]


def test_edges_are_asked_for_all_types_at_once_and_told_where_they_can_be(pair: Pair, proxy: Proxy) -> None:
    """A regex cannot be cast: where it is in doubt, the edge is what the caller takes it for."""
    pair.write(f"m v=1,x\r=1 {MONDAY}\nm v=2 {MONDAY + 5}\nm,h=b v=3 {MONDAY + 3}".encode())
    both, odd = ("float", "string"), (place(pair), "x\r", ("float", "string"))
    asked = [(place(pair), "v", both), odd, (place(pair), "x\r", ("float",)), (place(pair), "no", both)]
    with asking(pair, proxy) as client:
        assert client.get_edges("last", asked, unknowable=7) == [MONDAY + 5, 7, MONDAY, None]
        assert client.get_edges("first", asked) == [MONDAY, None, MONDAY, None]
        assert proxy.seen["query"] == 2
        assert client.get_edges("first", asked[:1], start=MONDAY + 1) == [MONDAY + 3]
        assert client.get_edges("last", asked[:1], end=MONDAY + 5) == [MONDAY + 3]
        assert client.get_first_timestamp(*odd) == MIN_TIME
        newest = client.get_newest_by_series(asked[:1], MONDAY + 100)
        assert newest == [{(): MONDAY + 5, (("h", "b"),): MONDAY + 3}]
        assert client.get_newest_by_series(asked[:1], MONDAY + 4) == [{(): MONDAY, (("h", "b"),): MONDAY + 3}]


def test_requests_that_are_lost_are_found_in_the_order_of_their_ranges(pair: Pair, proxy: Proxy) -> None:
    """Each is looked for by a point; many are looked for at once."""
    pair.write("\n".join(f"m,h=a v=1 {MONDAY + i}" for i in range(0, 10, 2)))
    sent = [(Span(i, i + 1), Point("m", {"h": "a"}, {"v": 1.0}, MONDAY + i)) for i in range(10)]
    with asking(pair, proxy) as client:
        lost = client.find_lost(list(reversed(sent)), pair.database, "autogen")
        assert lost == [Span(i, i + 1) for i in range(1, 10, 2)]
        assert proxy.seen["query"] == 1
        assert client.find_lost([], pair.database, "autogen") == []


def test_a_request_is_looked_for_by_all_tags_of_its_point(pair: Pair, proxy: Proxy) -> None:
    """Also where a condition cannot name one of them; a tag without a value is none."""
    pair.write(f"m,Time=x,h=a v=1,w\r=1 {MONDAY}\nm,h=a v=1 {MONDAY + 1}".encode())
    there: list[Point] = [
        Point("m", {"h": "a", "none": "", "Time": "x"}, {"w\r": 1.0, "v": 1.0}, MONDAY),
        Point("m", {"h": "a", "none": ""}, {"v": 1.0}, MONDAY + 1),
    ]
    missing = [
        Point("m", {"h": "a", "Time": "y"}, {"v": 1.0}, MONDAY),
        Point("m", {"h": "a", "Time": "x", "more": "x"}, {"v": 1.0}, MONDAY),
        Point("m", {"h": "a", "Time": "x"}, {"v": 1.0}, MONDAY + 1),
        Point("m", {"h": "b"}, {"v": 1.0}, MONDAY + 1),
    ]
    sent = [(Span(i, i + 1), point) for i, point in enumerate((*there, *missing))]
    with asking(pair, proxy) as client:
        lost = client.find_lost(sent, pair.database, "autogen")
        assert lost == [Span(i, i + 1) for i in range(2, 6)]


def test_many_questions_are_asked_in_batches(pair: Pair, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, and the answers are in their order."""
    monkeypatch.setattr(influx_client, "STATEMENTS", 2)
    pair.write("\n".join(f"m,h={'a#!~#b' if i % 2 else 'x'},k{i}=1 v{i}=1 {MONDAY + i}" for i in range(5)))
    sent = [(Span(i, i + 1), Point("m", {}, {f"v{i}": 1.0}, MONDAY + 3 * i)) for i in range(5)]
    with asking(pair, proxy) as client:
        edges = client.get_edges("last", [(place(pair), f"v{i}", ("float",)) for i in range(5)])
        assert (edges, proxy.seen["query"]) == ([MONDAY + i for i in range(5)], 3)
        assert client.get_unstorable_tags([(place(pair), tag) for tag in ("h", "k1", "k2", "h", "k3")]) == [
            True, False, False, True, False,
        ]  # fmt: skip
        assert proxy.seen["query"] == 6
        assert client.find_lost(sent, pair.database, "autogen") == [Span(i, i + 1) for i in range(1, 5)]
        assert proxy.seen["query"] == 9


def test_more_series_than_a_query_may_read_are_asked_for_in_parts(pair: Pair) -> None:
    """Field by field, and half by half of the time; what cannot be known then is what the caller takes it for."""
    with InfluxServer.start("few", settings={"coordinator.max-select-series": 10}) as few:
        own = Pair(few, pair.destination, pair.database, pair.directory)
        at = MONDAY + WEEK // 2
        for number, series in enumerate((8, 11, 8)):
            lines = [f'fine,h={number}{h} v={h},s="x" {at + number * WEEK}' for h in range(series)]
            own.write("\n".join(lines))
        own.write("\n".join(f"many,h={h} v={h} {MONDAY}\ncalm,h={h % 3} v=1 {MONDAY}" for h in range(11)))
        fine, many = place(pair, "fine"), place(pair, "many")
        fields = [(fine, "v", ("float",)), (fine, "s", ("string",))]
        hard = (many, "v", ("float",))
        with Proxy(few.url) as proxy, asking(own, proxy) as client:
            assert client.get_edges("last", fields) == [at + 2 * WEEK] * 2
            assert client.get_edges("first", fields) == [at] * 2
            assert client.get_edges("first", [*fields, hard], unknowable=5) == [at, at, 5]
            assert client.get_edges("last", fields, start=MONDAY + 3 * WEEK, unknowable=5) == [None, None]
            with pytest.raises(TooManySeries):
                client.get_edges("last", [*fields, hard])
            assert client.get_newest_by_series([fields[0], hard], MONDAY + WEEK) == [
                {(("h", f"0{h}"),): at for h in range(8)}, None,
            ]  # fmt: skip
            week, calm = Span(MONDAY, MONDAY + WEEK), place(pair, "calm")
            looks = [Look(location, {"v": ("float",)}, week) for location in (calm, many, calm)]
            found = client.get_fingerprints(looks)
            assert [None if series is None else len(series) for series in found] == [3, None, 3]
            assert client.get_fingerprints([Look(many, {"v": ("float",)}, week)]) == [None]
            with pytest.raises(TooManySeries):
                client.get_fingerprints([Look(many, {"v": ("float",)}, Span(MONDAY, MONDAY + HOUR))])


def test_counts_that_are_too_much_are_added_up_from_halves(pair: Pair, proxy: Proxy) -> None:
    """Of the range, as long as it can be divided; many questions are then asked one by one."""
    pair.write("\n".join(f'm v={i},s="x" {MONDAY + i * SECOND // 2}' for i in range(10)))
    types = {"v": ("float",), "s": ("string",), "no": ("float",)}
    whole = Span(MONDAY, MONDAY + 8 * SECOND)
    too_much = error_document("query-timeout limit exceeded")
    with asking(pair, proxy) as client:
        proxy.inject(only(lambda text: f"time < {whole.end}" in text, too_much), "query", count=None)
        with pytest.raises(QueryTooLarge):
            client.count_values(place(pair), types, Span(whole.end - SECOND, whole.end))
        assert proxy.seen["query"] == 1
        proxy.heal()
        proxy.inject(
            only(lambda text: f"{whole.start} AND time < {whole.end}" in text, too_much), "query", count=3
        )
        assert client.count_values(place(pair), types, whole) == {"v": 10, "s": 10, "no": 0}
        assert proxy.seen["query"] == 3
        counts = [
            Count(place(pair), types, whole),
            Count(place(pair), {"v": ("float",)}, Span(MONDAY, MONDAY + 3)),
        ]
        assert client.count_many(counts) == [{"v": 10, "s": 10, "no": 0}, {"v": 1}]
        assert proxy.seen["query"] == 3 + 1 + 3 + 1
        assert client.count_many(counts) == [{"v": 10, "s": 10, "no": 0}, {"v": 1}]
        assert proxy.seen["query"] == 3 + 1 + 3 + 1 + 1
        assert client.count_values(place(pair), {}, whole) == {}


ERROR = b'{"error": "its own words"}'
PAGE = b"<html>a page</html>"


@pytest.mark.parametrize(
    ("status", "headers", "error", "words"),
    [
        (204, OURS, None, ""),
        (200, OURS, None, ""),
        (204, {}, QueryRefused, "no InfluxDB answers there (HTTP 204); check the url"),
        (202, OURS, QueryRefused, "no InfluxDB answers there (HTTP 202)"),
        (404, OURS, QueryRefused, "no InfluxDB answers there (HTTP 404)"),
        (400, {}, QueryRefused, "no InfluxDB answers there (HTTP 400)"),
        (401, OURS, AccessDenied, "check user and password"),
        (403, {}, AccessDenied, "the user lacks a right"),
        (500, OURS, Overloaded, "HTTP 500"),
        (503, {}, Overloaded, "HTTP 503"),
        (300, OURS, QueryRefused, "redirects to elsewhere"),
        (308, {}, QueryRefused, "redirects to elsewhere"),
    ],
)
def test_only_influxdbs_own_answer_to_a_ping_is_one(
    status: int, headers: dict[str, Any], error: type[InfluxError] | None, words: str, pair: Pair, proxy: Proxy
) -> None:
    """By its status and the version that it tells; what a proxy says may pass, or the address is wrong."""
    with asking(pair, proxy) as client:
        proxy.inject(respond(status, b"", **headers), "ping")
        if error is None:
            assert client.ping() == "1.6.7"
        else:
            with pytest.raises(error) as caught:
                client.ping()
            assert (type(caught.value), words in str(caught.value)) == (error, True)


@pytest.mark.parametrize(
    ("status", "body", "headers", "asked", "written"),
    [
        (200, PAGE, OURS, IncompleteAnswer, IncompleteAnswer),
        (204, b"", {}, IncompleteAnswer, IncompleteAnswer),
        (400, PAGE, OURS, IncompleteAnswer, IncompleteAnswer),
        (400, ERROR, {}, QueryRefused, IncompleteAnswer),
        (400, ERROR, OURS, QueryRefused, WriteRefused),
        (401, ERROR, OURS, AccessDenied, AccessDenied),
        (403, PAGE, {}, AccessDenied, AccessDenied),
        (404, PAGE, {}, IncompleteAnswer, IncompleteAnswer),
        (413, PAGE, {}, IncompleteAnswer, WriteRefused),
        (429, PAGE, {}, Overloaded, Overloaded),
        (500, ERROR, OURS, Overloaded, Overloaded),
        (300, PAGE, OURS, IncompleteAnswer, IncompleteAnswer),
        (308, PAGE, {}, IncompleteAnswer, IncompleteAnswer),
    ],
)
def test_what_stands_between_is_not_believed(
    status: int,
    body: bytes,
    headers: dict[str, Any],
    asked: type[InfluxError],
    written: type[InfluxError],
    pair: Pair,
    proxy: Proxy,
) -> None:
    """Of questions and of points; only what the server has taken is counted as asked."""
    pair.write(f"m v=1 {MONDAY}")
    with asking(pair, proxy) as client:
        before = client.questions
        for endpoint, kind, ask in (
            ("query", asked, lambda: client.get_measurements(pair.database)),
            ("write", written, lambda: client.write_body(Body(b"m v=2 1", 1, 1), place(pair))),
        ):
            proxy.inject(respond(status, body, JSON if body == ERROR else "text/html", **headers), endpoint)
            with pytest.raises(kind) as caught:
                ask()
            assert type(caught.value) is kind
        assert client.questions == before + (headers == OURS and status != 401)
        assert client.acknowledged(pair.database, "autogen") == 0
        assert client.get_measurements(pair.database) == ("m",)
