"""`main.py restore`: plans it, asks, copies back what the backup holds, compares, and says what came of it."""

import logging
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from basics.humanize import counted, format_bytes
from basics.locks import FileLock
from basics.stopping import StopRequest
from basics.streams import say
from basics.text import printable
from checking.verdict import JobVerdict, Scope, table
from checking.verdict import as_json as verdict_json
from checking.verify import Verifier
from config import Config, Server
from copying import quarantine
from copying.metadata.snapshot import SavedMetadata
from copying.restore import creating, marker, plan, survey
from copying.restore.asked import Asked, UnknownName, absent, chosen, originals
from copying.restore.backups import Copier
from copying.restore.besides import Besides, NoPassword
from copying.restore.marker import Keeper, Marker
from copying.restore.plan import RestorePlan
from copying.restore.refilling import ServerCopier
from copying.restore.turned import from_archive, turned_round
from copying.results import JobResult
from copying.same_server import check_apart
from influx.errors import InfluxError
from influx.identity import is_same
from influx_client import InfluxClient, connect
from settings.keys import Job

logger = logging.getLogger(__name__)

Verify = Literal["full", "quick", "none"]


class CannotBegin(Exception):
    """Nothing was restored; the message says why."""


@dataclass(frozen=True, slots=True)
class How:
    """How to go about it. `confirm`: whether to go on, after the plan was shown; None: only the plan is wanted."""

    confirm: Callable[[], bool] | None
    verify: Verify = "quick"
    passwords: Path | None = None
    """A file with those of users; None: new ones are made."""
    quiet: bool = False
    at: str | None = None
    """Which snapshot of the job's archive to restore; None: what its destination holds."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it. Without `copied` nothing was done."""

    plan: RestorePlan
    copied: JobResult | None = None
    verdict: JobVerdict | None = None
    problems: tuple[str, ...] = ()
    passwords: Path | None = None
    """Where those are that users got."""

    @property
    def missing(self) -> int:
        """Values of the backup that the target lacks."""
        return sum(m.missing for m in self.verdict.measurements) if self.verdict else 0

    @property
    def different(self) -> int:
        """Values that the target has others of."""
        return sum(m.different for m in self.verdict.measurements) if self.verdict else 0

    @property
    def extra(self) -> int:
        """Values that only the target has; they stay."""
        return sum(m.extra for m in self.verdict.measurements) if self.verdict else 0

    @property
    def all_problems(self) -> tuple[str, ...]:
        """Of the copy, of the comparison, and of what came after it."""
        copied = self.copied.failures if self.copied else ()
        return (*copied, *(self.verdict.all_problems if self.verdict else ()), *self.problems)

    @property
    def is_whole(self) -> bool:
        """Whether all of the backup is at the target, as far as anybody looked."""
        return self.copied is not None and self.copied.outcome == "ok" and not self.missing

    @property
    def word(self) -> str:
        """The result in a word."""
        if self.copied is None:
            return "planned"
        if self.copied.stopped:
            return "stopped"
        if self.missing or self.different:
            return "different"
        return "failed" if self.all_problems else "restored"

    @property
    def code(self) -> int:
        """0: restored (or planned), and equal. 1: something differs or failed."""
        return 0 if self.word in ("planned", "restored") else 1


# ---------------------------------------------------------------- the command


def restore_job(config: Config, server: Server, asked: Asked, how: How, environ: Mapping[str, str]) -> Restored:
    """Plan, ask, restore, compare. Raises CannotBegin.

    SIGINT and SIGTERM end it after the batch in flight; the same command goes on from there.
    """
    stopping = StopRequest()
    stopping.heed(signal.SIGINT, signal.SIGTERM)
    try:
        config, backup, held = _backup(config, how, stopping)
        target = connect(config.job.options, server, "target", stopping)
        with closing(backup), closing(target), FileLock(quarantine.lock_file(config.job, environ)) as lock:
            return _Restore(config, server, asked, how, environ, stopping, backup, target, lock, held).run()
    except (InfluxError, UnknownName, NoPassword) as error:
        raise CannotBegin(str(error)) from None


def _backup(
    config: Config, how: How, stopping: StopRequest
) -> tuple[Config, InfluxClient, Mapping[str, SavedMetadata] | None]:
    """What to restore from, and the job as it fits to that: an archive has the names of the source.

    All files of a snapshot are proved before anything is asked of it. Raises InfluxError.
    """
    job = config.job
    if how.at is None:
        return config, connect(job.options, job.destination, "backup", stopping), None
    from copying.archive.serving import open_snapshot  # noqa: PLC0415 -- its libraries are heavy

    backup = open_snapshot(job.destination.archive, job.name, how.at)
    if how.confirm is not None:
        backup.check_files()
    return config.with_job(from_archive(job, backup.url)), backup, backup.saved


@dataclass(slots=True)
class _Restore:
    """One restore, from its plan to its verdict."""

    config: Config
    server: Server
    asked: Asked
    how: How
    environ: Mapping[str, str]
    stopping: StopRequest
    backup: InfluxClient
    target: InfluxClient
    lock: FileLock
    held: Mapping[str, SavedMetadata] | None
    """What a snapshot holds of each database besides points; None: that is where runs saved it."""

    def run(self) -> Restored:
        job, now = self.config.job, time.time_ns()
        known = originals(job, self.backup.get_databases())
        databases = chosen(known, self.asked.databases)
        missing = absent(job, known) if not self.asked.databases else []
        asked = self.asked
        snapshot = "" if self.how.at is None else f"{self.backup.url} {self.backup.name}"
        file = marker.file_of(job, self.environ, snapshot, self.server.url, databases, asked)
        turned = turned_round(job, self.server, databases, asked.policies, asked.measurements, asked.span)
        check_apart(turned, self.backup, self.target)
        looked = survey.Survey(turned_rules(job, turned), self.backup, self.target, asked, now)
        found = looked.plan(databases, missing)
        turned = turned.model_copy(update={"policies": tuple({p.policy.name: 0 for p in found.policies})})
        earlier = marker.load(file)
        keeper = Keeper(file, earlier or _marker(job, found, now))
        copier = ServerCopier(
            self.config.with_job(turned),
            self.backup,
            self.target,
            now=now,
            stopping=self.stopping,
            listener=keeper,
        )
        besides = Besides(job, databases, asked.kinds, self.target, self.environ, self.held)
        passwords = besides.passwords(self.how.passwords)
        found = self._judged(found, turned, copier, earlier, besides)
        self._say(plan.text(found))
        if found.problems:
            raise CannotBegin("; ".join(found.problems))
        if self.how.confirm is None:
            return Restored(found)
        if not self.how.confirm():
            raise CannotBegin("nothing was restored: the answer was no")
        done = self._restore(found, turned, copier, keeper, file)
        if done.is_whole:
            problems = (*creating.set_defaults(found, self.target), *besides.apply(found, passwords))
            done = replace(done, problems=problems, passwords=_made(found, self.how, besides))
            file.unlink(missing_ok=True)
        self._say(text(done))
        return done

    def _judged(
        self, found: RestorePlan, turned: Job, copier: Copier, earlier: Marker | None, besides: Besides
    ) -> RestorePlan:
        """The plan with all that speaks for and against it."""
        begun = earlier.begun if earlier else None
        problems = tuple(creating.missing_rights(found, turned, self.target))
        if self._feeds_the_job(found) and (rival := self._rival()):
            problems = (rival, *problems)
        found = replace(found, begun=begun, problems=problems)
        if not self.asked.is_part:
            found = survey.with_defaults(found, self.target)
        found = besides.planned(found)
        return plan.judged(survey.sampled(found, self.backup, copier), time.time_ns())

    def _feeds_the_job(self, found: RestorePlan) -> bool:
        """Whether runs of the job would copy what comes back while it is half of it."""
        job = self.config.job
        listed = {mapping.name for mapping in job.source.databases}
        if listed and not listed & {database.target for database in found.databases}:
            return False
        if self.server.url == job.source.url:
            return True
        with suppress(InfluxError):
            source = connect(job.options, job.source, "source", self.stopping, retries=0)
            with closing(source):
                return bool(is_same(source, self.target))
        return False

    def _rival(self) -> str:
        """Who runs the job now; empty when nobody is known to."""
        name = self.config.job.name
        remedy = "it would copy the half-restored source over; stop it first, and start it again afterwards"
        if not self.lock.take():
            return f"job {name!r} runs now (main.py, or the daemon): {remedy}"
        if self.how.confirm is None:  # a plan keeps no run waiting
            self.lock.release()
        address = _daemon_of(self.config.job, self.environ)
        return f"the daemon at {address} runs job {name!r}: {remedy}" if address else ""

    # ------------------------------------------------------------ doing it

    def _restore(self, found: RestorePlan, turned: Job, copier: Copier, keeper: Keeper, file: Path) -> Restored:
        if keeper.marker.existing != self.asked.existing:  # what was passed over is not overwritten
            keeper.marker.positions.clear()
        keeper.marker.existing = self.asked.existing
        keeper.marker.values, keeper.marker.written = found.values, 0
        try:
            keeper.begin()
        except OSError as error:
            raise CannotBegin(
                f"{file} cannot be written, and nobody would know of this: {error.strerror}"
            ) from None
        creating.create(found, self.target)
        copied = self._copy(found, copier, keeper)
        done = Restored(found, replace(copied, stopped=copied.stopped or self.stopping.is_set()))
        with suppress(OSError):
            marker.save(file, keeper.marker)
        if not self.stopping.is_set():
            done = replace(done, verdict=self._verdict(turned))
        if self.stopping.is_set():  # the comparison may have been stopped, too
            done = replace(done, copied=replace(copied, stopped=True), verdict=None)
        return done

    def _copy(self, found: RestorePlan, copier: Copier, keeper: Keeper) -> JobResult:
        if self.asked.existing == "overwrite":
            return copier.overwrite(dict(keeper.marker.positions))
        if found.is_occupied or found.begun is not None:
            return copier.fill()
        return copier.write()

    def _verdict(self, turned: Job) -> JobVerdict | None:
        if self.how.verify == "none":
            return None
        scope = Scope(end=self.asked.span.end, full=self.how.verify == "full")
        config = self.config.with_job(turned)
        verdict = Verifier(config, self.backup, self.target, scope, self.stopping).verify()
        return replace(verdict, job=self.config.job.name)

    def _say(self, words: str) -> None:
        if not self.how.quiet:
            say(words + "\n")


def turned_rules(job: Job, turned: Job) -> Job:
    """The job turned round, with what the plan has to know of it as it was: its name, whether it keeps means."""
    source = turned.source.model_copy(update={"group_by": job.source.group_by})
    return turned.model_copy(update={"source": source, "name": job.name})


def _marker(job: Job, found: RestorePlan, now: int) -> Marker:
    names = tuple(database.target for database in found.databases)
    return Marker(job.name, found.target, names, now, found.existing)


def _made(found: RestorePlan, how: How, besides: Besides) -> Path | None:
    """The file of the passwords that were made for users."""
    users = any(metadata.users for metadata in found.metadata)
    return besides.passwords_file if users and how.passwords is None else None


def _daemon_of(job: Job, environ: Mapping[str, str]) -> str:
    """The URL of the daemon that runs this job; empty where none answers, or it does not."""
    from watching.web.client import NoDaemon, ask  # noqa: PLC0415 -- its libraries are heavy
    from watching.web.server import DEFAULT_ADDRESS, AddressError, parse_address  # noqa: PLC0415

    with suppress(NoDaemon, AddressError):
        address = parse_address(environ.get("BACKUP_HTTP") or DEFAULT_ADDRESS)
        for known in ask(address)["jobs"]:
            is_it = known["name"] == job.name and known["destination"] == job.destination.where
            if is_it and (known["run"] or known["next_run"]):
                return address.url
    return ""


# ---------------------------------------------------------------- what came of it, pure


def text(done: Restored) -> str:
    """The verdict for people."""
    copied = done.copied
    if copied is None:
        return ""
    written = copied.written
    lines = [
        f"{done.plan.job}: wrote {counted(written.points, 'point')}, {counted(written.values, 'value')}, "
        f"{format_bytes(written.bytes)} in {copied.seconds:.1f} s"
    ]
    lines += [f"  FAILED: {printable(problem)}" for problem in (*copied.failures, *done.problems)]
    if done.verdict is not None and (done.missing or done.different or done.verdict.all_problems):
        lines += [f"  {line}" for line in table(done.verdict).splitlines()]
    elif done.verdict is not None:
        lines += [f"  note: {note.replace('--full', '--verify full')}" for note in done.verdict.notes]
    if done.passwords is not None:
        lines.append(f"  the restored users have new passwords: {done.passwords}")
    lines.append(f"  {conclusion(done)}")
    return "\n".join(lines)


def conclusion(done: Restored) -> str:
    """The result in a sentence."""
    if done.word == "stopped":
        return "STOPPED: the target is not complete; the same command goes on from here"
    if done.word == "different":
        kept = " (those of the target were kept)" if done.different and done.plan.existing != "overwrite" else ""
        return f"DIFFERENT: {done.missing:,} values missing at the target, {done.different:,} different{kept}"
    if done.word == "failed":
        if done.is_whole:
            return "FAILED: every point was written; what is named above failed after that, or was not compared"
        return "FAILED: what is named above is not restored; the same command goes on from here"
    dropped = done.plan.dropped
    old = f"; {counted(dropped, 'value')} of it are too old for the target's policies" if dropped else ""
    if done.verdict is None:
        return f"restored, and not compared{old}"
    extra = f"; {counted(done.extra, 'value')} only the target has stay" if done.extra else ""
    values = sum(m.source for m in done.verdict.measurements)
    how = "value by value" if done.verdict.how == "every value" else f"by {done.verdict.how}"
    return f"restored: all {values:,} values of the backup are at the target, compared {how}{old}{extra}"


def as_json(done: Restored) -> dict[str, Any]:
    """The same for machines."""
    written = done.copied.written if done.copied else None
    return {
        "result": done.word,
        "plan": plan.as_json(done.plan),
        "written": {"points": written.points, "values": written.values, "bytes": written.bytes}
        if written
        else None,
        "seconds": round(done.copied.seconds, 3) if done.copied else None,
        "missing": done.missing,
        "different": done.different,
        "extra": done.extra,
        "problems": list(done.all_problems),
        "passwords": str(done.passwords) if done.passwords else None,
        "verification": verdict_json([done.verdict])["jobs"][0] if done.verdict else None,
    }
