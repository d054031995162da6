"""A restore is killed in its middle: the same command goes on, and brings everything back."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.harness import (
    MINUTES,
    POINTS_A_MINUTE,
    assert_nothing_invented,
    fresh,
    lines,
    points_written,
    slow,
)
from tests.faults.rounds import Rounds
from tests.integration.harness import ROOT, Pair, run_main, snapshot, write_job
from tests.support import waiting
from tests.support.reader import difference


def test_kill_9_of_a_restore(pair: Pair, rounds: Rounds) -> None:
    """Once or twice, at random moments, into an empty server or into opposite halves."""
    for number in rounds.of("kill -9 of a restore", 50):
        chance = random.Random(number)
        with fresh(pair, number) as round_:
            round_.write(lines())
            assert round_.backup().failures == ()
            expected = snapshot(round_.source, round_.database)
            round_.source.drop_database(round_.database)
            mode = chance.choice(["refuse", "fill", "overwrite"])
            if mode != "refuse":
                round_.source.create_database(round_.database)
                round_.source.write("\n".join(lines().splitlines()[number % 2 :: 2]), round_.database)
            job = write_job(round_.directory, round_.config(slow()))
            for _ in range(chance.choice([1, 2])):
                _kill(round_, job, mode, chance)
                assert_nothing_invented(snapshot(round_.source, round_.database), expected)
            done = run_main("restore", "--config", job, "--yes", "--existing", mode)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "Traceback" not in done.stderr
            found = snapshot(round_.source, round_.database)
            assert not difference(expected, found, names=("before", "restored"))
            assert list((round_.directory / "quarantine" / ".restoring").glob("*.json")) == []


def _kill(pair: Pair, job: Path, mode: str, chance: random.Random) -> None:
    """Begin the restore, and kill it when the target has taken a random part."""
    command = [sys.executable, "main.py", "restore", "--config", str(job), "--yes", "--existing", mode]
    before = points_written(pair.source)
    most = int(chance.uniform(0.0, 0.4) * MINUTES * POINTS_A_MINUTE / 2)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as tool:
        waiting.wait_until(
            lambda: points_written(pair.source) - before > most or tool.poll() is not None,
            f"{most} points",
            progress=lambda: points_written(pair.source),
        )
        time.sleep(chance.uniform(0, 0.05))
        tool.send_signal(signal.SIGKILL)
        output, _ = tool.communicate()
    assert "Traceback" not in output
