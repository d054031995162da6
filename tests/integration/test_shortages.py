"""Too few files or processes for all jobs: those that could not be started are named, all others run."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.integration.daemon import Held, running
from tests.integration.harness import MONDAY, ROOT, Pair, run_main, write_job


def jobs(pair: Pair, count: int) -> Path:
    """A folder of jobs, each of which copies the measurement into a database of its own."""
    folder = pair.directory / "jobs"
    for number in range(count):
        config = pair.config({"options": {"parallel_workers": 1, "retries": 0}})
        config["source"]["databases"] = [{"name": pair.database, "destination": f"{pair.database}_{number}"}]
        write_job(folder, config, f"j{number:02}")
    return folder


def limited(limit: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`python main.py ...` under a limit of the shell's."""
    command = ["bash", "-c", f'{limit}; exec "$0" main.py "$@"', sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def test_jobs_for_which_there_are_too_few_files_wait_for_others_or_are_named(pair: Pair) -> None:
    """No traceback; what could run has run, and every other job is a failure by its name."""
    pair.write(f"m v=1 {MONDAY}")
    folder = jobs(pair, 30)
    done = limited("ulimit -n 64", "--config", folder)
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    assert "bug" not in output
    results = {line.split()[0]: line for line in done.stdout.splitlines() if re.match(r"j\d\d ", line)}
    assert set(results) >= {f"j{number:02}" for number in range(30)}
    assert all(line.endswith("ok") or "FAILED" in line for line in results.values())
    assert done.returncode == int(any("FAILED" in line for line in results.values()))
    assert "Too many open files" in output
    for number in range(30):
        there = pair.destination.rows("SELECT count(v) FROM m", db=f"{pair.database}_{number}")
        assert bool(there) == results[f"j{number:02}"].endswith("ok")
        pair.destination.drop_database(f"{pair.database}_{number}")


def test_with_too_few_files_for_any_worker_each_job_fails_by_name(pair: Pair) -> None:
    """After some attempts, with what to raise."""
    pair.write(f"m v=1 {MONDAY}")
    folder = jobs(pair, 2)
    done = limited("ulimit -n 13", "--config", folder)
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    assert "Traceback" not in output
    for name in ("j00", "j01"):
        assert re.search(rf"{name} .*FAILED", done.stdout), output
    assert "ulimit -n" in output


def test_a_scheduled_job_is_started_as_soon_as_it_can_be(pair: Pair, tmp_path: Path) -> None:
    """The daemon lives on without it, says so, and tries again."""
    pair.write(f"m v=1 {MONDAY}")
    held = Held(tmp_path)
    times, hooks = {"schedule": "0 0 1 1 *", "run_on_start": True}, {"before": held.hook}
    write_job(tmp_path / "jobs", pair.config({"options": {"incremental": times, "hooks": hooks}}))
    with running(tmp_path / "jobs", tmp_path) as daemon:
        daemon.wait_for("options.hooks.before")
        resource_limit(daemon.process.pid, 10)
        (worker,) = daemon.workers()
        os.kill(worker, 9)
        held.let_go()
        daemon.wait_for("could not be started", count=2)
        resource_limit(daemon.process.pid, 1024)
        daemon.wait_for("run ended")
        assert daemon.stop()[0] == 0
    assert run_main("verify", "--config", tmp_path / "jobs").returncode == 0


def resource_limit(pid: int, files: int) -> None:
    """How many files a process may open from now on."""
    import resource

    resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, 1024))
