"""The state files that interrupted commands left → what to know before the two tables are called equal."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ddbreplica.aws.clock import time_after
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.reconcile.journal import COMMANDS, left_in
from ddbreplica.reconcile.state import default_path
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.errors import CommandError


def print_leftovers(connection: Connection, source: Described, replica: Described) -> None:
    """Print what a command that changes nothing has to say of the clock, and of writes that may still land."""
    if fast := connection.clock.fast:
        output.print_note(f"Note: {fast}. Set it before anything is repaired.")
    states = {command: default_path(connection, command) for command in COMMANDS}
    for note in _in_doubt(connection, states, identity(source, replica)):
        output.print_note(note)


def _in_doubt(connection: Connection, states: Mapping[str, Path], tables: Mapping[str, str]) -> Iterator[str]:
    for command, path in states.items():
        if not path.exists():
            continue
        try:
            left = left_in(path, command=command, clock=connection.clock)
        except CommandError:  # which the command itself will report
            continue
        if left.held and tables.items() <= left.identity.items():
            yield (
                f"Note: {path} is the state of a {command} that is running or was interrupted. Until"
                f" {time_after(left.seconds)} its writes may still change {left.held:,} items of the replica;"
                " run that command again after that time."
            )
