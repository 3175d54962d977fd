"""transform: it is pure, total or refuses by name, keeps equality, and lets no hashed value out."""

import copy
import json
import random
import re
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbreplica.errors import TransformError
from ddbreplica.records.compare import same
from ddbreplica.transform.parse import parse
from ddbreplica.transform.secret import Secret, SecretId
from ddbreplica.transform.transform import Transform, UntransformableError
from tests.support.spellings import respelt_item, scalars, values
from tests.support.transform_oracle import Oracle, RefusedError

KEY: Final = ("PK",)
SECRET: Final = Secret(SecretId("arn", "1"), b"the secret of the tests")
NAMES: Final = ("a", "b", "c", "d")

items = st.builds(
    lambda key, attributes: {"PK": key, **attributes},
    st.one_of(st.just({"S": "k"}), st.just({"N": "1.0"})),
    st.dictionaries(st.sampled_from(NAMES), st.one_of(scalars, values), max_size=4),
)
parts = st.one_of(
    st.text(max_size=3, alphabet=st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["PK", *NAMES]).map(lambda name: {"attribute": name}),
)


@st.composite
def accepted(draw: st.DrawFn) -> dict[str, Any]:
    """Draw rules that contradict each other in nothing."""
    rules: dict[str, Any] = {}
    remaining = draw(st.sets(st.sampled_from(NAMES)))
    how = draw(st.sampled_from(["keep", "drop", "neither"]))
    if how == "keep":
        rules["keep"] = sorted(remaining)
    elif how == "drop":
        rules["drop"] = sorted({*NAMES} - remaining)
    else:
        remaining = {*NAMES}
    some = st.sets(st.sampled_from(sorted(remaining))) if remaining else st.just(set[str]())
    rules["hash"] = sorted(draw(some))
    free = draw(st.permutations(sorted({*NAMES, "e", "f"} - {*rules.get("drop", ())})))
    rename = draw(some)
    rules["rename"] = dict(zip(sorted(rename), free, strict=False))
    left = free[len(rename) :]
    constants = draw(st.integers(0, len(left)))
    rules["set"] = {name: {"N": "7.0"} for name in left[:constants]}
    made = draw(st.integers(0, len(left) - constants))
    rules["concat"] = {
        name: draw(st.lists(parts, min_size=1, max_size=3)) for name in left[constants : constants + made]
    }
    return rules


def transform_of(rules: Any) -> Transform:
    return Transform(parse(json.dumps(rules)), key=KEY, hash_with=SECRET.hash)


def outcome(transform: Transform, item: Any) -> Any:
    try:
        return transform.apply(item)
    except UntransformableError as refused:
        return str(refused)


@given(accepted(), items)
def test_an_oracle_of_python_values_agrees(rules: Any, item: Any) -> None:
    try:
        expected = Oracle(rules, key=KEY, secret=SECRET.value).expected(item)
    except RefusedError:
        with pytest.raises(UntransformableError, match=r"^attribute '[a-d]' has type (?!S;|N;)"):
            transform_of(rules).apply(item)
    else:
        assert transform_of(rules).apply(item) == expected


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["hash", "concat", "set", "keep", "drop", "rename", "a", "attribute", "S", "NS", "L"]
            ),
            inner,
            max_size=3,
        )
    ),
)


@given(json_values)
def test_any_document_has_rules_or_is_refused(document: Any) -> None:
    key = "a key that no document names"
    item: Any = {key: {"S": "k"}}
    try:
        transform = Transform(parse(json.dumps(document)), key=[key], hash_with=SECRET.hash)
    except TransformError as refused:
        made: Any = refused.fact, refused.hint
    else:
        made = transform.apply(item)

    if isinstance(made, dict):
        assert made[key] == item[key]
    else:
        assert re.match("The transform .+", made[0])
        assert re.match("Allowed: .+", made[1])


@given(accepted(), st.dictionaries(st.sampled_from(NAMES), json_values))
def test_an_item_that_is_not_of_dynamodb_is_transformed_or_refused(rules: Any, item: Any) -> None:
    """No table contains such a value, but a response may."""
    made = outcome(transform_of(rules), {"PK": {"S": "k"}, **item})

    assert made["PK"] == {"S": "k"} if isinstance(made, dict) else made.startswith("attribute '")


@given(accepted(), items)
def test_it_is_pure(rules: Any, item: Any) -> None:
    before = copy.deepcopy(item)
    transform = transform_of(rules)

    made = outcome(transform, item)

    assert item == before
    assert outcome(transform, item) == made == outcome(transform_of(rules), before)


@given(accepted(), items, st.randoms(use_true_random=False))
def test_items_that_are_the_same_become_items_that_are_the_same(
    rules: Any, item: Any, choose: random.Random
) -> None:
    transform = transform_of(rules)
    one, other = outcome(transform, item), outcome(transform, respelt_item(item, choose))

    assert one == other if isinstance(one, str) else same(one, other)


def subsets(names: str) -> list[list[str]]:
    return [list(some) for size in range(len(names) + 1) for some in combinations(names, size)]


def renames(olds: str, news: str) -> list[dict[str, str]]:
    """Return every function from some of the old names to new names."""
    return [
        {old: new for old, new in zip(olds, chosen, strict=True) if new}
        for chosen in product(["", *news], repeat=len(olds))
    ]


def removals(names: str) -> list[dict[str, list[str]]]:
    return [
        *({"drop": some} for some in subsets(names)),
        *({"keep": some} for some in subsets(names)),
        {"keep": [], "drop": []},
    ]


def small_rules() -> Iterator[dict[str, Any]]:
    """Yield all rules that hash one or two of the attributes a and b, and make at most one concat and one constant."""
    concats: list[Any] = [{}, *({to: ["x", {"attribute": part}]} for to in "abc" for part in "ab")]
    constants: list[Any] = [{}, *({to: {"S": "constant"}} for to in "abc")]
    for names, removed, concat, constant, rename in product(
        ["a", "ab"], removals("abc"), concats, constants, renames("ab", "abc")
    ):
        yield {"hash": [*names], **removed, "concat": concat, "set": constant, "rename": rename}


CANARIES: Final[dict[str, Any]] = {"a": {"S": "CANARY"}, "b": {"N": "6660.5"}, "c": {"S": "open"}}


def test_no_rules_that_are_accepted_let_a_hashed_value_out() -> None:
    """Every small configuration is tried on items with every combination of attributes."""
    sources: list[dict[str, Any]] = [
        {"PK": {"S": "k"}} | {name: CANARIES[name] for name in some} for some in subsets("abc")
    ]
    tried = found = 0
    for rules in small_rules():
        try:
            transform = transform_of(rules)
        except TransformError:
            continue
        tried += 1
        hidden = [CANARIES[name] for name in rules["hash"]]
        for source in sources:
            held = json.dumps(transform.apply(source))
            assert not any(text in held for value in hidden for text in value.values()), (rules, source)
            found += "open" in held
    assert tried > 800
    assert found > 400


def test_no_rules_that_are_accepted_change_a_key() -> None:
    item = {"PK": {"S": "k"}, "a": {"S": "a"}}
    concats: list[Any] = [{}, {"c": [{"attribute": "PK"}]}, {"PK": [{"attribute": "a"}]}]
    constants: list[Any] = [{}, {"PK": {"S": "x"}}, {"c": {"S": "x"}}]
    moves: list[dict[str, str]] = [{}, {"a": "PK"}, {"PK": "a"}, {"PK": "c"}, {"a": "c"}, {"PK": "PK"}]
    removed: list[dict[str, list[str]]] = [
        {},
        {"drop": ["PK"]},
        {"drop": ["a"]},
        {"keep": []},
        {"keep": ["a"]},
        {"keep": ["PK"]},
    ]
    tried = 0
    for hashed, removal, concat, constant, rename in product(
        ([], ["PK"], ["a"]), removed, concats, constants, moves
    ):
        rules: dict[str, Any] = {
            "hash": hashed,
            **removal,
            "concat": concat,
            "set": constant,
            "rename": rename,
        }
        try:
            transform = transform_of(rules)
        except TransformError:
            continue
        tried += 1
        made = transform.apply(item)
        assert made is not None
        assert made["PK"] is item["PK"], rules
    assert tried > 20
