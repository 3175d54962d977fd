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
