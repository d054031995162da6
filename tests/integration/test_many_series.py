"""So many series that they are read, and compared, share by share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from copying import compare
from tests.integration.harness import HOUR, MONDAY, WEEK, Pair, run_main, write_job
from tests.support.proxy import Exchange, Proxy, forward

SERIES = 1000
TIMES = 20
FIELDS = 400
"""A page of so many columns holds few rows, most of which have one of them only."""

STEP = HOUR // 60

MANY, LONG = 4000, "x" * 1000
"""The fingerprints of so many series are too much for one answer: each names its tags."""


def lines(begin: int) -> str:
    """A point of each series a minute; some of the series have no such tag, or one that ends otherwise."""
    found = []
    for time in range(begin, begin + TIMES * STEP, STEP):
        found += [f'm,host=h{n:04d} f0={n}i,text="{n}" {time}' for n in range(SERIES)]
        found += [f"m{tags} f1=1i {time}" for tags in ("", ",rack=é", ",host=é")]
    return "\n".join(found)


def all_fields(begin: int) -> str:
    """A point that has every field."""
    return f"m,host=h0000 {','.join(f'f{n}={n}i' for n in range(FIELDS))} {begin}"


def few_points() -> str:
    """A point of each of very many series, and of some that have no such tag."""
    found = [f'm,host=h{n:05d},note={LONG} v={n}i,s="{n}" {MONDAY + n}' for n in range(MANY)]
    return "\n".join([*found, *(f"m{tags} v=1i {MONDAY}" for tags in ("", ",rack=é", ",host=é"))])


class Asked:
    """How often a server was asked for a share of the series."""

    def __init__(self) -> None:
        self.reads = 0
        self.comparisons = 0

    def __call__(self, exchange: Exchange) -> None:
        """Serve a query."""
        text = exchange.text()
        self.reads += "(?s:." in text and "GROUP BY" not in text
        self.comparisons += "(?s:." in text and "GROUP BY" in text
        forward(exchange)


@pytest.fixture
def asked() -> Asked:
    """Nothing yet."""
    return Asked()


@pytest.fixture
def watched(pair: Pair, asked: Asked) -> Iterator[Proxy]:
    """In front of the source."""
    with Proxy(pair.source.url) as proxy:
        proxy.inject(asked, "query", count=None)
        yield proxy


def test_all_series_arrive(pair: Pair, watched: Proxy, asked: Asked) -> None:
    """Of two shard groups, each point once, also of series without the tag that divides them."""
    pair.write(all_fields(MONDAY))
    pair.write(lines(MONDAY))
    pair.write(lines(MONDAY + WEEK))
    result = pair.backup({"source": {"url": watched.url}})
    assert result.succeeded, result.sentence
    assert asked.reads >= 2 * 10
    assert result.written.points == 2 * TIMES * (SERIES + 3)
    pair.assert_equal()


def test_series_are_compared_share_by_share(pair: Pair, watched: Proxy, asked: Asked) -> None:
    """What is lost of some is found and comes back; verify tells what only one side has."""
    sections = {"source": {"url": watched.url}}
    pair.write(few_points())
    assert pair.backup(sections).succeeded
    again = pair.backup(sections)
    assert again.succeeded, again.sentence
    assert again.written.points == 0
    assert 10 <= asked.comparisons <= 30  # none is divided further than it has to be

    for condition in ("host = 'h00123'", "host = 'é'", "host = '' AND rack = ''"):
        pair.destination.query("DELETE FROM m WHERE " + condition, db=pair.database)  # noqa: S608
    mended = pair.backup(sections)
    assert mended.succeeded, mended.sentence
    assert mended.late == 4
    pair.assert_equal()

    pair.destination.write(f"m,host=other v=1i {MONDAY}\nm,site=x v=1i {MONDAY}", pair.database)
    pair.write(f"m,host=h00001,more=1 v=1i {MONDAY}")
    before = asked.comparisons
    done = run_main("verify", "--config", write_job(pair.directory, pair.config(sections)))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 missing, 2 extra" in done.stdout, done.stdout
    assert asked.comparisons >= before + 10


def test_what_is_late_beside_a_measurement_with_very_many_series_comes(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for equal because the other one is."""
    monkeypatch.setattr(compare, "ANSWER_BYTES", 20_000)
    many = [f"many,host=h{n:04d} v=1 {MONDAY + n}" for n in range(500)]
    pair.write("\n".join([*many, *(f"other v={n} {MONDAY + n * HOUR}" for n in range(24))]))
    for _ in range(2):
        assert pair.backup().failures == ()
    pair.write(f"other,host=late v=1 {MONDAY + HOUR}")
    result = pair.backup()
    assert (result.failures, result.late) == ((), 1)
    pair.assert_equal()
