"""What a person reads on a terminal, and a program from a pipe: short, in order, each thing once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import HOUR, MONDAY, ROOT, WEEK, Pair, run_main, write_job
from tests.support.proxy import Proxy, delay
from tests.support.terminal import Terminal

SECTIONS = {"options": {"incremental": {"schedule": "0 3 * * *", "timezone": "Europe/Berlin"}}}


@contextmanager
def on_terminal(*arguments: str | Path, columns: int = 120) -> Iterator[Terminal]:
    """`main.py` on a terminal."""
    terminal = Terminal([sys.executable, "main.py", *map(str, arguments)], ROOT, columns=columns)
    try:
        yield terminal
    finally:
        terminal.close()


def shown(*arguments: str | Path, columns: int = 120) -> tuple[int, list[str]]:
    """Exit code, and all lines of the terminal that hold something."""
    with on_terminal(*arguments, columns=columns) as terminal:
        code = terminal.finish()
        return code, [line for line in terminal.everything if line]


def weeks(pair: Pair, count: int = 8, *, per_week: int = 500) -> None:
    """Two measurements of several shard groups, copied."""
    for name in ("cpu", "mem"):
        for week in range(count):
            begin = MONDAY + week * WEEK
            pair.write("\n".join(f"{name},h=h{i % 5} v={i}i {begin + i * HOUR // 10}" for i in range(per_week)))
    assert pair.backup().failures == ()


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(
    "command", ["run", "check", "verify", "restore", "drill", "archive list", "notify --test"]
)
def test_problems_of_a_file_stand_one_below_the_other_on_a_terminal(
    command: str, columns: int, tmp_path: Path
) -> None:
    """No line end is shown as two characters."""
    path = write_job(tmp_path, {"source": {"url": "http://a", "port": 1}, "options": {"retires": 3}})
    code, lines = shown(*command.split(), "--config", path, columns=columns)
    assert code == (1 if command in ("run", "check", "notify --test") else 2)
    text = "\n".join(lines)
    assert "\\n" not in text
    for begin in ("  source.port: ", "  options.retires: ", "  destination.url: "):
        assert any(line.startswith(begin) for line in lines), text


def test_problems_of_a_file_stand_one_below_the_other_in_a_pipe(tmp_path: Path) -> None:
    """Below one line of the log, which has the time; names of keys cannot forge another."""
    text = 'source: {url: http://a, "x\\n2026-01-01T00:00:00.000Z INFO    [main] all is well": 1}\n'
    (tmp_path / "job.yaml").write_text(text)
    done = run_main("check", "--config", tmp_path)
    first, *below = done.stderr.splitlines()
    assert first.endswith(f"ERROR   [main] {tmp_path}/job.yaml: {len(below)} problems")
    assert len(below) > 1
    assert all(line.startswith("  ") for line in below)


def test_what_is_hardly_meant_is_a_warning_and_no_failure(pair: Pair) -> None:
    """Before the run, with the file and the key."""
    pair.write(f"m v=1 {MONDAY}")
    path = write_job(pair.directory, pair.config({"source": {"prefix": "$PREFIX"}}))
    done = run_main("--config", path)
    assert done.returncode == 0
    assert f"WARNING [main] {path}: source.prefix: $PREFIX is taken as it stands; write ${{PREFIX}}" in done.stderr
    pair.destination.drop_database(f"$PREFIX{pair.database}")


# ---------------------------------------------------------------- run


def test_failures_are_told_once_on_a_terminal_and_in_both_places_when_they_are_apart(pair: Pair) -> None:
    """The log has them when they happen; a report in a file of its own has them, too."""
    pair.write(f"m v=1 {MONDAY}\nfine v=1 {MONDAY}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m v=1i {MONDAY}", pair.database)
    path = write_job(pair.directory, pair.config(), "nightly")
    code, lines = shown("--config", path, columns=200)
    assert code == 1
    assert "".join(lines).count("1 line refused and put aside") == 1
    assert "FAILED nightly: 1 failure, told in the log above" in lines
    done = run_main("--config", path)
    assert "FAILED nightly: copy " in done.stdout
    assert "ERROR" in done.stderr


def test_the_summary_tells_how_far_each_database_is_behind(pair: Pair) -> None:
    """By the newest point that both sides have."""
    pair.write(f"m v=1 {MONDAY}")
    done = run_main("--json", "--config", write_job(pair.directory, pair.config(), "nightly"))
    (database,) = json.loads(done.stdout)["jobs"][0]["databases"]
    assert database["lag"] > 300 * 86_400
    assert f"LAG nightly: {pair.database} " in run_main("--config", pair.directory / "nightly.yaml").stdout
    dates = {"backup_mode": "range", "range": {"start_date": "2024-01-01", "end_date": "2024-02-01"}}
    done = run_main("--config", write_job(pair.directory, pair.config({"options": dates}), "range"))
    assert "LAG" not in done.stdout


# ---------------------------------------------------------------- check


def test_check_tells_sums_the_time_it_takes_and_what_runs_when(pair: Pair) -> None:
    """For each job, and for all of them; as JSON too."""
    pair.write("\n".join(f"cpu,h=h{i % 3} v={i} {MONDAY + i * HOUR}" for i in range(3_000)))
    pair.write(f"one v=1 {MONDAY}")
    jobs = pair.directory / "jobs"
    write_job(jobs, pair.config(SECTIONS), "nightly")
    dates = {"backup_mode": "range", "range": {"start_date": "2024-01-01", "end_date": "2024-01-02"}}
    write_job(jobs, pair.config({"options": dates, "source": {"prefix": "other_"}}), "once")
    done = run_main("check", "--config", jobs)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in (
        "one: 1 field, about 1 point from",
        "in all: 1 database, 2 measurements, about 3,001 points, roughly ",
        "runs on a schedule, 0 3 * * *; next run: ",
        "runs once, whenever it is started: it has no schedule",
        "2 jobs: 2 databases, 4 measurements, about 3,026 points, roughly ",
        "; 1 runs once; 1 runs on a schedule",
    ):
        assert part in done.stdout
    document = json.loads(run_main("check", "--json", "--config", jobs).stdout)
    assert [(job["job"], job["points"]) for job in document["jobs"]] == [("nightly", 3_001), ("once", 25)]
    assert all(job["seconds"] is not None for job in document["jobs"])


# ---------------------------------------------------------------- verify, repair


def test_equal_measurements_are_one_line(pair: Pair) -> None:
    """All of them for who asks; a difference is always named."""
    weeks(pair)
    path = write_job(pair.directory, pair.config())
    done = run_main("verify", "--config", path)
    assert "  2 of 2 measurements equal\n" in done.stdout
    assert "autogen" not in done.stdout
    assert f"{pair.database}.autogen.mem " in run_main("verify", "--verbose", "--config", path).stdout
    pair.destination.query("DELETE FROM mem", db=pair.database)
    done = run_main("verify", "--config", path)
    assert (done.returncode, "  1 of 2 measurements equal\n" in done.stdout) == (1, True)
    assert f"{pair.database}.autogen.mem" in done.stdout
    assert f"{pair.database}.autogen.cpu" not in done.stdout


def test_nothing_to_compare_is_not_followed_by_no_difference_found(pair: Pair) -> None:
    """The words of the first line are the only ones."""
    pair.source.create_database(pair.database)
    done = run_main("verify", "--config", write_job(pair.directory, pair.config()))
    assert done.returncode == 2
    assert "nothing to compare" in done.stdout
    assert "no difference found" not in done.stdout


def slow(pair: Pair, proxy: Proxy, seconds: float) -> Path:
    """A job whose every answer of the source takes a while."""
    proxy.inject(delay(response=seconds), "query", first=8, count=None)
    config: dict[str, Any] = pair.config({"options": {"parallel_workers": 1}})
    config["source"]["url"] = proxy.url
    return write_job(pair.directory, config, "prod")


@pytest.mark.parametrize("columns", [80, 120])
def test_a_full_comparison_shows_how_far_it_is_on_a_terminal(columns: int, pair: Pair) -> None:
    """In one line, which grows and then is gone; the result stands alone."""
    weeks(pair, 12)
    with Proxy(pair.source.url) as proxy:
        path = slow(pair, proxy, 0.1)
        with on_terminal("verify", "--full", "--config", path, columns=columns) as terminal:
            assert terminal.finish() == 0
    lives = [line for screen in terminal.seen for line in screen if line.startswith("prod  comparing")]
    shares = [int(line.split("%")[0].split()[-1]) for line in lives if "%" in line]
    assert shares == sorted(shares)
    assert len(set(shares)) > 3
    assert any(line.endswith(" left") for line in lives)
    assert max(map(len, lives)) < columns
    first, *rest = [line for line in terminal.everything if line]
    assert first.startswith("prod: every value from ")
    assert rest[-1] == "  equal: 12,000 values"
    assert not any(line.startswith("prod  ") for line in rest)
    assert terminal.shows_cursor


def test_a_proof_of_an_archive_shows_how_far_it_is_on_a_terminal(pair: Pair) -> None:
    """As a comparison of servers does; the result stands alone."""
    weeks(pair, 12)
    place = {"destination": {"archive": str(pair.directory / "archive")}}
    assert pair.backup(place).failures == ()
    with Proxy(pair.source.url) as proxy:
        proxy.inject(delay(response=0.1), "query", first=4, count=None)
        config: dict[str, Any] = pair.config(place)
        config["source"]["url"] = proxy.url
        path = write_job(pair.directory, config, "job")
        with on_terminal("archive", "verify", "--source", "--config", path, columns=160) as terminal:
            assert terminal.finish() == 0
    lives = [
        line for screen in terminal.seen for line in screen if line.startswith("job  comparing with the source")
    ]
    shares = [int(line.split("%")[0].split()[-1]) for line in lives if "%" in line]
    assert shares == sorted(shares)
    assert len(set(shares)) > 3
    assert any(line.endswith(" left") for line in lives)
    first, *rest = [line for line in terminal.everything if line]
    assert first.startswith("job: whole; 1 snapshot, read 24 of 24 files, 12,000 points, ")
    assert len(rest) == 1
    assert terminal.shows_cursor


def test_elsewhere_a_comparison_logs_how_far_it_is(pair: Pair) -> None:
    """Now and then, with the time left; standard output has the result only."""
    weeks(pair, 12)
    program = "import main, checking.progress; checking.progress.LINE_EVERY = 0.5; raise SystemExit(main.main())"
    with Proxy(pair.source.url) as proxy:
        path = slow(pair, proxy, 0.1)
        command = [sys.executable, "-c", program, "verify", "--full", "--config", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "prod: comparing, " in line]
    assert any(line.endswith(" left") and "values read" in line for line in lines), done.stderr
    assert done.stdout.startswith("prod: every value from ")


def test_a_repair_ends_with_what_it_did(pair: Pair) -> None:
    """Values brought and corrected, extra ones that stay; the table stands there once."""
    weeks(pair, 12)
    pair.destination.query("DELETE FROM mem", db=pair.database)
    pair.destination.write(f"cpu,h=h0 v=-1i {MONDAY}\ncpu,h=new v=7i {MONDAY + WEEK}", pair.database)
    path = write_job(pair.directory, pair.config(), "prod")
    assert run_main("verify", "--full", "--config", path).returncode == 1
    done = run_main("repair", "--full", "--yes", "--config", path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "prod: repaired 6,001 values; 1 extra value stays"
    assert done.stdout.count("  measurement ") == 1
    done = run_main("repair", "--full", "--yes", "--config", path)
    assert "repair copies these" not in done.stdout
