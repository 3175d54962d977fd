"""Check that the replica table has the key of the source's records, and is not the source itself. Pure functions."""

from collections.abc import Iterable

from ddbreplica.errors import KeySchemaError, ReplicaError
from ddbreplica.model import Change, Table


def check(table: Table, changes: Iterable[Change]) -> None:
    """Raise KeySchemaError if the replica's key differs from the changes' keys, ReplicaError if it is the source.

    Key attributes are compared by name and type. A stream record does not show which one is the partition key.
    """
    for change in changes:
        key_schema = {(name, tag) for name, tag, _ in change.key}
        # DynamoDB refuses a wrong key as it refuses a bad item, so a whole stream would be quarantined.
        if key_schema != table.key_schema:
            raise KeySchemaError(
                f"The replica {table.arn} has the key {key_schema_text(table.key_schema)},"
                f" and the source's records have the key {key_schema_text(key_schema)}.",
                hint="Set REPLICA_TABLE_NAME to the right table, or recreate the replica with the source's key.",
            )
        # Its own changes would come back to such a table, and old images would replace new ones.
        if source_arn(change.record) == table.arn:
            raise ReplicaError(
                f"The replica {table.arn} is the source of the stream.",
                hint="Set REPLICA_TABLE_NAME to another table.",
            )


def source_arn(record: object) -> str | None:
    """Return the ARN of the table that a record's stream belongs to, or None if the record has none."""
    arn = record.get("eventSourceARN") if isinstance(record, dict) else None
    return arn.partition("/stream/")[0] if isinstance(arn, str) else None


def key_schema_text(key_schema: Iterable[tuple[str, str]]) -> str:
    """Return the names and types of key attributes as text, such as `PK (S), SK (N)`."""
    return ", ".join(f"{name} ({tag})" for name, tag in sorted(key_schema))
