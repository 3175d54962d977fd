"""What looks at a key show: whether the tables were equal, and which of the two items changed. Pure."""

from dataclasses import dataclass

from ddbreplica.records.compare import fingerprint

_ABSENT = fingerprint(None)


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at a key: the source before and after the replica, as fingerprints, since items may be large."""

    source: bytes
    replica: bytes
    source_changed: bool
    is_equal: bool
    is_archived: bool

    @classmethod
    def of(cls, before: bytes, replica: bytes, after: bytes, *, is_archive: bool) -> "Sight":
        """Compare the three states. The replica is equal if it has either state of the source."""
        return cls(
            source=after,
            replica=replica,
            source_changed=before != after,
            is_equal=replica in (before, after),
            is_archived=is_archive and after == _ABSENT != replica,
        )

    @property
    def is_suspect(self) -> bool:
        """Whether the key still looks different."""
        return not self.is_equal and not self.is_archived


@dataclass(slots=True)
class Seen:
    """What a watch has shown of a key that was unequal at every look.

    `source_changed` and `replica_changed` are about the last round. `followed` counts the rounds in which both changed.
    `seconds` is the time between the first and the last look of the last round.
    """

    source: bytes = b""
    replica: bytes = b""
    source_changed: bool = False
    replica_changed: bool = False
    followed: int = 0
    seconds: float = 0.0

    def begin_round(self) -> None:
        """Forget the last round, except the replica's item: a change of it between two rounds counts."""
        self.source = b""
        self.source_changed = self.replica_changed = False

    def add(self, sight: Sight) -> None:
        """Add a look."""
        self.source_changed |= sight.source_changed or self.source not in (b"", sight.source)
        self.replica_changed |= self.replica not in (b"", sight.replica)
        self.source, self.replica = sight.source, sight.replica

    def end_round(self, *, has_record: bool) -> None:
        """Note whether the stream has a record of the key, from between the first and the last look."""
        self.source_changed |= has_record
        self.followed += self.source_changed and self.replica_changed
