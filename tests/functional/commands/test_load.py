"""`ddbreplica load` on moto."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Misbehaviour, Tables, lines, press_ctrl_c, run
from tests.support.modules import ROOT

DATA = ROOT / "data" / "logfile_stream.csv"
ROW = '{},66.249.67.3,2017-07-20,04,GMT-0700,GET,"/søk?q=a,b",{},05,"Bot ""x"", 1.0"\n'
RESUME = "run the same command again. To resume, add --start-at"
AGAIN = "a row replaces the item with its request id, so loading the file again is safe."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def test_a_row_becomes_an_item_of_the_source_table(tables: Tables, file: Path) -> None:
    file.write_text(ROW.format("017", "500"), encoding="utf-8")

    result = run("load", str(file))

    assert result.exit_code == 0
    assert result.stderr == ""
    assert tables.items("logfile") == {
        "request#17": {
            "PK": {"S": "request#17"},
            "GSI_1_PK": {"S": "host#66.249.67.3"},
            "requestid": {"N": "17"},
            "host": {"S": "66.249.67.3"},
            "date": {"S": "2017-07-20"},
            "hourofday": {"N": "4"},
            "timezone": {"S": "GMT-0700"},
            "method": {"S": "GET"},
            "url": {"S": "/søk?q=a,b"},
            "responsecode": {"N": "500"},
            "bytessent": {"N": "5"},
            "useragent": {"S": 'Bot "x", 1.0'},
            "servererror": {"S": "5xx"},
        }
    }
    assert tables.items("logfile_replica") == {}


def test_the_sample_file_is_loaded_to_the_last_row(tables: Tables) -> None:
    result = run("load", str(DATA))

    assert result.exit_code == 0
    assert re.fullmatch(r"RowCount: 2000, Total seconds: \d+\.\d+(e-\d+)?\n", result.stdout)
    assert len(tables.items("logfile")) == 2000


def test_an_index_query_finds_the_rows_of_a_host(tables: Tables) -> None:
    run("load", str(DATA))

    found = tables.client.query(
        TableName="logfile",
        IndexName="GSI_1",
        KeyConditionExpression="GSI_1_PK = :host",
        ExpressionAttributeValues={":host": {"S": "host#192.0.2.1"}},
        Select="COUNT",
    )

    assert found["Count"] > 100


def test_loading_again_changes_nothing(tables: Tables) -> None:
    run("load", "--generate", "50")
    before = tables.items("logfile")

    assert run("load", "--generate", "50").exit_code == 0
    assert tables.items("logfile") == before


def test_the_result_as_a_document(tables: Tables) -> None:
    result = run("load", "--generate", "3", "--json")

    document = json.loads(result.stdout)
    assert document.pop("total_seconds") > 0
    assert document == {
        "row_count": 3,
        "refused": 0,
        "refused_rows": [],
        "left_out": 0,
        "left_out_rows": [],
        "source": "logfile",
    }


def test_generated_rows_are_those_that_are_written_to_a_file(tables: Tables, file: Path) -> None:
    made = run("load", "--generate", "300", "--output", str(file))
    assert (made.exit_code, made.stdout) == (0, f"Wrote 300 rows to {file}.\n")
    assert tables.items("logfile") == {}
    assert file.read_bytes() == b"".join(DATA.read_bytes().splitlines(keepends=True)[:300])

    run("load", str(file))
    run("load", "--generate", "300", "--source", "logfile_replica")

    assert tables.items("logfile") == tables.items("logfile_replica")
    assert len(tables.items("logfile")) == 300


def test_a_byte_order_mark_is_not_part_of_a_row(tables: Tables, file: Path) -> None:
    file.write_text(ROW.format(1, 200), encoding="utf-8-sig")

    assert run("load", str(file)).exit_code == 0
    assert list(tables.items("logfile")) == ["request#1"]


BAD = b"".join(
    [
        *(ROW.format(number, 200).encode() for number in range(1, 31)),
        b"31,host,2017\n",
        ROW.format("x", 200).encode(),
        ROW.format(33, 200).encode("latin-1"),
        ROW.format(34, 200).encode(),
    ]
)


def test_a_bad_row_ends_the_load_and_the_error_has_the_rows_written(tables: Tables, file: Path) -> None:
    file.write_bytes(BAD)

    result = run("load", str(file))

    assert result.exit_code == 2
    assert result.stdout == ""
    assert lines(result.stderr) == [
        "Error: line 31: expected 10 columns and found 3; 30 rows written.",
        f"Try: fix the row or add --skip-bad-rows, and {RESUME} 31.",
    ]
    assert len(tables.items("logfile")) == 30


def test_bad_rows_can_be_skipped_and_are_listed(tables: Tables, file: Path) -> None:
    file.write_bytes(BAD)

    result = run("load", str(file), "--skip-bad-rows")

    assert result.exit_code == 0
    assert result.stdout.startswith("RowCount: 31, ")
    assert lines(result.stderr) == [
        "Rows skipped: 3",
        "  line 31: expected 10 columns and found 3",
        "  line 32: requestid is 'x', which is not a whole number",
        "  line 33: url is not UTF-8",
    ]
    assert "request#34" in tables.items("logfile")


def test_a_dry_run_lists_every_bad_row_and_writes_nothing(tables: Tables, file: Path) -> None:
    file.write_bytes(BAD)

    result = run("load", str(file), "--dry-run")

    assert result.exit_code == 1
    assert lines(result.stderr) == [
        "Rows that cannot be read: 3",
        "  line 31: expected 10 columns and found 3",
        "  line 32: requestid is 'x', which is not a whole number",
        "  line 33: url is not UTF-8",
        "Error: 3 rows cannot be loaded, 31 can be loaded; nothing was written.",
        "Try: fix the rows, or skip them with --skip-bad-rows.",
    ]
    assert tables.items("logfile") == {}


def test_a_dry_run_sends_no_request_to_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    result = run("load", str(DATA), "--dry-run")

    assert (result.exit_code, result.stdout) == (0, "2,000 rows can be loaded; nothing was written.\n")


def test_a_dry_run_that_skips_bad_rows_succeeds(file: Path) -> None:
    file.write_bytes(BAD)

    result = run("load", str(file), "--dry-run", "--skip-bad-rows", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["good"] == 31
    assert json.loads(result.stdout)["bad"] == 3


def test_rows_that_the_table_refuses_are_listed(tables: Tables, aws: Misbehaviour) -> None:
    aws.refuse("BatchWriteItem", "ValidationException")
    aws.refuse("PutItem", "ValidationException", after=1, message="too large")

    result = run("load", "--generate", "3")

    assert result.exit_code == 1
    assert result.stdout.startswith("RowCount: 1, ")
    assert lines(result.stderr) == [
        "Rows refused by the table: 2",
        "  line 2: ValidationException: too large",
        "  line 3: ValidationException: too large",
        "Error: the table refused 2 rows; 1 row written.",
        f"Try: fix the refused rows or the table's indexes, and load the file again; {AGAIN}",
    ]
    assert list(tables.items("logfile")) == ["request#1"]


def test_refused_rows_are_listed_even_if_a_bad_row_ends_the_load(
    tables: Tables, aws: Misbehaviour, file: Path
) -> None:
    aws.refuse("BatchWriteItem", "ValidationException")
    aws.refuse("PutItem", "ValidationException", message="too large")
    file.write_text(ROW.format(1, 200) + "bad\n", encoding="utf-8")

    assert lines(run("load", str(file)).stderr) == [
        "Rows refused by the table: 1",
        "  line 1: ValidationException: too large",
        "Error: line 2: expected 10 columns and found 1; 0 rows written.",
        f"Try: fix the row or add --skip-bad-rows, and {RESUME} 2.",
    ]


def test_a_fault_in_the_middle_is_reported_with_the_rows_written(tables: Tables, aws: Misbehaviour) -> None:
    aws.refuse("BatchWriteItem", "AccessDeniedException", after=40)

    result = run("load", "--generate", "2000", "--json")

    assert result.exit_code == 2
    assert lines(result.stderr)[0] == "Error: AccessDeniedException: why; 1,000 rows written."
    document = json.loads(result.stdout)
    assert document["row_count"] == 1000
    assert document["error"] == "AccessDeniedException: why; 1,000 rows written."
    assert document["start_at"] == 1001
    assert len(tables.items("logfile")) == 1000


def test_ctrl_c_reports_the_rows_written_and_how_to_resume(tables: Tables, aws: Misbehaviour) -> None:
    calls = iter(range(1, 1000))

    def press(**_: Any) -> None:
        if next(calls) == 42:
            press_ctrl_c()

    aws.on("before-send.dynamodb.BatchWriteItem", press)

    result = run("load", "--generate", "20000")

    written = len(tables.items("logfile"))
    assert 1000 <= written <= 2000
    assert result.exit_code == 130
    assert lines(result.stderr) == [
        f"Error: interrupted; {written:,} rows written.",
        f"Try: {RESUME} 1001.",
    ]
    assert run("load", "--generate", "2000", "--start-at", "1001").stdout.startswith("RowCount: 1000, ")
    assert len(tables.items("logfile")) == 2000


def test_a_table_with_another_key_is_refused_before_anything_is_written(tables: Tables) -> None:
    tables.create("orders", {"id": "N", "at": "S"})

    result = run("load", "--generate", "3", "--source", "orders")

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        "Error: the table orders has the key at (S), id (N); web-log rows have the key PK (S).",
        "Try: name a table that has this key with --source.",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give FILE or --generate N, not both."),
        ((str(DATA), "--generate", "3"), "Give FILE or --generate N, not both."),
        ((str(DATA), "--output", "x.csv"), "--output requires --generate N."),
        (("--generate", "3", "--rate", "0"), "Invalid value for '--rate': 0.0 is not in the range x>0."),
        (("--generate", "0"), "Invalid value for '--generate': 0 is not in the range x>=1."),
        (("no.csv",), "Invalid value for '[FILE]': File 'no.csv' does not exist."),
    ],
)
def test_an_invalid_command_line(arguments: tuple[str, ...], message: str) -> None:
    result = run("load", *arguments)

    assert result.exit_code == 2
    assert lines(result.stderr)[-1] == f"Error: {message}"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    result = run("load", "--generate", "3", "--output", str(tmp_path / "no" / "rows.csv"))

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        f"Error: {tmp_path / 'no' / 'rows.csv'} cannot be written: No such file or directory.",
        "Try: free disk space, check the directory, or name another file.",
    ]


def test_rows_are_written_at_a_rate(tables: Tables) -> None:
    assert run("load", "--generate", "20", "--rate", "100000").stdout.startswith("RowCount: 20, ")


def test_a_dry_run_starts_at_a_line_too(file: Path) -> None:
    file.write_bytes(BAD)

    result = run("load", str(file), "--dry-run", "--start-at", "34")

    assert (result.exit_code, result.stdout) == (0, "1 row can be loaded; nothing was written.\n")
