"""A run that was killed during a write: its state file, and the write, which may still land.

`exhaustive/test_cli_signals.py` tests that a real kill leaves this state.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

from ddbreplica.aws.clock import Clock
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe_pair, identity
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica_cli.terminal.options import Options
from tests.support.cli import REPLICA, SOURCE, Tables


class Killed:
    """A killed command that was writing some items of the source."""

    def __init__(self, command: str, tables: Tables, *pks: str) -> None:
        self._tables = tables
        states = tables.items(SOURCE)
        self._writes: list[Any] = [
            {"PutRequest": {"Item": states[pk]}}
            if pk in states
            else {"DeleteRequest": {"Key": {"PK": {"S": pk}}}}
            for pk in pks
        ]
        silent: Any = dict.fromkeys(Options.__dataclass_fields__)
        connection = Connection(Options(**{**silent, "as_json": False}))
        path = Path(f"{SOURCE}-{REPLICA}.{command}")
        with closing(FileJournal.at(path, command=command, clock=Clock())) as journal:
            journal.resume(identity(*describe_pair(connection)))
            journal.intend([(("PK", "S", pk),) for pk in pks])

    def land(self) -> None:
        """Perform the writes that were in progress."""
        self._tables.client.batch_write_item(RequestItems={REPLICA: self._writes})
