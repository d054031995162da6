"""Puts mistakes into the code, one at a time, and tells which of them no test notices: `make mutants`.

The mistakes come in an order that the seed decides, until all were tried or the time is over. They are made in
copies of this folder; the folder itself is not touched.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutants.mistakes import Chance, Mistake, chances
from tests.mutants.noticing import PACKAGES, files_of, quick_files_of

ROOT = Path(__file__).parents[2]
FACES = ("backup.py", "influx_client.py")
"""The modules at the root that belong to these packages."""

LONGEST_TEST = 180
"""Seconds for one test: a mistake that makes a loop endless is noticed by that."""

LONGEST = 1200
"""Seconds for all tests of one mistake."""


@dataclass
class Outcome:
    """What became of all mistakes that were tried."""

    noticed: int = 0
    missed: list[Mistake] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Modules whose tests fail without any mistake."""

    @property
    def tried(self) -> int:
        """How many."""
        return self.noticed + len(self.missed)


class Campaign:
    """Tries mistakes in several copies of the folder at once."""

    def __init__(self, python: str, *, workers: int, units: bool, until: float) -> None:
        self._python, self._units, self._until = python, units, until
        self._copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._workers = workers
        self._healthy: dict[tuple[str, ...], bool] = {}
        self.outcome = Outcome()

    def run(self, wanted: Sequence[Chance]) -> Outcome:
        """Try them, in their order, until the time is over."""
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            for number in range(self._workers):
                self._copies.put(_copy(Path(folder) / str(number)))
            with ThreadPoolExecutor(self._workers) as pool:
                list(pool.map(self._try, wanted))
        return self.outcome

    def _try(self, chance: Chance) -> None:
        if time.monotonic() > self._until or (mistake := chance.mistake()) is None:
            return
        copy = self._copies.get()
        try:
            tests = quick_files_of(mistake.module) if self._units else files_of(mistake.module)
            if not self._is_healthy(copy, tests):
                self.outcome.broken.add(mistake.module)
                return
            file = copy / mistake.module
            file.write_text(mistake.after)
            passed = self._pass(copy, tests)
            file.write_text(mistake.before)
        finally:
            self._copies.put(copy)
        if passed:
            self.outcome.missed.append(mistake)
            _say(f"MISSED {mistake.name}\n{mistake.diff}")
        else:
            self.outcome.noticed += 1
            _say(f"noticed {mistake.name}")

    def _is_healthy(self, copy: Path, tests: tuple[str, ...]) -> bool:
        """Whether the tests pass without a mistake: else nothing could be said."""
        if tests not in self._healthy:
            self._healthy[tests] = bool(tests) and self._pass(copy, tests)
        return self._healthy[tests]

    def _pass(self, copy: Path, tests: Sequence[str]) -> bool:
        options = ["-q", "-x", "-p", "no:cacheprovider", "--timeout", str(LONGEST_TEST), "--no-header"]
        process = subprocess.Popen(
            [self._python, "-m", "pytest", *options, *tests],
            cwd=copy,
            env={
                **os.environ,
                "PYTHONDONTWRITEBYTECODE": "1",
            },  # a file of the same size and second is another one
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(LONGEST) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End whatever a test run has left behind, servers above all."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _copy(folder: Path) -> Path:
    """All files of this folder that git knows, as they are now; the programs that tests need are shared."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".cache").symlink_to(ROOT / ".cache")
    return folder


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _modules(named: Sequence[str]) -> list[str]:
    """The modules that mistakes are made in, as paths."""
    if named:
        return [str(Path(name).resolve().relative_to(ROOT)) for name in named]
    files = [path for package in PACKAGES for path in sorted((ROOT / package).glob("*.py"))]
    return [*FACES, *(str(path.relative_to(ROOT)) for path in files if path.name != "__init__.py")]


def main(argv: Sequence[str] | None = None) -> int:
    """Try mistakes, and print what was missed."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="such as copying/pace.py (default: all of the packages)")
    parser.add_argument("--minutes", type=float, default=60, help="how long at most (default: 60)")
    parser.add_argument("--units", action="store_true", help="only the tests that need no server")
    parser.add_argument("--every", action="store_true", help="every mistake there is, not one for each place")
    parser.add_argument("--seed", type=int, default=1, help="decides which mistakes, and their order (default: 1)")
    parser.add_argument("--workers", type=int, default=2, help="how many at once (default: 2)")
    parser.add_argument("--python", default=sys.executable, help="the Python that has what the tests need")
    options = parser.parse_args(argv)
    python = str(Path(options.python).absolute())
    wanted = [
        chance
        for module in _modules(options.modules)
        for chance in chances(ROOT, module, every=options.every, seed=options.seed)
    ]
    random.Random(options.seed).shuffle(wanted)
    begun = time.monotonic()
    campaign = Campaign(python, workers=options.workers, units=options.units, until=begun + 60 * options.minutes)
    outcome = campaign.run(wanted)
    if outcome.missed:
        _say("\nNo test noticed these:")
    for mistake in sorted(outcome.missed, key=lambda mistake: (mistake.module, mistake.place)):
        _say(f"\n{mistake.name}\n{mistake.diff}")
    for module in sorted(outcome.broken):
        _say(f"\n{module}: its tests fail without any mistake, or there are none")
    share = 100 * outcome.noticed / outcome.tried if outcome.tried else 0
    minutes = (time.monotonic() - begun) / 60
    _say(
        f"\n{outcome.noticed} of {outcome.tried} mistakes noticed ({share:.1f} %), of {len(wanted)} places for "
        f"one, in {minutes:.0f} minutes; seed {options.seed}"
    )
    return int(bool(outcome.broken) or not outcome.tried)


if __name__ == "__main__":
    raise SystemExit(main())
