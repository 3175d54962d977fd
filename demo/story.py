"""The demo's steps, in the order in which the owner of a table would take them, and what they show."""

import math
import shlex
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from demo import traffic
from demo.command import Command, Finished, run, started
from demo.deploy import Stack, deploy
from demo.embedded import EmbeddedAws
from demo.errors import DidNotHoldError
from demo.lag import Lag, measure
from demo.pair import INDEX, Pair, projected, wait_until

_CSV: Final = "data/logfile_stream.csv"
_ROWS: Final = 2000
_MEASURED: Final = 200
_UPDATED: Final = 300
_DELETED: Final = 300
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured. Seconds until equal count from the answer to the source's last write."""

    rows: int
    changes: int
    equal_after_load: float
    equal_after_changes: float
    lag: Lag
    quarantined: int


@dataclass(frozen=True, slots=True)
class Story:
    """What every step needs."""

    console: Console
    aws: EmbeddedAws
    stack: Stack
    pair: Pair

    def begin(self, step: str) -> None:
        """Open a step."""
        self.console.print(f"\n[bold]{step}[/]")

    def say(self, text: str, *, style: str = "") -> None:
        """Say one thing that was done or found."""
        self.console.print(f"  {text}", style=style, markup=False, highlight=False, soft_wrap=True)


def tell(aws: EmbeddedAws, console: Console) -> Figures:
    """Take all the steps. Raises DidNotHoldError at the first promise that does not hold."""
    story = _deploy(aws, console)
    equal_after_load = _load(story)
    lag = _measure_lag(story)
    equal_after_changes = _change(story)
    written, quarantined = _refuse(story)
    _prove(story)
    _query(story)
    changes = _ROWS + lag.items + _UPDATED + _DELETED + written
    return Figures(_ROWS, changes, equal_after_load, equal_after_changes, lag, quarantined)


def _deploy(aws: EmbeddedAws, console: Console) -> Story:
    console.print("\n[bold]Deploy template.yaml[/]")
    begun = time.monotonic()
    stack = deploy(aws)
    story = Story(console, aws, stack, Pair(aws.dynamodb, stack.source, stack.replica))
    seconds = time.monotonic() - begun
    story.say(f"{stack.resources} resources in {seconds:.1f} s; {stack.source} → {stack.replica}")
    return story


def _load(story: Story) -> float:
    story.begin(f"Load {_ROWS:,} rows into the source, and watch the replica")
    arguments = ["load", _CSV, "--source", story.pair.source]
    _show_command(story, arguments)
    with started(story.aws, *arguments) as loader:
        ended = _watch(story, loader)
        finished = loader.finish()
    _check_exit(arguments, finished)
    story.say(finished.last_line)
    story.pair.wait_until_equal()
    seconds = time.monotonic() - ended
    _check_count(story, _ROWS)
    story.say(
        f"The replica equals the source {seconds:.2f} s after the load, the function's cold start included."
    )
    return seconds


def _watch(story: Story, loader: Command) -> float:
    """Show both tables' counts until the loader has ended and they are the same; return when it ended."""
    columns = (TextColumn("  {task.description:16}"), BarColumn(40), MofNCompleteColumn())
    tables = (story.pair.source, story.pair.replica)
    with Progress(*columns, console=story.console) as progress:
        bars = {table: progress.add_task(table, total=_ROWS) for table in tables}
        ended = math.inf

        def caught_up() -> bool:
            nonlocal ended
            if not loader.is_running:
                ended = min(ended, time.monotonic())
            counts = {table: story.pair.count(table) for table in tables}
            for table, count in counts.items():
                progress.update(bars[table], completed=count)
            return ended < math.inf and len(set(counts.values())) == 1

        # Counting is work for the embedded AWS too: seldom enough that it does not slow what it counts.
        wait_until(caught_up, "The replica has as many items as the source", every=0.25)
    return ended


def _measure_lag(story: Story) -> Lag:
    story.begin(f"Measure the lag of {_MEASURED} changes, one by one")
    items = list(story.pair.items(story.pair.source).values())[:_MEASURED]
    lag = measure(story.pair, [traffic.touched(item) for item in items])
    story.say("From the source write's answer until a consistent read of the replica returns the change:")
    story.say(f"p50 / p95 / max: {milliseconds(lag)}")
    return lag


def _change(story: Story) -> float:
    story.begin(f"Update {_UPDATED} items and delete {_DELETED} others")
    keys = sorted(story.pair.items(story.pair.source))
    traffic.update(story.pair, keys[:_UPDATED])
    traffic.delete(story.pair, keys[_UPDATED : _UPDATED + _DELETED])
    ended = time.monotonic()
    story.pair.wait_until_equal()
    seconds = time.monotonic() - ended
    _check_count(story, _ROWS - _DELETED)
    story.say(
        f"The replica equals the source, {_ROWS - _DELETED:,} items, {seconds:.2f} s after the last change."
    )
    return seconds


def _check_count(story: Story, expected: int) -> None:
    count = story.pair.count(story.pair.replica)
    if count != expected:
        raise DidNotHoldError(f"The replica has {expected} items: it has {count}.")


def _refuse(story: Story) -> tuple[int, int]:
    """Return how many changes were written, and how many were quarantined."""
    story.begin("Write an item that the replica can never take, among ten that it can")
    pair = story.pair
    neighbours, poison, mended = traffic.neighbours_and_poison(next(iter(pair.items(pair.source).values())))
    key = poison["PK"]["S"]
    traffic.drop_source_index(pair)
    story.say(
        f"The source's {INDEX} is removed, so that it takes a number as GSI_1_PK; the replica's wants text."
    )
    traffic.write_together(pair, neighbours, poison)
    refused = traffic.wait_for_quarantine(story.aws.s3, story.stack.quarantine_bucket)
    if [found.key for found in refused] != [key]:
        raise DidNotHoldError(f"Only {key} is quarantined: {', '.join(found.key for found in refused)} are.")
    story.say(f"Quarantined: {key}, {refused[0].reason}")
    story.say(f"  s3://{story.stack.quarantine_bucket}/{refused[0].name}")
    pair.wait_until_equal(but_for=frozenset({key}))
    story.say(f"Its {len(neighbours)} neighbours are in the replica.")
    pair.dynamodb.put_item(TableName=pair.source, Item=mended)
    pair.wait_until_equal()
    story.say("The item is mended at the source, as its owner would, and now arrives as well.")
    return len(neighbours) + 2, len(refused)


def _prove(story: Story) -> None:
    story.begin("Prove that the two are equal")
    # The tables are provisioned with 10 reads a second, of which verify would take a quarter.
    tables = ["--source", story.pair.source, "--replica", story.pair.replica]
    arguments = ["verify", *tables, "--read-rate", "1000"]
    _show_command(story, arguments)
    finished = run(story.aws, *arguments)
    _check_exit(arguments, finished)
    for line in filter(None, finished.output.splitlines()):
        story.say(line)
    story.say(f"Exit code {finished.exit_code}")


def _query(story: Story) -> None:
    story.begin(f"Ask the replica's index {INDEX} for one host")
    source = story.pair.items(story.pair.source)
    host, _ = Counter(item["host"]["S"] for item in source.values()).most_common(1)[0]
    found = story.pair.query_index(host)
    expected = {key: projected(item) for key, item in source.items() if item["host"]["S"] == host}
    if found != expected:
        raise DidNotHoldError(
            f"{INDEX} has the source's {len(expected)} rows of {host}: it has {len(found)}."
        )
    for item in list(found.values())[:_SHOWN]:
        story.say(", ".join(f"{name} {next(iter(value.values()))}" for name, value in sorted(item.items())))
    story.say(f"{len(found)} rows of {host}, the same as at the source.")


def _check_exit(arguments: list[str], finished: Finished) -> None:
    if finished.exit_code:
        raise DidNotHoldError(
            f"`ddbreplica {arguments[0]}` succeeds: it ended with {finished.exit_code}.\n{finished.output}"
        )


def _show_command(story: Story, arguments: list[str]) -> None:
    story.say(f"$ ddbreplica {shlex.join(arguments)}", style="cyan")


def milliseconds(lag: Lag) -> str:
    """The lag's three figures, for reading."""
    return f"{lag.p50 * 1000:.0f} / {lag.p95 * 1000:.0f} / {lag.max * 1000:.0f} ms"
