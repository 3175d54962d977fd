"""The proof that a run of e2e created a resource, and the variables that make passes to the run."""

import io
import re
import subprocess

import pytest
from botocore.stub import Stubber
from moto import mock_aws
from rich.console import Console

from tests.e2e.account import Account
from tests.e2e.names import TAG, Names
from tests.e2e.removal import created, delete_bucket
from tests.e2e.run import Run
from tests.support.build import ROOT, without_make

STACK = "arn:aws:cloudformation:us-east-1:111122223333:stack/s/1"


@pytest.mark.parametrize(
    ("value", "own", "own_of_any_run"),
    [
        ("abcdef.0123", True, True),
        ("abcdef.4567", False, True),
        ("abcdefg.0123", False, False),
        ("abcdef", False, False),
    ],
)
def test_only_a_tag_with_the_suffix_and_the_nonce_proves_a_run(
    value: str, own: bool, own_of_any_run: bool
) -> None:
    tags = [{"Key": "Name", "Value": "abcdef.0123"}, {"Key": TAG, "Value": value}]

    assert Names("abcdef", "0123").own(tags) is own  # type: ignore[arg-type]
    assert Names("abcdef", None).own(tags) is own_of_any_run  # type: ignore[arg-type]
    assert Names("abcdef", "0123").own(tags[:1]) is False  # type: ignore[arg-type]


def test_only_events_of_completed_creations_count_as_created() -> None:
    statuses = {
        "begun": "CREATE_IN_PROGRESS",
        "there-before": "CREATE_FAILED",
        "own": "CREATE_COMPLETE",
        "kept": "DELETE_SKIPPED",
    }
    events = [
        {
            "StackId": STACK,
            "EventId": name,
            "StackName": "s",
            "ResourceType": "AWS::DynamoDB::Table",
            "PhysicalResourceId": name,
            "ResourceStatus": status,
            "Timestamp": "2026-11-28T00:00:00Z",
        }
        for name, status in statuses.items()
    ]
    account = Account("us-east-1")
    run = Run(Console(file=io.StringIO()), account)
    with Stubber(account.cloudformation) as stub:
        stub.add_response("describe_stack_events", {"StackEvents": events}, {"StackName": STACK})

        assert created(run, STACK) == {("AWS::DynamoDB::Table", "own")}


@mock_aws
def test_a_bucket_is_deleted_with_every_version_of_its_objects() -> None:
    account = Account("us-east-1")
    account.s3.create_bucket(Bucket="kept")
    account.s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        account.s3.put_object(Bucket="kept", Key="quarantine/a", Body=b"1")
    account.s3.delete_object(Bucket="kept", Key="quarantine/a")

    delete_bucket(account, "kept")

    assert account.s3.list_buckets()["Buckets"] == []


@pytest.mark.parametrize("target", ["e2e", "demo"])
@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], ""),
        (["KEEP=1"], "--keep"),
        (["KEEP=0"], ""),
        (["KEEP="], ""),
    ],
)
def test_make_passes_a_switch_only_from_its_command_line(
    target: str, arguments: list[str], options: str
) -> None:
    shown = made(target, *arguments, KEEP="1", QUICK="1", YES="1", ACCOUNT="111122223333")

    assert shown.returncode == 0, shown.stderr
    assert given(shown.stdout, target) == options


def test_make_passes_the_account_and_the_pace_of_e2e() -> None:
    shown = made("e2e", "QUICK=1", "ACCOUNT=111122223333")

    assert given(shown.stdout, "e2e") == "--quick --account '111122223333'"


def test_make_refuses_another_value_of_a_switch() -> None:
    shown = made("e2e", "KEEP=no")

    assert shown.returncode == 2
    assert "KEEP=no: use KEEP=1 or KEEP=0" in shown.stderr


@pytest.mark.parametrize("target", ["demo", "e2e", "stack", "bench", "engine"])
def test_make_with_the_option_n_runs_nothing(target: str) -> None:
    shown = made(target, "SHELL=/bin/false")  # each recipe that is executed would fail

    assert shown.returncode == 0, shown.stderr


def made(target: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Return what make would run. Its recipes use a shell that only prints the commands."""
    command = ["make", "-n", target, "SHELL=/bin/echo", "PYTHON313=python3.13", *arguments]
    return subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=without_make(environment), capture_output=True, text=True, check=False
    )


def given(shown: str, target: str) -> str:
    """Return the options in the last command that make shows."""
    last = re.split(rf"python -m (?:tests\.)?{target}\b", shown.replace("\\\n", " "))[-1]
    return " ".join(last.split())
