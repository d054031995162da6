"""Which tests reach which lines, kept in `.cache/mutants` until a module or a test changes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".cache" / "mutants"


@dataclass(frozen=True)
class Reached:
    """What tests go through, in their own process; tests that fail without a mistake are not among them."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each takes, with all its parameters."""

    lines: Mapping[str, Mapping[int, frozenset[str]]] = field(default_factory=dict)
    """The tests of each line of each module."""

    def tests(self, module: str, first: int, last: int) -> frozenset[str]:
        """Those that reach one of these lines."""
        of_module = self.lines.get(module, {})
        found = frozenset[str]().union(*(of_module.get(line, ()) for line in range(first, last + 1)))
        return found & self.seconds.keys()

    def rare(self, is_asked: Callable[[str], bool]) -> dict[str, float]:
        """How much each of these tests goes where few of them go: of each line that n of them reach, an n-th."""
        found = dict.fromkeys(filter(is_asked, self.seconds), 0.0)
        for of_module in self.lines.values():
            for tests in of_module.values():
                here = [test for test in tests if test in found]
                for test in here:
                    found[test] += 1 / len(here)
        return found


def reached(
    copy: Path, python: str, modules: Sequence[str], files: Sequence[str], *, workers: int
) -> tuple[Reached, list[str]]:
    """What these test files reach, and which of their tests fail; only those are run that are not known yet."""
    folder = KEPT / "reached" / _digest(copy / module for module in modules)
    folder.mkdir(parents=True, exist_ok=True)
    kept = {file: folder / f"{_digest([copy / file])}.json" for file in files}
    unknown = [file for file, path in kept.items() if not path.exists()]
    failed = list[str]()
    if unknown:
        with tempfile.TemporaryDirectory() as told:
            failed = _record(copy, python, unknown, Path(told), workers=workers)
            parts = [json.loads(path.read_text()) for path in Path(told).glob("*.json")]
        for file in unknown:
            kept[file].write_text(json.dumps([_part_of(file, part) for part in parts]))
    return _united(part for path in kept.values() for part in json.loads(path.read_text())), failed


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{path.read_text()}\0".encode())
    return digest.hexdigest()[:16]


def _record(copy: Path, python: str, files: Sequence[str], told: Path, *, workers: int) -> list[str]:
    packages = next(KEPT.glob("lib/python*/site-packages"))
    recording = ["-p", "tests.mutants.recorder", f"--reached={told}", f"--packages={packages}"]
    command = [python, "-m", "pytest", *recording, "-q", "-n", str(workers), "--dist", "worksteal", *files]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1}:
        raise SystemExit(f"the tests cannot be run without a mistake:\n{done.stdout}{done.stderr}")
    return [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]


def _part_of(file: str, part: dict[str, Any]) -> dict[str, Any]:
    lines = {
        module: {
            line: [test for test in tests if test.startswith(f"{file}::")] for line, tests in of_module.items()
        }
        for module, of_module in part["lines"].items()
    }
    return {
        "seconds": {test: took for test, took in part["seconds"].items() if test.startswith(f"{file}::")},
        "lines": {
            module: {line: tests for line, tests in found.items() if tests} for module, found in lines.items()
        },
    }


def _united(parts: Iterator[dict[str, Any]]) -> Reached:
    seconds, lines = dict[str, float](), dict[str, dict[int, set[str]]]()
    for part in parts:
        for test, took in part["seconds"].items():
            seconds[test] = seconds.get(test, 0.0) + took
        for module, of_module in part["lines"].items():
            for line, tests in of_module.items():
                lines.setdefault(module, {}).setdefault(int(line), set()).update(tests)
    frozen = {module: {line: frozenset(t) for line, t in of_module.items()} for module, of_module in lines.items()}
    return Reached(seconds, frozen)
