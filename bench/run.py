"""The command line: `python -m bench.run [--quick] [--case NAME ...] [--repeat N] [--output FILE]`.

Starts servers of its own, prints a table for each case and one of the targets, and writes all numbers as JSON and
a plot for each case beside that. Run nothing else meanwhile.
"""

import argparse
import datetime as dt
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import archives
from bench.archives import ARCHIVES
from bench.cases import CASES, TARGETS, Case, Options
from bench.distributed import DASK
from bench.fleet import FLEET
from bench.measure import ROOT, BenchError
from bench.peers import PEERS
from bench.report import Record, Results, case_table, plot, target_table, to_json
from bench.restores import RESTORES
from tests.support.servers import find_influxd

RESULTS = Path(__file__).parent / "results"
USUAL = (*CASES, FLEET, DASK, *ARCHIVES, *RESTORES)
"""What is measured unless something is chosen."""
BUSY = 0.5
"""A load average from which on other programs are in the way."""


def say(text: str) -> None:
    """Tell how far it is, on standard error: the tables are for standard output."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def machine() -> dict[str, object]:
    """What the numbers were made on."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": _output("git", "describe", "--always", "--dirty"),
        "python": platform.python_version(),
        "influxd": _output(str(find_influxd()), "version"),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip()


def measure(cases: Sequence[Case], options: Options) -> tuple[list[Record], list[str]]:
    """The records of all cases, and what went wrong; the table of each is printed when it is done."""
    records: list[Record] = []
    failures = []
    for case in cases:
        load = os.getloadavg()[0]
        found: list[Record] = []
        try:
            found.extend(case.measure(options))
        except BenchError as error:
            failures.append(f"{case.name}: {error}")
        except KeyboardInterrupt:
            failures.append(f"{case.name}: interrupted")
            break
        finally:
            records += found
        for name in dict.fromkeys(record.case for record in found):
            table = case_table([record for record in found if record.case == name])
            sys.stdout.write(f"\n{name} (load average before: {load:.1f})\n{table}\n")
        sys.stdout.flush()
    return records, failures


def main() -> int:
    """Measure. Exit code 1 when a copy failed or both sides differ; slow is no failure."""
    names = [case.name for case in (*USUAL, PEERS)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, each once")
    parser.add_argument("--case", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--repeat", type=int, metavar="N", help="how often each arm runs in its main size")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: bench/results/<date>.json")
    arguments = parser.parse_args()

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: servers are closed, results written
    about = machine()
    if os.getloadavg()[0] > BUSY:
        say(f"the load average is {os.getloadavg()[0]:.1f}: other programs are running, times will tell little")
    output = arguments.output or RESULTS / f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M}.json"
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        options = Options(Path(directory), arguments.quick, arguments.repeat, say)
        chosen = [case for case in (*USUAL, PEERS) if case.name in arguments.case] if arguments.case else USUAL
        records, failures = measure(chosen, options)
    about |= {"quick": arguments.quick, "seconds": round(time.monotonic() - begun), "failures": failures}
    results = Results(records, about)
    verdicts = [target.verdict(results) for target in (*TARGETS, *archives.TARGETS)]
    quick = " (a tenth of the data: the targets are about all of it)" if arguments.quick else ""
    told = [verdict for verdict in verdicts if verdict.value is not None or not arguments.case]
    sys.stdout.write(f"\ntargets{quick}\n{target_table(told)}\n")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(to_json(results, verdicts))
    for name in dict.fromkeys(record.case for record in records if record.rows):
        plot([record for record in records if record.case == name], output.with_name(f"{output.stem}-{name}.svg"))
    say(f"{output}: {results.machine['seconds']} s in all{', FAILED: ' * bool(failures)}{', '.join(failures)}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
