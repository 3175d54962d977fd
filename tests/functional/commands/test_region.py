"""The Region of each command: --region, an ARN, AWS_REGION, AWS_DEFAULT_REGION or the profile, in this order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import commands
from tests.support.cli import Misbehaviour, lines, refusal, run

ARGUMENTS = {"load": ("--generate", "1"), "redrive": ("--dry-run",), "stop": ("job",)}
LOCAL = {("transform", "check")}
"""These commands send no request unless a table is named."""
COMMANDS = [
    *((*words, *ARGUMENTS.get(words[-1], ())) for words in commands.COMMANDS if words not in LOCAL),
    ("status", "--all"),
]
OPTION, ARN, FIRST, SECOND, PROFILE = "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "ap-south-1"
TABLE = f"arn:aws:dynamodb:{ARN}:111122223333:table/orders"
every_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the state files of tests that run at the same time apart."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def asked(aws: Misbehaviour) -> set[str]:
    """The Regions that receive a request; each request is refused."""
    regions: set[str] = set()

    def note(context: Any, **_: Any) -> Any:
        regions.add(context["client_region"])
        return refusal("AccessDeniedException")

    def note_request(request: Any, **_: Any) -> Any:
        regions.add(request.url.split(".")[1])
        raise AssertionError

    aws.on("before-call", note)
    aws.on("before-send", note_request)
    return regions


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the two variables and the Region of the profile, or unset those that are not given."""

    def set_places(*, first: str = "", second: str = "", profile: str = "") -> None:
        monkeypatch.setenv("AWS_REGION", first)
        monkeypatch.setenv("AWS_DEFAULT_REGION", second)
        (tmp_path / "config").write_text(f"[default]\nregion = {profile}\n" if profile else "[default]\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    return set_places


@every_command
@pytest.mark.parametrize(
    ("options", "environment", "region"),
    [
        (("--region", OPTION), {"first": FIRST, "second": FIRST, "profile": PROFILE}, OPTION),
        (("--region", OPTION), {"first": FIRST, "second": SECOND}, OPTION),
        ((), {"first": FIRST, "second": FIRST, "profile": PROFILE}, FIRST),
        ((), {"first": FIRST, "profile": PROFILE}, FIRST),
        ((), {"second": SECOND, "profile": PROFILE}, SECOND),
        ((), {"profile": PROFILE}, PROFILE),
    ],
    ids=["--region", "--region before two", "both variables", "AWS_REGION", "AWS_DEFAULT_REGION", "profile"],
)
def test_the_region_is_the_first_that_is_configured(
    asked: set[str],
    place: Callable[..., None],
    command: tuple[str, ...],
    options: tuple[str, ...],
    environment: dict[str, str],
    region: str,
) -> None:
    place(**environment)

    result = run(*command, *options)

    assert asked == {region}
    assert result.exit_code == 2


@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)  # `status --all` takes no --source
def test_the_arn_of_the_source_overrides_the_environment(
    asked: set[str], place: Callable[..., None], command: tuple[str, ...]
) -> None:
    place(first=FIRST, second=SECOND, profile=PROFILE)

    run(*command, "--source", TABLE)

    assert asked == {ARN}


@every_command
def test_two_variables_that_differ_are_refused(
    asked: set[str], place: Callable[..., None], command: tuple[str, ...]
) -> None:
    place(first=FIRST, second=SECOND, profile=PROFILE)

    result = run(*command)

    assert (result.exit_code, result.stdout) == (2, "")
    assert lines(result.stderr) == [
        "Error: AWS_REGION is eu-west-3 and AWS_DEFAULT_REGION is eu-north-1.",
        "Try: give the Region with --region, or unset one of the two variables.",
    ]
    assert asked == set()
