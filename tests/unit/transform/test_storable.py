"""storable: the constants that DynamoDB would store, and the reason for each other."""

from typing import Any

import pytest

from ddbreplica.transform.storable import NotStorableError, check


def nested(levels: int, *, within: str) -> Any:
    value: Any = {within: [] if within == "L" else {}}
    for _ in range(levels - 1):
        value = {within: [value] if within == "L" else {"x": value}}
    return value


@pytest.mark.parametrize(
    "value",
    [
        {"S": ""},
        {"S": "text"},
        {"N": "0"},
        {"N": "-0.0"},
        {"N": "1" * 38},
        {"N": "1" * 38 + "0" * 88},
        {"N": "0." + "0" * 92 + "1" * 38},
        {"N": "-1E-130"},
        {"N": "9E125"},
        {"B": ""},
        {"B": "AP8="},
        {"BOOL": True},
        {"BOOL": False},
        {"NULL": True},
        {"SS": ["a", ""]},
        {"NS": ["1", "-1"]},
        {"BS": ["AA==", "/w=="]},
        {"L": []},
        {"L": [{"S": "a"}, {"M": {"x": {"NULL": True}}}]},
        {"M": {}},
        nested(32, within="L"),
        nested(32, within="M"),
    ],
)
def test_what_dynamodb_stores_is_accepted(value: Any) -> None:
    check(value)


SHAPE = "a value is an object with exactly one type"
TEXT = "a value of type S is a text"
NUMBER = "a value of type N is a decimal number, written as a text"
DIGITS = "a number has at most 38 digits"
RANGE = "a number is at least 1E-130 and less than 1E126"
BASE64 = "a value of type B is base64"
SET = "a set is a list with one member or more"
TWICE = "the members of a set are different"
LIST = "a value of type L is a list of values"
MAP = "a value of type M is an object of values, whose names are not empty"
DEEP = "values are nested at most 32 levels deep"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a", SHAPE),
        ([], SHAPE),
        ({}, SHAPE),
        ({"S": "a", "N": "1"}, SHAPE),
        ({"X": "a"}, "'X' is not a type; the types are S, N, B, BOOL, NULL, SS, NS, BS, L, M"),
        ({"S": 1}, TEXT),
        ({"S": None}, TEXT),
        ({"N": 1}, NUMBER),
        ({"N": ""}, NUMBER),
        ({"N": "one"}, NUMBER),
        ({"N": "NaN"}, NUMBER),
        ({"N": "1" * 39}, DIGITS),
        ({"N": "-0." + "1" * 39}, DIGITS),
        ({"N": "1E126"}, RANGE),
        ({"N": "1E-131"}, NUMBER),
        ({"N": "-1E130"}, RANGE),
        ({"B": 1}, BASE64),
        ({"B": "a"}, BASE64),
        ({"B": "é"}, BASE64),
        ({"B": "AP9="}, BASE64),
        ({"B": "A P8="}, BASE64),
        ({"BOOL": "true"}, "a value of type BOOL is true or false"),
        ({"BOOL": 1}, "a value of type BOOL is true or false"),
        ({"NULL": False}, "a value of type NULL is true"),
        ({"NULL": 1}, "a value of type NULL is true"),
        ({"SS": []}, SET),
        ({"SS": "abc"}, SET),
        ({"SS": ["a", "a"]}, TWICE),
        ({"SS": [1]}, TEXT),
        ({"NS": ["1", "1.0"]}, TWICE),
        ({"NS": [1]}, NUMBER),
        ({"BS": ["AA==", "AA=="]}, TWICE),
        ({"BS": ["A"]}, BASE64),
        ({"L": {}}, LIST),
        ({"L": ["a"]}, SHAPE),
        ({"M": []}, MAP),
        ({"M": {"": {"S": "a"}}}, MAP),
        ({"M": {"x": {"S": 1}}}, TEXT),
        (nested(33, within="L"), DEEP),
        (nested(33, within="M"), DEEP),
    ],
)
def test_what_dynamodb_refuses_is_refused_with_the_reason(value: Any, reason: str) -> None:
    with pytest.raises(NotStorableError) as refused:
        check(value)

    assert str(refused.value) == reason
