"""Which parts of the snapshot before stand for what the source holds now. Pure.

Each server counts what is written to a shard since it was started, and tells how large its files are. A signature
is three hashes of that: of the process (and of what the job asks for), of the counters, of the sizes.
"""

import hashlib
from enum import Enum

from basics.spans import Span
from basics.times import END_OF_TIME, MIN_TIME
from copying.archive.manifest import Part
from copying.archive.sums import Told
from influx import influxql
from influx.fingerprints import SUMMED
from influx.shards import COUNTERS, ShardStates
from settings.keys import Job

_SIZES = {1 + COUNTERS.index("diskBytes")}

_RULES = 4
"""Another number when parts of older snapshots stood for what they did not hold: then all are looked at once."""


class Trust(Enum):
    """What is known of a shard group since the snapshot before."""

    UNTOUCHED = "nobody wrote to it"
    QUIET = "nobody seems to have written to it: fingerprints tell"
    WRITTEN = "somebody may have written to it: fingerprints tell of numbers only"


def signature(job: Job, states: ShardStates | None, group: Span) -> str:
    """What the source says of a shard group; empty where nobody may see it.

    Where the times of shards may not be seen, any of them may hold any time: so it is what it says of all.
    """
    if states is None:
        return ""
    started, shards = states.of(Span(MIN_TIME, END_OF_TIME) if states.is_blind else group)
    sizes = [tuple(value for i, value in enumerate(shard) if i in _SIZES or i == 0) for shard in shards]
    counters = [tuple(value for i, value in enumerate(shard) if i not in _SIZES) for shard in shards]
    asked = (job.source.url, repr(job.measurements))
    return ".".join(_hash(part) for part in ((started, asked, _RULES), counters, sizes))


def _hash(value: object) -> str:
    return hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def trust(before: str, now: str) -> Trust:
    """What two signatures tell."""
    if not before or not now:
        return Trust.WRITTEN
    if before == now:
        return Trust.UNTOUCHED
    (process, counters, sizes), (process_now, counters_now, sizes_now) = before.split("."), now.split(".")
    # sizes alone are for another process, which counts anew: files that were rewritten may be as large as before
    is_quiet = counters == counters_now if process == process_now else sizes == sizes_now
    return Trust.QUIET if is_quiet else Trust.WRITTEN


def stands_for(part: Part, told: Told, trust: Trust, *, is_all_told: bool) -> bool:
    """Whether the part of the snapshot before is what the source holds now."""
    if not is_all_told or not part.fingerprint or part.fingerprint != told.digest:
        return False
    if not part.fields.keys() <= told.look.types.keys():  # some could not be told, and are not wanted any more
        return False
    return trust is not Trust.WRITTEN or all(map(_is_felt, part.fields, part.fields.values()))


def _is_felt(name: str, type_: str) -> bool:
    """Whether a fingerprint tells that a value was overwritten: it has the sum."""
    return type_ in SUMMED and influxql.is_quotable(name)
