"""What the confirmation asks the source's stream: which keys have changed."""

from collections.abc import Collection, Container
from typing import Protocol

from ddbreplica.aws.request import Unknown
from ddbreplica.model import Key


class Witness(Protocol):
    """The source's stream, as the witness of changes. One thread at a time calls it.

    Looks at moments cannot prove that an item did not change between them. A record of the stream can.
    """

    def begin(self) -> None:
        """Remember the present end of every shard. `changed` counts the records that follow the last call of this."""
        ...

    def keep_up(self, watched: Container[Key]) -> Unknown | None:
        """Read what has arrived meanwhile. Call it during a long watch, since an iterator expires after 15 minutes.

        Returns Unknown, with the reason, if `changed` will do so.
        """
        ...

    def changed(self, watched: Container[Key]) -> frozenset[Key] | Unknown:
        """Read to the present end, and return the watched keys with a record since `begin`.

        Returns Unknown, with the reason, if the stream cannot be read, has a gap, or takes too many requests.
        """
        ...

    def silent(self, keys: Collection[Key]) -> frozenset[Key] | Unknown:
        """Read all streams of the source of the last 24 hours, and return the keys of which they have no record.

        Returns Unknown, with the reason, if not all records can be read in 200 requests. If the source had no stream
        in this time, all keys are returned.
        """
        ...
