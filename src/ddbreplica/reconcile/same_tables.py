"""Notice that a table was recreated while a command works on it.

A recreated table has the same name and ARN, and none of the items: to reconcile a key with it would delete the
replica's item.
"""

from collections.abc import Callable
from threading import Lock

from ddbreplica.aws.clock import Clock
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe_pair, identity
from ddbreplica.errors import TaskError

SECONDS = 5.0
"""How often the tables are described at most. DynamoDB takes longer than this to delete and create a table."""


def refuse_recreated(
    before: tuple[Described, Described], now: tuple[Described, Described], *, hint: str
) -> None:
    """Raise TaskError if a table was recreated between the two descriptions."""
    was = identity(*before)
    for name, each in identity(*now).items():
        if was[name] != each:
            raise TaskError(
                f"the {name} was recreated meanwhile: it was {was[name]}, and is {each}.", hint=hint
            )


class SameTables:
    """Makes sure that two tables are still those that were described. Several threads may use it at once."""

    def __init__(
        self,
        tables: tuple[Described, Described],
        describe: Callable[[], tuple[Described, Described]],
        clock: Clock,
    ) -> None:
        """Take the tables as they were described just now."""
        self._tables = tables
        self._describe = describe
        self._clock = clock
        self._checked_at = clock.ticks()
        self._lock = Lock()

    @classmethod
    def of(cls, connection: Connection) -> "SameTables":
        """Describe the tables of a connection. Raises TaskError as `describe_pair` does."""
        return cls(describe_pair(connection), lambda: describe_pair(connection), connection.clock)

    def check(self) -> None:
        """Raise TaskError if a table was recreated. Tables that were described SECONDS ago are not described again."""
        with self._lock:
            if self._clock.ticks() - self._checked_at < SECONDS:
                return
            refuse_recreated(
                self._tables,
                self._describe(),
                hint="remove the state file, and run the command again.",
            )
            # Not before: after an error, no thread goes on.
            self._checked_at = self._clock.ticks()
