"""`python -m benchmarks`."""

import sys

if __name__ == "__main__":
    # Imported here, since every process of a run imports this module, and the contestants must not load what only
    # the first process needs.
    from benchmarks.command import main

    sys.exit(main())
