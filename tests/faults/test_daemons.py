"""The same job started twice by mistake: two writers at the same points do no harm."""

import signal

from tests.faults.harness import ended, fresh, lines, slow
from tests.faults.rounds import Rounds
from tests.integration.daemon import running
from tests.integration.harness import Pair, write_job
from tests.support.proxy import Gate, Proxy
from tests.support.waiting import HANG


def test_two_daemons_on_one_pair(pair: Pair, rounds: Rounds) -> None:
    """Both create, copy and finish, neither with a failure nor a traceback, and both sides are equal."""
    scheduled = {"schedule": "0 0 1 1 *", "run_on_start": True}
    for number in rounds.of("two daemons with the same job", 10):
        with fresh(pair, number) as round_:
            round_.write(lines(1000))
            jobs, other = round_.directory / "jobs", round_.directory / "other"
            other.mkdir()
            gate = Gate()
            with Proxy(round_.destination.url) as proxy:
                proxy.inject(gate, "write", count=None)
                sections = slow(incremental=scheduled, timeout_client=HANG)
                write_job(jobs, round_.config({**sections, "destination": {"url": proxy.url}}))
                with running(jobs, round_.directory) as first, running(jobs, other) as second:
                    for daemon in (first, second):
                        daemon.wait_for(" from http")
                    gate.open()
                    for daemon in (first, second):
                        daemon.wait_for(" run ended")
                    _assert_at_once(first.log, second.log)
                    for daemon in (first, second):
                        assert ": ok" in daemon.log, daemon.log
                        daemon.send(signal.SIGTERM)
                        assert ended(daemon).code == 0, daemon.log
            round_.assert_equal()


def _assert_at_once(*logs: str) -> None:
    """Each began before the other ended: lines begin with their times, which sort as texts."""
    begun = max(_time_of(log, " from http") for log in logs)
    over = min(_time_of(log, " run ended") for log in logs)
    assert begun < over, "the daemons did not copy at the same time"


def _time_of(log: str, text: str) -> str:
    return next(line.split()[0] for line in log.splitlines() if text in line)
