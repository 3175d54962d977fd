"""text: values are shown so that no character of them controls the terminal."""

import json
import sys
from unicodedata import category

import pytest

from ddbreplica.records.text import (
    bare,
    duration,
    encodable,
    escaped,
    identity_text,
    lines,
    one_line,
    printable,
)
from tests.support.modules import ENGINE, TERMINAL, modules_of

EVERY = [chr(number) for number in range(sys.maxunicode + 1)]
HIDDEN = [each for each in EVERY if category(each) in ("Cc", "Cf", "Zl", "Zp", "Cs")]


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u2066"])
def test_characters_that_control_a_terminal_are_escaped(character: str) -> None:
    shown = printable({"S": f"a{character}b"})

    assert shown == f'{{"S": "a\\u{ord(character):04x}b"}}'
    assert json.loads(shown) == {"S": f"a{character}b"}


def test_every_character_of_these_categories_is_escaped_and_no_other_one() -> None:
    assert {each for each in EVERY if escaped(each) != each} == set(HIDDEN) - {"\n", "\t"}
    assert {each for each in EVERY if one_line(each) != each} == set(HIDDEN)


def test_a_json_document_has_none_of_them_and_stays_the_same() -> None:
    shown = printable(HIDDEN)

    assert not set(shown) & set(HIDDEN)
    assert json.loads(shown) == HIDDEN


def test_a_lone_surrogate_is_shown() -> None:
    assert printable({"S": "\ud800"}) == '{"S": "\\ud800"}'
    assert one_line("\udc80") == "\\udc80"


def test_a_character_beyond_the_basic_plane_is_escaped_as_in_json() -> None:
    assert one_line("\U000e0001") == "\\udb40\\udc01"


def test_a_text_is_escaped_once() -> None:
    text = one_line("a\x1b\n\u202e\udc80")

    assert text == "a\\u001b\\n\\u202e\\udc80"
    assert one_line(text) == escaped(text) == text


def test_a_line_break_of_a_value_does_not_break_the_line() -> None:
    assert lines(["verdict\nError: forged", "", "a\tb"]) == "verdict\\nError: forged\n\na\\tb"


def test_letters_stay_as_they_are() -> None:
    assert printable({"S": "blåbær 蓝莓"}) == '{"S": "blåbær 蓝莓"}'


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "bl\\u00e5 \\u84dd \\ud83c\\udf53"),
        ("latin-1", "blå \\u84dd \\ud83c\\udf53"),
        ("utf-8", "blå 蓝 🍓"),
    ],
)
def test_characters_that_an_encoding_does_not_have_are_escaped(encoding: str, shown: str) -> None:
    assert encodable("blå 蓝 🍓", encoding) == shown
    assert json.loads(f'"{shown}"') == "blå 蓝 🍓"


def test_a_text_alone_has_no_quotes() -> None:
    assert bare("s3://a/\x1b[2J\n") == "s3://a/\\u001b[2J\\n"


def test_no_other_module_prints_readable_json() -> None:
    modules = [*modules_of(ENGINE), *modules_of(TERMINAL)]

    assert [path.name for path in modules if "ensure_ascii" in path.read_text()] == ["text.py"]


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        ("orders of 2026-11-29 23:03:36+00:00", "orders, created at 2026-11-29 23:03:36 UTC"),
        ("a of b of 2026-11-29 23:03:36.358000+00:00", "a of b, created at 2026-11-29 23:03:36 UTC"),
        ("2 of 3", "2 of 3"),
        ("all", "all"),
    ],
)
def test_the_identity_of_a_table_shows_when_it_was_created(identity: str, text: str) -> None:
    assert identity_text(identity) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.4 s"),
        (119, "119.0 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (21_960, "6.1 h"),
        (172_799, "48.0 h"),
        (172_800, "2 days"),
        (34_560_000, "400 days"),
    ],
)
def test_a_duration_has_one_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text
