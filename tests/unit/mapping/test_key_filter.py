"""Which keys pass a mapping's patterns, also compared with an independent matcher of such patterns."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.events.models import EventPattern

from ddbreplica.errors import TaskError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.records.decode import key_of


def on_keys(keys: Any) -> str:
    return json.dumps({"dynamodb": {"Keys": keys}})


def rules_on_pk(*rules: Any) -> str:
    return on_keys({"PK": {"S": list(rules)}})


def key(**attributes: Any) -> Key:
    return key_of(attributes)


def pk(text: str) -> Key:
    return key(PK={"S": text})


@pytest.mark.parametrize(
    ("rule", "passing", "stopped"),
    [
        ("a", ["a"], ["A", "ab", ""]),
        ("", [""], ["a"]),
        ({"prefix": "a#"}, ["a#", "a#1"], ["a", "b#a#", "A#1"]),
        ({"prefix": ""}, ["", "a"], []),
        ({"suffix": ".x"}, ["a.x", ".x"], ["a.xx", "aax"]),
        ({"anything-but": "a"}, ["b", "", "aa"], ["a"]),
        ({"anything-but": ["a", "b"]}, ["c"], ["a", "b"]),
        ({"anything-but": {"prefix": "a"}}, ["b", ""], ["a", "ab"]),
        ({"anything-but": {"suffix": "a"}}, ["ab"], ["a", "ba"]),
        ({"anything-but": {"equals-ignore-case": "a"}}, ["b"], ["a", "A"]),
        ({"equals-ignore-case": "aB.k"}, ["ab.k", "AB.K"], ["abxk", "ab.k2", "ab.\N{KELVIN SIGN}"]),
        ({"equals-ignore-case": "192.0.2.1"}, ["192.0.2.1"], ["192.0.2.01"]),
        ({"exists": True}, ["", "a"], []),
        ({"exists": False}, [], ["", "a"]),
        ("1.2.3", ["1.2.3"], ["1.2.3.0"]),
        ("12:30", ["12:30"], ["12:31"]),
    ],
)
def test_some_texts_pass_a_rule_and_others_do_not(rule: Any, passing: list[str], stopped: list[str]) -> None:
    key_filter = KeyFilter.of([rules_on_pk(rule)])

    assert [text for text in passing + stopped if key_filter.passes(pk(text))] == passing


def test_without_a_pattern_every_key_passes() -> None:
    assert KeyFilter.of([]).passes(pk("a"))


def test_one_of_several_rules_is_enough() -> None:
    key_filter = KeyFilter.of([rules_on_pk("a", {"prefix": "b"})])

    assert [text for text in ("a", "bb", "c") if key_filter.passes(pk(text))] == ["a", "bb"]


def test_one_of_several_patterns_is_enough() -> None:
    key_filter = KeyFilter.of([rules_on_pk("a"), rules_on_pk("b")])

    assert [text for text in ("a", "b", "c") if key_filter.passes(pk(text))] == ["a", "b"]


def test_every_attribute_of_the_pattern_has_to_pass() -> None:
    key_filter = KeyFilter.of([on_keys({"PK": {"S": ["a"]}, "SK": {"S": ["b"]}})])

    assert key_filter.passes(key(PK={"S": "a"}, SK={"S": "b"}))
    assert not key_filter.passes(key(PK={"S": "a"}, SK={"S": "x"}))
    assert not key_filter.passes(key(PK={"S": "x"}, SK={"S": "b"}))


@pytest.mark.parametrize(
    "rule", ["a", {"prefix": ""}, {"anything-but": "b"}, {"anything-but": {"prefix": "b"}}, {"exists": True}]
)
def test_an_attribute_that_the_key_lacks_does_not_pass(rule: Any) -> None:
    key_filter = KeyFilter.of([on_keys({"PK": {"N": [rule]}})])

    assert not key_filter.passes(pk("a"))


def test_an_attribute_that_the_key_lacks_does_not_exist() -> None:
    assert KeyFilter.of([on_keys({"PK": {"N": [{"exists": False}]}})]).passes(pk("a"))


@pytest.mark.parametrize(
    ("sent", "streamed"),
    [("1.0", "1"), ("1E1", "10"), ("100", "100"), ("-0", "0"), ("1e-3", "0.001"), ("-2.50E+2", "-250")],
)
def test_a_number_is_the_text_that_the_stream_has_for_it(sent: str, streamed: str) -> None:
    key_filter = KeyFilter.of([on_keys({"PK": {"N": [streamed]}})])

    assert key_filter.passes(key(PK={"N": sent}))


def test_a_binary_is_its_base64() -> None:
    key_filter = KeyFilter.of([on_keys({"PK": {"B": [{"prefix": "AA"}]}})])

    assert key_filter.passes(key(PK={"B": "AAA="}))
    assert not key_filter.passes(key(PK={"B": "AQA="}))


@pytest.mark.parametrize(
    "pattern",
    [
        {"dynamodb": {"Keys": {"$or": [{"PK": {"S": ["a"]}}, {"SK": {"S": ["b"]}}]}}},
        {"dynamodb": {"$or": [{"Keys": {"PK": {"S": ["a"]}}}, {"Keys": {"SK": {"S": ["b"]}}}]}},
        {"$or": [{"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}}, {"dynamodb": {"Keys": {"SK": {"S": ["b"]}}}}]},
    ],
)
def test_or_is_supported_at_each_level(pattern: Any) -> None:
    key_filter = KeyFilter.of([json.dumps(pattern)])

    assert key_filter.passes(key(PK={"S": "a"}, SK={"S": "x"}))
    assert key_filter.passes(key(PK={"S": "x"}, SK={"S": "b"}))
    assert not key_filter.passes(key(PK={"S": "x"}, SK={"S": "x"}))


def test_members_beside_or_have_to_pass_as_well() -> None:
    choice = [{"SK": {"S": ["b"]}}, {"SK": {"N": [{"exists": True}]}}]
    key_filter = KeyFilter.of([on_keys({"$or": choice, "PK": {"S": ["a"]}})])

    assert key_filter.passes(key(PK={"S": "a"}, SK={"S": "b"}))
    assert key_filter.passes(key(PK={"S": "a"}, SK={"N": "1"}))
    assert not key_filter.passes(key(PK={"S": "x"}, SK={"S": "b"}))


def test_the_patterns_are_kept_as_the_mapping_has_them() -> None:
    assert KeyFilter.of([rules_on_pk("a")]).patterns == ('{"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}}',)


@pytest.mark.hazard(number=15)
@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ({"dynamodb": {"NewImage": {"a": {"S": ["b"]}}}}, "it looks at dynamodb.NewImage"),
        ({"dynamodb": {"OldImage": {"a": {"S": ["b"]}}}}, "it looks at dynamodb.OldImage"),
        ({"eventName": ["INSERT"]}, "it looks at eventName"),
        ({"userIdentity": {"type": ["Service"]}}, "it looks at userIdentity"),
        (
            {"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}, "eventName": ["INSERT"]},
            "it looks at eventName",
        ),
        (
            {"$or": [{"eventName": ["REMOVE"]}, {"dynamodb": {"NewImage": {"a": {"S": ["b"]}}}}]},
            "it looks at eventName",
        ),
        ({"dynamodb": {"Keys": {"PK": {"SS": ["a"]}}}}, "it looks at dynamodb.Keys.PK.SS"),
    ],
)
def test_a_filter_on_anything_but_keys_is_refused(pattern: Any, why: str) -> None:
    with pytest.raises(TaskError) as refused:
        KeyFilter.of([rules_on_pk("a"), json.dumps(pattern)])

    assert refused.value.fact == f"the mapping's filter is not supported: {why}."
    assert refused.value.hint.startswith("filter on dynamodb.Keys only")


@pytest.mark.parametrize(
    "rule",
    [
        5,
        None,
        True,
        ["a"],
        {},
        {"numeric": [">", 5]},
        {"cidr": "10.0.0.0/24"},
        {"wildcard": "a*"},
        {"prefix": 5},
        {"prefix": {"equals-ignore-case": "a"}},
        {"prefix": "a", "suffix": "b"},
        {"suffix": None},
        {"equals-ignore-case": "\N{LATIN SMALL LETTER SHARP S}"},
        {"equals-ignore-case": ["a"]},
        {"exists": "true"},
        {"anything-but": 5},
        {"anything-but": []},
        {"anything-but": ["a", 5]},
        {"anything-but": {}},
        {"anything-but": {"prefix": ""}},
        {"anything-but": {"suffix": ""}},
        {"anything-but": {"wildcard": "a*"}},
        {"anything-but": {"anything-but": "a"}},
        {"anything-but": {"prefix": "a", "suffix": "b"}},
    ],
)
def test_a_rule_that_cannot_match_a_key_is_refused(rule: Any) -> None:
    with pytest.raises(
        TaskError, match="cannot match a key; in a stream record, every key value is a string, even a number"
    ):
        KeyFilter.of([rules_on_pk(rule)])


@pytest.mark.parametrize("text", ["192.0.2.1", "1.2.3.4", "300.1.1.1", "::1", "2001:DB8::1"])
def test_an_exact_text_that_lambda_compares_as_an_address_is_refused(text: str) -> None:
    with pytest.raises(TaskError, match=f"Lambda compares {text} as an IP address"):
        KeyFilter.of([rules_on_pk(text)])


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("{", "{ is not JSON"),
        ("", "is not JSON"),
        ("[]", "a pattern is []"),
        ("{}", "a pattern is {}"),
        ('{"dynamodb": {}}', "dynamodb is {}"),
        ('{"dynamodb": {"Keys": []}}', "dynamodb.Keys is []"),
        ('{"dynamodb": {"Keys": {"PK": ["a"]}}}', 'dynamodb.Keys.PK is ["a"]'),
        ('{"dynamodb": {"Keys": {"PK": {"S": "a"}}}}', "dynamodb.Keys.PK.S has no list of rules"),
        ('{"dynamodb": {"Keys": {"PK": {"S": []}}}}', "dynamodb.Keys.PK.S has no list of rules"),
        ('{"$or": []}', "`$or` in a pattern is not a list of two or more patterns"),
        (
            '{"dynamodb": {"Keys": {"$or": [{"PK": {"S": ["a"]}}]}}}',
            "`$or` in dynamodb.Keys is not a list of two or more patterns",
        ),
        (
            '{"dynamodb": {"$or": {"S": ["a"]}}}',
            "`$or` in dynamodb is not a list of two or more patterns",
        ),
        (
            '{"dynamodb": {"Keys": {"PK": {"S": ["a"]}, "PK": {"S": ["b"]}}}}',
            "one of the names PK, PK occurs twice",
        ),
        (
            '{"dynamodb": {"Keys": {"PK": {"S": ["a"]}, "$or": [{"PK": {"S": ["b"]}}, {"SK": {"S": ["c"]}}]}}}',
            "dynamodb.Keys.PK.S is both inside `$or` and beside it",
        ),
    ],
)
def test_an_invalid_pattern_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(TaskError) as refused:
        KeyFilter.of([pattern])

    assert refused.value.fact == f"the mapping's filter is not supported: {why}."


# Few letters, so that rules and keys meet.
texts = st.text("aAbB1.#", max_size=3)
rules = st.one_of(
    texts,
    st.fixed_dictionaries({"prefix": texts}),
    st.fixed_dictionaries({"suffix": texts}),
    st.fixed_dictionaries({"equals-ignore-case": texts}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"anything-but": st.one_of(texts, st.lists(texts, min_size=1, max_size=3))}),
    st.sampled_from(["prefix", "suffix", "equals-ignore-case"]).flatmap(
        lambda name: st.fixed_dictionaries(
            {"anything-but": st.fixed_dictionaries({name: texts.filter(bool)})}
        )
    ),
)
of_one_type = st.fixed_dictionaries({"S": st.lists(rules, min_size=1, max_size=2)})
partition_rules = st.fixed_dictionaries({"PK": of_one_type})
sort_rules = st.fixed_dictionaries({"SK": st.one_of(of_one_type, st.just({"N": [{"exists": False}]}))})
partition_and_choice = st.tuples(partition_rules, st.lists(sort_rules, min_size=2, max_size=3)).map(
    lambda both: {**both[0], "$or": both[1]}
)
patterns = st.one_of(
    partition_rules,
    sort_rules,
    st.tuples(partition_rules, sort_rules).map(lambda both: {**both[0], **both[1]}),
    st.lists(st.one_of(partition_rules, sort_rules), min_size=2, max_size=3).map(
        lambda choice: {"$or": choice}
    ),
    partition_and_choice,
).map(on_keys)


@given(st.lists(patterns, min_size=1, max_size=3), texts, texts)
def test_keys_pass_as_an_independent_matcher_says(chosen: list[str], partition: str, sort: str) -> None:
    keys = {"PK": {"S": partition}, "SK": {"S": sort}}
    event: Any = {"eventName": "MODIFY", "dynamodb": {"Keys": keys, "SequenceNumber": "1"}}

    expected = any(EventPattern.load(pattern).matches_event(event) for pattern in chosen)

    assert KeyFilter.of(chosen).passes(key_of(keys)) == expected
