"""Each `sam deploy` and `sam delete` that a person is shown names its stack, by --config-env or --stack-name.

Without either, SAM CLI takes the stack of the config-env `default`. Only the first deployment may do so.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.pages.test_markdown import PAGES, name
from tests.support.guide import section
from tests.support.modules import ROOT

FIRST = {"docs/deployment.md": 1, "README.md": 1}
"""How many commands of a page may deploy the first stack, which is the one of the config-env `default`."""

COMMAND = re.compile(r"sam (?:deploy|delete)\b[^`)&|#\n]*")
TEMPLATES = ["template.yaml", "replica.yaml"]


def shown(page: Path) -> Iterator[str]:
    """Yield the commands of a page: in its blocks, and in code within a sentence if they have options."""
    text = page.read_text().replace("\\\n", " ")
    for line in re.findall(r"^ *(?:\$|- run:) (.+)$", text, re.MULTILINE):
        yield from COMMAND.findall(line)
    for code in re.findall(
        r"`([^`\n]*)`", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    ):
        yield from (each for each in COMMAND.findall(code) if " -" in each)


def nameless(commands: Iterator[str]) -> list[str]:
    """Return the commands that name no stack. `--guided` asks for its name."""
    named = ("--config-env", "--stack-name", "--guided")
    return [each.strip() for each in commands if not any(option in each for option in named)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_of_a_page_names_its_stack(page: Path) -> None:
    assert nameless(shown(page)) == ["sam deploy"] * FIRST.get(name(page), 0)


def test_the_first_deployment_is_in_its_section() -> None:
    assert re.findall(r"^\$ sam deploy$", section("Deploy for the first time"), re.MULTILINE) == [
        "$ sam deploy"
    ]


@pytest.mark.parametrize("page", ["docs/deployment.md", "README.md"])
def test_existing_tables_get_a_stack_of_their_own(page: str) -> None:
    own = [each for each in shown(ROOT / page) if "SourceStreamArn=" in each]

    assert [each for each in own if re.search(r"--stack-name ddbreplica( |$)", each)] == []


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_command_in_a_template_names_its_stack(template: str) -> None:
    assert nameless(iter(COMMAND.findall((ROOT / template).read_text()))) == []


@pytest.mark.parametrize("code", ["src", "cli"])
def test_every_hint_of_the_commands_names_the_stack(code: str) -> None:
    assert nameless(hints(code)) == []


def hints(code: str) -> Iterator[str]:
    for path in sorted((ROOT / code).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from COMMAND.findall(node.value)


def test_what_names_no_stack_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`sam deploy` and `sam deploy --resolve-s3`\n```console\n$ sam build && sam deploy  # at first\n"
        "$ sam delete --config-env a\n$ sam deploy --parameter-overrides \\\n    A=b\n```\n"
    )

    assert nameless(shown(page)) == [
        "sam deploy",
        "sam deploy --parameter-overrides      A=b",
        "sam deploy --resolve-s3",
    ]
