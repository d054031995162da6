"""Where log lines go. Modules log through `logging.getLogger(__name__)`; only the processes' start calls this."""

import logging
import sys
import time

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s [{job}] %(message)s"


class _OneLine(logging.Formatter):
    """UTC, and one line per record: names and messages that servers send cannot forge a second one."""

    converter = staticmethod(time.gmtime)  # type: ignore[assignment]

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's own name
        """The record's line without its control characters; a traceback below it keeps its lines."""
        text = super().formatMessage(record)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def setup_logging(job: str, level: str = "INFO") -> None:
    """Log to standard error, every line marked with the job's name. Calling it again changes, not doubles."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(FORMAT.format(job=job), "%Y-%m-%dT%H:%M:%S"))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of each lost connection; we report those
