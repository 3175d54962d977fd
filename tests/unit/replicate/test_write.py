"""write: planned writes are applied, or returned as failures and poison."""

import pytest

from ddbreplica.dynamodb.send import REQUEST_SECONDS
from ddbreplica.errors import KeySchemaError, ReplicaError, SettingsError
from ddbreplica.model import Pending, Refusal, RefusalKind, Table, Write
from ddbreplica.records.decode import decode
from ddbreplica.records.plan import plan
from ddbreplica.replicate.write import Outcome, write
from tests.support.clock import Clock
from tests.support.fake_replica import DENIED, THROTTLED, TIMED_OUT, FakeReplica, Request, in_turn
from tests.support.records import batch, delete, put

BAD = {"N": "5"}


def is_bad(item: object) -> bool:
    return isinstance(item, dict) and item.get("v") == BAD


def writes(*records: object) -> tuple[Write, ...]:
    return plan(decode(batch(*records), replicate_ttl_deletes=True).changes)


def written(replica: FakeReplica, *records: object, clock: Clock | None = None) -> Outcome:
    return write(writes(*records), replica=replica, deadline=(clock or Clock()).deadline())


def positions(outcome: Outcome) -> list[int]:
    return [failure.position for failure in outcome.failures]


def test_without_writes_the_table_is_not_described() -> None:
    replica = FakeReplica()

    assert written(replica) == Outcome()
    assert replica.descriptions == 0


def test_everything_is_applied() -> None:
    replica = FakeReplica()

    outcome = written(replica, put(1, "a"), put(2, "b"), delete(3, "b"))

    assert [(w.change.sequence_number, w.is_delete) for w in outcome.applied] == [("1", False), ("3", True)]
    assert list(replica.items.values()) == [{"PK": {"S": "a"}}]
    assert (outcome.failures, outcome.poison, outcome.in_doubt) == ((), (), ())
    assert replica.descriptions == 1


def test_writes_that_were_sent_again_are_counted() -> None:
    outcome = written(FakeReplica(script=in_turn(THROTTLED, THROTTLED)), put(1, "a"), put(2, "b"))

    assert outcome.retried == 4


def test_a_refused_item_is_poison_and_the_others_are_applied() -> None:
    replica = FakeReplica(poison=is_bad)

    outcome = written(replica, put(1, "a"), put(2, "b", v=BAD), put(3, "c"))

    assert sorted(w.change.sequence_number for w in outcome.applied) == ["1", "3"]
    (poison,) = outcome.poison
    assert (poison.position, poison.sequence_number, poison.error_code) == (1, "2", "ValidationException")
    assert poison.key == (("PK", "S", "b"),)
    assert poison.reason == "refused by the replica: type mismatch for an index key"
    assert poison.record == put(2, "b", v=BAD)


def test_a_poison_image_falls_back_to_the_last_good_one() -> None:
    replica = FakeReplica(poison=is_bad)

    outcome = written(replica, put(1, "a"), put(2, "a", v={"N": "2"}), put(3, "a", v=BAD), put(4, "a", v=BAD))

    assert list(replica.items.values()) == [{"PK": {"S": "a"}, "v": {"N": "2"}}]
    assert [poison.sequence_number for poison in outcome.poison] == ["4", "3"]
    assert [w.change.sequence_number for w in outcome.applied] == ["2"]


def test_a_poison_image_falls_back_to_a_delete() -> None:
    replica = FakeReplica(poison=is_bad)
    written(replica, put(1, "a"))

    written(replica, delete(2, "a"), put(3, "a", v=BAD))

    assert replica.items == {}


def test_a_failed_write_is_reported_by_its_oldest_change() -> None:
    # If only the last change were reported and it proves to be poison, the good image before it would be lost.
    outcome = written(FakeReplica(script=lambda _: THROTTLED), put(1, "a"), put(2, "b"), put(3, "a"))

    assert sorted(positions(outcome)) == [0, 1]


def test_a_refused_item_is_not_poison_while_the_table_is_changing() -> None:
    outcome = written(FakeReplica(poison=is_bad, status="CREATING"), put(1, "a", v=BAD), put(2, "b"))

    assert outcome.poison == ()
    assert [(failure.position, failure.refusal.code) for failure in outcome.failures] == [
        (0, "TableNotActive")
    ]


def test_a_refused_item_fails_together_with_earlier_failures() -> None:
    replica = FakeReplica(
        poison=is_bad,
        status="CREATING",
        script=lambda request: THROTTLED if request[0].change.sequence_number == "25" else (),
    )
    good = [put(number, f"key-{number}") for number in range(1, 26)]

    # There is time for one attempt only.
    outcome = written(replica, put(0, "key-0", v=BAD), *good, clock=Clock(REQUEST_SECONDS))

    assert sorted((failure.position, failure.refusal.code) for failure in outcome.failures) == [
        (0, "TableNotActive"),
        (25, "ThrottlingException"),
    ]


def test_a_refused_item_is_not_poison_while_the_table_cannot_be_described() -> None:
    class Forgetful(FakeReplica):
        def describe(self, *, refresh: bool = False) -> Table | Refusal:
            return THROTTLED if refresh else super().describe()

    outcome = written(Forgetful(poison=is_bad), put(1, "a", v=BAD))

    assert (outcome.poison, positions(outcome)) == ((), [0])


def test_a_refused_item_is_not_poison_if_the_table_has_another_key() -> None:
    class Replaced(FakeReplica):
        def describe(self, *, refresh: bool = False) -> Table | Refusal:
            return FakeReplica(key_schema={"id": "N"}).table if refresh else super().describe()

    with pytest.raises(KeySchemaError):
        written(Replaced(poison=is_bad), put(1, "a", v=BAD))


def test_the_table_is_described_before_the_first_write() -> None:
    replica = FakeReplica(key_schema={"id": "N"})

    with pytest.raises(KeySchemaError):
        written(replica, put(1, "a"))

    assert replica.requests == []


def test_a_table_with_another_key_is_described_again_and_may_be_fixed() -> None:
    class Mended(FakeReplica):
        def describe(self, *, refresh: bool = False) -> Table | Refusal:
            return self.table if refresh else FakeReplica(key_schema={"id": "N"}).table

    replica = Mended()

    assert len(written(replica, put(1, "a")).applied) == 1


def test_a_table_that_cannot_be_described_for_now_fails_every_write() -> None:
    outcome = written(FakeReplica(table=THROTTLED), put(1, "a"), put(2, "b"))

    assert positions(outcome) == [0, 1]


@pytest.mark.parametrize("replica", [FakeReplica(table=DENIED), FakeReplica(script=lambda _: DENIED)])
def test_a_fault_is_raised_with_what_to_check(replica: FakeReplica) -> None:
    with pytest.raises(ReplicaError) as caught:
        written(replica, put(1, "a"))

    assert str(caught.value) == (
        "The replica table refuses every request: AccessDeniedException: not authorised."
        " Check the table, the function's role and REPLICA_TABLE_NAME; no record of the batch was checkpointed."
    )


def test_a_timeout_too_short_for_any_request_is_a_fault() -> None:
    with pytest.raises(SettingsError) as caught:
        written(FakeReplica(), put(1, "a"), clock=Clock(3))

    assert str(caught.value) == (
        "The function's timeout is too short for a request, which needs 20 seconds."
        " Raise the function's Timeout (the template's default is 60 seconds)."
    )


def test_a_throttled_description_is_requested_again() -> None:
    class Busy(FakeReplica):
        def describe(self, *, refresh: bool = False) -> Table | Refusal:
            self.descriptions += 1
            return THROTTLED if self.descriptions < 3 else self.table

    assert len(written(Busy(), put(1, "a")).applied) == 1


def test_without_time_to_describe_the_table_nothing_is_poison() -> None:
    clock = Clock(REQUEST_SECONDS)

    class Slow(FakeReplica):
        def start_one(self, write: Write) -> Pending:
            clock.pass_by(1)
            return super().start_one(write)

    outcome = written(Slow(poison=is_bad), put(1, "a", v=BAD), clock=clock)

    assert (outcome.poison, positions(outcome)) == ((), [0])


def test_writes_without_a_response_are_in_doubt_whatever_their_repetition_did() -> None:
    outcome = written(FakeReplica(script=in_turn(TIMED_OUT)), put(1, "a"))

    assert len(outcome.applied) == 1
    (suspect,) = outcome.in_doubt
    assert (suspect.sequence_number, suspect.error_code) == ("1", "SuspectWrite")
    assert suspect.reason == "a write is in doubt and may still land: no response"


def test_a_fault_after_an_in_doubt_write_is_returned_so_that_its_record_can_be_kept() -> None:
    records = [put(number, f"key-{number}") for number in range(1, 51)]

    outcome = written(FakeReplica(script=in_turn(TIMED_OUT, DENIED)), *records)

    assert isinstance(outcome.ended, ReplicaError)
    assert [suspect.sequence_number for suspect in outcome.in_doubt] == [str(n) for n in range(1, 26)]


def test_any_exception_after_an_in_doubt_write_is_returned_too() -> None:
    def explode(request: Request) -> Refusal:
        if request[0].change.sequence_number == "26":
            raise ZeroDivisionError
        return TIMED_OUT

    outcome = written(FakeReplica(script=explode), *(put(n, f"key-{n}") for n in range(1, 51)))

    assert isinstance(outcome.ended, ZeroDivisionError)
    assert len(outcome.in_doubt) == 50


@pytest.mark.parametrize(
    "status", ["CREATING", "DELETING", "ARCHIVING", "ARCHIVED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"]
)
def test_a_refused_item_fails_while_the_table_accepts_no_writes(status: str) -> None:
    outcome = written(FakeReplica(poison=is_bad, status=status), put(1, "a", v=BAD))

    (failure,) = outcome.failures
    assert outcome.poison == ()
    assert failure.refusal.kind is RefusalKind.TRANSIENT
    assert failure.refusal.message == f"the replica refused an item, and the table's status is {status}"


@pytest.mark.parametrize("status", ["ACTIVE", "UPDATING"])
def test_a_refused_item_is_poison_in_a_table_that_accepts_writes(status: str) -> None:
    outcome = written(FakeReplica(poison=is_bad, status=status), put(1, "a", v=BAD))

    assert [poison.sequence_number for poison in outcome.poison] == ["1"]
