"""Runs a command and tells what it took: `python -m bench.peak [--json FILE] COMMAND ...`.

A process of its own, and a small one: the peak memory that the system remembers of a child begins with that of the
process that it was forked from.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write seconds, CPU seconds and peak bytes there, print nothing")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    begun = time.monotonic()
    code = subprocess.run(options.command, check=False).returncode
    seconds = time.monotonic() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the command and of all that it has waited for
    if options.json:
        found = {"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024}
        options.json.write_text(json.dumps(found))
    else:
        sys.stdout.write(f"peak memory of the largest process: {used.ru_maxrss // 1024} MB\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
