"""A table's description and the changes meant for it → nothing, or why they can never fit. Pure."""

from collections.abc import Iterable

from ddbreplica.errors import KeySchemaError, ReplicaError
from ddbreplica.model import Change, Table


def check(table: Table, changes: Iterable[Change]) -> None:
    """Refuse a replica that is the source itself, or whose key differs from the changes' keys.

    Raises ReplicaError or KeySchemaError. Key attributes are compared by name and type; which of them is the
    partition key cannot be told from a stream record.
    """
    for change in changes:
        key_schema = {(name, tag) for name, tag, _ in change.key}
        if key_schema != table.key_schema:
            raise KeySchemaError(
                f"The replica {table.arn} has the key {key_schema_text(table.key_schema)},"
                f" and the source's records have the key {key_schema_text(key_schema)}.",
                hint="Name the right table in REPLICA_TABLE_NAME, or recreate the replica with the source's key.",
            )
        if source_arn(change.record) == table.arn:
            raise ReplicaError(
                f"The replica {table.arn} is the source of the stream.",
                hint="Name another table in REPLICA_TABLE_NAME.",
            )


def source_arn(record: object) -> str | None:
    """The ARN of the table that the record's stream belongs to; None where the record names none."""
    arn = record.get("eventSourceARN") if isinstance(record, dict) else None
    return arn.partition("/stream/")[0] if isinstance(arn, str) else None


def key_schema_text(key_schema: Iterable[tuple[str, str]]) -> str:
    """Return the names and types of key attributes for reading: `PK (S), SK (N)`."""
    return ", ".join(f"{name} ({tag})" for name, tag in sorted(key_schema))
