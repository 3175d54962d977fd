"""The `ddbreplica` command as a process to kill: with small pages, which it notes, and a second for late writes."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ddbreplica_cli import backfilling, copying
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
    patched: Any = copying
    for name, own in {"Scan": _NotedScan, "FileJournal": partial(FileJournal, late_seconds=1)}.items():
        assert hasattr(patched, name), (
            f"{name} is used elsewhere by now: the command would wait for 15 minutes"
        )
        setattr(patched, name, own)
    backfilling.PAGE = PAGE
    main(sys.argv[1:], prog_name="ddbreplica")
