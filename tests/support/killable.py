"""Run `ddbreplica` as a process to kill, with small pages, which it logs, and one second for late writes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ddbreplica.aws import clock
from ddbreplica.backfill import job, listing
from ddbreplica.backfill.listing import KeyPage
from ddbreplica.backfill.pages import Scan
from ddbreplica.reconcile import journal_format
from ddbreplica_cli.app import main

PAGE = 20


class _NotedScan(Scan):
    """Logs the number of items of each page before the page is processed."""

    def pages(self, part: str, after: Any) -> Iterator[KeyPage]:
        for page in super().pages(part, after):
            with Path("scanned").open("a") as file:
                file.write(f"{len(page.keys)}\n")
            yield page


if __name__ == "__main__":
    for module, name, own in (
        (job, "Scan", _NotedScan),
        (journal_format, "UNKNOWN_HOLD_SECONDS", 1.0),
        (clock, "UNKNOWN_HOLD_SECONDS", 1.0),
        (clock, "EXPIRY_SECONDS", 1.0),
        (clock, "MARGIN_SECONDS", 0.0),
    ):
        assert hasattr(module, name), (
            f"{module.__name__} has no {name}: without the change the command would wait for 15 minutes"
        )
        setattr(module, name, own)
    listing.PAGE = PAGE
    main(sys.argv[1:], prog_name="ddbreplica")
