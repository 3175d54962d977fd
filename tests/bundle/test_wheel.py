"""`pip install` installs both packages with types, metadata and the version of pyproject.toml."""

import email
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import pytest
from trove_classifiers import classifiers

from tests.functional.examples.test_recipes import code as recipe
from tests.support.build import ROOT
from tests.support.template import load

PROJECT: Final[Mapping[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES: Final = {"ddbreplica": ROOT / "src", "ddbreplica_cli": ROOT / "cli"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the working tree with version 9.8.7, unpacked as pip would install it."""
    home = tmp_path_factory.mktemp("wheel")
    for name in ("src", "cli"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, home)
    text = (ROOT / "pyproject.toml").read_text()
    assert text.count(f'\nversion = "{PROJECT["version"]}"') == 1
    changed = text.replace(f'\nversion = "{PROJECT["version"]}"', '\nversion = "9.8.7"')
    (home / "pyproject.toml").write_text(changed)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", f"{home / 'dist'}"]
    subprocess.run(build, cwd=home, check=True, capture_output=True)  # noqa: S603
    (built,) = (home / "dist").iterdir()
    with ZipFile(built) as archive:
        archive.extractall(home / "installed")
    return home / "installed"


@pytest.fixture(scope="module")
def described(wheel: Path) -> email.message.Message:
    return email.message_from_string((wheel / "ddbreplica-9.8.7.dist-info" / "METADATA").read_text())


def test_the_wheel_contains_only_both_packages(wheel: Path) -> None:
    held = {path.relative_to(wheel) for path in wheel.rglob("*") if path.is_file()}
    ours = {
        path.relative_to(root)
        for name, root in PACKAGES.items()
        for path in (root / name).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    assert {path for path in held if path.parts[0] != "ddbreplica-9.8.7.dist-info"} == ours


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_are_marked_as_typed(wheel: Path, package: str) -> None:
    assert (wheel / package / "py.typed").is_file()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with this environment's packages, and the wheel in place of the working tree."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    packages = sysconfig.get_path("purelib", "venv", {"base": str(home)})
    Path(packages, "installed.pth").write_text(f"{wheel}\n{sysconfig.get_path('purelib')}\n")
    return home / "bin" / "python"


def test_a_user_s_function_is_type_checked_against_it(installed: Path, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(f"{recipe()}\nreveal_type(process)\n")
    wrong.write_text(
        "from ddbreplica import Change, proces\n\n\ndef key(change: Change) -> int:\n    return change.key\n"
    )
    checked = subprocess.run(  # noqa: S603  our own
        [
            *(sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed)),
            *("--config-file", os.devnull, "--cache-dir", str(tmp_path / "cache"), str(right), str(wrong)),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    *lines, last = checked.stdout.splitlines()
    found = [line.partition(": ")[::2] for line in lines]
    assert [text for where, text in found if where.startswith("right.py") and text.startswith("error")] == []
    (revealed,) = [text for where, text in found if where.startswith("right.py")]
    assert "def (event: Any, apply: def (ddbreplica.model.Change) -> object, *, deadline:" in revealed
    assert [where for where, text in found if text.startswith("error")] == ["wrong.py:1", "wrong.py:5"]
    assert last == "Found 2 errors in 1 file (checked 2 source files)"


def test_the_command_prints_the_version(wheel: Path, tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "ddbreplica_cli", "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{wheel}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stdout == "ddbreplica, version 9.8.7\n"


def test_the_wheel_installs_the_command(wheel: Path) -> None:
    entries = (wheel / "ddbreplica-9.8.7.dist-info" / "entry_points.txt").read_text()

    assert entries.split() == ["[console_scripts]", "ddbreplica", "=", "ddbreplica_cli.__main__:start"]


def test_the_wheel_has_a_description(described: email.message.Message) -> None:
    assert described["Author"] == "The ddbreplica authors"
    assert described["License-Expression"] == "Apache-2.0"
    assert described["License-File"] == "LICENSE"
    assert described["Requires-Python"] == ">=3.11"
    assert described["Summary"]
    assert str(described.get_payload()).startswith("# ddbreplica")


def test_the_classifiers_exist_and_include_typed(described: email.message.Message) -> None:
    named = described.get_all("Classifier") or []

    assert "Typing :: Typed" in named
    assert [name for name in named if name not in classifiers] == []


def test_the_keywords_are_those_of_the_application(described: email.message.Message) -> None:
    application = load()["Metadata"]["AWS::ServerlessRepo::Application"]

    assert described["Keywords"].split(",") == sorted(application["Labels"])
