"""`main.py drill`: restores the newest backup into scratch databases, compares every value, and drops them again.

One database after the other, so that the server needs room for the largest of them only. Nothing but points and
retention policies comes back: continuous queries, users and rights of a drill would be true ones.
"""

import logging
import random
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from basics.humanize import counted
from basics.locks import FileLock
from basics.spans import Span
from basics.stopping import StopRequest
from basics.text import printable
from basics.urls import without_credentials
from checking.restore import turned_rules
from checking.verdict import JobVerdict, Scope, conclusion, table
from checking.verify import Verifier
from config import Config, Server
from copying import quarantine
from copying.archive.errors import Damaged, NotThere, Unequal
from copying.listener import SilentRun
from copying.restore import creating, survey
from copying.restore.asked import EVER, Asked, Mapped, absent, originals
from copying.restore.plan import RestorePlan
from copying.restore.refilling import ServerCopier
from copying.restore.targets import server_at
from copying.restore.turned import from_archive, turned_round
from copying.results import JobResult
from influx import influxql, scratch
from influx.errors import AccessDenied, InfluxError, NotFound
from influx_client import InfluxClient, connect
from settings.keys import Job
from watching.events import Drilled, DrillResult, shortened

logger = logging.getLogger(__name__)

ATTEMPTS = 2
"""How often a database is restored from a server before a difference counts: runs write there meanwhile."""

LEAST_PATIENCE = 60.0
"""Seconds that a server gets to drop a database, where requests may take less."""

Named = Callable[[str], str]
"""A new name for a scratch database of this maker."""


class NoDrill(Exception):
    """A drill cannot be tried; the message says why, and what to do."""


class _Failed(Exception):
    """The backup cannot be restored, or not as it is; the message says what of it."""


class ScratchServer(InfluxClient):
    """The server that gets the scratch databases, which it shows."""

    def get_databases(self) -> tuple[str, ...]:
        """Those that the user may see, but for `_internal`."""
        return self.get_all_databases()


@dataclass(frozen=True, slots=True)
class How:
    """What to drill: the `share` of the time, from the `archive` or from the server; `url`: where to."""

    url: str
    archive: bool
    share: float = 1.0


@dataclass(slots=True)
class _Sums:
    """What came of it so far."""

    points: int = 0
    values: int = 0
    origin: str = ""
    notes: list[str] = field(default_factory=list)


def planned(job: Job, *, to: str | None = None, origin: str | None = None, share: float | None = None) -> How:
    """How a job is drilled, by its file where nothing else is asked for. Raises NoDrill. Pure.

    Never at the source by itself: that is where people work. `origin`: `archive` or `server`; empty: the archive
    where there is one, which gets no visit from runs.
    """
    destination, options = job.destination, job.options.drill
    wanted = origin or ("archive" if destination.archive else "server")
    if not (destination.archive if wanted == "archive" else destination.url):
        key = "archive" if wanted == "archive" else "url"
        raise NoDrill(f"--from {wanted}: the job names no destination.{key}")
    url = to or options.to or destination.url
    if not url:
        raise NoDrill(
            "the only destination is an archive: say which server may get scratch databases, with --to URL or "
            "options.drill.to; best a spare one"
        )
    return How(url, wanted == "archive", options.sample / 100 if share is None else share)


def stretch(groups: Sequence[Span], share: float, pick: Callable[[int], int] = random.randrange) -> Span:
    """A share of these shard groups, at least one: those from one that is picked on. All of time for all. Pure."""
    if share >= 1 or not groups:
        return EVER
    ordered = sorted(set(groups))
    count = max(1, round(share * len(ordered)))
    begin = pick(len(ordered) - count + 1)
    chosen = ordered[begin : begin + count]
    return Span(chosen[0].start, max(group.end for group in chosen))


def drill_job(
    config: Config, how: How, stopping: StopRequest, environ: Mapping[str, str], named: Named | None = None
) -> Drilled:
    """Rehearse a restore. Raises nothing of InfluxDB's, and Stopped when it was asked to stop."""
    begun, sums = time.monotonic(), _Sums()
    result: DrillResult = "passed"
    try:
        server = _server(how, config.job, environ)
        with tempfile.TemporaryDirectory(prefix="drill-") as folder, _alone(config.job, environ):
            _Drill(config, how, server, stopping, sums, Path(folder), named or _new_name).run()
    except (_Failed, Damaged, NotThere, Unequal) as error:
        result, problem = "failed", str(error)
    except (InfluxError, NoDrill) as error:
        result, problem = "not done", str(error)
    else:
        problem = ""
    stopping.check()
    detail = "\n".join(dict.fromkeys(filter(None, (problem, *sums.notes))))
    return Drilled(
        config.job.name,
        time.time_ns(),
        result,
        shortened(detail),
        sums.origin,
        without_credentials(how.url),
        sums.points,
        sums.values,
        time.monotonic() - begun,
        min(100.0, how.share * 100),
    )


def _server(how: How, job: Job, environ: Mapping[str, str]) -> Server:
    try:
        return server_at(how.url, job, environ)
    except ValueError as error:
        raise NoDrill(f"the server that should get the scratch databases: {error}") from None


def _new_name(maker: str) -> str:
    return scratch.name_of(maker, time.time_ns(), secrets.token_hex(8))


@contextmanager
def _alone(job: Job, environ: Mapping[str, str]) -> Iterator[None]:
    """Nobody else on this machine drills the job meanwhile. Raises NoDrill."""
    with FileLock(quarantine.directory_of(job.options, environ) / ".drills" / f"{job.name}.lock") as lock:
        if not lock.take():
            raise NoDrill("another drill of this job goes on")
        yield


@dataclass(slots=True)
class _Drill:
    """One drill, from the first look to the last database."""

    config: Config
    how: How
    server: Server
    stopping: StopRequest
    sums: _Sums
    folder: Path
    named: Named

    def run(self) -> None:
        """All databases of the job. Raises _Failed, InfluxError, NoDrill, Stopped."""
        config, backup = self._backup()
        with closing(backup), closing(self._connected(self.stopping)) as target:
            self._tidy_up(target)
            known = originals(config.job, backup.get_databases())
            if missing := absent(config.job, known):
                raise _Failed(f"{self.sums.origin} lacks database {', '.join(map(printable, missing))}")
            for name, held in known.items():
                self._database(config, backup, target, name, held)
        if not self.sums.points:
            raise NoDrill(
                f"nothing was restored: {self.sums.origin} holds no point there that its retention policy would "
                "still keep"
            )

    def _backup(self) -> tuple[Config, InfluxClient]:
        """What to restore from, and the job as it fits to that: an archive has the names of the source."""
        job = self.config.job
        if not self.how.archive:
            self.sums.origin = job.destination.url
            return self.config, connect(job.options, job.destination, "backup", self.stopping)
        from copying.archive.serving import open_snapshot  # noqa: PLC0415 -- its libraries are heavy

        self.sums.origin = f"archive {job.destination.archive}"
        backup = open_snapshot(job.destination.archive, job.name, "latest")
        self.sums.origin = f"{backup.name} of {backup.url}"
        return self.config.with_job(from_archive(job, backup.url)), backup

    def _connected(self, stopping: StopRequest, patience: float = 0.0) -> ScratchServer:
        options = self.config.job.options
        return ScratchServer(
            self.server,
            "target",
            timeout=max(patience, options.timeout_client),
            retries=options.retries,
            retry_delay=options.retry_delay,
            threads=2 * options.parallel_workers + 2,
            stopping=stopping,
        )

    # ------------------------------------------------------------ scratch databases

    @property
    def _maker(self) -> str:
        return scratch.maker_of(self.config.job.name, socket.gethostname())

    def _tidy_up(self, target: ScratchServer) -> None:
        """Drop what drills of this job have left here that were killed, and name what those of others have."""
        for name in filter(scratch.is_scratch, target.get_all_databases()):
            try:
                if not scratch.is_marked(name, target.get_retention_policies(name)):
                    continue
                if scratch.is_made_by(name, self._maker):
                    logger.warning("%s is left of a drill that was killed: it is dropped", name)
                    target.drop_scratch(name)
                    continue
            except NotFound:
                continue  # it is gone by now
            logger.warning(
                "%s at %s is of a drill of another job or machine; if none runs there any more: %s",
                name,
                target.url,
                influxql.drop_database(name),
            )

    @contextmanager
    def _made(self, target: ScratchServer) -> Iterator[str]:
        """A scratch database, that is gone afterwards, whatever happens. Raises _Failed where it is not."""
        name = self.named(self._maker)
        target.check_free(name)
        try:
            target.create_scratch(name)
            yield name
        except BaseException:
            self.sums.notes += self._drop(name)
            raise
        if left := self._drop(name):
            raise _Failed("; ".join(left))

    def _drop(self, name: str) -> list[str]:
        """Why it could not be dropped; nothing when it is gone."""
        try:  # also after a request to stop, which would end any other
            with closing(self._connected(StopRequest(), LEAST_PATIENCE)) as target:
                target.drop_scratch(name)
        except NotFound:
            return []
        except InfluxError as error:
            left = f"scratch database {name} at {self.how.url} may be left, which the next drill drops: {error}"
            logger.error("%s", left)  # noqa: TRY400 -- the message says all
            return [left]
        return []

    # ------------------------------------------------------------ one database

    def _database(self, config: Config, backup: InfluxClient, target: ScratchServer, name: str, held: str) -> None:
        """Restore it and compare. What differs is restored and compared once more, where runs may write to it."""
        left = 1 if self.how.archive else ATTEMPTS
        while left:
            left -= 1
            span = self._span(backup, held)
            with self._made(target) as new:
                logger.info("drill: restoring %s of %s into %s", printable(name), self.sums.origin, new)
                found = self._restored(config, backup, target, Mapped(held, name, new), span)
            self.stopping.check()
            if found is None:
                return
            copied, verdict = found
            if not left or not verdict.differs:
                self._judge(name, copied, verdict)
                return
            logger.info("drill: %s; runs may have written there meanwhile: once more", conclusion(verdict))

    def _span(self, backup: InfluxClient, held: str) -> Span:
        """What of its time is drilled; of a server nothing that comes later than now."""
        span, now = EVER, time.time_ns()
        if self.how.share < 1:
            try:
                policies = backup.get_retention_policies(held)
                groups = [group for policy in policies for group in backup.get_shard_groups(held, policy.name)]
            except AccessDenied as error:
                raise NoDrill(
                    "a share of the time needs the shard groups, which only an administrator may see: drill all "
                    f"of it, or give destination.user that right ({error})"
                ) from None
            span = stretch([g for g in groups if self.how.archive or g.start < now], self.how.share)
        return span if self.how.archive else span.clip(span.start, now)

    def _restored(
        self, config: Config, backup: InfluxClient, target: ScratchServer, database: Mapped, span: Span
    ) -> tuple[JobResult, JobVerdict] | None:
        """What the copy and the comparison came to; nothing where the backup holds nothing there."""
        job, now = config.job, time.time_ns()
        turned = _turned(turned_round(job, self.server, (database,), (), (), span), job, self.folder)
        asked = Asked(span=span, metadata=frozenset())
        plan = survey.Survey(turned_rules(job, turned), backup, target, asked, now).plan((database,), ())
        if not plan.holdings:
            return None
        if plan.dropped:
            old = counted(plan.dropped, "value")
            self.sums.notes.append(f"{printable(database.original)}: {old} too old for their policy were left out")
        self._check_rights(plan, turned, target)
        creating.create(plan, target)
        for default in (p.policy.name for p in plan.policies if p.policy.is_default):
            target.catalog.set_default_policy(database.target, default)
        turned = turned.model_copy(update={"policies": tuple({p.policy.name: 0 for p in plan.policies})})
        config = config.with_job(turned)
        copier = ServerCopier(config, backup, target, now=now, stopping=self.stopping, listener=SilentRun())
        copied = copier.write()
        self.stopping.check()
        if copied.failures:
            return copied, JobVerdict(job.name, span)
        verdict = Verifier(config, backup, target, Scope(end=span.end, full=True), self.stopping).verify()
        return copied, verdict

    @staticmethod
    def _check_rights(plan: RestorePlan, turned: Job, target: ScratchServer) -> None:
        if problems := [*creating.missing_rights(plan, turned, target)]:
            raise NoDrill("; ".join(problems))

    def _judge(self, name: str, copied: JobResult, verdict: JobVerdict) -> None:
        """Add up what was restored and is equal. Raises _Failed, and NoDrill for what was not compared."""
        self.sums.points += copied.written.points
        database = printable(name)
        if copied.failures:
            raise _Failed(f"database {database}: {'; '.join(copied.failures)}")
        if verdict.differs:
            for line in table(verdict).splitlines()[1:-1]:
                logger.warning("drill: %s", line.strip())
            raise _Failed(f"database {database}: {conclusion(verdict)}")
        if verdict.all_problems and copied.written.points:
            raise NoDrill(f"database {database}: not compared: {'; '.join(verdict.all_problems)}")
        self.sums.values += sum(measurement.source for measurement in verdict.measurements)


def _turned(turned: Job, job: Job, folder: Path) -> Job:
    """The job turned round, with its files in a folder that goes: what it refuses is in the backup still."""
    options = turned.options.model_copy(update={"quarantine_directory": folder})
    return turned.model_copy(update={"name": f"{job.name}.drill", "options": options})
