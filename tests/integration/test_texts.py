"""Texts are read as CSV, which tells neither empty ones from none nor all bytes; they arrive exactly."""

import itertools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basics.spans import Span
from basics.stopping import StopRequest
from config import Config
from influx import line_protocol, pages
from influx.influxql import Location
from influx_client import connect
from tests.integration.harness import MONDAY, Pair, write_job
from tests.integration.test_round_trip import examples
from tests.support.proxy import Proxy, before, only
from tests.support.servers import InfluxServer

FELL_BACK = "reading it as msgpack"
ODD = [
    "", " ", "x", " x", "x ", '"', '""', '"x"', 'a"b', ",", "a,b", "a\nb", "\n", "\n\n", "a\n", "\nb", '"\n"', "#",
    "\\", "\\.", "\\n", "null", "NaN", "NA", "1", "true", "'", "\t", "\v", "\f", "\x1f", "\x85", "\xa0", "\u2028",
    "\u2029", "\ufeff", "\u3000x", "naïve", "日本語", "🚀", "name,tags,time,s", "\n\nname,tags,tagKey\nm,,h\n\n",
    "\n\nname,tags,fieldKey,fieldType\nm,,s,string\nm,,t,string\nm,,n,integer\n",
]  # fmt: skip
"""What CSV has to quote, to escape or to leave alone."""
DOUBTFUL = [b"\r", b"a\r\nb", b"\xff", b"\xc3(", b'"\xff"', "\ufffd".encode(), b"\n\r\n"]
"""What CSV does not tell, or not all versions of InfluxDB do."""
_numbers = itertools.count()


def string(value: bytes) -> bytes:
    """As line protocol writes it."""
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def line(head: bytes, fields: dict[str, bytes], number: int | None, time: int) -> bytes:
    """One row; without a number and texts it is none."""
    parts = [name.encode() + b"=" + string(value) for name, value in fields.items()]
    parts += [b"n=%di" % number] if number is not None else []
    return head + b" " + b",".join(parts) + b" %d" % time


def assert_arrives_as_csv(pair: Pair, lines: list[bytes], caplog: pytest.LogCaptureFixture) -> None:
    """What is written is copied exactly, and never read as msgpack."""
    pair.write(b"\n".join(lines))
    with caplog.at_level(logging.DEBUG):
        assert pair.backup({"options": {"retries": 0, "log_level": "DEBUG"}}).failures == ()
    pair.assert_equal()
    assert FELL_BACK not in caplog.text


def test_odd_texts_are_read_as_csv(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Each of them alone, beside another, and beside none."""
    rows = [({"s": a.encode()}, {"s": a.encode(), "t": ODD[-1 - i].encode()}) for i, a in enumerate(ODD)]
    lines = [
        line(b"m,h=%d" % (i % 3), fields, i if i % 2 else None, MONDAY + 10 * i + j)
        for i, pair_ in enumerate(rows)
        for j, fields in enumerate(pair_)
    ]
    lines += [line(b"m", {}, i, MONDAY + 10_000 + i) for i in range(1500)]  # more than is copied together
    assert_arrives_as_csv(pair, lines, caplog)


@pytest.mark.parametrize("case", ["never", "always", "some", "missing", "both", "same time", "only empty"])
def test_empty_texts_and_missing_ones_are_told_apart(
    case: str, pair: Pair, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a page holds of each: full texts, empty ones, none; of one series or of several at one time."""
    monkeypatch.setattr(pages, "PAGE_CELLS", 900)

    def text(i: int) -> dict[str, bytes]:
        full, empty, none = {"s": b"text %d" % i}, {"s": b""}, dict[str, bytes]()
        return {
            "never": (full, full, full),
            "always": (empty, empty, empty),
            "some": (full, empty, empty),
            "missing": (full, none, none),
            "both": (full, empty, none),
            "same time": (empty, none, none),
            "only empty": (none, empty, none),
        }[case][i % 3]

    heads = [b"m", b"m,h=a", b"m,h=b", b"m,h=b,k=c", b"m,k=c"]
    step = 5 if case == "same time" else 1
    lines = [line(heads[i % 5], text(i // 5 + i), i, MONDAY + i // step) for i in range(3000)]
    assert_arrives_as_csv(pair, lines, caplog)


@pytest.mark.parametrize("odd", DOUBTFUL)
def test_what_csv_does_not_tell_is_read_again(odd: bytes, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """As msgpack, which tells everything."""
    lines = [line(b"m", {"s": odd if i == 1000 else b"x"}, i, MONDAY + i) for i in range(2000)]
    pair.write(b"\n".join(lines))
    with caplog.at_level(logging.DEBUG):
        assert pair.backup({"options": {"log_level": "DEBUG"}}).failures == ()
    pair.assert_equal(points=4000)
    assert FELL_BACK in caplog.text


@pytest.mark.parametrize("name", ["time ", "Time", "a tag", "h", 'with "quotes"', "it's"])
def test_fields_whose_names_conditions_may_mistake(name: str, pair: Pair) -> None:
    """A name like that of the time, or of a tag."""
    escaped = name.replace(" ", "\\ ").replace('"', '\\"').encode()
    texts = (b"", None, b"x")
    lines = []
    for i in range(2000):
        text = texts[i % 3]
        field = b"," + escaped + b"=" + string(text) if text is not None else b""
        lines.append(b"m,h=a%s n=%di%s %d" % ([b"", b",k=b"][i % 2], i, field, MONDAY + i))
    pair.write(b"\n".join(lines))
    assert pair.backup().failures == ()
    pair.assert_equal()


LATER = {
    "an empty text in a row that is new": b'm,h=b s="" %d',
    "an empty text in a series with a new tag": b'm,h=a,k=b s="" %d',
    "an empty text where there was none": b'm,h=a s="" %d',
    "a text where there was an empty one": b'm,h=c s="x" %d',
    "a text in the one field of a row": b'm,h=d s="x" %d',
}
"""What is written between the two questions; at the time of the rows that are read."""


@pytest.mark.parametrize("case", LATER)
def test_what_is_written_between_the_two_questions_invents_nothing(case: str, pair: Pair) -> None:
    """No row gets an empty text that the source never had in it."""
    pair.write(b'm,h=a n=1i %d\nm,h=c n=1i,s="" %d\nm,h=d s="" %d' % (MONDAY, MONDAY, MONDAY))
    types, span = {"n": ("integer",), "s": ("string",)}, Span(MONDAY, MONDAY + 1)
    with Proxy(pair.source.url) as proxy:
        config = Config(write_job(pair.directory, pair.config({"source": {"url": proxy.url}})))
        client = connect(config.job.options, config.job.source, "source", StopRequest())
        act = only(lambda asked: "= ''" in asked, before(lambda: pair.write(LATER[case] % MONDAY)))
        fault = proxy.inject(act, "query", count=None)
        (frame,) = client.read_page(Location(pair.database, "autogen", "m"), types, ["h"], span).frames
        client.close()
    assert fault.injected > 0
    found = {line.split()[0]: line.split()[1] for line in line_protocol.frame_lines(frame, "m")}
    now = {b"m,h=a": b"n=1i", b"m,h=c": b'n=1i,s=""', b"m,h=d": b's=""'}
    possible = {
        "an empty text in a row that is new": [{}, {b"m,h=b": b's=""'}],
        "an empty text in a series with a new tag": [{b"m,h=a,k=b": b's=""'}],
        "an empty text where there was none": [{}, {b"m,h=a": b'n=1i,s=""'}],
        "a text where there was an empty one": [{}, {b"m,h=c": b'n=1i,s="x"'}, {b"m,h=c": b"n=1i"}],
        "a text in the one field of a row": [{}, {b"m,h=d": b's="x"'}],
    }[case]
    assert found in [now | change for change in possible]


texts = st.sampled_from([text.encode() for text in ODD]) | st.text(max_size=12).map(
    lambda text: text.encode("utf-8", "replace")
)
rows = st.tuples(
    st.sampled_from([b"m", b"m,h=a", b'm,h="b\\,', b"m,h=a,k=\xc3\xbc"]),
    st.dictionaries(st.sampled_from("stu"), texts | st.just(b"") | st.sampled_from(DOUBTFUL[:1] + [b"y"] * 40)),
    st.none() | st.integers(-5, 5),
    st.integers(0, 12),
)


@pytest.mark.parametrize("cells", [25, 1_000_000])
@examples(40)
@given(drawn=st.lists(rows.filter(lambda row: row[1] or row[2] is not None), min_size=1, max_size=60))
def test_random_texts_arrive_unchanged(
    cells: int,
    drawn: list[tuple[bytes, dict[str, bytes], int | None, int]],
    source: InfluxServer,
    destination: InfluxServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """With pages of any size, beside numbers or alone, in several series at one time."""
    pair = Pair(source, destination, f"texts_{next(_numbers)}", tmp_path_factory.mktemp("texts"))
    original, pages.PAGE_CELLS = pages.PAGE_CELLS, cells
    try:
        pair.write(b"\n".join(line(head, fields, number, MONDAY + time) for head, fields, number, time in drawn))
        assert pair.backup().failures == ()
        pair.assert_equal()
    finally:
        pages.PAGE_CELLS = original
        for server in (source, destination):
            server.drop_database(pair.database)
