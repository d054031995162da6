"""The channel on which all processes of the daemon tell the monitor what happens.

Telling never blocks and never raises. Progress is cumulative: the next value makes up for one that is lost; of
everything else each sender remembers the latest, and tells it again to a monitor that was started again.
"""

import errno
import mmap
import os
import pickle
import socket
import threading
from collections.abc import Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from watching.events import HISTORY, Event, MeasurementsChanged, RunFinished

LARGEST = 128 * 1024
"""Bytes of one datagram."""


@dataclass(frozen=True, slots=True)
class Packed(Event):
    """An event as it is sent, which takes a tenth of the memory."""

    name: Hashable = None
    data: bytes = b""
    is_state: bool = False
    """Whether it tells of measurements, which the next run tells anew."""

    @classmethod
    def of(cls, event: Event) -> "Packed":
        """The same event."""
        data = pickle.dumps(event, pickle.HIGHEST_PROTOCOL)
        is_state = isinstance(event, MeasurementsChanged)
        return cls(event.job, event.at, hash(event.key) if is_state else event.key, data, is_state)

    @property
    def key(self) -> Hashable:
        """That of the event."""
        return self.job, "packed", self.name


class Channel:
    """A local socket pair that all processes of the daemon inherit, made before any is forked.

    The parent keeps both ends, so that what is told is not lost while the monitor is being started again.
    """

    def __init__(self) -> None:
        self.receiver, self.sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sender.setblocking(False)  # noqa: FBT003 -- its own signature
        with suppress(OSError):
            self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
        self._shared = mmap.mmap(-1, 2)  # all processes see the same bytes: which monitor, and whether it listens

    def __del__(self) -> None:
        """Close both ends with the last who has them: a supervisor that never runs makes one, too."""
        self.receiver.close()
        self.sender.close()

    @property
    def listener(self) -> int:
        """Which monitor listens; another number than before is a new one, which knows nothing. 0: none does."""
        return self._shared[0] if self._shared[1] else 0

    def announce_listener(self) -> None:
        """Tell all senders that a new monitor is about to listen."""
        self._shared[0] = self._shared[0] % 255 + 1
        self._shared[1] = 1

    def announce_silence(self) -> None:
        """Tell all senders that nobody listens."""
        self._shared[1] = 0

    def send(self, event: Event) -> None:
        """Send it now. Raises BlockingIOError when there is no room, and OSError when there never will be."""
        data = event.data if isinstance(event, Packed) else pickle.dumps(event, pickle.HIGHEST_PROTOCOL)
        if len(data) > LARGEST:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        self.sender.send(data)

    def receive(self) -> Event | None:
        """The next event; None when none waits. Raises EOFError when no sender is left."""
        try:
            data = self.receiver.recv(LARGEST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        if not data:
            raise EOFError
        event: Event = pickle.loads(data)  # noqa: S301 -- only processes that were forked from this one can send
        return event


class Sender:
    """Tells the monitor, from any thread, without ever waiting for it."""

    def __init__(self, channel: Channel | None) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._pending: dict[Hashable, Event] = {}
        self._known: dict[Hashable, Event] = {}
        self._listener = 0

    def tell(self, event: Event) -> None:
        """Send it, now or as soon as there is room."""
        with self._lock:
            if event.is_remembered:
                self._remember(event)
            self._see_listener()
            _put(self._pending, event)
            self._send()
            if not event.is_lasting:
                self._pending.pop(event.key, None)

    def forget(self, job: str) -> None:
        """Do not tell a new monitor about a job that is gone."""
        with self._lock:
            self._known = {key: event for key, event in self._known.items() if event.job != job}

    def leave(self, key: Hashable) -> None:
        """Do not tell it an event that somebody else tells the next of."""
        with self._lock:
            self._known.pop(key, None)

    @property
    def known(self) -> tuple[Event, ...]:
        """What a new monitor would be told."""
        with self._lock:
            return tuple(self._known.values())

    @property
    def waiting(self) -> tuple[Event, ...]:
        """What still waits for room."""
        with self._lock:
            return tuple(self._pending.values())

    def pass_on(self, events: Iterable[Event]) -> None:
        """Send what a process that is gone has not come to."""
        with self._lock:
            self._see_listener()
            for event in events:
                _put(self._pending, event)
            self._send()

    def adopt(self, job: str, events: Iterable[Event]) -> None:
        """Tell a new monitor, too, what a process of the job has told that is gone."""
        packed = [Packed.of(event) for event in events]
        with self._lock:
            if any(event.is_state for event in packed):
                states = [
                    k for k, e in self._known.items() if e.job == job and isinstance(e, Packed) and e.is_state
                ]
                for key in states:
                    del self._known[key]
            for event in packed:
                _put(self._known, event)
            runs = [k for k, e in self._known.items() if e.job == job and isinstance(e, Packed) and not e.is_state]
            for key in runs[:-HISTORY]:
                del self._known[key]

    def flush(self) -> int:
        """Send what waits. The number of the monitor that listens: another one is new and knows nothing.

        What is remembered has been told to it again.
        """
        with self._lock:
            self._see_listener()
            self._send()
            return self._listener

    @property
    def is_behind(self) -> bool:
        """Whether something still waits for room."""
        return bool(self._pending)

    def _remember(self, event: Event) -> None:
        _put(self._known, event)
        runs = [key for key, known in self._known.items() if isinstance(known, RunFinished)]
        if len(runs) > HISTORY:
            del self._known[runs[0]]

    def _see_listener(self) -> None:
        listener = self._channel.listener if self._channel else 0
        if listener != self._listener:
            self._listener = listener
            self._pending = dict(self._known)

    def _send(self) -> None:
        if self._channel is None or not self._listener:
            self._pending.clear()
            return
        for key, event in list(self._pending.items()):
            try:
                self._channel.send(event)
            except BlockingIOError:
                break
            except OSError:  # too large, or no receiver: waiting would not help
                pass
            del self._pending[key]


def _put(events: dict[Hashable, Event], event: Event) -> None:
    """Last, in place of an earlier one that it makes needless."""
    events.pop(event.key, None)
    events[event.key] = event
