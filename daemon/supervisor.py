"""Keeps the times of all jobs, and has a process for each run: in turn, restarted with growing delays, stopped.

A scheduled job has a process while it looks for its servers, and one for each run, which is a fork of this one.
Between its runs it is a line in this process: docs/scaling.md says what that saves.
"""

import datetime as dt
import logging
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from basics.processes import death
from basics.shortages import shortage
from basics.times import SECOND
from copying.results import JobResult
from daemon.comparing import Comparing
from daemon.errand import load_libraries
from daemon.job_file import JobFile
from daemon.kept_job import KeptJob, contact, job_known, nanoseconds, waits
from daemon.process import Signals, Worker, lifeline
from daemon.task import Answer, HasRun, NoRoom, Reached, Task, Unreached
from daemon.turns import Limits, Sameness, Turns
from logger_config import set_console
from scheduler import Timetable
from settings.keys import Job
from settings.overlaps import find_overlaps, find_rivals
from watching.channel import Channel, Sender
from watching.events import (
    FileChecked,
    JobEnded,
    JobRemoved,
    LogLine,
    NextRun,
    Totals,
    WaitingForServer,
    WorkerDied,
    WorkerRests,
    WorkerStarted,
    bounded,
    shortened,
)
from watching.health import write_health
from watching.history import last_runs
from watching.monitor import Duties, Keeper

logger = logging.getLogger(__name__)

STOP_WITHIN = 9.0
"""Seconds that workers get to finish the batch in flight before they are killed: killing one loses nothing,
because the next run resumes from what the destination has."""

STOPPED_WITHIN = 9.8
"""Seconds from the signal to the end of the monitor, too, which tells of the end."""

TELL_WITHIN, LEAST_TO_TELL = 10.0, 0.5
"""Seconds that the monitor gets for messages that still wait: where no signal ends the daemon, and at least."""

HEARTBEAT = 5.0

TICK, IDLE_TICK = 0.2, 1.0
"""Seconds between two looks at all jobs: while processes run or wait, and while all jobs wait for their time."""

LOOKERS = 50
"""How many processes look for servers at once: some 5 MB of memory each, and a timeout where none answers."""

STARTS = 4
"""How often a job that runs once is started in vain before it has failed, when no other job runs any more."""


def _allow_many_files() -> None:
    """As many open files as the system allows: a daemon keeps one for each scheduled job."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass
class Supervisor:
    """Runs jobs until all have ended or a signal says so.

    `reload` gives the valid jobs of now, and by name what is wrong with the other files (as `invalid` is from the
    start): their running version goes on. None leaves everything as it is.
    """

    files: Sequence[JobFile]
    reload: Callable[[], tuple[Sequence[JobFile], Mapping[str, str]] | None]
    invalid: Mapping[str, str] = field(default_factory=dict)
    once: bool = False
    health: Path | None = None
    duties: Duties = field(default_factory=Duties)
    limits: Limits = field(default_factory=Limits)
    others: Callable[[], Sequence[JobFile]] = tuple
    """The jobs of other daemons in the same folders."""
    stays: bool = False
    """Whether it waits for a reload where it has no job: a shard may have none."""
    verdicts: Path | None = None
    """The folder that keeps what comparisons found."""
    stopped: bool = False
    _signals: Signals | None = None
    _stop_at: float = 0.0
    """When the first signal to stop was seen, by the monotonic clock."""
    _states: dict[str, KeptJob] = field(default_factory=dict)
    _remembered: dict[str, JobResult] = field(default_factory=dict)
    """What became of the last run of jobs that are not there (yet)."""
    _next_heartbeat: float = 0.0
    _channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        self._known = self.files
        self._turns = Turns(self.limits)
        self._monitor = Keeper(self._channel, self.duties, lifeline())
        self._sender = Sender(self._channel)
        tell = self._sender.tell
        self._comparing = Comparing(self._channel, self.duties.listener, lifeline, tell, self.verdicts)

    def run(self) -> list[JobResult]:
        """Supervise; the last result of each job that has one. `stopped` says whether a signal ended it."""
        signals = self._signals = Signals()
        self._remembered = self._last_of_before()
        stops = reloads = 0
        _allow_many_files()
        self._watch(self.files)  # which needs none of the libraries
        if self.files:
            load_libraries(all_of_them=not self.once or len(self.files) > 1)
        self._tell_invalid({})
        for file in self.files:
            self._start(file)
        self._start_due()
        while any(state.is_active for state in self._states.values()) or self._waits_for_jobs:
            self._listen()
            self._monitor.look_after()
            self._sender.flush()
            if signals.stops > stops:
                stops = signals.stops
                self._stop(now=stops > 1)
            elif signals.reloads > reloads and not stops:
                reloads = signals.reloads
                self._reload()
            self._start_due()
            self._keep_deadlines()
            self._compare()
            self._beat()
        self._comparing.stop()
        self._comparing.end_by(0 if signals.stops > 1 else (self._stop_at or time.monotonic()) + STOP_WITHIN)
        self._unwatch()
        return [state.result for state in self._states.values() if state.result]

    def has_failed(self) -> bool:
        """Whether a job failed or was stopped before its end, for good: a scheduled one has its next run."""
        states = (state for state in self._states.values() if not state.is_scheduled)
        return any(state.result.outcome != "ok" for state in states if state.result)

    def _last_of_before(self) -> dict[str, JobResult]:
        """What became of the last runs of daemons before this one: as the page has it, until there are others."""
        known = last_runs(self.duties.history) if self.duties.history else {}
        return {
            name: JobResult(name, problems=record.failures, warnings=record.warnings)
            for name, record in known.items()
        }

    @property
    def _waits_for_jobs(self) -> bool:
        return self.stays and not self._states and not self.stopped

    def _start(self, file: JobFile, last: JobResult | None = None) -> None:
        """`last`: what became of the last run of the file before; else it is that which is remembered."""
        last = last or self._remembered.pop(file.name, None)
        state = self._states[file.name] = KeptJob(file, self.once, last=last)
        state.number = time.time_ns()
        self._sender.tell(job_known(file, once=self.once))
        state.hold()
        self._again(state)

    @staticmethod
    def _again(state: KeptJob) -> None:
        """From the start: a scheduled job looks for its servers, another one waits for its turn."""
        state.restart_at = None
        if state.is_scheduled:
            state.reach_at = time.monotonic()
        else:
            state.due = dt.datetime.now(dt.UTC)

    def _start_worker(self, state: KeptJob, task: Task) -> None:
        listener = self.duties.listener
        others = [*(worker.answer for _, worker in self._running()), *self._comparing.connections]
        logs = not self.duties.draws
        state.reach_at = state.due = state.answer = None
        state.has_told = False
        try:
            state.worker = Worker.start(state.file, self._channel, listener, others, task=task, logs=logs)
        except OSError as error:
            self._not_started(state, shortage(error) or str(error))
            return
        state.starts = 0
        if task.purpose == "run":
            self._sender.leave(NextRun(state.file.name, 0).key)  # from now on its worker tells
        self._sender.tell(WorkerStarted(state.file.name, time.time_ns(), state.worker.process.pid or 0))

    def _not_started(self, state: KeptJob, why: str) -> None:
        """It is tried again: a scheduled job for ever, another one as long as the end of others may help."""
        state.starts += 1
        problem = f"its process could not be started: {why}"
        others = any(True for _ in self._running())
        if not state.is_scheduled and not others and state.starts >= STARTS:
            state.take(JobResult(state.file.name, problems=(problem,)))
            logger.error("job %s: %s", state.file.name, problem)
            self._tell_death(state, problem, 0, was_started=False)
            return
        delay = state.delays.after(0)
        logger.warning("job %s: %s; trying again in %g s", state.file.name, problem, delay)
        state.restart_at = time.monotonic() + delay
        self._tell_death(state, problem, time.time_ns() + int(delay * SECOND), was_started=False)

    # ------------------------------------------------------------ the monitor

    def _watch(self, files: Sequence[JobFile]) -> None:
        """Start the monitor, if anybody wants to see what it shows."""
        if self._monitor.process is None and (
            self.duties.are_any or any(contact(file.config.job).is_wanted for file in files)
        ):
            self._monitor.start()
        if self.duties.draws:
            set_console(route=lambda text: self._channel.send(LogLine("", time.time_ns(), text)))

    def _unwatch(self) -> None:
        self._sender.flush()
        left = STOPPED_WITHIN - (time.monotonic() - self._stop_at) if self.stopped else TELL_WITHIN
        self._monitor.stop(max(LEAST_TO_TELL, left))
        set_console()

    def _tell_invalid(self, before: Mapping[str, str]) -> None:
        """What is wrong with files, and what was and is no more."""
        now = time.time_ns()
        for name in before.keys() - self.invalid.keys():
            self._sender.tell(FileChecked(name, now) if name in self._states else JobRemoved(name, now))
        for name, problem in self.invalid.items():
            self._sender.tell(FileChecked(name, now, *bounded([problem])))

    # ------------------------------------------------------------ the workers

    def _running(self) -> Iterator[tuple[KeptJob, Worker]]:
        return ((state, state.worker) for state in list(self._states.values()) if state.worker)

    def _listen(self) -> None:
        """Take results, and notice deaths; return when something has come, or when it is time to look around."""
        running = list(self._running())
        ready = (
            self._signals.wait([worker.answer for _, worker in running], self._patience()) if self._signals else ()
        )
        for state, worker in running:
            if worker.answer not in ready:
                continue
            try:
                while worker.answer.poll():
                    self._take(state, worker.answer.recv())
            except (EOFError, OSError):
                self._ended(state, worker)

    def _patience(self) -> float:
        """Seconds until something may have to be done."""
        states = self._states.values()
        if not all(state.is_waiting_for_its_time or not state.is_active for state in states):
            return TICK
        now = dt.datetime.now(dt.UTC)
        first = min((state.times.due for state in states if state.times), default=now)
        return min(max((first - now).total_seconds(), 0.0), IDLE_TICK)

    def _take(self, state: KeptJob, told: JobResult | Answer | Sameness) -> None:
        if isinstance(told, JobResult):
            state.take(told)
        elif isinstance(told, Sameness):
            self._turns.servers.learn(told)
        else:
            state.answer = told

    def _ended(self, state: KeptJob, worker: Worker) -> None:
        state.worker, how = None, death(worker.process)
        worker.answer.close()
        # Who stops a service may signal all of its processes at once, as systemd does: that worker did not die.
        if self.stopped or (self._signals and self._signals.stops):
            self._stopped(state)
        elif state.leaving:
            self._replace(state)
        elif state.answer is not None:
            self._sender.tell(WorkerRests(state.file.name, time.time_ns()))
            self._go_on(state, worker.task, state.answer)
        elif state.is_scheduled:
            self._died(state, worker, how)
        elif state.result is None:
            state.take(JobResult(state.file.name, problems=(f"the worker process died ({how})",)))
            logger.error("job %s: the worker process died (%s)", state.file.name, how)
            self._tell_death(state, how, 0)
        else:
            self._tell_end(state)

    def _stopped(self, state: KeptJob) -> None:
        state.times = state.due = state.reach_at = None
        state.result = state.result or JobResult(state.file.name, stopped=True)
        self._tell_end(state)

    def _died(self, state: KeptJob, worker: Worker, how: str) -> None:
        delay = state.delays.after(time.monotonic() - worker.born)
        logger.error("job %s: its worker died (%s); starting it again in %g s", state.file.name, how, delay)
        if worker.task.purpose == "run" and not state.has_told:
            problem = f"its worker process died ({how}) in the middle of a run"
            state.last = JobResult(state.file.name, problems=(problem,))
        state.times, state.waits_for, state.restart_at = None, "", time.monotonic() + delay
        state.number, state.totals = time.time_ns(), Totals()
        self._tell_death(state, how, time.time_ns() + int(delay * SECOND))

    def _go_on(self, state: KeptJob, task: Task, answer: Answer) -> None:
        """What follows upon the last word of a process of a job."""
        name, now = state.file.name, time.time_ns()
        state.waits_for = ""
        match answer:
            case Reached(times):
                self._plan(state, times)
            case Unreached(role, problem, seconds):
                state.reach_at = time.monotonic() + seconds
                state.wait_for(f"{role}: {problem}")
                until = now + int(seconds * SECOND)
                self._sender.tell(WaitingForServer(name, now, role, shortened(problem), until))
            case NoRoom(why):
                state.due, state.obstacle = state.times.due if state.times else task.begun, why
                self._sender.tell(waits(state))
            case HasRun(times, totals, told, untold, apart):
                state.totals, state.apart = totals, state.apart | set(apart)
                self._sender.pass_on(untold)
                self._sender.adopt(name, told)
                self._plan(state, times)

    def _plan(self, state: KeptJob, times: Timetable) -> None:
        """The job waits for its time."""
        state.times, state.obstacle = times, ""
        self._sender.tell(NextRun(state.file.name, time.time_ns(), nanoseconds(times.due)))

    def _tell_death(self, state: KeptJob, how: str, restart_at: int, *, was_started: bool = True) -> None:
        self._sender.tell(WorkerDied(state.file.name, time.time_ns(), how, restart_at, was_started))

    def _tell_end(self, state: KeptJob) -> None:
        result = state.result or JobResult(state.file.name, stopped=True)
        ended = JobEnded(state.file.name, time.time_ns(), result.outcome, bounded(result.failures))
        self._sender.tell(ended)

    def _replace(self, state: KeptJob) -> None:
        """A job whose file was changed or removed has ended."""
        del self._states[state.file.name]
        state.let_go()
        if state.successor:
            self._start(state.successor, state.last)
        else:
            if state.last:
                self._remembered[state.file.name] = state.last
            self._sender.forget(state.file.name)
            self._sender.tell(JobRemoved(state.file.name, time.time_ns()))

    def _start_due(self) -> None:
        """Start the processes whose time has come, and those whose turn it is."""
        now, moment = time.monotonic(), dt.datetime.now(dt.UTC)
        self._heed_the_clock(moment)
        for state in list(self._states.values()):
            if state.restart_at is not None and now >= state.restart_at:
                logger.info("job %s: starting its worker again", state.file.name)
                self._again(state)
            if state.times and not state.worker and state.due is None and moment >= state.times.due:
                state.due = state.times.due
        self._look_for_servers(now)
        self._give_turns(moment)

    def _look_for_servers(self, now: float) -> None:
        """In the order in which they became due: those that do not answer must not keep others away."""
        due = [(state.reach_at, state) for state in self._states.values() if state.reach_at is not None]
        free = LOOKERS - sum(worker.task.purpose == "reach" for _, worker in self._running())
        for at, state in sorted(due, key=lambda pair: pair[0])[: max(0, free)]:
            if now >= at:
                self._start_worker(state, Task("reach"))

    def _give_turns(self, now: dt.datetime) -> None:
        """Let those begin that may, the latest first; say of the others that they wait."""
        waiting = [(state.due, state) for state in self._states.values() if state.due is not None]
        running = [state.file.config.job for state in self._states.values() if state.is_running]
        held = list[KeptJob]()
        for due, state in sorted(waiting, key=lambda pair: pair[0]):
            job = state.file.config.job
            if obstacle := self._turns.obstacle(job, running):
                if not state.obstacle:
                    held.append(state)
                if state.obstacle != obstacle:
                    state.obstacle = obstacle
                    self._sender.tell(waits(state))
                continue
            waited = (now - due).total_seconds() if state.obstacle else 0.0
            self._start_worker(state, self._run(state, running, now, waited))
            running.append(job)
        if held:
            names = ", ".join(state.file.name for state in held[:5])
            more = f" and {len(held) - 5} more" if len(held) > 5 else ""
            logger.info("waiting for their turn: %s%s (%s)", names, more, held[0].obstacle)

    def _run(self, state: KeptJob, running: Sequence[Job], now: dt.datetime, waited: float) -> Task:
        """What a process is told that runs the job now."""
        state.hold()
        job = state.file.config.job
        rivals = find_rivals(job, [file.config.job for file in (*self._known, *self.others())])
        return Task(
            "run",
            state.times,
            now,
            waited,
            state.number,
            state.totals,
            [rival for rival in rivals if rival.job not in state.apart],
            list(self._turns.doubts(job, running)),
        )

    def _heed_the_clock(self, now: dt.datetime) -> None:
        """Plan anew where the clock was set back, else a job might wait for years."""
        planned = [state for state in self._states.values() if state.times and state.times.was_set_back(now)]
        for state in planned if not self.stopped else ():
            if state.times and not state.worker:
                state.times.plan(now)
                state.due = None
                logger.warning("job %s: the clock was set back to %s", state.file.name, state.times.shown(now))
                logger.info("job %s: %s", state.file.name, state.times.announcement(now))
                self._plan(state, state.times)

    def _compare(self) -> None:
        """Compare both sides of scheduled jobs when it is time, of what their last good run copied."""
        states = () if self.stopped else [s for s in self._states.values() if s.is_scheduled and not s.leaving]
        copied = {state.file.name: state.copied for state in states if state.copied is not None}
        workers = [worker.answer for _, worker in self._running()]
        self._comparing.look_after([state.file for state in states], copied, workers)

    def _stop(self, *, now: bool) -> None:
        logger.warning("stopping %s", "now" if now else "after the batches in flight")
        self.stopped, self._stop_at = True, self._stop_at or time.monotonic()
        self._comparing.stop()
        for state in self._states.values():
            is_over = state.is_active and not state.worker
            state.stop(0 if now else STOP_WITHIN)
            if is_over:
                self._stopped(state)

    def _keep_deadlines(self) -> None:
        for state, worker in self._running():
            if state.kill_at is not None and time.monotonic() >= state.kill_at:
                worker.process.kill()

    def _reload(self) -> None:
        """Make the running jobs those of the files: start, stop and restart what has changed."""
        logger.info("reloading the configuration")
        found = self.reload()
        if found is None:
            return
        files, invalid = found
        before = self.invalid
        current = {file.name: file for file in self._apart_from_running(files, invalid)}
        for name, state in list(self._states.items()):
            if state.leaving:
                state.successor = current.get(name)
            elif name in current and not current[name].is_like(state.file):
                self._leave(state, current[name])
            elif name not in current and name not in self.invalid:
                self._leave(state, None)
        for name, file in current.items():
            if name not in self._states:
                logger.info("job %s: new", name)
                self._start(file)
        self._tell_invalid(before)
        self._watch([state.file for state in self._states.values()])

    def _apart_from_running(self, files: Sequence[JobFile], invalid: Mapping[str, str]) -> list[JobFile]:
        """The files that may run beside the jobs that go on although their files are invalid now."""
        going_on = [state.file for name, state in self._states.items() if name in invalid and not state.leaving]
        overlaps = find_overlaps([file.config.job for file in (*going_on, *files)])
        for file in files:
            if file.name in overlaps:
                logger.error("%s: %s", file.config.path, overlaps[file.name])
        self._known = (*going_on, *files)
        self.invalid = {**invalid, **{f.name: overlaps[f.name] for f in files if f.name in overlaps}}
        return [file for file in files if file.name not in overlaps]

    def _leave(self, state: KeptJob, successor: JobFile | None) -> None:
        logger.info("job %s: %s", state.file.name, "changed, restarting" if successor else "removed, stopping")
        state.leaving, state.successor = True, successor
        state.stop(STOP_WITHIN)
        if not state.worker:
            self._replace(state)

    def _beat(self) -> None:
        """Keep the health file fresh. A full disk makes the daemon look dead, but does not stop it."""
        if self.health is None or time.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = time.monotonic() + HEARTBEAT
        failing = {name: state.problem for name, state in self._states.items() if state.problem}
        failing |= {name: f"invalid file: {problem}" for name, problem in self.invalid.items()}
        try:
            warned = {name: state.warning for name, state in self._states.items() if state.warning}
            write_health(self.health, failing, time.time(), warned)
        except OSError as error:
            logger.warning("the health file %s cannot be written: %s", self.health, os.strerror(error.errno or 0))
