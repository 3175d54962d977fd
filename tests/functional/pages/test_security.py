"""What SECURITY.md says of the role, the bundle and the tests is so."""

import re
from pathlib import Path
from typing import Any

from tests.support.template import REPLICA_TEMPLATE, ROOT, TEMPLATE, load

SAID = (ROOT / "SECURITY.md").read_text()


def sids(node: Any) -> set[str]:
    """The names of all statements, under whatever conditions they stand."""
    if isinstance(node, list):
        return {sid for entry in node for sid in sids(entry)}
    if not isinstance(node, dict):
        return set()
    return {node["Sid"]} if "Sid" in node else sids(list(node.values()))


TEMPLATES = [load(path) for path in (TEMPLATE, REPLICA_TEMPLATE)]
STATEMENTS = sids([template["Resources"] for template in TEMPLATES])


def test_every_statement_of_the_templates_has_its_reason() -> None:
    assert sorted(sid for sid in STATEMENTS if f"`{sid}`" not in SAID) == []


def test_every_name_is_one_of_the_templates() -> None:
    named = set(re.findall(r"`([A-Z][A-Za-z]+)(?:=\w+)?`", SAID))
    sections = [template[section] for template in TEMPLATES for section in ("Parameters", "Resources")]

    assert sorted(named - STATEMENTS.union(*sections)) == []


def test_the_packages_that_are_deployed_are_as_many() -> None:
    pinned = re.findall(r"^[a-z0-9-]+==", (ROOT / "src" / "requirements.txt").read_text(), re.MULTILINE)

    assert len(pinned) == 9
    assert "Nine packages" in SAID


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`([\w./-]+/[\w./-]*\.\w+)`|\]\(([^)#:]+)\)", SAID)
    missing = [path for pair in named for path in pair if path and not Path(ROOT, path).exists()]

    assert len(named) > 5
    assert missing == []
