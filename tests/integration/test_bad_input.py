"""A user's mistake gets a clear message, harms no other job, exits with 1, and is never a traceback."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import MONDAY, Pair, job_config, run_main, write_job

Change = Callable[[dict[str, Any]], None]


def _set(dotted: str, value: object) -> Change:
    def change(config: dict[str, Any]) -> None:
        *sections, last = dotted.split(".")
        for section in sections:
            config = config.setdefault(section, {})
        config[last] = value

    return change


def _same(config: dict[str, Any]) -> None:
    config["destination"]["url"] = config["source"]["url"]
    del config["source"]["databases"][0]["destination"]


RANGE = {"backup_mode": "range", "range": {"start_date": "2026-02-01", "end_date": "2026-01-01"}}

MISTAKES: dict[str, tuple[Change, list[str]]] = {
    "wrong type": (_set("options.retries", "many"), ["options.retries", "many"]),
    "unknown key": (_set("options.retires", 3), ["options.retires", "did you mean options.retries"]),
    "missing variable": (_set("source.password", "${NO_SUCH_VARIABLE}"), ["NO_SUCH_VARIABLE", "source.password"]),
    "source unreachable": (_set("source.url", "http://127.0.0.1:9"), ["source http://127.0.0.1:9", "refused"]),
    "destination unreachable": (
        _set("destination.url", "http://127.0.0.1:9"),
        ["destination http://127.0.0.1:9", "refused"],
    ),
    "no such host": (_set("source.url", "http://no-such-host.invalid:8086"), ["no-such-host.invalid"]),
    "unknown database": (_set("source.databases", [{"name": "nope"}]), ["nope", "the source has"]),
    "source is the destination": (_same, ["onto itself"]),
    "end before start": (_set("options", RANGE), ["options.range.end_date", "not after"]),
    "bad cron": (_set("options.incremental.schedule", "61 * * * *"), ["options.incremental.schedule", "61"]),
    "bad regex": (_set("measurements.include", ["/(/"]), ["measurements.include[0]", "/(/"]),
}


def test_a_url_without_a_port_gets_the_usual_one_suggested(pair: Pair) -> None:
    """Where nothing listens at port 80, or something else does."""
    pair.write(f"m v=1 {MONDAY}")
    config = pair.config({"source": {"url": "http://127.0.0.2"}, "options": {"retries": 0}})
    done = run_main("--config", write_job(pair.directory, config))
    assert done.returncode == 1
    assert "the url names no port, so that is port 80: did you mean http://127.0.0.2:8086?" in done.stdout
    config["source"]["url"] = "http://127.0.0.1:9"
    assert "names no port" not in run_main("--config", write_job(pair.directory, config)).stdout


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_one_job_is_named_and_leaves_the_other_alone(mistake: str, pair: Pair) -> None:
    """The good job of the folder still runs; the exit code says that not all is well."""
    change, named = MISTAKES[mistake]
    pair.write(f"m v=1 {MONDAY}")
    write_job(pair.directory / "jobs", pair.config({"options": {"retries": 0}}), "good")
    bad = job_config(
        pair.source, pair.destination, {pair.database: f"{pair.database}_bad"}, {"options": {"retries": 0}}
    )
    change(bad)
    write_job(pair.directory / "jobs", bad, "bad")
    done = run_main("--config", pair.directory / "jobs")
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in output
    for part in (*named, "bad"):
        assert part in output
    good = next(line for line in done.stdout.splitlines() if line.startswith("good"))
    assert good.endswith("ok")
    pair.assert_equal(points=1)


BROKEN_FILES = {
    "malformed": b"source:\n  url: [http://x\noptions: }",
    "empty": b"",
    "only comments": b"# nothing here\n",
    "a list": b"- a\n- b\n",
    "not UTF-8": b"source: \xff\xfe",
    "a tag that would run code": b'source: !!python/object/apply:os.system ["true"]',
    "two documents": b"source: {}\n---\nsource: {}\n",
}


@pytest.mark.parametrize("content", BROKEN_FILES.values(), ids=BROKEN_FILES)
def test_a_file_that_is_no_job_is_named(content: bytes, pair: Pair) -> None:
    """The message names the file; the good job runs."""
    pair.write(f"m v=1 {MONDAY}")
    jobs = pair.directory / "jobs"
    write_job(jobs, pair.config(), "good")
    (jobs / "broken.yaml").write_bytes(content)
    done = run_main("--config", jobs)
    assert done.returncode == 1
    assert "broken.yaml" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    pair.assert_equal(points=1)


def test_a_wrong_password_is_never_shown(pair: Pair) -> None:
    """Neither the log nor the summary holds a password, whatever fails."""
    config = pair.config({"source": {"url": "http://127.0.0.1:9", "user": "u", "password": "hush-hush"}})
    config["options"]["retries"] = 1
    done = run_main("--config", write_job(pair.directory, config))
    assert done.returncode == 1
    assert "hush-hush" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--config", "no/such/folder"], "no/such/folder does not exist"),
        (["--config", "EMPTY"], "no job in"),
        (["--unknown"], "unrecognized arguments"),
        (["nonsense"], "invalid choice"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], named: str, tmp_path: Path) -> None:
    """A folder without a job says how to make one."""
    (tmp_path / "x.template.yaml").write_text("source: {}")
    done = run_main(*(str(tmp_path) if a == "EMPTY" else a for a in arguments))
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_the_folder_comes_from_the_environment(pair: Pair) -> None:
    """BACKUP_CONFIG_DIR names it when the command line does not."""
    pair.write(f"m v=1 {MONDAY}")
    write_job(pair.directory / "jobs", pair.config())
    done = run_main(environ={**os.environ, "BACKUP_CONFIG_DIR": str(pair.directory / "jobs")})
    assert done.returncode == 0, done.stderr
    pair.assert_equal(points=1)
