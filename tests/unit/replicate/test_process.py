"""process: each change of a batch is applied, up to the first record that fails."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, NoCredentialsError

from ddbreplica import Change, Refusal, RefusalKind, RefusedError, deadline_of, process
from ddbreplica.deadline import MOST_ATTEMPTS, Deadline
from ddbreplica.errors import EventError, StreamViewTypeError, UnreportableError
from tests.support.function import Context
from tests.support.records import batch, delete, put
from tests.support.strategies import MALFORMED

THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "why"}}, "Put")
REJECTED = ClientError({"Error": {"Code": "ValidationException", "Message": "why"}}, "Put")
DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "why"}}, "Put")
KEYS_ONLY = {"SequenceNumber": "1", "Keys": {"PK": {"S": "a"}}, "StreamViewType": "KEYS_ONLY"}
LOST = ConnectTimeoutError(endpoint_url="x")


class Applied:
    """Collects the changes that were applied, in order. The next calls raise these errors, or succeed for None."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = [*errors]
        self.keys: list[str] = []
        self.attempts = 0

    def __call__(self, change: Change) -> None:
        self.attempts += 1
        if self.errors and (error := self.errors.pop(0)):
            raise error
        self.keys.append(change.key_attributes["PK"]["S"])


def run(
    event: Any, apply: Callable[[Change], object], *, seconds: float = 60.0, **options: Any
) -> Sequence[str]:
    context = Context(seconds_left=seconds)
    deadline = Deadline(deadline_of(cast("Any", context)).remaining, sleep=context.sleep)
    response = process(event, apply, deadline=deadline, attempt_seconds=10, **options)
    return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]


def test_each_change_is_applied_in_order() -> None:
    applied = Applied()

    assert run(batch(put(1, "b"), delete(2, "a"), put(3, "b")), applied) == []
    assert applied.keys == ["b", "a", "b"]


def test_a_change_that_is_not_selected_takes_neither_a_call_nor_time() -> None:
    applied = Applied()

    assert run(batch(put(1, "a"), put(2, "b")), applied, seconds=0, select=lambda _: False) == []
    assert applied.attempts == 0


def test_a_change_is_selected_by_its_content() -> None:
    applied = Applied()

    assert run(batch(put(1, "a"), delete(2, "b")), applied, select=lambda change: change.image is None) == []
    assert applied.keys == ["b"]


def test_a_delete_by_ttl_is_a_change() -> None:
    applied = Applied()
    expired = delete(1, "a") | {"userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}

    assert run(batch(expired), applied) == []
    assert applied.keys == ["a"]


@pytest.mark.parametrize("error", [THROTTLED, LOST])
def test_a_transient_error_is_tried_again(error: Exception) -> None:
    applied = Applied(error, error, None)

    assert run(batch(put(1, "a"), put(2, "b")), applied) == []
    assert applied.keys == ["a", "b"]


def test_the_first_failure_is_reported_and_no_later_change_is_applied() -> None:
    applied = Applied(None, *[THROTTLED] * MOST_ATTEMPTS)

    assert run(batch(put(1, "a"), put(2, "b"), put(3, "c")), applied) == ["2"]
    assert (applied.keys, applied.attempts) == (["a"], 1 + MOST_ATTEMPTS)


def test_a_rejected_change_is_not_tried_again() -> None:
    applied = Applied(REJECTED)

    assert run(batch(put(1, "a"), put(2, "b")), applied) == ["1"]
    assert applied.attempts == 1


def test_a_change_without_time_for_it_is_reported_and_not_applied() -> None:
    applied = Applied()

    assert run(batch(put(1, "a")), applied, seconds=9.9) == ["1"]
    assert applied.attempts == 0


@pytest.mark.parametrize("error", [DENIED, NoCredentialsError(), ZeroDivisionError()])
def test_a_fault_and_any_other_exception_are_raised(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        run(batch(put(1, "a")), Applied(error))

    assert raised.value is error


def test_explain_decides_what_an_error_means() -> None:
    def explain(error: BotoCoreError | ClientError) -> Refusal:
        assert error is DENIED
        return Refusal(RefusalKind.TRANSIENT, "Busy", "another has it")

    applied = Applied(DENIED)

    assert run(batch(put(1, "a")), applied, explain=explain) == []
    assert applied.keys == ["a"]


def test_a_function_may_raise_a_refusal_of_its_own() -> None:
    applied = Applied(RefusedError(Refusal(RefusalKind.REJECTED, "Unknown", "the item has no price")))

    assert run(batch(put(1, "a")), applied) == ["1"]


def test_a_malformed_record_is_the_checkpoint() -> None:
    applied = Applied()

    assert run(batch(put(1, "a"), put(2, "b", v=MALFORMED), put(3, "c")), applied) == ["2"]
    assert applied.keys == ["a"]


def test_a_failure_before_a_malformed_record_is_reported() -> None:
    assert run(batch(put(1, "a"), put(2, "b", v=MALFORMED)), Applied(REJECTED)) == ["1"]


def test_the_log_has_number_and_code_and_nothing_of_the_item(caplog: pytest.LogCaptureFixture) -> None:
    run(batch(put(1, "a secret")), Applied(REJECTED))

    run(batch(put(2, "a", v=MALFORMED)), Applied())

    assert caplog.messages == [
        "record 1 will be delivered again: ValidationException",
        "record 2 will be delivered again: MalformedRecord",
    ]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({}, EventError),
        (batch(put(1, "a") | {"dynamodb": KEYS_ONLY}), StreamViewTypeError),
        (batch("nonsense", put(2, "a")), UnreportableError),
    ],
)
def test_a_batch_that_cannot_be_processed_raises(event: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(event, Applied())
