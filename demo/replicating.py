"""Deploy the template, load and change rows, measure the lag, and compare the tables."""

import math
import time
from collections import Counter
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from demo import deploy as deployment
from demo import traffic
from demo.command import Command, started
from demo.embedded import EmbeddedAws
from demo.errors import DidNotHoldError
from demo.lag import Lag, measure
from demo.pair import INDEX, projected, wait_until
from demo.stage import FAST, Stage, check_exit

ROWS: Final = 2000

_CSV: Final = "data/logfile_stream.csv"
_MEASURED: Final = 200
_UPDATED: Final = 300
_DELETED: Final = 300
_SHOWN: Final = 3


def deploy(aws: EmbeddedAws, console: Console) -> Stage:
    """Create the stack with the default of each parameter."""
    console.print("\n[bold]Deploy template.yaml[/]")
    begun = time.monotonic()
    stage = Stage(console, aws, deployment.deploy(aws))
    seconds = time.monotonic() - begun
    stage.say(
        f"{stage.stack.resources} resources in {seconds:.1f} s; {stage.pair.source} → {stage.pair.replica}"
    )
    return stage


def load(stage: Stage) -> float:
    """Load the rows, and return the seconds until the replica equals the source."""
    stage.begin(f"Load {ROWS:,} rows into the source, and watch the replica")
    arguments = ["load", _CSV, "--stack-name", stage.stack.name]
    stage.show_command(*arguments)
    with started(stage.aws, *arguments) as loader:
        ended = _watch(stage, loader)
        finished = loader.finish()
    check_exit("load", finished)
    stage.say(finished.last_line)
    stage.pair.wait_until_equal()
    seconds = time.monotonic() - ended
    _check_count(stage, ROWS)
    stage.say(
        f"The replica equals the source {seconds:.2f} s after the load, including the function's cold start."
    )
    return seconds


def _watch(stage: Stage, loader: Command) -> float:
    """Show both tables' counts until the load has ended and they are equal. Return the time when it ended."""
    columns = (TextColumn("  {task.description:16}", markup=False), BarColumn(40), MofNCompleteColumn())
    tables = (stage.pair.source, stage.pair.replica)
    with Progress(*columns, console=stage.console) as progress:
        bars = {table: progress.add_task(table, total=ROWS) for table in tables}
        ended = math.inf

        def caught_up() -> bool:
            nonlocal ended
            if not loader.is_running:
                ended = min(ended, time.monotonic())
            counts = {table: stage.pair.count(table) for table in tables}
            for table, count in counts.items():
                progress.update(bars[table], completed=count)
            return ended < math.inf and len(set(counts.values())) == 1

        # A count is a scan: more of them would slow down the replication that they watch.
        wait_until(caught_up, "The replica has as many items as the source", every=0.25)
    return ended


def measure_lag(stage: Stage) -> Lag:
    """Change items one at a time, each after the one before was replicated, and return the lag."""
    stage.begin(f"Measure the lag of {_MEASURED} changes, one at a time")
    items = list(stage.pair.items(stage.pair.source).values())[:_MEASURED]
    lag = measure(stage.pair, [traffic.touched(item) for item in items])
    stage.say("From the response to a write to the source until a consistent read of the replica returns it:")
    stage.say(f"p50 / p95 / max: {milliseconds(lag)}")
    return lag


def change(stage: Stage) -> tuple[int, float]:
    """Update and delete items. Return how many, and the seconds until the replica equals the source."""
    stage.begin(f"Update {_UPDATED} items and delete {_DELETED} others")
    keys = sorted(stage.pair.items(stage.pair.source))
    traffic.update(stage.pair, keys[:_UPDATED])
    traffic.delete(stage.pair, keys[_UPDATED : _UPDATED + _DELETED])
    ended = time.monotonic()
    stage.pair.wait_until_equal()
    seconds = time.monotonic() - ended
    _check_count(stage, ROWS - _DELETED)
    stage.say(
        f"The replica equals the source {seconds:.2f} s after the last change: {ROWS - _DELETED:,} items."
    )
    return _UPDATED + _DELETED, seconds


def _check_count(stage: Stage, expected: int) -> None:
    count = stage.pair.count(stage.pair.replica)
    if count != expected:
        raise DidNotHoldError(f"The replica must have {expected} items, but it has {count}.")


def query(stage: Stage) -> None:
    """Query the replica's index, and compare the items with the source."""
    stage.begin(f"Query the replica's index {INDEX} for one host")
    source = stage.pair.items(stage.pair.source)
    host, _ = Counter(item["host"]["S"] for item in source.values()).most_common(1)[0]
    found = stage.pair.query_index(f"host#{host}")
    expected = {key: projected(item) for key, item in source.items() if item["host"]["S"] == host}
    if found != expected:
        raise DidNotHoldError(
            f"{INDEX} must have the source's {len(expected)} rows of {host}, but it has {len(found)}."
        )
    for item in list(found.values())[:_SHOWN]:
        stage.say(", ".join(f"{name} {next(iter(value.values()))}" for name, value in sorted(item.items())))
    stage.say(f"{len(found)} rows of {host}, as in the source.")


def prove(stage: Stage) -> None:
    """Compare both tables with `verify`."""
    stage.begin("Compare the tables")
    stage.run("verify", *FAST)


def milliseconds(lag: Lag) -> str:
    """Format the three figures of the lag."""
    return f"{lag.p50 * 1000:.0f} / {lag.p95 * 1000:.0f} / {lag.max * 1000:.0f} ms"
