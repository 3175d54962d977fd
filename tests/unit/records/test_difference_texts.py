"""difference_texts: two values that differ are shown as two texts that differ, however long the values are."""

from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ddbreplica.records.compare import canonical
from ddbreplica.records.text import difference_texts
from tests.support.strategies import attribute_value

LONG = "x" * 200


@pytest.mark.parametrize(
    ("source", "replica", "shown"),
    [
        ({"S": "a"}, {"S": "b"}, ('{"S": "a"}', '{"S": "b"}')),
        ({"S": "a"}, None, ('{"S": "a"}', "(absent)")),
        (
            {"S": LONG + "a"},
            {"S": LONG + "b"},
            (f'…{"x" * 38}a"}} (210 characters)', f'…{"x" * 38}b"}} (210 characters)'),
        ),
        (
            {"S": f"{LONG}a{LONG}"},
            {"S": f"{LONG}{LONG}"},
            (
                f"…{'x' * 13}a{'x' * 27}… (410 characters)",
                f"…{'x' * 41}… (409 characters)",
            ),
        ),
    ],
)
def test_examples(source: Any, replica: Any, shown: tuple[str, str]) -> None:
    assert difference_texts(source, replica, longest=60) == shown


def test_the_first_difference_is_within_the_text_of_a_nested_value() -> None:
    """The difference is in the 40th member of a set, within a list within a map."""
    members = [f"member{number:03}" for number in range(60)]
    source = {"M": {"list": {"L": [{"SS": members}, {"N": "1"}]}}}
    replica = {"M": {"list": {"L": [{"SS": [*members[:39], "OTHER", *members[40:]]}, {"N": "1"}]}}}

    for text, word in zip(difference_texts(source, replica, longest=60), ("member039", "OTHER"), strict=True):
        assert word in text


@pytest.mark.parametrize(
    ("source", "replica", "shown"),
    [
        ("é", "e\u0301", ('{"S": "\\u00e9"}', '{"S": "e\\u0301"}')),
        ("a b", "a\u00a0b", ('{"S": "a b"}', '{"S": "a\\u00a0b"}')),
        ("\x7fé", "\x7fe\u0301", ('{"S": "\\u007f\\u00e9"}', '{"S": "\\u007fe\\u0301"}')),
        (
            LONG + "é",
            LONG + "e\u0301",
            (f'…{"x" * 32}\\u00e9"}} (215 characters)', f'…{"x" * 32}e\\u0301"}} (216 characters)'),
        ),
        ("é", "è", ('{"S": "é"}', '{"S": "è"}')),
    ],
)
def test_values_that_look_the_same_are_shown_in_ascii(
    source: str, replica: str, shown: tuple[str, str]
) -> None:
    assert difference_texts({"S": source}, {"S": replica}, longest=60) == shown


def test_maps_that_look_the_same_are_shown_in_the_order_of_their_keys() -> None:
    source, replica = (
        {"M": {"b": {"S": "é"}, "a": {"N": "1"}}},
        {"M": {"a": {"N": "1"}, "b": {"S": "e\u0301"}}},
    )

    assert difference_texts(source, replica, longest=60) == (
        '{"M": {"a": {"N": "1"}, "b": {"S": "\\u00e9"}}}',
        '{"M": {"a": {"N": "1"}, "b": {"S": "e\\u0301"}}}',
    )


def test_the_order_of_a_maps_keys_is_no_difference() -> None:
    first, second = {"a": {"S": LONG}, "z": {"S": "1"}}, {"z": {"S": "2"}, "a": {"S": LONG}}

    one, other = difference_texts({"M": first}, {"M": second}, longest=60)

    assert one.endswith('xx"}, "z": {"S": "1"}}} (240 characters)')
    assert other.endswith('xx"}, "z": {"S": "2"}}} (240 characters)')


def within(value: dict[str, Any], path: str) -> dict[str, Any]:
    """Return a long value that contains the value between texts that are always the same."""
    for step in path:
        value = {"M": {LONG: value}} if step == "M" else {"L": [{"S": LONG}, value, {"S": LONG}]}
    return value


@given(
    attribute_value,
    attribute_value,
    st.text("LM", max_size=4),
    st.integers(60, 120),
)
@example({"S": "…"}, {"S": "x"}, "L", 60)
@example({"SS": ["a", "b"]}, {"SS": ["a", "b", "c"]}, "LM", 60)
@example({"S": "\u202e"}, {"S": "\\u202e"}, "M", 60)
def test_different_values_have_different_texts_within_the_limit(
    source: Any, replica: Any, path: str, longest: int
) -> None:
    pair = canonical({"x": within(source, path)}), canonical({"x": within(replica, path)})
    assume(pair[0] != pair[1])
    one, other = ((item or {})["x"] for item in pair)

    texts = difference_texts(one, other, longest=longest)

    assert texts[0] != texts[1]
    assert max(map(len, texts)) <= longest


@given(st.integers(0, 300).map("é".__mul__), st.text(max_size=90), st.text(max_size=90), st.text(max_size=90))
def test_texts_that_differ_anywhere_have_different_texts_within_the_limit(
    before: str, one: str, other: str, after: str
) -> None:
    assume(one != other)

    texts = difference_texts({"S": before + one + after}, {"S": before + other + after}, longest=60)

    assert texts[0] != texts[1]
    assert max(map(len, texts)) <= 60
