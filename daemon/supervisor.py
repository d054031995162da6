"""Keeps one worker process for each job: starts, restarts with growing delays, reloads, stops."""

import functools
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import FrameType

from basics.processes import Delays, death, start
from basics.shortages import shortage
from basics.times import SECOND
from copying.restore import marker
from copying.results import JobResult
from daemon.comparing import Comparing
from daemon.job_file import JobFile
from daemon.watch import longest_silence
from daemon.worker import load_libraries, worker_process
from logger_config import set_console
from settings.keys import Job
from settings.overlaps import Rival, find_overlaps, find_rivals
from watching.channel import Channel, Sender
from watching.events import (
    LONGEST_TEXTS,
    Contact,
    FileChecked,
    JobEnded,
    JobKnown,
    JobRemoved,
    LogLine,
    WorkerDied,
    WorkerStarted,
    bounded,
)
from watching.health import write_health
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

STARTS = 4
"""How often a job that runs once is started in vain before it has failed, when no other job runs any more."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process, and the end of the pipe that its results come out of."""

    process: ForkProcess
    answer: Connection

    born: float

    @classmethod
    def start(
        cls,
        file: JobFile,
        channel: Channel,
        listener: socket.socket | None,
        others: Sequence[Connection] = (),
        *,
        once: bool,
        logs: bool,
        rivals: Sequence[Rival] = (),
    ) -> "Worker":
        """Start the job's process: a fork, which shares the memory of the libraries with this one and its likes.

        That is safe while this process has no other thread: what it had locked would stay locked in the child.
        The child gets the content that was checked, not the file, which may have changed since. What goes on it
        tells by the channel, not at the `listener`; with `logs` it logs its progress. It asks whether `rivals`
        write to the same server. What is open here of the `others` it closes. Raises OSError where it cannot be
        started.
        """
        context = multiprocessing.get_context("fork")
        lifeline, inherited = _lifeline(), list(others)
        receiver, sender = context.Pipe(duplex=False)
        limit = longest_silence(file.config.job.options.timeout_client)
        arguments = (
            file.config.path,
            file.content,
            file.defaults,
            sender,
            lifeline,
            channel,
            listener,
            inherited,
            once,
            logs,
            rivals,
            limit,
        )
        process = context.Process(target=worker_process, args=arguments, name=file.name)
        try:
            start(process)
        except OSError:
            receiver.close()
            raise
        finally:
            sender.close()
        return cls(process, receiver, time.monotonic())


@functools.cache
def _lifeline() -> tuple[Connection, Connection]:
    """A pipe whose second end only this process keeps: workers see by the first that it has ended."""
    return multiprocessing.Pipe(duplex=False)


@dataclass
class _State:
    """A job that runs, has run, or waits for its restart."""

    file: JobFile
    once: bool
    worker: Worker | None = None
    result: JobResult | None = None
    restart_at: float | None = None
    delays: Delays = field(default_factory=Delays)
    starts: int = 0
    """How often in a row its process could not be started."""
    successor: JobFile | None = None
    leaving: bool = False
    kill_at: float | None = None
    copied: int | None = None
    """When the last run that copied everything began, nanoseconds."""

    def take(self, result: JobResult) -> None:
        """What became of a run."""
        self.result = result
        if result.outcome == "ok":
            self.copied = time.time_ns() - int(result.seconds * SECOND)

    @property
    def is_scheduled(self) -> bool:
        return not self.once and self.file.config.job.options.incremental.schedule is not None

    @property
    def is_active(self) -> bool:
        return self.worker is not None or self.restart_at is not None

    def stop(self, within: float) -> None:
        """Ask the worker to end, and set the time at which it will be killed."""
        self.restart_at, self.kill_at = None, time.monotonic() + within
        if self.worker:
            self.worker.process.terminate()

    @property
    def warning(self) -> str:
        """What the last run of a job warned of that is not failing."""
        return "; ".join(bounded(self.result.cautions)) if self.result and not self.problem else ""

    @property
    def problem(self) -> str:
        """Why the job counts as failing; empty when it does not."""
        if self.restart_at is not None:
            return "its worker has died, or could not be started, and is about to be started again"
        return "; ".join(bounded(self.result.failures)) if self.result else ""


def job_known(file: JobFile, *, once: bool) -> JobKnown:
    """What the monitor should know of a job."""
    job = file.config.job
    times = job.options.incremental
    return JobKnown(
        job.name,
        time.time_ns(),
        "" if once or times.schedule is None else times.schedule.text,
        str(times.timezone),
        job.options.backup_mode,
        job.source.url,
        job.destination.where,
        contact(job),
        _named_databases(job),
        str(marker.folder(job, os.environ).absolute()),
    )


def _named_databases(job: Job) -> tuple[str, ...]:
    """Those that its file names, where an event can hold them."""
    names = tuple(database.name for database in job.source.databases)
    return names if sum(map(len, names)) <= LONGEST_TEXTS else ()


def contact(job: Job) -> Contact:
    """Whom to tell about a job."""
    notify = job.options.notify
    urls = tuple(url.get_secret_value() for url in notify.urls)
    daily = f"{notify.daily:%H:%M}" if notify.daily else ""
    return Contact(urls, notify.occasions, job.options.ping_url.get_secret_value(), daily)


class Signals:
    """Counts the signals that the parent obeys; the handlers do nothing else."""

    def __init__(self) -> None:
        self.stops = 0
        self.reloads = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._reload)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stops += 1

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        self.reloads += 1


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
    verdicts: Path | None = None
    """The folder that keeps what comparisons found."""
    stopped: bool = False
    _signals: Signals | None = None
    _stop_at: float = 0.0
    """When the first signal to stop was seen, by the monotonic clock."""
    _states: dict[str, _State] = field(default_factory=dict)
    _next_heartbeat: float = 0.0
    _channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        self._known = self.files
        self._monitor = Keeper(self._channel, self.duties, _lifeline())
        self._sender = Sender(self._channel)
        tell = self._sender.tell
        self._comparing = Comparing(self._channel, self.duties.listener, _lifeline, tell, self.verdicts)

    def run(self) -> list[JobResult]:
        """Supervise; the last result of each job that has one. `stopped` says whether a signal ended it."""
        signals = self._signals = Signals()
        stops = reloads = 0
        self._watch(self.files)  # which needs none of the libraries
        if self.files:
            load_libraries(all_of_them=not self.once or len(self.files) > 1)
        self._tell_invalid({})
        for file in self.files:
            self._start(file)
        while any(state.is_active for state in self._states.values()):
            self._listen()
            self._monitor.look_after()
            self._sender.flush()
            self._start_due()
            if signals.stops > stops:
                stops = signals.stops
                self._stop(now=stops > 1)
            elif signals.reloads > reloads and not stops:
                reloads = signals.reloads
                self._reload()
            self._keep_deadlines()
            self._compare()
            self._beat()
        self._comparing.kill()
        self._unwatch()
        return [state.result for state in self._states.values() if state.result]

    def has_failed(self) -> bool:
        """Whether a job failed or was stopped before its end, for good: a scheduled one has its next run."""
        states = (state for state in self._states.values() if not state.is_scheduled)
        return any(state.result.outcome != "ok" for state in states if state.result)

    def _start(self, file: JobFile) -> None:
        state = self._states[file.name] = _State(file, self.once)
        self._sender.tell(job_known(file, once=self.once))
        self._start_worker(state)

    def _start_worker(self, state: _State) -> None:
        state.restart_at = None
        listener = self.duties.listener
        others = [*(worker.answer for _, worker in self._running()), *self._comparing.connections]
        rivals = find_rivals(state.file.config.job, [file.config.job for file in self._known])
        logs = not self.duties.draws
        try:
            state.worker = Worker.start(
                state.file, self._channel, listener, others, once=self.once, logs=logs, rivals=rivals
            )
        except OSError as error:
            self._not_started(state, shortage(error) or str(error))
            return
        state.starts = 0
        self._sender.tell(WorkerStarted(state.file.name, time.time_ns(), state.worker.process.pid or 0))

    def _not_started(self, state: _State, why: str) -> None:
        """It is tried again: a scheduled job for ever, another one as long as the end of others may help."""
        state.starts += 1
        problem = f"its process could not be started: {why}"
        others = any(True for _ in self._running())
        if not state.is_scheduled and not others and state.starts >= STARTS:
            state.result = JobResult(state.file.name, problems=(problem,))
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

    def _running(self) -> Iterator[tuple[_State, Worker]]:
        return ((state, state.worker) for state in list(self._states.values()) if state.worker)

    def _listen(self) -> None:
        """Take results, and notice deaths; a fifth of a second at most."""
        running = list(self._running())
        ready = wait([worker.answer for _, worker in running], timeout=0.2)
        if not running:
            time.sleep(0.2)
        for state, worker in running:
            if worker.answer in ready:
                try:
                    state.take(worker.answer.recv())
                except (EOFError, OSError):
                    self._ended(state, worker)

    def _ended(self, state: _State, worker: Worker) -> None:
        state.worker, how = None, death(worker.process)
        # Who stops a service may signal all of its processes at once, as systemd does: that worker did not die.
        if self.stopped or (self._signals and self._signals.stops):
            state.result = state.result or JobResult(state.file.name, stopped=True)
            self._tell_end(state)
        elif state.leaving:
            self._replace(state)
        elif state.is_scheduled:
            delay = state.delays.after(time.monotonic() - worker.born)
            logger.error("job %s: its worker died (%s); starting it again in %g s", state.file.name, how, delay)
            state.restart_at = time.monotonic() + delay
            self._tell_death(state, how, time.time_ns() + int(delay * SECOND))
        elif state.result is None:
            state.result = JobResult(state.file.name, problems=(f"the worker process died ({how})",))
            logger.error("job %s: the worker process died (%s)", state.file.name, how)
            self._tell_death(state, how, 0)
        else:
            self._tell_end(state)

    def _tell_death(self, state: _State, how: str, restart_at: int, *, was_started: bool = True) -> None:
        self._sender.tell(WorkerDied(state.file.name, time.time_ns(), how, restart_at, was_started))

    def _tell_end(self, state: _State) -> None:
        result = state.result or JobResult(state.file.name, stopped=True)
        ended = JobEnded(state.file.name, time.time_ns(), result.outcome, bounded(result.failures))
        self._sender.tell(ended)

    def _replace(self, state: _State) -> None:
        """A job whose file was changed or removed has ended."""
        del self._states[state.file.name]
        if state.successor:
            self._start(state.successor)
        else:
            self._sender.forget(state.file.name)
            self._sender.tell(JobRemoved(state.file.name, time.time_ns()))

    def _start_due(self) -> None:
        for state in self._states.values():
            if state.restart_at is not None and time.monotonic() >= state.restart_at:
                logger.info("job %s: starting its worker again", state.file.name)
                self._start_worker(state)

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
            state.stop(0 if now else STOP_WITHIN)

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

    def _leave(self, state: _State, successor: JobFile | None) -> None:
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
