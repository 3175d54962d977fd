"""Only `private_file` opens a file for writing, and git ignores the files that commands leave."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddbreplica.reconcile.journal_format import COMMANDS
from tests.support.modules import ENGINE, ROOT, TERMINAL, modules_of
from tests.support.modules import name_of as name_of_module

MODULES = [*modules_of(ENGINE), *modules_of(TERMINAL)]
THE_ONE = "private_file.py"

READING = {"r", "rb", "rt"}
ALLOWED = {
    # A device, which stores nothing.
    ("__main__.py", "os.open(os.devnull, os.O_RDWR)"),
    ("__main__.py", "os.fdopen(2, 'w', encoding='utf-8')"),
    ("output.py", "os.open(os.devnull, os.O_WRONLY)"),
    # Connections to AWS.
    ("transport.py", "connection.connect()"),
    ("handler.py", "table.connect(settings.replica_table_name, **where)"),
    ("handler.py", "plain_replica.connect(settings.replica_table_name, **where)"),
    # The directory, so that a new name is still there after a crash.
    ("state_file.py", "os.open(path.parent, os.O_RDONLY)"),
    # A file without a name, which is removed with its process. test_cli_private_files.py checks its mode.
    ("temporary.py", "tempfile.TemporaryFile()"),
    ("keyset.py", "sqlite3.connect('', check_same_thread=False)"),
    # A descriptor that `private_file` has opened.
    ("state_file.py", "open(file.fileno(), 'rb', closefd=False)"),
}
"""What is no file with a name, or is no writing."""

SUSPECT = {
    "NamedTemporaryFile",
    "SpooledTemporaryFile",
    "TemporaryDirectory",
    "TemporaryFile",
    "FileHandler",
    "FileIO",
    "connect",
    "copy",
    "copyfile",
    "copytree",
    "creat",
    "dump",
    "link",
    "mkdtemp",
    "mkfifo",
    "mkstemp",
    "mktemp",
    "mkdir",
    "makedirs",
    "move",
    "symlink_to",
    "hardlink_to",
    "symlink",
    "touch",
    "truncate",
    "write_bytes",
    "write_text",
}
"""Functions and methods that create a file, or change one that they find by its name."""


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)


def mode_of(call: ast.Call) -> str | None:
    """Return the mode of an `open`, or None if it cannot be read from the call."""
    is_method = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) not in (
        "gzip",
        "io",
        "click",
        "os",
    )
    position = 0 if is_method else 1
    given = call.args[position : position + 1] or [each.value for each in call.keywords if each.arg == "mode"]
    if not given:
        return "r"
    return given[0].value if isinstance(given[0], ast.Constant) and isinstance(given[0].value, str) else None


def opens_to_write(call: ast.Call) -> bool:
    name = name_of(call)
    if name in ("open", "open_file", "fdopen"):
        return ast.unparse(call.func) == "os.open" or mode_of(call) not in READING
    if name == "File" and ast.unparse(call.func) == "click.File":
        return True
    is_of_open_file = (
        name == "truncate" and isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "file"
    )
    return name in SUSPECT and not is_of_open_file


IS_OF_KEYS = {"self.open(map(key_of, keys))", "self._kept.open(free)"}
"""Of the journal's keys, which are open too."""


@pytest.mark.parametrize("path", MODULES, ids=list(map(name_of_module, MODULES)))
def test_no_module_opens_a_file_to_write_by_another_way(path: Path) -> None:
    found = {ast.unparse(call) for call in calls(path) if opens_to_write(call)} - IS_OF_KEYS
    allowed = {text for name, text in ALLOWED if name == path.name}

    assert path.name == THE_ONE or found <= allowed, found - allowed


def test_each_allowed_call_still_exists() -> None:
    texts = {(path.name, ast.unparse(call)) for path in MODULES for call in calls(path)}

    assert texts >= ALLOWED


@pytest.mark.parametrize(
    "text",
    [
        "path.open('w')",
        "path.open(mode='ab')",
        "path.open(mode)",
        "open(path, 'r+')",
        "io.open(path, 'x')",
        "gzip.open(path, 'wb')",
        "os.open(path, os.O_WRONLY)",
        "os.fdopen(number, 'w')",
        "path.write_text(text)",
        "path.touch()",
        "click.open_file(name, 'w')",
        "click.File('w')",
        "NamedTemporaryFile()",
        "tempfile.mkstemp()",
        "sqlite3.connect('keys.db')",
        "logging.FileHandler(name)",
        "shutil.copyfile(one, other)",
        "os.truncate(path, 0)",
    ],
)
def test_every_other_way_to_open_a_file_is_found(text: str) -> None:
    (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))

    assert opens_to_write(call)


@pytest.mark.parametrize(
    "text",
    [
        "path.open()",
        "path.open('rb')",
        "gzip.open(file)",
        "file.truncate(0)",
        "click.open_file(name)",
        "os.fdopen(0)",
    ],
)
def test_reading_is_not_writing(text: str) -> None:
    (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))

    assert not opens_to_write(call)


@pytest.mark.parametrize("directory", ["", "data/", "docs/"])
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("more", ["", ".new", ".undecided"])
def test_git_ignores_what_a_command_leaves(directory: str, command: str, more: str) -> None:
    assert is_ignored(f"{directory}orders-orders_copy.{command}{more}")


@pytest.mark.parametrize("name", ["differences.jsonl", "rows.csv", "keys.jsonl"])
def test_git_ignores_what_the_pages_write_into_this_directory(name: str) -> None:
    assert is_ignored(name)
    assert not is_ignored(f"data/{name}")


def is_ignored(name: str) -> bool:
    done = subprocess.run(["git", "check-ignore", "-q", "--no-index", name], cwd=ROOT, check=False)  # noqa: S603, S607
    assert done.returncode in (0, 1)
    return done.returncode == 0
