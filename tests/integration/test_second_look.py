"""Points that were seen after their write, and are gone when their measurement is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from copying.results import JobResult
from tests.integration.harness import HOUR, MONDAY, WEEK, Pair
from tests.support.proxy import Action, Exchange, Proxy, forward, only, respond

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


@pytest.mark.parametrize("is_asked", [True, False], ids=["asked", "not to be asked"])
def test_what_is_gone_when_an_error_ends_the_common_way_is_copied_again(is_asked: bool, pair: Pair) -> None:
    """They go on one by one from where the first of it is missing; from their beginning where nobody can tell."""
    weeks = [
        [f"{m} v={h}i {MONDAY + week * WEEK + h * HOUR}" for m in "abc" for h in range(10)] for week in (0, 1)
    ]
    pair.write("\n".join(line for week in weeks for line in week))
    with Proxy(pair.destination.url) as proxy:

        def lose_and_fail(exchange: Exchange) -> None:
            for name in "abc":
                pair.destination.query(f"DELETE FROM {name} WHERE time < {MONDAY + WEEK}", db=pair.database)  # noqa: S608
            if not is_asked:
                proxy.inject(respond(503), "query")
            respond(503)(exchange)

        fault = proxy.inject(only(lambda text: str(MONDAY + WEEK) in text, lose_and_fail), "write")
        options = {"days_of_pagination": 7, "retries": 0}
        result = pair.backup({"destination": {"url": proxy.url}, "options": options})
    assert fault.injected == 1
    assert result.failures == ()
    pair.assert_equal(points=60)


def test_the_common_way_is_gone_again_where_nobody_can_tell_whether_all_of_it_is_there(pair: Pair) -> None:
    """One by one, although everything was acknowledged and seen."""
    pair.write(lines(*"abc"))
    looks = Counter[str]()

    def second(question: str) -> bool:
        looks[question] += str(NEWEST) in question
        return looks[question] > 1

    with Proxy(pair.destination.url) as proxy:

        def lose_and_fail(exchange: Exchange) -> None:
            for name in "abc":
                pair.destination.query(f"DELETE FROM {name} WHERE time = {NEWEST}", db=pair.database)  # noqa: S608
            respond(503)(exchange)

        fault = proxy.inject(only(second, lose_and_fail), "query")
        result = pair.backup({"destination": {"url": proxy.url}, "options": {"retries": 0}})
    assert fault.injected == 1
    assert result.failures == ()
    pair.assert_equal(points=30)
