"""`ddbreplica verify` on moto with a sample, a file of keys, a report and --repair."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError

from ddbreplica.dynamodb import describe
from ddbreplica.model import SUSPECT
from ddbreplica.reconcile.journal_format import VERIFY
from tests.support.account import FUNCTION, answer_lambda, function, mapping
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, press_ctrl_c, run
from tests.support.kept_records import QUARANTINE, KeptRecords, answer_mapping
from tests.support.killed import Killed
from tests.support.machine import Machine
from tests.support.wire import response

EXIT_CODES = {"equal": 0, "repaired": 0, "not equal": 1, "inconclusive": 3}
STATE = Path("logfile-logfile_replica.verify")
STREAM: Any = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}


def verify(*args: str) -> Any:
    """Run without a grace period, and return the JSON document."""
    result = run("verify", "--grace", "0", "--json", *args)
    document = json.loads(result.stdout)
    assert result.exit_code == EXIT_CODES[document["verdict"]]
    return document


def repair(*args: str) -> Any:
    return verify("--repair", "--without-mapping", "--transform", "none", *args)


@pytest.fixture
def apart(tables: Tables) -> Tables:
    """A table and its replica, with one difference of each kind."""
    for number in range(30):
        tables.put_both(f"same{number}")
    tables.put(SOURCE, "missing", n={"N": "1"})
    tables.put(SOURCE, "different", n={"N": "2"}, b={"B": b"\x00"})
    tables.put(REPLICA, "different", n={"N": "1"}, b={"B": b"\x00"})
    tables.put(REPLICA, "extra", n={"N": "3"})
    return tables


def reported(path: Path) -> Sequence[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


DIFFERENT = {
    "finding": "different",
    "key": {"PK": {"S": "different"}},
    "attributes": [{"name": "n", "source": {"N": "2"}, "replica": {"N": "1"}}],
}
EXTRA = {"finding": "extra", "key": {"PK": {"S": "extra"}}, "attributes": []}
MISSING = {"finding": "missing", "key": {"PK": {"S": "missing"}}, "attributes": []}


class TestReport:
    def test_it_contains_all_differences_even_those_not_shown(self, apart: Tables, tmp_path: Path) -> None:
        report = tmp_path / "report.jsonl"

        document = verify("--limit", "1", "--report", str(report))

        assert len(document["differences"]) == 1
        assert reported(report) == [DIFFERENT, EXTRA, MISSING]

    def test_it_is_empty_for_equal_tables(self, tables: Tables, tmp_path: Path) -> None:
        report = tmp_path / "report.jsonl"
        report.write_text("of yesterday")

        verify("--report", str(report))

        assert report.read_text() == ""

    def test_a_file_that_cannot_be_written_is_an_error_before_the_first_read(
        self, apart: Tables, aws: Misbehaviour, tmp_path: Path
    ) -> None:
        aws.refuse("Scan", "AccessDeniedException")

        result = run("verify", "--report", str(tmp_path / "nowhere" / "report.jsonl"))

        assert result.exit_code == 2
        assert lines(result.stderr)[-2].endswith("report.jsonl cannot be written: No such file or directory.")

    def test_a_report_to_stdout_leaves_the_result_to_stderr(
        self, apart: Tables, capfd: pytest.CaptureFixture[str]
    ) -> None:
        result = run("verify", "--transform", "none", "--grace", "0", "--report", "-")

        assert [json.loads(line) for line in capfd.readouterr().out.splitlines()] == [
            DIFFERENT,
            EXTRA,
            MISSING,
        ]
        assert (result.exit_code, result.stdout) == (1, "")
        assert lines(result.stderr)[0] == "source         logfile"
        assert lines(result.stderr)[-2:] == [
            "NOT EQUAL",
            "Try: run the same command with --repair --dry-run, then with --repair.",
        ]

    def test_a_report_to_stdout_cannot_be_used_with_json(self, apart: Tables) -> None:
        result = run("verify", "--report", "-", "--json")

        assert (result.exit_code, result.stdout) == (2, "")
        assert lines(result.stderr)[-1] == (
            "Error: --report - and --json cannot be used together, since both write to stdout."
            " Try: name a file with --report, or leave out --json."
        )

    def test_a_file_named_like_stdout_is_written_by_its_path(
        self, apart: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        verify("--report", "./-")

        assert reported(tmp_path / "-") == [DIFFERENT, EXTRA, MISSING]

    def test_no_values_removes_values_from_all_output(self, apart: Tables, tmp_path: Path) -> None:
        apart.put(SOURCE, "different", n={"S": "SECRET"}, b={"B": b"\x00"})
        apart.put(REPLICA, "different", n={"S": "SECRET2"}, b={"B": b"\x00"}, m={"M": {"SECRET": {"N": "1"}}})
        report = tmp_path / "report.jsonl"
        asked = ("verify", "--grace", "0", "--no-values", "--report", str(report))

        for as_json in ([], ["--json"]):
            result = run(*asked, *as_json)

            assert "SECRET" not in result.stdout + result.stderr + report.read_text()
            assert '"different"' in result.stdout
            assert '"n"' in result.stdout

        without = {**DIFFERENT, "attributes": [{"name": "m"}, {"name": "n"}]}
        assert json.loads(result.stdout)["differences"] == reported(report) == [without, EXTRA, MISSING]
        assert verify("--keys-from", str(report))["different"] == 1

    def test_it_cannot_be_the_file_of_keys(self, apart: Tables, tmp_path: Path) -> None:
        keys = tmp_path / "keys.jsonl"
        keys.write_text("{}")

        result = run("verify", "--keys-from", str(keys), "--report", str(tmp_path / "." / "keys.jsonl"))

        assert result.exit_code == 2
        assert keys.read_text() == "{}"


class TestKeysFrom:
    def test_only_these_keys_are_compared(self, apart: Tables, tmp_path: Path) -> None:
        keys = tmp_path / "keys.jsonl"
        named = ["same1", "same2", "extra", "missing", "same1", "nowhere"]
        keys.write_text("".join(f'{{"PK": {{"S": "{pk}"}}}}\n' for pk in named))

        document = verify("--keys-from", str(keys))

        assert (document["source_items"], document["replica_items"]) == (3, 3)
        assert [found["finding"] for found in document["differences"]] == ["extra", "missing"]
        assert document["looked_at"] == f"the keys of {keys}"

    def test_a_report_can_be_used_as_a_file_of_keys(self, apart: Tables, tmp_path: Path) -> None:
        report = tmp_path / "report.jsonl"
        verify("--report", str(report))
        apart.put(REPLICA, "missing", n={"N": "1"})

        document = verify("--keys-from", str(report))

        assert [found["finding"] for found in document["differences"]] == ["different", "extra"]

    def test_many_keys_are_compared_in_parallel(self, tables: Tables, tmp_path: Path) -> None:
        run("load", "--generate", "450")
        run("load", "--generate", "450", "--source", REPLICA)
        keys = tmp_path / "keys.jsonl"
        keys.write_text("".join(f'{{"PK": {{"S": "{pk}"}}}}\n' for pk in tables.items(SOURCE)))

        document = verify("--keys-from", str(keys))

        assert (document["verdict"], document["source_items"]) == ("equal", 450)

    def test_an_error_names_a_line_that_is_not_a_key(self, apart: Tables, tmp_path: Path) -> None:
        keys = tmp_path / "keys.jsonl"
        keys.write_bytes(b'{"PK": {"S": "a"}}\n{"PK": {"S": "\xff"}}\n')

        result = run("verify", "--transform", "none", "--keys-from", str(keys))

        assert result.exit_code == 2
        assert lines(result.stderr)[0].startswith(f"Error: {keys}:2: not a primary key of this table: ")

    @pytest.mark.parametrize("content", ["", "\n \n"], ids=["empty", "blank"])
    def test_a_file_without_keys_is_not_equal(self, apart: Tables, tmp_path: Path, content: str) -> None:
        keys = tmp_path / "keys.jsonl"
        keys.write_text(content)

        result = run("verify", "--transform", "none", "--keys-from", str(keys))

        assert (result.exit_code, result.stdout) == (2, "")
        assert lines(result.stderr) == [
            f"Error: {keys} contains no keys.",
            "Try: write one key per line, or omit --keys-from to compare all items.",
        ]

    def test_it_cannot_be_used_with_a_sample(self) -> None:
        result = run("verify", "--keys-from", __file__, "--sample", "0.5")

        assert result.exit_code == 2
        assert "--sample and --keys-from cannot be used together." in result.stderr


class TestSample:
    def test_it_compares_random_segments(self, tables: Tables, aws: Misbehaviour) -> None:
        asked: list[tuple[int, int]] = []

        def see(request: Any, **_: Any) -> None:
            body = json.loads(request.body)
            asked.append((body["Segment"], body["TotalSegments"]))

        aws.on("before-send.dynamodb.Scan", see)

        document = verify("--sample", "0.1", "--segments", "2")

        assert [total for _, total in asked] == [20] * 4
        # The same two segments of both tables.
        assert sorted(asked) == sorted(2 * list(set(asked)))
        assert len(set(asked)) == 2
        assert all(0 <= segment < 20 for segment, _ in asked)
        assert document["looked_at"] == "a sample of 0.1"

    def test_it_is_never_larger_than_the_fraction(self, tables: Tables, aws: Misbehaviour) -> None:
        totals: list[int] = []
        aws.on(
            "before-send.dynamodb.Scan",
            lambda request, **_: totals.append(json.loads(request.body)["TotalSegments"]),
        )

        verify("--sample", "0.9", "--segments", "4")

        assert totals == [5] * 8


class TestReadRate:
    @pytest.fixture
    def taken(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float | None, float]]:
        """The rates, each with the units taken from it."""
        taken: list[tuple[float | None, float]] = []

        class Noted:
            def __init__(self, per_second: float | None, **_: Any) -> None:
                self.per_second = per_second

            def take(self, units: float) -> None:
                taken.append((self.per_second, units))

        monkeypatch.setattr("ddbreplica.dynamodb.scan.Rate", Noted)
        return taken

    def test_on_demand_tables_have_no_limit(
        self, apart: Tables, taken: list[tuple[float | None, float]]
    ) -> None:
        verify()

        assert {rate for rate, _ in taken} == {None}

    def test_the_default_is_a_quarter_of_the_provisioned_capacity(
        self, apart: Tables, taken: list[tuple[float | None, float]]
    ) -> None:
        for table, reads in ((SOURCE, 100), (REPLICA, 40)):
            apart.client.update_table(
                TableName=table,
                BillingMode="PROVISIONED",
                ProvisionedThroughput={"ReadCapacityUnits": reads, "WriteCapacityUnits": 10},
            )

        verify()

        assert {rate for rate, _ in taken} == {25.0, 10.0}

    def test_the_option_overrides_the_default(
        self, apart: Tables, taken: list[tuple[float | None, float]]
    ) -> None:
        verify("--read-rate", "7")

        assert {rate for rate, _ in taken} == {7.0}

    def test_consumed_capacity_delays_the_next_read(
        self, tables: Tables, aws: Misbehaviour, taken: list[tuple[float | None, float]]
    ) -> None:
        pages = [(2.5, {"PK": {"S": "a"}}), (1.0, {"PK": {"S": "b"}}), (4.0, None)]

        def scan(request: Any, **_: Any) -> Any:
            body = json.loads(request.body)
            assert body["ReturnConsumedCapacity"] == "TOTAL"
            if body["TableName"] == REPLICA:
                return None
            units, last = pages.pop(0)
            page: Any = {"Items": [], "ConsumedCapacity": {"CapacityUnits": units}, "LastEvaluatedKey": last}
            return response(request.url, 200, page)

        aws.on("before-send.dynamodb.Scan", scan)

        verify("--segments", "1", "--read-rate", "100")

        assert [units for _, units in taken if units] == [2.5, 1.0]

    def test_a_low_read_rate_makes_pages_smaller(
        self, tables: Tables, aws: Misbehaviour, taken: list[tuple[float | None, float]]
    ) -> None:
        limits: list[int | None] = []
        aws.on(
            "before-send.dynamodb.Scan",
            lambda request, **_: limits.append(json.loads(request.body).get("Limit")),
        )

        verify("--segments", "1")
        verify("--segments", "1", "--read-rate", "100")

        assert limits == [2500, 2500, 100, 100]


class TestRepair:
    def test_items_that_differ_get_the_state_of_the_source(self, apart: Tables, tmp_path: Path) -> None:
        report = tmp_path / "report.jsonl"

        document = repair("--report", str(report))

        assert apart.items(REPLICA) == apart.items(SOURCE)
        assert document["verdict"] == "repaired"
        assert document["repaired"] == 3
        assert reported(report) == [{**found, "repair": "repaired"} for found in (DIFFERENT, EXTRA, MISSING)]
        assert repair()["verdict"] == "equal"

    def test_equal_items_are_not_written(self, apart: Tables, aws: Misbehaviour) -> None:
        written: list[Any] = []
        aws.on(
            "before-send.dynamodb.BatchWriteItem",
            lambda request, **_: written.extend(json.loads(request.body)["RequestItems"][REPLICA]),
        )

        repair()

        assert sorted(next(iter(write)) for write in written) == ["DeleteRequest", "PutRequest", "PutRequest"]

    def test_a_dry_run_shows_what_would_be_repaired_and_writes_nothing(
        self, apart: Tables, tmp_path: Path
    ) -> None:
        before, report = apart.items(REPLICA), tmp_path / "report.jsonl"

        document = repair("--dry-run", "--report", str(report))

        assert apart.items(REPLICA) == before
        assert (document["verdict"], document["repaired"]) == ("not equal", 0)
        assert [found["repair"] for found in reported(report)] == [
            "would be put",
            "would be deleted",
            "would be put",
        ]

    def test_a_report_selects_what_to_repair(self, apart: Tables, tmp_path: Path) -> None:
        keys = tmp_path / "keys.jsonl"
        keys.write_text(json.dumps(EXTRA))

        assert repair("--keys-from", str(keys))["verdict"] == "repaired"
        assert repair("--dry-run")["differences"] == [
            {**DIFFERENT, "repair": "would be put"},
            {**MISSING, "repair": "would be put"},
        ]

    def test_a_refused_item_is_not_repaired(self, apart: Tables, aws: Misbehaviour) -> None:
        aws.refuse("BatchWriteItem", "ValidationException")
        aws.refuse("PutItem", "ValidationException", message="too large")

        document = repair()

        assert document["verdict"] == "not equal"
        assert [found["repair"] for found in document["differences"]] == [
            "refused: ValidationException: too large",
            "repaired",
            "refused: ValidationException: too large",
        ]

    def test_an_item_that_differs_after_its_repair_is_not_repaired(
        self, apart: Tables, aws: Misbehaviour
    ) -> None:
        def say_yes(request: Any, **_: Any) -> Any:
            return response(request.url, 200, {"UnprocessedItems": {}})

        aws.on("before-send.dynamodb.BatchWriteItem", say_yes)

        document = repair("--limit", "1")

        assert (document["verdict"], document["repaired"]) == ("not equal", 0)
        assert document["differences"][0]["repair"] == "was written, and differs again"

    def test_an_item_that_keeps_changing_is_not_repaired(self, tables: Tables, aws: Misbehaviour) -> None:
        numbers = iter(range(1000))
        aws.on(
            "before-send.dynamodb.BatchGetItem",
            lambda **_: tables.put(SOURCE, "busy", n={"N": str(next(numbers))}),
        )
        aws.refuse("BatchWriteItem", "AccessDeniedException")
        tables.put(SOURCE, "busy")

        document = repair()

        assert document["verdict"] == "inconclusive"
        assert "repair" not in document["differences"][0]

    def test_a_denied_write_is_an_error(self, apart: Tables, aws: Misbehaviour) -> None:
        aws.refuse("BatchWriteItem", "AccessDeniedException", message="not you")

        result = run("verify", "--repair", "--without-mapping", "--transform", "none", "--grace", "0")

        assert result.exit_code == 2
        assert "AccessDeniedException: not you" in lines(result.stderr)[0]
        assert lines(result.stderr)[1] == (
            "Try: use credentials that may do this (--profile), or have the permission added."
        )

    def test_ctrl_c_prints_how_many_items_were_repaired(
        self, apart: Tables, aws: Misbehaviour, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ddbreplica.verify.repair.PIECE", 1)
        calls = iter(range(1, 100))

        def press(**_: Any) -> None:
            if next(calls) == 2:
                press_ctrl_c()

        aws.on("before-send.dynamodb.BatchWriteItem", press)

        result = run(
            "verify",
            "--repair",
            "--without-mapping",
            "--transform",
            "none",
            "--grace",
            "0",
            "--segments",
            "1",
            "--json",
        )

        assert result.exit_code == 130
        assert json.loads(result.stdout)["repaired"] == 1
        assert lines(result.stderr) == [
            'different    PK={"S": "different"}: repaired',
            '             "n"',
            '               source   {"N": "2"}',
            '               replica  {"N": "1"}',
            "",
            (
                "Error: interrupted; 32 items of the source and 32 of the replica were compared; suspected"
                " differences: 3; confirmed differences: 1; repaired: 1."
            ),
            "Try: run the same command again; it resumes from logfile-logfile_replica.verify.",
        ]
        assert repair("--segments", "1")["verdict"] == "repaired"

    @pytest.mark.parametrize(
        ("options", "advice"),
        [
            ((), "Try: run the same command with --repair --dry-run, then with --repair."),
            (
                ("--repair", "--without-mapping", "--dry-run"),
                "Try: run the same command without --dry-run.",
            ),
        ],
    )
    def test_a_difference_has_a_hint(self, apart: Tables, options: Sequence[str], advice: str) -> None:
        assert lines(run("verify", "--transform", "none", "--grace", "0", *options).stderr) == [advice]

    def test_a_rate_cannot_be_used_without_it(self) -> None:
        result = run("verify", "--rate", "1")

        assert result.exit_code == 2
        assert "--rate requires --repair." in result.stderr


class TestMapping:
    @pytest.fixture
    def apart(self, apart: Tables) -> Tables:
        apart.client.update_table(TableName=SOURCE, StreamSpecification=STREAM)
        return apart

    def test_a_repair_with_a_mapping(self, apart: Tables, aws: Misbehaviour) -> None:
        answer_mapping(apart, aws)

        assert verify("--repair")["verdict"] == "repaired"

    def test_a_repair_without_a_mapping_is_refused(self, apart: Tables, aws: Misbehaviour) -> None:
        answer_mapping(apart, aws, mapped=False)
        aws.refuse("BatchWriteItem", "AccessDeniedException")

        result = run("verify", "--repair")

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            (
                "Error: no event source mapping of a function with the tag ddbreplica replicates the source to the"
                " replica; later changes would be missed."
            ),
            (
                "Try: deploy a stack for these tables (docs/deployment.md), and run `ddbreplica status`;"
                " or add --without-mapping to continue anyway."
            ),
        ]

    def test_a_disabled_mapping_is_noted(self, apart: Tables, aws: Misbehaviour) -> None:
        answer_mapping(apart, aws, state="Disabled")

        result = run("verify", "--repair", "--grace", "0")

        assert result.exit_code == 0
        assert "is Disabled: later changes are replicated after it is enabled" in result.stderr


def test_a_source_that_is_recreated_before_the_repair_takes_nothing_from_the_replica(
    tables: Tables, aws: Misbehaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describe, "DESCRIBE_SECONDS", 0.0)
    tables.put_both("both")
    tables.put(REPLICA, "extra")
    scans = iter(range(1, 1000))

    def recreate(**_: Any) -> None:
        if next(scans) == 8:
            tables.client.delete_table(TableName=SOURCE)
            tables.create_logfile(SOURCE)

    aws.on("before-send.dynamodb.Scan", recreate)

    result = run(
        "verify", "--repair", "--without-mapping", "--transform", "none", "--grace", "0", "--segments", "4"
    )

    assert result.exit_code == 2
    assert "the source was recreated meanwhile" in result.stderr
    assert set(tables.items(REPLICA)) == {"both", "extra"}


class TestUnanswered:
    """A repair of three items whose write has got no response."""

    @pytest.fixture(autouse=True)
    def _one_unanswered(self, apart: Tables, aws: Misbehaviour) -> None:
        calls = iter(range(1, 10_000))

        def fail_once(request: Any, **_: Any) -> None:
            if next(calls) == 1:
                raise ReadTimeoutError(endpoint_url=request.url)

        aws.on("before-send.dynamodb.BatchWriteItem", fail_once)

    def test_it_is_not_repaired_and_its_keys_are_quarantined(
        self, apart: Tables, kept_records: KeptRecords
    ) -> None:
        result = run("verify", "--repair", "--grace", "0", "--json")

        assert result.exit_code == 1
        document = json.loads(result.stdout)
        assert (document["verdict"], document["repaired"], document["in_doubt"]) == ("not equal", 0, 3)
        assert {found["repair"] for found in document["differences"]} == {
            "an in-doubt write may still change the replica"
        }
        kept = [json.loads(kept_records.body(QUARANTINE, name)) for name in kept_records.names(QUARANTINE)]
        assert [one["error_code"] for one in kept] == [SUSPECT] * 3
        assert run("redrive").exit_code == 1

    @pytest.mark.usefixtures("apart")
    def test_its_keys_stay_in_the_state_file(self) -> None:
        result = run("verify", "--repair", "--without-mapping", "--transform", "none", "--grace", "0")

        assert result.exit_code == 1
        assert lines(result.stdout)[-1] == "NOT EQUAL"
        assert re.match(
            r"Until \d\d:\d\d UTC in-doubt writes may still change 3 items of the replica\."
            r" logfile-logfile_replica\.verify contains their keys: run the same command again after that time\.",
            result.stderr,
        )
        assert STATE.exists()

    @pytest.mark.usefixtures("apart")
    def test_a_later_verification_notes_the_state_file(self) -> None:
        repair()

        result = run("verify", "--grace", "0")

        assert lines(result.stdout)[-1] == "equal"
        assert re.match(
            r"Note: logfile-logfile_replica\.verify is the state file of a `ddbreplica verify` that"
            r" is running or was interrupted\."
            r" Until \d\d:\d\d UTC its writes may still change 3 items of the replica\. Run it again after"
            r" that time\.",
            result.stderr,
        )

    @pytest.mark.usefixtures("apart")
    def test_a_verification_of_other_tables_does_not_note_it(self, apart: Tables) -> None:
        repair()
        Path("other-logfile_replica.verify").write_bytes(STATE.read_bytes())
        Path("other-logfile_replica.redrive").write_text("of something else")
        apart.create_logfile("other")

        assert "Note:" not in run("verify", "--grace", "0", "--source", "other").stderr

    def test_the_next_repair_is_inconclusive_while_the_write_may_land(
        self, apart: Tables, machine: Machine
    ) -> None:
        repair()
        machine.pass_by(600)

        result = run("verify", "--repair", "--without-mapping", "--transform", "none", "--grace", "0")
        assert lines(result.stdout)[-1] == "inconclusive"
        assert "in doubt                  3" in lines(result.stdout)
        assert lines(result.stderr)[0] == "Resuming the repair in logfile-logfile_replica.verify."
        assert lines(result.stderr)[1].startswith("Until ")
        assert len(lines(result.stderr)) == 2

        machine.pass_by(1201)
        apart.put(REPLICA, "missing", n={"N": "7"})  # it lands, and is found by the sweep
        apart.put(
            SOURCE, "different", n={"N": "3"}
        )  # it lands after the sweep, which the reconciliation undoes
        apart.put(REPLICA, "different", n={"N": "3"})
        assert repair()["verdict"] == "repaired"
        assert apart.items(REPLICA) == apart.items(SOURCE)
        assert not STATE.exists()
        assert repair()["verdict"] == "equal"

    def test_ctrl_c_prints_the_note_on_in_doubt_writes_too(self, apart: Tables, aws: Misbehaviour) -> None:
        for number in range(150):
            apart.put(SOURCE, f"missing{number}")
        aws.on("before-send.dynamodb.BatchWriteItem", lambda **_: press_ctrl_c())

        result = run("verify", "--repair", "--without-mapping", "--transform", "none", "--grace", "0")

        assert result.exit_code == 130
        assert "in-doubt writes may still change 25 items of the replica" in result.stderr


class TestKilled:
    """A repair that was killed during a write, which may still land."""

    @pytest.fixture(autouse=True)
    def _kill(self, apart: Tables) -> None:
        self.killed = Killed(VERIFY, apart, "missing", "different", "extra")

    def make_equal(self, apart: Tables) -> None:
        """Change the source and, like the stream, the replica."""
        apart.put_both("missing", n={"N": "8"})
        apart.put_both("different", n={"N": "8"})
        apart.put_both("extra", n={"N": "8"})

    def test_a_write_that_lands_after_the_next_run_is_repaired_later(
        self, apart: Tables, machine: Machine
    ) -> None:
        self.make_equal(apart)

        document = repair()
        assert (document["verdict"], document["in_doubt"]) == ("inconclusive", 3)
        self.killed.land()
        machine.pass_by(1801)

        assert repair()["verdict"] == "repaired"
        assert apart.items(REPLICA) == apart.items(SOURCE)
        assert not STATE.exists()

    def test_a_write_that_lands_during_the_sweep_is_reconciled(
        self, apart: Tables, aws: Misbehaviour, machine: Machine
    ) -> None:
        self.make_equal(apart)
        repair()
        machine.pass_by(1801)
        scans = iter(range(100))
        # The last of eight scans: both tables have been read by then.
        aws.on("before-send.dynamodb.Scan", lambda **_: self.killed.land() if next(scans) == 7 else None)

        assert repair("--segments", "4")["verdict"] in ("equal", "repaired")
        assert apart.items(REPLICA) == apart.items(SOURCE)
        assert not STATE.exists()

    def test_a_state_of_tables_that_were_recreated_is_refused(self, apart: Tables) -> None:
        apart.client.delete_table(TableName=REPLICA)
        apart.create_logfile(REPLICA)

        result = run("verify", "--repair", "--without-mapping", "--transform", "none")

        assert lines(result.stderr)[0].startswith(
            "Error: logfile-logfile_replica.verify is the state file of a verify with other tables"
            " or options: its replica is arn:aws:dynamodb:"
        )
        assert STATE.exists()

    def test_a_key_that_the_replica_refuses_now_stays_open(
        self, apart: Tables, aws: Misbehaviour, machine: Machine
    ) -> None:
        self.make_equal(apart)
        repair()
        machine.pass_by(1801)
        aws.refuse("BatchWriteItem", "ValidationException")
        aws.refuse("PutItem", "ValidationException", message="too large")

        document = repair()

        assert document["verdict"] == "inconclusive"
        assert [found["repair"] for found in document["differences"]] == [
            "refused: ValidationException: too large"
        ] * 3
        assert repair()["inconclusive"] == 3

    def test_ctrl_c_leaves_open_keys_in_the_state_file(
        self, apart: Tables, aws: Misbehaviour, machine: Machine
    ) -> None:
        self.make_equal(apart)
        repair()
        machine.pass_by(1801)
        aws.on("before-send.dynamodb.BatchGetItem", lambda **_: press_ctrl_c())

        assert run("verify", "--repair", "--without-mapping", "--transform", "none").exit_code == 130
        assert STATE.exists()

    def test_a_key_that_the_filter_excludes_now_is_reported_once(
        self, apart: Tables, aws: Misbehaviour
    ) -> None:
        self.make_equal(apart)
        apart.client.update_table(TableName=SOURCE, StreamSpecification=STREAM)
        answer_mapping(apart, aws, patterns=[{"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "same"}]}}}}])

        first, second = (run("verify", "--repair", "--grace", "0", "--json") for _ in range(2))

        assert {found["repair"] for found in json.loads(first.stdout)["differences"]} == {
            "the mapping's filter excludes this key now, but did not when an earlier repair was interrupted"
        }
        assert json.loads(second.stdout)["verdict"] == "equal"


class TestChangedTransform:
    """The function's transform is changed while a repair is under way."""

    @pytest.fixture(autouse=True)
    def mapped(self, apart: Tables, aws: Misbehaviour) -> None:
        apart.client.update_table(TableName=SOURCE, StreamSpecification=STREAM)
        for bucket in (QUARANTINE, "given-up"):
            boto3.client("s3").create_bucket(Bucket=bucket)

    @pytest.mark.parametrize("calls", [1, 2, 3])
    def test_a_repair_begins_again_in_the_same_state_file(
        self, apart: Tables, aws: Misbehaviour, calls: int
    ) -> None:
        stream = apart.client.describe_table(TableName=SOURCE)["Table"]["LatestStreamArn"]
        answer_lambda(aws, [mapping(stream)], {FUNCTION: function(TRANSFORM='{"drop":["n"]}')})
        left = iter(range(calls))

        def changed(**_: Any) -> Any:
            rules = '{"drop":["b"]}' if next(left, None) is None else '{"drop":["n"]}'
            return SimpleNamespace(status_code=200), function(TRANSFORM=rules)

        aws.on("before-call.lambda.GetFunctionConfiguration", changed)

        result = run("verify", "--repair", "--grace", "0", "--json")

        assert (result.exit_code, next(left, None)) == (0, None), result.output
        assert "was changed meanwhile. Beginning again." in result.stderr
        assert apart.items(REPLICA) == {
            key: {name: value for name, value in each.items() if name != "b"}
            for key, each in apart.items(SOURCE).items()
        }
        assert not STATE.exists()
