"""`ddbreplica redrive` on moto: which items are repaired, which objects are moved, and which stay."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError

from ddbreplica.model import SUSPECT
from ddbreplica.reconcile.journal_format import REDRIVE
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, press_ctrl_c, refusal, run
from tests.support.kept_records import ON_FAILURE, QUARANTINE, KeptRecords, answer_mapping, recreate_source
from tests.support.kill_at import KilledError, kill_at
from tests.support.killed import Killed
from tests.support.machine import Machine
from tests.support.records import STREAM, delete, put, record
from tests.support.wire import error, response

HALF_AN_HOUR = 1800
"""The time for which a write may land if the clock of its sender is unknown."""

STATE = Path("logfile-logfile_replica.redrive")


def redrive(*args: str, exit_code: int = 0) -> Any:
    """Run redrive and return its JSON document."""
    result = run("redrive", "--json", *args)
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def outcomes(document: Any) -> dict[str, str]:
    """Return the outcomes of the objects that stay, by name."""
    return {left["object"].split("/", 3)[3]: left["outcome"] for left in document["left"]}


class TestReconciling:
    def test_an_item_that_was_fixed_arrives_and_its_object_is_moved(
        self, tables: Tables, kept_records: KeptRecords
    ) -> None:
        tables.put(SOURCE, "a", state={"S": "fixed"})
        tables.put(REPLICA, "a", state={"S": "old"})
        name = kept_records.quarantine(put(1, "a", state={"S": "poison"}))
        body = kept_records.body(QUARANTINE, name)

        result = run("redrive")

        assert result.exit_code == 0
        assert lines(result.stdout) == [
            "objects                 1",
            "repaired                1",
            "keys repaired           1",
        ]
        assert tables.items(REPLICA)["a"]["state"] == {"S": "fixed"}
        assert kept_records.names(QUARANTINE) == [f"done/{name}"]
        assert kept_records.body(QUARANTINE, f"done/{name}") == body

    def test_a_moved_object_has_its_outcome_as_metadata(
        self, tables: Tables, kept_records: KeptRecords
    ) -> None:
        name = kept_records.discard(put(1, "a"), put(2, "b"), put(3, "a"))

        redrive()

        moved = kept_records.client.head_object(Bucket=ON_FAILURE, Key=f"done/{name}")
        assert moved["Metadata"] == {"outcome": "healed", "keys": "2"}

    def test_an_item_deleted_since_is_not_brought_back(
        self, tables: Tables, kept_records: KeptRecords
    ) -> None:
        tables.put(REPLICA, "a", state={"S": "old"})
        kept_records.quarantine(put(1, "a", state={"S": "poison"}))

        redrive()

        assert tables.items(REPLICA) == {}

    def test_every_item_of_a_discarded_batch_is_repaired(
        self, tables: Tables, kept_records: KeptRecords
    ) -> None:
        tables.put(REPLICA, "gone")
        for number in range(250):
            tables.put(SOURCE, f"item{number}", n={"N": str(number)})
        name = kept_records.discard(delete(1, "gone"), *(put(n + 2, f"item{n}") for n in range(250)))

        document = redrive()

        assert (document["healed"], document["keys_healed"]) == (1, 251)
        assert tables.items(REPLICA) == tables.items(SOURCE)
        assert kept_records.names(ON_FAILURE) == [f"done/{name}"]

    def test_an_item_of_many_objects_is_repaired_once(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        pks = [f"item{number}" for number in range(150)]
        for pk in pks:
            tables.put(SOURCE, pk)
        for _ in range(2):
            kept_records.discard(*(put(1, pk) for pk in pks))
        sent: list[str] = []
        aws.on(
            "before-send.dynamodb.BatchWriteItem",
            lambda request, **_: sent.extend(
                written["PutRequest"]["Item"]["PK"]["S"]
                for written in json.loads(request.body)["RequestItems"][REPLICA]
            ),
        )

        assert redrive()["healed"] == 2
        assert sorted(sent) == sorted(pks)

    def test_more_objects_than_are_held_at_a_time(self, tables: Tables, kept_records: KeptRecords) -> None:
        for number in range(45):
            tables.put(SOURCE, f"item{number}")
            kept_records.quarantine(put(number, f"item{number}"))

        assert redrive()["healed"] == 45
        assert tables.items(REPLICA) == tables.items(SOURCE)
        assert all(name.startswith("done/") for name in kept_records.names(QUARANTINE))

    def test_nothing_there_is_nothing_to_do(self, kept_records: KeptRecords) -> None:
        document = redrive()

        assert (document["objects"], document["left"]) == (0, [])

    def test_an_object_that_was_just_stored(self, kept_records: KeptRecords) -> None:
        kept_records.quarantine(put(1, "a"), age=-0.9)

        assert redrive()["healed"] == 1

    def test_an_object_in_done_is_not_processed_again(self, kept_records: KeptRecords) -> None:
        kept_records.quarantine(put(1, "a"))
        redrive()

        assert redrive()["objects"] == 0

    def test_buckets_of_the_options(self, tables: Tables, kept_records: KeptRecords) -> None:
        for bucket in ("old-quarantine", "old-failures"):
            kept_records.client.create_bucket(Bucket=bucket)
        name = kept_records.quarantine(put(1, "a"))
        kept_records.put("old-quarantine", name, kept_records.body(QUARANTINE, name))

        redrive("--quarantine-bucket", "old-quarantine", "--on-failure-bucket", "old-failures")

        assert kept_records.names("old-quarantine") == [f"done/{name}"]
        assert kept_records.names(QUARANTINE) == [name]


class TestWaiting:
    """An in-doubt write may land for some time, and would undo a repair."""

    @pytest.mark.parametrize(("age", "outcome"), [(HALF_AN_HOUR - 60, "waiting"), (HALF_AN_HOUR, None)])
    def test_an_in_doubt_record(self, kept_records: KeptRecords, age: float, outcome: str | None) -> None:
        name = kept_records.quarantine(put(1, "a"), code=SUSPECT, age=age)

        document = redrive(exit_code=1 if outcome else 0)

        assert outcomes(document).get(name) == outcome

    @pytest.mark.parametrize(("age", "outcome"), [(HALF_AN_HOUR - 60, "waiting"), (HALF_AN_HOUR, None)])
    def test_a_discarded_batch(self, kept_records: KeptRecords, age: float, outcome: str | None) -> None:
        name = kept_records.discard(put(1, "a"), age=age)

        document = redrive(exit_code=1 if outcome else 0)

        assert outcomes(document).get(name) == outcome

    def test_a_poison_record_does_not_wait(self, kept_records: KeptRecords) -> None:
        kept_records.quarantine(put(1, "a"), age=0)

        assert redrive()["healed"] == 1

    def test_the_time_of_the_next_run_is_shown(self, kept_records: KeptRecords) -> None:
        kept_records.quarantine(put(1, "a"), code=SUSPECT, age=HALF_AN_HOUR - 150)

        result = run("redrive")

        assert lines(result.stdout)[-2:] == [
            '             PK={"S": "a"}',
            "             an in-doubt write may still change the replica for 3 more minutes",
        ]
        assert re.fullmatch(
            (
                r"Try: run redrive again after \d\d:\d\d UTC; until then an in-doubt write may still"
                r" change the replica\.\n"
            ),
            result.stderr,
        )

    def test_a_write_of_its_own_without_a_response(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour, machine: Machine
    ) -> None:
        tables.put(SOURCE, "a", state={"S": "fixed"})
        first = kept_records.quarantine(put(1, "a"))
        once(aws, "dynamodb.BatchWriteItem", ReadTimeoutError(endpoint_url="x"))

        assert outcomes(redrive(exit_code=1)) == {first: "waiting"}

        (in_doubt,) = set(kept_records.names(QUARANTINE)) - {first}
        kept = json.loads(kept_records.body(QUARANTINE, in_doubt))
        assert kept["error_code"] == SUSPECT
        assert kept["record"]["dynamodb"] == {"Keys": {"PK": {"S": "a"}}}
        assert outcomes(redrive(exit_code=1)) == {first: "waiting", in_doubt: "waiting"}
        kept_records.make_older(QUARANTINE, in_doubt, HALF_AN_HOUR)
        machine.pass_by(HALF_AN_HOUR)
        assert redrive()["healed"] == 2
        assert not STATE.exists()


class TestState:
    """A run that was killed while it wrote the items `a` and `b`."""

    @pytest.fixture(autouse=True)
    def _kill(self, tables: Tables, kept_records: KeptRecords) -> None:
        for pk in ("a", "b"):
            tables.put(SOURCE, pk, state={"S": "old"})
        self.name = kept_records.discard(put(1, "a"), put(2, "b"))
        self.killed = Killed(REDRIVE, tables, "a", "b")

    def test_an_object_that_keeps_its_keys_waits(self, kept_records: KeptRecords, machine: Machine) -> None:
        document = redrive(exit_code=1)

        assert outcomes(document) == {self.name: "waiting"}
        assert document["keys_in_doubt"] == 2
        machine.pass_by(HALF_AN_HOUR)
        assert redrive()["healed"] == 1
        assert not STATE.exists()

    @pytest.mark.usefixtures("kept_records")
    def test_a_write_that_lands_after_the_next_run_is_repaired_by_the_one_after_it(
        self, tables: Tables, machine: Machine
    ) -> None:
        redrive(exit_code=1)
        for pk in ("a", "b"):
            tables.put_both(pk, state={"S": "new"})
        self.killed.land()
        machine.pass_by(HALF_AN_HOUR)

        assert redrive()["healed"] == 1
        assert tables.items(REPLICA) == tables.items(SOURCE)

    def test_its_keys_are_reconciled_although_their_object_is_gone(
        self, tables: Tables, kept_records: KeptRecords, machine: Machine
    ) -> None:
        kept_records.client.delete_object(Bucket=ON_FAILURE, Key=self.name)

        result = run("redrive")
        assert result.exit_code == 1
        assert lines(result.stdout) == [
            "objects                 0",
            "keys repaired           0",
            "in doubt                2",
        ]
        assert lines(result.stderr)[0] == "Resuming from logfile-logfile_replica.redrive."
        assert lines(result.stderr)[1].startswith("Try: run redrive again after ")
        self.killed.land()
        tables.put(SOURCE, "a", state={"S": "new"})
        machine.pass_by(HALF_AN_HOUR)

        assert lines(run("redrive").stdout)[-1] == "keys resumed            2"
        assert tables.items(REPLICA) == tables.items(SOURCE)
        assert not STATE.exists()

    def test_a_key_that_cannot_be_written_is_listed_and_stays(
        self, kept_records: KeptRecords, machine: Machine, aws: Misbehaviour
    ) -> None:
        kept_records.client.delete_object(Bucket=ON_FAILURE, Key=self.name)
        redrive(exit_code=1)
        machine.pass_by(HALF_AN_HOUR)
        refuse_item(aws, "b")

        result = run("redrive")

        assert result.exit_code == 1
        assert lines(result.stdout)[2:] == [
            "keys resumed            1",
            "",
            'unwritable   PK={"S": "b"}',
            "             ValidationException: wrong index type",
        ]
        assert redrive(exit_code=1)["left_keys"] == [
            {
                "outcome": "unwritable",
                "key": {"PK": {"S": "b"}},
                "reason": "ValidationException: wrong index type",
            }
        ]

    def test_an_undecided_key_is_listed_once(
        self, tables: Tables, kept_records: KeptRecords, machine: Machine
    ) -> None:
        kept_records.client.delete_object(Bucket=ON_FAILURE, Key=self.name)
        redrive(exit_code=1)
        machine.pass_by(HALF_AN_HOUR)
        tables.delete(SOURCE, "a")

        assert [left["outcome"] for left in redrive("--archive", exit_code=1)["left_keys"]] == ["undecided"]
        assert redrive("--archive")["left_keys"] == []

    def test_a_key_that_the_filter_excludes_now_is_listed_once(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        kept_records.client.delete_object(Bucket=ON_FAILURE, Key=self.name)
        answer_mapping(tables, aws, patterns=[{"dynamodb": {"Keys": {"PK": {"S": ["c"]}}}}])

        assert [left["outcome"] for left in redrive(exit_code=1)["left_keys"]] == ["outside"] * 2
        assert redrive()["left_keys"] == []

    @pytest.mark.usefixtures("kept_records")
    def test_a_dry_run_reports_the_state_and_changes_nothing(self) -> None:
        before = STATE.read_bytes()

        result = run("redrive", "--dry-run")

        assert result.exit_code == 0
        assert lines(result.stderr)[0].startswith(
            "Note: logfile-logfile_replica.redrive is the state file of a `ddbreplica redrive` that is running or was"
            " interrupted. Until"
        )
        assert STATE.read_bytes() == before

    @pytest.mark.usefixtures("kept_records")
    def test_a_state_of_tables_that_were_recreated_is_refused(self, tables: Tables) -> None:
        tables.client.delete_table(TableName=REPLICA)
        tables.create_logfile(REPLICA)

        result = run("redrive")

        assert lines(result.stderr)[0].startswith(
            "Error: logfile-logfile_replica.redrive is the state file of a redrive with other tables"
            " or options: its replica is arn:aws:dynamodb:"
        )
        assert STATE.exists()

    @pytest.mark.usefixtures("kept_records")
    def test_another_file_may_be_named(self) -> None:
        assert outcomes(redrive("--state", "other")) == {}
        assert not Path("other").exists()


class TestStaying:
    def test_an_item_that_the_replica_still_refuses_stays_and_its_neighbours_do_not(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        for pk in ("bad", "good"):
            tables.put(SOURCE, pk)
        bad, good = kept_records.quarantine(put(1, "bad")), kept_records.quarantine(put(2, "good"))
        refuse_item(aws, "bad")

        result = run("redrive")

        assert result.exit_code == 1
        assert lines(result.stdout) == [
            "objects                 2",
            "repaired                1",
            "unwritable              1",
            "keys repaired           1",
            "",
            f"unwritable   s3://{QUARANTINE}/{bad}",
            '             PK={"S": "bad"}',
            "             ValidationException: wrong index type",
        ]
        assert lines(result.stderr) == [
            "Try: fix the items in the source, or the replica's indexes, and run redrive again."
        ]
        assert sorted(kept_records.names(QUARANTINE)) == sorted([bad, f"done/{good}"])
        assert list(tables.items(REPLICA)) == ["good"]

    def test_a_batch_of_which_one_item_is_refused_stays_whole(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        for pk in ("bad", "good"):
            tables.put(SOURCE, pk)
        name = kept_records.discard(put(1, "bad"), put(2, "good"))
        refuse_item(aws, "bad")

        document = redrive(exit_code=1)

        assert document["left"] == [
            {
                "outcome": "unwritable",
                "object": f"s3://{ON_FAILURE}/{name}",
                "reason": "ValidationException: wrong index type",
                "keys": [{"PK": {"S": "bad"}}],
                "more_keys": 0,
            }
        ]
        assert list(tables.items(REPLICA)) == ["good"]

    @pytest.mark.parametrize(
        "broken", [None, "text", {}, {"dynamodb": {"Keys": {}}}, record(1, "INSERT", {"PK": 1})]
    )
    def test_a_record_without_a_key_stays(self, kept_records: KeptRecords, broken: Any) -> None:
        name = kept_records.quarantine(broken)

        assert outcomes(redrive(exit_code=1)) == {name: "keyless"}
        assert kept_records.names(QUARANTINE) == [name]

    def test_the_other_items_of_its_batch_are_repaired(
        self, tables: Tables, kept_records: KeptRecords
    ) -> None:
        tables.put(SOURCE, "a")
        name = kept_records.discard(
            put(1, "a"), put(2, "b") | {"dynamodb": put(2, "b")["dynamodb"] | {"Keys": {}}}
        )

        assert outcomes(redrive(exit_code=1)) == {name: "keyless"}
        assert list(tables.items(REPLICA)) == ["a"]

    def test_an_item_that_changes_all_the_time(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        tables.put(SOURCE, "a", n={"N": "0"})
        name = kept_records.quarantine(put(1, "a"))
        writer, count = tables.client, iter(range(1, 100))
        aws.on(
            "before-send.dynamodb.BatchGetItem",
            lambda **_: (
                writer.put_item(TableName=SOURCE, Item={"PK": {"S": "a"}, "n": {"N": str(next(count))}})
                and None
            ),
        )

        assert outcomes(redrive(exit_code=1)) == {name: "unsettled"}


class TestOfOthers:
    @pytest.mark.parametrize(
        "body",
        [b"", b"text", b"[]", b"{}", b'{"schema": 2, "record": {}}', b'{"schema": 1}', b"[" * 100_000],
    )
    def test_an_object_that_the_function_did_not_store(self, kept_records: KeptRecords, body: bytes) -> None:
        name = f"quarantine/{REPLICA}/notes.txt"
        kept_records.put(QUARANTINE, name, body)

        assert outcomes(redrive(exit_code=1)) == {name: "unreadable"}
        assert kept_records.names(QUARANTINE) == [name]

    @pytest.mark.parametrize("payload", ["", "[]", "{}", '{"Records": 1}', '{"Records": []}'])
    def test_an_object_that_lambda_did_not_store(self, kept_records: KeptRecords, payload: str) -> None:
        name = kept_records.discard(put(1, "a"))
        content = json.loads(kept_records.body(ON_FAILURE, name)) | {"payload": payload}
        kept_records.put(ON_FAILURE, name, json.dumps(content).encode())

        assert outcomes(redrive(exit_code=1)) == {name: "unreadable"}

    def test_an_object_that_is_too_large_is_not_even_read(
        self, kept_records: KeptRecords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ddbreplica.redrive.objects.MAX_OBJECT", 10)
        name = kept_records.quarantine(put(1, "a"))

        assert outcomes(redrive(exit_code=1)) == {name: "unreadable"}

    def test_objects_that_stay_do_not_keep_a_run_from_later_objects(
        self, kept_records: KeptRecords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A bucket may hold more names than memory can."""
        monkeypatch.setattr("ddbreplica.redrive.job.LISTED_AT_A_TIME", 2)
        for number in range(5):
            kept_records.put(QUARANTINE, f"quarantine/{REPLICA}/!{number}", b"no record")
        name = kept_records.quarantine(put(1, "a"))

        done = redrive(exit_code=1)

        assert (done["objects"], done["unreadable"], done["healed"]) == (6, 5, 1)
        assert f"done/{name}" in kept_records.names(QUARANTINE)

    def test_objects_that_have_no_room_in_the_result_are_counted(
        self, kept_records: KeptRecords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ddbreplica.redrive.bounded_list.ROOM", 240)
        for number in range(5):
            kept_records.put(QUARANTINE, f"quarantine/{REPLICA}/{number}", b"no record")

        done = redrive(exit_code=1)
        assert (len(done["left"]), done["more_left"], done["unreadable"]) == (3, 2, 5)

        shown = lines(run("redrive").stdout)
        assert "not listed              2" in shown
        assert sum(line.startswith("unreadable   s3://") for line in shown) == 3

    def test_an_object_that_is_not_listed_is_waited_for_too(
        self, kept_records: KeptRecords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ddbreplica.redrive.bounded_list.ROOM", 0)
        kept_records.discard(put(1, "a"), age=0)

        result = run("redrive")

        assert result.exit_code == 1
        assert lines(result.stderr)[-1].startswith("Try: run redrive again after ")

    def test_an_object_that_grew_since_it_was_listed_is_left(
        self, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        name = kept_records.quarantine(put(1, "a"))
        body = kept_records.body(QUARANTINE, name)
        larger = body.replace(b"why", b"why" * 10)
        writer: Any = boto3.client("s3", region_name="us-east-1")
        calls = iter([True])

        def replaced(**_: Any) -> None:
            if next(calls, False):
                writer.put_object(Bucket=QUARANTINE, Key=name, Body=larger)

        aws.on("before-call.s3.GetObject", replaced)

        assert outcomes(redrive()) == {name: "gone"}
        assert kept_records.body(QUARANTINE, name) == larger

    def test_records_of_another_table(self, kept_records: KeptRecords) -> None:
        foreign = {"eventSourceARN": STREAM.replace("table/logfile", "table/other")}
        kept = kept_records.quarantine(put(1, "a") | foreign)
        discarded = kept_records.discard(put(1, "a") | foreign)

        assert outcomes(redrive()) == {kept: "foreign", discarded: "foreign"}
        assert kept_records.names(QUARANTINE) == [kept]
        assert kept_records.names(ON_FAILURE) == [discarded]

    def test_records_that_were_sent_to_another_function(self, kept_records: KeptRecords) -> None:
        name = kept_records.discard(put(1, "a"))
        body = kept_records.body(ON_FAILURE, name).replace(b"function:ddbreplica", b"function:another")
        kept_records.put(ON_FAILURE, name, body)

        document = redrive()

        assert document["left"][0]["outcome"] == "foreign"
        assert document["left"][0]["reason"] == (
            "it was sent to the function arn:aws:lambda:us-east-1:123456789012:function:another"
        )
        kept_records.make_older(ON_FAILURE, name, HALF_AN_HOUR)
        assert redrive("--on-failure-bucket", ON_FAILURE)["healed"] == 1

    def test_a_version_of_the_function_is_the_function(self, kept_records: KeptRecords) -> None:
        name = kept_records.discard(put(1, "a"))
        body = kept_records.body(ON_FAILURE, name).replace(
            b"function:ddbreplica", b"function:ddbreplica:$LATEST"
        )
        kept_records.put(ON_FAILURE, name, body)
        kept_records.make_older(ON_FAILURE, name, HALF_AN_HOUR)

        assert redrive()["healed"] == 1

    def test_records_of_another_replica_are_not_read(self, kept_records: KeptRecords) -> None:
        name = kept_records.quarantine(put(1, "a"), replica=f"{REPLICA}_2")
        kept_records.put(ON_FAILURE, "something-else", b"")

        assert redrive()["objects"] == 0
        assert kept_records.names(QUARANTINE) == [name]


class TestEarlierTable:
    """The source was deleted and restored. Items that the backup lacks may exist only in the replica."""

    EARLIER = STREAM.replace("2026-11-01", "2026-09-01")

    def test_the_replicas_only_copy_stays_with_its_object(
        self, tables: Tables, kept_records: KeptRecords
    ) -> None:
        for pk in ("kept", "given up"):
            tables.put(REPLICA, pk)
        tables.put(SOURCE, "new")
        names = [
            kept_records.quarantine(put(1, "kept") | {"eventSourceARN": self.EARLIER}),
            kept_records.discard(put(2, "given up") | {"eventSourceARN": self.EARLIER}),
        ]
        kept_records.quarantine(put(3, "new"))

        assert outcomes(redrive("--dry-run"))[names[0]] == "earlier"
        result = run("redrive")

        assert result.exit_code == 1
        assert lines(result.stdout)[4:8] == [
            "",
            f"earlier      s3://{QUARANTINE}/{names[0]}",
            '             PK={"S": "kept"}',
            "             the record is older than the source table, which was recreated",
        ]
        assert lines(result.stderr) == [
            (
                "Try: compare the earlier items with `ddbreplica verify --keys-from FILE`; the replica"
                " may hold the only"
                " copy. Write each back to the source, or delete it from the replica. Then move the object to done/."
            )
        ]
        assert outcomes(redrive(exit_code=1)) == dict.fromkeys(names, "earlier")
        assert sorted(tables.items(REPLICA)) == ["given up", "kept", "new"]

    def test_a_batch_of_two_tables_stays_and_the_present_ones_items_are_reconciled(
        self, tables: Tables, kept_records: KeptRecords
    ) -> None:
        tables.put(REPLICA, "only copy")
        tables.put(SOURCE, "a")
        name = kept_records.discard(put(2, "a"), put(1, "only copy") | {"eventSourceARN": self.EARLIER})

        document = redrive(exit_code=1)

        assert document["left"][0]["keys"] == [{"PK": {"S": "only copy"}}]
        assert outcomes(document) == {name: "earlier"}
        assert sorted(tables.items(REPLICA)) == ["a", "only copy"]
        assert kept_records.names(ON_FAILURE) == [name]

    def test_a_record_of_a_command_is_as_old_as_its_object(
        self, tables: Tables, kept_records: KeptRecords
    ) -> None:
        tables.put(REPLICA, "a")
        without_label = put(1, "a") | {"eventSourceARN": STREAM.partition("/stream/")[0]}
        name = kept_records.quarantine(without_label, code=SUSPECT, age=3600)
        recreate_source(datetime.now(UTC) - timedelta(seconds=3590))

        assert outcomes(redrive(exit_code=1)) == {name: "earlier"}
        assert list(tables.items(REPLICA)) == ["a"]

        recreate_source(datetime.now(UTC) - timedelta(seconds=3610))

        assert redrive()["healed"] == 1
        assert tables.items(REPLICA) == {}

    def test_an_object_that_cannot_be_reconciled_is_not_waited_for(self, kept_records: KeptRecords) -> None:
        name = kept_records.discard(put(1, "a") | {"eventSourceARN": self.EARLIER}, age=0)

        assert outcomes(redrive(exit_code=1)) == {name: "earlier"}

    def test_a_stream_that_was_enabled_later_is_of_the_present_table(
        self, tables: Tables, kept_records: KeptRecords
    ) -> None:
        tables.put(REPLICA, "a")
        kept_records.quarantine(put(1, "a") | {"eventSourceARN": STREAM.replace("2026-11-01", "2026-10-02")})

        assert redrive()["healed"] == 1
        assert tables.items(REPLICA) == {}


class TestMoving:
    def test_only_what_was_read_is_removed(self, kept_records: KeptRecords, aws: Misbehaviour) -> None:
        name = kept_records.quarantine(put(1, "a"))
        aws.on("before-call.s3.DeleteObject", lambda **_: kept_records.put(QUARANTINE, name, b"newer"))

        assert outcomes(redrive()) == {name: "gone"}
        assert kept_records.body(QUARANTINE, name) == b"newer"

    def test_only_what_was_read_is_copied(self, kept_records: KeptRecords, aws: Misbehaviour) -> None:
        # moto does not look at the condition, so the request has to tell.
        name = kept_records.quarantine(put(1, "a"))
        etag = kept_records.client.head_object(Bucket=QUARANTINE, Key=name)["ETag"]
        headers: list[Any] = []
        aws.on("before-call.s3.CopyObject", lambda params, **_: headers.append(params["headers"]))

        redrive()

        assert headers[0]["x-amz-copy-source-if-match"] == etag

    def test_a_record_that_is_stored_meanwhile_is_left_for_the_next_run(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        kept_records.quarantine(put(1, "a"))
        later: list[str] = []

        def put_another(**_: Any) -> None:
            if not later:
                later.append("")
                later[0] = kept_records.quarantine(put(2, "a"))

        aws.on("before-call.s3.GetObject", put_another)

        assert redrive()["healed"] == 1
        assert later[0] in kept_records.names(QUARANTINE)

    def test_another_process_was_faster(self, kept_records: KeptRecords, aws: Misbehaviour) -> None:
        name = kept_records.quarantine(put(1, "a"))
        remover = kept_records.client
        aws.on(
            "before-call.s3.GetObject",
            lambda **_: remover.delete_object(Bucket=QUARANTINE, Key=name) and None,
        )

        assert outcomes(redrive()) == {name: "gone"}

    def test_killed_at_any_call_nothing_is_lost_and_the_next_run_ends_it(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour, machine: Machine
    ) -> None:
        tables.put(SOURCE, "a", state={"S": "fixed"})
        kills = 0
        while True:
            tables.delete(REPLICA, "a")
            name = kept_records.quarantine(put(kills, "a"))
            is_killed = kill_at(aws, kills)
            with suppress(KilledError):
                run("redrive")
            if not is_killed():
                break
            assert {name, f"done/{name}"} & set(kept_records.names(QUARANTINE))
            kills += 1
            run("redrive")  # which may find the item held back
            machine.pass_by(HALF_AN_HOUR)
            assert redrive()["left"] == []
            assert name not in kept_records.names(QUARANTINE)
            assert f"done/{name}" in kept_records.names(QUARANTINE)
            assert tables.items(REPLICA)["a"]["state"] == {"S": "fixed"}
        assert kills > 8


class TestRates:
    @pytest.fixture
    def taken(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float | None, float]]:
        """Record the units waited for, by rate; the waits end at once."""
        taken: list[tuple[float | None, float]] = []
        monkeypatch.setattr(
            "ddbreplica.dynamodb.rate.Rate.take", lambda self, units: taken.append((self.per_second, units))
        )
        return taken

    def test_reads_and_writes_wait_for_theirs(
        self, tables: Tables, kept_records: KeptRecords, taken: list[tuple[float | None, float]]
    ) -> None:
        tables.put(SOURCE, "a")
        kept_records.quarantine(put(1, "a"))

        redrive("--rate", "5", "--read-rate", "7")

        assert taken == [(7, 1), (5, 1), (7, 1)]

    def test_with_on_demand_capacity_there_is_no_wait_without_a_rate(
        self, tables: Tables, kept_records: KeptRecords, taken: list[tuple[float | None, float]]
    ) -> None:
        kept_records.quarantine(put(1, "a"))

        redrive()

        assert taken == []

    def test_of_provisioned_reads_a_quarter_is_taken(
        self, tables: Tables, kept_records: KeptRecords, taken: list[tuple[float | None, float]]
    ) -> None:
        tables.client.update_table(
            TableName=SOURCE,
            BillingMode="PROVISIONED",
            ProvisionedThroughput={"ReadCapacityUnits": 40, "WriteCapacityUnits": 5},
        )
        kept_records.quarantine(put(1, "a"))

        redrive()

        assert {rate for rate, _ in taken} == {10}


class TestOptions:
    def test_a_dry_run_changes_nothing_and_lists_the_objects(
        self, tables: Tables, kept_records: KeptRecords
    ) -> None:
        tables.put(SOURCE, "a")
        due = kept_records.quarantine(put(1, "a"))
        keyless = kept_records.quarantine({})

        document = redrive("--dry-run")

        assert document["dry_run"]
        assert outcomes(document) == {due: "due", keyless: "keyless"}
        assert document["left"][0]["reason"] == "refused by the replica: why"
        assert tables.items(REPLICA) == {}
        assert kept_records.names(QUARANTINE) == sorted([due, keyless])

    @pytest.mark.parametrize("option", ["2h", "120m", "7200s"])
    def test_only_objects_that_are_old_enough(self, kept_records: KeptRecords, option: str) -> None:
        old, young = (
            kept_records.quarantine(put(1, "a"), age=7300),
            kept_records.quarantine(put(2, "b"), age=7100),
        )

        redrive("--older-than", option)

        assert kept_records.names(QUARANTINE) == [f"done/{old}", young]

    @pytest.mark.parametrize("option", ["2", "h", "-1h", "1w", "1.5h", "1h "])
    def test_an_invalid_age(self, option: str) -> None:
        result = run("redrive", "--older-than", option)

        assert result.exit_code == 2
        assert (
            f"invalid age {option!r}; use a number and a unit, such as 90s, 15m, 2h or 1d." in result.stderr
        )

    def test_only_the_first_few(self, kept_records: KeptRecords) -> None:
        first, second = kept_records.quarantine(put(1, "a")), kept_records.quarantine(put(2, "b"))

        assert redrive("--limit", "1")["objects"] == 1
        assert kept_records.names(QUARANTINE) == [f"done/{first}", second]


class TestEnding:
    def test_ctrl_c_leaves_the_other_objects(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        for number in range(25):
            tables.put(SOURCE, f"item{number}")
            kept_records.quarantine(put(number + 10, f"item{number}"))
        after(aws, "s3.DeleteObject", 20, press_ctrl_c)

        result = run("redrive")

        assert result.exit_code == 130
        assert lines(result.stderr) == [
            "Error: interrupted; 20 of 25 objects were repaired and moved to done/.",
            "Try: run the same command again to process the remaining objects.",
        ]
        assert redrive()["healed"] == 5
        assert tables.items(REPLICA) == tables.items(SOURCE)

    def test_ctrl_c_in_a_dry_run(self, kept_records: KeptRecords, aws: Misbehaviour) -> None:
        for number in range(21):
            kept_records.quarantine(put(number, "a"))
        after(aws, "s3.GetObject", 20, press_ctrl_c)

        assert redrive("--dry-run", exit_code=130)["due"] == 20

    def test_a_replica_that_refuses_everything(self, kept_records: KeptRecords, aws: Misbehaviour) -> None:
        name = kept_records.quarantine(put(1, "a"))
        aws.refuse("BatchWriteItem", "AccessDeniedException")

        document = redrive(exit_code=2)

        assert document["error"] == (
            "the replica table refuses every request: AccessDeniedException: why;"
            " 0 of 1 objects were repaired and moved to done/."
        )
        assert document["objects"] == 0
        assert kept_records.names(QUARANTINE) == [name]

    def test_a_bucket_that_is_not_there(self, kept_records: KeptRecords) -> None:
        result = run("redrive", "--quarantine-bucket", "nowhere")

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            "Error: the bucket nowhere does not exist.",
            (
                "Try: check --quarantine-bucket, --profile and --endpoint-url; if it was deleted, create it again as"
                " template.yaml does."
            ),
        ]

    @pytest.mark.parametrize(
        ("operation", "what"), [("ListObjectsV2", "listed"), ("GetObject", "read"), ("CopyObject", "moved")]
    )
    def test_a_bucket_that_denies(
        self, kept_records: KeptRecords, aws: Misbehaviour, operation: str, what: str
    ) -> None:
        name = kept_records.quarantine(put(1, "a"))
        deny(aws, operation)

        result = run("redrive")

        assert result.exit_code == 2
        assert lines(result.stderr)[0].startswith(
            f"Error: the objects in the bucket {QUARANTINE} cannot be {what}: AccessDenied: why"
        )
        assert kept_records.names(QUARANTINE) == [name]


class TestTheMapping:
    def test_none_is_refused(self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour) -> None:
        name = kept_records.quarantine(put(1, "a"))
        answer_mapping(tables, aws, mapped=False)

        result = run("redrive")

        assert result.exit_code == 2
        assert lines(result.stderr)[0].startswith(
            "Error: no event source mapping of a function with the tag ddbreplica replicates the source to the replica;"
        )
        assert lines(result.stderr)[1] == (
            "Try: deploy a stack for these tables (docs/deployment.md), and run `ddbreplica status`;"
            " or add --without-mapping to continue anyway."
        )
        assert kept_records.names(QUARANTINE) == [name]

    def test_none_is_needed_with_the_option_and_both_buckets(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        tables.put(SOURCE, "a")
        kept_records.quarantine(put(1, "a"))
        kept_records.discard(put(2, "a"))
        answer_mapping(tables, aws, mapped=False)

        result = run("redrive", "--without-mapping", "--transform", "none", "--quarantine-bucket", QUARANTINE)

        assert result.exit_code == 0
        assert lines(result.stderr) == [
            "Note: discarded batches are not processed; to include them, add --on-failure-bucket."
        ]
        named = ("--quarantine-bucket", QUARANTINE, "--on-failure-bucket", ON_FAILURE)
        assert redrive("--without-mapping", "--transform", "none", *named)["healed"] == 1
        assert tables.items(REPLICA) == tables.items(SOURCE)

    def test_without_one_the_option_for_the_quarantine_is_required(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        answer_mapping(tables, aws, mapped=False)

        result = run("redrive", "--without-mapping", "--transform", "none")

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            "Error: no event source mapping can be read, so the quarantine bucket is unknown.",
            "Try: name the bucket with --quarantine-bucket.",
        ]

    def test_a_readable_mapping_provides_the_buckets_although_the_option_is_set(
        self, kept_records: KeptRecords
    ) -> None:
        kept_records.quarantine(put(1, "a"))

        assert redrive("--without-mapping", "--transform", "none")["healed"] == 1

    def test_a_function_without_a_quarantine_bucket(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        answer_mapping(tables, aws, QUARANTINE_BUCKET="")

        result = run("redrive")

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            "Error: the function ddbreplica has no environment variable QUARANTINE_BUCKET.",
            "Try: name the bucket with --quarantine-bucket, and fix the function's settings.",
        ]

    def test_a_disabled_mapping_is_noted(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour
    ) -> None:
        kept_records.quarantine(put(1, "a"))
        answer_mapping(tables, aws, state="Disabled")

        result = run("redrive")

        assert result.exit_code == 0
        assert "is Disabled" in result.stderr

    @pytest.mark.parametrize("destination", [None, "arn:aws:sqs:us-east-1:123456789012:queue"])
    def test_a_mapping_without_an_on_failure_bucket(
        self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour, destination: str | None
    ) -> None:
        kept_records.quarantine(put(1, "a"))
        answer_mapping(tables, aws, on_failure=destination)

        result = run("redrive")

        assert result.exit_code == 0
        why = f"is {destination}, which is not a bucket" if destination else "is not set"
        assert f"Note: the mapping's on-failure destination {why}: discarded batches" in result.stderr


def once(aws: Misbehaviour, operation: str, fault: Exception) -> None:
    """Make the first request of an operation end like this."""
    faults = [fault]

    def fail(**_: Any) -> None:
        if faults:
            raise faults.pop()

    aws.on(f"before-send.{operation}", fail)


def after(aws: Misbehaviour, operation: str, calls: int, do: Callable[[], None]) -> None:
    """Call a function after so many calls of an operation."""
    called: list[None] = []

    def count(**_: Any) -> None:
        called.append(None)
        if len(called) == calls:
            do()

    aws.on(f"before-call.{operation}", count)


def deny(aws: Misbehaviour, operation: str) -> None:
    denied = refusal("AccessDenied")
    aws.on(f"before-call.s3.{operation}", lambda **_: denied)


def refuse_item(aws: Misbehaviour, pk: str) -> None:
    """Make the replica refuse every request with this item, as for a wrong type of an index key."""

    def refuse(request: Any, **_: Any) -> Any:
        if f'"{pk}"'.encode() in request.body:
            return response(request.url, *error("ValidationException", message="wrong index type"))
        return None

    for operation in ("BatchWriteItem", "PutItem"):
        aws.on(f"before-send.dynamodb.{operation}", refuse)
