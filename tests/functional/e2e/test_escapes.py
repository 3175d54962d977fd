"""The demo and the run on a real account escape control characters from an endpoint or a table."""

import io
import signal
import sys
from pathlib import Path
from typing import Any
from unicodedata import category

import pytest
from click.testing import CliRunner, Result

import demo.__main__ as demo_command
from ddbreplica_cli.terminal.console import console_on
from demo.command import Finished
from demo.errors import DidNotHoldError
from demo.stage import Stage, check_exit
from tests.e2e.__main__ import main as e2e_command
from tests.e2e.report import Claim
from tests.e2e.run import Run

FOREIGN = "x\x1b[2J\x9b1m\u202e\u2028\udc80\U000e0001[red]å"
SHOWN = "x\\u001b[2J\\u009b1m\\u202e\\u2028\\udc80\\udb40\\udc01[red]å"


def hidden(text: str) -> set[str]:
    return {each for each in text if category(each) in ("Cc", "Cf", "Zl", "Zp", "Cs")} - {"\n"}


def test_a_run() -> None:
    stream = io.StringIO()
    run = Run(console_on(stream, width=200))

    run.begin(FOREIGN)
    run.show(FOREIGN)
    run.say(FOREIGN)
    run.found(Claim.FIRED, FOREIGN)

    assert stream.getvalue().count(SHOWN) == 4
    assert not hidden(stream.getvalue())


def test_a_stage() -> None:
    stream = io.StringIO()
    nothing: Any = None
    stage = Stage(console_on(stream, width=200), nothing, nothing)

    stage.say(FOREIGN)
    stage.show_command("verify", FOREIGN)

    assert stream.getvalue().count(SHOWN) == 2
    assert not hidden(stream.getvalue())


def test_a_demo_whose_check_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        check_exit("verify", Finished(1, FOREIGN))

    monkeypatch.setattr(demo_command, "_run", fail)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["demo"])

    assert demo_command.main() == 1

    told = capsys.readouterr().out
    assert SHOWN in told
    assert not hidden(told)
    assert DidNotHoldError.__name__ not in told


@pytest.mark.parametrize("arguments", [["--keep", FOREIGN], [f"--{FOREIGN}"]], ids=["argument", "option"])
def test_a_usage_error_of_the_demo(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo", *arguments])

    with pytest.raises(SystemExit):
        demo_command.main()

    told = capsys.readouterr().err
    assert SHOWN in told
    assert not hidden(told)


@pytest.mark.parametrize(
    "arguments",
    [["--remove", FOREIGN], [f"--{FOREIGN}"], [FOREIGN], ["--region", FOREIGN]],
    ids=["suffix", "option", "argument", "Region"],
)
def test_a_usage_error_of_the_run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.e2e.__main__.SAM", Path(__file__))  # SAM CLI may not have been installed

    ended: Result = CliRunner().invoke(e2e_command, arguments, catch_exceptions=False)

    assert ended.exit_code == 2
    assert "[red]å" in ended.output
    assert not hidden(ended.output)
