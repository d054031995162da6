"""Asks both servers what they have counted, and keeps what that proves of each policy (copying/balance.py)."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from basics.spans import Span
from basics.times import MIN_TIME
from copying import balance
from copying.balance import Moment, Patrol, Proof
from copying.compare import Comparer
from copying.memory import Memory
from copying.results import MeasurementResult
from copying.task import Copy, Target
from influx.errors import InfluxError
from influx.shards import ShardStates
from settings.keys import Job

logger = logging.getLogger(__name__)

ROUNDS = 3
"""How often it is tried to count the source's points while nobody writes there."""


@dataclass(slots=True, eq=False)
class _Case:
    """One retention policy in this run."""

    database: str
    target: Target
    states: tuple[ShardStates, ShardStates]
    shards: frozenset[str]
    """Those that the source had before anything was planned."""
    written: int
    """How many points we had written to the destination before."""
    proof: Proof | None = None
    """What was proved before this run, unless somebody has done something at the destination."""
    is_still: bool = False
    since: int | None = None
    """Everything older is proved in this run, too."""
    piece: Span | None = None
    """What is compared again though it is proved."""
    values: int = 0
    moment: Moment | None = None
    next_since: int = 0
    doubtful: bool = False


class Prover:
    """Of one job, in a run whose time is `now` (nanoseconds)."""

    def __init__(self, job: Job, comparer: Comparer, now: int, memory: Memory) -> None:
        self._comparer = comparer
        self._now = now
        self._memory = memory
        lookback = job.options.incremental.lookback
        self._is_off = job.options.range is not None or job.source.group_by is not None or not lookback
        self._case: _Case | None = None
        self._proved: list[tuple[_Case, Proof]] = []

    # ------------------------------------------------------------ before anything is planned

    def begin(self, database: str, target: Target) -> bool:
        """Look at the counters of a policy; whether nothing at all has happened there since it was equal."""
        self._case = None
        if self._is_off or target.is_new:
            return False
        states = self._comparer.shard_states(database, target, self._now)
        if states is None:
            return False
        written = self._comparer.acknowledged(target)
        source, destination = (side.activity for side in states)
        case = self._case = _Case(database, target, states, frozenset(source.shards if source else ()), written)
        known = self._memory.proof(database, target)
        if known and source and destination and known.is_untouched(destination):
            case.proof = known
            case.is_still = known.is_still(source, destination, self._now)
        return case.is_still

    def still(self, copies: Sequence[Copy]) -> list[Copy] | None:
        """The copies with the newest points of the proof; None where others are to be copied than were proved."""
        case = self._case
        if not case or not case.proof or _selection(copies, case) != case.proof.selection:
            if case:
                case.is_still = False
            return None
        newest = case.proof.newest
        return [
            replace(copy, resumed=dict.fromkeys(copy.types, newest[copy.source.measurement]))
            if copy.source.measurement in newest
            else copy
            for copy in copies
        ]

    # ------------------------------------------------------------ before anything is copied

    @property
    def is_still(self) -> bool:
        """Whether nothing at all has happened in this policy."""
        return self._case is not None and self._case.is_still

    @property
    def states(self) -> tuple[ShardStates, ShardStates] | None:
        """What both servers have told of their shards; None where they do not."""
        return self._case.states if self._case else None

    def prove(self, copies: Sequence[Copy], groups: Sequence[Span]) -> int | None:
        """Since when this policy has to be compared, because what is older is proved; None: not known."""
        case = self._case
        if case is None or any(side.activity is None for side in case.states):
            return None
        known = case.proof if case.proof and case.proof.selection == _selection(copies, case) else None
        case.next_since = balance.next_since(copies, self._now)
        case.moment = self._moment(case, copies[0].target, {case.next_since, *([known.since] if known else [])})
        if known and case.moment and known.is_balanced(case.moment):
            case.since = known.since
            oldest = min((group.start for group in groups), default=known.since)
            case.piece = known.patrol.piece(Span(oldest, known.since), self._now)
        return case.since

    @property
    def proved(self) -> tuple[int, Span | None]:
        """Since when has to be compared, and what of the older part is to be compared again in this run."""
        case = self._case
        return (MIN_TIME, None) if case is None or case.since is None else (case.since, case.piece)

    def seen(self, span: Span, values: int) -> None:
        """A window was compared; it held so many values."""
        case = self._case
        if case and case.piece and case.piece.start <= span.start < case.piece.end:
            case.values += values

    def doubt(self) -> None:
        """The sides cannot be proved equal: the destination has more, or cannot keep something."""
        if self._case:
            self._case.doubtful = True

    def _moment(self, case: _Case, target: Target, times: Iterable[int]) -> Moment | None:
        """Count the source's points from these times on, while nobody writes; None where somebody always does.

        What the servers had told before counts from now on with the newest look at the source.
        """
        try:
            for _ in range(ROUNDS):
                before = case.states[0].activity
                if before is None or before.shards.keys() != case.shards:  # a new one may not be compared
                    return None
                newer = self._comparer.newer_points(case.database, target, sorted(times))
                states = self._comparer.source_states(case.database, case.target, self._now)
                after = states.activity if states else None
                if states is None or after is None:
                    return None
                if balance.is_still(before, after):
                    return Moment(before, newer)
                case.states = (states, case.states[1])
        except InfluxError as error:
            if error.retryable:
                raise
            logger.info("%s: its points cannot be counted: %s", case.target.source.name, error)
        return None

    # ------------------------------------------------------------ after everything is copied

    def conclude(
        self, copies: Sequence[Copy], results: Iterable[MeasurementResult], newest: Mapping[str, int]
    ) -> None:
        """Keep what this run has proved, `newest` being the newest points of the measurements."""
        case, self._case = self._case, None
        if case is None:
            return
        self._memory.forget_proof(case.database, case.target)
        if case.doubtful or not all(map(_is_clean, results)):
            self._memory.forget_clean(case.database, case.target)
            return
        selected = _selection(copies, case)
        was_clean = self._memory.note_clean(case.database, case.target, selected)
        destination = case.states[1].activity
        proof = self._proof(case, selected) if was_clean and destination else None
        if proof and destination:
            self._proved.append((case, replace(proof, destination=destination, newest=dict(newest))))

    def _proof(self, case: _Case, selected: str) -> Proof | None:
        """What is proved now: anew, or still what was before; None where it is nothing."""
        known = case.proof if case.proof and case.proof.selection == selected else None
        destination = case.states[1].activity
        if case.is_still or case.moment is None or destination is None:
            return known
        patrol = known.patrol if known and case.since is not None else Patrol(self._now)
        if case.piece:
            patrol = patrol.after(case.piece, case.values, self._now)
        newer = case.moment.newer[case.next_since]
        return Proof(selected, case.next_since, newer, case.moment.activity, destination, patrol=patrol)

    def close(self) -> None:
        """Give what this run has proved to the memory, with what we did since; after the last question."""
        for case, proof in self._proved:
            written = self._comparer.acknowledged(case.target) - case.written
            known = replace(proof, written=written, asked=self._comparer.questions)
            self._memory.keep_proof(case.database, case.target, known)


def _selection(copies: Sequence[Copy], case: _Case) -> str:
    return balance.selection(copies[0].target if copies else case.target, copies)


def _is_clean(result: MeasurementResult) -> bool:
    """Whether all of a measurement is at the destination, and nothing else is."""
    written = result.written
    lost = result.problems or result.extra or written.refusals or written.put_aside or written.expired
    lost = lost or result.warnings
    return result.is_whole and not lost
