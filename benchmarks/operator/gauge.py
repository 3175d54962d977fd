"""`python -m benchmarks.operator.gauge PROGRAM…`: run a Python module, and print measurements as JSON.

Linux counts the memory of the starting process as that of the started one, so this process uses very little.
"""

import json
import os
import subprocess
import sys
import time

_BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024


def main() -> int:
    """Print seconds, CPU seconds (all threads) and peak memory in bytes. The output of the program goes to stderr."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *sys.argv[1:]], stdout=sys.stderr)  # noqa: S603  our own
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = {
        "seconds": time.perf_counter() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss * _BYTES_OF_MAXRSS,
    }
    print(json.dumps(took))  # noqa: T201  its result
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
