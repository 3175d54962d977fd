"""The state files that interrupted commands left → what to know before the two tables are called equal."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ddbreplica.aws.clock import time_after
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.errors import TaskError
from ddbreplica.reconcile.journal import left_in


def leftovers(
    connection: Connection, source: Described, replica: Described, *, states: Mapping[str, Path]
) -> Iterator[str]:
    """Return what a task that changes nothing has to report of the clock, and of writes that may still arrive.

    `states` has the path at which each command, by its name, would have left its state file.
    """
    if fast := connection.clock.fast:
        yield f"Note: {fast}. Set it before anything is repaired."
    yield from _in_doubt(connection, states, identity(source, replica))


def _in_doubt(connection: Connection, states: Mapping[str, Path], tables: Mapping[str, str]) -> Iterator[str]:
    for command, path in states.items():
        if not path.exists():
            continue
        try:
            left = left_in(path, command=command, clock=connection.clock)
        except TaskError:  # which the command itself will report
            continue
        if left.held and tables.items() <= left.identity.items():
            yield (
                f"Note: {path} is the state of a {command} that is running or was interrupted. Until"
                f" {time_after(left.seconds)} its writes may still change {left.held:,} items of the replica;"
                " run that command again after that time."
            )
