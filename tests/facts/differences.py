"""What differs between versions: the outcomes that facts expect, and what the tool does about each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.servers import UNSIGNED

COLUMNS = ("1.6", "1.7", "1.8", "1.12", "1.13")
"""The versions of the table, each by its first two numbers; a build with the tag has outcomes of its own where it
differs.
"""


@dataclass(frozen=True)
class Difference:
    """What each version does, and what that means for the tool."""

    outcomes: Mapping[str, str]
    tool: str


def column(version: str) -> str:
    """`1.6.7~rc0` is 1.6, and `1.8.10-uint64` is 1.8-uint64. Raises ValueError for one without a column."""
    found = re.match(r"\d+\.\d+", version)
    if not found or found[0] not in COLUMNS:
        raise ValueError(f"InfluxDB {version!r} has no column in {__name__}: expected one of {', '.join(COLUMNS)}")
    return found[0] + UNSIGNED * version.endswith(UNSIGNED)


def outcome(fact: str, version: str) -> str:
    """What `fact` is in this column."""
    outcomes = DIFFERENCES[fact].outcomes
    return outcomes.get(version) or outcomes[version.removesuffix(UNSIGNED)]


def _since(*changes: tuple[str, str]) -> dict[str, str]:
    """The outcome of every column from those at which it changes."""
    outcomes: dict[str, str] = {}
    found = dict(changes)
    for version in COLUMNS:
        outcomes[version] = found.get(version) or outcomes[COLUMNS[COLUMNS.index(version) - 1]]
    return outcomes


_FOR = " dropped=2 for database: DB for retention policy: p"
_EXPIRED = f"partial write: dropped 2 points outside retention policy of duration 24h0m0s - ...{_FOR}"
_WINDOW = (
    "partial write: dropped {} points outside retention policy of duration 0s"
    f" and {{}} points outside write window (-1h0m0s to 2h0m0s) - ...{_FOR}"
)

DIFFERENCES: Mapping[str, Difference] = {
    "test_content_type_of_csv": Difference(
        _since(("1.6", "text/csv"), ("1.8", "application/csv")),
        "asks for `text/csv`, which all versions call by that name",
    ),
    "test_unsigned_integers": Difference(
        {**_since(("1.6", "refused: invalid number")), "1.8-uint64": "kept"},
        "copies them to a server that holds them, and names them where they are refused",
    ),
    "test_unsigned_sums": Difference(
        {**_since(("1.6", "refused")), "1.8-uint64": "the sum wraps at 64 bits, the others are exact"},
        "compares them like integers",
    ),
    "test_value_counter": Difference(
        _since(("1.6", "no"), ("1.8", "yes")),
        "looks at the points",
    ),
    "test_deletions_without_a_query": Difference(
        _since(("1.6", "no"), ("1.12", "yes")),
        "from 1.9 on looks whether anybody asked for anything at all",
    ),
    "test_guarded_debug_vars": Difference(
        _since(("1.6", "200, 200"), ("1.7", "403, 401")),
        "asks with its credentials",
    ),
    "test_stopped_server": Difference(
        _since(("1.6", "breaks off"), ("1.8", "goes on to its end")),
        "believes an answer only when the statement after it was answered too",
    ),
    "test_policy_columns": Difference(
        _since(("1.6", "none"), ("1.12", "futureWriteLimit, pastWriteLimit")),
        "finds the columns by their names; does not copy write limits",
    ),
    "test_altered_duration": Difference(
        _since(("1.6", "overlaps it"), ("1.12", "is cut short")),
        "takes shard groups as the server lists them",
    ),
    "test_conflict_in_a_request": Difference(
        _since(
            ("1.6", "the first type stays"), ("1.8", "nothing of it is written"), ("1.12", "the first type stays")
        ),
        "sends a refused request again in halves, down to single lines",
    ),
    "test_delete_of_everything": Difference(
        _since(("1.6", "kept"), ("1.7", "cleared")),
        "takes the types that the server lists, and its refusal for what it does not list",
    ),
    "test_long_strings": Difference(
        _since(("1.6", "kept"), ("1.12", "refused, more than 1048576")),
        "the line is refused by itself, and put into the quarantine with that answer",
    ),
    "test_stray_names": Difference(
        _since(("1.6", "its shard does not open"), ("1.7", "it is kept")),
        "never sends such a name, to no version, and names it",
    ),
    "test_unknown_precision": Difference(
        _since(("1.6", "nanoseconds"), ("1.8", "refused")),
        "writes with `precision=ns`",
    ),
    "test_conflict": Difference(
        _since(("1.6", "nothing"), ("1.12", "for database: DB for retention policy: autogen")),
        "looks at the beginning of the message",
    ),
    "test_conflict_of_odd_names": Difference(
        _since(("1.6", 'a"b'), ("1.12", 'a\\"b')),
        "takes off the quotes",
    ),
    "test_expired": Difference(
        _since(("1.6", "partial write: points beyond retention policy dropped=2"), ("1.12", _EXPIRED)),
        "counts them as expired",
    ),
    "test_write_window": Difference(
        _since(("1.6", "no such policies"), ("1.12", _WINDOW.format(0, 2))),
        "the lines are refused, and put into the quarantine",
    ),
    "test_write_window_without_shards": Difference(
        _since(("1.6", "no such policies"), ("1.12", _WINDOW.format(2, 0))),
        "does not believe that they are too old: the lines are put into the quarantine",
    ),
    "test_body_size": Difference(
        _since(("1.6", "compressed"), ("1.13", "uncompressed")),
        "requests have 8 MB at most before they are compressed, and a refused one is sent again in halves",
    ),
    "test_queries_of_readers": Difference(
        _since(("1.6", "those of all databases"), ("1.12", "those of the databases it may read")),
        "looks for the series of the database it asks about",
    ),
    "test_queries_small_numbers": Difference(
        _since(("1.6", "v < 0.000 AND v > 1.235"), ("1.12", "v < 0.00000001 AND v > 1.23456")),
        "names the number 0.000 in a query that is restored, and what a server keeps otherwise than it was sent",
    ),
    "test_ping_with_authentication": Difference(
        _since(("1.6", "204"), ("1.7", "401")),
        "pings with its credentials",
    ),
}
