"""`python -m benchmarks.workers`."""

import sys

from benchmarks.workers.command import main

if __name__ == "__main__":
    sys.exit(main())
