"""Archiving, pruning and restoring are killed at random moments: no snapshot is untrue, the next run goes on."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.harness import fresh, lines, slow
from tests.faults.rounds import Rounds
from tests.integration.archives import Archived
from tests.integration.harness import ROOT, Pair, snapshot
from tests.support.reader import difference

LONGEST = 4.0
"""Seconds within which the tool is killed; a run of this little data takes about as long."""


def kill(job: Path, chance: random.Random, *arguments: str) -> None:
    """Begin a command, and kill it at a random moment, with all of its processes."""
    command = [sys.executable, "main.py", *arguments, "--config", str(job)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as tool:
        time.sleep(chance.uniform(0.5, LONGEST))
        tool.send_signal(signal.SIGKILL)
        output, _ = tool.communicate()
    assert "Traceback" not in output


def test_kill_9_of_archiving_pruning_and_restoring(pair: Pair, rounds: Rounds) -> None:
    """After each, every snapshot that is there is whole; in the end all of it comes back."""
    for number in rounds.of("kill -9 of archiving, pruning and restoring", 100):
        chance = random.Random(number)
        with fresh(pair, number) as round_:
            archived = Archived(round_)
            text = lines(400)
            round_.write(text[: len(text) // 2].rsplit("\n", 1)[0])
            job = archived.job({**slow(), "archive": {"keep": {"last": 1}, "grace": "1ns"}})
            kill(job, chance, "run", "--once")
            round_.write(text)
            kill(job, chance, "run", "--once")
            if archived.snapshots():
                assert archived.json("archive", "verify")["result"] == "whole"
                kill(job, chance, "archive", "prune", "--yes")
            assert "ok" in archived.main("run", "--once").stdout
            assert archived.json("archive", "verify", "--source")["changed_parts"] == 0
            kill(job, chance, "restore", "--from", "archive", "--yes", "--to", round_.destination.url)
            found = archived.restored("--existing", "fill")
            assert not difference(snapshot(round_.source, round_.database), found, names=("source", "restored"))
            archived.main("archive", "prune", "--yes")
            assert archived.json("archive", "verify")["result"] == "whole"
            assert len(archived.snapshots()) == 1
