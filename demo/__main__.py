"""`python -m demo [--keep]`: exit code 0 if everything held, 1 if not, 128 and more on a signal."""

import argparse
import os
import signal
import sys
import time
from types import FrameType
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.console import console_on
from demo.embedded import KEPT_SECONDS, EmbeddedAws, embedded_aws
from demo.errors import DemoError
from demo.replicating import milliseconds
from demo.story import Figures, tell

_WIDTH_OF_A_FILE: Final = 110


def main() -> int:
    """Run the demo on an embedded AWS, which is gone afterwards unless `--keep` asks for it."""
    with output.escaping():
        keep = _arguments().keep
        for ending in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, _leave)
        return _main(keep=keep)


def _main(*, keep: bool) -> int:
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    console = console_on(sys.stdout, width=width, highlight=False)
    try:
        _run(console, keep=keep)
    except (DemoError, BotoCoreError, ClientError) as error:
        told = "\n".join([str(error), *getattr(error, "__notes__", ())])
        console.print("\n[bold red]Did not hold.[/]", escape(told), soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; the embedded AWS is stopped.")
        return 128 + signal.SIGINT
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="Replicate a table on an embedded AWS."
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the embedded AWS running, and say how to stop it"
    )
    return parser.parse_args()


def _leave(number: int, _frame: FrameType | None) -> None:
    # An exception, so that every `with` block on the way out stops what it has started.
    raise SystemExit(128 + number)


def _run(console: Console, *, keep: bool) -> None:
    begun = time.monotonic()
    with embedded_aws(keep=keep) as aws:
        console.print(f"An embedded AWS came up at {aws.endpoint_url} in {time.monotonic() - begun:.1f} s.")
        try:
            figures = tell(aws, console)
        except DemoError as error:
            error.add_note(f"What the embedded AWS complained of last:\n{aws.complaints()}")
            raise
        console.print()
        console.print(_summary(figures, seconds=time.monotonic() - begun))
        console.print("[bold green]Everything held.[/]")
        if keep:
            console.print(_how_to_use(aws), soft_wrap=True)


def _summary(figures: Figures, *, seconds: float) -> Table:
    adopted = figures.adopted
    table = Table("Measured", "", box=SIMPLE)
    table.add_row("Rows loaded", f"{figures.rows:,}")
    table.add_row("Changes, the load included", f"{figures.changes:,}")
    table.add_row("Until equal, after the load", f"{figures.equal_after_load:.2f} s")
    table.add_row("Until equal, after updates and deletes", f"{figures.equal_after_changes:.2f} s")
    table.add_row("Lag of one change, p50 / p95 / max", milliseconds(figures.lag))
    table.add_row("Quarantined, mended, redriven", str(figures.redriven))
    table.add_row("Edited in the replica, found, repaired", str(figures.repaired))
    table.add_row("Backfill of a table in use", f"{adopted.seconds:.2f} s")
    table.add_row("Written meanwhile, deletes among them", f"{adopted.written:,}, {adopted.deleted:,}")
    table.add_row("The demo", f"{seconds:.1f} s")
    if set_up := os.environ.get("DDBREPLICA_SETUP_SECONDS"):
        table.add_row("Before it, setting up", f"{set_up} s")
    return table


def _how_to_use(aws: EmbeddedAws) -> str:
    return f"""
The embedded AWS keeps running, and ends by itself {KEPT_SECONDS / 60:.0f} minutes after it was started. To look around:
  . {aws.write_settings()}    # its credentials, which nobody else can read
  .venv/bin/ddbreplica status --stack-name ddbreplica --endpoint-url {aws.endpoint_url}
  aws dynamodb scan --table-name logfile_replica --max-items 2 --endpoint-url {aws.endpoint_url}
  tail -f {aws.log}
To stop it before:
  kill -KILL -- -{aws.pid}; rm -r {aws.home}"""


if __name__ == "__main__":
    sys.exit(main())
