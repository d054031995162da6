"""`_defaults.yaml`: what all jobs of a folder share, with real servers and a daemon."""

import json
import signal

from tests.integration.daemon import running
from tests.integration.harness import MONDAY, Pair, endpoint, run_main, write_job

SCHEDULE = {"schedule": "0 0 1 1 *", "run_on_start": True}


def write_files(pair: Pair, **options: object) -> None:
    """A job that names its database only, above what is shared."""
    shared = pair.config({"options": {"incremental": SCHEDULE, **options}})
    shared["source"] = endpoint(pair.source)
    write_job(pair.directory / "jobs", shared, "_defaults")
    write_job(pair.directory / "jobs", {"source": {"databases": [pair.database]}}, "short")


def test_a_job_of_one_line_runs_and_check_shows_where_its_values_come_from(pair: Pair) -> None:
    """The shared file is no job itself."""
    pair.write(f"m v=1 {MONDAY}")
    write_files(pair)
    jobs = pair.directory / "jobs"
    done = run_main("check", "--config", jobs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "job _defaults" not in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "from _defaults.yaml: " in line]
    for key in ("source.url", "destination.url", "options.incremental.schedule"):
        assert key in line
    assert "source.databases" not in line
    document = json.loads(run_main("check", "--json", "--config", jobs).stdout)
    assert "destination.url" in document["jobs"][0]["inherited"]
    done = run_main("--once", "--config", jobs)
    assert done.returncode == 0, done.stdout + done.stderr
    pair.assert_equal(points=1)
    done = run_main("check", "--config", jobs / "_defaults.yaml")
    assert done.returncode == 2
    assert "_defaults.yaml is no job" in done.stderr


def test_a_reload_starts_the_jobs_anew_whose_shared_values_have_changed(pair: Pair) -> None:
    """And a shared file that is broken leaves them as they are."""
    pair.write(f"m v=1 {MONDAY}")
    write_files(pair)
    jobs = pair.directory / "jobs"
    with running(jobs, pair.directory) as daemon:
        daemon.wait_for("next run")
        write_files(pair, parallel_workers=2)
        daemon.send(signal.SIGHUP)
        daemon.wait_for("job short: changed, restarting")
        daemon.wait_for("next run", count=2)
        (jobs / "_defaults.yaml").write_text("source: [")
        daemon.send(signal.SIGHUP)
        daemon.wait_for("_defaults.yaml: line 1, column 10: not well-formed YAML")
        assert daemon.stop()[0] == 1  # a file is invalid
    pair.assert_equal(points=1)


def test_a_password_that_others_may_read_is_found_in_the_shared_file_too(pair: Pair) -> None:
    """Once, whatever number of jobs shares it."""
    pair.write(f"m v=1 {MONDAY}")
    write_files(pair)
    jobs = pair.directory / "jobs"
    shared = (jobs / "_defaults.yaml").read_text().replace("destination:\n", "destination:\n  password: literal\n")
    (jobs / "_defaults.yaml").write_text(shared)
    (jobs / "_defaults.yaml").chmod(0o644)
    write_job(jobs, {"source": {"databases": [pair.database], "prefix": "other_"}}, "second")
    done = run_main("check", "--config", jobs)
    assert done.stderr.count("_defaults.yaml holds a password, and others may read the file") == 1
