"""`make floors` tests the lowest versions that pyproject.toml allows."""

import re
import tomllib

from tests.support.modules import ROOT


def test_the_tested_versions_are_the_lowest_allowed_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    allowed = [*project["dependencies"], *project["optional-dependencies"]["cli"]]
    tried = re.findall(
        r"^([a-z0-9-]+)==([0-9.]+)", (ROOT / "requirements" / "floors.txt").read_text(), re.MULTILINE
    )

    floors = [re.fullmatch(r"([a-z0-9-]+)(?:\[\w+\])?>=([0-9.]+)", each) for each in allowed]
    assert all(floors), allowed
    assert [floor.groups() for floor in floors if floor and floor.groups() not in tried] == []
    assert "awscrt" in dict(tried), "`aws login` profiles need it"


def test_each_test_that_the_floors_leave_out_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (left_out,) = re.findall(r"^FLOORS_WITHOUT = (.+)$", makefile, re.MULTILINE)
    names = [name for name in re.findall(r"\w+", left_out) if "_" in name]
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    assert len(names) == 4
    assert [name for name in names if not re.search(rf"def test_\w*{name}", tests)] == []
