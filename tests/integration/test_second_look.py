"""Points that were seen after their write, and are gone when their measurement is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from copying.results import JobResult
from tests.integration.harness import HOUR, MONDAY, Pair
from tests.support.proxy import Action, Exchange, Proxy, forward

NEWEST = MONDAY + 9 * HOUR


def lines(*measurements: str) -> str:
    """Ten points of each measurement, up to the same newest time."""
    return "\n".join(f"{m},host=h{h % 3} v={h}i {MONDAY + h * HOUR}" for m in measurements for h in range(10))


def losing(pair: Pair, most: int | None) -> Action:
    """The destination loses the newest point whenever it is asked for a second time, so many times at most."""
    looks, losses = Counter[str](), list[str]()

    def act(exchange: Exchange) -> None:
        question = exchange.text()
        if str(NEWEST) in question:
            looks[question] += 1
            if looks[question] % 2 == 0 and (most is None or len(losses) < most):
                losses.append(question)
                for name in (m for m in "abc" if f'"{m}"' in question):
                    pair.destination.query(f"DELETE FROM {name} WHERE time = {NEWEST}", db=pair.database)  # noqa: S608
        forward(exchange)

    return act


@contextmanager
def run(pair: Pair, most: int | None) -> Iterator[JobResult]:
    """A run whose destination loses points so often, after they were seen."""
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(losing(pair, most), "query", count=None)
        yield pair.backup({"destination": {"url": proxy.url}})


@pytest.mark.parametrize("measurements", ["a", "abc"], ids=["alone", "together"])
def test_what_was_seen_and_is_gone_at_the_end_is_copied_again(
    measurements: str, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Its whole range, of one measurement or of many that travel together; the run is ok then."""
    pair.write(lines(*measurements))
    with run(pair, 1) as result:
        assert result.failures == ()
    assert "lost" in caplog.text
    assert "copying it once more" in caplog.text
    pair.assert_equal(points=10 * len(measurements))


@pytest.mark.parametrize("measurements", ["a", "abc"], ids=["alone", "together"])
def test_what_is_gone_again_after_it_was_copied_again_fails_the_run(measurements: str, pair: Pair) -> None:
    """Each measurement that it happened to is named; the next run brings it."""
    pair.write(lines(*measurements))
    with run(pair, None) as result:
        assert len(result.failures) == len(measurements)
        for name, failure in zip(measurements, result.failures, strict=True):
            assert f"{pair.database}.autogen.{name}" in failure
            assert "the destination loses what it acknowledges" in failure
    assert pair.backup().failures == ()
    pair.assert_equal(points=10 * len(measurements))
