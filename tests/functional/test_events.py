"""Every story in events/, through the handler itself, on moto."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
from moto import mock_aws

from ddbreplica import handler
from ddbreplica.errors import KeySchemaError, QuarantineError, ReplicaError, StreamViewTypeError
from tests.support.function import Context
from tests.support.stories import BUCKET, EVENTS, OWN_KEYS, STORIES, TABLE, Account, event

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setenv("REPLICA_TABLE_NAME", TABLE)
    monkeypatch.setenv("QUARANTINE_BUCKET", BUCKET)
    handler.replicator.cache_clear()
    with mock_aws():
        yield Account()
    handler.replicator.cache_clear()


def invoke(story: str) -> Any:
    return handler.lambda_handler(event(story), cast("LambdaContext", Context()))


@pytest.mark.parametrize("story", STORIES)
def test_a_story_ends_as_expected_however_often_it_is_delivered(story: str, account: Account) -> None:
    account.create_replica(OWN_KEYS.get(story, {"PK": "S"}))

    assert invoke(story) == {"batchItemFailures": []}
    STORIES[story](account)
    kept = len(account.quarantined())
    assert invoke(story) == {"batchItemFailures": []}

    assert len(account.quarantined()) == 2 * kept  # each writing has a name of its own


@pytest.mark.parametrize("story", OWN_KEYS)
def test_a_story_of_another_table_ends_in_the_key_schema_fault(story: str, account: Account) -> None:
    account.create_replica({"PK": "S"})

    for _ in range(2):
        with pytest.raises(KeySchemaError):
            invoke(story)

    assert (account.items(), account.quarantined()) == ({}, [])


def test_a_stream_of_keys_only_fails_and_names_the_setting(account: Account) -> None:
    account.create_replica({"PK": "S"})

    with pytest.raises(StreamViewTypeError, match="StreamViewType is KEYS_ONLY"):
        invoke("keys-only")

    assert account.quarantined() == []


def test_a_missing_replica_fails_every_time_and_quarantines_nothing(account: Account) -> None:
    for story in ("insert", "undecodable", "insert"):
        with pytest.raises(ReplicaError, match="ResourceNotFoundException"):
            invoke(story)

    assert account.quarantined() == []


def test_the_function_continues_once_the_missing_replica_exists(account: Account) -> None:
    with pytest.raises(ReplicaError):
        invoke("insert")
    account.create_replica({"PK": "S"})

    assert invoke("insert") == {"batchItemFailures": []}

    STORIES["insert"](account)


def test_a_missing_bucket_fails_every_time_and_is_in_the_error(account: Account) -> None:
    account.create_replica({"PK": "S"})
    account.s3.delete_bucket(Bucket=BUCKET)

    for _ in range(2):
        with pytest.raises(QuarantineError, match="quarantine refuses the record: NoSuchBucket"):
            invoke("undecodable")


def test_expired_items_stay_in_an_archive(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_TTL_DELETES", "false")
    account.create_replica({"PK": "S"})

    assert invoke("ttl-delete") == {"batchItemFailures": []}

    assert list(account.items()) == ["request#301"]


def test_every_event_file_is_a_story() -> None:
    assert {path.stem for path in EVENTS.glob("*.json")} == {*STORIES, "keys-only", "env"}
