"""printable: what items and objects hold is shown, and does nothing to the terminal that shows it."""

import json
from pathlib import Path

import pytest

import ddbreplica_cli
from ddbreplica_cli.printable import bare, printable

CLI = Path(ddbreplica_cli.__file__).parent


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u2066"])
def test_what_a_terminal_acts_upon_is_escaped(character: str) -> None:
    shown = printable({"S": f"a{character}b"})

    assert shown == f'{{"S": "a\\u{ord(character):04x}b"}}'
    assert json.loads(shown) == {"S": f"a{character}b"}


def test_letters_stay_as_they_are() -> None:
    assert printable({"S": "blåbær 蓝莓"}) == '{"S": "blåbær 蓝莓"}'


def test_a_text_alone_has_no_quotes() -> None:
    assert bare("s3://a/\x1b[2J\n") == "s3://a/\\u001b[2J\\n"


def test_no_other_module_prints_readable_json() -> None:
    assert [path.name for path in CLI.glob("*.py") if "ensure_ascii" in path.read_text()] == ["printable.py"]
