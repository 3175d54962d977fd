"""output: all text passes one function that escapes it, in whatever way it is printed."""

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.text import Text

from ddbreplica.errors import TaskError
from ddbreplica.records.text import escaped
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.console import console_on
from tests.support.modules import ENGINE, ROOT, TERMINAL, modules_of

FOREIGN = "a\x1b[31m\x9b\u202e\u2028\udc80\U000e0001b"
SHOWN = "a\\u001b[31m\\u009b\\u202e\\u2028\\udc80\\udb40\\udc01b"


class TestPrinting:
    def test_a_result(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.print_result({}, FOREIGN, as_json=False)

        assert capsys.readouterr().out == f"{SHOWN}\n"

    def test_a_note_has_one_line_each(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.print_note(f"a note of\n{FOREIGN}", "another")

        assert capsys.readouterr().err == f"a note of\\n{SHOWN}\nanother\n"

    def test_an_error_has_two_lines(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.print_error(TaskError("no\x1b", hint="see\nError: forged"), as_json=False)

        assert capsys.readouterr().err == "Error: no\\u001b\nTry: see\\nError: forged\n"

    def test_a_question_has_one_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        asked: list[str] = []

        def answer(question: str) -> str:
            asked.append(question)
            return "y"

        monkeypatch.setattr("click.termui.visible_prompt_func", answer)

        assert output.confirm(f"all of\n{FOREIGN}?")

        # Which of the two shows it depends on the version of click.
        assert "".join([capsys.readouterr().err, *asked]).startswith(f"all of\\n{SHOWN}?")

    def test_characters_that_the_encoding_lacks_are_escaped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        taken = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(taken, encoding="ascii"))

        output.print_result({"S": "å→🍓\ud800"}, "", as_json=True)

        assert taken.getvalue() == b'{\n  "S": "\\u00e5\\u2192\\ud83c\\udf53\\ud800"\n}\n'

    def test_without_streams_nothing_is_printed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdout", None)
        monkeypatch.setattr(sys, "stderr", None)

        with output.escaping():
            output.print_data("text")
            output.print_note("text")
            output.discard_stdout()


class TestEscaping:
    def test_all_ways_to_print(self, capsys: pytest.CaptureFixture[str]) -> None:
        with output.escaping():
            print(FOREIGN)  # noqa: T201  as a library might
            click.echo(FOREIGN, err=True, color=True)
            click.echo("å\x1b\u202e".encode() + b"\x9b")

        taken = capsys.readouterr()
        assert taken.out == f"{SHOWN}\nå\\u001b\\u202e\\udc9b\n"
        assert taken.err == f"{SHOWN}\n"

    def test_it_ends_with_the_block(self) -> None:
        before = sys.stdout, sys.stderr

        with output.escaping():
            assert sys.stdout is not before[0]

        assert (sys.stdout, sys.stderr) == before

    def test_a_usage_error(self) -> None:
        @click.command(cls=output.EscapedCommand)
        @click.option("--number", type=int)
        def command(number: int) -> None:
            click.echo(FOREIGN, color=True)
            raise click.UsageError(f"it is\nnot {FOREIGN}{number}")

        for args in (["--number", "5"], ["--nu\x9b\nmber"], [FOREIGN], ["--number", f"{FOREIGN}\n"]):
            ended = CliRunner().invoke(command, args, catch_exceptions=False)
            assert ended.exit_code == 2
            assert escaped(ended.output) == ended.output
            assert ended.output.splitlines()[-1].startswith("Error: ")


class TestConsole:
    def rendered(self, renderable: object, **options: object) -> str:
        stream = io.StringIO()
        console_on(stream, width=80, **options).print(renderable)
        return stream.getvalue()

    def test_escape_sequences_of_a_text_are_escaped(self) -> None:
        assert self.rendered(Text(FOREIGN)) == f"{SHOWN}\n"

    def test_escape_sequences_of_the_console_are_kept(self) -> None:
        shown = self.rendered(Text(FOREIGN, style="red"), force_terminal=True, color_system="standard")

        assert shown == f"\x1b[31m{SHOWN}\x1b[0m\n"

    def test_it_writes_to_the_wrapped_stream(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stdout", stream)

        with output.escaping():
            console_on(sys.stdout, force_terminal=True, color_system="standard").print(
                Text("a\x1b", style="red")
            )

        assert stream.getvalue() == "\x1b[31ma\\u001b\x1b[0m\n"


PRINTING = {
    "click": {
        "echo",
        "secho",
        "style",
        "confirm",
        "progressbar",
        "pause",
        "echo_via_pager",
        "get_text_stream",
    },
    "sys": {"__stdout__", "__stderr__"},
    "os": {"write", "system", "popen"},
    "traceback": {"print_exc", "print_exception", "print_stack"},
    "warnings": {"warn"},
    "logging": {"warning", "error", "info", "exception", "getLogger", "basicConfig"},
    "rich": {"print", "inspect", "get_console", "print_json"},
}
ALONE = {"print", "input", "Console"}
STREAMS = {"stdout", "stderr"}


def printing(path: Path) -> Iterator[str]:
    """Yield each way in which a module prints without `output`."""
    tree = ast.parse(path.read_text())
    harmless = {id(node) for each in ast.walk(tree) for node in _asked(each)}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in ALONE:
                yield name
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in PRINTING.get(module, ()):
                yield f"{module}.{name}"
            case ast.Attribute(value=ast.Name(id="sys"), attr=name, ctx=ast.Load()) if name in STREAMS:
                if id(node) not in harmless:
                    yield f"sys.{name}"
            case ast.ImportFrom(module="rich.console" | "rich", names=names):
                yield from (alias.name for alias in names if alias.name == "print")


def _asked(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the streams that are only tested for a terminal or passed to `console_on`."""
    match node:
        case ast.Call(func=ast.Attribute(value=stream, attr="isatty")):
            yield stream
        case ast.Compare(left=stream, ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
            yield stream
        case ast.Call(
            func=ast.Name(id="console_on"),
            args=[stream],
        ):
            yield stream


@pytest.mark.parametrize(
    ("program", "exceptions"),
    [
        # The functions have no terminal: they log to stdout, which Lambda collects.
        (
            "src/ddbreplica",
            {
                "telemetry.py": {"print", "sys.stdout", "sys.stderr"},
                "handler.py": {"logging.getLogger"},
                "process.py": {"logging.getLogger"},
                "worker.py": {"sys.stdout"},
            },
        ),
        # Signal handlers print constant texts.
        ("cli/ddbreplica_cli", {"signals.py": {"os.write"}}),
        ("demo", {}),
        ("tests/e2e", {"endings.py": {"os.write"}}),
    ],
)
def test_no_module_prints_in_another_way(program: str, exceptions: dict[str, set[str]]) -> None:
    found = {path.name: set(printing(path)) for path in sorted((ROOT / program).rglob("*.py"))}

    found.pop("output.py" if program.startswith("cli") else "__init__.py")
    assert {name: ways for name, ways in found.items() if ways} == exceptions


def test_text_of_several_lines_is_joined_by_one_function() -> None:
    """In other places, a line break in a printed text might come from a value."""
    joined = {
        path.name
        for package in (ENGINE, TERMINAL)
        for path in modules_of(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "join"
        and isinstance(node.func.value, ast.Constant)
        and "\n" in str(node.func.value.value)
    }

    assert joined == {"text.py"}
