"""How often each fault is injected, and the table of what came of it.

A test takes the fixture `rounds` and loops over it; every finished round is counted, and the session prints one
line for each fault. `FAULT_ROUNDS=all` (that is `make faults`) runs all rounds, `FAULT_ROUNDS=10` a tenth of them;
otherwise each fault is injected once. Where moments are random, `rounds.saw("in the middle")` counts what they
were.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pytest

PROPERTY = "fault"

ONCE = 1_000
"""A part of any number of rounds that is one of them."""


class Rounds:
    """Counts the rounds of one test."""

    def __init__(self, environ: Mapping[str, str] = os.environ, part: int = ONCE) -> None:
        asked = environ.get("FAULT_ROUNDS")
        self._part = 1 if asked == "all" else int(asked) if asked else part
        self.name = ""
        self.done = 0
        self._seen = Counter[str]()

    def of(self, name: str, most: int = 1) -> Iterator[int]:
        """The numbers of the rounds of the fault `name`: of all of them, or of a part; of one at least."""
        self.name = name
        for number in range(max(1, most // self._part)):
            yield number
            self.done += 1  # not reached when the round has failed

    def saw(self, what: str) -> None:
        """Count when it happened in this round."""
        self._seen[what] += 1

    @property
    def seen(self) -> str:
        """All that was counted, for the table."""
        return ", ".join(f"{count} {what}" for what, count in sorted(self._seen.items()))


def table(reports: Sequence[pytest.TestReport]) -> list[str]:
    """One line for each fault: its name, the rounds that passed, and the result."""
    totals: dict[str, tuple[int, str, str]] = {}
    for report in reports:
        for key, value in report.user_properties:
            if key == PROPERTY and report.when == "teardown":
                name, done, passed, seen = str(value).rsplit("|", 3)
                rounds, result, _ = totals.get(name, (0, "equal", ""))
                totals[name] = (rounds + int(done), result if passed == "True" else "FAILED", seen)
    width = max(map(len, totals), default=0)
    return [
        f"{name.ljust(width)}  {rounds:6,}  {result}{f' ({seen})' if seen else ''}"
        for name, (rounds, result, seen) in sorted(totals.items())
    ]
