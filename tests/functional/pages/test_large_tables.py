"""docs/large-tables.md: its tables follow from the estimates of the commands, and its commands exist."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from benchmarks.operator.units import QUIET, SIZE
from ddbreplica.backfill.estimate import Estimate as BackfillEstimate
from ddbreplica.records.size import READ_UNIT
from ddbreplica.records.text import duration
from ddbreplica.verify.estimate import Estimate as VerifyEstimate
from ddbreplica.verify.estimate import TableSize
from ddbreplica_cli.app import main
from tests.support.modules import ROOT

PAGE = (ROOT / "docs" / "large-tables.md").read_text()
RESULTS = json.loads((ROOT / "benchmarks" / "operator.json").read_text())
QUOTA = 40_000
ITEMS = {"10⁶": 10**6, "10⁸": 10**8, "2·10⁹": 2 * 10**9}
KILOBYTES = (0.5, 1, 4)


def table(first: str) -> list[str]:
    """Return the rows of the table whose first line begins so."""
    lines = [line.strip() for line in PAGE.split("\n")]
    start = next(number for number, line in enumerate(lines) if line.startswith(first)) + 2
    return lines[start : next(n for n, line in enumerate(lines[start:], start) if not line.startswith("|"))]


def dollars(amount: float) -> str:
    return f"${amount:,.2f}"


def verify_row(name: str, size: float, *, consistent: bool) -> str:
    items = ITEMS[name]
    tables = [TableSize(items, int(items * size * 1024), QUOTA)] * 2
    estimate = VerifyEstimate(tables, consistent=consistent)
    assert estimate.seconds is not None
    command = "verify" if consistent else "verify, eventually consistent"
    figures = f"{estimate.read_units:,} | – | {dollars(estimate.dollars)} | {duration(estimate.seconds)}"
    return f"| {name} | {size} | {command} | {figures} |"


def backfill_row(name: str, size: float) -> str:
    items = ITEMS[name]
    estimate = BackfillEstimate(items, int(items * size * 1024), 0)
    seconds = estimate.seconds(rate=QUOTA, read_rate=QUOTA)
    assert seconds is not None
    units = f"{estimate.read_units:,} | {estimate.write_units:,}"
    return f"| {name} | {size} | backfill | {units} | {dollars(estimate.dollars)} | {duration(seconds)} |"


def rows() -> Iterator[str]:
    for name in ITEMS:
        for size in KILOBYTES:
            yield verify_row(name, size, consistent=True)
            yield verify_row(name, size, consistent=False)
            yield backfill_row(name, size)


def share(size: float) -> str:
    """Return how many of 10⁶ items take the read units of a comparison, if each is copied from an export."""
    items, size_in_bytes = 10**6, int(size * 1024)
    one = BackfillEstimate(1, size_in_bytes, 0, is_listed=True).read_units
    all_of_them = VerifyEstimate([TableSize(items, items * size_in_bytes, None)] * 2).read_units
    return f"{all_of_them / one / items:.1%}".replace(".0%", "%").replace("%", " %")


def test_the_figures_follow_from_the_estimates_of_the_commands() -> None:
    assert table("| items | KB each |") == list(rows())


def test_the_time_of_a_process_follows_from_its_speed() -> None:
    assert table("| items | at 5,000") == [
        f"| {name} | {duration(items / 5_000)} | {duration(items / 15_000)} |"
        for name, items in ITEMS.items()
    ]


def test_when_an_incremental_export_pays_follows_from_the_estimates() -> None:
    assert table("| KB each | costs less") == [
        f"| {size} | {share(size)} of the items |" for size in KILOBYTES
    ]


def backfill_of_a_gigabyte(size: float) -> str:
    items = round(2**30 / (size * 1024))
    return dollars(BackfillEstimate(items, 2**30, 0).dollars)


def test_the_cost_of_a_backfill_per_gigabyte_follows_from_the_estimate() -> None:
    assert table("| KB each | a backfill") == [
        f"| {size} | {backfill_of_a_gigabyte(size)} |" for size in KILOBYTES
    ]


def test_a_full_export_never_takes_fewer_read_units_than_the_scan() -> None:
    for size in (1, 512, READ_UNIT - 1, READ_UNIT, READ_UNIT + 1, 10 * READ_UNIT):
        scanned, listed = (BackfillEstimate(1000, 1000 * size, 0, is_listed=each) for each in (False, True))
        assert listed.read_units >= scanned.read_units


def units_of_an_item(command: str) -> float:
    """Return the calculated read units of an item of the size that is measured."""
    items = 10_000
    if command == "backfill":
        return BackfillEstimate(items, items * SIZE, 0).read_units / items
    tables = [TableSize(items, items * SIZE, None)] * 2
    return VerifyEstimate(tables, consistent=command == "verify").read_units / items


def test_the_measured_units_are_those_that_are_calculated() -> None:
    measured = [each for each in RESULTS["units"] if each["meanwhile"] == QUIET]

    assert measured
    for each in measured:
        assert each["each"] == pytest.approx(units_of_an_item(each["command"]), rel=0.1), each


def test_the_page_has_the_units_of_an_item_of_the_measured_size() -> None:
    commands = ("verify", "verify --eventually-consistent", "backfill")
    consistent, eventual, backfill = (f"{units_of_an_item(command):.2f}" for command in commands)

    assert (
        f"For items of {SIZE} bytes this is {consistent} read units an item for `verify`, {eventual} with"
        f" `--eventually-consistent`, and {backfill} for `backfill`."
    ) in " ".join(PAGE.split())


def test_the_page_names_the_quota() -> None:
    assert f"{QUOTA:,} read units and {QUOTA:,} write units per second" in " ".join(PAGE.split())


def aws_commands() -> list[list[str]]:
    """Return the words of each command of the AWS CLI for DynamoDB, those within $( ) too."""
    text = "".join(re.findall(r"^ *```console\n(.+?)^ *```$", PAGE, re.MULTILINE | re.DOTALL))
    ours = text.replace("\\\n", " ").replace("$(", "\n$ ")
    found = re.findall(r"^ *\$ (?:\w+=)?(aws dynamodb (?:'[^']*'|[^'\n])+)", ours, re.MULTILINE)
    return [shlex.split(command.rstrip(")")) for command in found]


@pytest.mark.parametrize("words", aws_commands(), ids=lambda words: words[2])
def test_each_aws_command_and_its_options_exist(words: list[str]) -> None:
    if words[2] == "wait":
        return
    model = botocore.session.get_session().get_service_model("dynamodb")
    operation = model.operation_model("".join(part.title() for part in words[2].split("-")))
    assert operation.input_shape is not None

    options = {word[2:].replace("-", "") for word in words if word.startswith("--")}
    assert options <= {"query", "output", *(member.lower() for member in operation.input_shape.members)}


def test_the_imported_table_has_the_key_of_the_guide() -> None:
    (words,) = (words for words in aws_commands() if words[2] == "import-table")
    created: dict[str, Any] = json.loads(words[words.index("--table-creation-parameters") + 1])

    guide = (ROOT / "docs" / "deployment.md").read_text()
    assert created["TableName"] == "orders_copy"
    for key in created["KeySchema"]:
        assert re.search(rf'"(?:Partition|Sort)KeyName={key["AttributeName"]}"', guide)


def test_the_command_that_runs_for_hours_has_options_that_exist() -> None:
    (command,) = re.findall(r"^\$ nohup ddbreplica verify (.+?)&$", PAGE, re.MULTILINE | re.DOTALL)

    options = {option for parameter in main.commands["verify"].params for option in parameter.opts}
    named = {word for word in command.split() if word.startswith("--")}
    assert named
    assert named <= options
