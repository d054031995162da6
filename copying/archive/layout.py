"""Which object of an archive is called what. Pure.

    archive.json                                                       format version; create-only
    data/<database>/<policy>/<start>_<end>/<measurement>/<sha256>.parquet      write-once
    snapshots/<job>/<time>.json                                        create-only, written last

Names are percent-encoded as bytes, so any name is safe on any file system and in any URL. One that is too long for
a file system is cut, with a hash of all of it at its end; the true names are in the snapshots.
"""

import hashlib
import re
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from basics.spans import Span
from basics.times import SECOND
from copying.archive.errors import ArchiveError
from influx.influxql import Location

FORMAT = 1
"""The version of all this. Another one is only for what an older reader would understand wrongly."""

ABOUT, DATA, SNAPSHOTS = "archive.json", "data", "snapshots"
_LONGEST = 200
"""Bytes of an encoded name; file systems take 255."""

_SNAPSHOT = re.compile(r"(\d{8}T\d{6})\.(\d{9})Z")


def encoded(name: str) -> str:
    """A name as a part of a path: letters, digits, `_`, `-` and (not in front) `.` stay; other bytes are `%XX`."""
    text = quote(name.encode("utf-8", "surrogateescape"), safe="").replace("~", "%7E")
    if text.startswith("."):
        text = "%2E" + text[1:]
    if len(text) <= _LONGEST:
        return text or "%"
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return f"{re.sub('%.?$', '', text[: _LONGEST - 33])}~{digest}"


def decoded(text: str) -> str:
    """The name that was encoded like this; one that was cut stays as it is."""
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape") if "~" not in text and text != "%" else text


def folder_of(location: Location, span: Span) -> str:
    """Where the files of a measurement are, for one shard group."""
    places = (location.database, location.policy)
    group = f"{span.start}_{span.end}"
    return "/".join((DATA, *map(encoded, places), group, encoded(location.measurement)))


def file_key(folder: str, sha256: str) -> str:
    """The key of a file in such a folder."""
    return f"{folder}/{sha256}.parquet"


def snapshot_name(now: int) -> str:
    """The name of the snapshot of `now` (nanoseconds): `20260105T020000.000000000Z`. Names sort as times."""
    moment = datetime.fromtimestamp(now // SECOND, UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{now % SECOND:09}Z"


def snapshot_time(name: str) -> int:
    """The time in such a name, nanoseconds. Raises ArchiveError for what is none."""
    found = _SNAPSHOT.fullmatch(name)
    try:
        if found:
            moment = datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            return int(moment.timestamp()) * SECOND + int(found[2])
    except ValueError:
        pass
    raise ArchiveError(f"{name!r} is not the name of a snapshot, such as 20260105T020000.000000000Z")


def snapshots_of(job: str) -> str:
    """The folder of a job's snapshots."""
    return f"{SNAPSHOTS}/{encoded(job)}/"


def snapshot_key(job: str, name: str) -> str:
    """The key of a snapshot."""
    return f"{snapshots_of(job)}{name}.json"
