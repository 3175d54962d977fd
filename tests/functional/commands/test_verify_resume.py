"""`ddbreplica verify` on moto: runs that end early and go on, tables that change identity, and the dry run."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ddbreplica.aws.clock import Clock
from ddbreplica.dynamodb import scan
from ddbreplica.dynamodb.prices import AS_OF, REGION
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import DAMAGED, VERIFY
from ddbreplica.verify import options
from ddbreplica.verify.result.findings import Findings
from ddbreplica.verify.saved_progress import SavedProgress
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, press_ctrl_c, run
from tests.support.killed import Killed

STATE = Path("logfile-logfile_replica.verify")
QUICK = ("verify", "--grace", "0", "--segments", "1", "--transform", "none")
REPORT = ("--report", "report.jsonl")


def interrupt(aws: Misbehaviour, *, scan: int) -> None:
    """Press Ctrl-C at a scan, once."""
    scans = iter(range(1, 10_000))

    def press(**_: Any) -> None:
        if next(scans) == scan:
            press_ctrl_c()
            time.sleep(0.2)  # the main thread handles the signal before the response is read

    aws.on("before-send.dynamodb.Scan", press)


def reported() -> list[str]:
    return [json.loads(line)["key"]["PK"]["S"] for line in Path("report.jsonl").read_text().splitlines()]


@pytest.fixture
def apart(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Two tables of several small pages, of which the replica lacks a few items."""
    monkeypatch.setattr(scan, "PAGE", 50)
    run("load", "--generate", "170")
    run("load", "--generate", "170", "--source", REPLICA)
    for number in range(9):
        tables.put(SOURCE, f"missing{number}")
    return tables


def test_a_run_goes_on_where_another_one_was_interrupted(apart: Tables, aws: Misbehaviour) -> None:
    interrupt(aws, scan=5)
    first = run(*QUICK, *REPORT)
    assert first.exit_code == 130
    assert lines(first.stderr)[-1] == f"Try: run the same command again; it resumes from {STATE}."
    read: list[Any] = []
    aws.on("before-send.dynamodb.Scan", lambda request, **_: read.append(json.loads(request.body)))

    second = run(*QUICK, *REPORT, "--json")

    document = json.loads(second.stdout)
    assert (second.exit_code, document["verdict"], document["missing"]) == (1, "not equal", 9)
    assert (document["source_items"], document["replica_items"]) == (179, 170)
    assert lines(second.stderr)[0].startswith(f"Resuming from {STATE}, whose first scan began at ")
    assert "ExclusiveStartKey" in read[0]
    assert sorted(reported()) == [f"missing{number}" for number in range(9)]
    assert not STATE.exists()


def test_a_state_of_other_options_is_refused_with_what_differs(apart: Tables, aws: Misbehaviour) -> None:
    interrupt(aws, scan=5)
    run(*QUICK)

    result = run(*QUICK, "--eventually-consistent")

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        (
            f"Error: {STATE} is the state file of a verify with other tables or options: its consistency is strong,"
            " not eventual."
        ),
        "Try: use the same tables and options to resume it, or name another file with --state.",
    ]
    assert '"segment 0"' in STATE.read_text()


def test_a_state_of_damaged_progress_is_refused_by_name(apart: Tables, aws: Misbehaviour) -> None:
    interrupt(aws, scan=5)
    run(*QUICK)
    with STATE.open("a") as file:
        file.write('{"note": "chosen", "value": "all"}\n')

    result = run(*QUICK)

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        f"Error: {STATE}: the progress in it was not written by ddbreplica, or is damaged.",
        f"Try: {DAMAGED}",
    ]


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "recreated"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_table_that_goes_away_ends_the_run_with_what_is_known(
    apart: Tables, aws: Misbehaviour, again: bool, as_json: bool
) -> None:
    scans = iter(range(1, 10_000))

    def go_away(**_: Any) -> None:
        if next(scans) == 6:
            apart.client.delete_table(TableName=REPLICA)
            if again:
                apart.create_logfile(REPLICA)

    aws.on("before-send.dynamodb.Scan", go_away)

    result = run(*QUICK, *(["--json"] if as_json else []))

    assert result.exit_code == 2
    error = next(line for line in lines(result.stderr) if line.startswith("Error: "))
    assert " items of the source and " in error
    assert error.endswith(f"{STATE} keeps the progress.")
    if again:
        assert error.startswith("Error: the replica was recreated meanwhile: it was arn:aws:")
        assert lines(result.stderr)[-1] == f"Try: remove {STATE}, and run the command again."
    if as_json:
        document = json.loads(result.stdout)
        assert "verdict" not in document
        assert document["source_items"] >= 100
        assert document["error"] == error.removeprefix("Error: ")
    next_run = run(*QUICK)
    assert next_run.exit_code == 2
    assert STATE.exists()


def test_more_differences_than_fit_are_settled_in_groups(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "MAX_SUSPECTS_AT_ONCE", 150)
    pks = [f"missing{number:04}" for number in range(400)]
    for pk in pks:
        tables.put(SOURCE, pk)
    Path("keys").write_text("".join(f'{{"PK": {{"S": "{pk}"}}}}\n' for pk in pks))
    groups: list[int] = []
    settled = SavedProgress.settled

    def count(saved: SavedProgress, findings: Findings) -> None:
        groups.append(sum(findings.counts.values()))
        settled(saved, findings)

    monkeypatch.setattr(SavedProgress, "settled", count)

    found = run(*QUICK, *REPORT, "--json", "--keys-from", "keys")

    assert (found.exit_code, json.loads(found.stdout)["missing"]) == (1, 400)
    assert groups == [200, 400]
    assert sorted(reported()) == pks

    repaired = run(
        *QUICK,
        *REPORT,
        "--json",
        "--keys-from",
        "keys",
        "--repair",
        "--without-mapping",
    )

    assert (repaired.exit_code, json.loads(repaired.stdout)["repaired"]) == (0, 400)
    assert groups == [200, 400, 200, 400]
    assert sorted(reported()) == pks
    assert tables.items(REPLICA) == tables.items(SOURCE)
    assert not STATE.exists()


class TestWithoutAStateFile:
    """A run that writes nothing goes on without a state file if it cannot have one."""

    def test_another_run_uses_it(self, apart: Tables) -> None:
        journal = FileJournal.at(STATE, command=VERIFY, clock=Clock())
        try:
            result = run(*QUICK)
        finally:
            journal.close()

        assert (result.exit_code, lines(result.stdout)[-1]) == (1, "NOT EQUAL")
        assert lines(result.stderr)[0] == (
            f"The progress is not kept: {STATE} is in use by another command."
            " To keep it, name another file with --state."
        )

    def test_it_is_damaged(self, apart: Tables) -> None:
        STATE.write_text("PK,host\n")

        result = run(*QUICK)

        assert (result.exit_code, lines(result.stdout)[-1]) == (1, "NOT EQUAL")
        assert lines(result.stderr)[0].startswith(f"The progress is not kept: {STATE}:1: ")
        assert STATE.read_text() == "PK,host\n"

    def test_an_interrupted_repair_has_keys_in_it(self, apart: Tables) -> None:
        Killed(VERIFY, apart, "missing1")
        before = STATE.read_bytes()

        result = run(*QUICK)

        assert result.exit_code == 1
        assert "The progress is not kept" not in result.stderr
        assert STATE.read_bytes() == before

    def test_its_keys_are_named_also_when_no_write_may_land_any_more(self, apart: Tables) -> None:
        journal = FileJournal.at(STATE, command=VERIFY, clock=Clock())
        journal.intend([(("PK", "S", "missing1"),)])
        journal.rest()
        journal.close()

        result = run(*QUICK)

        assert result.exit_code == 1
        assert lines(result.stderr)[0] == (
            f"The progress is not kept: {STATE} has keys of a repair. To keep it, name another file with --state."
        )

    def test_a_file_that_is_named_has_to_be_writable(self, apart: Tables) -> None:
        result = run(*QUICK, "--state", "nowhere/state")

        assert (result.exit_code, result.stdout) == (2, "")
        assert lines(result.stderr)[-1] == (
            "Try: create the directory, or name a file on another disk with --state."
        )


class TestDryRun:
    """It prints what a comparison takes, and reads no item."""

    def dry_run(self, *args: str) -> Any:
        result = run("verify", "--dry-run", "--json", *args)
        assert result.exit_code == 0
        return json.loads(result.stdout)

    def test_it_is_said_as_text(self, apart: Tables, aws: Misbehaviour) -> None:
        aws.refuse("Scan", "AccessDeniedException")

        result = run("verify", "--dry-run")

        assert result.exit_code == 0
        shown = lines(result.stdout)
        assert shown[0] == f"items          {349:>14,}  in both tables"
        assert shown[3] == f"time           {'unknown':>14}  without --read-rate"
        assert shown[4:] == [
            "Items that differ are read again by key, which is not included.",
            f"The prices are those of on-demand capacity in {REGION}, {AS_OF}.",
            "Prices in other Regions and of provisioned capacity differ.",
        ]
        assert not STATE.exists()

    def test_a_sample_is_a_part_of_it(self, apart: Tables) -> None:
        whole, part = self.dry_run(), self.dry_run("--sample", "0.1")

        assert whole["dry_run"] is True
        assert (whole["items"], part["items"]) == (349, 35)

    def test_keys_are_counted_once(self, apart: Tables) -> None:
        Path("keys").write_text('{"PK": {"S": "a"}}\n{"PK": {"S": "b"}}\n{"PK": {"S": "a"}}\n')

        assert self.dry_run("--keys-from", "keys")["items"] == 4
