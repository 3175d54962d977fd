"""docs/deletion.md: its procedure leaves no copy in tables and buckets, and it names what is kept elsewhere."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, run
from tests.support.kept_records import ON_FAILURE, QUARANTINE, KeptRecords
from tests.support.records import put
from tests.support.template import ROOT, load

PAGE: Final = (ROOT / "docs" / "deletion.md").read_text()
PROCEDURE: Final = PAGE.partition("\n## Delete it\n")[2].partition("\n## ")[0]
SECRET: Final = "canary"


def steps() -> list[list[str]]:
    """The commands of the procedure, but the one that is for what the last search has listed."""
    commands = re.findall(r"^ +\$ (.+)$", PROCEDURE, re.MULTILINE)
    return [shlex.split(command) for command in commands if "s3api" not in command]


class Procedure:
    """Two tables and two buckets with copies of the item "a"; its steps are run on them."""

    def __init__(self, tables: Tables, kept_records: KeptRecords) -> None:
        self.tables = tables
        self.kept_records = kept_records

    def run(self, words: list[str]) -> None:
        if words[:3] == ["aws", "dynamodb", "delete-item"]:
            options = dict(zip(words[3::2], words[4::2], strict=True))
            key = json.loads(options["--key"])
            for table in (options["--table-name"], REPLICA):  # which the stream brings it to
                self.tables.client.delete_item(TableName=table, Key=key)
            return
        program, *args = words
        assert program == "ddbreplica"
        result = run(*args)
        assert result.exit_code == 0, (words, result.output)

    def copies(self) -> list[str]:
        """Where the item's content is, in whichever version."""
        client = self.kept_records.client
        found = [
            table
            for table in (SOURCE, REPLICA)
            if SECRET in json.dumps(self.tables.items(table), default=str)
        ]
        for bucket in (QUARANTINE, ON_FAILURE):
            for version in client.list_object_versions(Bucket=bucket).get("Versions", ()):
                which: Any = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
                if SECRET.encode() in client.get_object(**which)["Body"].read():
                    found.append(version["Key"])
        return found


@pytest.fixture
def procedure(tables: Tables, kept_records: KeptRecords, aws: Misbehaviour) -> Procedure:
    names = {"SourceTableName": SOURCE, "ReplicaTableName": REPLICA}
    aws.answer_stack({"Outputs": [{"OutputKey": key, "OutputValue": name} for key, name in names.items()]})
    Path("keys.jsonl").write_text('{"PK": {"S": "a"}}\n')
    tables.put_both("a", secret={"S": SECRET})
    tables.put_both("b")
    kept_records.quarantine(put(1, "a", secret={"S": SECRET}))
    kept_records.quarantine(put(2, "b"))
    kept_records.discard(put(3, "a", secret={"S": SECRET}), put(4, "b"))
    assert run("redrive").exit_code == 0
    kept_records.quarantine(put(5, "a", secret={"S": SECRET}))
    kept_records.discard(put(6, "a", secret={"S": SECRET}))
    return Procedure(tables, kept_records)


def test_the_procedure_leaves_no_copy(procedure: Procedure) -> None:
    assert len(procedure.copies()) == 8

    for words in steps():
        procedure.run(words)

    assert procedure.copies() == []
    assert procedure.tables.items(REPLICA).keys() == {"b"}
    assert (
        len(procedure.kept_records.versions(QUARANTINE)) == 3
    )  # of the other item: moved, its old version, a marker


def test_without_its_deletion_the_last_step_finds_copies(procedure: Procedure) -> None:
    delete, verify, redrive, _, find = steps()
    for words in (delete, verify, redrive):
        procedure.run(words)

    result = run(*find[1:])

    assert result.exit_code == 1
    assert len(procedure.copies()) == result.stdout.count("found  ") - 1 == 8 - 2 + 2


@pytest.mark.parametrize(
    "place",
    [
        "point-in-time recovery",
        "on-demand backups",
        "stream",
        "`EnableStream`",
        "Kinesis",
        "Contributor Insights",
        "archive",
        "exports",
        "verify --report",
        ".undecided",
        "state files",
        "quarantine",
        "on-failure",
        "old versions",
        "new_item_messages",
        "task_counts",
        "temporary files",
        "botocore logs at DEBUG",
    ],
)
def test_every_place_is_named(place: str) -> None:
    assert place in PAGE.lower() or place in PAGE


def test_the_days_are_those_of_the_templates() -> None:
    assert (
        f"`DoneRetentionInDays`, {load()['Parameters']['DoneRetentionInDays']['Default']} by default" in PAGE
    )


def test_the_page_is_linked() -> None:
    for page in ("docs/README.md", "SECURITY.md", "docs/runbook.md"):
        assert "deletion.md" in (ROOT / page).read_text(), page
