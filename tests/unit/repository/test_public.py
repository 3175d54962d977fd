"""The public names of `ddbreplica` are loaded when they are used, and documented. Recipes import nothing else."""

import ast
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import ddbreplica
from tests.support.modules import ROOT

RECIPES = sorted((ROOT / "examples").glob("*/src/*.py"))
PUBLIC = [
    *("CLIENT_CONFIG", "Change", "Deadline", "Decoded", "EventError", "Failure", "Image", "Key"),
    *("Outcome", "Pending", "Quarantined", "Refusal", "RefusalKind", "RefusedError", "Replica"),
    *(
        "ReplicatorError",
        "StreamViewTypeError",
        "Table",
        "UnreportableError",
        "Write",
        "deadline_of",
        "decode",
        "plan",
    ),
    *("process", "refusal_of", "report", "write"),
]


def loaded(statement: str) -> set[str]:
    """Return the modules of the project that a new interpreter has loaded after a statement."""
    probe = (
        f"{statement}; import sys; print(*(name for name in sys.modules if name.startswith('ddbreplica')))"
    )
    done = subprocess.run(  # noqa: S603  this interpreter, with a text of this file
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "src")},
    )
    return set(done.stdout.split())


def typed() -> Mapping[str, str]:
    """Return the module in which a type checker finds each name."""
    tree = ast.parse(Path(ddbreplica.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_these_names_are_public() -> None:
    assert ddbreplica.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_is_the_object_that_a_type_checker_finds(name: str) -> None:
    assert getattr(ddbreplica, name) is getattr(import_module(typed()[name]), name)
    assert name in dir(ddbreplica)


def test_type_checkers_find_no_other_name() -> None:
    assert sorted(typed()) == sorted(PUBLIC)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ddbreplica' has no attribute 'journal'"):
        _ = ddbreplica.journal  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PUBLIC)
def test_no_module_has_the_name(name: str) -> None:
    assert not isinstance(getattr(ddbreplica, name), ModuleType)
    assert not (ROOT / "src" / "ddbreplica" / name).exists()


def test_importing_the_package_loads_no_module_of_it() -> None:
    assert loaded("import ddbreplica") == {"ddbreplica"}


def test_a_name_loads_what_it_needs_and_nothing_else() -> None:
    assert loaded("from ddbreplica import Change") == {"ddbreplica", "ddbreplica.model"}


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_described(name: str) -> None:
    tree = ast.parse(Path(import_module(typed()[name]).__file__ or "").read_text())
    (described,) = (
        text for node, text in zip(tree.body, [*tree.body[1:], None], strict=True) if names(node) == name
    )

    defined = next(node for node in tree.body if names(node) == name)
    if isinstance(defined, ast.ClassDef | ast.FunctionDef):
        assert ast.get_docstring(defined)
    else:
        assert isinstance(described, ast.Expr)
        assert isinstance(described.value, ast.Constant)


def names(node: ast.stmt) -> str | None:
    """Return the name that a statement defines."""
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return name
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return None


def test_the_page_lists_each_name() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text()
    (table,) = re.findall(r"\| name \| what it is \|\n\|---\|---\|\n((?:\|.*\n)+)", page)

    listed = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(listed) == PUBLIC


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_recipe_imports_public_names_alone(path: Path) -> None:
    imported = {
        node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ddbreplica")
    }

    assert imported == {"ddbreplica"}
