"""The prompt for an MFA code shows the profile that needs it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from ddbreplica.aws.clients import sign_in
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.location import Location
from tests.support.cli import invoke, lines

DEVICE = "arn:aws:iam::123456789012:mfa/me"
CONFIG = f"""
[profile keys]
region = us-east-1
aws_access_key_id = id
aws_secret_access_key = secret

[profile prod]
region = us-east-1
role_arn = arn:aws:iam::123456789012:role/operator
source_profile = keys
mfa_serial = {DEVICE}

[profile other]
region = us-east-1
role_arn = arn:aws:iam::210987654321:role/operator
source_profile = keys
mfa_serial = {DEVICE}-other

[profile chained]
region = us-east-1
role_arn = arn:aws:iam::123456789012:role/second
source_profile = prod

[profile twice]
region = us-east-1
role_arn = arn:aws:iam::123456789012:role/third
source_profile = prod
mfa_serial = {DEVICE}-twice
"""


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use these profiles on moto, and no other credentials."""
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)
        yield


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the prompts on a terminal. Each gets a code."""
    questions: list[str] = []

    def answer(question: str) -> str:
        questions.append(question)
        return "123456"

    monkeypatch.setattr(sign_in, "_TERMINAL", "/dev/null")
    monkeypatch.setattr(sign_in, "getpass", answer)
    return questions


@pytest.mark.parametrize(
    ("profile", "questions"),
    [
        ("keys", []),
        ("prod", [f'MFA code for profile "prod" ({DEVICE}): ']),
        ("chained", [f'MFA code for profile "prod" ({DEVICE}): ']),
        (
            "twice",
            [
                f'MFA code for profile "twice" ({DEVICE}-twice): ',
                f'MFA code for profile "prod" ({DEVICE}): ',
            ],
        ),
    ],
)
def test_each_profile_with_an_mfa_device_is_named(
    asked: list[str], profile: str, questions: list[str]
) -> None:
    location = Location(None, None, None, None, None, profile, None, None)
    client = Connection(location).source.dynamodb()

    client.list_tables()
    client.list_tables()

    assert asked == questions


def test_the_profile_of_the_environment_is_named(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "prod")

    Connection(Location(None, None, None, None, None, None, None, None)).source.dynamodb().list_tables()

    assert asked == [f'MFA code for profile "prod" ({DEVICE}): ']


def test_source_and_replica_may_both_ask(asked: list[str]) -> None:
    connection = Connection(Location(None, None, None, None, None, "prod", "other", None))

    for side in (connection.source, connection.replica):
        side.dynamodb().list_tables()

    assert asked == [
        f'MFA code for profile "prod" ({DEVICE}): ',
        f'MFA code for profile "other" ({DEVICE}-other): ',
    ]


def test_without_a_terminal_the_error_names_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "_TERMINAL", "/nowhere/tty")

    result = invoke("verify", "--profile", "prod")

    assert (result.exit_code, result.stdout) == (2, "")
    error, hint = lines(result.stderr)
    assert error.endswith(
        f'MfaTerminalError: profile "prod" ({DEVICE}) needs an MFA code, and there is no terminal to ask for it.'
    )
    assert (
        hint == "Try: run the command in a terminal, or name a profile that needs no MFA code with --profile."
    )
