"""The exact output on a terminal, and with encodings that lack a character."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from unicodedata import category

import pytest

from ddbreplica.driver import Interrupt
from ddbreplica_cli.app import main
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.progress import show_progress
from tests.support.cli import press_ctrl_c
from tests.support.on_moto import running
from tests.support.poisoned import COMMANDS, FORBIDDEN, World, changed

OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[1A|\x1b\[2K|\r")
"""The escape sequences of rich for progress bars and live screens: colours, cursor, erased lines."""


def hidden(text: str) -> set[str]:
    return {each for each in text if category(each) in FORBIDDEN} - {"\n"}


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["ascii", "C"],
)
@pytest.mark.parametrize(
    "command",
    [
        ("verify", "--grace", "0", "--without-mapping", "--transform", "none", "--limit", "1000"),
        (
            "redrive",
            "--without-mapping",
            "--quarantine-bucket",
            "quarantined-records",
            "--dry-run",
        ),
        ("--help",),
        ("verify", "--help"),
        ("verify", "--grace", "å\udc80"),
    ],
    ids=ascii,
)
def test_an_encoding_that_lacks_a_character(
    tmp_path: Path, command: tuple[str, ...], environment: dict[str, str]
) -> None:
    with running(tmp_path, *command, foreign=True, environment=environment) as process:
        status, stdout, stderr = process.end()

    assert status == {"verify": 1, "--help": 0}.get(
        command[-1], 2 if "å\udc80" in command else int("verify" in command)
    )
    assert "Traceback" not in stderr
    assert (stdout + stderr).isascii()
    assert not hidden(stdout + stderr)
    assert command[0] == "--help" or command[-1] == "--help" or "\\u" in stdout + stderr


class Terminal:
    """A pseudo-terminal as stdout and stderr, which records its output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8") -> None:
        self._own, ours = pty.openpty()
        self._stream = os.fdopen(ours, "w", encoding=encoding)
        self._taken = b""
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        monkeypatch.setattr(sys, "stdout", self._stream)
        monkeypatch.setattr(sys, "stderr", self._stream)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.delenv("NO_COLOR", raising=False)

    def _read(self) -> None:
        while taken := self._some():
            self._taken += taken

    def _some(self) -> bytes:
        try:
            return os.read(self._own, 65536)
        except OSError:  # Linux reports the end of the output this way
            return b""

    def text(self) -> str:
        """Close the terminal, and return its whole output."""
        self._stream.close()
        self._reader.join()
        os.close(self._own)
        return self._taken.decode()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Terminal]:
    """Return a function that opens a terminal. Call it in the test, since pytest replaces the streams of a fixture."""
    return partial(Terminal, monkeypatch)


FULL = "x\x1b[2J\x1b]8;;http://x\x07\x9b1m\u202e\u2028\ud800\U000e0001[red]\r\nFORGED\n"


def check(text: str) -> str:
    """Return the text without the escape sequences of rich; check that it has no others."""
    left = OWN.sub("", text)
    assert not hidden(left), ascii(left)
    assert not [line for line in left.split("\n") if line.strip().startswith("FORGED")], left
    assert "Traceback" not in left
    return left


def test_the_title_of_a_progress_bar_is_escaped(
    opened: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = opened()
    with show_progress(f"loading {FULL}", about=2) as advance:
        output.print_note(f"a note {FULL}")
        output.print_data(f"data {FULL.replace(chr(10), '')}")
        advance(1)

    text = terminal.text()

    assert "\x1b[" in text, "it has drawn nothing"
    assert "loading x\\u001b[2J\\u001b]8;;http://x\\u0007" in check(text)
    assert check(text).count("[red]") >= 3


def test_a_progress_bar_counts_items_of_earlier_runs_as_done_but_not_for_the_rate(
    opened: Callable[..., Terminal],
) -> None:
    terminal = opened()
    with show_progress("copying", about=1000, earlier=800) as advance:
        advance(1)

    text = check(terminal.text())

    assert "801 of about 1,000" in text
    assert "/s" not in text, "one item is no rate yet"


def run_on(terminal: Terminal, *args: str) -> str:
    """Run a command, and return its output on the terminal."""
    with pytest.raises(SystemExit) as ended:
        main.main(args, prog_name="ddbreplica")
    assert ended.value.code in (0, 1, 2, 3, 130)
    return terminal.text()


WATCHED: dict[str, tuple[str, ...]] = {
    "status": ("status", "--source", "orders", "--replica", "orders_copy", "--watch", "5"),
    "fleet": ("status", "--all", "--watch", "5"),
}
CASES = [
    ("status", "ListEventSourceMappings", ("EventSourceMappings", 0, "State")),
    ("status", "DescribeTable", ("Table", "TableStatus")),
    ("status", "DescribeTable", ("Table", "GlobalSecondaryIndexes", 0, "IndexName")),
    ("status", "GetFunctionConfiguration", ("Environment", "Variables", "QUARANTINE_BUCKET")),
    ("fleet", "ListEventSourceMappings", ("EventSourceMappings", 0, "State")),
    ("fleet", "GetFunctionConfiguration", ("Environment", "Variables", "REPLICA_TABLE_NAME")),
]


@pytest.mark.parametrize(("screen", "operation", "place"), CASES)
def test_the_text_of_a_live_screen_is_escaped(
    world: World,
    opened: Callable[..., Terminal],
    monkeypatch: pytest.MonkeyPatch,
    screen: str,
    operation: str,
    place: tuple[Any, ...],
) -> None:
    monkeypatch.setattr(Interrupt, "sleep", lambda *_: press_ctrl_c())

    with world.changing(operation, partial(changed, place=place, poison=FULL)):
        text = run_on(opened(), *WATCHED[screen])

    assert "\x1b[?25l" in text, "it was no live screen"
    assert "[red]" in check(text)


def test_a_live_screen_is_wrapped_after_escaping(
    world: World, opened: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise rich would cut off text that does not fit into a line."""
    monkeypatch.setattr(Interrupt, "sleep", lambda *_: press_ctrl_c())
    terminal = opened(encoding="ascii")
    monkeypatch.setenv("COLUMNS", "60")
    place = ("EventSourceMappings", 0, "State")

    with world.changing("ListEventSourceMappings", partial(changed, place=place, poison="å" * 30)):
        text = run_on(terminal, *WATCHED["status"])

    lines = OWN.sub("\n", text).split("\n")
    assert "Enabled" + "\\u00e5" * 30 in "".join(line.rstrip() for line in lines)
    assert not [line for line in lines if len(line.rstrip()) > 60]


@pytest.mark.parametrize("name", ["verify", "repair", "redrive", "backfill", "tail", "load", "status"])
def test_a_result_on_a_terminal_has_no_colours(
    world: World, opened: Callable[..., Terminal], name: str
) -> None:
    """Only progress bars and live screens have escape sequences, before the result is printed."""
    place = {"tail": ("Records", 0, "dynamodb", "NewImage", "PK", "S")}.get(name, ("Items", 0, "v", "S"))
    operation = "GetRecords" if name == "tail" else "Scan"

    with world.changing(operation, partial(changed, place=place, poison=FULL)):
        text = run_on(opened(), *COMMANDS[name])

    check(text)
    assert "\x1b" not in text.rpartition("\x1b[2K")[2]


WITHOUT_STANDARD_FILES = """
import sys, types
app = types.ModuleType("ddbreplica_cli.app")
def main(**_):
    print("lost", file=sys.stdout), print("lost", file=sys.stderr)
    with open("state", "w") as file, open("number", "w") as number:
        number.write(str(file.fileno()))
    raise KeyError("a bug")
app.main = main
sys.modules["ddbreplica_cli.app"] = app
from ddbreplica_cli.__main__ import start
start()
"""


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """Otherwise output to a standard stream, such as that of a second signal, would be written to a state file."""
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", WITHOUT_STANDARD_FILES]

    ended = subprocess.run(command, cwd=tmp_path, check=False)  # noqa: S603  our own

    assert ended.returncode == 2
    assert int((tmp_path / "number").read_text()) > 2
