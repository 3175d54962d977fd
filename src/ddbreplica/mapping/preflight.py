"""Find out before a command starts: the mapping, its filter, and whether the replica is an archive.

An archive is a replica to which TTL deletes are not replicated. An item that the source lacks may have expired there,
and then the archive has to keep it.
"""

from dataclasses import dataclass

from ddbreplica.aws.request import Unknown, known
from ddbreplica.driver import Note
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described
from ddbreplica.mapping.event_source_mapping import TAG, MappingState
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.mapping.lookup import find_mapping, functions_without_tag, latest_stream
from ddbreplica.mapping.safeguards import archive_warning, pause_note, refuse_unrepairable


@dataclass(frozen=True, slots=True)
class Preflight:
    """The mapping, the keys that it replicates, and whether the replica `is_archive`; `unseen` is why it is unknown."""

    mapping: MappingState | None
    key_filter: KeyFilter
    is_archive: bool
    unseen: str | None = None

    @classmethod
    def of_job(cls, mapping: MappingState, *, without_mapping: bool, archive: bool) -> "Preflight":
        """Return the preflight of a job of the mapping's function. Raises TaskError as `on` does."""
        if without_mapping:
            return cls(mapping, EVERY_KEY, archive or not mapping.replicates_ttl_deletes)
        return cls.on(mapping, archive=archive)

    @classmethod
    def on(cls, mapping: MappingState, *, archive: bool) -> "Preflight":
        """Return the preflight of a mapping. Raises TaskError if its filter looks at more than keys."""
        # The option cannot turn an archive into a plain replica: a repair would delete what has expired.
        return cls(mapping, mapping.key_filter, archive or not mapping.replicates_ttl_deletes)

    def warn_of_replicas(self, source: Described, *, note: Note) -> None:
        """Warn if the replica is an archive of a global table: items that expire in another Region are deleted."""
        if self.is_archive and source.replicas:
            note(f"Warning: {archive_warning(source.side.short_name, source.replicas)}.")


def to_repair(connection: Connection, *, without_mapping: bool, archive: bool, note: Note) -> Preflight:
    """Return the preflight of a repair. Raises TaskError if no mapping replicates later changes."""
    if without_mapping:
        return despite(connection, archive=archive, note=note)
    mapping = refuse_unrepairable(find_mapping(connection, latest_stream(connection)))
    if message := pause_note(mapping):
        note(message)
    return Preflight.on(mapping, archive=archive)


def to_compare(connection: Connection, *, without_mapping: bool, archive: bool, note: Note) -> Preflight:
    """Return the preflight of a comparison, with what can be read; a comparison needs none of it."""
    if without_mapping:
        return despite(connection, archive=archive, note=note)
    mapping = known(lambda: find_mapping(connection, latest_stream(connection)))
    if isinstance(mapping, Unknown):
        return Preflight(None, EVERY_KEY, archive, unseen=mapping.why)
    return Preflight.on(mapping, archive=archive) if mapping else Preflight(None, EVERY_KEY, archive)


def despite(connection: Connection, *, archive: bool, note: Note) -> Preflight:
    """Return the preflight of a command with --without-mapping.

    A mapping that can be read still decides whether the replica is an archive, from which nothing may be deleted.
    """
    stream = known(lambda: latest_stream(connection))
    seen = stream if isinstance(stream, Unknown) else known(lambda: find_mapping(connection, stream))
    mapping = None if isinstance(seen, Unknown) else seen
    if mapping is None and stream and not (archive or isinstance(stream, Unknown)):
        _note_unread(connection, stream, note)
    return Preflight(
        mapping, EVERY_KEY, archive or (mapping is not None and not mapping.replicates_ttl_deletes)
    )


def _note_unread(connection: Connection, stream: str, note: Note) -> None:
    """Warn of functions that may keep the replica as an archive: a repair would delete expired items from it."""
    unread = known(lambda: functions_without_tag(connection, stream))
    if not isinstance(unread, Unknown) and unread:
        note(
            f"Warning: functions without the tag {TAG} read the source's stream: {', '.join(unread)}. If one of them"
            " keeps the replica as an archive, add --archive."
        )
