"""A system without fcntl, such as Windows: a command is refused, but its help is shown."""

import subprocess
import sys

import pytest

from tests.support.commands import COMMANDS

WITHOUT_FCNTL = """
import signal, sys
sys.modules["fcntl"] = None
del signal.SIGHUP
from ddbreplica_cli.__main__ import start
start()
"""


def on_windows(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  our own
        [sys.executable, "-c", WITHOUT_FCNTL, *args], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_is_refused(command: tuple[str, ...]) -> None:
    argument = {"stop": ["job"], "check": [__file__]}.get(command[-1], [])
    ended = on_windows(*command, *argument)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "Error: ddbreplica runs on Linux and macOS only.",
        "Try: run the command in AWS CloudShell or in the Windows Subsystem for Linux.",
    ]


@pytest.mark.parametrize("args", [("--help",), ("verify", "--help"), ("--version",)], ids=" ".join)
def test_help_is_shown(args: tuple[str, ...]) -> None:
    ended = on_windows(*args)

    assert (ended.returncode, ended.stderr) == (0, "")
