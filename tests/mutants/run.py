"""Puts mistakes into the code, one at a time, and tells which of them no test notices: `make mutants`.

The mistakes come in an order that the seed decides, until all were tried or the time is over. They are made in
copies of this folder; the folder itself is not touched.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tests.mutants.bounds import shares
from tests.mutants.mistakes import Chance, Mistake, chances
from tests.mutants.noticing import (
    ENOUGH,
    PACKAGES,
    SECONDS,
    all_files,
    chosen,
    files_of,
    needs_server,
    watchers,
    within,
)
from tests.mutants.reached import KEPT, Reached, reached

ROOT = Path(__file__).parents[2]
FACES = ("backup.py", "influx_client.py")
"""The modules at the root that belong to these packages."""

MEMORY = 8 * 2**30
"""Bytes of addresses for each process of a test run: an endless loop may collect."""

LONGEST = 1200
"""Seconds for all tests of one mistake."""

_seconds = itertools.count(1_000_000_000)

OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-p", "tests.mutants.quick", "--no-header")


@dataclass(frozen=True)
class Outcome:
    """What became of one mistake."""

    key: str
    name: str
    diff: str
    noticed_by: str
    """The first test that failed; nothing when none did."""


class Record:
    """The outcomes of all runs, in a file: a run goes on where the last one stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.outcomes = {outcome.key: outcome for outcome in (Outcome(**json.loads(line)) for line in lines)}

    def is_open(self, key: str, *, again: bool) -> bool:
        """Whether it has to be tried: it never was or, when these are tried again, nobody noticed it."""
        outcome = self.outcomes.get(key)
        return outcome is not None and not outcome.noticed_by if again else outcome is None

    def add(self, outcome: Outcome) -> None:
        """Also instead of an older one."""
        self.outcomes[outcome.key] = outcome
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")


class Campaign:
    """Tries mistakes in several copies of the folder at once."""

    def __init__(
        self, runners: Sequence[Runner], reached: Reached, record: Record, *, until: float, enough: float
    ) -> None:
        self._reached, self._record, self._until, self._enough = reached, record, until, enough
        self._watchers = watchers(ROOT, {test.partition("::")[0] for test in reached.seconds})
        self._idle: queue.SimpleQueue[Runner] = queue.SimpleQueue()
        self._workers = len(runners)
        self._rare = reached.rare(needs_server)
        for runner in runners:
            runner.check(sorted(reached.seconds, key=lambda test: reached.seconds[test])[:20])
            self._idle.put(runner)

    def run(self, wanted: Sequence[Chance]) -> None:
        """Try them, in their order, until the time is over."""
        with ThreadPoolExecutor(self._workers) as pool:
            list(pool.map(self._try, wanted))

    def _try(self, chance: Chance) -> None:
        if time.monotonic() > self._until or (mistake := chance.mistake()) is None:
            return
        tests, runner = self._tests_of(mistake), self._idle.get()
        try:
            failed = runner.failed(mistake, tests) if tests else ""
        finally:
            self._idle.put(runner)
        self._record.add(Outcome(chance.key, mistake.name, mistake.diff, failed))
        _say(f"noticed {mistake.name} by {failed}" if failed else f"MISSED {mistake.name}\n{mistake.diff}")

    def _tests_of(self, mistake: Mistake) -> list[str]:
        """Those that reach it, or all that look at its module where it is read on import or by other processes."""
        seconds, files = self._reached.seconds, files_of(mistake.module)
        likely = within(seconds, files)
        found = self._reached.tests(mistake.module, *mistake.lines) if mistake.lines else frozenset[str]()
        asked = found.union(self._watchers.intersection(likely)) if found else likely
        return chosen(asked, seconds, files, self._enough, self._rare)


class Runner:
    """Runs tests in a copy of the folder, with one mistake at a time."""

    def __init__(self, python: str, copy: Path, seconds: Mapping[str, float]) -> None:
        self.copy = copy
        (copy / SECONDS).write_text(json.dumps(dict(seconds)))
        self._output = copy.with_suffix(".txt")
        self._server = subprocess.Popen(
            [python, "-m", "tests.mutants.forked", str(MEMORY)],
            cwd=copy,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def failed(self, mistake: Mistake, tests: Sequence[str]) -> str:
        """The first test that notices the mistake; nothing when none does."""
        file = self.copy / mistake.module
        try:
            file.write_text(mistake.after)
            # Bytecode of a mistake of the same size and second would be taken for that of another.
            os.utime(file, (next(_seconds),) * 2)
            return self._repeatedly(tests)
        finally:
            file.write_text(mistake.before)

    def _repeatedly(self, tests: Sequence[str]) -> str:
        """The first test that fails; one on servers has to fail twice, for the machine may be too busy for it."""
        waiting = list(tests)
        while waiting:
            failed = self._failed(waiting)
            test = failed.partition(" ")[2].partition("[")[0].partition(" ")[0]
            if test not in waiting or not needs_server(test) or self._failed([test]):
                return failed
            waiting = waiting[waiting.index(test) + 1 :]
        return ""

    def check(self, tests: Sequence[str]) -> None:
        """End the campaign when these fail without a mistake."""
        if failed := self._failed(tests):
            raise SystemExit(f"without any mistake: {failed}")

    def _failed(self, tests: Sequence[str]) -> str:
        code = self._run([*OPTIONS, *tests])
        with self._output.open(errors="replace") as output:
            lines = [line.strip() for line in output if line.startswith(("FAILED", "ERROR"))]
        if code == 1 and not lines:
            raise SystemExit(f"the tests cannot be run:\n{self._output.read_text(errors='replace')}")
        return (lines or [f"exit code {code}"])[-1] if code else ""

    def _run(self, arguments: Sequence[str]) -> int:
        orders, answers = self._pipes()
        orders.write(f"{json.dumps([arguments, str(self._output)])}\n")
        orders.flush()
        group = int(answers.readline())
        timer = threading.Timer(LONGEST, _end, [group])
        timer.start()
        try:
            return int(answers.readline())
        finally:
            timer.cancel()
            _end(group)

    def close(self) -> None:
        """End the process that the test runs come from."""
        orders, answers = self._pipes()
        orders.close()
        self._server.wait()
        answers.close()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        return self._server.stdin, self._server.stdout


def _end(group: int) -> None:
    """End whatever a test run has left behind, servers above all."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _copy(folder: Path) -> Path:
    """All files of this folder that git does not ignore, as they are now; programs that tests need are shared."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
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
    files = [path for folder in PACKAGES for path in sorted((ROOT / folder).glob("*.py"))]
    return [*FACES, *(str(path.relative_to(ROOT)) for path in files if path.name != "__init__.py")]


def _wanted(options: argparse.Namespace) -> list[Chance]:
    """The chances of a run, in the order that the seed decides; a change of a module moves only its own."""
    found = [
        chance
        for module in _modules(options.modules)
        for chance in chances(ROOT, module, every=options.every, seed=options.seed)
    ]
    return sorted(found, key=lambda chance: hashlib.sha256(f"{options.seed} {chance.key}".encode()).digest())


def main(argv: Sequence[str] | None = None) -> int:
    """Try mistakes, and print what was missed."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="such as copying/pace.py (default: all of the packages)")
    parser.add_argument("--minutes", type=float, default=60, help="how long at most (default: 60)")
    parser.add_argument("--first", type=int, help="how many places of the order (default: all)")
    parser.add_argument("--enough", type=float, default=ENOUGH, help="seconds of tests on servers for each (240)")
    parser.add_argument("--units", action="store_true", help="only the tests that need no server")
    parser.add_argument("--every", action="store_true", help="every mistake there is, not one for each place")
    parser.add_argument("--missed", action="store_true", help="those once more that no test noticed so far")
    parser.add_argument("--seed", type=int, default=1, help="decides which mistakes, and their order (default: 1)")
    parser.add_argument("--workers", type=int, default=2, help="how many at once (default: 2)")
    parser.add_argument("--python", default=sys.executable, help="the Python that has what the tests need")
    options = parser.parse_args(argv)
    begun, wanted = time.monotonic(), _wanted(options)[: options.first]
    record = Record(KEPT / ("units.jsonl" if options.units else "outcomes.jsonl"))
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [_copy(Path(folder) / str(number)) for number in range(options.workers)]
        python, files = str(Path(options.python).absolute()), all_files(ROOT, units=options.units)
        known, failed = reached(copies[0], python, _modules([]), files, workers=options.workers)
        for line in failed:
            _say(f"without any mistake, and so not asked: {line}")
        runners = [Runner(python, copy, known.seconds) for copy in copies]
        until = begun + 60 * options.minutes
        campaign = Campaign(runners, known, record, until=until, enough=options.enough)
        campaign.run([chance for chance in wanted if record.is_open(chance.key, again=options.missed)])
        for runner in runners:
            runner.close()
    _report(wanted, record, options.seed)
    return 0


def _report(wanted: Sequence[Chance], record: Record, seed: int) -> None:
    """All that was tried of them, in this run and those before."""
    tried = [record.outcomes[chance.key] for chance in wanted if chance.key in record.outcomes]
    missed = sorted((outcome for outcome in tried if not outcome.noticed_by), key=lambda outcome: outcome.name)
    if missed:
        _say("\nNo test noticed these:")
    for outcome in missed:
        _say(f"\n{outcome.name}\n{outcome.diff}")
    noticed = len(tried) - len(missed)
    low, high = shares(noticed, len(tried))
    _say(
        f"\n{noticed} of {len(tried)} mistakes noticed ({noticed / max(len(tried), 1):.1%}; of all, with 95 % "
        f"confidence, between {low:.1%} and {high:.1%}), of {len(wanted)} places for one; seed {seed}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
