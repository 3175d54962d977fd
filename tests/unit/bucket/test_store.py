"""store: a write of an object is confirmed, in conflict, or refused for all objects."""

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from ddbreplica.aws.refusal import RefusedError, foreign
from ddbreplica.bucket import bucket_store as module
from ddbreplica.bucket.bucket import Bucket
from ddbreplica.bucket.bucket_store import BucketStore
from ddbreplica.bucket.store import Conflict, Store
from ddbreplica.errors import TaskError
from tests.support.fake_bucket import METADATA, s3_error
from tests.support.fake_s3 import FakeS3
from tests.support.memory_store import MemoryStore
from tests.support.store_contract import StoreContract

NAME = "jobs/stack/job/plan.json"


class TestTheStoreInMemory(StoreContract):
    def store(self) -> Store:
        self.memory = MemoryStore()
        return self.memory

    def remove(self, name: str) -> None:
        del self.memory.objects[name]


class Client:
    """A client whose puts end so."""

    def __init__(self, end: Exception | dict[str, Any]) -> None:
        self.end = end
        self.puts: list[dict[str, Any]] = []

    def put_object(self, **put: Any) -> dict[str, Any]:
        self.puts.append(put)
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


def created(end: Exception | dict[str, Any]) -> str | Conflict:
    client = Client(end)
    result = BucketStore(Bucket(cast(Any, client), "bucket", option="--stack-name")).create(NAME, b"1")
    assert len(client.puts) == 1
    return result


def test_a_write_is_a_json_object_with_one_condition() -> None:
    client = Client({"ETag": '"2"', "ResponseMetadata": METADATA})
    store = BucketStore(Bucket(cast(Any, client), "bucket", option="--stack-name"))

    assert store.create(NAME, b"1") == '"2"'
    assert store.replace(NAME, b"2", etag='"1"') == '"2"'

    common = {"Bucket": "bucket", "Key": NAME, "ContentType": "application/json"}
    assert client.puts == [
        {**common, "Body": b"1", "IfNoneMatch": "*"},
        {**common, "Body": b"2", "IfMatch": '"1"'},
    ]


@pytest.mark.parametrize(
    ("end", "conflict"),
    [
        (s3_error("PreconditionFailed"), Conflict.CHANGED),
        (s3_error("412"), Conflict.CHANGED),
        (s3_error("NoSuchKey"), Conflict.GONE),
        (s3_error("404"), Conflict.GONE),
        (s3_error("ConditionalRequestConflict"), Conflict.RACE),
        (s3_error("409"), Conflict.RACE),
        (s3_error("InternalError"), Conflict.NO_RESPONSE),
        (s3_error("SlowDown"), Conflict.NO_RESPONSE),
        (ReadTimeoutError(endpoint_url="https://s3"), Conflict.NO_RESPONSE),
        (ConnectTimeoutError(endpoint_url="https://s3"), Conflict.NO_RESPONSE),
        (RefusedError(foreign(200)), Conflict.NO_RESPONSE),
        (RefusedError(foreign(412)), Conflict.NO_RESPONSE),
        ({"ResponseMetadata": METADATA}, Conflict.NO_RESPONSE),
    ],
    ids=str,
)
def test_a_write_is_in_conflict(end: Any, conflict: Conflict) -> None:
    assert created(end) is conflict


def test_a_page_of_a_gateway_is_no_response_of_s3() -> None:
    page: Any = {
        "Error": {"Code": "PreconditionFailed"},
        "ResponseMetadata": {"HTTPStatusCode": 412, "HTTPHeaders": {}},
    }

    assert created(ClientError(page, "PutObject")) is Conflict.NO_RESPONSE


@pytest.mark.parametrize(
    ("code", "fact"),
    [
        ("AccessDenied", "the objects in the bucket bucket cannot be written: AccessDenied: no"),
        ("NoSuchBucket", "the bucket bucket does not exist."),
    ],
)
def test_a_bucket_that_refuses_every_write_is_an_error(code: str, fact: str) -> None:
    with pytest.raises(TaskError) as refused:
        created(s3_error(code))

    assert refused.value.fact == fact


def test_an_object_that_is_larger_than_any_of_a_job_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 3)
    s3 = FakeS3()
    s3.store(NAME, b"123")
    s3.store("large", b"1234")
    store = BucketStore(s3.bucket())

    found = store.read(NAME)
    assert found is not None
    assert found.body == b"123"
    with pytest.raises(TaskError) as refused:
        store.read("large")
    assert refused.value.fact == "the object s3://bucket/large has more than 3 bytes."
    assert refused.value.hint == "delete the object, which ddbreplica did not write, and start a new job."
