"""What the client makes of answers: pages, windows and edges, and how many questions they take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from basics.spans import Span
from basics.times import MIN_TIME
from influx import frames, pages
from influx.errors import QueryTooLarge
from influx.line_protocol import Point
from tests.integration.asking import SPAN, asking, place
from tests.integration.harness import MONDAY, Pair
from tests.support.proxy import Proxy


@pytest.fixture
def proxy(pair: Pair) -> Iterator[Proxy]:
    """In front of the source."""
    with Proxy(pair.source.url) as found:
        yield found


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
