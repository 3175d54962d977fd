"""Tests that apply to all commands."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError

from ddbreplica_cli.app import main
from tests.support.cli import Misbehaviour, Tables, lines, refusal, run
from tests.support.commands import COMMANDS
from tests.support.modules import ROOT

README = ROOT / "README.md"
LINES = [" ".join(words) for words in COMMANDS]
SHARED = [
    "--source",
    "--replica",
    "--stack-name",
    "--region",
    "--replica-region",
    "--profile",
    "--endpoint-url",
    "--json",
]
LOAD = ("load", "--generate", "1")


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the state files of tests that run at the same time apart."""
    monkeypatch.chdir(tmp_path)


def test_both_ways_to_start_the_command_show_the_version() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "ddbreplica_cli", "--version"], capture_output=True, text=True, check=True
    )

    assert shown.stdout == f"ddbreplica, version {version('ddbreplica')}\n"
    assert run("--version").stdout == shown.stdout


def test_the_list_of_commands() -> None:
    assert sorted(main.commands) == [
        "backfill",
        "jobs",
        "load",
        "redrive",
        "status",
        "tail",
        "transform",
        "verify",
    ]
    assert LINES == [
        "backfill",
        "jobs show",
        "jobs stop",
        "load",
        "redrive",
        "status",
        "tail",
        "transform check",
        "verify",
    ]


@pytest.mark.parametrize("name", LINES)
def test_the_help_of_each_command_has_a_summary_and_examples(name: str) -> None:
    shown = run(*name.split(), "--help").stdout

    assert re.search(r"^  [A-Z][a-z]+ .*\.$", shown.split("\n\n")[1], re.MULTILINE)
    assert len(re.findall(rf"^    ddbreplica {name}\b", shown, re.MULTILINE)) >= 2
    assert all(option in shown for option in SHARED)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_has_a_help_text(words: tuple[str, ...]) -> None:
    options = [option for option in COMMANDS[words].params if isinstance(option, click.Option)]

    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", sorted(main.commands))
def test_the_readme_shows_every_command(name: str) -> None:
    assert f"ddbreplica {name}" in README.read_text()


@pytest.mark.parametrize(
    "command",
    [LOAD, ("redrive",), ("status",), ("tail",), ("verify",)],
    ids=["load", "redrive", "status", "tail", "verify"],
)
class TestErrors:
    def test_a_table_that_does_not_exist(self, tables: Tables, command: tuple[str, ...]) -> None:
        result = run(*command, "--source", "nowhere")

        assert result.exit_code == 2
        assert result.stdout == ""
        assert lines(result.stderr) == [
            "Error: the table nowhere does not exist in us-east-1.",
            "Try: check --source or --stack-name, check --region, or deploy a stack (docs/deployment.md).",
        ]

    def test_an_error_as_a_document(self, tables: Tables, command: tuple[str, ...]) -> None:
        result = run(*command, "--source", "nowhere", "--json")

        assert result.exit_code == 2
        assert json.loads(result.stdout) == {
            "error": "the table nowhere does not exist in us-east-1.",
            "try": "check --source or --stack-name, check --region, or deploy a stack (docs/deployment.md).",
        }

    @pytest.mark.parametrize(
        ("code", "hint"),
        [
            (
                "AccessDeniedException",
                "use credentials that may do this (--profile), or have the permission added.",
            ),
            (
                "ExpiredTokenException",
                "sign in again, or choose other credentials with --profile or the AWS_… environment variables.",
            ),
            (
                "UnrecognizedClientException",
                "sign in again, or choose other credentials with --profile or the AWS_… environment variables.",
            ),
        ],
    )
    def test_a_refusal(
        self, tables: Tables, aws: Misbehaviour, command: tuple[str, ...], code: str, hint: str
    ) -> None:
        aws.refuse("DescribeTable", code, message="not\nyou")

        result = run(*command)

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            f"Error: the table logfile cannot be described: {code}: not you",
            f"Try: {hint}",
        ]

    def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

        result = run(*command)

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            "Error: the table logfile cannot be described: NoCredentialsError: Unable to locate credentials",
            "Try: sign in, or choose credentials with --profile or the AWS_… environment variables.",
        ]

    def test_no_region(self, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")

        result = run(*command)

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            "Error: NoRegionError: You must specify a region.",
            "Try: name a Region with --region, or set AWS_REGION.",
        ]

    def test_an_invalid_region(self, command: tuple[str, ...]) -> None:
        result = run(*command, "--region", "x y")

        assert result.exit_code == 2
        assert lines(result.stderr)[1] == "Try: name a Region with --region, or set AWS_REGION."

    def test_a_profile_that_does_not_exist(self, command: tuple[str, ...]) -> None:
        result = run(*command, "--profile", "nobody")

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            "Error: ProfileNotFound: The config profile (nobody) could not be found",
            "Try: choose a profile that is defined in ~/.aws/config or ~/.aws/credentials.",
        ]

    def test_an_invalid_endpoint(self, command: tuple[str, ...]) -> None:
        result = run(*command, "--endpoint-url", "localhost")

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            "Error: Invalid endpoint: localhost.",
            "Try: give --endpoint-url (or AWS_ENDPOINT_URL) like http://localhost:8000.",
        ]

    @pytest.mark.parametrize("by", ["option", "variable"])
    def test_an_endpoint_without_encryption(
        self, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], by: str
    ) -> None:
        url = "http://dynamodb.example.com"
        if by == "variable":
            monkeypatch.setenv("AWS_ENDPOINT_URL", url)

        result = run(*command, *(["--endpoint-url", url] if by == "option" else []))

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            f"Error: the endpoint {url} is not encrypted: others on the network could read the items.",
            "Try: give an https:// URL; http:// is allowed for a local host only, such as http://localhost:8000.",
        ]

    @pytest.mark.parametrize("kind", [EndpointConnectionError, ConnectTimeoutError])
    def test_an_endpoint_that_does_not_respond(
        self,
        aws: Misbehaviour,
        command: tuple[str, ...],
        kind: type[EndpointConnectionError | ConnectTimeoutError],
    ) -> None:
        def unreachable(**_: object) -> None:
            raise kind(endpoint_url="http://localhost:9")

        aws.on("before-call.dynamodb.DescribeTable", unreachable)

        result = run(*command, "--endpoint-url", "http://localhost:9")

        assert result.exit_code == 2
        assert lines(result.stderr)[0].startswith(
            f"Error: the table logfile cannot be described: {kind.__name__}: "
        )
        assert lines(result.stderr)[1:] == [
            "Try: check the network, --region and --endpoint-url (or AWS_ENDPOINT_URL)."
        ]

    def test_a_stack_that_does_not_exist(self, aws: Misbehaviour, command: tuple[str, ...]) -> None:
        error = refusal("ValidationError", "Stack with id nowhere does not exist")
        aws.on("before-call.cloudformation.DescribeStacks", lambda **_: error)

        result = run(*command, "--stack-name", "nowhere")

        assert result.exit_code == 2
        assert lines(result.stderr) == [
            "Error: the CloudFormation stack nowhere does not exist in us-east-1.",
            "Try: check --stack-name and --region, or give --source and --replica.",
        ]

    def test_a_stack_without_the_outputs(
        self, tables: Tables, aws: Misbehaviour, command: tuple[str, ...]
    ) -> None:
        aws.answer_stack({"Outputs": [{"OutputKey": "ReplicaTableName", "OutputValue": "logfile_replica"}]})

        result = run(*command, "--stack-name", "other")

        assert result.exit_code == 2
        assert lines(result.stderr)[0] == "Error: the stack other has no output SourceTableName."


@pytest.mark.parametrize(
    ("command", "option"),
    [
        *((command, option) for command in LINES for option in SHARED if option != "--json"),
        ("backfill", "--from-export"),
        ("redrive", "--quarantine-bucket"),
        ("redrive", "--on-failure-bucket"),
    ],
)
def test_an_empty_value_is_an_error(command: str, option: str) -> None:
    result = run(*command.split(), option, "")

    assert result.exit_code == 2
    assert lines(result.stderr)[-1] == f"Error: Invalid value for '{option}': the value is empty."


@pytest.mark.parametrize("number", ["nan", "inf"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        (" ".join(words), parameter.opts[-1])
        for words, command in COMMANDS.items()
        for parameter in command.params
        if isinstance(parameter.type, click.FloatRange)
    ],
)
def test_a_value_that_is_not_finite_is_outside_each_range(command: str, option: str, number: str) -> None:
    result = run(*command.split(), option, number)

    assert result.exit_code == 2
    assert lines(result.stderr)[-1].startswith(f"Error: Invalid value for '{option}': ")


def test_without_arguments_the_help_is_shown() -> None:
    result = run()

    # Before 8.2 click prints it to stdout, and exits with 0.
    assert lines(result.stderr if result.exit_code == 2 else result.stdout) == lines(run("--help").stdout)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("verify", "--grace", "soon"), "Invalid value for '--grace': 'soon' is not a valid number."),
        (("verify", "--rounds", "1.5"), "Invalid value for '--rounds': '1.5' is not a valid integer."),
    ],
)
def test_a_value_that_is_not_a_number(args: tuple[str, ...], message: str) -> None:
    result = run(*args)

    assert result.exit_code == 2
    assert lines(result.stderr)[-1] == f"Error: {message}"


@pytest.mark.parametrize(
    ("call", "args", "what"),
    [
        ("lambda.ListEventSourceMappings", ("backfill",), "the event source mappings cannot be listed"),
        ("cloudformation.DescribeStacks", ("verify", "--stack-name", "a"), "the stack a cannot be described"),
    ],
)
def test_an_error_names_the_value_that_could_not_be_read(
    tables: Tables, aws: Misbehaviour, call: str, args: tuple[str, ...], what: str
) -> None:
    tables.client.update_table(
        TableName="logfile", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    )
    aws.on(f"before-call.{call}", lambda **_: refusal("AccessDeniedException", "not you"))

    result = run(*args)

    assert result.exit_code == 2
    assert lines(result.stderr)[0] == f"Error: {what}: AccessDeniedException: not you"
