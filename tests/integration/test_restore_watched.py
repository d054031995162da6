"""A restore beside a daemon: it is shown like a run, and one that was given up is amber until it is done."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from tests.integration.daemon import running, wait_until
from tests.integration.harness import MONDAY, ROOT, Pair, run_main, write_job
from tests.support.servers import free_port

MINUTE = 60 * 10**9


def test_the_page_shows_a_restore_and_that_it_was_stopped(pair: Pair) -> None:
    """With /healthz, /metrics and `status`; the same command goes on, and all is fine again."""
    pair.write("\n".join(f"cpu,host=a v={n}.5 {MONDAY + n * MINUTE}" for n in range(2000)))
    slow = {"days_of_pagination": 0.006, "parallel_workers": 1}
    times = {"schedule": "0 0 1 1 *", "run_on_start": True}
    job = write_job(pair.directory / "jobs", pair.config({"options": {**slow, "incremental": times}}))
    address, back = f"127.0.0.1:{free_port()}", f"{pair.database}_back"
    command = ["restore", "--config", str(job), "--database", f"{pair.database}:{back}", "--yes"]
    name = f"{back} to {pair.source.url}"
    with running(pair.directory / "jobs", pair.directory, "--http", address) as daemon:
        daemon.wait_for("run ended")
        with subprocess.Popen([sys.executable, "main.py", *command], cwd=ROOT, stdout=subprocess.DEVNULL) as tool:
            wait_until(lambda: f"Restoring {name}" in _get(address, ""), "the restore on the page", daemon)
            tool.send_signal(signal.SIGSTOP)  # so it cannot be done before it is told to end
            assert "Idle, restoring" in _get(address, "")
            assert f"restoring {name}" in run_main("status", "--http", address, "--config", job).stdout
            assert 'restores_incomplete{backup_job="job"} 1.0' in _get(address, "metrics")
            tool.send_signal(signal.SIGTERM)
            tool.send_signal(signal.SIGCONT)
        wait_until(lambda: "fine, with warnings" in _get(address, "healthz"), "an amber job", daemon)
        assert f"job: the restore of {name} was stopped, and the target is not complete" in _get(
            address, "healthz"
        )
        told = run_main("status", "--http", address, "--config", job).stdout
        assert told.count(f"restore of {name}") == 1
        (known,) = json.loads(_get(address, "api/status"))["jobs"]
        assert [(r["target"], r["is_running"]) for r in known["restores"]] == [(pair.source.url, False)]
        assert run_main(*command).returncode == 0
        complete = 'restores_incomplete{backup_job="job"} 0.0'
        wait_until(lambda: complete in _get(address, "metrics"), "a job without restores", daemon)
        assert _get(address, "healthz") == "fine\n"
    pair.source.drop_database(back)


def _get(address: str, path: str) -> str:
    """What it says, also while it does not know the job yet."""
    try:
        with urllib.request.urlopen(f"http://{address}/{path}") as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())
