"""stream_witness on moto's streams, by the API that commands call."""

import pytest

from ddbreplica.aws.clock import Clock
from ddbreplica.aws.request import Unknown
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.location import Location
from ddbreplica.model import Key
from ddbreplica.verify.confirm.stream_witness import StreamWitness
from tests.support.cli import SOURCE, Tables
from tests.support.waiting import Waiting


def key(pk: str) -> Key:
    return (("PK", "S", pk),)


def enable_stream(tables: Tables) -> None:
    tables.client.update_table(
        TableName=SOURCE, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    )


@pytest.fixture
def witness(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> StreamWitness:
    # moto answers for no endpoint that has the account's number in its name.
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
    waiting = Waiting()
    location = Location(SOURCE, None, None, "us-east-1", None, None, None, None)
    return StreamWitness.of(Connection(location, clock=Clock(ticks=lambda: waiting.now)), waiting)


def test_changes_since_begin_are_seen(tables: Tables, witness: StreamWitness) -> None:
    enable_stream(tables)
    tables.put(SOURCE, "before")
    witness.begin()
    tables.put(SOURCE, "put")
    witness.keep_up({key("put")})
    tables.put(SOURCE, "deleted")
    tables.delete(SOURCE, "deleted")

    watched = {key(pk) for pk in ("before", "put", "deleted", "never")}
    assert witness.changed(watched) == frozenset({key("put"), key("deleted")})


def test_keys_without_a_record_are_silent(tables: Tables, witness: StreamWitness) -> None:
    enable_stream(tables)
    tables.put(SOURCE, "put")

    assert witness.silent([key("put"), key("never")]) == frozenset({key("never")})


def test_a_table_without_a_stream_is_silent_and_cannot_be_watched(
    tables: Tables, witness: StreamWitness
) -> None:
    tables.put(SOURCE, "put")
    witness.begin()

    assert witness.changed({key("put")}) == Unknown("the source has no enabled stream")
    assert witness.silent([key("put")]) == frozenset({key("put")})


def test_a_table_that_does_not_exist_is_unknown(tables: Tables, witness: StreamWitness) -> None:
    tables.client.delete_table(TableName=SOURCE)
    witness.begin()

    gone = Unknown("the table logfile does not exist in us-east-1.")
    assert witness.changed({key("put")}) == gone
    assert witness.silent([key("put")]) == gone
