"""batch_item_failures: the partial batch response that a batch's failures make."""

import pytest

from ddbreplica.errors import UnreportableError
from ddbreplica.model import Failure, Refusal, RefusalKind
from ddbreplica.records.batch_item_failures import checkpoint, report

SLOW = Refusal(RefusalKind.TRANSIENT, "SlowDown", "")


def test_a_batch_that_is_done_reports_nothing() -> None:
    assert report([]) == {"batchItemFailures": []}
    assert checkpoint([]) is None


def test_one_identifier_is_reported_the_first_in_the_batch() -> None:
    # As text, and as numbers, the other one would be the lowest.
    failures = [Failure(5, "100", SLOW), Failure(2, "99000000000000000000000", SLOW), Failure(9, "1", SLOW)]

    assert report(failures) == {"batchItemFailures": [{"itemIdentifier": "99000000000000000000000"}]}


def test_a_failure_that_cannot_be_named_fails_the_invocation() -> None:
    with pytest.raises(UnreportableError) as caught:
        report([Failure(0, None, SLOW), Failure(1, "1", SLOW)])

    assert str(caught.value) == (
        "The record at position 0 has no sequence number and could not be quarantined (SlowDown)."
        " Lambda will deliver the batch again; check the quarantine bucket if the error continues."
    )


def test_a_failure_that_cannot_be_named_comes_again_behind_one_that_can() -> None:
    assert report([Failure(1, None, SLOW), Failure(0, "7", SLOW)]) == {
        "batchItemFailures": [{"itemIdentifier": "7"}]
    }
