"""What distribution itself costs: the `devops` data in 20 measurements, without Dask and by workers here."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench import data
from bench.cases import QUICK, SETTINGS, Options, Pair
from bench.measure import Run, cpu_seconds, proportional_set_size, run_tool, settle, watched
from bench.report import Record
from tests.integration.harness import write_job
from tests.support.cluster import Cluster
from tests.support.servers import InfluxServer

MEASUREMENTS = 20
WORKERS = (1, 2, 4)
ALONE = "without Dask"


@dataclass(frozen=True)
class Dask:
    """CPU is that of daemon, scheduler and workers; `pss` is the memory of scheduler and workers at the end."""

    name: str = "dask"

    def measure(self, options: Options) -> Iterator[Record]:
        """Each arm with fresh workers, who have copied a little before."""
        rows = data.devops(QUICK if options.quick else 1, measurements=MEASUREMENTS)
        with (
            InfluxServer.start("source", settings=SETTINGS) as source,
            InfluxServer.start("destination", settings=SETTINGS) as destination,
        ):
            pair = Pair(source, destination, options.directory)
            pair.load(rows)
            repeats = options.repeats(3)
            runs = [self._run(pair, rows, 0, options) for _ in range(repeats)]
            yield Record(self.name, 1, ALONE, rows.rows, rows.values, tuple(runs))
            for count in WORKERS:
                found = tuple(self._run(pair, rows, count, options) for _ in range(repeats))
                yield Record(self.name, 1, f"workers: {count}", rows.rows, rows.values, found)

    def _run(self, pair: Pair, rows: data.DataSet, count: int, options: Options) -> Run:
        if not count:
            run = self._copied(pair, rows)
        else:
            with Cluster(options.directory / "cluster") as cluster:
                for _ in range(count):
                    cluster.start_worker(pair.destination.url)
                cluster.wait_for_workers()
                pids = [process.process.pid for process in (cluster.scheduler, *cluster.workers)]
                self._copied(pair, rows, cluster)  # each has loaded what it needs
                before = sum(map(cpu_seconds, pids))
                run = self._copied(pair, rows, cluster)
                run["cpu"] += sum(map(cpu_seconds, pids)) - before
                run["pss"] = sum(map(proportional_set_size, pids))
        pair.assert_equal(rows)
        options.say(f"dask: {count} workers: {run['seconds']:.1f} s, {run['cpu']:.1f} CPU s")
        return run

    def _copied(self, pair: Pair, rows: data.DataSet, cluster: Cluster | None = None) -> Run:
        pair.destination.drop_database(rows.name)
        settle(*pair.servers)
        path = write_job(pair.directory, pair.job(rows.name, distribute=cluster.address if cluster else ""))
        with watched(*pair.servers) as run:
            run.update(run_tool("--once", "--config", path))
        return run


DASK = Dask()
