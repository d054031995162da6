"""What each forked process of the daemon does first: it lets go of what is its parent's, and listens to it."""

import signal
import socket
from collections.abc import Sequence
from multiprocessing.connection import Connection

from basics.processes import SIGNALS
from basics.stopping import StopRequest
from watching.channel import Channel


def let_go(
    lifeline: tuple[Connection, Connection],
    channel: Channel,
    listener: socket.socket | None,
    inherited: Sequence[Connection],
) -> None:
    """Close what is the parent's: this process keeps the first end of the lifeline, and the way to the monitor."""
    lifeline[1].close()
    channel.receiver.close()
    for connection in inherited:  # each would be one file less that this process may open
        connection.close()
    if listener:
        listener.close()  # else its port would be taken as long as this process lives


def stop_on_sigterm(stopping: StopRequest) -> None:
    """SIGTERM is the parent's request to stop; it alone decides about signals from the terminal."""
    signal.set_wakeup_fd(-1)  # that was the parent's
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stopping.heed(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
