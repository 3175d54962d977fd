"""`ddbreplica backfill` on moto: what it copies, what it refuses, and how it resumes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from ddbreplica.aws import clock
from ddbreplica.backfill import export as exports
from ddbreplica.backfill import listing
from ddbreplica.dynamodb.rate import Rate
from tests.support.cli import (
    REPLICA,
    SOURCE,
    Misbehaviour,
    Tables,
    lines,
    press_ctrl_c,
    press_ctrl_c_while_it_waits,
    run,
)
from tests.support.exported import FOLDER, MADE_AT, STATE, InS3, backfill, gzipped
from tests.support.wire import error, response

RESUME = "Try: run the same command again; it resumes from logfile-logfile_replica.backfill."


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fill(tables: Tables, items: int, **attributes: Any) -> None:
    """Put so many items into the source, from `item0` on."""
    for start in range(0, items, 25):
        puts: Any = [
            {"PutRequest": {"Item": {"PK": {"S": f"item{number}"}, **attributes}}}
            for number in range(start, min(start + 25, items))
        ]
        tables.client.batch_write_item(RequestItems={SOURCE: puts})


def scanned(aws: Misbehaviour) -> list[Any]:
    """Record the requests of every scan from now on."""
    seen: list[Any] = []
    aws.on("before-send.dynamodb.Scan", lambda request, **_: seen.append(json.loads(request.body)))
    return seen


class TestCopying:
    def test_everything_is_copied_as_it_is(self, tables: Tables) -> None:
        fill(tables, 1250, n={"N": "1.10"}, b={"B": b"\x00\xff"}, l={"L": [{"NULL": True}]})

        result = backfill()

        assert result.exit_code == 0
        assert result.stdout.startswith("1,250 items copied in ")
        assert result.stderr == ""
        assert tables.items(REPLICA) == tables.items(SOURCE)

    def test_nothing_is_left_behind(self, tables: Tables) -> None:
        fill(tables, 1)

        backfill()

        assert list(Path().iterdir()) == []

    def test_an_empty_source_is_copied_too(self, tables: Tables) -> None:
        assert json.loads(backfill("--json").stdout)["items"] == 0

    def test_an_older_item_of_the_replica_is_replaced_completely(self, tables: Tables) -> None:
        tables.put(SOURCE, "a", new={"S": "x"})
        tables.put(REPLICA, "a", old={"S": "x"})

        backfill()

        assert tables.items(REPLICA) == {"a": {"PK": {"S": "a"}, "new": {"S": "x"}}}

    def test_an_item_that_changes_meanwhile_arrives_in_its_last_state(
        self, tables: Tables, aws: Misbehaviour
    ) -> None:
        fill(tables, 100, n={"N": "1"})
        scans = iter(range(1, 10_000))

        def change(**_: Any) -> None:
            if next(scans) == 2:  # the scan that confirms
                tables.put(SOURCE, "item7", n={"N": "2"})
                tables.delete(SOURCE, "item8")

        aws.on("before-send.dynamodb.Scan", change)
        backfill("--segments", "1")

        assert tables.items(REPLICA) == tables.items(SOURCE)
        assert "item8" not in tables.items(REPLICA)
        assert tables.items(REPLICA)["item7"]["n"] == {"N": "2"}

    def test_keys_of_binaries_and_numbers(self, tables: Tables) -> None:
        for name in ("from", "to"):
            tables.create(name, {"name": "N", "date": "B"})
        items: Any = [{"name": {"N": "7"}, "date": {"B": bytes([255, number])}} for number in range(30)]
        for item in items:
            tables.client.put_item(TableName="from", Item=item)

        result = backfill("--source", "from", "--replica", "to")

        assert result.exit_code == 0
        assert tables.client.scan(TableName="to")["Items"] == items

    def test_every_segment_is_scanned(self, tables: Tables, aws: Misbehaviour) -> None:
        fill(tables, 20)
        requests = scanned(aws)

        backfill("--segments", "3")

        pages, again = (
            [request for request in requests if (request["Limit"] == 200) == is_page]
            for is_page in (True, False)
        )
        for each in (pages, again):
            assert sorted((request["Segment"], request["TotalSegments"]) for request in each) == [
                (0, 3),
                (1, 3),
                (2, 3),
            ]
        assert sum(request["Limit"] for request in again) == 20
        assert all(request["ConsistentRead"] for request in requests)

    def test_the_result_as_a_document(self, tables: Tables) -> None:
        fill(tables, 3)

        document = json.loads(backfill("--json").stdout)

        assert document.pop("seconds") > 0
        assert document == {
            "source": "arn:aws:dynamodb:us-east-1:123456789012:table/logfile",
            "replica": "arn:aws:dynamodb:us-east-1:123456789012:table/logfile_replica",
            "items": 3,
            "outside": 0,
            "left": 0,
            "left_items": [],
            "damaged": [],
            "undecided": 0,
            "undecided_file": None,
        }

    def test_a_dry_run_shows_the_estimate_and_writes_nothing(self, tables: Tables) -> None:
        fill(tables, 100)

        result = backfill("--dry-run")

        assert result.exit_code == 0
        assert lines(result.stdout)[0] == "items                     100"
        assert json.loads(backfill("--dry-run", "--json").stdout)["write_units"] == 100
        assert tables.items(REPLICA) == {}
        assert list(Path().iterdir()) == []


class TestRates:
    @pytest.fixture
    def taken(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float | None, float]]:
        """Record rate and units of every wait."""
        seen: list[tuple[float | None, float]] = []
        monkeypatch.setattr(Rate, "take", lambda rate, units: seen.append((rate.per_second, units)))
        return seen

    def test_write_units_are_waited_for(
        self, tables: Tables, taken: list[tuple[float | None, float]]
    ) -> None:
        fill(tables, 10, text={"S": "x" * 2000})
        tables.put(SOURCE, "small")

        backfill("--rate", "50")

        assert sum(units for rate, units in taken if rate == 50) == 21

    def test_a_provisioned_source_gives_a_quarter_of_its_reads(
        self, tables: Tables, taken: list[tuple[float | None, float]]
    ) -> None:
        throughput: Any = {"ReadCapacityUnits": 400, "WriteCapacityUnits": 400}
        tables.client.update_table(
            TableName=SOURCE, BillingMode="PROVISIONED", ProvisionedThroughput=throughput
        )
        fill(tables, 10)

        backfill("--segments", "1")

        assert (100, 1) in taken
        assert {rate for rate, _ in taken} == {100}

    def test_the_option_overrides_it(self, tables: Tables, taken: list[tuple[float | None, float]]) -> None:
        fill(tables, 10)

        backfill("--read-rate", "7")

        assert {rate for rate, _ in taken} == {7}


class TestResuming:
    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(listing, "PAGE", 50)

    def interrupt_at(self, number: int, aws: Misbehaviour) -> None:
        """Press Ctrl-C while the page with this number is confirmed. Each page is scanned twice."""
        calls = iter(range(1, 10_000))

        def press(**_: Any) -> None:
            if next(calls) == 2 * number:
                press_ctrl_c()

        aws.on("before-send.dynamodb.Scan", press)

    def test_ctrl_c_shows_how_to_resume(self, tables: Tables, aws: Misbehaviour) -> None:
        fill(tables, 200)
        self.interrupt_at(3, aws)

        result = backfill("--segments", "1", "--json")

        assert result.exit_code == 130
        assert lines(result.stderr) == ["Error: interrupted; 150 items were processed.", RESUME]
        assert json.loads(result.stdout)["items"] == 150
        assert len(tables.items(REPLICA)) == 150

    def test_the_same_command_resumes_at_once(self, tables: Tables, aws: Misbehaviour) -> None:
        fill(tables, 200)
        self.interrupt_at(2, aws)
        backfill("--segments", "1")
        requests = scanned(aws)

        result = backfill("--segments", "1")

        assert result.exit_code == 0
        assert result.stdout.startswith("200 items copied in ")
        assert result.stderr == "Resuming from logfile-logfile_replica.backfill.\n"
        assert ["ExclusiveStartKey" in request for request in requests] == [True] * 4
        assert tables.items(REPLICA) == tables.items(SOURCE)
        assert not STATE.exists()

    def test_ctrl_c_between_reading_and_writing_leaves_no_item_out(
        self, tables: Tables, aws: Misbehaviour
    ) -> None:
        fill(tables, 200)
        calls = iter(range(1, 10_000))

        def press(**_: Any) -> None:
            if next(calls) == 3:
                press_ctrl_c()

        aws.on("before-send.dynamodb.BatchWriteItem", press)

        assert backfill("--segments", "1").exit_code == 130
        assert backfill("--segments", "1").exit_code == 0
        assert tables.items(REPLICA) == tables.items(SOURCE)

    def test_another_number_of_segments_is_a_different_backfill(
        self, tables: Tables, aws: Misbehaviour
    ) -> None:
        fill(tables, 200)
        self.interrupt_at(1, aws)
        backfill("--segments", "1")

        result = backfill("--segments", "2")

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            (
                f"Error: {STATE} is the state file of a backfill with other tables or options: its"
                " listing is a scan in 1 segments, not a scan in 2 segments."
            ),
            "Try: use the same tables and options to resume it, or name another file with --state.",
        ]

    def test_a_recreated_table_is_a_different_table(self, tables: Tables, aws: Misbehaviour) -> None:
        fill(tables, 200)
        self.interrupt_at(1, aws)
        backfill("--segments", "1")
        tables.client.delete_table(TableName=REPLICA)
        tables.create_logfile(REPLICA)

        result = backfill("--segments", "1")

        assert result.exit_code == 2
        assert (
            "is the state file of a backfill with other tables or options: its replica is arn:"
            in result.stderr
        )
        assert result.stderr.count(f"table/{REPLICA}, created at 2") == 2

    def test_a_table_that_refuses_every_request_is_reported_with_the_state_file(
        self, tables: Tables, aws: Misbehaviour
    ) -> None:
        fill(tables, 200)
        aws.refuse("BatchWriteItem", "AccessDeniedException", after=4)

        result = backfill("--segments", "1")

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            (
                "Error: the replica table refuses every request: AccessDeniedException: why; 100 items were"
                f" processed; {STATE} keeps the progress."
            ),
            "Try: use credentials that may do this (--profile), or have the permission added.",
        ]


class TestWhatCannotBeCopied:
    def refuse_item7(self, request: Any, **_: Any) -> Any:
        is_refused = b'"item7"' in request.body
        return response(request.url, *error("ValidationException")) if is_refused else None

    def test_is_listed_and_copied_after_it_is_fixed(self, tables: Tables, aws: Misbehaviour) -> None:
        fill(tables, 100)
        with pytest.MonkeyPatch.context() as patched:
            misbehaving = Misbehaviour(patched)
            misbehaving.on("before-send.dynamodb.BatchWriteItem", self.refuse_item7)
            misbehaving.on("before-send.dynamodb.PutItem", self.refuse_item7)

            result = backfill()

        assert result.exit_code == 1
        assert result.stdout.startswith("99 items copied in ")
        assert lines(result.stderr) == [
            '  PK={"S": "item7"}: ValidationException: why',
            "Error: 1 item was not copied.",
            "Try: fix the refused items, and run the same command again to copy them.",
        ]
        requests = scanned(aws)
        assert backfill().exit_code == 0
        assert requests == []
        assert tables.items(REPLICA) == tables.items(SOURCE)

    def test_is_in_the_document(self, tables: Tables, aws: Misbehaviour) -> None:
        fill(tables, 100)
        aws.on("before-send.dynamodb.BatchWriteItem", self.refuse_item7)
        aws.on("before-send.dynamodb.PutItem", self.refuse_item7)

        document = json.loads(backfill("--json").stdout)

        assert document["left"] == 1
        assert document["left_items"] == [
            {"key": {"PK": {"S": "item7"}}, "reason": "ValidationException: why"}
        ]


class TestInDoubtWrites:
    """A write of 25 items that got no response."""

    @pytest.fixture(autouse=True)
    def _one_unanswered(self, tables: Tables, aws: Misbehaviour) -> None:
        fill(tables, 50)
        calls = iter(range(1, 10_000))

        def fail_once(request: Any, **_: Any) -> None:
            if next(calls) == 1:
                raise ReadTimeoutError(endpoint_url=request.url)

        aws.on("before-send.dynamodb.BatchWriteItem", fail_once)

    def test_are_left_to_a_later_run_with_no_wait(self, tables: Tables) -> None:
        result = backfill("--no-wait", "--segments", "1", "--json")

        assert result.exit_code == 1
        assert json.loads(result.stdout)["left"] == 25
        assert (
            json.loads(result.stdout)["left_items"][0]["reason"]
            == "a write got no response and may still land"
        )
        again = backfill("--no-wait", "--segments", "1")
        assert again.exit_code == 1
        assert re.fullmatch(
            r"Try: run the same command again after \d\d:\d\d UTC: until then, in-doubt writes may still change 25"
            r" items of the replica\.",
            lines(again.stderr)[-1],
        )

    def test_are_waited_for(self, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, seconds in {"UNKNOWN_HOLD": 0.5, "EXPIRY": 0.5, "MARGIN": 0.0}.items():
            monkeypatch.setattr(clock, f"{name}_SECONDS", seconds)

        result = backfill("--segments", "1")

        assert result.exit_code == 0
        assert result.stderr == (
            "In-doubt writes, which got no response, may still change 25 items. These items are copied in"
            " 1 minutes.\n"
        )
        assert tables.items(REPLICA) == tables.items(SOURCE)

    def test_ctrl_c_ends_the_wait(self, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
        press_ctrl_c_while_it_waits(monkeypatch)

        result = backfill("--segments", "1")

        assert result.exit_code == 130
        assert lines(result.stderr)[1:] == ["Error: interrupted; 50 items were processed.", RESUME]


class TestSafeguards:
    def mapped(self, tables: Tables, aws: Misbehaviour, **more: Any) -> None:
        """Create a mapping from the source's stream to the replica."""
        tables.client.update_table(
            TableName=SOURCE, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        )
        mapping = {
            "UUID": "u-1",
            "EventSourceArn": tables.client.describe_table(TableName=SOURCE)["Table"]["LatestStreamArn"],
            "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:ddbreplica",
            "State": "Enabled",
            "StartingPosition": "TRIM_HORIZON",
            "LastModified": MADE_AT,
            **more,
        }
        function = {"Environment": {"Variables": {"REPLICA_TABLE_NAME": REPLICA}}}
        responses = {
            "ListEventSourceMappings": {"EventSourceMappings": [mapping]},
            "GetFunctionConfiguration": {"FunctionName": "replicator", **function},
            "ListTags": {"Tags": {"ddbreplica": REPLICA}},
        }
        for operation, body in responses.items():
            sent = SimpleNamespace(status_code=200), body
            aws.on(f"before-call.lambda.{operation}", lambda sent=sent, **_: sent)

    def test_a_replicated_table_is_copied(self, tables: Tables, aws: Misbehaviour) -> None:
        self.mapped(tables, aws)
        fill(tables, 10)

        assert run("backfill").exit_code == 0
        assert tables.items(REPLICA) == tables.items(SOURCE)

    @pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
    def test_a_table_that_nothing_replicates_is_not(self, tables: Tables, dry_run: list[str]) -> None:
        fill(tables, 10)

        result = run("backfill", *dry_run)

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            "Error: the source has no enabled stream; later changes would be missed.",
            "Try: enable the stream, and run `ddbreplica status`; or add --without-mapping to continue anyway.",
        ]
        assert tables.items(REPLICA) == {}

    def test_a_mapping_that_is_disabled_is_refused(self, tables: Tables, aws: Misbehaviour) -> None:
        self.mapped(tables, aws, State="Disabled")

        assert "the mapping u-1 is Disabled" in run("backfill").stderr

    def test_a_rate_that_takes_longer_than_the_stream_keeps_changes_is_warned_of(
        self, tables: Tables, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(tables, 10)
        monkeypatch.setattr(Rate, "take", lambda *_: None)

        result = backfill("--rate", "0.0001")

        assert result.exit_code == 0
        assert result.stderr.startswith(
            "Warning: the replica's lag is 0:00:00, and the backfill takes about 1 day, 3:46:40"
        )

    @pytest.mark.parametrize("key", [{"id": "S"}, {"PK": "N"}, {"PK": "S", "SK": "S"}])
    def test_tables_with_different_keys_are_refused(self, tables: Tables, key: dict[str, str]) -> None:
        tables.create("other", key)

        result = backfill("--replica", "other")

        assert result.exit_code == 2
        assert lines(result.stderr)[0].startswith("Error: the source's key is PK (S) and the replica's is ")

    def test_one_table_is_not_copied_to_itself(self, tables: Tables) -> None:
        assert "source and replica are the same table" in backfill("--replica", SOURCE).stderr

    def test_a_file_that_is_not_a_state_is_refused(self, tables: Tables) -> None:
        Path("rows.csv").write_text("1,2,3\n")

        result = backfill("--state", "rows.csv")

        assert result.exit_code == 2
        assert (
            lines(result.stderr)[0]
            == "Error: rows.csv:1: this line was not written by ddbreplica, or is damaged."
        )
        assert Path("rows.csv").read_text() == "1,2,3\n"


class TestFromExport(InS3):
    def test_keys_are_taken_from_it_and_items_from_the_source(self, aws: Misbehaviour) -> None:
        fill(self.tables, 300, new={"BOOL": True})
        self.export(
            [f"item{number}" for number in range(250)], [f"item{number}" for number in range(250, 299)], []
        )
        requests = scanned(aws)

        result = self.backfill()

        assert result.exit_code == 0
        assert result.stdout.startswith("299 items copied in ")
        assert requests == []
        copied = self.tables.items(REPLICA)
        assert len(copied) == 299
        assert all(item == {"PK": item["PK"], "new": {"BOOL": True}} for item in copied.values())

    def test_an_item_deleted_since_is_not_brought_back(self) -> None:
        self.tables.put(REPLICA, "deleted")
        self.tables.put(SOURCE, "there")
        self.export(["deleted", "there"])

        self.backfill()

        assert list(self.tables.items(REPLICA)) == ["there"]

    def test_it_resumes_in_the_middle_of_a_file(
        self, monkeypatch: pytest.MonkeyPatch, aws: Misbehaviour
    ) -> None:
        monkeypatch.setattr(exports, "PAGE", 50)
        fill(self.tables, 200)
        self.export([f"item{number}" for number in range(200)])
        calls = iter(range(1, 1000))
        aws.on("before-send.dynamodb.BatchGetItem", lambda **_: press_ctrl_c() if next(calls) == 4 else None)

        first = self.backfill()

        assert lines(first.stderr)[0] == "Error: interrupted; 100 items were processed."
        second = self.backfill()
        assert second.exit_code == 0
        assert second.stdout.startswith("200 items copied in ")
        assert next(calls) == 9
        assert self.tables.items(REPLICA) == self.tables.items(SOURCE)

    def test_the_export_may_be_named_by_a_prefix_if_there_is_only_one(self) -> None:
        self.export(["a"])

        assert backfill("--from-export", "s3://bucket/exports").exit_code == 0

    def test_no_export(self) -> None:
        assert self.error() == (
            f"Error: expected one manifest-summary.json under s3://bucket/{FOLDER}, and found 0."
        )

    @pytest.mark.parametrize(
        ("summary", "why"),
        [
            ({"tableArn": "arn:another"}, "is not an export of the present source table."),
            ({"exportTime": "2020-11-22T12:00:00.000Z"}, "is not an export of the present source table."),
            (
                {"outputFormat": "ION"},
                "is FULL_EXPORT in ION; it must be FULL_EXPORT or INCREMENTAL_EXPORT in DYNAMODB_JSON.",
            ),
            (
                {"itemCount": 7},
                "is damaged: manifest-files.json counts 1 items, and manifest-summary.json 7.",
            ),
            ({"exportTime": "yesterday"}, "cannot be read."),
        ],
    )
    def test_an_export_of_something_else(self, summary: Mapping[str, Any], why: str) -> None:
        self.export(["a"], **summary)

        assert self.error().endswith(why)

    def test_a_manifest_with_impossible_values(self) -> None:
        for count in (-1, "1", True, 1.0, None):
            self.export(["a"], itemCount=count)
            self.refuses_manifest(
                "manifest-files.json", {"itemCount": count, "dataFileS3Key": "data/0.json.gz"}
            )
        for name in (5, None):
            self.export(["a"])
            self.refuses_manifest("manifest-files.json", {"itemCount": 1, "dataFileS3Key": name})

    def test_a_manifest_that_cannot_be_read(self) -> None:
        for name in ("manifest-files.json", "manifest-summary.json"):
            for body in (b"\xff", b"[]", b"null", b"5", b'{"itemCount"', b"[" * 100_000):
                self.export(["a"])
                self.refuses_manifest(name, body)

    def refuses_manifest(self, name: str, content: Any) -> None:
        self.put(name, content if isinstance(content, bytes) else json.dumps(content).encode())
        assert self.error() == f"Error: the manifests in s3://bucket/{FOLDER}/ cannot be read."

    def test_a_manifest_that_lists_a_file_twice(self) -> None:
        self.export(["a"])
        line = json.dumps({"itemCount": 1, "dataFileS3Key": f"{FOLDER}/data/0.json.gz"})
        self.put("manifest-files.json", f"{line}\n{line}\n".encode())

        assert self.error() == (
            f"Error: the export in s3://bucket/{FOLDER}/ is damaged: its manifest lists a file twice."
        )

    def test_a_time_without_a_zone_is_in_utc(self) -> None:
        self.export(["a"], exportTime="2099-11-22T12:00:00")

        assert self.backfill().exit_code == 0


FILE = f"s3://bucket/{FOLDER}/data/0.json.gz"


class TestDamagedExport(InS3):
    """The state keeps the damage: after it was found, each run with this state fails."""

    DAMAGES = (
        (gzipped("item0"), "it has 1 items, and the manifest lists 2"),
        (gzipped("item0", "item1", "item2"), "it has 3 items or more, and the manifest lists 2"),
        (gzipped("item0", "item1")[:-8] + bytes(8), "line 3 cannot be read"),  # another checksum
    )

    @pytest.fixture(autouse=True)
    def _items(self, _bucket: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exports, "PAGE", 2)
        fill(self.tables, 8)
        self.export(["item0", "item1"], ["item4", "item5", "item6", "item7"])

    def test_every_run_ends_with_it_and_the_other_files_are_copied(self) -> None:
        for body, why in self.DAMAGES:
            self.put("data/0.json.gz", body)
            for _ in range(2):
                result = self.backfill("--json")

                assert result.exit_code == 2
                error, hint = lines(result.stderr)[-2:]
                assert error.startswith(f"Error: {FILE} is damaged: ")
                assert error.endswith(f"{why}. Some items may not have been copied.")
                assert hint == (
                    f"Try: export the table again, remove {STATE} or name another file with --state,"
                    " and run the command with the new export."
                )
                (damaged,) = json.loads(result.stdout)["damaged"]
                assert damaged["file"] == FILE
                assert {f"item{number}" for number in range(4, 8)} <= self.tables.items(REPLICA).keys()
            STATE.unlink()

    def test_a_new_state_does_not_have_it(self) -> None:
        self.put("data/0.json.gz", gzipped("item0"))
        self.backfill()
        self.put("data/0.json.gz", gzipped("item0", "item1"))

        assert self.backfill().exit_code == 2
        assert self.backfill("--state", "another").exit_code == 0

    def test_a_line_that_is_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exports, "MAX_LINE", 20)
        monkeypatch.setattr(exports, "MAX_SMALL", 10)

        assert f"{FILE} is damaged: line 1 cannot be read (and 1 more files)." in self.backfill().stderr

    def test_ctrl_c_after_it_was_found(self, aws: Misbehaviour) -> None:
        self.put("data/0.json.gz", gzipped("item0", "item1", "item2"))
        self.press_at(4, aws)  # two pages of the first file, then the second file

        first = self.backfill("--segments", "1")

        assert lines(first.stderr)[0] == (
            f"Error: interrupted; 5 items were processed; {FILE} is damaged: it has 3 items or more, and the"
            " manifest lists 2."
        )
        assert first.exit_code == 130
        for _ in range(2):
            again = self.backfill("--segments", "1")
            assert f"{FILE} is damaged: it has 3 items or more, and the manifest lists 2." in again.stderr
            assert again.exit_code == 2
        assert len(self.tables.items(REPLICA)) == 7

    def test_ctrl_c_just_before_it_is_found(self, aws: Misbehaviour) -> None:
        # All items that the manifest counts are copied; the others would follow.
        self.put("data/0.json.gz", gzipped("item0", "item1", "item2", "item3"))
        self.press_at(2, aws)

        assert lines(self.backfill("--segments", "1").stderr)[0] == (
            "Error: interrupted; 2 items were processed."
        )
        for _ in range(2):
            again = self.backfill("--segments", "1")
            assert f"{FILE} is damaged: it has 3 items or more, and the manifest lists 2." in again.stderr
        # One more is read than the manifest speaks of, and none after that: they may have no end.
        assert self.tables.items(SOURCE).keys() - self.tables.items(REPLICA).keys() == {"item3"}

    def test_a_file_that_is_shorter_than_it_was(self, aws: Misbehaviour) -> None:
        self.press_at(3, aws)
        self.backfill("--segments", "1")
        self.put("data/1.json.gz", gzipped("item4"))

        again = self.backfill("--segments", "1")

        assert "data/1.json.gz is damaged: it has 1 items, and the manifest lists 4." in again.stderr

    def press_at(self, page: int, aws: Misbehaviour) -> None:
        """Press Ctrl-C while the previous page is confirmed. Each page is read once before its write and once after."""
        reads = iter(range(1, 1000))
        aws.on(
            "before-send.dynamodb.BatchGetItem",
            lambda **_: press_ctrl_c() if next(reads) == 2 * page - 2 else None,
        )


class TestFetching(InS3):
    def test_a_file_that_is_not_there(self) -> None:
        self.export(["a"])
        self.client.delete_object(Bucket="bucket", Key=f"{FOLDER}/data/0.json.gz")

        assert f"s3://bucket/{FOLDER}/data/0.json.gz does not exist" in self.error()
