"""One truth: what a run warns of is the same in its log, on the page, in status, health and metrics."""

import os
import urllib.error
import urllib.request

from tests.integration.daemon import running, wait_until
from tests.integration.harness import Pair, run_main, write_job
from tests.support.servers import free_port


def test_a_warning_is_amber_everywhere_and_fails_nothing(pair: Pair) -> None:
    """Log, /healthz, /api/status, /metrics, the page, `status`, `health`."""
    pair.write("cpu v=1 1")
    sections = {
        "measurements": {"include": ["cpu", "memm"]},
        "options": {"max_lag": "1d", "incremental": {"schedule": "0 0 1 1 *", "run_on_start": True}},
    }
    write_job(pair.directory / "jobs", pair.config(sections))
    address, health = f"127.0.0.1:{free_port()}", pair.directory / "health.json"
    with running(
        pair.directory / "jobs", pair.directory, "--http", address, BACKUP_HEALTH_FILE=str(health)
    ) as daemon:
        daemon.wait_for("run ended")
        assert ": ok, 2 warnings" in daemon.log
        assert daemon.log.count("WARNING [job]") == 2
        wait_until(lambda: "fine, with warnings" in _get(address, "healthz"), "warnings at /healthz", daemon)
        assert '"status": "warning"' in _get(address, "api/status")
        assert 'influxdb_backup_warnings{backup_job="job"} 2.0' in _get(address, "metrics")
        assert f'source_stale{{backup_job="job",database="{pair.database}"}} 1.0' in _get(address, "metrics")
        page = _get(address, "")
        assert "The only job" not in page
        assert "Idle, with warnings" in page
        told = run_main("status", "--http", address)
        assert told.returncode == 0
        assert "WARNING job:" in told.stdout
        environ = {**os.environ, "BACKUP_HEALTH_FILE": str(health)}
        wait_until(lambda: "with warnings" in run_main("health", environ=environ).stdout, "amber health", daemon)
        assert run_main("health", environ=environ).returncode == 0


def _get(address: str, path: str) -> str:
    """What it says, also while it does not know the job yet."""
    try:
        with urllib.request.urlopen(f"http://{address}/{path}") as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())
