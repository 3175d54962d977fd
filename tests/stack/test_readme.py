"""README.md: the section on the reader's own table replicates that table, by its own commands."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.embedded import ROOT, embedded_aws
from tests.support.build import SAM, SET_SAM_UP
from tests.support.orders import create_orders
from tests.support.runbook import AWS_CLI, SET_AWS_CLI_UP
from tests.support.sam import Project, project

pytestmark = [
    pytest.mark.skipif(not SAM.exists(), reason=f"needs SAM CLI: {SET_SAM_UP}"),
    pytest.mark.skipif(not AWS_CLI.exists(), reason=f"needs the AWS CLI: {SET_AWS_CLI_UP}"),
]

README = (ROOT / "README.md").read_text()
SECTION = README.partition("## Replicate your own table")[2].partition("\n## ")[0]
NOT_HERE = ("sam build && ", "pip install '.[cli]'")
"""What the tests in tests/bundle execute."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    text = "".join(blocks("console")).replace("\\\n", " ")
    lines = [line[2:] for line in text.split("\n") if line.startswith("$ ")]
    for left_out in NOT_HERE:
        lines = [line.replace(left_out, "") for line in lines]
    return [line for line in lines if line]


def run(one: Project, command: str) -> str:
    """Execute a command of the page, and return what it prints."""
    done = one.shell(command)
    assert done.exit_code == 0, f"$ {command}\n{done.output}"
    return done.output


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Project]:
    """This project's directory, and an AWS with the table orders, which has three items and no stream."""
    with embedded_aws() as aws:
        create_orders(aws.dynamodb)
        for number in range(3):
            item = {"customer": {"S": "a"}, "placed_at": {"N": str(number)}}
            aws.dynamodb.put_item(TableName="orders", Item=item)
        yield project(aws, tmp_path / "checkout")


def test_the_commands_replicate_a_table_that_has_items_already(checkout: Project) -> None:
    enable_stream, print_arn, deploy, backfill, verify = commands()
    run(checkout, enable_stream)
    arn = run(checkout, print_arn).strip()
    (toml,) = blocks("toml")
    section = re.sub(r"SourceStreamArn=[^\"]+", f"SourceStreamArn={arn}", toml)
    checkout.config.write_text(f"{checkout.config.read_text()}\n{section}")

    run(checkout, deploy)
    assert "3 items" in run(checkout, backfill)
    assert run(checkout, f"{verify} --grace 1").rstrip().endswith("equal")

    copied = checkout.aws.dynamodb.scan(TableName="orders_copy")
    assert copied["Count"] == 3
