"""What a restore from a server costs, beside the copy that filled it."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench import data
from bench.cases import Arm, Case, Copies, Copy, Pair
from bench.data import DataSet
from bench.measure import Run, run_tool, watched
from tests.integration.harness import write_job


@dataclass(frozen=True)
class Restore:
    """`main.py restore` from the copy back into a source that has lost the database; its verification included."""

    rows: DataSet
    name: str = "restore"

    def prepare(self, pair: Pair) -> None:
        """Let the copy be whole, and the source be empty."""
        run_tool("--once", "--config", write_job(pair.directory, pair.job(self.rows.name)))
        pair.source.drop_database(self.rows.name)

    def run(self, pair: Pair) -> Run:
        """Restore; raises BenchError where both sides differ then."""
        with watched(*pair.servers) as run:
            path = write_job(pair.directory, pair.job(self.rows.name))
            run.update(run_tool("restore", "--yes", "--config", path))
        pair.assert_equal(self.rows)
        return run


def _back(scale: float) -> Sequence[Arm]:
    rows = data.devops(scale)
    return [Copy(rows), Restore(rows)]


RESTORES: Sequence[Case] = (Copies("restore", _back, {1: 3, 10: 1}),)
