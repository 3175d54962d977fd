"""The whole function with errors of DynamoDB Local: it tells a bad record from a wrong deployment."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.errors import KeySchemaError, ReplicaError
from tests.engine.conftest import REPLICA, connect, items_of
from tests.support.function import Function
from tests.support.records import batch, put, record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def nested(depth: int) -> Any:
    """Return a value nested in `depth` lists."""
    value: Any = {"S": "in the middle"}
    for _ in range(depth):
        value = {"L": [value]}
    return value


REFUSED_INDEX_KEYS: Mapping[str, Any] = {
    "a number": {"N": "5"},
    "empty": {"S": ""},
    "null": {"NULL": True},
    "too long": {"S": "x" * 2049},
    "a binary": {"B": "AA=="},
    "a boolean": {"BOOL": True},
    "a list": {"L": []},
    "a map": {"M": {}},
    "a set": {"SS": ["host"]},
}
REFUSED_VALUES: Mapping[str, Any] = {
    "above 400 KB": {"S": "x" * 410_000},
    "39 digits": {"N": "1" * 39},
    "too large a number": {"N": "1E126"},
    "too small a number": {"N": "1E-131"},
    "no number": {"N": "five"},
    "no number in a set": {"NS": ["5", "five"]},
    "nested too deep": nested(33),
    "an empty set": {"SS": []},
    "a set with a member twice": {"SS": ["a", "a"]},
    "a set with a number twice": {"NS": ["1", "1.0"]},
    "null that is false": {"NULL": False},
}
POISON = [
    *(
        pytest.param("request#99", {"GSI_1_PK": key}, id=f"index key: {what}")
        for what, key in REFUSED_INDEX_KEYS.items()
    ),
    *(pytest.param("request#99", {"value": value}, id=what) for what, value in REFUSED_VALUES.items()),
    pytest.param("", {}, id="an empty key"),
    pytest.param("x" * 2049, {}, id="a key too long"),
]


@pytest.mark.parametrize(("pk", "attributes"), POISON)
def test_a_rejected_record_is_quarantined_and_the_others_are_applied(
    pk: str, attributes: Any, client: "DynamoDBClient", replica: DynamoDBReplica
) -> None:
    function = Function(replica)
    records = [put(number, f"request#{number}", GSI_1_PK={"S": "host"}) for number in range(24)]
    records.insert(12, put(99, pk, **attributes))

    assert function.invoke(batch(*records)) == []

    assert function.bucket.sequence_numbers == ["99"]
    assert function.bucket.kept[0]["error_code"] == "ValidationException"
    assert {item["PK"]["S"] for item in items_of(client, REPLICA)} == {f"request#{n}" for n in range(24)}


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        (
            {"value": {"SS": ["top secret", "top secret"]}},
            "One or more parameter values were invalid: Input collection …",
        ),
        ({"value": {"N": "top secret"}}, "A value provided cannot be converted into a number"),
        (
            {"GSI_1_PK": {"N": "5"}},
            "One or more parameter values were invalid: Type mismatch for Index Key",
        ),
    ],
)
def test_error_messages_are_logged_without_the_values_that_they_quote(
    attributes: Any, words: str, replica: DynamoDBReplica, capsys: pytest.CaptureFixture[str]
) -> None:
    Function(replica).invoke(batch(put(1, "a", **attributes)))

    log, _ = capsys.readouterr().out.splitlines()
    said = json.loads(log)["refusal_messages"]
    assert said == {"ValidationException": f"refused by the replica: {words}"}


def test_the_largest_accepted_values_are_no_poison(
    client: "DynamoDBClient", replica: DynamoDBReplica
) -> None:
    function = Function(replica)
    limits = {"list": nested(31), "n": {"N": "9" * 38}, "GSI_1_PK": {"S": "x" * 2048}}

    assert function.invoke(batch(put(1, "x" * 2048, **limits))) == []

    assert function.bucket.objects == {}
    assert items_of(client, REPLICA) == [{"PK": {"S": "x" * 2048}, **limits}]


def keyed(**keys: Any) -> Any:
    return record(2, "MODIFY", keys, {**keys, "v": {"X": "malformed"}}), record(3, "MODIFY", keys, keys)


@pytest.mark.parametrize(
    "keys",
    [
        {"id": {"S": "a"}},
        {"PK": {"N": "1"}},
        {"PK": {"B": "AA=="}},
        {"PK": {"S": "a"}, "SK": {"S": "b"}},
    ],
    ids=["another name", "a number", "a binary", "one attribute more"],
)
def test_a_replica_with_a_different_key_is_an_error_of_the_deployment(
    keys: Any, client: "DynamoDBClient", replica: DynamoDBReplica
) -> None:
    function = Function(replica)

    with pytest.raises(KeySchemaError):
        function.invoke(batch(*keyed(**keys)))

    assert function.bucket.objects == {}
    assert items_of(client, REPLICA) == []


@pytest.mark.parametrize("name", ["missing", "no table/name", "x"])
def test_a_missing_table_is_an_error_of_the_deployment(name: str, client: "DynamoDBClient") -> None:
    function = Function(DynamoDBReplica(connect(client.meta.endpoint_url), name))

    with pytest.raises(ReplicaError):
        function.invoke(batch(*keyed(PK={"S": "a"})))

    assert function.bucket.objects == {}


def test_a_deleted_table_is_an_error_of_the_deployment(
    client: "DynamoDBClient", replica: DynamoDBReplica
) -> None:
    function = Function(replica)
    assert function.invoke(batch(put(1, "a"))) == []
    client.delete_table(TableName=REPLICA)

    with pytest.raises(ReplicaError):
        function.invoke(batch(*keyed(PK={"S": "a"})))

    assert function.bucket.objects == {}
