"""schema: the replica's key must be that of the records, and the replica must not be the source."""

import pytest

from ddbreplica.errors import KeySchemaError, ReplicaError
from ddbreplica.model import Change, Table
from ddbreplica.records.decode import decode
from ddbreplica.records.schema import check, source_arn
from tests.support.records import STREAM, batch, put, record


def changes(*records: object) -> tuple[Change, ...]:
    return decode(batch(*records), replicate_ttl_deletes=True).changes


def table(arn: str = "arn:replica", **key: str) -> Table:
    return Table(arn=arn, status="ACTIVE", key_schema=frozenset((key or {"PK": "S"}).items()))


def test_a_table_with_the_changes_key_is_accepted() -> None:
    check(table(), changes(put(1, "a"), put(2, "b")))


@pytest.mark.parametrize("key", [{"pk": "S"}, {"PK": "N"}, {"PK": "S", "SK": "S"}])
def test_another_key_is_refused_and_the_message_has_both(key: dict[str, str]) -> None:
    named = ", ".join(f"{name} ({tag})" for name, tag in sorted(key.items()))

    with pytest.raises(KeySchemaError) as caught:
        check(table(**key), changes(put(1, "a")))

    assert str(caught.value) == (
        f"The replica arn:replica has the key {named}, and the source's records have the key PK (S)."
        " Set REPLICA_TABLE_NAME to the right table, or recreate the replica with the source's key."
    )


def test_a_missing_sort_key_is_refused() -> None:
    keys = {"PK": {"S": "a"}, "SK": {"N": "1"}}

    with pytest.raises(KeySchemaError, match=r"has the key PK \(S\), .* have the key PK \(S\), SK \(N\)"):
        check(table(), changes(record(1, "REMOVE", keys)))


def test_the_source_is_refused_as_its_own_replica() -> None:
    source = STREAM.partition("/stream/")[0]

    with pytest.raises(ReplicaError) as caught:
        check(table(source), changes(put(1, "a")))

    assert str(caught.value) == (
        f"The replica {source} is the source of the stream. Set REPLICA_TABLE_NAME to another table."
    )


def test_the_table_of_a_stream_is_in_its_arn() -> None:
    one = put(1, "a")

    assert source_arn(one) == "arn:aws:dynamodb:us-east-1:123456789012:table/logfile"


def test_a_source_arn_without_a_stream_is_the_table() -> None:
    assert source_arn({"eventSourceARN": "arn:table/logfile"}) == "arn:table/logfile"


@pytest.mark.parametrize("one", [{}, {"eventSourceARN": 5}, 42, None])
def test_a_record_without_a_source_arn_has_no_table(one: object) -> None:
    assert source_arn(one) is None
