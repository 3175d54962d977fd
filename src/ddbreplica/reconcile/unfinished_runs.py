"""Report writes of interrupted commands that may still land, before the two tables are compared."""

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
    """Return notes for a task that changes nothing: of a fast clock, and of writes that may still land.

    `states` maps the name of each command to the path of its state file.
    """
    if fast := connection.clock.fast:
        yield f"Note: {fast}. Set the clock before you repair anything."
    yield from _in_doubt(connection, states, identity(source, replica))


def _in_doubt(connection: Connection, states: Mapping[str, Path], tables: Mapping[str, str]) -> Iterator[str]:
    for command, path in states.items():
        if not path.exists():
            continue
        try:
            left = left_in(path, command=command, clock=connection.clock)
        except TaskError:  # the command reports it itself
            continue
        if left.held and tables.items() <= left.identity.items():
            yield (
                f"Note: {path} is the state file of a `ddbreplica {command}` that is running or was interrupted. Until"
                f" {time_after(left.seconds)} its writes may still change {left.held:,} items of the replica. Run it"
                " again after that time."
            )
