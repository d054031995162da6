"""`main.py repair` and its command line twin `verify`: each job is compared, and what differs is copied again."""

import logging
import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from backup import BackupManager
from basics.humanize import counted
from basics.stopping import StopRequest
from basics.streams import say
from basics.text import printable
from basics.times import MIN_TIME
from checking.progress import Copying, Shown
from checking.verdict import Difference, JobVerdict, Scope, repaired, table, unchecked
from checking.verify import Tally, Verifier
from config import Config
from copying.compare import Comparer
from copying.planner import Planner
from copying.results import MeasurementResult
from copying.same_server import check_apart
from copying.segments import Segment
from copying.task import Copy, Target
from influx.errors import InfluxError, QueryRefused
from influx_client import InfluxClient, connect

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Repair:
    """What to copy again of one measurement, oldest first.

    An incremental run goes on from the newest points that are there. So stretches that are newer may only be
    copied when everything between is, too.
    """

    tally: Tally
    older: tuple[Difference, ...] = ()
    """Older than the newest points at the destination."""
    newer: tuple[Difference, ...] = ()
    left: tuple[Difference, ...] = ()
    """Newer, but not everything between was compared: the next run copies them."""

    @property
    def lines(self) -> list[str]:
        """What it does, in words."""
        name, copied = self.tally.copy.source, [*self.older, *self.newer]
        found = []
        if copied:
            stretches = counted(len(copied), "stretch")
            found.append(f"  {name}: {counted(_values(copied), 'value')} in {stretches} of time")
        if self.left:
            found.append(f"  {name}: not {counted(_values(self.left), 'value')} that the next run will copy")
        return found


def _values(differences: Iterable[Difference]) -> int:
    return sum(d.missing + d.different for d in differences)


class Repairer:
    """Copies what a verifier has found, and deletes nothing."""

    def __init__(
        self,
        config: Config,
        source: InfluxClient,
        destination: InfluxClient,
        verifier: Verifier,
        stopping: StopRequest,
    ) -> None:
        now = verifier.now
        self._job = config.job
        self._scope = verifier.scope
        self._now = now
        self._comparer = Comparer(source, destination)
        self._planner = Planner(config.job, source, destination, now)
        self._progress = verifier.progress
        self._manager = BackupManager(
            config, source, destination, now=now, stopping=stopping, listener=Copying(self._progress)
        )

    def plan(self, tallies: Iterable[Tally]) -> list[Repair]:
        """What to copy for each measurement that has missing or different values. Raises InfluxError."""
        found = []
        for tally in tallies:
            differences = tuple(d for d in tally.differences if d.missing or d.different)
            if differences:
                found.append(self._repair(tally, differences))
        return found

    def _repair(self, tally: Tally, differences: tuple[Difference, ...]) -> Repair:
        if self._job.options.range is not None:
            return Repair(tally, older=differences)
        (newest,) = self._comparer.edges_at_destination("last", [tally.copy], end=self._now + 1)
        older = [d for d in differences if all(d.span.start <= newest.get(f, MIN_TIME) for f in d.fields)]
        newer = tuple(d for d in differences if d not in older)
        if self._scope.is_whole:
            return Repair(tally, tuple(older), newer)
        return Repair(tally, tuple(older), left=newer)

    def run(self, repairs: Sequence[Repair]) -> list[MeasurementResult]:
        """Copy. Failures are in the results; raises InfluxError when the databases cannot be prepared."""
        self._progress.begin("copying", 1, verb="written")
        self._progress.batch(1, sum(_values([*repair.older, *repair.newer]) for repair in repairs))
        prepared: dict[tuple[str, str], Target | str] = {}
        able: list[Repair] = []
        failed: list[MeasurementResult] = []
        for repair in repairs:
            copy = repair.tally.copy
            key = (copy.source.database, copy.source.policy)
            if key not in prepared:
                prepared[key] = self._prepare(copy)
            target = prepared[key]
            if isinstance(target, str):
                logger.error("%s", target)
                failed.append(MeasurementResult(str(copy.source), problems=(target,), is_whole=False))
                continue
            repair.tally.copy = replace(copy, target=target)
            able.append(repair)
        with ThreadPoolExecutor(self._job.options.parallel_workers) as pool:
            return [*failed, *pool.map(self._copy, able)]

    def _prepare(self, copy: Copy) -> Target | str:
        """The policy of a copy on both sides, or why the destination cannot have it."""
        targets, problems = self._planner.policies.prepare(copy.source.database, copy.target.database)
        if any(target.source.name == copy.source.policy for target in targets):
            return self._planner.policies.refreshed(copy.source.database, copy.target)
        return "; ".join(problems)

    def _copy(self, repair: Repair) -> MeasurementResult:
        copy = replace(repair.tally.copy, refusals=())
        older, newer = ([Segment(d.fields, d.span) for d in part] for part in (repair.older, repair.newer))
        result = self._manager.copier.copy_segments(copy, older, independent=True)
        if newer and result.is_whole:
            result += self._manager.copier.copy_segments(copy, newer)
        return self._manager.copier.with_losses(copy, result)


# ---------------------------------------------------------------- the commands


@dataclass(frozen=True, slots=True)
class Telling:
    """What the commands print: nothing when `quiet`, all measurements when `verbose`, a live line when `draws`."""

    quiet: bool = False
    verbose: bool = False
    draws: bool = False

    def table(self, verdict: JobVerdict) -> None:
        """What was found."""
        self.say(table(verdict, verbose=self.verbose))

    def say(self, text: str) -> None:
        """A text of whole lines."""
        if not self.quiet:
            say(text + "\n")


def verify_jobs(
    configs: Sequence[Config], scope: Scope, ask: Callable[[], bool] | None, telling: Telling
) -> list[JobVerdict]:
    """What each job's comparison found, told as it comes.

    With `ask` (whether to go on) what differs is copied.

    SIGINT and SIGTERM end it early, which counts as not checked.
    """
    stopping = StopRequest()
    stopping.heed(signal.SIGINT, signal.SIGTERM)
    verdicts = []
    for config in configs:
        try:
            verdicts.append(_verify_job(config, scope, stopping, ask, telling))
        except InfluxError as error:
            verdicts.append(unchecked(config.job.name, str(error)))
            telling.table(verdicts[-1])
    return verdicts


def compare_job(config: Config, scope: Scope, stopping: StopRequest) -> JobVerdict:
    """What the comparison of one job finds. Raises nothing of InfluxDB's."""
    try:
        _check_server(config)
        source = connect(config.job.options, config.job.source, "source", stopping)
        destination = connect(config.job.options, config.job.destination, "destination", stopping)
        check_apart(config.job, source, destination)
    except InfluxError as error:
        return unchecked(config.job.name, str(error))
    return Verifier(config, source, destination, scope, stopping).verify()


def _check_server(config: Config) -> None:
    """Raise QueryRefused where there is no server to compare with."""
    if not config.job.destination.url:
        raise QueryRefused("its only destination is an archive, which main.py archive verify proves")


def _verify_job(
    config: Config, scope: Scope, stopping: StopRequest, ask: Callable[[], bool] | None, telling: Telling
) -> JobVerdict:
    _check_server(config)
    source = connect(config.job.options, config.job.source, "source", stopping)
    destination = connect(config.job.options, config.job.destination, "destination", stopping)
    check_apart(config.job, source, destination)
    verifier = Verifier(config, source, destination, scope, stopping)
    with Shown(config.job.name, verifier.progress, draws=telling.draws):
        verdict = verifier.verify()
    telling.table(verdict)
    if ask is None or stopping.is_set():
        return verdict
    repairer = Repairer(config, source, destination, verifier, stopping)
    repairs = repairer.plan(verifier.tallies)
    lines = [printable(line) for repair in repairs for line in repair.lines]
    if lines:
        telling.say("\n".join((f"{config.job.name}: repair copies these, and deletes nothing", *lines)))
    if not any(repair.older or repair.newer for repair in repairs) or not ask():
        return verdict
    with Shown(config.job.name, verifier.progress, draws=telling.draws):
        repairer.run(repairs)
        again = verifier.verify_again()
    if again.missing or again.different or again.all_problems != verdict.all_problems:
        telling.table(again)
    telling.say(repaired(verdict, again))
    return again
