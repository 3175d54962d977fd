"""`python -m benchmarks`."""

import sys

if __name__ == "__main__":
    # Imported here, since every process of a run imports this module: what only the first one needs is no load on
    # the contestants.
    from benchmarks.command import main

    sys.exit(main())
