"""conflicts: rules that contradict each other or change a key are refused, with the attribute and what is allowed."""

import json
from typing import Any

import pytest

from ddbreplica.errors import TransformError
from ddbreplica.transform.conflicts import check_key
from ddbreplica.transform.parse import parse

TEXT = {"S": "x"}


def transform(**members: Any) -> str:
    return json.dumps(members)


MADE_TWICE = 'makes the attribute "t" more than once, by "rename", "concat" or "set"'
IN_DROP = 'makes the attribute "t", which is in "drop"'
HASH_REMOVED = 'hashes the attribute "a", which is removed'
RENAME_REMOVED = 'renames the attribute "a", which is removed'
HINTS = {
    MADE_TWICE: "a different name for each attribute that is made",
    IN_DROP: 'only names that are not in "drop"; the source\'s own attribute of such a name is removed anyway',
    HASH_REMOVED: 'in "hash" only attributes that remain; an attribute that is removed needs no hash',
    RENAME_REMOVED: 'in "rename" only attributes that remain',
}


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (transform(rename={"a": "t", "b": "t"}), MADE_TWICE),
        (transform(rename={"a": "t"}, concat={"t": ["x"]}), MADE_TWICE),
        (transform(rename={"a": "t"}, set={"t": TEXT}), MADE_TWICE),
        (transform(concat={"t": ["x"]}, set={"t": TEXT}), MADE_TWICE),
        (transform(rename={"a": "z", "b": "t", "c": "z", "d": "t"}), MADE_TWICE),
        (transform(rename={"a": "t"}, drop=["t"]), IN_DROP),
        (transform(concat={"t": ["x"]}, drop=["t"]), IN_DROP),
        (transform(set={"t": TEXT, "u": TEXT}, drop=["u", "t"]), IN_DROP),
        (transform(hash=["a"], drop=["a"]), HASH_REMOVED),
        (transform(hash=["b", "a"], drop=["b", "a"]), HASH_REMOVED),
        (transform(hash=["a", "b"], keep=["b"]), HASH_REMOVED),
        (transform(rename={"a": "t"}, drop=["a"]), RENAME_REMOVED),
        (transform(rename={"a": "t"}, keep=["t"]), RENAME_REMOVED),
    ],
)
def test_a_contradiction_is_refused(text: str, fact: str) -> None:
    with pytest.raises(TransformError) as refused:
        parse(text)

    assert refused.value.fact == f"The transform {fact}."
    assert refused.value.hint == f"Allowed: {HINTS[fact]}."


@pytest.mark.parametrize(
    "text",
    [
        transform(rename={"a": "b", "b": "a"}),
        transform(rename={"a": "a"}),
        transform(rename={"a": "b"}, set={"a": TEXT}),
        transform(concat={"c": [{"attribute": "dropped"}]}, drop=["dropped"]),
        transform(concat={"c": [{"attribute": "not_kept"}]}, keep=[]),
        transform(hash=["a"], keep=["a"], rename={"a": "b"}),
        transform(hash=["a"], drop=["b"], concat={"a": [{"attribute": "a"}]}),
        transform(set={"a": TEXT}, keep=["a"]),
    ],
)
def test_what_is_no_contradiction_is_accepted(text: str) -> None:
    parse(text)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (transform(hash=["SK"]), 'hashes the key attribute "SK"'),
        (transform(drop=["SK", "PK"]), 'drops the key attribute "PK"'),
        (transform(rename={"PK": "a"}), 'renames the key attribute "PK"'),
        *(
            (text, 'makes the key attribute "SK", by "rename", "concat" or "set"')
            for text in (
                transform(rename={"a": "SK"}),
                transform(concat={"SK": ["x"]}),
                transform(set={"SK": TEXT}),
            )
        ),
    ],
)
def test_a_key_attribute_stays_as_it_is(text: str, fact: str) -> None:
    with pytest.raises(TransformError) as refused:
        check_key(parse(text), ["SK", "PK"])

    assert refused.value.fact == f"The transform {fact}."
    assert refused.value.hint == (
        "Allowed: key attributes (PK, SK) as they are; they may be parts of a concat."
    )


def test_a_key_attribute_may_be_kept_and_read() -> None:
    text = transform(keep=["PK"], concat={"c": [{"attribute": "PK"}]}, hash=[], rename={})

    check_key(parse(text), ["PK"])
