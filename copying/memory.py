"""What earlier runs have compared already. Losing it loses nothing: then it is compared again.

A shard group that was equal, and to which nobody has written at either side since, needs no look. How that is
known: each server counts what is written to each of its shards since it was started, and tells how large their
files are, which a deletion changes (tests/facts/test_counters.py). Of the shard group that is always written to,
copying/balance.py knows what is proved.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from basics.spans import Span
from copying.balance import Proof
from copying.task import Target
from copying.windows import Window
from influx.shards import ShardStates
from settings.keys import Job

logger = logging.getLogger(__name__)

_RULES = 3
"""Another number when earlier versions took for equal what was not: then everything is compared once more."""

MOST = 100_000
"""How many entries of each kind are kept; the oldest go first."""


def signature(group: Span, source: ShardStates, destination: ShardStates, left_out: str = "") -> str:
    """What both servers say of the shards in a group: another text once somebody has written or deleted there.

    `left_out` of a run: what it does not compare, though the job names it.
    """
    text = repr((source.of(group), destination.of(group), left_out))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass
class Memory:
    """Of one job. `about` names what was compared with what: a memory of anything else is worth nothing."""

    about: str = ""
    groups: dict[str, str] = field(default_factory=dict)
    """A shard group that was equal -> the signature that it had before it was compared."""
    extras: dict[str, tuple[str, int]] = field(default_factory=dict)
    """A window in which only the destination has more -> the mark of that, and how many values it has more."""
    proofs: dict[str, Proof] = field(default_factory=dict)
    """A retention policy -> what was proved of it."""
    selections: dict[str, str] = field(default_factory=dict)
    """A retention policy -> what the last run has brought to the destination to the last point."""

    def knows(self, target: Target, group: Span, signed: str) -> bool:
        """Whether the group was equal, and nobody has written to it since."""
        return self.groups.get(_group_key(target, group)) == signed

    def remember(self, target: Target, signed: Mapping[Span, str]) -> None:
        """These groups were equal when they had these signatures."""
        self.groups |= {_group_key(target, group): text for group, text in signed.items()}

    def known_extra(self, window: Window) -> int | None:
        """How many values only the destination has, where a window is known to differ in nothing else."""
        mark, count = self.extras.get(_window_key(window), ("", 0))
        return count if window.mark and mark == window.mark.hex() else None

    def accept(self, window: Window, extra: int) -> None:
        """A window in which the destination has so many values more, and lacks none."""
        self.extras[_window_key(window)] = (window.mark.hex(), extra)

    # ------------------------------------------------------------ what is proved of a policy

    def proof(self, database: str, target: Target) -> Proof | None:
        """What was proved of a policy of this database of the source."""
        return self.proofs.get(policy_key(database, target))

    def keep_proof(self, database: str, target: Target, proof: Proof) -> None:
        """Something is proved of a policy."""
        self.proofs[policy_key(database, target)] = proof

    def forget_proof(self, database: str, target: Target) -> None:
        """Nothing is proved of a policy, until something is again."""
        self.proofs.pop(policy_key(database, target), None)

    def note_clean(self, database: str, target: Target, selection: str) -> bool:
        """This run has brought all of a selection; whether the one before it had brought the same."""
        key = policy_key(database, target)
        before, self.selections[key] = self.selections.get(key), selection
        return before == selection

    def forget_clean(self, database: str, target: Target) -> None:
        """This run has not brought all of a policy."""
        self.selections.pop(policy_key(database, target), None)


def policy_key(database: str, target: Target) -> str:
    """A policy of a database of the source, and where it goes."""
    return json.dumps([database, target.source.name, target.database, target.destination.name])


def _group_key(target: Target, group: Span) -> str:
    return json.dumps([target.database, target.source.name, group.start, group.end])


def _window_key(window: Window) -> str:
    place = window.copy.source
    return json.dumps([place.database, place.policy, place.measurement, window.span.start, window.span.end])


def load(file: Path, about: str) -> Memory:
    """The memory in a file; an empty one where there is none that can be used."""
    try:
        found = json.loads(file.read_text())
        if found["about"] == about:
            extras = {str(key): (str(mark), int(count)) for key, (mark, count) in found["extras"].items()}
            groups, selections = (
                {str(key): str(text) for key, text in found[name].items()} for name in ("groups", "selections")
            )
            proofs = {str(key): Proof.from_json(proof) for key, proof in found["proofs"].items()}
            return Memory(about, groups, extras, proofs, selections)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.info("%s cannot be used, so everything is compared again: %s", file, error)
    return Memory(about)


def save(file: Path, memory: Memory) -> None:
    """Keep it for the next run. Where that cannot be done, the next run compares everything."""
    document = {
        "about": memory.about,
        "groups": _newest(memory.groups),
        "extras": _newest(memory.extras),
        "proofs": {key: proof.to_json() for key, proof in memory.proofs.items()},
        "selections": memory.selections,
    }
    new = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(document))
        os.replace(new, file)  # noqa: PTH105 -- Path.replace is the same
    except OSError as error:
        logger.info("%s cannot be written, so the next run compares everything: %s", file, error.strerror)


def _newest(entries: Mapping[str, object]) -> dict[str, object]:
    return dict(list(entries.items())[-MOST:])


def about(job: Job) -> str:
    """A short text for what a job compares with what; it holds no password."""
    source, options = job.source, job.options
    selected = (source.databases, source.prefix, source.suffix, job.measurements, job.policies)
    times = options.incremental
    limited = (times.fallback_days, times.lookback, times.obsolete_threshold, options.field_obsolete_threshold)
    text = repr((_RULES, source.url, job.destination.url, *selected, *limited))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def unknown(
    memory: Memory,
    target: Target,
    groups: Sequence[Span],
    states: tuple[ShardStates, ShardStates],
    left_out: str = "",
) -> dict[Span, str]:
    """The groups that have to be compared, each with its present signature."""
    signed = {group: signature(group, *states, left_out) for group in groups}
    return {group: text for group, text in signed.items() if not memory.knows(target, group, text)}
