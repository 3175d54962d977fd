"""Tests are in folders with the names of the packages, and the tests that the pages list exist."""

import re

import pytest

from tests.support.modules import ENGINE, ROOT, TERMINAL

TESTS = ROOT / "tests"
BESIDE_PACKAGES = {"repository", "support", "benchmarks", "examples", "e2e", "pages", "templates"}
"""The folders with tests of something other than a package of src/ or cli/."""
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def packages() -> set[str]:
    """Return the names of the packages of src/ and cli/."""
    return {init.parent.name for root in (ENGINE, TERMINAL) for init in root.glob("*/__init__.py")}


@pytest.mark.parametrize("layer", ["unit", "functional"])
def test_a_folder_of_tests_has_the_name_of_a_package(layer: str) -> None:
    folders = {init.parent.name for init in (TESTS / layer).glob("*/__init__.py")}

    assert folders - BESIDE_PACKAGES <= packages()


def test_the_tests_in_pages_exist() -> None:
    named = {
        (page.name, name)
        for page in PAGES
        for name in re.findall(r"(?<![\w./])(?:tests/)?((?:\w+/)*test_\w+\.py)", page.read_text())
    }
    all_tests = {str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")}

    assert {
        name for name in named if not any(f"/{path}".endswith(f"/{name[1]}") for path in all_tests)
    } == set()


def test_the_docstring_of_a_module_s_tests_begins_with_its_name() -> None:
    """The name of their file begins with it as well."""
    named = {
        path: found[1]
        for path in TESTS.rglob("test_*.py")
        if (found := re.match(r'"""([a-z_]+): ', path.read_text()))
    }

    assert [path.name for path, name in named.items() if not path.stem.startswith(f"test_{name}")] == []


def test_unit_tests_of_the_engine_do_not_use_the_command_line() -> None:
    engine = {init.parent.name for init in ENGINE.glob("*/__init__.py")}
    tests = [path for package in engine for path in (TESTS / "unit" / package).glob("test_*.py")]

    assert len(tests) > 50
    assert [path.name for path in tests if "ddbreplica_cli" in path.read_text()] == []
