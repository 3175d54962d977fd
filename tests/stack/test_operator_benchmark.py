"""The benchmark of the commands: all programs do the same work, and a run has all its figures."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.operator import engines
from benchmarks.operator.command import main
from benchmarks.operator.figures import Case
from benchmarks.operator.loops import REPLICA
from benchmarks.operator.programs import PROGRAMS, Program, run
from benchmarks.operator.trials import Service
from benchmarks.processes import BenchmarkError
from demo.embedded import EmbeddedAws, embedded_aws

ITEMS = 30

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as running:
        yield running


@pytest.fixture
def service(aws: EmbeddedAws) -> Iterator[Service]:
    """A service with a loaded source and an empty replica."""
    service = Service("here", aws.endpoint_url, aws.credentials)
    with service.tables(ITEMS):
        yield service


@pytest.mark.parametrize("name", PROGRAMS["backfill"])
def test_each_program_that_copies_leaves_equal_tables(service: Service, name: str) -> None:
    service.run(Case("here", "backfill", name, ITEMS))

    for program in PROGRAMS["verify"].values():
        run(program, service.environment)


@pytest.mark.parametrize("name", ["scans", "wire-scans"])
@pytest.mark.parametrize("change", ["missing", "different", "extra"])
def test_a_loop_that_finds_a_difference_fails_the_run(
    service: Service, aws: EmbeddedAws, name: str, change: str
) -> None:
    run(PROGRAMS["backfill"]["wire"], service.environment)
    item = aws.dynamodb.scan(TableName=REPLICA, Limit=1)["Items"][0]
    match change:
        case "missing":
            aws.dynamodb.delete_item(TableName=REPLICA, Key={"PK": item["PK"]})
        case "different":
            aws.dynamodb.put_item(TableName=REPLICA, Item={**item, "more": {"S": "x"}})
        case _:
            aws.dynamodb.put_item(TableName=REPLICA, Item={"PK": {"S": "no row"}})

    with pytest.raises(BenchmarkError, match="different items"):
        run(PROGRAMS["verify"][name], service.environment)


def test_incomplete_work_fails_the_run(service: Service) -> None:
    with pytest.raises(BenchmarkError, match="ddbreplica backfill on here left 30 items of 31"):
        service.run(Case("here", "backfill", "ours", ITEMS + 1))


def test_the_memory_is_that_of_the_program_only() -> None:
    held = b"held" * (75 * 2**20)

    took = run(Program("the help", ("ddbreplica_cli", "--help")), {})

    assert 10 * 2**20 < took.peak < len(held)


def test_a_quick_run_has_all_figures_except_those_of_missing_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["operator", "--quick", "--output", str(tmp_path)])
    monkeypatch.setattr(engines, "is_ready", lambda: False)

    assert main() == 0

    found = json.loads((tmp_path / "operator.json").read_text())
    said = capsys.readouterr()
    assert {(f["service"], f["command"], f["contestant"]) for f in found["figures"]} == {
        *(("a simulated table (4 ms)", "load", name) for name in PROGRAMS["load"]),
        *(
            ("the embedded AWS", command, name)
            for command in ("backfill", "verify")
            for name in PROGRAMS[command]
        ),
    }
    assert all(f["rate"]["median"] > 0 and f["cpu"]["median"] > 0 and f["peak"] > 0 for f in found["figures"])
    assert all(goal["title"].split(":")[0] in said.out for goal in found["goals"])
    assert "DynamoDB Local is not installed" in said.err
