"""How the modules may lean on each other, read from their syntax trees."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "ddbreplica"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
PURE = ("decode", "plan", "report", "schema", "model", "errors")
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


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "ddbreplica":
            found |= {f"ddbreplica.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module or "")
    return found


def own(module: str) -> set[str]:
    return {
        name.partition(".")[2] for name in imports(PACKAGE / f"{module}.py") if name.startswith("ddbreplica")
    }


@pytest.mark.parametrize("module", PURE)
def test_the_pure_core_touches_nothing(module: str) -> None:
    outside = {name.partition(".")[0] for name in imports(PACKAGE / f"{module}.py")}

    assert not outside & FORBIDDEN_IN_PURE
    assert own(module) <= set(PURE)


@pytest.mark.parametrize("module", ["model", "errors"])
def test_the_vocabulary_imports_nothing_of_ours(module: str) -> None:
    assert own(module) == set()


def test_imports_point_one_way() -> None:
    left = {module: own(module) for module in MODULES}
    while left:
        free = {module for module, needs in left.items() if not needs & left.keys()}
        assert free, f"these import each other: {sorted(left)}"
        left = {module: needs for module, needs in left.items() if module not in free}


def test_the_handler_alone_imports_every_step() -> None:
    importers = {module for module in MODULES if {"decode", "write", "quarantine", "settings"} <= own(module)}

    assert importers == {"handler"}


def test_one_module_reads_the_environment() -> None:
    assert [module for module in MODULES if "os" in imports(PACKAGE / f"{module}.py")] == ["handler"]
    assert "os.environ" in (PACKAGE / "handler.py").read_text()


def test_the_function_never_imports_the_command_line() -> None:
    assert not [m for m in MODULES if any("ddbreplica_cli" in name for name in imports(PACKAGE / f"{m}.py"))]


def test_every_module_of_the_function_has_its_tests() -> None:
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("*/test_*.py")}

    assert set(MODULES) - tested <= {"model", "errors"}
