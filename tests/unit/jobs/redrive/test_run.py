"""run: a scheduled redrive reconciles what is in doubt and what Lambda discarded, and repeats nothing."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ddbreplica.dynamodb.describe import identity
from ddbreplica.errors import TaskError
from ddbreplica.jobs.objects import JobObjects
from ddbreplica.jobs.redrive.journal import RedriveJournal
from ddbreplica.jobs.redrive.run import LEASE_SECONDS
from ddbreplica.jobs.state.fenced_state import FencedState, Owner
from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.model import INTERRUPTED, Key
from tests.support.fake_bucket import s3_error
from tests.support.fake_replica import TIMED_OUT, FakeReplica, in_turn
from tests.support.fake_s3 import NOW
from tests.support.redrive_pair import RedrivePair
from tests.support.redriven import described, item, key, mapping
from tests.unit.jobs.test_plan import PLAN

ONLY_B = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": ["b"]}}}}'])

Patch = pytest.MonkeyPatch
Captured = pytest.CaptureFixture[str]


def bad(*names: str) -> FakeReplica:
    """Return a replica that refuses the items with these names."""
    return FakeReplica(poison=lambda image: image["PK"]["S"] in names)


def metrics(capsys: Captured) -> dict[str, float]:
    """Return the sums of the metrics that were emitted."""
    sums: dict[str, float] = {}
    for line in map(json.loads, capsys.readouterr().out.splitlines()):
        for each in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
            sums[each["Name"]] = sums.get(each["Name"], 0) + sum(line[each["Name"]])
    return sums


def denied() -> None:
    raise s3_error("AccessDenied")


class TestWhatIsProcessed:
    def test_an_object_in_doubt_is_reconciled_and_moved(self) -> None:
        pair = RedrivePair("a")
        name = pair.doubt("a")

        assert pair.redrive() == {"failed": ""}

        assert pair.world.replica.items == {key("a"): item("a")}
        assert pair.s3.names == [f"done/{name}"]

    def test_a_key_of_a_killed_worker_is_reconciled_at_once(self) -> None:
        pair = RedrivePair("a")
        pair.doubt("a", age=0, code=INTERRUPTED)

        pair.redrive()

        assert pair.world.replica.items == {key("a"): item("a")}

    def test_an_object_waits_until_its_write_can_no_longer_land(self) -> None:
        pair = RedrivePair("a")
        pair.doubt("a", age=0, ahead=60)

        pair.clock.pass_by(900 + 60 + 30 - 1)
        pair.redrive()
        assert pair.world.replica.items == {}

        pair.clock.pass_by(1)
        pair.redrive()
        assert pair.world.replica.items == {key("a"): item("a")}

    def test_a_poison_record_is_not_read(self) -> None:
        pair = RedrivePair("a")
        name = pair.world.quarantine("a")

        pair.redrive()

        assert pair.world.replica.requests == []
        assert ("get", name) not in pair.s3.requests
        assert pair.s3.names == [name]

    def test_a_discarded_batch_is_reconciled_and_moved(self) -> None:
        pair = RedrivePair("a", "b")
        name = pair.world.discard("a", "b", "gone")
        pair.world.replica.items[key("gone")] = dict(item("gone"))

        pair.redrive()

        assert pair.world.replica.items == pair.world.source.items
        assert pair.s3.names == [f"done/{name}"]

    def test_the_oldest_object_is_the_first(self, monkeypatch: Patch) -> None:
        order: list[Sequence[Key]] = []
        pair = RedrivePair(reconciled=order.append)
        pair.doubt("a", age=2000)
        pair.world.discard("b", "c", age=4000)
        pair.doubt("d", age=3000)
        monkeypatch.setattr("ddbreplica.redrive.objects.PIECE", 1)

        pair.redrive()

        assert order == [[key("b"), key("c")], [key("d")], [key("a")]]

    def test_nothing_is_done_without_objects(self) -> None:
        pair = RedrivePair()

        assert pair.redrive() == {"failed": ""}
        assert pair.world.replica.requests == []


class TestWhatIsNotReconciled:
    def test_a_key_in_doubt_again_has_one_new_object_however_often(self) -> None:
        pair = RedrivePair("a")
        pair.doubt("a")
        pair.doubt("a")
        pair.world.replica = FakeReplica(script=lambda _: TIMED_OUT)

        for _ in range(4):
            pair.redrive()
            assert pair.codes == [("a", "SuspectWrite")]
            pair.clock.pass_by(1800)

        pair.world.replica = FakeReplica()
        pair.redrive()
        assert (pair.waiting, pair.world.replica.items) == ([], {key("a"): item("a")})

    def test_a_key_that_is_refused_leaves_the_schedule(self, capsys: Captured) -> None:
        pair = RedrivePair("a", "b")
        pair.world.replica = bad("a")
        pair.doubt("a")
        pair.doubt("b")

        pair.redrive()

        assert pair.codes == [("a", "ValidationException")]
        assert pair.waiting[0]["reason"] == "refused by a table: type mismatch for an index key"
        assert metrics(capsys)["RecordsQuarantined"] == 1
        written = len(pair.world.replica.requests)
        pair.clock.pass_by(3600)
        pair.redrive()
        assert len(pair.world.replica.requests) == written

    def test_the_rest_of_a_batch_gets_objects_of_its_own(self) -> None:
        pair = RedrivePair("a", "b", "c")
        pair.world.replica = bad("b")
        name = pair.world.discard("a", "b", "c")

        pair.redrive()

        assert pair.codes == [("b", "ValidationException")]
        assert pair.world.replica.items == {key("a"): item("a"), key("c"): item("c")}
        assert f"done/{name}" in pair.s3.names
        assert name not in pair.s3.names

    def test_an_object_of_its_own_is_written_before_the_batch_is_moved(self) -> None:
        pair = RedrivePair("a", "b")
        pair.world.replica = bad("b")
        name = pair.world.discard("a", "b")
        pair.s3.before_put = denied

        with pytest.raises(TaskError, match="a key that was not reconciled cannot be quarantined"):
            pair.redrive()

        assert name in pair.s3.names

    def test_a_key_in_doubt_whose_object_cannot_be_written_is_not_forgotten(self) -> None:
        """Not even if someone else moves its first object meanwhile."""
        pair = RedrivePair("a")
        name = pair.doubt("a")
        pair.world.replica = FakeReplica(script=in_turn(TIMED_OUT))
        pair.s3.before_put = denied
        with pytest.raises(TaskError, match="may still land"):
            pair.redrive()
        pair.s3.store(name, None)
        pair.s3.before_put = lambda: None

        pair.clock.pass_by(300)
        pair.redrive()

        assert pair.codes == [("a", "SuspectWrite")]

    def test_a_key_that_changes_each_time_stays_in_its_object(self) -> None:
        pair = RedrivePair("a")
        changes(pair, "a")
        name = pair.doubt("a")

        pair.redrive()

        assert pair.s3.names == [name]

    def test_a_key_of_a_batch_that_changes_each_time_is_tried_again(self) -> None:
        pair = RedrivePair("a", "b")
        changes(pair, "a")
        pair.world.discard("a", "b")

        pair.redrive()
        assert pair.codes == [("a", "InterruptedWrite")]

        pair.redrive()
        assert pair.codes == [("a", "InterruptedWrite")]
        assert pair.s3.names[0].startswith("done/aws/lambda/")

    def test_in_an_archive_a_key_without_an_item_needs_review(self, capsys: Captured) -> None:
        pair = RedrivePair("a")
        pair.world.ground = Preflight(mapping(), EVERY_KEY, is_archive=True)
        pair.world.replica.items[key("gone")] = dict(item("gone"))
        pair.world.discard("a", "gone")

        pair.redrive()

        assert pair.codes == [("gone", "NeedsReview")]
        assert pair.world.replica.items == {key("a"): item("a"), key("gone"): item("gone")}
        assert metrics(capsys)["RecordsQuarantined"] == 1

    def test_keys_that_the_filter_excludes_are_not_reconciled(self) -> None:
        pair = RedrivePair("a", "b", "c")
        pair.world.ground = Preflight(mapping(), ONLY_B, is_archive=False)
        pair.world.discard("a", "b")
        pair.doubt("c")

        pair.redrive()

        assert pair.codes == [("a", "ExcludedKey"), ("c", "ExcludedKey")]
        assert pair.world.replica.items == {key("b"): item("b")}

    @pytest.mark.parametrize("content", [b"{", b'{"schema": 9}'])
    def test_an_object_that_cannot_be_read_stays_and_is_read_once(self, content: bytes) -> None:
        pair = RedrivePair()
        name = pair.doubt("a")
        pair.s3.store(name, content, age=3600)

        pair.redrive()
        pair.redrive()

        assert pair.s3.requests.count(("get", name)) == 1
        assert pair.s3.names == [name]

    def test_of_a_batch_with_a_record_of_an_earlier_table_all_else_is_reconciled_once(self) -> None:
        pair = RedrivePair("a", "b")
        name = pair.world.discard("a", "b")
        stored = pair.s3.present(name)
        assert stored
        stored.body = b"2020-11-01T12".join((stored.body or b"").rsplit(b"2026-11-01T12", 1))

        pair.redrive()
        requests = len(pair.world.replica.requests)
        pair.redrive()

        assert pair.s3.names == [name]
        assert len(pair.world.replica.requests) == requests


def changes(pair: RedrivePair, name: str) -> None:
    """Change an item at the source at each read."""
    read = pair.world.source.read_batch
    count = iter(range(1000))

    def changing(keys: Sequence[Key]) -> Any:
        pair.world.source.put({**item(name), "v": {"N": str(next(count))}})
        return read(keys)

    pair.world.source.read_batch = changing  # type: ignore[method-assign]


class TestWhatEndsARun:
    def test_it_ends_as_done_if_another_redrive_runs(self) -> None:
        pair = RedrivePair("a")
        pair.doubt("a")
        inner: list[Any] = []

        def meanwhile(_: Sequence[Key]) -> None:
            if not inner:
                inner.append(None)
                inner[0] = pair.redrive()
                assert pair.notes == ["another redrive runs, so that this one does nothing"]

        pair.world.reconciled = meanwhile
        pair.redrive()

        assert inner == [{"failed": ""}]
        assert pair.world.replica.items == {key("a"): item("a")}

    def test_a_killed_redrive_keeps_the_next_one_from_running_for_less_than_the_interval(self) -> None:
        pair = RedrivePair("a", reconciled=killed)
        pair.doubt("a")
        with pytest.raises(Killed):
            pair.redrive()
        pair.world.reconciled = lambda _: None
        pair.store.objects["jobs/stack/redrive-lease.json"] = json.dumps(
            {"job": "killed", "until": pair.clock.aws + LEASE_SECONDS}
        ).encode()

        pair.clock.pass_by(300)
        pair.redrive()

        assert "another redrive" not in pair.notes[0]

    def test_other_jobs_neither_block_it_nor_are_blocked(self) -> None:
        pair = RedrivePair("a")
        pair.doubt("a")
        lease = json.dumps({"job": "verify-1", "until": pair.clock.aws + 1000}).encode()
        pair.store.objects["jobs/stack/lease.json"] = lease

        pair.redrive()

        assert pair.world.replica.items == {key("a"): item("a")}
        assert pair.store.objects["jobs/stack/lease.json"] == lease

    def test_its_time_is_five_minutes_and_no_key_is_left_open(self, monkeypatch: Patch) -> None:
        pair = RedrivePair("a", "b")
        monkeypatch.setattr("ddbreplica.redrive.objects.PIECE", 1)
        pair.world.reconciled = lambda _: pair.clock.pass_by(241)
        pair.doubt("a", age=2000)
        pair.doubt("b", age=1900)

        assert pair.redrive() == {"failed": ""}

        assert pair.world.replica.items.keys() == {key("a")}
        assert state(pair)["content"]["open"] == []
        assert state(pair)["at_rest"] is True

    def test_a_batch_goes_on_where_the_last_run_ended(self, monkeypatch: Patch) -> None:
        monkeypatch.setattr("ddbreplica.redrive.scheduled.CHUNK_KEYS", 2)
        order: list[Sequence[Key]] = []
        pair = RedrivePair(*"abcd")

        def slow(keys: Sequence[Key]) -> None:
            order.append(keys)
            pair.clock.pass_by(241)

        pair.world.reconciled = slow
        pair.world.discard(*"abcd")

        pair.redrive()
        pair.redrive()

        assert order == [[key("a"), key("b")], [key("c"), key("d")]]
        assert pair.s3.names[0].startswith("done/")

    def test_another_filter_begins_a_batch_again(self, monkeypatch: Patch) -> None:
        monkeypatch.setattr("ddbreplica.redrive.scheduled.CHUNK_KEYS", 2)
        pair = RedrivePair(*"abcd")
        pair.world.reconciled = lambda _: pair.clock.pass_by(241)
        pair.world.discard(*"abcd")
        pair.redrive()
        pair.world.replica.items.clear()
        pair.world.reconciled = lambda _: None
        ground = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": ["a", "c", "d"]}}}}'])
        pair.world.ground = Preflight(mapping(), ground, is_archive=False)

        pair.redrive()

        assert pair.world.replica.items.keys() == {key("a"), key("c"), key("d")}

    def test_the_deadline_of_the_invocation_ends_it_earlier(self) -> None:
        pair = RedrivePair("a")
        pair.doubt("a")

        assert pair.redrive(timeout=59) == {"failed": ""}

        assert pair.world.replica.requests == []

    @pytest.mark.parametrize(("records", "is_done"), [(100, True), (101, False)])
    def test_it_waits_while_too_many_records_were_quarantined(self, records: int, is_done: bool) -> None:
        pair = RedrivePair("a")
        for number in range(records):
            pair.world.quarantine(f"p{number}", age=3599)
        pair.world.quarantine("earlier", age=3601)
        pair.doubt("a")

        assert pair.redrive() == {"failed": ""}

        assert bool(pair.world.replica.items) is is_done
        assert any("101 records were quarantined" in note for note in pair.notes) is not is_done

    def test_records_in_doubt_are_not_too_many(self) -> None:
        """A request that got no response has 25 of them."""
        pair = RedrivePair("a")
        for _ in range(150):
            pair.doubt("a", age=1000)

        pair.redrive()

        assert pair.waiting == []

    def test_a_replica_that_refuses_everything_is_no_poison(self) -> None:
        names = [f"n{number}" for number in range(150)]
        pair = RedrivePair(*names)
        pair.world.replica = bad(*names)
        pair.world.discard(*names)

        with pytest.raises(TaskError, match="records in a row"):
            pair.redrive()

        assert pair.codes == []

    def test_a_mapping_of_an_earlier_stream_is_refused(self) -> None:
        pair = RedrivePair("a")
        pair.world.ground = Preflight(
            mapping(stream_arn=mapping().stream_arn + "1"), EVERY_KEY, is_archive=False
        )
        pair.doubt("a")

        with pytest.raises(TaskError, match="no event source mapping"):
            pair.redrive()

        assert pair.world.replica.requests == []

    def test_a_mapping_that_is_stopped_is_noted(self) -> None:
        pair = RedrivePair("a")
        pair.world.ground = Preflight(mapping(state="Disabled"), EVERY_KEY, is_archive=False)
        pair.doubt("a")

        pair.redrive()

        assert "is Disabled" in pair.notes[0]
        assert pair.waiting == []


@pytest.mark.hazard(number=4)
def test_a_replica_that_is_being_deleted_makes_no_poison() -> None:
    pair = RedrivePair("a")
    pair.world.replica = bad("a")
    pair.doubt("a")
    source, replica = pair.world.tables
    deleting = type(replica)(
        replica.side,
        type(replica.table)(replica.table.arn, "DELETING", replica.table.key_schema),
        replica.description,
    )
    pair.world.tables = source, deleting

    with pytest.raises(TaskError, match="the table's status is DELETING"):
        pair.redrive()

    assert pair.codes == [("a", "SuspectWrite")]


class Killed(BaseException):
    """The worker was killed."""


def killed(_: Sequence[Key]) -> None:
    raise Killed


def state(pair: RedrivePair) -> Any:
    """Return the state of the redrives."""
    (body,) = (
        body
        for name, body in pair.store.objects.items()
        if name.startswith("jobs/stack/redrive-") and "lease" not in name
    )
    return json.loads(body)


def kill(pair: RedrivePair) -> None:
    """Run a redrive that is killed after it has opened its keys, and let the interval of the schedule pass."""
    pair.world.reconciled = killed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RedriveJournal, "leave", lambda _: None)
        with pytest.raises(Killed):
            pair.redrive()
    pair.world.reconciled = lambda _: None
    pair.clock.pass_by(300)


class TestAKilledRedrive:
    def test_its_keys_wait_until_its_writes_can_no_longer_land(self) -> None:
        pair = RedrivePair("a")
        pair.doubt("a")
        kill(pair)
        assert state(pair)["content"]["open"]
        pair.redrive()

        # Its invocation may go on until 900 s after its start, and a write of it lands up to 930 s later.
        pair.clock.pass_by(900 + 930 - 300 - 1)
        pair.redrive()
        assert pair.world.replica.items == {}
        assert pair.codes == [("a", "SuspectWrite")]

        pair.clock.pass_by(30)
        pair.redrive()
        assert pair.world.replica.items == {key("a"): item("a")}
        assert pair.waiting == []
        assert state(pair)["content"]["predecessors"] == []

    def test_its_keys_are_quarantined_if_their_object_is_gone(self) -> None:
        pair = RedrivePair("a")
        name = pair.doubt("a")
        kill(pair)
        pair.redrive()
        pair.s3.store(name, None)
        pair.world.replica.items[key("a")] = {"PK": {"S": "a"}, "late": {"N": "1"}}

        pair.clock.pass_by(1800)
        pair.redrive()

        assert pair.world.replica.items == {key("a"): item("a")}
        assert pair.waiting == []
        assert state(pair)["content"]["predecessors"] == []

    def test_a_batch_waits_as_a_whole_for_a_key_that_is_held_back(self) -> None:
        pair = RedrivePair("a", "b", "c")
        pair.world.replica = bad("c")
        name = pair.doubt("a", age=9000)
        kill(pair)
        pair.s3.store(name, None)
        batch = pair.world.discard("a", "b", "c")

        for _ in range(3):
            pair.redrive()
            assert (pair.codes, pair.world.replica.items) == ([], {})
            assert batch in pair.s3.names

        pair.clock.pass_by(1800)
        pair.redrive()
        assert pair.world.replica.items == {key("a"): item("a"), key("b"): item("b")}
        assert pair.codes == [("c", "ValidationException")]
        assert f"done/{batch}" in pair.s3.names

    def test_a_redrive_that_lost_the_state_ends_without_an_error(self) -> None:
        pair = RedrivePair("a")
        pair.doubt("a")
        inner: list[Any] = []

        def taken(_: Sequence[Key]) -> None:
            if not inner:
                inner.append(pair.redrive(job="redrive-1"))

        pair.world.reconciled = taken

        assert pair.redrive(job="redrive-1") == {"failed": ""}
        assert inner == [{"failed": ""}]
        assert "another redrive has taken over" in pair.notes


@pytest.mark.parametrize("is_same", [True, False])
def test_keys_of_an_abandoned_job_are_reconciled_unless_a_table_was_recreated(is_same: bool) -> None:
    pair = RedrivePair("a")
    source, replica = pair.world.tables
    plan = replace(
        PLAN,
        what="backfill",
        function="an earlier function of these tables",
        segments=1,
        lines=1,
        pair=identity(source, replica if is_same else described("copy", created=NOW)),
    )
    objects = JobObjects(pair.store, "stack", "job-1")
    objects.create("plan.json", plan.body)
    state = FencedState.take(
        pair.store, objects.state("segment", 0), plan=plan.digest, owner=Owner.until(pair.clock.aws)
    )
    StateJournal(state, clock=pair.clock).intend([key("a")])
    pair.s3.store(objects.state("segment", 0), b"", age=0)

    for _ in range(20):
        pair.clock.pass_by(300)
        pair.redrive()

    assert pair.world.replica.items == ({key("a"): item("a")} if is_same else {})
    assert pair.waiting == []


def test_the_hours_since_the_last_verification_are_emitted(capsys: Captured) -> None:
    pair = RedrivePair()

    pair.redrive()

    # Both tables were created on the first of the month, and none was verified.
    assert metrics(capsys) == {"HoursSinceVerification": pytest.approx(27 * 24 + 6, abs=0.01)}


def test_a_record_that_cannot_be_read_does_not_end_it(capsys: Captured) -> None:
    pair = RedrivePair("a")
    pair.doubt("a")
    pair.s3.store("verifications/copy/2026-11-28T17:00:00.000000Z.json", b"{")

    pair.redrive()

    assert metrics(capsys) == {}
    assert "the last verification is unknown" in pair.notes[0]
    assert pair.waiting == []
