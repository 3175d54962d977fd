"""compare: which items are the same, and in which attributes two items differ."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbreplica.records.compare import (
    AttributeDifference,
    canonical,
    canonical_value,
    differences,
    fingerprint,
    number,
    same,
)
from ddbreplica.records.size import size
from tests.support.spellings import items, respelt_item

SMALLEST = "0." + "0" * 129 + "1"
LARGEST = "9" * 38 + "0" * 88

THE_SAME = [
    ({"N": "1"}, {"N": "1.0"}),
    ({"N": "100"}, {"N": "1E+2"}),
    ({"N": "0"}, {"N": "-0.00"}),
    ({"N": "-7"}, {"N": "-7.000"}),
    ({"N": "1" + "0" * 125}, {"N": "1E125"}),
    ({"N": LARGEST}, {"N": "9." + "9" * 37 + "E+125"}),
    ({"N": SMALLEST}, {"N": "1E-130"}),
    ({"B": "AP8="}, {"B": "AP9="}),
    ({"SS": ["a", "b"]}, {"SS": ["b", "a"]}),
    ({"NS": ["1", "20"]}, {"NS": ["2E1", "1.0"]}),
    ({"BS": ["AA==", "/w=="]}, {"BS": ["/w==", "AA=="]}),
    ({"M": {"x": {"N": "1"}, "y": {"NULL": True}}}, {"M": {"y": {"NULL": True}, "x": {"N": "1.0"}}}),
    ({"L": [{"M": {"s": {"SS": ["a", "b"]}}}]}, {"L": [{"M": {"s": {"SS": ["b", "a"]}}}]}),
]

NOT_THE_SAME = [
    ({"S": "1"}, {"N": "1"}),
    ({"S": "a"}, {"S": "a "}),
    ({"S": "é"}, {"S": "e\u0301"}),
    ({"S": ""}, {"NULL": True}),
    ({"S": "YQ=="}, {"B": "YQ=="}),
    ({"B": "YQ=="}, {"B": "YQA="}),
    ({"B": ""}, {"S": ""}),
    ({"BOOL": True}, {"BOOL": False}),
    ({"BOOL": True}, {"NULL": True}),
    ({"N": "1"}, {"N": "-1"}),
    ({"N": "1" * 38}, {"N": "1" * 37 + "2"}),
    ({"N": LARGEST}, {"N": "9" * 37 + "8" + "0" * 88}),
    ({"N": "0.1"}, {"N": "0.1000000000000000055511151231257827021"}),
    ({"N": "9007199254740993"}, {"N": "9007199254740992"}),
    ({"N": SMALLEST}, {"N": "2E-130"}),
    ({"SS": ["a"]}, {"SS": ["a", "b"]}),
    ({"SS": ["1"]}, {"NS": ["1"]}),
    ({"SS": ["a"]}, {"L": [{"S": "a"}]}),
    ({"NS": ["1"]}, {"NS": ["1", "2"]}),
    ({"BS": ["YQ=="]}, {"BS": ["Yg=="]}),
    ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}),
    ({"L": []}, {"M": {}}),
    ({"M": {"x": {"N": "1"}}}, {"M": {}}),
    ({"L": [{"M": {"deep": {"N": "1"}}}]}, {"L": [{"M": {"deep": {"S": "1"}}}]}),
]


@pytest.mark.parametrize(("one", "other"), THE_SAME)
def test_different_forms_of_one_value_are_the_same(one: Any, other: Any) -> None:
    assert same({"a": one}, {"a": other})
    assert fingerprint({"a": one}) == fingerprint({"a": other})


@pytest.mark.parametrize(("one", "other"), NOT_THE_SAME)
def test_different_values_differ(one: Any, other: Any) -> None:
    assert not same({"a": one}, {"a": other})
    assert fingerprint({"a": one}) != fingerprint({"a": other})


def test_attribute_order_does_not_count() -> None:
    one = {"a": {"S": "1"}, "b": {"N": "2"}}
    other = {"b": {"N": "2.0"}, "a": {"S": "1"}}

    assert same(one, other)
    assert fingerprint(one) == fingerprint(other)


def test_an_absent_attribute_differs_from_null() -> None:
    assert not same({"a": {"S": "1"}}, {"a": {"S": "1"}, "b": {"NULL": True}})


def test_an_absent_item_is_the_same_only_as_an_absent_item() -> None:
    assert same(None, None)
    assert not same(None, {})
    assert fingerprint(None) != fingerprint({})


def test_the_canonical_form_is_dynamodb_json() -> None:
    item: Any = {
        "b": {"B": "AP9="},
        "n": {"N": "0120.50"},
        "zero": {"N": "-0E5"},
        "ns": {"NS": ["3", "1e1"]},
        "l": {"L": [{"BS": ["Yg==", "YQ=="]}, {"M": {"x": {"NULL": True}}}]},
    }

    assert canonical(item) == {
        "b": {"B": "AP8="},
        "n": {"N": "120.5"},
        "zero": {"N": "0"},
        "ns": {"NS": ["10", "3"]},
        "l": {"L": [{"BS": ["YQ==", "Yg=="]}, {"M": {"x": {"NULL": True}}}]},
    }


def test_differences_list_each_attribute_once() -> None:
    source: Any = {
        "same": {"N": "1"},
        "changed": {"S": "new"},
        "typed": {"N": "1"},
        "only_here": {"B": "eA=="},
    }
    replica: Any = {
        "same": {"N": "1.0"},
        "changed": {"S": "old"},
        "typed": {"S": "1"},
        "only_there": {"NULL": True},
    }

    assert differences(source, replica) == (
        AttributeDifference("changed", {"S": "new"}, {"S": "old"}),
        AttributeDifference("only_here", {"B": "eA=="}, None),
        AttributeDifference("only_there", None, {"NULL": True}),
        AttributeDifference("typed", {"N": "1"}, {"S": "1"}),
    )


@given(items, st.randoms(use_true_random=False))
def test_an_item_in_any_other_form_is_the_same_item(item: Any, choose: random.Random) -> None:
    other = respelt_item(item, choose)

    assert same(item, other)
    assert same(other, item)
    assert fingerprint(item) == fingerprint(other)
    assert differences(item, other) == ()


@given(items, items)
def test_items_that_are_not_the_same_have_a_difference(one: Any, other: Any) -> None:
    assert same(one, other) == (differences(one, other) == ()) == (fingerprint(one) == fingerprint(other))


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(st.sampled_from(["S", "N", "B", "SS", "NS", "BS", "L", "M"]), inner)
            ),
        ),
    )
)
def test_a_value_that_is_not_of_dynamodb_is_its_own_canonical_form(garbage: Any) -> None:
    """No table contains such a value, but a response may."""
    assert same(garbage, garbage)
    assert differences(garbage, garbage) == ()
    assert not same(garbage, {**garbage, "another": {"S": "a"}})
    assert fingerprint(garbage) == fingerprint(garbage)
    assert size(garbage) >= 0


@pytest.mark.parametrize(
    "text", ["", "x", "1_0", " 1", "１", "NaN", "Infinity", "1e", "1e12345", "1E131", "-1E-131", "--1"]
)
def test_what_is_not_a_number_of_dynamodb_has_no_canonical_form(text: str) -> None:
    """Written out, a number with a large exponent would fill the memory."""
    with pytest.raises(ValueError, match=r"^not a (decimal number|number of DynamoDB)$"):
        number(text)
    assert canonical_value({"N": text}) == {"N": text}


@pytest.mark.parametrize("text", ["1E130", "-1E-130", "+.5", "5."])
def test_a_number_of_its_magnitude_is_written_out(text: str) -> None:
    assert "E" not in number(text)
    assert Decimal(number(text)) == Decimal(text)
