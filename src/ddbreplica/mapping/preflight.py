"""The connection, and what was asked for → what a command may rely on: the mapping, its filter, whether items outlive.

An archive is a replica to which TTL deletes are not replicated. There an absence at the source proves nothing.
"""

from dataclasses import dataclass

from ddbreplica.aws.request import Unknown, known
from ddbreplica.driver import Note
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described
from ddbreplica.mapping.event_source_mapping import TAG, MappingState
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.mapping.lookup import find_mapping, functions_without_tag, latest_stream
from ddbreplica.mapping.safeguards import archive_warning, pause, refuse_unrepairable


@dataclass(frozen=True, slots=True)
class Preflight:
    """The keys that the replica is to hold, and whether it `is_archive`; `unseen` is why nobody can say."""

    mapping: MappingState | None
    key_filter: KeyFilter
    is_archive: bool
    unseen: str | None = None

    @classmethod
    def on(cls, mapping: MappingState, *, archive: bool) -> "Preflight":
        """As the mapping says, or the user. Raises TaskError for a filter that is not one of keys."""
        return cls(mapping, mapping.key_filter, archive or not mapping.replicates_ttl_deletes)

    def warn_of_replicas(self, source: Described, *, note: Note) -> None:
        """Warn if the replica is an archive of a global table, which loses what expires in another Region."""
        if self.is_archive and source.replicas:
            note(f"Warning: {archive_warning(source.side.short_name, source.replicas)}.")


def to_repair(connection: Connection, *, without_mapping: bool, archive: bool, note: Note) -> Preflight:
    """Raise TaskError where healing would not last, unless it has to do `without_mapping`."""
    if without_mapping:
        return despite(connection, archive=archive, note=note)
    mapping = refuse_unrepairable(find_mapping(connection, latest_stream(connection)))
    if said := pause(mapping):
        note(said)
    return Preflight.on(mapping, archive=archive)


def to_compare(connection: Connection, *, without_mapping: bool, archive: bool, note: Note) -> Preflight:
    """Whatever can be seen; comparing needs none of it."""
    if without_mapping:
        return despite(connection, archive=archive, note=note)
    mapping = known(lambda: find_mapping(connection, latest_stream(connection)))
    if isinstance(mapping, Unknown):
        return Preflight(None, EVERY_KEY, archive, unseen=mapping.why)
    return Preflight.on(mapping, archive=archive) if mapping else Preflight(None, EVERY_KEY, archive)


def despite(connection: Connection, *, archive: bool, note: Note) -> Preflight:
    """As if there were no mapping; but what one that can be seen says of an archive holds, lest it be deleted from."""
    stream = known(lambda: latest_stream(connection))
    seen = stream if isinstance(stream, Unknown) else known(lambda: find_mapping(connection, stream))
    mapping = None if isinstance(seen, Unknown) else seen
    if mapping is None and stream and not (archive or isinstance(stream, Unknown)):
        _note_unread(connection, stream, note)
    return Preflight(
        mapping, EVERY_KEY, archive or (mapping is not None and not mapping.replicates_ttl_deletes)
    )


def _note_unread(connection: Connection, stream: str, note: Note) -> None:
    """Say which functions may keep the replica as an archive, from which what has expired would be deleted."""
    unread = known(lambda: functions_without_tag(connection, stream))
    if not isinstance(unread, Unknown) and unread:
        note(
            f"Warning: functions without the tag {TAG} read the source's stream, and what they do is not known:"
            f" {', '.join(unread)}. If one of them keeps the replica as an archive, add --archive."
        )
