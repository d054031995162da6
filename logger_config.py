"""Where log lines go. Modules log through `logging.getLogger(__name__)`; only the processes' start calls this."""

import logging
import sys
import time
from typing import TextIO

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s [{job}] %(message)s"


class _OneLine(logging.Formatter):
    """UTC, and one line per record: names and messages that servers send cannot forge a second one."""

    converter = staticmethod(time.gmtime)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's own name
        """The record's line without its control characters; a traceback below it keeps its lines."""
        text = super().formatMessage(record)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _JobHandler(logging.StreamHandler[TextIO]):
    """Our own handler, to be told from those of others."""


def setup_logging(job: str, level: str = "INFO") -> None:
    """Log to standard error, every line marked with the job's name. Calling it again changes, not doubles."""
    handler = _JobHandler(sys.stderr)
    handler.setFormatter(_OneLine(FORMAT.format(job=job), "%Y-%m-%dT%H:%M:%S"))
    root = logging.getLogger()
    root.handlers = [old for old in root.handlers if not isinstance(old, _JobHandler)]
    root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of each lost connection; we report those
