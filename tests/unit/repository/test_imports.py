"""The packages import each other only in one direction, and a cold start imports only what a batch needs."""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from ddbreplica_cli.app import main
from tests.support.modules import ENGINE, TERMINAL, modules_of, name_of

PATHS = {name_of(path): path for package in (ENGINE, TERMINAL) for path in modules_of(package)}
ORDER = (
    "ddbreplica.model",
    "ddbreplica.errors",
    "ddbreplica.deadline",
    "ddbreplica.driver",
    "ddbreplica.records",
    "ddbreplica.transform",
    "ddbreplica.aws",
    "ddbreplica.settings",
    "ddbreplica.dynamodb",
    "ddbreplica.mapping",
    "ddbreplica.files",
    "ddbreplica.bucket",
    "ddbreplica.reconcile",
    "ddbreplica.replicate",
    "ddbreplica.backfill",
    "ddbreplica.verify",
    "ddbreplica.redrive",
    "ddbreplica.inspect",
    "ddbreplica.jobs",
    "ddbreplica.handler",
    "ddbreplica.worker",
    "ddbreplica_cli.terminal",
    "ddbreplica_cli.samples",
    "ddbreplica_cli.runs",
    "ddbreplica_cli.commands",
    "ddbreplica_cli.app",
    "ddbreplica_cli.__main__",
)
"""The packages, and the modules of the top level; each imports only what stands above it."""

CAPABILITIES = {"ddbreplica.backfill", "ddbreplica.verify", "ddbreplica.redrive", "ddbreplica.inspect"}

PURE = (
    "ddbreplica.model",
    "ddbreplica.errors",
    "ddbreplica.records.batch_item_failures",
    "ddbreplica.records.compare",
    "ddbreplica.records.decode",
    "ddbreplica.records.plan",
    "ddbreplica.records.schema",
    "ddbreplica.records.text",
    "ddbreplica.transform.batch",
    "ddbreplica.transform.conflicts",
    "ddbreplica.transform.deployed",
    "ddbreplica.transform.parse",
    "ddbreplica.transform.rules",
    "ddbreplica.transform.secret",
    "ddbreplica.transform.storable",
    "ddbreplica.transform.transform",
    "ddbreplica.transform.view",
)
FORBIDDEN_IN_PURE = {
    "boto3",
    "botocore",
    "os",
    "logging",
    "time",
    "random",
    "threading",
    "aws_lambda_powertools",
}


COLD_START = {
    "ddbreplica.aws.botocore_private",
    "ddbreplica.aws.clock",
    "ddbreplica.aws.endpoint",
    "ddbreplica.aws.refusal",
    "ddbreplica.bucket.quarantine",
    "ddbreplica.deadline",
    "ddbreplica.dynamodb.send",
    "ddbreplica.dynamodb.table",
    "ddbreplica.dynamodb.transport",
    "ddbreplica.errors",
    "ddbreplica.handler",
    "ddbreplica.model",
    "ddbreplica.records.batch_item_failures",
    "ddbreplica.records.decode",
    "ddbreplica.records.plan",
    "ddbreplica.records.schema",
    "ddbreplica.replicate.redact",
    "ddbreplica.replicate.telemetry",
    "ddbreplica.replicate.write",
    "ddbreplica.settings",
}
"""What the function imports before its first batch."""

WORKER_COLD_START = {
    "ddbreplica.deadline",
    "ddbreplica.errors",
    "ddbreplica.jobs.payload",
    "ddbreplica.worker",
}
"""What the worker imports before it knows its task."""


HELP = {
    "ddbreplica.dynamodb.location",
    "ddbreplica.dynamodb.rate",
    "ddbreplica.errors",
    "ddbreplica.records.text",
    "ddbreplica.verify.confirm.plan",
    "ddbreplica_cli.__main__",
    "ddbreplica_cli.app",
    "ddbreplica_cli.commands.backfill",
    "ddbreplica_cli.commands.jobs",
    "ddbreplica_cli.commands.load",
    "ddbreplica_cli.commands.redrive",
    "ddbreplica_cli.commands.status",
    "ddbreplica_cli.commands.tail",
    "ddbreplica_cli.commands.transform",
    "ddbreplica_cli.commands.verify",
    "ddbreplica_cli.terminal.exit_status",
    "ddbreplica_cli.terminal.options",
    "ddbreplica_cli.terminal.output",
    "ddbreplica_cli.terminal.param_type",
    "ddbreplica_cli.terminal.signals",
}
"""What the commands import to show their help, or to complete a line."""


def imports(path: Path) -> set[str]:
    """Return the modules that a module imports: those of the project by their full names, others as written."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {_imported(node.module or "", alias.name) for alias in node.names}
    return found


def _imported(module: str, name: str) -> str:
    return f"{module}.{name}" if f"{module}.{name}" in PATHS else module


@cache
def own(module: str) -> frozenset[str]:
    return frozenset(imports(PATHS[module]) & PATHS.keys())


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_nothing_for_input_or_output(module: str) -> None:
    outside = {name.partition(".")[0] for name in imports(PATHS[module])}

    assert not outside & FORBIDDEN_IN_PURE
    assert own(module) <= set(PURE)


@pytest.mark.parametrize("module", ["ddbreplica.model", "ddbreplica.errors"])
def test_model_and_errors_import_no_other_module(module: str) -> None:
    assert own(module) == set()


def test_imports_point_one_way() -> None:
    left = {module: own(module) for module in PATHS}
    while left:
        free = {module for module, needs in left.items() if not needs & left.keys()}
        assert free, f"these import each other: {sorted(left)}"
        left = {module: needs for module, needs in left.items() if module not in free}


def test_the_engine_never_imports_the_terminal() -> None:
    outside = {name: imports(path) for name, path in PATHS.items() if name.startswith("ddbreplica.")}

    assert not {
        name: found
        for name, each in outside.items()
        if (found := {one for one in each if one.partition(".")[0] in {"ddbreplica_cli", "click", "rich"}})
    }


def test_a_package_imports_only_packages_above_it() -> None:
    upwards = {
        (name, used)
        for name in PATHS
        for used in own(name)
        if package(name) != package(used) and ORDER.index(package(used)) >= ORDER.index(package(name))
    }

    assert not upwards


def test_no_capability_imports_another() -> None:
    assert not {
        (name, used)
        for name in PATHS
        for used in own(name)
        if {package(name), package(used)} <= CAPABILITIES and package(name) != package(used)
    }


@pytest.mark.parametrize("module", ["ddbreplica_cli.app", "ddbreplica.worker"])
def test_no_chain_of_imports_is_longer_than_eleven_modules(module: str) -> None:
    assert len(longest(module)) <= 11, longest(module)


def test_every_package_is_in_the_order() -> None:
    assert {package(name) for name in PATHS} == set(ORDER)


def package(module: str) -> str:
    """Return the package of a module, also of one in a folder of the package.

    A module of the top level has its own place in the order.
    """
    return ".".join(module.split(".")[:2])


@cache
def longest(module: str) -> tuple[str, ...]:
    """Return the longest chain of imports from a module down, itself included."""
    return module, *max((longest(used) for used in own(module)), key=len, default=())


def test_the_handler_alone_imports_every_step() -> None:
    steps = {
        "ddbreplica.records.decode",
        "ddbreplica.replicate.write",
        "ddbreplica.bucket.quarantine",
        "ddbreplica.settings",
    }

    assert {module for module in PATHS if steps <= own(module)} == {"ddbreplica.handler"}


def test_a_package_has_at_most_twelve_modules_and_a_docstring_of_a_sentence() -> None:
    sizes = Counter(name.rpartition(".")[0] for name in PATHS)
    first = {
        name: ast.get_docstring(ast.parse((PATHS[module].parent / "__init__.py").read_text())) or ""
        for module in PATHS
        for name in [module.rpartition(".")[0]]
    }

    assert max(sizes.values()) <= 12
    assert all(text.endswith(".") for text in first.values())


@pytest.mark.parametrize(
    ("module", "needed"), [("ddbreplica.handler", COLD_START), ("ddbreplica.worker", WORKER_COLD_START)]
)
def test_a_cold_start_imports_only_what_every_invocation_needs(module: str, needed: set[str]) -> None:
    probe = f"import {module}, sys; print(*sorted(sys.modules))"
    imported = subprocess.run(  # noqa: S603  this interpreter, with a text of this file
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ENGINE.parent)},
    ).stdout.split()

    assert {name for name in imported if name in PATHS} == needed
    assert not {"click", "rich", "sqlite3", "ddbreplica_cli"} & set(imported)


@pytest.mark.parametrize(
    ("arguments", "completing"),
    [
        ("--help", None),
        ("--version", None),
        *((f"{command} --help", None) for command in sorted(main.commands)),
        ("jobs show --help", None),
        ("transform check --help", None),
        ("", "ddbreplica redr"),
        ("", "ddbreplica verify --"),
    ],
)
def test_help_and_completion_import_only_options_and_texts(arguments: str, completing: str | None) -> None:
    probe = (
        "import atexit, sys; atexit.register(lambda: print('IMPORTED', *sorted(sys.modules)));"
        "from ddbreplica_cli.__main__ import start; start()"
    )
    words = completing or ""
    shell = {
        "_DDBREPLICA_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    shown = subprocess.run(  # noqa: S603  this interpreter, with a text of this file
        [sys.executable, "-c", probe, *arguments.split()],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{ENGINE.parent}:{TERMINAL.parent}", **(shell if completing else {})},
    ).stdout
    text, _, imported = shown.partition("IMPORTED ")

    assert text.strip()
    assert {name for name in imported.split() if name in PATHS} == HELP
    assert not {"boto3", "botocore", "rich", "sqlite3"} & set(imported.split())


def test_one_module_of_the_function_reads_the_environment() -> None:
    reading = {
        name for name in COLD_START if "environ" in PATHS[name].read_text() and "os" in imports(PATHS[name])
    }

    assert reading == {"ddbreplica.handler"}


def test_every_module_of_the_function_has_tests_of_its_name() -> None:
    tested = {path.stem.removeprefix("test_") for path in (ENGINE.parents[1] / "tests").rglob("test_*.py")}

    assert {name for name in COLD_START if name.rpartition(".")[2] not in tested} == {
        "ddbreplica.errors",
        "ddbreplica.model",
    }


def test_the_modules_in_design_md_exist() -> None:
    packages = "|".join(sorted({name.split(".")[1] for name in PATHS if name.count(".") == 2}))
    named = re.findall(rf"`((?:{packages})/\w+)`", (ENGINE.parents[1] / "DESIGN.md").read_text())

    known = {"/".join(name.split(".")[1:]) for name in PATHS}
    assert len(named) > 10
    assert [name for name in named if name not in known] == []
