"""The real main job: a folder of YAML files, one process each, a summary, an honest exit code."""

import re

from tests.integration.harness import DAY, MONDAY, Pair, job_config, run_main, snapshot, write_job
from tests.support.reader import difference


def test_several_files_are_several_jobs_and_one_summary(pair: Pair) -> None:
    """A range job and an incremental one run side by side; each arrives whole, and the table says so."""
    lines = [f"cpu,host=h{h} v={i}.5,n={i}i {MONDAY + i * DAY // 24}" for i in range(500) for h in range(3)]
    pair.write("\n".join(lines))
    jobs = pair.directory / "jobs"
    other = f"{pair.database}_range"
    dates = {"start_date": "2024-01-01", "end_date": "2024-01-03"}
    sections = {"options": {"backup_mode": "range", "range": dates}}
    write_job(jobs, pair.config(), "all")
    write_job(jobs, job_config(pair.source, pair.destination, {pair.database: other}, sections), "two-days")
    write_job(jobs, {"nonsense": 1}, "never.template")
    try:
        done = run_main("--config", jobs)
        assert done.returncode == 0, done.stderr
        table = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
        assert table["all"][1:5] == ["1", "1", "1,500", "3,000"]
        assert table["two-days"][1:5] == ["1", "1", "144", "288"]
        assert table["all"][-1] == table["two-days"][-1] == "ok"
        assert "never" not in done.stdout + done.stderr
        pair.assert_equal(points=3000)
        expected = snapshot(pair.source, pair.database)
        two_days = type(expected)({at: v for at, v in expected.points.items() if at[4] < MONDAY + 2 * DAY})
        assert difference(two_days, snapshot(pair.destination, other)) == ""
    finally:
        pair.destination.drop_database(other)


def test_a_failed_job_is_named_below_the_table(pair: Pair) -> None:
    """One line for each failure, with database, policy and measurement."""
    pair.write(f"m v=1 {MONDAY}\nfine v=1 {MONDAY}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m v=1i {MONDAY}", pair.database)
    done = run_main("--config", write_job(pair.directory, pair.config(), "nightly"))
    assert done.returncode == 1
    (failure,) = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert failure.startswith(f"FAILED nightly: copy {pair.database}.autogen.m: 1 line refused")
    row = next(line for line in done.stdout.splitlines() if line.startswith("nightly"))
    assert row.endswith("FAILED")


def test_a_schedule_is_ignored_with_once(pair: Pair) -> None:
    """`--once` runs the job now and ends."""
    pair.write(f"m v=1 {MONDAY}")
    sections = {"options": {"incremental": {"schedule": "0 0 1 1 *"}}}
    done = run_main("--once", "--config", write_job(pair.directory, pair.config(sections)))
    assert done.returncode == 0, done.stderr
    pair.assert_equal(points=1)


def test_log_lines_carry_utc_time_level_and_job(pair: Pair) -> None:
    """One line per event, on standard error; the table alone is on standard output."""
    pair.write(f"m v=1 {MONDAY}")
    done = run_main("--config", write_job(pair.directory, pair.config(), "nightly"))
    lines = done.stderr.splitlines()
    assert lines
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) +\[\w+\] ", line), line
    assert all("nightly" in line or "[main]" in line for line in lines)
