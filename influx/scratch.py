"""Scratch databases: made for a restore drill, compared, and dropped. Nothing else is ever dropped. Pure.

Ours is what has a name that was generated here, and the mark that it was created with in one statement: a
retention policy, its default one, named after the end of that name. A name alone proves nothing.
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from basics.times import DAY, SECOND
from influx.influxql import Policy

_NAME = re.compile(r"influxdb_backup_drill_([0-9a-f]{8})_\d{8}T\d{6}Z_([0-9a-f]{16})")


def maker_of(job: str, host: str) -> str:
    """Who makes scratch databases: a job on a machine. Two drills of one maker never run at the same time."""
    return hashlib.blake2b(repr((job, host)).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def name_of(maker: str, now: int, token: str) -> str:
    """A new name, by who makes it and when (nanoseconds); `token` is random, 16 hexadecimal digits."""
    moment = datetime.fromtimestamp(now // SECOND, UTC)
    return f"influxdb_backup_drill_{maker}_{moment:%Y%m%dT%H%M%SZ}_{token}"


def is_scratch(database: str) -> bool:
    """Whether it has a name that only a drill would give it."""
    return _NAME.fullmatch(database) is not None


def mark_of(database: str) -> Policy:
    """The retention policy by which a scratch database is known. Raises ValueError for any other name."""
    found = _NAME.fullmatch(database)
    if found is None:
        raise ValueError(f"{database!r} is not the name of a scratch database")
    return Policy(f"drill_{found[2]}", 0, DAY, is_default=True)


def is_marked(database: str, policies: Iterable[Policy]) -> bool:
    """Whether a database with these policies was made by a drill."""
    return is_scratch(database) and mark_of(database).name in {policy.name for policy in policies}


def is_made_by(database: str, maker: str) -> bool:
    """Whether its name says that this maker has made it."""
    found = _NAME.fullmatch(database)
    return found is not None and found[1] == maker
