"""What the documents tell an operator to run exists, and every alarm leads somewhere."""

import re
import shlex
from pathlib import Path

import click
import pytest

from ddbreplica.aws.clock import UNKNOWN_HOLD_SECONDS
from ddbreplica_cli.app import main
from tests.support.commands import command_of
from tests.support.modules import ROOT

RUNBOOK = ROOT / "docs" / "runbook.md"
TEMPLATE = ROOT / "template.yaml"
DEMO = ROOT / "docs" / "maintainers" / "demo.md"
GUIDE = ROOT / "docs" / "deployment.md"
DELETION = ROOT / "docs" / "deletion.md"
LARGE_TABLES = ROOT / "docs" / "large-tables.md"
PLACES = [RUNBOOK, GUIDE, DELETION, LARGE_TABLES, ROOT / "README.md", TEMPLATE]

# On a prompt's line to its end, and otherwise between backticks, even across a line's end.
SAID = re.compile(r"^ *\$ (ddbreplica .+)$|`(ddbreplica\s[^`]+)`", re.MULTILINE)


def commands(path: Path) -> list[str]:
    """Every command line of ours in a document, without comments."""
    text = path.read_text().replace("\\\n", " ")
    return [" ".join((line or quoted).split()) for line, quoted in SAID.findall(text)]


def options_of(command: click.Command) -> set[str]:
    return {spelling for option in command.params for spelling in option.opts}


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.name)
def test_commands_and_options_that_are_named_exist(path: Path) -> None:
    named = commands(path)

    assert named
    for line in named:
        _, *rest = shlex.split(line, comments=True)
        known = options_of(command_of(rest))
        assert {word for word in rest if word.startswith("-")} <= known, line


def test_every_command_for_trouble_is_in_the_runbook() -> None:
    named = {line.split()[1] for line in commands(RUNBOOK)}

    assert named >= main.commands.keys() - {"load", "transform"}


def test_every_alarm_has_its_place_in_the_runbook() -> None:
    alarms = re.findall(r"^  (\w+)Alarm:$", TEMPLATE.read_text(), re.MULTILINE)
    table = RUNBOOK.read_text().partition("\n### Alarms\n")[2].partition("\n#")[0]
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*?\| \[", table, re.MULTILINE)))

    assert sorted(listed) == sorted(alarms)


@pytest.mark.parametrize("directory", ["src", "cli"])
def test_a_section_that_a_message_names_exists(directory: str) -> None:
    texts = "".join(path.read_text() for path in (ROOT / directory).rglob("*.py"))
    named = re.findall(r'docs/runbook\.md, "([^"]+)"', re.sub(r"[\"']\s+f?[\"']", "", texts))

    assert set(named) <= set(re.findall(r"^#+ (.+)$", RUNBOOK.read_text(), re.MULTILINE))


def help_of(command: str) -> str:
    return " ".join((main.commands[command].help or "").split())


def test_an_in_doubt_write_may_land_as_long_in_the_help_as_on_the_page() -> None:
    minutes = f"{UNKNOWN_HOLD_SECONDS / 60:.0f} minutes"

    assert f"AWS may still carry it out, up to {minutes} later." in " ".join(RUNBOOK.read_text().split())
    assert f"it may still land within {minutes}." in help_of("verify")
    assert f"until such writes can no longer land, up to {minutes}," in help_of("backfill")


@pytest.mark.parametrize("command", ["verify", "status"])
def test_the_help_says_how_the_last_line_begins(command: str) -> None:
    """More may follow: `replicating, as far as can be seen` or `equal (a sample of 0.05)`."""
    assert "The last line begins with `" in help_of(command)


def demo_run(path: Path) -> str:
    """What a document shows of a run of the demo."""
    return path.read_text().partition("\n$ make demo\n")[2].partition("\n```\n")[0]


def test_the_readme_shows_parts_of_the_whole_demo_in_their_order() -> None:
    parts = re.split(r"^ *…\n", demo_run(ROOT / "README.md"), flags=re.MULTILINE)
    in_between = ".*?".join(re.escape(part.strip("\n")) for part in parts)

    assert len(parts) > 1
    assert re.search(in_between, demo_run(DEMO), re.DOTALL)
