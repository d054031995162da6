"""Who is told what becomes of requests. Only the protocol: what is done with it is no concern of this package."""

from typing import Protocol


class RequestListener(Protocol):
    """Hears of requests, from any thread. Nothing of it ever waits or raises."""

    def acknowledged(self) -> None:
        """A request with points was."""

    def retrying(self, trouble: str) -> None:
        """A request of this thread has failed, and is about to be tried again."""

    def settled(self) -> None:
        """It has succeeded, or failed for good."""


class SilentRequests:
    """Tells nobody."""

    def acknowledged(self) -> None:
        """Tell nobody."""

    def retrying(self, trouble: str) -> None:
        """Tell nobody."""

    def settled(self) -> None:
        """Tell nobody."""
