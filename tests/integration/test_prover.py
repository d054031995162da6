"""What the counters of both servers prove, step by step, without the rest of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pytest

from basics.spans import Span
from basics.times import MIN_TIME
from copying.balance import Patrol
from copying.compare import Comparer
from copying.memory import Memory
from copying.proving import Prover
from copying.results import MeasurementResult
from copying.task import Copy, Target
from influx.written import PutAside, Refusal, Written
from tests.integration.harness import DAY, HOUR, Pair
from tests.integration.parts import Parts, parts
from tests.support.proxy import Proxy, error_document, only, respond

FINE = MeasurementResult("m")
OLD = 40 * DAY


@dataclass
class Round:
    """A run that copies nothing: only what it proves."""

    run: Parts
    prover: Prover
    target: Target
    copies: list[Copy]
    is_still: bool

    def prove(self) -> int | None:
        """Since when has to be compared."""
        return self.prover.prove(self.copies, self.copies[0].target.groups or ())

    def conclude(self, *results: MeasurementResult) -> None:
        """All that the run has to say in the end."""
        newest = {copy.source.measurement: max(copy.resumed.values()) for copy in self.copies}
        self.prover.conclude(self.copies, results or [FINE] * len(self.copies), newest)
        self.prover.close()


@contextmanager
def begun(pair: Pair, memory: Memory, changes: dict[str, Any] | None = None) -> Iterator[Round]:
    """A round that has looked at the counters, and knows what there is."""
    with parts(pair, changes, time.time_ns()) as run:
        prover = Prover(run.job, Comparer(run.source, run.destination), run.now, memory)
        (target,), _ = run.planner.policies.prepare(pair.database, pair.database)
        is_still = prover.begin(pair.database, target)
        copies = list(run.planned().values())
        yield Round(run, prover, copies[0].target, copies, is_still)


def known(memory: Memory) -> int:
    """How many policies something is proved of."""
    return len(memory.proofs)


def proved(pair: Pair, memory: Memory) -> Target:
    """What both sides hold is equal, and that is proved."""
    now = time.time_ns()
    pair.write("\n".join(f"{m} v=1 {now - age - n * 10**9}" for m in "ab" for age in (0, OLD) for n in range(3)))
    assert pair.backup().failures == ()
    for expected in (0, 1):
        with begun(pair, memory) as found:
            assert (found.is_still, found.prover.is_still) == (False, False)
            assert (found.prove(), found.prover.proved) == (None, (MIN_TIME, None))
            found.conclude()
        assert known(memory) == expected
    return found.target


def test_what_was_brought_twice_is_proved_and_nothing_more_is_asked(pair: Pair) -> None:
    """The newest points are known without a question; where others are wanted, nothing is proved of these."""
    memory = Memory()
    proved(pair, memory)
    for _ in range(2):
        with begun(pair, memory) as found:
            assert (found.is_still, found.prover.is_still) == (True, True)
            bare = [replace(copy, resumed={}) for copy in found.copies]
            assert found.prover.still(bare) == [replace(copy, starts=copy.starts) for copy in found.copies]
            found.conclude()
        assert known(memory) == 1
    with begun(pair, memory) as found:
        assert found.prover.still(found.copies[:1]) is None
        assert not found.prover.is_still
    with begun(pair, memory, {"options": {"incremental": {"lookback": "0"}}}) as found:
        assert (found.is_still, found.prover.still(found.copies), found.prover.states) == (False, None, None)
        assert (found.prove(), found.prover.proved) == (None, (MIN_TIME, None))


def test_new_points_leave_what_is_older_proved(pair: Pair) -> None:
    """Late ones do not; nor does a source that cannot be counted."""
    memory = Memory()
    proved(pair, memory)
    pair.write(f"a v=1 {time.time_ns()}")
    with begun(pair, memory) as found:
        assert not found.is_still
        since = found.prove()
        assert since is not None
        assert [since] == [proof.since for proof in memory.proofs.values()]
        assert found.prover.proved[0] == since
    pair.write(f"a v=2 {time.time_ns() - HOUR}")
    with begun(pair, memory) as found:
        assert (found.prove(), found.prover.proved) == (None, (MIN_TIME, None))


UNCLEAN = {
    "failed": replace(FINE, problems=("no",)),
    "extra": replace(FINE, extra=1),
    "stopped": replace(FINE, is_whole=False),
    "warned": replace(FINE, warnings=("hm",)),
    "refused": replace(FINE, written=Written(refusals=(Refusal("x", "y", 1),))),
    "put aside": replace(FINE, written=Written(put_aside=(PutAside("x", "y", 1),))),
    "expired": replace(FINE, written=Written(expired=1)),
    "doubted": FINE,
}


def test_a_run_that_is_not_clean_proves_nothing_and_neither_does_the_next(pair: Pair) -> None:
    """One of its measurements is enough."""
    before = Memory()
    proved(pair, before)
    memory = before
    for why, result in UNCLEAN.items():
        memory = deepcopy(before)
        with begun(pair, memory) as found:
            if why == "doubted":
                found.prover.doubt()
            found.conclude(FINE, result)
        assert (known(memory), memory.selections) == (0, {}), why
    for expected in (0, 1):
        with begun(pair, memory) as found:
            found.prove()
            found.conclude()
        assert known(memory) == expected


def test_a_piece_that_is_compared_again_is_as_long_as_it_holds_little(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only windows that begin in it count."""
    memory = Memory()
    target = proved(pair, memory)
    monkeypatch.setattr("copying.balance.AGAIN_VALUES", 10)
    for values, times in ((2, 2), (5, 1), (11, 0.5)):
        proof = memory.proof(pair.database, target)
        assert proof is not None
        memory.keep_proof(pair.database, target, replace(proof, patrol=Patrol(length=HOUR)))
        pair.write(f"a v=1 {time.time_ns()}")
        with begun(pair, memory) as found:
            assert found.prove() == proof.since
            _, piece = found.prover.proved
            assert piece == Span(proof.since - HOUR, proof.since)
            found.prover.seen(Span(piece.start, piece.start + 1), 1)
            found.prover.seen(Span(piece.end - 1, piece.end + 9), values - 1)
            for outside in (Span(piece.start - 1, piece.end), Span(piece.end, piece.end + 1)):
                found.prover.seen(outside, 1000)
            found.conclude()
        after = memory.proof(pair.database, target)
        assert after is not None
        assert (after.patrol.reached, after.patrol.length) == (piece.start, HOUR * times)
        assert after.patrol.compared_at > 0


def test_a_source_that_cannot_be_counted_proves_nothing(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """That is said; one that is gone is an error."""
    caplog.set_level("INFO")
    memory = Memory()
    proved(pair, memory)
    pair.write(f"a v=1 {time.time_ns()}")
    with Proxy(pair.source.url) as proxy:
        changes = {"source": {"url": proxy.url}, "options": {"retries": 0}}
        with begun(pair, memory, changes) as found:
            counts = only(lambda text: "count(" in text, error_document("cannot count"))
            fault = proxy.inject(counts, "query", count=None)
            assert found.prove() is None
            assert fault.injected
            assert "autogen: its points cannot be counted: " in caplog.text
        proxy.heal()
        with begun(pair, memory, changes) as found:
            proxy.inject(only(lambda text: "count(" in text, respond(503)), "query", count=None)
            with pytest.raises(Exception, match="503"):
                found.prove()
