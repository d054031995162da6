"""What is remembered of runs, days and verdicts over restarts: a small SQLite file that the monitor alone writes.

Nothing that copies ever reads it: deleting it loses the history, and nothing else.
"""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from copying.results import SnapshotTaken, SourceAge
from watching.days import KEPT, Day, day_of
from watching.events import HISTORY, Drilled, Event, Proved, RunFinished, RunRecord, Totals, Verdict, Verified
from watching.state import JobState, State, remembering

logger = logging.getLogger(__name__)

VERSION: Final = 1

TABLES: Final = """
CREATE TABLE job (name TEXT PRIMARY KEY, last_success INTEGER, complete_at INTEGER, difference TEXT, seen INTEGER);
CREATE TABLE run (job TEXT, started INTEGER, record TEXT, PRIMARY KEY (job, started)) WITHOUT ROWID;
CREATE TABLE day (job TEXT, day TEXT, counts TEXT, PRIMARY KEY (job, day)) WITHOUT ROWID;
CREATE TABLE verdict (job TEXT, at INTEGER, found TEXT, PRIMARY KEY (job, at)) WITHOUT ROWID;
"""

MORE: Final = """
CREATE TABLE IF NOT EXISTS proof (job TEXT, at INTEGER, found TEXT, PRIMARY KEY (job, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS drill (job TEXT, at INTEGER, found TEXT, PRIMARY KEY (job, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lasting (job TEXT, kind TEXT, found TEXT, PRIMARY KEY (job, kind)) WITHOUT ROWID;
"""
"""What a file of an earlier version of this tool gets, too; that version passes it over."""

FOUND: Final[Mapping[str, type[Verdict]]] = {"verdict": Verified, "proof": Proved, "drill": Drilled}
"""The tables of what somebody found out, and what is in them."""

LASTING: Final[Mapping[str, type[Proved | Drilled | SnapshotTaken]]] = {
    "damage": Proved,
    "rehearsed": Drilled,
    "snapshot": SnapshotTaken,
}
"""What of a job stays, however long ago it was."""

PATIENCE: Final = 0.2
"""Seconds that another program may hold the file; the monitor has more to do."""


def history_file(environ: Mapping[str, str]) -> Path | None:
    """Where it is: in $BACKUP_STATE_DIR; without it nothing is remembered."""
    configured = environ.get("BACKUP_STATE_DIR")
    return Path(configured) / "history.sqlite" if configured else None


def last_runs(file: Path) -> Mapping[str, RunRecord]:
    """The last run of each job that nobody stopped; of none where the file cannot be read: its monitor says so."""
    found: dict[str, RunRecord] = {}
    place = f"{file.absolute().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(place, timeout=PATIENCE, uri=True)) as known:
        for job, text in known.execute("SELECT job, record FROM run ORDER BY job, started DESC"):
            if job in found:
                continue
            with suppress(ValueError, TypeError, KeyError):  # of another version, or changed by hand
                record = _record(json.loads(text))
                if record.outcome != "stopped":
                    found[job] = record
    return found


class History:
    """An observer in the monitor: keeps what happens. A file that it cannot write costs a warning."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._runs: dict[tuple[str, int], RunRecord] = {}
        self._verdicts: dict[tuple[str, int, str], Verdict] = {}
        self._state = State()
        self._is_broken = False

    def remembered(self) -> Mapping[str, JobState]:
        """What is known of each job from earlier."""
        try:
            with closing(self._opened()) as database:
                return {job.name: job for job in _jobs(database)}
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):  # no database, or half of one
                self._put_aside(error)
            else:
                self._warn(error)
        except OSError as error:
            self._warn(error)
        return {}

    def see(self, event: Event, before: State, after: State) -> None:
        """Keep the event for the next look, if it is new."""
        name = event.job
        if name not in after.jobs:
            return
        self._state = after
        if isinstance(event, RunFinished) and before.jobs.get(name) != after.jobs[name]:
            self._runs[name, event.record.started] = event.record
        if isinstance(event, Verdict) and before.jobs.get(name) != after.jobs[name]:
            self._verdicts[name, event.at, _table_of(event)] = event

    def look(self, state: State) -> None:  # noqa: ARG002 -- it holds what see() saw
        """Write what is new, all of it or nothing."""
        if not self._runs and not self._verdicts:
            return
        try:
            with closing(self._opened()) as database, database:
                self._write(database)
        except (OSError, sqlite3.Error) as error:
            self._warn(error)
            # a disk that stays full costs no memory
            self._runs = dict([*self._runs.items()][-1000:])
            self._verdicts = dict([*self._verdicts.items()][-1000:])
        else:
            self._runs.clear()
            self._verdicts.clear()
            self._is_broken = False

    def close(self) -> None:
        """Write what is left."""
        self.look(self._state)

    # ------------------------------------------------------------ the file

    def _opened(self) -> sqlite3.Connection:
        """Raises OSError and sqlite3.Error."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
        database = sqlite3.connect(self._file, timeout=PATIENCE)
        try:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if not version:
                database.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            elif version != VERSION:
                raise sqlite3.OperationalError(f"it is of another version ({version})")
            database.executescript(MORE)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _put_aside(self, error: Exception) -> None:
        aside = self._file.with_suffix(".broken")
        logger.warning(
            "the history %s cannot be read (%s): a new one begins, and it is %s now", self._file, error, aside
        )
        with suppress(OSError):
            self._file.replace(aside)

    def _warn(self, error: Exception) -> None:
        if not self._is_broken:
            self._is_broken = True
            logger.warning("the history %s cannot be kept (%s): backups go on", self._file, error)

    def _write(self, database: sqlite3.Connection) -> None:
        runs = [(job, started, json.dumps(asdict(record))) for (job, started), record in self._runs.items()]
        database.executemany("INSERT OR REPLACE INTO run VALUES (?, ?, ?)", runs)
        for (job, at, table), found in self._verdicts.items():
            row = job, at, json.dumps(asdict(found))
            database.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", row)  # noqa: S608 -- names of our own
        for name in {*(name for name, _ in self._runs), *(name for name, *_ in self._verdicts)}:
            if state := self._state.jobs.get(name):
                _write_job(database, state)
        oldest = time.time_ns() - KEPT * 86_400 * 10**9
        for table in ("run", "day", "lasting", *FOUND):
            database.execute(f"DELETE FROM {table} WHERE job IN (SELECT name FROM job WHERE seen < ?)", (oldest,))  # noqa: S608 -- names of our own
        database.execute("DELETE FROM job WHERE seen < ?", (oldest,))


def _write_job(database: sqlite3.Connection, job: JobState) -> None:
    """What holds of it now, and nothing of what is too old."""
    now = time.time_ns()
    difference = json.dumps(asdict(job.difference)) if job.difference else None
    row = job.name, job.last_success, job.complete_at, difference, now
    database.execute("INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?, ?)", row)
    latest = sorted(job.days.items())[-2:]  # a run that ended yesterday may be told today
    days = [(job.name, day.isoformat(), json.dumps(asdict(counts))) for day, counts in latest]
    database.executemany("INSERT OR REPLACE INTO day VALUES (?, ?, ?)", days)
    oldest = day_of(now, job.timezone) - timedelta(days=KEPT)
    database.execute("DELETE FROM day WHERE job = ? AND day < ?", (job.name, oldest.isoformat()))
    lasting = [(job.name, kind, json.dumps(asdict(found))) for kind in LASTING if (found := getattr(job, kind))]
    database.execute("DELETE FROM lasting WHERE job = ?", (job.name,))
    database.executemany("INSERT INTO lasting VALUES (?, ?, ?)", lasting)
    for table, time_of in (("run", "started"), *((table, "at") for table in FOUND)):
        kept = f"SELECT {time_of} FROM {table} WHERE job = ? ORDER BY {time_of} DESC LIMIT {HISTORY}"  # noqa: S608
        database.execute(f"DELETE FROM {table} WHERE job = ? AND {time_of} NOT IN ({kept})", (job.name, job.name))  # noqa: S608


# ---------------------------------------------------------------- reading


def _jobs(database: sqlite3.Connection) -> Iterator[JobState]:
    rows = database.execute("SELECT name, last_success, complete_at, difference FROM job").fetchall()
    for name, last_success, complete_at, difference in rows:
        with suppress(ValueError, TypeError, KeyError):  # of another version, or changed by hand
            runs = database.execute("SELECT record FROM run WHERE job = ? ORDER BY started", (name,))
            days = database.execute("SELECT day, counts FROM day WHERE job = ? ORDER BY day", (name,))
            found = {table: _newest(database, table, name) for table in FOUND}
            job = JobState(
                name,
                last_success=last_success,
                complete_at=complete_at,
                history=tuple(_record(json.loads(text)) for (text,) in runs),
                days={date.fromisoformat(day): Day(**json.loads(counts)) for day, counts in days},
                verification=_as(Verified, found["verdict"]),
                difference=_as(Verified, difference),
                proof=_as(Proved, found["proof"]),
                drill=_as(Drilled, found["drill"]),
                **_lasting(database, name),
            )
            yield remembering(job)


T = TypeVar("T", Verified, Proved, Drilled, SnapshotTaken)


def _as(kind: type[T], text: str | None) -> T | None:
    return kind(**json.loads(text)) if text else None


def _newest(database: sqlite3.Connection, table: str, name: str) -> str | None:
    query = f"SELECT found FROM {table} WHERE job = ? ORDER BY at DESC LIMIT 1"  # noqa: S608 -- names of our own
    row = database.execute(query, (name,)).fetchone()
    return str(row[0]) if row else None


def _lasting(database: sqlite3.Connection, name: str) -> dict[str, Any]:
    rows = database.execute("SELECT kind, found FROM lasting WHERE job = ?", (name,)).fetchall()
    return {kind: LASTING[kind](**json.loads(text)) for kind, text in rows if kind in LASTING}


def _table_of(verdict: Verdict) -> str:
    return next(table for table, kind in FOUND.items() if isinstance(verdict, kind))


def _record(content: Mapping[str, Any]) -> RunRecord:
    record = RunRecord(**content)
    return replace(
        record,
        amounts=Totals(**content["amounts"]),
        failures=tuple(record.failures),
        warnings=tuple(record.warnings),
        ages=tuple(SourceAge(**age) for age in content["ages"]),
        snapshot=SnapshotTaken(**content["snapshot"]) if content.get("snapshot") else None,
    )
