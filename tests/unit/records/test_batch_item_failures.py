"""batch_item_failures: the partial batch response for the failures of a batch."""

import pytest

from ddbreplica.errors import UnreportableError
from ddbreplica.model import Failure, Refusal, RefusalKind
from ddbreplica.records.batch_item_failures import checkpoint, report

SLOW = Refusal(RefusalKind.TRANSIENT, "SlowDown", "")


def test_a_batch_that_is_done_reports_nothing() -> None:
    assert report([]) == {"batchItemFailures": []}
    assert checkpoint([]) is None


def test_only_the_first_failure_of_the_batch_is_reported() -> None:
    # As text and as a number, the other sequence number would be the lowest.
    failures = [Failure(5, "100", SLOW), Failure(2, "99000000000000000000000", SLOW), Failure(9, "1", SLOW)]

    assert report(failures) == {"batchItemFailures": [{"itemIdentifier": "99000000000000000000000"}]}


def test_a_first_failure_without_sequence_number_fails_the_invocation() -> None:
    with pytest.raises(UnreportableError) as caught:
        report([Failure(0, None, SLOW), Failure(1, "1", SLOW)])

    assert str(caught.value) == (
        "The record at position 0 has no sequence number and could not be quarantined (SlowDown)."
        " Lambda will deliver the batch again; check the quarantine bucket if the error continues."
    )


def test_a_later_failure_without_sequence_number_is_delivered_again() -> None:
    assert report([Failure(1, None, SLOW), Failure(0, "7", SLOW)]) == {
        "batchItemFailures": [{"itemIdentifier": "7"}]
    }
