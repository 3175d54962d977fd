"""`ddbreplica backfill --from-export` with incremental exports on moto's S3: what it copies, and what it refuses."""

import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import Result

from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, press_ctrl_c
from tests.support.exported import STATE, backfill
from tests.support.incremental import SHARED, TABLE_ID, Window, changes, deleted, gone, inserted, updated

TODAY = datetime(2099, 11, 22, tzinfo=UTC)
"""After the creation of the tables."""


def window(name: str, since: int, until: int) -> Window:
    """Return a window between two hours."""
    return Window(name, TODAY + timedelta(hours=since), TODAY + timedelta(hours=until))


FIRST, SECOND = window("01790000000000-0a1b2c3d", 0, 12), window("01790000000001-0a1b2c3d", 11, 20)


class Exporting:
    """The tables, and a bucket with exports of the source."""

    @pytest.fixture(autouse=True)
    def _bucket(
        self, tables: Tables, aws: Misbehaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        # moto gives no TableId.
        aws.on(
            "after-call.dynamodb.DescribeTable",
            lambda parsed, **_: parsed.get("Table", {}).update(TableId=TABLE_ID),
        )
        self.tables = tables
        self.client = boto3.client("s3", region_name="us-east-1")
        self.client.create_bucket(Bucket="bucket")

    def put(self, name: str, body: bytes) -> None:
        self.client.put_object(Bucket="bucket", Key=name, Body=body)

    def export(self, of: Window, *files: Sequence[Mapping[str, Any]], **summary: Any) -> None:
        of.store(self.put, *files, **summary)

    def from_exports(self, *windows: Window, more: Sequence[str] = ()) -> Result:
        options = (("--from-export", f"s3://bucket/{each.place}") for each in windows)
        return backfill(*(word for option in options for word in option), *more)

    def error(self, *windows: Window) -> str:
        result = self.from_exports(*windows)
        assert result.exit_code == 2
        assert self.tables.items(REPLICA) == {}
        return lines(result.stderr)[0]


class TestCopying(Exporting):
    def test_the_replica_gets_the_present_state_of_what_changed(self) -> None:
        for key in ("a", "b", "unchanged"):
            self.tables.put(SOURCE, key, new={"BOOL": True})
        for key in ("b", "c", "d"):
            self.tables.put(REPLICA, key, older={"BOOL": True})
        self.export(FIRST, [inserted("a"), updated("b")], [], [deleted("c"), gone("d")])
        self.put(f"{SHARED}/another-export.json.gz", gzip.compress(b"not ours"))

        result = self.from_exports(FIRST)

        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("4 items copied in ")
        copied = self.tables.items(REPLICA)
        assert copied == {key: self.tables.items(SOURCE)[key] for key in ("a", "b")}
        assert (
            "The exports have the items that changed from 2099-11-22 00:00:00 UTC to 2099-11-22 12:00:00 UTC, except"
            " those that were created and deleted within one export. Only these are copied; compare the tables"
            " afterwards."
        ) in lines(result.stderr)

    def test_several_are_copied_in_any_order_of_the_options(self) -> None:
        for key in "abc":
            self.tables.put(SOURCE, key)
        self.export(FIRST, changes("ab"))
        self.export(SECOND, changes("bc"))

        result = self.from_exports(SECOND, FIRST)

        assert result.stdout.startswith("4 items copied in ")
        assert self.tables.items(REPLICA) == self.tables.items(SOURCE)

    def test_it_resumes_in_the_second_export(self, aws: Misbehaviour) -> None:
        for key in "abc":
            self.tables.put(SOURCE, key)
        self.export(FIRST, changes("ab"))
        self.export(SECOND, changes("bc"))
        reads = iter(range(1, 1000))
        aws.on("before-send.dynamodb.BatchGetItem", lambda **_: press_ctrl_c() if next(reads) == 3 else None)

        first = self.from_exports(FIRST, SECOND)

        assert lines(first.stderr)[1] == "Error: interrupted; 2 items were processed."
        assert first.exit_code == 130
        again = self.from_exports(SECOND, FIRST)
        assert f"Resuming from {STATE}." in again.stderr
        assert again.stdout.startswith("4 items copied in ")
        assert self.tables.items(REPLICA) == self.tables.items(SOURCE)
        assert not STATE.exists()

    def test_a_dry_run_takes_the_items_from_the_manifests(self) -> None:
        self.export(FIRST, changes("ab"))
        self.export(SECOND, changes("bc"), [])

        result = self.from_exports(FIRST, SECOND, more=["--dry-run", "--json"])

        document = json.loads(result.stdout)
        assert (document["items"], document["write_units"], document["read_units"]) == (4, 4, 8)
        assert self.tables.items(REPLICA) == {}

    def test_a_damaged_file_is_reported_with_its_name(self) -> None:
        self.tables.put(SOURCE, "a")
        self.export(FIRST, changes("ab"), changes("cd"))
        self.put(FIRST.file(1), gzip.compress(b'{"Item": {"PK": {"S": "c"}}}\n'))

        result = self.from_exports(FIRST)

        assert result.exit_code == 2
        assert (
            f"Error: s3://bucket/{FIRST.file(1)} is damaged: line 1 cannot be read. Some items may not have been"
            " copied."
        ) in lines(result.stderr)
        assert list(self.tables.items(REPLICA)) == ["a"]

    def test_a_file_that_is_not_there_ends_the_run(self) -> None:
        self.export(FIRST, changes("a"))
        self.client.delete_object(Bucket="bucket", Key=FIRST.file(0))

        shown = lines(self.from_exports(FIRST).stderr)

        assert f"s3://bucket/{FIRST.file(0)} does not exist" in "".join(shown)
        assert shown[-1] == "Try: export the table again, or leave out --from-export."


class TestRefusing(Exporting):
    @pytest.mark.parametrize(
        ("summary", "why"),
        [
            ({"tableArn": "arn:another"}, "is not an export of the present source table."),
            ({"tableId": "another"}, "is not an export of the present source table."),
            (
                {"exportFromTime": "2020-11-22T10:00:00Z", "exportToTime": "2020-11-22T12:00:00Z"},
                "is not an export of the present source table.",
            ),
            (
                {"outputFormat": "ION"},
                "is INCREMENTAL_EXPORT in ION; it must be FULL_EXPORT or INCREMENTAL_EXPORT in DYNAMODB_JSON.",
            ),
            ({"version": "1"}, "is INCREMENTAL_EXPORT of version 1; it must be of version 2023-08-01."),
            ({"filterSpecification": {"a": "b"}}, "has a filter, so items may be missing."),
            (
                {"itemCount": 7},
                "is damaged: manifest-files.json counts 1 items, and manifest-summary.json 7.",
            ),
            ({"exportToTime": "2098-11-22T12:00:00Z"}, "is damaged: it ends before it begins."),
            ({"exportFromTime": "yesterday"}, "cannot be read."),
        ],
    )
    def test_an_export_of_something_else(self, summary: Mapping[str, Any], why: str) -> None:
        self.export(FIRST, changes("a"))
        self.export(SECOND, changes("a"), **summary)

        error = self.error(FIRST, SECOND)

        assert f"s3://bucket/{SECOND.place}/" in error
        assert error.endswith(why)

    def test_a_gap_between_two(self) -> None:
        late = window("3", 13, 14)
        self.export(FIRST, changes("a"))
        self.export(late, changes("a"))

        assert self.error(late, FIRST) == (
            "Error: no export has the changes from 2099-11-22 12:00:00 UTC to 2099-11-22 13:00:00 UTC; they would be"
            " missed."
        )

    def test_one_that_is_given_twice(self) -> None:
        self.export(FIRST, changes("a"))

        assert self.error(FIRST, FIRST) == f"Error: the export in s3://bucket/{FIRST.place}/ is given twice."

    def test_a_prefix_with_several(self) -> None:
        self.export(FIRST)
        self.export(SECOND)

        result = backfill("--from-export", "s3://bucket/exports")

        assert lines(result.stderr) == [
            "Error: expected one manifest-summary.json under s3://bucket/exports, and found 2.",
            (
                "Try: name the folder of one completed export, s3://BUCKET/PREFIX/AWSDynamoDB/EXPORT-ID; for several"
                " exports, repeat --from-export."
            ),
        ]
