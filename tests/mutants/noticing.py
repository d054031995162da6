"""Which tests are the most likely to notice a mistake in a module; first those without a server, which are quick.

A module that is not named here is looked at by the tests of its package.
"""

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

ENOUGH = 240.0
"""Seconds of tests on servers that look at one mistake; a default."""

SECONDS = ".seconds.json"
"""The file in a copy of the folder that says how long each test takes with all its parameters."""

LEAST, SLOWER = 30, 6
"""Seconds that each test may take, for the machine may be busy, and how many times as long as without a mistake.

Endless loops are noticed by that.
"""

COPY = (
    "tests/integration/test_round_trip.py",
    "tests/integration/test_small_measurements.py",
    "tests/integration/test_order.py",
    "tests/integration/test_resume.py",
)
"""A whole run, whatever module it goes through."""

ELSEWHERE = tuple(
    f"tests/integration/test_{name}.py"
    for name in (
        "amber",
        "bad_input",
        "daemon",
        "jobs",
        "loki",
        "monitor",
        "notifications",
        "prometheus",
        "shortages",
        "states",
    )
)
"""They watch other processes run, and so reach nothing themselves: not asked, for they take long."""

OUTSIDE: tuple[str, ...] = ("run_main(", ".main(", ".json(", "restored(", "running(", "Popen(")
"""How tests run the tool as a process of its own."""

PACKAGES: dict[str, tuple[str, ...]] = {
    "copying": ("tests/copying", *COPY),
    "influx": ("tests/influx", *COPY),
    "checking": (
        "tests/checking",
        "tests/integration/test_verify.py",
        "tests/integration/test_check.py",
    ),
    "copying/archive": ("tests/copying/archive", "tests/integration/test_archive.py"),
    "copying/distribution": (
        "tests/copying/distribution",
        "tests/integration/test_units.py",
        "tests/integration/test_distribution.py",
    ),
    "copying/metadata": (
        "tests/copying/metadata",
        "tests/integration/test_metadata.py",
        "tests/integration/test_whole_database.py",
    ),
    "copying/restore": (
        "tests/copying/restore",
        "tests/integration/test_refilling.py",
        "tests/integration/test_restored_besides.py",
        "tests/integration/test_restore.py",
        "tests/integration/test_whole_database.py",
    ),
}
"""Of a folder of modules; not of the folders in it."""

MODULES: dict[str, tuple[str, ...]] = {
    "backup.py": (
        "tests/integration/test_course.py",
        *COPY,
        "tests/integration/test_second_look.py",
        "tests/integration/test_late_data.py",
        "tests/integration/test_quarantine.py",
        "tests/integration/test_reporting.py",
        "tests/integration/test_stopped.py",
        "tests/integration/test_rights.py",
    ),
    "influx_client.py": (
        "tests/integration/test_client_requests.py",
        "tests/integration/test_client_answers.py",
        "tests/integration/test_influx_client.py",
        "tests/integration/test_writes.py",
        *COPY,
        "tests/integration/test_second_look.py",
        "tests/integration/test_late_data.py",
    ),
    # ---- copying/
    "copying/compare.py": (
        "tests/integration/test_comparer.py",
        "tests/integration/test_equality.py",
        "tests/integration/test_late_data.py",
        "tests/integration/test_verify.py",
    ),
    "copying/flight.py": ("tests/copying/test_flight.py", "tests/integration/test_order.py", *COPY),
    "copying/late.py": (
        "tests/copying/test_late.py",
        "tests/integration/test_look_back.py",
        "tests/integration/test_late_data.py",
        "tests/integration/test_equality.py",
        "tests/integration/test_overwritten.py",
        *COPY,
    ),
    "copying/listener.py": ("tests/integration/test_reporting.py",),
    "copying/measurement.py": (
        "tests/integration/test_copier.py",
        "tests/integration/test_course.py",
        *COPY,
        "tests/integration/test_overwritten.py",
        "tests/integration/test_clocks.py",
        "tests/integration/test_second_look.py",
        "tests/integration/test_late_data.py",
        "tests/integration/test_quarantine.py",
    ),
    "copying/memory.py": ("tests/integration/test_equality.py", "tests/integration/test_late_data.py"),
    "copying/mismatches.py": (
        "tests/copying/test_mismatches.py",
        "tests/integration/test_comparer.py",
        "tests/integration/test_verify.py",
    ),
    "copying/narrowing.py": ("tests/integration/test_quarantine.py", "tests/integration/test_order.py"),
    "copying/news.py": (
        "tests/copying/test_news.py",
        "tests/integration/test_news.py",
        "tests/integration/test_stopped.py",
        *COPY,
    ),
    "copying/order.py": ("tests/copying/test_order.py", "tests/integration/test_order.py", *COPY),
    "copying/pace.py": (
        "tests/copying/test_pace.py",
        "tests/influx/test_shard_groups.py",
        "tests/integration/test_reads.py",
    ),
    "copying/planner.py": (
        "tests/copying/test_plan.py",
        "tests/integration/test_planning.py",
        *COPY,
        "tests/integration/test_selection.py",
        "tests/integration/test_late_data.py",
        "tests/integration/test_downsampling.py",
    ),
    "copying/policies.py": (
        "tests/integration/test_planning.py",
        *COPY,
        "tests/integration/test_rights.py",
        "tests/integration/test_lost.py",
    ),
    "copying/proving.py": (
        "tests/copying/test_balance.py",
        "tests/integration/test_prover.py",
        "tests/integration/test_steady.py",
    ),
    "copying/quarantine.py": ("tests/copying/test_quarantine.py", "tests/integration/test_quarantine.py"),
    "copying/reading.py": (
        "tests/integration/test_reader.py",
        *COPY,
        "tests/integration/test_reads.py",
        "tests/integration/test_exactness.py",
        "tests/integration/test_downsampling.py",
    ),
    "copying/requests.py": (
        "tests/integration/test_requests.py",
        *COPY,
        "tests/integration/test_quarantine.py",
        "tests/integration/test_exactness.py",
    ),
    "copying/results.py": (
        "tests/copying/test_results.py",
        "tests/watching/test_summary.py",
        "tests/integration/test_reporting.py",
        *COPY,
    ),
    "copying/resume.py": ("tests/copying/test_plan.py", "tests/integration/test_resume.py"),
    "copying/segments.py": (
        "tests/copying/test_segments.py",
        "tests/influx/test_shard_groups.py",
        "tests/integration/test_resume.py",
    ),
    "copying/small_measurements.py": (
        "tests/copying/test_small_measurements.py",
        "tests/integration/test_together.py",
        "tests/integration/test_small_measurements.py",
        "tests/integration/test_second_look.py",
        "tests/integration/test_order.py",
    ),
    "copying/stretches.py": (
        "tests/copying/test_late.py",
        "tests/integration/test_look_back.py",
        "tests/integration/test_late_data.py",
    ),
    "copying/task.py": ("tests/copying/test_plan.py", *COPY),
    "copying/unstorable.py": ("tests/integration/test_planning.py", *COPY, "tests/integration/test_exactness.py"),
    "copying/windows.py": (
        "tests/copying/test_windows.py",
        "tests/integration/test_comparer.py",
        "tests/integration/test_look_back.py",
        "tests/integration/test_equality.py",
    ),
    "copying/writing.py": (*COPY, "tests/integration/test_second_look.py", "tests/integration/test_reporting.py"),
    "copying/inventory.py": (
        "tests/copying/test_inventory.py",
        "tests/integration/test_nothing_copied.py",
        "tests/integration/test_lost.py",
        "tests/integration/test_check.py",
    ),
    "copying/retention.py": ("tests/copying/test_retention.py", "tests/integration/test_check.py"),
    "copying/archive/making.py": (
        "tests/integration/test_snapshots.py",
        "tests/integration/test_snapshots_told.py",
        "tests/integration/test_archive.py",
    ),
    "copying/archive/taking.py": (
        "tests/copying/archive",
        "tests/integration/test_snapshots.py",
        "tests/integration/test_snapshots_told.py",
        "tests/integration/test_archive.py",
    ),
    # ---- influx/
    "influx/answers.py": ("tests/influx/test_answers.py", "tests/integration/test_influx_client.py"),
    "influx/catalog.py": (
        "tests/integration/test_catalog.py",
        "tests/integration/test_whole_database.py",
        "tests/integration/test_restore.py",
    ),
    "influx/csv_answers.py": ("tests/influx/test_csv_answers.py", "tests/integration/test_reads.py"),
    "influx/error_texts.py": ("tests/influx/test_answers.py", "tests/integration/test_quarantine.py"),
    "influx/counting.py": (
        "tests/influx/test_counting.py",
        "tests/integration/test_late_data.py",
        "tests/integration/test_verify.py",
    ),
    "influx/fingerprints.py": (
        "tests/influx/test_fingerprints.py",
        "tests/copying/test_windows.py",
        "tests/integration/test_equality.py",
        "tests/integration/test_verify.py",
    ),
    "influx/frames.py": (
        "tests/influx/test_frames.py",
        "tests/influx/test_line_protocol.py",
        "tests/integration/test_exactness.py",
    ),
    "influx/identity.py": ("tests/influx/test_identity.py", "tests/integration/test_same_server.py"),
    "influx/library.py": ("tests/influx/test_library.py", "tests/integration/test_influx_client.py", *COPY),
    "influx/line_protocol.py": (
        "tests/influx/test_line_protocol.py",
        "tests/influx/test_bodies.py",
        "tests/integration/test_exactness.py",
        "tests/integration/test_quarantine.py",
    ),
    "influx/pages.py": (
        "tests/influx/test_pages.py",
        "tests/integration/test_client_requests.py",
        "tests/integration/test_client_answers.py",
        "tests/integration/test_reads.py",
        "tests/integration/test_exactness.py",
        "tests/integration/test_small_measurements.py",
    ),
    "influx/retries.py": (
        "tests/influx/test_retries.py",
        "tests/integration/test_writes.py",
        "tests/integration/test_reporting.py",
    ),
    "influx/scratch.py": ("tests/influx/test_scratch.py", "tests/integration/test_drill.py"),
    "influx/shards.py": ("tests/integration/test_equality.py", "tests/integration/test_late_data.py"),
    "influx/shard_groups.py": ("tests/influx/test_shard_groups.py", "tests/integration/test_late_data.py"),
    "influx/storable.py": ("tests/influx/test_storable.py", "tests/influx/test_line_protocol.py"),
    "influx/transport.py": (
        "tests/influx/test_transport.py",
        "tests/integration/test_client_requests.py",
        "tests/integration/test_client.py",
        "tests/integration/test_reads.py",
        "tests/integration/test_writes.py",
        "tests/integration/test_quarantine.py",
        "tests/security/test_tls.py",
    ),
    "influx/written.py": (
        "tests/influx/test_written.py",
        "tests/influx/test_line_protocol.py",
        "tests/integration/test_quarantine.py",
    ),
    # ---- checking/
    "checking/archive_check.py": ("tests/integration/test_check_parts.py", "tests/integration/test_archive.py"),
    "checking/archives.py": (
        "tests/checking",
        "tests/integration/test_archive_source.py",
        "tests/integration/test_archive.py",
    ),
    "checking/drill.py": (
        "tests/checking/test_drill.py",
        "tests/integration/test_drill_parts.py",
        "tests/integration/test_drill.py",
    ),
    "checking/next_drill.py": ("tests/integration/test_check_parts.py", "tests/integration/test_drill.py"),
    "checking/findings.py": (
        "tests/checking/test_findings.py",
        "tests/integration/test_check.py",
        "tests/integration/test_nothing_copied.py",
        "tests/integration/test_terminal.py",
    ),
    "checking/preflight.py": (
        "tests/integration/test_check_parts.py",
        "tests/integration/test_check.py",
        "tests/integration/test_nothing_copied.py",
    ),
    "checking/progress.py": ("tests/checking/test_progress.py", "tests/integration/test_terminal.py"),
    "checking/repair.py": (
        "tests/checking",
        "tests/integration/test_repair_parts.py",
        "tests/integration/test_verify.py",
        "tests/integration/test_terminal.py",
    ),
    "checking/restore.py": (
        "tests/checking/test_restore.py",
        "tests/integration/test_restore_again.py",
        "tests/integration/test_restore.py",
    ),
    "checking/type_conflicts.py": ("tests/integration/test_check_parts.py", "tests/integration/test_check.py"),
    "checking/verdict.py": ("tests/checking/test_verdict.py", "tests/integration/test_verify.py"),
    "checking/verify.py": (
        "tests/checking",
        "tests/integration/test_verify_parts.py",
        "tests/integration/test_verify.py",
    ),
}


def files_of(module: str) -> tuple[str, ...]:
    """The test files (and folders) of a module, by its path; in the order in which they are run."""
    return MODULES.get(module) or PACKAGES[module.rpartition("/")[0]]


def needs_server(test: str) -> bool:
    """Whether a test (or the file of one) runs on real servers."""
    return test.startswith(("tests/integration", "tests/security"))


def quick_files_of(module: str) -> tuple[str, ...]:
    """Those that need no server."""
    return tuple(path for path in files_of(module) if not needs_server(path))


def all_files(root: Path, *, units: bool) -> list[str]:
    """The files of all tests that may be asked."""
    found = {path for paths in (*MODULES.values(), *PACKAGES.values()) for path in paths}
    found |= {"tests/watching"} if units else {"tests/watching", "tests/integration"}
    files = {
        file for path in found for file in ((root / path).rglob("test_*.py") if "." not in path else [root / path])
    }
    names = sorted(str(file.relative_to(root)) for file in files)
    return [name for name in names if name not in ELSEWHERE and not (units and needs_server(name))]


def watchers(root: Path, files: Iterable[str]) -> set[str]:
    """The tests in these files that run the tool as a process of its own: they reach everything unseen."""
    return {f"{file}::{name}" for file in files for name in _watching((root / file).read_text())}


def _watching(text: str) -> set[str]:
    """The functions of a file of tests that do so, by themselves or by another one of the file."""
    bodies = {node.name: ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    found, words = set[str](), OUTSIDE
    while words:
        new = {name for name, body in bodies.items() if any(word in body for word in words)} - found
        found |= new
        words = tuple(f"{name}(" for name in new)
    return found


def chosen(
    found: Collection[str],
    seconds: Mapping[str, float],
    likely: Sequence[str],
    enough: float = ENOUGH,
    rare: Mapping[str, float] | None = None,
) -> list[str]:
    """All tests that need no server, then as many others as there is time for.

    Half of it is for the likely and the quick ones, the rest for those that go where few others go: `rare` says
    how much each does so.
    """
    units = sorted((test for test in found if not needs_server(test)), key=lambda test: (seconds[test], test))
    others = sorted(
        (test for test in found if needs_server(test)),
        key=lambda test: (not within([test], likely), seconds[test], test),
    )
    first = _affordable(others, seconds, enough / 2)
    worth = {test: (rare or {}).get(test, 0.0) / max(seconds[test], 0.01) for test in others}
    rest = sorted((test for test in others if test not in first), key=lambda test: -worth[test])
    more = _affordable(rest, seconds, enough - sum(seconds[test] for test in first))
    return [*units, *first, *more] or others[:1]


def _affordable(tests: Iterable[str], seconds: Mapping[str, float], enough: float) -> list[str]:
    """Of these as many as there is time for, in their order; what takes too long is left out."""
    spent, found = 0.0, list[str]()
    for test in tests:
        if spent + seconds[test] <= enough:
            found.append(test)
            spent += seconds[test]
    return found


def within(tests: Iterable[str], files: Sequence[str]) -> list[str]:
    """The tests of these files and folders."""
    return [
        test for test in tests if test.startswith(tuple(f"{file}/" if "." not in file else file for file in files))
    ]
