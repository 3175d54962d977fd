"""The `ddbreplica` command as a process to kill: with small pages, which it notes, and a second for late writes."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ddbreplica_cli import backfill, backfilling
from ddbreplica_cli.app import main
from ddbreplica_cli.backfilling import Page, Scan
from ddbreplica_cli.journal import FileJournal

PAGE = 20


class _NotedScan(Scan):
    """Writes down how many items each page had, before anything is done about them."""

    def pages(self, part: str, after: Any) -> Iterator[Page]:
        for page in super().pages(part, after):
            with Path("scanned").open("a") as file:
                file.write(f"{len(page.keys)}\n")
            yield page


if __name__ == "__main__":
    patched: Any = backfill
    patched.Scan = _NotedScan
    patched.FileJournal = partial(FileJournal, late_seconds=1)
    backfilling.PAGE = PAGE
    main(sys.argv[1:], prog_name="ddbreplica")
