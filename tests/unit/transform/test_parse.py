"""parse: the rules of each member, and the refusal of everything else with what is allowed."""

import json

import pytest

from ddbreplica.errors import SettingsError, TransformError
from ddbreplica.transform.parse import MAX_BYTES, document_of, parse
from ddbreplica.transform.rules import Attribute, Rules

NAMES = "Allowed: names of top-level attributes, none of them empty or twice."
OBJECT_OF_NAMES = "Allowed: an object with names of top-level attributes, none of them empty or twice."
PARTS = 'Allowed: a list with one part or more, each a text or {"attribute": "NAME"}.'
OBJECT = "Allowed: a JSON object."
CONSTANT = 'Allowed: a value in DynamoDB JSON, such as {"S": "text"}.'


def test_each_member_is_read() -> None:
    text = """{
        "hash": ["email", "phone"],
        "concat": {"GSI_1_PK": ["tenant#", {"attribute": "tenant"}, ""]},
        "set": {"copy": {"BOOL": true}},
        "keep": ["email", "phone", "old"],
        "rename": {"old": "new"}
    }"""

    assert parse(text) == Rules(
        hashed=frozenset({"email", "phone"}),
        concat={"GSI_1_PK": ("tenant#", Attribute("tenant"), "")},
        constants={"copy": {"BOOL": True}},
        keep=frozenset({"email", "phone", "old"}),
        rename={"old": "new"},
    )
    assert parse('{"drop": ["a"]}') == Rules(drop=frozenset({"a"}))


def test_an_empty_object_changes_nothing_and_an_empty_keep_removes_everything() -> None:
    assert parse("{}") == Rules()
    assert parse('{"keep": []}') == Rules(keep=frozenset())


def test_rules_of_the_largest_size_are_read() -> None:
    name = "n" * (MAX_BYTES - len('{"drop": [""]}'))

    assert parse(f'{{"drop": ["{name}"]}}') == Rules(drop=frozenset({name}))


def test_a_document_may_be_longer_than_the_rules() -> None:
    assert document_of("{}" + " " * MAX_BYTES) == {}


def test_a_document_that_would_exhaust_the_stack_is_refused() -> None:
    with pytest.raises(TransformError) as refused:
        document_of("[" * 100_000 + "]" * 100_000)

    assert refused.value.fact == "The transform is nested too deeply."
    assert refused.value.hint == "Allowed: values with at most 32 levels."


TOO_LONG = json.dumps({"drop": ["n" * MAX_BYTES]})


@pytest.mark.parametrize(
    ("text", "fact", "hint"),
    [
        (
            TOO_LONG,
            f"has {len(TOO_LONG):,} bytes",
            "Allowed: at most 1,500 bytes of JSON in UTF-8.",
        ),
        (
            f'{{"drop": ["{"é" * 744}"]}}',
            "has 1,502 bytes",
            "Allowed: at most 1,500 bytes of JSON in UTF-8.",
        ),
        ("", "is not JSON (Expecting value: line 1 column 1 (char 0))", OBJECT),
        (
            "{'drop': []}",
            "is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))",
            OBJECT,
        ),
        ('{"set": NaN}', "is not JSON (NaN is not a value of JSON)", OBJECT),
        ("[]", "is not a JSON object but a list", OBJECT),
        ("null", "is not a JSON object but a NoneType", OBJECT),
        (
            '{"drop": ["\\ud800"]}',
            "contains half of a surrogate pair",
            "Allowed: text that UTF-8 can encode.",
        ),
        (
            '{"rename": {"\\udc00": "a"}}',
            "contains half of a surrogate pair",
            "Allowed: text that UTF-8 can encode.",
        ),
        (
            '{"drop": ["a"], "drop": []}',
            'has the name "drop" twice in one object',
            "Allowed: each name once.",
        ),
        (
            '{"set": {"a": {"S": "1"}, "b": {"S": "1"}, "a": {"S": "2"}}}',
            'has the name "a" twice in one object',
            "Allowed: each name once.",
        ),
        (
            '{"mask": [], "lower": []}',
            'has an unknown member "lower"',
            "Allowed: the members hash, concat, set, keep, drop, rename.",
        ),
        ('{"keep": [], "drop": []}', 'has both "keep" and "drop"', "Allowed: one of them."),
        *(
            (f'{{"{member}": {names}}}', f'has in "{member}" something else than a list of names', NAMES)
            for member in ("hash", "keep", "drop")
            for names in ('"a"', '{"a": 1}', "[1]", '[""]', '["a", "a"]', "null")
        ),
        *(
            (f'{{"{member}": {rules}}}', f'has in "{member}" something else than an object', OBJECT_OF_NAMES)
            for member in ("concat", "set", "rename")
            for rules in ('"a"', '["a"]', '{"": "a"}', "null")
        ),
        *(
            (
                f'{{"concat": {{"to": {parts}}}}}',
                'has in "concat" for "to" something else than a list of texts and attributes',
                PARTS,
            )
            for parts in (
                '"a"',
                "[]",
                "[1]",
                "[{}]",
                '[{"attribute": ""}]',
                '[{"attribute": 1}]',
                '[{"name": "a"}]',
                '[{"attribute": "a", "more": 1}]',
                '["a", null]',
            )
        ),
        (
            '{"set": {"to": {"SS": []}}}',
            'has in "set" for "to" a value that DynamoDB would refuse: a set is a list with one member or more',
            CONSTANT,
        ),
        *(
            (f'{{"rename": {{"old": {name}}}}}', 'renames "old" to something else than a name', NAMES)
            for name in ('""', "1", '["a"]', "null")
        ),
    ],
)
def test_everything_else_is_refused_with_what_is_allowed(text: str, fact: str, hint: str) -> None:
    with pytest.raises(TransformError) as refused:
        parse(text)

    assert (refused.value.fact, refused.value.hint) == (f"The transform {fact}.", hint)
    assert str(refused.value) == f"The transform {fact}. {hint}"
    assert isinstance(refused.value, SettingsError)
