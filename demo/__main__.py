"""`python -m demo [--keep]`: exit code 0 if each check succeeds, 1 if one fails, 128 or more on a signal."""

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
from demo.story import Figures, run_steps

_WIDTH_OF_A_FILE: Final = 110


def main() -> int:
    """Run the demo on an embedded AWS, and stop that at the end unless `--keep` is set."""
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
        message = "\n".join([str(error), *getattr(error, "__notes__", ())])
        console.print("\n[bold red]A check failed.[/]", escape(message), soft_wrap=True)
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
        "--keep", action="store_true", help="leave the embedded AWS running, and show how to stop it"
    )
    return parser.parse_args()


def _leave(number: int, _frame: FrameType | None) -> None:
    # The exception lets every open `with` block stop what it has started.
    raise SystemExit(128 + number)


def _run(console: Console, *, keep: bool) -> None:
    begun = time.monotonic()
    with embedded_aws(keep=keep) as aws:
        console.print(f"The embedded AWS at {aws.endpoint_url} started in {time.monotonic() - begun:.1f} s.")
        try:
            figures = run_steps(aws, console)
        except DemoError as error:
            error.add_note(f"The last warnings of the embedded AWS:\n{aws.complaints()}")
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
    table.add_row("Changes, including the load", f"{figures.changes:,}")
    table.add_row("Until equal, after the load", f"{figures.equal_after_load:.2f} s")
    table.add_row("Until equal, after updates and deletes", f"{figures.equal_after_changes:.2f} s")
    table.add_row("Lag of one change, p50 / p95 / max", milliseconds(figures.lag))
    table.add_row("Quarantined and redriven", str(figures.redriven))
    table.add_row("Edited by hand, found, repaired", str(figures.repaired))
    table.add_row("Backfill of an existing table", f"{adopted.seconds:.2f} s")
    table.add_row("Writes during the backfill, deletes", f"{adopted.written:,}, {adopted.deleted:,}")
    table.add_row("Duration of the demo", f"{seconds:.1f} s")
    if set_up := os.environ.get("DDBREPLICA_SETUP_SECONDS"):
        table.add_row("Setup before the demo", f"{set_up} s")
    return table


def _how_to_use(aws: EmbeddedAws) -> str:
    return f"""
The embedded AWS keeps running, and stops {KEPT_SECONDS / 60:.0f} minutes after its start. To explore it:
  . {aws.write_settings()}    # its credentials; only you can read the file
  .venv/bin/ddbreplica status --stack-name ddbreplica --endpoint-url {aws.endpoint_url}
  aws dynamodb scan --table-name logfile_replica --max-items 2 --endpoint-url {aws.endpoint_url}
  tail -f {aws.log}
To stop it earlier:
  kill -KILL -- -{aws.pid}; rm -r {aws.home}"""


if __name__ == "__main__":
    sys.exit(main())
