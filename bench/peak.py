"""Runs a command and prints the peak memory of its largest process: `python -m bench.peak COMMAND ...`."""

import resource
import subprocess
import sys

if __name__ == "__main__":
    code = subprocess.run(sys.argv[1:], check=False).returncode
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    sys.stdout.write(f"peak memory of the largest process: {peak} MB\n")
    raise SystemExit(code)
