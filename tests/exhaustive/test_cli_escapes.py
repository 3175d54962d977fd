"""Control characters and invisible characters are never printed, wherever a value comes from.

Every text of every response that a command gets is poisoned in turn, and every response is an error in turn; then the
options, the environment and the files. The tests check the bytes of stdout and stderr.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import pytest

from tests.support import commands
from tests.support.cli import invoke
from tests.support.poisoned import (
    CODES,
    COMMANDS,
    CONTROLS,
    FORGED,
    GRACE,
    OPTIONAL,
    SURROGATE,
    TABLES,
    World,
    an_error,
    changed,
    check,
    check_lines,
    places,
    poisoned,
    texts,
)
from tests.support.responses import Response

# The environment: two tables that differ, a mapping, its function, its buckets, an export, a stack.


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return COMMANDS[request.param]


def asked(world: World, command: Sequence[str]) -> Mapping[str, list[Response]]:
    """Return the correct responses that a command gets, by operation."""
    check(world.ran(*command))
    found = dict(world.asked)
    assert found
    return found


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
def test_texts_of_responses_are_escaped(world: World, command: tuple[str, ...], *, as_json: bool) -> None:
    args = (*command, "--json") if as_json else command
    shown = 0
    for operation, responses in asked(world, args).items():
        found = dict.fromkeys(place for response in responses for place in places(response))
        # One function writes all JSON, so a selection of places is enough.
        for place in list(found)[:: 3 if as_json else 1]:
            poison = CONTROLS if as_json else CONTROLS + SURROGATE
            with world.changing(operation, partial(changed, place=place, poison=poison)):
                result = world.ran(*args)
            check(result, as_json=as_json and command[0] != "tail")
            if as_json and command[0] == "tail" and not result.exit_code:
                check_lines(result.stdout_bytes)
            # A long value is cut, so that only its first characters may be shown.
            shown += any(text in result.stdout + result.stderr for text in ("\\u001b[31m", "\\u202e"))
    assert shown or as_json or command[0] == "load", "nothing of it was printed, and so nothing was tried"
    assert world.reported or "--report" not in command


def test_json_contains_the_original_value(world: World) -> None:
    poison = "\x1b\x9b\u202e\u2028\ud800-\udc80\U000e0001[red]\r\n\tå🍓"
    args = (
        "verify",
        *TABLES,
        *GRACE,
        "--without-mapping",
        "--transform",
        "none",
        "--report",
        "kept.jsonl",
        "--json",
    )

    with world.changing("Scan", partial(changed, place=("Items", 1, "PK", "S"), poison=poison)):
        document = json.loads(invoke(*args).stdout_bytes)
    reported = [json.loads(line) for line in Path("kept.jsonl").read_bytes().splitlines()]

    assert {"PK": {"S": f"b{poison}"}} in [each["key"] for each in document["differences"]]
    assert {"PK": {"S": f"b{poison}"}} in [each["key"] for each in reported]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
def test_errors_are_escaped(world: World, command: tuple[str, ...], *, as_json: bool) -> None:
    args = (*command, "--json") if as_json else command
    for operation in asked(world, args):
        shown = 0
        for code in CODES:
            with world.changing(operation, partial(an_error, operation=operation, code=code)):
                result = world.ran(*args)
            check(result, as_json=as_json and command[0] != "tail")
            if as_json and command[0] == "tail" and not result.exit_code:
                check_lines(result.stdout_bytes)
            # A long value is cut, so that only its first characters may be shown.
            shown += any(text in result.stdout + result.stderr for text in ("\\u001b[31m", "\\u202e"))
        assert shown or operation in OPTIONAL.get(command[0], ()), operation


# Input of the person who runs a command.

VALUE = "x\x1b[31m\x9b1m\x7f\u202e\u2028\udc80\U000e0001[red]\r\n" + FORGED + "\n\t"
NAME = "x\x1b[31m\x9b1m\u202e\udc80\n" + FORGED


def options() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    for words, each in commands.COMMANDS.items():
        yield words, (VALUE, VALUE)
        yield words, (f"--{VALUE}",)
        for parameter in each.params:
            if isinstance(parameter, click.Option) and not parameter.is_flag:
                yield words, (parameter.opts[0], VALUE)


@pytest.mark.parametrize(("words", "args"), list(options()), ids=lambda args: " ".join(map(ascii, args))[:40])
def test_values_of_options_are_escaped(world: World, words: tuple[str, ...], args: tuple[str, ...]) -> None:
    base = (*words, "job", *TABLES) if words == ("jobs", "stop") else COMMANDS[words[0]]
    for more in ((), ("--json",)):
        check(world.ran(*base, *args, *more))


@pytest.mark.parametrize(
    "args", [(VALUE,), (f"--{VALUE}",), (VALUE, "--help")], ids=["command", "option", "help"]
)
def test_names_of_commands_are_escaped(args: tuple[str, ...]) -> None:
    result = invoke(*args)

    check(result)
    assert "\\u202e" in result.stdout + result.stderr


@pytest.mark.usefixtures("hurried")
class TestEnvironment:
    """Tests with real clients and credentials, but without a service."""

    @pytest.fixture(autouse=True)
    def _apart(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    @pytest.mark.parametrize(
        "name", ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"]
    )
    @pytest.mark.parametrize("value", [VALUE, f"http://127.0.0.1:9/{VALUE}", f"[profile {VALUE}"])
    def test_variable(self, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, value)

        check(invoke("status"))
        check(invoke("verify", "--json"), as_json=True)

    @pytest.mark.parametrize("option", ["--profile", "--region", "--endpoint-url", "--replica-region"])
    @pytest.mark.parametrize("value", [VALUE, f"http://127.0.0.1:9/{VALUE}", f"http://{VALUE}:5"])
    def test_option(self, option: str, value: str) -> None:
        for command in ("verify", "status", "redrive"):
            check(invoke(command, option, value))

    @pytest.mark.parametrize(
        "text",
        [
            f"[default]\nregion = {NAME[:-30]}\n",
            f"[default\n{NAME}",
            f"[default]\ncredential_process = /nowhere/{NAME.split(chr(10))[0]}\n",
            f"[default]\nsso_session = {NAME.split(chr(10))[0]}\n",
        ],
        ids=["region", "no section", "process", "session"],
    )
    def test_configuration(self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)
        config = tmp_path / "config"
        config.write_bytes(text.encode("utf-8", "surrogateescape"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

        check(invoke("status"))
        check(invoke("status", "--region", "us-east-1"))


CONTENTS: Mapping[str, bytes] = {
    "text": VALUE.encode("utf-8", "surrogateescape"),
    "JSON": json.dumps({"PK": {"S": VALUE}, VALUE: VALUE}).encode(),
    "a list": json.dumps([VALUE]).encode(),
    "a key": json.dumps({VALUE: {"S": VALUE}}).encode(),
    "a difference": json.dumps({"finding": VALUE, "key": {"PK": {"S": VALUE}}}).encode(),
    "rows": (f"{VALUE[:-2]},{VALUE[:10]},h,1,GMT,GET,/,x,y,z,more\n" * 2).encode("utf-8", "surrogateescape"),
    "state": json.dumps({"state": VALUE, "command": VALUE, "version": VALUE}).encode() + b"\n{}\n",
}


@pytest.mark.parametrize("text", CONTENTS)
def test_texts_of_files_are_escaped(world: World, text: str) -> None:
    for args in (
        ("load", NAME, "--source", "orders"),
        ("load", NAME, "--dry-run"),
        ("load", NAME, "--dry-run", "--skip-bad-rows", "--json"),
        ("verify", *TABLES, *GRACE, "--keys-from", NAME),
        ("verify", *TABLES, *GRACE, "--repair", "--state", NAME),
        ("redrive", *TABLES, "--state", NAME),
        ("backfill", *TABLES, "--state", NAME),
    ):
        Path(NAME).write_bytes(CONTENTS[text])
        check(world.ran(*args))


def test_texts_of_state_files_are_escaped(world: World) -> None:
    with world.changing("BatchWriteItem", lambda _: Response(b"\xff")):  # the write may have been applied
        check(invoke(*COMMANDS["backfill"], "--state", "left"))
    left = Path("left").read_bytes().splitlines(keepends=True)
    for args in (COMMANDS["backfill"], COMMANDS["redrive"], COMMANDS["repair"]):
        lines = [line.replace(b'"backfill"', f'"{args[0]}"'.encode()) for line in left]
        for at, line in enumerate(lines):
            for place in texts(json.loads(line)):
                wrong = json.dumps(poisoned(json.loads(line), place, CONTROLS + SURROGATE)).encode() + b"\n"
                Path(NAME).write_bytes(b"".join([*lines[:at], wrong, *lines[at + 1 :]]))
                check(world.ran(*args, "--state", NAME))
