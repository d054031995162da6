"""The tool as a daemon in its container: schedule, health, lost servers, and being stopped."""

import time

from tests.containers.harness import DATABASE, Backup, Field, attempt, docker, wait_until
from tests.integration.harness import snapshot

SECOND = 10**9
START = 10**18
EVERY_MINUTE = {"incremental": {"schedule": "* * * * *"}, "initial_connection_retry_delay": 1}
AT_ONCE = {"incremental": {"schedule": "* * * * *", "run_on_start": True}, "initial_connection_retry_delay": 1}


def points(first: int, number: int, measurement: str = "m") -> str:
    """Lines of two series, one point a second from second `first` on."""
    return "\n".join(
        f"{measurement},host=h{i % 2} value={i}.5,count={i}i {START + i * SECOND}"
        for i in range(first, first + number)
    )


def wait_for_health(backup: Backup, wanted: str) -> None:
    """Wait for what the engine says of the container."""
    wait_until(
        lambda: backup.state("State.Health.Status") == wanted,
        lambda: backup.state("State.Health") + backup.log[-3000:],
    )


def test_a_scheduled_job_copies_every_minute_and_survives_the_loss_of_a_server(field: Field) -> None:
    """Healthy at first; the destination goes and comes back; nothing is missing afterwards; the log is whole."""
    field.write(points(0, 1_000))
    with field.daemon(field.job(EVERY_MINUTE)) as backup:
        field.wait_until_equal(backup)
        wait_for_health(backup, "healthy")
        status = docker("exec", backup.id, "python", "main.py", "status")
        assert status.splitlines()[5].split()[:2] == [DATABASE, "idle"]
        assert docker("exec", backup.id, "id", "-u") != "0"
        assert docker("exec", backup.id, "sh", "-c", "touch /app/x 2>/dev/null || echo read-only") == "read-only"

        field.destination.stop()
        field.write(points(1_000, 1_000))
        wait_for_health(backup, "unhealthy")
        assert backup.state("State.Running") == "true"
        asked = attempt("exec", backup.id, "python", "main.py", "status")
        assert (asked.returncode, f"FAILING {DATABASE}" in asked.stdout) == (1, True)

        field.destination.restart()
        field.wait_until_equal(backup)
        wait_for_health(backup, "healthy")

        seconds, code = backup.stop()
        assert (code, seconds < 10) == (0, True), backup.log[-3000:]
        assert "Traceback" not in backup.log
    assert field.read_logs().count("\n") > 3


def test_a_container_that_is_stopped_while_it_copies_loses_no_batch(field: Field) -> None:
    """It ends in time with exit code 0; what arrived is whole up to a time; the next run adds the rest."""
    for first in range(0, 600_000, 50_000):
        field.write(points(first, 50_000))
    folder = field.job({**AT_ONCE, "days_of_pagination": 0.1, "parallel_workers": 1})
    with field.daemon(folder) as backup:
        wait_until(lambda: field.count(field.destination) > 0, lambda: backup.log[-3000:])
        seconds, code = backup.stop()
        assert (code, seconds < 10) == (0, True), backup.log[-3000:]
    assert_whole_up_to_its_newest_point(field)
    done = field.run(folder, "run", "--once")
    assert done.returncode == 0, done.stderr
    assert not field.difference()


def assert_whole_up_to_its_newest_point(field: Field) -> None:
    """The destination has part of the source, and up to its newest time all of it."""
    expected, found = (snapshot(server, DATABASE).points for server in (field.source, field.destination))
    assert 0 < len(found) < len(expected), "the stop came too early or too late to prove anything"
    newest = max(key[-1] for key in found)
    older = {key: value for key, value in expected.items() if key[-1] < newest}
    assert older.items() <= found.items() <= expected.items()


def test_a_container_that_is_stopped_while_it_waits_ends_at_once(field: Field) -> None:
    """Neither the schedule nor a server that is not there holds it up."""
    field.source.stop()
    with field.daemon(field.job(AT_ONCE)) as backup:
        wait_until(lambda: "source" in backup.log, lambda: backup.log)
        time.sleep(1)
        seconds, code = backup.stop()
        assert (code, seconds < 10) == (0, True), backup.log[-3000:]
