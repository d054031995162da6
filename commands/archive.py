"""`main.py archive list | verify | prune | cat`: looks at the archives of jobs, and takes away what may go."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basics.humanize import counted, format_bytes
from basics.memory import give_back_memory
from basics.stopping import StopRequest
from basics.streams import lead_nowhere, say
from basics.tables import aligned, ruled
from basics.text import printable
from basics.times import format_time
from commands.interface import FAILURE, SUCCESS, USAGE, Command, print_json, worst
from commands.jobs import default_paths, valid_jobs
from commands.options import (
    AT,
    CONFIG,
    IGNORED,
    JSON,
    SAMPLE,
    Option,
    UsageError,
    asked_span,
    check_patterns,
    parsed_end,
    parsed_start,
)
from config import Config
from watching.progress import can_draw
from watching.verdict_files import verdict_folder, write_verdict

if TYPE_CHECKING:
    from checking.archives import Line, Proof, Pruning, Wanted

Done = tuple[int, list[str], dict[str, Any]]
"""What came of one job: the exit code, lines for people, and the same for machines."""


def _archive(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    give_back_memory()
    from copying.archive.errors import ArchiveError  # noqa: PLC0415 -- heavy libraries

    jobs = _jobs(arguments, environ)
    if arguments.action == "cat":
        return _cat(arguments, _only(jobs))
    does: Mapping[str, Callable[[argparse.Namespace, Config], Done]] = {
        "list": _list,
        "verify": partial(_verify, verdict_folder(environ), draws=can_draw(sys.stderr, environ)),
        "prune": _prune,
    }
    codes, documents = [], []
    for config in jobs:
        try:
            code, lines, document = does[arguments.action](arguments, config)
        except ArchiveError as error:
            code, lines, document = USAGE, [f"FAILED {config.job.name}: {error}"], {"problem": str(error)}
        codes.append(code)
        documents.append({"job": config.job.name, "archive": config.job.destination.archive, **document})
        if not arguments.json:
            say("".join(f"{printable(line)}\n" for line in lines))
    if arguments.json:
        print_json({"result": "ok" if not any(codes) else "FAILED", "jobs": documents})
    return worst(codes)


def _jobs(arguments: argparse.Namespace, environ: Mapping[str, str]) -> list[Config]:
    """The jobs that have an archive. Raises UsageError without any, and for a file that is not valid."""
    jobs = valid_jobs(arguments.config or default_paths(environ))
    found = [job.config for job in jobs if job.config.job.destination.archive]
    if not found:
        names = ", ".join(str(job.config.path) for job in jobs)
        raise UsageError(f"no archive: none of {names} has destination.archive")
    return found


def _only(jobs: list[Config]) -> Config:
    if len(jobs) > 1:
        names = ", ".join(str(config.path) for config in jobs)
        raise UsageError(f"archive cat takes one job at a time: name its file with --config, one of {names}")
    return jobs[0]


# ---------------------------------------------------------------- list


def _list(_arguments: argparse.Namespace, config: Config) -> Done:
    from checking.archives import listing, open_archive  # noqa: PLC0415 -- heavy libraries

    job = config.job
    found = listing(open_archive(job.destination.archive), job.name)
    head = [f"{job.name}: {counted(len(found), 'snapshot')} in {job.destination.archive}"]
    rows = [("snapshot", "databases", "points", "files", "bytes", "new"), *map(_row, found)]
    lines = head + aligned(ruled(rows)) if found else head
    lines += [f"DAMAGED {line.problem}" for line in found if line.problem]
    return FAILURE if any(line.problem for line in found) else SUCCESS, lines, {"snapshots": [*map(_entry, found)]}


def _row(line: "Line") -> tuple[str, ...]:
    snapshot = line.snapshot
    if snapshot is None:
        return (line.listed.name, "damaged", "", "", "", "")
    names = ", ".join(held.name for held in snapshot.databases)
    sizes = (format_bytes(snapshot.bytes), format_bytes(line.new_bytes))
    return (snapshot.name, printable(names), f"{snapshot.rows:,}", f"{len(snapshot.files):,}", *sizes)


def _entry(line: "Line") -> dict[str, Any]:
    snapshot = line.snapshot
    if snapshot is None:
        return {"snapshot": line.listed.name, "problem": line.problem}
    return {
        "snapshot": snapshot.name,
        "taken": format_time(snapshot.taken),
        "databases": [held.name for held in snapshot.databases],
        "points": snapshot.rows,
        "files": len(snapshot.files),
        "bytes": snapshot.bytes,
        "new_bytes": line.new_bytes,
    }


# ---------------------------------------------------------------- verify


def _verify(folder: Path | None, arguments: argparse.Namespace, config: Config, *, draws: bool) -> Done:
    """Prove an archive; what was found is kept in the folder, by which the daemon hears of it."""
    from checking.archives import as_event, unproved, verified  # noqa: PLC0415 -- heavy libraries
    from checking.progress import Progress, Shown  # noqa: PLC0415
    from copying.archive.errors import ArchiveError  # noqa: PLC0415

    def tell(proof: "Proof") -> None:
        if folder:
            write_verdict(folder, as_event(proof, time.time_ns()))

    progress, share = Progress(), arguments.sample or 1.0
    try:
        with Shown(config.job.name, progress, draws=draws):
            proof = verified(
                config, share, with_source=arguments.source, stopping=StopRequest(), progress=progress
            )
    except ArchiveError as error:
        tell(unproved(config.job.name, error))
        raise
    tell(proof)
    return proof.code, _proof_lines(proof), _proof_entry(proof)


def _proof_lines(proof: "Proof") -> list[str]:
    lines = [
        f"{proof.job}: {proof.word}; {counted(proof.snapshots, 'snapshot')}, read {proof.files:,} of "
        f"{counted(proof.of, 'file')}, {counted(proof.points, 'point')}, {format_bytes(proof.bytes)} "
        f"in {proof.seconds:.1f} s"
    ]
    if proof.changed is not None:
        lines.append(
            f"  the source holds the same in {proof.parts - proof.changed:,} of {proof.parts:,} parts "
            "(a measurement in a shard group) of the newest snapshot"
        )
    lines += [f"  DAMAGED: {text}" for text in proof.damages]
    return lines + [f"  PROBLEM: {text}" for text in proof.problems]


def _proof_entry(proof: "Proof") -> dict[str, Any]:
    return {
        "result": proof.word,
        "snapshots": proof.snapshots,
        "files_read": proof.files,
        "files": proof.of,
        "points": proof.points,
        "bytes": proof.bytes,
        "seconds": round(proof.seconds, 3),
        "parts": proof.parts if proof.changed is not None else None,
        "changed_parts": proof.changed,
        "damages": proof.damages,
        "problems": proof.problems,
    }


# ---------------------------------------------------------------- prune


def _prune(arguments: argparse.Namespace, config: Config) -> Done:
    from checking.archives import open_archive, prune, pruning  # noqa: PLC0415 -- heavy libraries

    job = config.job
    if job.archive.keep.says_nothing:
        raise UsageError(
            f"{config.path}: archive.keep says nothing; set one of last, daily, weekly, monthly, yearly"
        )
    archive = open_archive(job.destination.archive)
    plan = pruning(archive, job, time.time_ns())
    if arguments.yes:
        prune(archive, plan)
    return SUCCESS, _pruning_lines(plan, done=arguments.yes), _pruning_entry(plan, done=arguments.yes)


def _pruning_lines(plan: "Pruning", *, done: bool) -> list[str]:
    lines = [f"{plan.job}: {counted(len(plan.kept), 'snapshot')} stay"]
    lines += [f"  keep    {name}  ({', '.join(why)})" for name, why in sorted(plan.kept.items())]
    lines += [f"  remove  {listed.name}" for listed in plan.snapshots]
    what = f"{counted(len(plan.snapshots), 'snapshot')} and {counted(len(plan.files), 'file')}"
    freed = f"{what} ({format_bytes(plan.bytes)})"
    return [*lines, f"  removed {freed}" if done else f"  would remove {freed}; --yes does it"]


def _pruning_entry(plan: "Pruning", *, done: bool) -> dict[str, Any]:
    return {
        "done": done,
        "kept": {name: list(why) for name, why in plan.kept.items()},
        "removed": [listed.name for listed in plan.snapshots],
        "files": len(plan.files),
        "bytes": plan.bytes,
    }


# ---------------------------------------------------------------- cat


def _cat(arguments: argparse.Namespace, config: Config) -> int:
    from checking.archives import printed  # noqa: PLC0415 -- heavy libraries
    from copying.archive.errors import ArchiveError  # noqa: PLC0415
    from copying.archive.serving import open_snapshot  # noqa: PLC0415

    wanted = _wanted(arguments)
    try:
        snapshot = open_snapshot(config.job.destination.archive, config.job.name, arguments.at)
        _check_databases(wanted.databases, snapshot.get_databases())
        for part in printed(snapshot, wanted):
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    except ArchiveError as error:
        raise UsageError(str(error)) from None
    except BrokenPipeError:  # who reads has seen enough, such as `head`
        lead_nowhere(sys.stdout)
    except OSError as error:
        lead_nowhere(sys.stdout)
        raise UsageError(f"cannot write to standard output: {error.strerror}") from None
    return SUCCESS


def _check_databases(wanted: Sequence[str], held: Sequence[str]) -> None:
    for name in wanted:
        if name not in held:
            shown = ", ".join(map(printable, held)) or "none"
            raise UsageError(f"database {printable(name)!r} is not in the snapshot; it holds: {shown}")


def _wanted(arguments: argparse.Namespace) -> "Wanted":
    from checking.archives import Wanted  # noqa: PLC0415 -- heavy libraries

    span = asked_span(arguments)
    check_patterns(arguments)
    names = [tuple(given) for given in (arguments.database, arguments.policy, arguments.measurement)]
    return Wanted(names[0], names[1], names[2], span)


_MANY = {"action": "append", "default": []}

ARCHIVE = Command(
    "archive",
    "list, verify and prune the snapshots of destination.archive, or print their points (cat)",
    (
        Option("action", {"choices": ("list", "verify", "prune", "cat"), "help": "what to do"}),
        CONFIG,
        SAMPLE,
        Option(
            "--source",
            {"action": "store_true", "help": "verify: compare the newest snapshot with the source, too"},
        ),
        Option("--yes", {"action": "store_true", "help": "prune: do it; without, what would go is shown"}),
        AT,
        Option("--database", {**_MANY, "metavar": "NAME", "help": "cat: a database (default: all)"}),
        Option("--policy", {**_MANY, "metavar": "NAME", "help": "cat: a retention policy (default: all)"}),
        Option("--measurement", {**_MANY, "metavar": "GLOB", "help": "cat: a name, a glob or a /regex/"}),
        Option("--start", {"type": parsed_start, "metavar": "TIME", "help": "cat: from when"}),
        Option("--end", {"type": parsed_end, "metavar": "TIME", "help": "cat: until when"}),
        JSON,
        *IGNORED[1:],
    ),
    _archive,
    on_bug=USAGE,
)
