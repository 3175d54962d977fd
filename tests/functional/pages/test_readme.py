"""README.md: each fact, link and command of it is true."""

import json
import re
import shlex
import tomllib
from importlib.metadata import version
from typing import Any

import pytest

from benchmarks import cost
from ddbreplica_cli.app import main
from tests.support.commands import command_of
from tests.support.modules import ROOT
from tests.support.template import defaults, load, refusals, resources

README = (ROOT / "README.md").read_text()
LINES = README.split("\n")
COSTS = (ROOT / "docs" / "costs.md").read_text()
RESULTS = ROOT / "benchmarks" / "results.json"
HOURS = 730
READ_UNIT, WRITE_UNIT = 0.00013, 0.00065  # US dollars an hour in us-east-1, November 2026
ALARM, COMPOSITE = 0.10, 0.50  # US dollars a month
HEADINGS = [
    "Status",
    "Try it locally",
    "Deploy it to AWS",
    "Replicate your own table",
    "Run the function with sample events",
    "Test it",
    "Operate it",
    "Limits",
    "The workshop exercise",
    "Develop",
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every command line of a console block, with its continued lines."""
    text = "".join(blocks("console")).replace("\\\n", " ")
    return [" ".join(line[2:].split()) for line in text.split("\n") if line.startswith("$ ")]


def created(kind: str) -> list[dict[str, Any]]:
    """The properties of each resource of a type that a deployment with the defaults creates."""
    return [each.get("Properties", {}) for each in resources().values() if each["Type"] == kind]


def alarms() -> float:
    """What the alarms of the default stack cost a month."""
    return ALARM * len(created("AWS::CloudWatch::Alarm")) + COMPOSITE * len(
        created("AWS::CloudWatch::CompositeAlarm")
    )


def capacity() -> float:
    """What the provisioned capacity of the default stack costs a month."""
    tables = created("AWS::DynamoDB::Table")
    provisioned: list[dict[str, int]] = [
        each["ProvisionedThroughput"]
        for table in tables
        for each in (table, *table.get("GlobalSecondaryIndexes", ()))
    ]
    return HOURS * sum(
        each["ReadCapacityUnits"] * READ_UNIT + each["WriteCapacityUnits"] * WRITE_UNIT
        for each in provisioned
    )


def test_its_sections_are_in_the_order_of_a_reader() -> None:
    assert re.findall(r"^## (.+)$", README, re.MULTILINE) == HEADINGS


def test_it_is_short_and_its_first_deployment_is_near_the_top() -> None:
    assert len(LINES) - 1 <= 150
    assert next(number for number, line in enumerate(LINES, 1) if "sam deploy" in line) <= 50


def test_it_names_this_version() -> None:
    assert f"Version {version('ddbreplica')}. **It has not run on an AWS account yet.**" in README


def test_it_lists_what_a_deployment_with_the_defaults_creates() -> None:
    kinds = ("S3::Bucket", "CloudWatch::Dashboard", "CloudWatch::Alarm", "CloudWatch::CompositeAlarm")

    assert [len(created(f"AWS::{kind}")) for kind in kinds] == [2, 1, 13, 2]
    assert defaults()["SourceTableName"] == "logfile"
    assert defaults()["ReplicaTableName"] == "logfile_replica"
    assert (
        "the tables `logfile` and `logfile_replica`, the function and\n"
        "its role, two buckets, a dashboard and fifteen alarms."
    ) in README


def test_the_cost_without_traffic_is_that_of_the_template() -> None:
    assert f"about ${capacity() + alarms():.2f} a month in us-east-1, of which ${capacity():.2f}" in README
    assert f"That is ${capacity():.2f} for {HOURS} hours." in COSTS
    assert f"${READ_UNIT} per read unit and ${WRITE_UNIT} per write unit" in COSTS
    assert f"costs\n${capacity() + alarms():.2f} a month." in COSTS


def test_the_cost_of_a_million_changes_is_the_measured_one() -> None:
    (line,) = [line for line in COSTS.split("\n") if line.startswith("| ddbreplica, batches of 100 | $")]
    *_, writes, total = (float(cell.strip(" $")) for cell in line.split("|")[2:-1])

    assert f"about ${total:.2f}, of which ${writes:.2f} is for the writes" in README
    assert any(line in table for table in cost.tables(cost.read(json.loads(RESULTS.read_text()))))


def test_the_section_for_samconfig_has_parameters_of_the_template() -> None:
    (section,) = blocks("toml")
    config = tomllib.loads(section)["orders"]
    parameters = dict(pair.split("=", 1) for pair in config["deploy"]["parameters"]["parameter_overrides"])

    assert config["global"]["parameters"] == {"stack_name": "orders-replica"}
    stream = parameters.pop("SourceStreamArn").replace("STREAM_LABEL", "2026-11-29T00:00:00.000")
    assert refusals(SourceStreamArn=stream, **parameters) == []


def test_the_commands_for_a_table_of_ones_own_use_that_section_and_stack() -> None:
    _, _, later = README.partition("## Replicate your own table")
    section, _, _ = later.partition("\n## ")

    assert set(re.findall(r"--stack-name (\S+)", section)) == {"orders-replica"}
    assert set(re.findall(r"--config-env (\S+)", section)) == {"orders"}


def test_every_command_of_ours_exists_with_its_options() -> None:
    ours = [shlex.split(line) for line in commands() if line.startswith("ddbreplica ")]

    assert ours
    for _, *options in ours:
        known = {spelling for option in command_of(options).params for spelling in option.opts}
        assert {word for word in options if word.startswith("-")} <= known
    assert set(re.findall(r"^\| `ddbreplica (\w+)` \|", README, re.MULTILINE)) == set(main.commands)


def test_every_make_target_and_file_of_a_command_exists() -> None:
    targets = re.findall(r"^([a-z0-9-]+):.*?##", (ROOT / "Makefile").read_text(), re.MULTILINE)

    named = re.findall(r"\bmake ([a-z0-9]+)(?= EVENT|`|$)", README, re.MULTILINE)
    assert set(named) <= set(targets)
    assert {"demo", "invoke", "test", "stack", "engine", "e2e"} <= set(named)
    for path in re.findall(r"events/[\w-]+\.json", README):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("parameter", ["EndpointUrl", "BillingMode"])
def test_every_parameter_that_the_text_names_exists(parameter: str) -> None:
    assert f"{parameter}=" in README
    assert parameter in load()["Parameters"]
