"""transform: what each rule makes of an item, in which order, and which values it refuses."""

import copy
import hashlib
import hmac
import json
from typing import Any

import pytest

from ddbreplica.errors import TransformError
from ddbreplica.transform.parse import parse
from ddbreplica.transform.secret import Secret, SecretId
from ddbreplica.transform.transform import Transform, UntransformableError

SECRET = Secret(SecretId("arn", "1"), b"secret")
PK = {"S": "k"}


def applied(item: Any, *, key: tuple[str, ...] = ("PK",), **members: Any) -> Any:
    return Transform(parse(json.dumps(members)), key=key, hash_with=SECRET.hash).apply(item)


def hashed(message: str) -> dict[str, str]:
    return {"S": hmac.new(b"secret", message.encode(), hashlib.sha256).hexdigest()}


def test_without_rules_an_item_is_itself() -> None:
    item = {"PK": PK, "a": {"L": [{"N": "1.0"}]}}

    assert applied(item) == item


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"S": ""}, '{"S":""}'),
        ({"S": "naïve"}, '{"S":"na\\u00efve"}'),
        ({"N": "1.0"}, '{"N":"1"}'),
        ({"N": "1E+2"}, '{"N":"100"}'),
        ({"N": "-0"}, '{"N":"0"}'),
        ({"B": "AP8="}, '{"B":"AP8="}'),
        ({"B": "AP9="}, '{"B":"AP8="}'),
    ],
)
def test_a_hash_takes_the_place_of_its_value(value: Any, message: str) -> None:
    assert applied({"PK": PK, "a": value, "b": value}, hash=["a", "absent"]) == {
        "PK": PK,
        "a": hashed(message),
        "b": value,
    }


def test_a_concat_has_texts_numbers_and_hashes() -> None:
    item = {"PK": PK, "tenant": {"S": "t"}, "year": {"N": "2026.0"}, "email": {"S": "e"}}
    parts = ["tenant#", {"attribute": "tenant"}, "#", {"attribute": "year"}, "#", {"attribute": "email"}]

    made = applied(item, hash=["email"], concat={"GSI": parts}, drop=["tenant", "year"])

    email = hashed('{"S":"e"}')
    assert made == {"PK": PK, "email": email, "GSI": {"S": f"tenant#t#2026#{email['S']}"}}


def test_a_concat_reads_key_attributes_and_attributes_that_are_not_kept() -> None:
    made = applied(
        {"PK": PK, "a": {"S": "x"}}, keep=[], concat={"c": [{"attribute": "PK"}, {"attribute": "a"}]}
    )

    assert made == {"PK": PK, "c": {"S": "kx"}}


@pytest.mark.parametrize("absent", [{}, {"a": {"NULL": True}}])
@pytest.mark.parametrize("other", [{"S": "x"}, {"BOOL": True}])
def test_a_concat_is_absent_where_a_part_is_absent_or_null(absent: Any, other: Any) -> None:
    """Then nothing is made of the other parts either, whatever their types and their order."""
    parts = [{"attribute": "other"}, {"attribute": "a"}]
    item = {"PK": PK, "other": other, "c": {"S": "the source's own"}, **absent}

    assert applied(item, concat={"c": parts, "d": [*reversed(parts)]}) == {
        "PK": PK,
        "other": other,
        **absent,
    }


def test_a_concat_never_reads_what_a_concat_a_set_or_a_rename_makes() -> None:
    item = {"PK": PK, "a": {"S": "a"}, "b": {"S": "b"}}

    made = applied(
        item,
        concat={
            "a": ["1", {"attribute": "b"}],
            "c": [{"attribute": "a"}, {"attribute": "b"}, {"attribute": "a"}],
        },
        set={"b": {"S": "constant"}},
    )

    assert made == {"PK": PK, "a": {"S": "1b"}, "b": {"S": "constant"}, "c": {"S": "aba"}}


def test_keep_and_drop_choose_attributes_of_the_source() -> None:
    item = {"PK": PK, "SK": {"N": "1"}, "a": {"S": "a"}, "b": {"S": "b"}}

    assert applied(item, key=("PK", "SK"), keep=["a"]) == {"PK": PK, "SK": {"N": "1"}, "a": {"S": "a"}}
    assert applied(item, key=("PK", "SK"), drop=["a"]) == {"PK": PK, "SK": {"N": "1"}, "b": {"S": "b"}}
    assert applied(item, key=("PK", "SK"), keep=[]) == {"PK": PK, "SK": {"N": "1"}}


def test_renames_are_simultaneous() -> None:
    item = {"PK": PK, "a": {"S": "a"}, "b": {"S": "b"}, "c": {"S": "c"}}

    assert applied(item, rename={"a": "b", "b": "a", "c": "d"}) == {
        "PK": PK,
        "a": {"S": "b"},
        "b": {"S": "a"},
        "d": {"S": "c"},
    }


@pytest.mark.parametrize("removed", [{}, {"keep": ["old", "target"]}, {"drop": ["x"]}])
@pytest.mark.parametrize(
    "rule", [{"rename": {"old": "target"}}, {"concat": {"target": [{"attribute": "old"}]}}]
)
def test_the_source_s_own_attribute_under_a_target_s_name_is_gone_in_every_item(
    rule: Any, removed: Any
) -> None:
    assert applied({"PK": PK, "target": {"S": "own"}}, **rule, **removed) == {"PK": PK}


@pytest.mark.parametrize("removed", [{}, {"keep": ["a"]}])
def test_an_attribute_that_is_renamed_away_makes_room_for_a_constant(removed: Any) -> None:
    item = {"PK": PK, "a": {"S": "a"}}

    assert applied(item, rename={"a": "b"}, set={"a": {"S": "x"}}, **removed) == {
        "PK": PK,
        "a": {"S": "x"},
        "b": {"S": "a"},
    }


def test_what_is_only_moved_stays_the_same_object() -> None:
    value: Any = {"N": "1.00"}
    item = {"PK": PK, "a": value}
    before = copy.deepcopy(item)

    made = applied(item, rename={"a": "b"}, hash=["c"])

    assert made["b"] is value
    assert item == before


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ({"BOOL": True}, "BOOL"),
        ({"SS": ["canary"]}, "SS"),
        ({"NS": ["666"]}, "NS"),
        ({"BS": ["canary=="]}, "BS"),
        ({"L": [{"S": "canary"}]}, "L"),
        ({"M": {"canary": {"S": "canary"}}}, "M"),
        ({"canary": "canary"}, "unknown"),
        ({"S": "canary", "N": "666"}, "S"),
        ({}, "unknown"),
        ("canary", "unknown"),
        ("S", "unknown"),
        (["NULL"], "unknown"),
        (666, "unknown"),
    ],
)
@pytest.mark.parametrize("rule", ["hash", "concat"])
def test_a_value_of_another_type_is_refused_without_the_value(value: Any, tag: str, rule: str) -> None:
    rules = {"hash": ["a"]} if rule == "hash" else {"concat": {"c": ["x", {"attribute": "a"}]}}
    takes = "S, N, B" if rule == "hash" else "S, N"

    with pytest.raises(UntransformableError) as refused:
        applied({"PK": PK, "a": value}, **rules)

    assert str(refused.value) == f"attribute 'a' has type {tag}; {rule} takes {takes}"


def test_a_null_is_not_hashed_and_a_binary_is_not_concatenated() -> None:
    with pytest.raises(UntransformableError, match=r"^attribute 'a' has type NULL; hash takes S, N, B$"):
        applied({"PK": PK, "a": {"NULL": True}}, hash=["a"])
    with pytest.raises(UntransformableError, match=r"^attribute 'a' has type B; concat takes S, N$"):
        applied({"PK": PK, "a": {"B": "AP8="}}, concat={"c": [{"attribute": "a"}]})


@pytest.mark.parametrize(
    "value", [{"S": 666}, {"N": "canary"}, {"N": 666}, {"N": "1E666"}, {"B": "canary"}, {"B": 666}]
)
def test_a_value_that_is_not_of_its_type_is_refused_without_the_value(value: Any) -> None:
    (tag,) = value

    with pytest.raises(UntransformableError) as refused:
        applied({"PK": PK, "a": value}, hash=["a"])

    assert str(refused.value) == f"attribute 'a' is not valid for its type {tag}"
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_hash_without_a_secret_is_refused() -> None:
    with pytest.raises(TransformError) as refused:
        Transform(parse('{"hash": ["a"]}'), key=["PK"])

    assert refused.value.fact == 'The transform has a "hash" without a secret and its version.'
    assert refused.value.hint == 'Allowed: "hash" with the version of a secret.'
    assert Transform(parse('{"hash": []}'), key=["PK"]).apply({"PK": PK}) == {"PK": PK}


def test_rules_that_change_a_key_are_refused() -> None:
    with pytest.raises(TransformError, match='hashes the key attribute "PK"'):
        Transform(parse('{"hash": ["PK"]}'), key=["PK"], hash_with=SECRET.hash)
