"""docs/maintainers/mutation.md counts its survivors correctly, and names modules and functions that exist."""

import re

from tests.support.modules import ENGINE, ROOT

PAGE = (ROOT / "docs" / "maintainers" / "mutation.md").read_text()
TABLE = {
    module: (int(noticed.replace(",", "")), int(changes.replace(",", "")))
    for module, noticed, changes in re.findall(
        r"^\| `?([\w/]+)`? \| ([\d,]+) \| ([\d,]+) \|", PAGE, re.MULTILINE
    )
}
SECTIONS = [
    (re.findall(r"`([\w/]+)`", heading), int(count), body)
    for heading, count, body in re.findall(
        r"^### ([^\n]+): (\d+)\n(.*?)(?=^###|\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
]


def survivors(module: str) -> int:
    noticed, changes = TABLE[module]
    return changes - noticed


def test_the_counts_of_the_survivors_add_up() -> None:
    assert SECTIONS
    for modules, count, body in SECTIONS:
        entries = sum(map(int, re.findall(r"\((\d+)\):", body)))

        assert entries == count == sum(map(survivors, modules)), modules
    assert f"## The {survivors('all')} survivors" in PAGE
    assert {module for modules, *_ in SECTIONS for module in modules} == {
        module for module in TABLE if module != "all" and survivors(module)
    }


def test_the_total_is_that_of_the_modules() -> None:
    *modules, total = TABLE.values()

    assert list(TABLE)[-1] == "all"
    assert tuple(map(sum, zip(*modules, strict=True))) == total


def test_every_function_that_is_named_exists() -> None:
    sources: dict[str, str] = {}
    for path in ENGINE.rglob("*.py"):  # two modules may have one name
        sources[path.stem] = sources.get(path.stem, "") + path.read_text()
    named = re.findall(r"`(\w+)\.(\w+)`", re.sub(r"`\w+\.py`", "", PAGE))

    assert len(named) > 20
    assert [
        f"{module}.{name}"
        for module, name in named
        if not re.search(rf"^ *(?:def|class) {name}\b", sources.get(module, ""), re.MULTILINE)
    ] == []
