"""The Region of `make e2e` and `make demo`: all clients and programs use the same one."""

import io
from pathlib import Path

import pytest
from botocore.exceptions import NoRegionError
from click.testing import CliRunner
from rich.console import Console

from demo.__main__ import _how_to_use
from demo.embedded import EmbeddedAws
from tests.e2e import programs
from tests.e2e.__main__ import main
from tests.e2e.account import Account
from tests.e2e.programs import ddbreplica, sam
from tests.e2e.run import Run

PRINTING = """#!/bin/sh
echo "$AWS_REGION $AWS_DEFAULT_REGION $*"
"""


@pytest.fixture
def printing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that replaces SAM CLI and ddbreplica, and prints its Regions and arguments."""
    program = tmp_path / "printing"
    program.write_text(PRINTING)
    program.chmod(0o755)
    monkeypatch.setattr(programs, "SAM", program)
    monkeypatch.setattr(programs, "_DDBREPLICA", program)
    return tmp_path


@pytest.mark.parametrize(
    ("option", "first", "second", "profile", "region"),
    [
        ("eu-west-1", "eu-west-2", "eu-west-3", "ap-south-1", "eu-west-1"),
        (None, "eu-west-2", "eu-west-2", "ap-south-1", "eu-west-2"),
        (None, "eu-west-2", "", "ap-south-1", "eu-west-2"),
        (None, "", "eu-west-3", "ap-south-1", "eu-west-3"),
        (None, "", "", "ap-south-1", "ap-south-1"),
    ],
)
def test_each_client_and_program_of_e2e_gets_the_same_region(
    printing: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str | None,
    first: str,
    second: str,
    profile: str,
    region: str,
) -> None:
    name_regions(monkeypatch, printing, first, second, profile)
    account = Account.in_region(option)
    run = Run(Console(file=io.StringIO()), account, reports=printing)

    sam(run, "deploy")
    reported = ddbreplica(run, "verify").stdout

    clients = (account.cloudformation, account.cloudwatch, account.dynamodb, account.functions, account.logs)
    assert {client.meta.region_name for client in clients} == {region}
    assert account.s3.meta.region_name == region
    assert f"{region} {region} deploy --region {region}\n" in (run.home / "programs.log").read_text()
    assert reported == f"{region} {region} verify --stack-name {run.names.stack} --region {region}\n"


def test_e2e_refuses_two_variables_that_differ(printing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name_regions(monkeypatch, printing, "eu-west-2", "eu-west-3", "ap-south-1")

    ended = CliRunner().invoke(main, [])

    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "Error: AWS_REGION is eu-west-2 and AWS_DEFAULT_REGION is eu-west-3.",
        "Try: give the Region with --region, or unset one of the two variables.",
    ]


def test_e2e_creates_nothing_without_a_region(printing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name_regions(monkeypatch, printing, "", "", "")

    ended = CliRunner().invoke(main, [])

    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[1] == "Try: name a Region with --region, or set AWS_REGION."
    with pytest.raises(NoRegionError):
        sam(Run(Console(file=io.StringIO()), reports=printing), "build")


@pytest.mark.parametrize("first", ["", "eu-west-2"])
def test_the_demo_uses_its_own_region_despite_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    name_regions(monkeypatch, tmp_path, first, "eu-west-3", "ap-south-1")
    aws = EmbeddedAws("http://127.0.0.1:1", tmp_path, pid=0, secret="s")

    regions = {name: value for name, value in aws.env.items() if "REGION" in name}
    assert regions == {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    assert aws.dynamodb.meta.region_name == "us-east-1"
    assert f". {tmp_path}/env " in _how_to_use(aws)
    lines = (tmp_path / "env").read_text().splitlines()
    assert {"export AWS_REGION=us-east-1", "export AWS_DEFAULT_REGION=us-east-1"} <= set(lines)


def name_regions(monkeypatch: pytest.MonkeyPatch, home: Path, first: str, second: str, profile: str) -> None:
    monkeypatch.setenv("AWS_REGION", first)
    monkeypatch.setenv("AWS_DEFAULT_REGION", second)
    (home / "config").write_text(f"[default]\nregion = {profile}\n" if profile else "[default]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "config"))
