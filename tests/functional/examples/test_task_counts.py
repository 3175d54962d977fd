"""The recipe that counts tasks, on moto: counts stay exact when records are delivered again, and none is skipped."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

import task_counts
from ddbreplica.errors import EventError, UnreportableError
from ddbreplica.model import RefusalKind
from tests.support.function import Context
from tests.support.records import batch, record
from tests.support.strategies import MALFORMED
from tests.support.tasks import (
    Counting,
    Killed,
    refused,
    task,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

HOME, WORK = {"S": "home"}, {"S": "work"}


@pytest.fixture
def counting(counts_client: "DynamoDBClient") -> Iterator[Counting]:
    counting = Counting(counts_client, "example")
    with counting.tables():
        yield counting


def test_a_task_is_counted_once_however_often_its_record_is_delivered(counting: Counting) -> None:
    event = batch(task(1, "a", HOME), task(2, "b", HOME), task(3, "c", WORK))

    assert [counting.invoke(event) for _ in range(3)] == [[], [], []]

    assert counting.counts() == {"home": 2, "work": 1}


def test_a_task_that_moves_to_another_list_is_counted_only_there(counting: Counting) -> None:
    counting.invoke(batch(task(1, "a", HOME), task(2, "b", HOME), task(3, "a", WORK)))

    assert counting.counts() == {"home": 1, "work": 1}


def test_a_change_of_another_attribute_than_the_list_writes_nothing(counting: Counting) -> None:
    counting.invoke(batch(task(1, "a", HOME)))
    counting.troubled.requests.clear()

    counting.invoke(batch(task(2, "a", HOME)))

    assert counting.troubled.requests == ["GetItem"]
    assert counting.counts() == {"home": 1}


def test_a_deleted_task_is_no_longer_counted_and_its_marker_expires_a_day_later(counting: Counting) -> None:
    counting.invoke(batch(task(1, "a", HOME), task(2, "a", "deleted")))

    (marker,) = counting.markers()
    del marker["task"]
    assert counting.counts() == {}
    assert marker == {"version": {"N": "2"}, "expires": {"N": "1086400"}}


def test_a_task_that_is_created_again_is_counted_and_its_marker_no_longer_expires(counting: Counting) -> None:
    counting.invoke(batch(task(1, "a", HOME), task(2, "a", "deleted"), task(3, "a", HOME)))

    (marker,) = counting.markers()
    del marker["task"]
    assert counting.counts() == {"home": 1}
    assert marker == {"version": {"N": "3"}, "list": HOME}


def test_a_deleted_task_that_was_never_counted_changes_nothing(counting: Counting) -> None:
    assert counting.invoke(batch(task(1, "a", "deleted"))) == []

    assert (counting.counts(), counting.markers()) == ({}, [])


@pytest.mark.parametrize(
    "value",
    [None, {"N": "7"}, {"S": ""}, {"S": "ü" * 1025}, {"M": {"S": {"S": "home"}}}, {"NULL": True}],
    ids=["none", "number", "empty", "too long", "map", "null"],
)
def test_a_task_with_an_invalid_list_is_not_counted(counting: Counting, value: Any) -> None:
    assert counting.invoke(batch(task(1, "a", HOME), task(2, "a", value))) == []

    assert counting.counts() == {}


def test_a_lists_name_may_have_2048_bytes(counting: Counting) -> None:
    counting.invoke(batch(task(1, "a", {"S": "ü" * 1024})))

    assert counting.counts() == {"ü" * 1024: 1}


def test_a_key_written_in_two_ways_is_one_task(counting: Counting) -> None:
    spelled = [
        record(place, "MODIFY", key, {**key, "list": HOME})
        for place, key in enumerate(({"id": {"N": "1"}}, {"id": {"N": "1.0"}}))
    ]

    counting.invoke(batch(*spelled))

    assert counting.counts() == {"home": 1}


def test_a_malformed_record_is_reported_and_no_later_record_is_counted(counting: Counting) -> None:
    event = batch(task(1, "a", HOME), task(2, "b", MALFORMED), task(3, "c", HOME), task(4, "d", MALFORMED))

    assert counting.invoke(event) == ["2"]

    assert counting.counts() == {"home": 1}


def test_a_malformed_record_without_a_sequence_number_fails_the_batch(counting: Counting) -> None:
    with pytest.raises(UnreportableError):
        counting.invoke(batch("nonsense", task(1, "a", HOME)))


def test_an_event_of_another_service_fails(counting: Counting) -> None:
    with pytest.raises(EventError):
        counting.invoke({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]})


def test_a_change_without_enough_time_left_is_reported_and_not_counted(counting: Counting) -> None:
    assert counting.invoke(batch(task(1, "a", HOME)), Context(seconds_left=17.9)) == ["1"]

    assert counting.troubled.requests == []


@pytest.mark.parametrize("trouble", ["throttled", "conflict", "unanswered"])
def test_a_temporary_problem_is_retried(counting: Counting, trouble: str) -> None:
    counting.troubled.troubles = [trouble, "none", trouble]

    assert counting.invoke(batch(task(1, "a", HOME))) == []

    assert counting.counts() == {"home": 1}


def test_a_lasting_problem_is_reported_and_logged_without_content(
    counting: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    counting.troubled.troubles = ["none", *["none", "conflict"] * 5]

    reported = counting.invoke(batch(task(1, "a", None), task(2, "b", HOME), task(3, "c", HOME)))

    assert reported == ["2"]
    assert counting.troubled.requests == ["GetItem", *["GetItem", "TransactWriteItems"] * 5]
    assert caplog.messages == ["record 2 will be delivered again: TransactionConflict"]
    assert counting.counts() == {}


def test_an_invalid_transaction_is_not_retried(counting: Counting) -> None:
    counting.troubled.troubles = ["none", "invalid"]

    assert counting.invoke(batch(task(1, "a", HOME))) == ["1"]

    assert counting.troubled.requests == ["GetItem", "TransactWriteItems"]


def test_a_missing_table_fails_the_invocation(counts_client: "DynamoDBClient") -> None:
    nowhere = Counting(counts_client, "nowhere")

    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        nowhere.invoke(batch(task(1, "a", HOME)))


@pytest.mark.parametrize("before", [[], [task(1, "a", WORK)]], ids=["of a new task", "of a task that moves"])
def test_a_marker_that_another_invocation_has_moved_is_read_again(
    counting: Counting, before: list[Any]
) -> None:
    counting.invoke(batch(*before))
    counting.troubled.requests.clear()
    counting.troubled.troubles = ["none", "overtaken"]

    assert counting.invoke(batch(task(2, "a", HOME))) == []

    assert counting.troubled.requests == ["GetItem", "TransactWriteItems", "GetItem"]
    assert counting.counts() == {"home": 1}


def test_a_transaction_that_is_executed_late_changes_nothing(counting: Counting) -> None:
    counting.troubled.troubles = ["none", "late"]

    counting.invoke(batch(task(1, "a", HOME), task(2, "a", "deleted")))
    assert len(counting.troubled.late) == 1
    counting.troubled.land()

    assert counting.counts() == counting.marked() == {}


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (
            refused("TransactionCanceledException", "ConditionalCheckFailed", "None"),
            RefusalKind.TRANSIENT,
            "ConditionalCheckFailed",
        ),
        (
            refused("TransactionCanceledException", "None", "TransactionConflict"),
            RefusalKind.TRANSIENT,
            "TransactionConflict",
        ),
        (
            refused("TransactionCanceledException", "ThrottlingError", "TransactionConflict"),
            RefusalKind.TRANSIENT,
            "ThrottlingError+TransactionConflict",
        ),
        (
            refused("TransactionCanceledException", "None", "ProvisionedThroughputExceeded"),
            RefusalKind.TRANSIENT,
            "ProvisionedThroughputExceeded",
        ),
        (
            refused("TransactionCanceledException", "TransactionConflict", "ValidationError"),
            RefusalKind.REJECTED,
            "TransactionConflict+ValidationError",
        ),
        (
            refused("TransactionCanceledException", "ItemCollectionSizeLimitExceeded"),
            RefusalKind.REJECTED,
            "ItemCollectionSizeLimitExceeded",
        ),
        (
            refused("TransactionCanceledException", "None", "None"),
            RefusalKind.TRANSIENT,
            "TransactionCanceledException",
        ),
        (refused("TransactionInProgressException"), RefusalKind.TRANSIENT, "TransactionInProgressException"),
        (refused("AccessDeniedException"), RefusalKind.FAULT, "AccessDeniedException"),
        (EndpointConnectionError(endpoint_url="x"), RefusalKind.TRANSIENT, "EndpointConnectionError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_reason_for_a_cancelled_transaction_is_classified(
    error: Any, kind: RefusalKind, code: str
) -> None:
    refusal = task_counts.classify(error)

    assert (refusal.kind, refusal.code) == (kind, code)


def test_the_handler_uses_the_tables_in_its_environment_variables(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTS_TABLE_NAME", counting.counter.counts)
    monkeypatch.setenv("MARKERS_TABLE_NAME", counting.counter.markers)
    task_counts.counter.cache_clear()

    response = task_counts.lambda_handler(batch(task(1, "a", HOME)), cast("LambdaContext", Context()))

    assert response == {"batchItemFailures": []}
    assert counting.counts() == {"home": 1}


def test_a_killed_execution_environment_leaves_consistent_counts(counting: Counting) -> None:
    counting.troubled.troubles = ["none", "none", "none", "killed after"]
    event = batch(task(1, "a", HOME), task(2, "a", WORK))

    with pytest.raises(Killed):
        counting.invoke(event)
    assert counting.counts() == counting.marked() == {"work": 1}

    assert counting.invoke(event) == []
    assert counting.counts() == {"work": 1}
