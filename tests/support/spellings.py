"""Items in DynamoDB JSON, and the same items in other spellings of numbers and orders of sets and attributes."""

import random
from base64 import b64encode
from decimal import Context, Decimal
from typing import Any

from hypothesis import strategies as st

numbers = st.builds(
    lambda digits, exponent: f"{digits}E{exponent}",
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.integers(-130, 87),
)
binaries = st.binary(max_size=5).map(lambda content: b64encode(content).decode())
scalars = st.one_of(
    st.fixed_dictionaries({"S": st.text(max_size=5)}),
    st.fixed_dictionaries({"N": numbers}),
    st.fixed_dictionaries({"B": binaries}),
    st.fixed_dictionaries({"BOOL": st.booleans()}),
    st.just({"NULL": True}),
    st.fixed_dictionaries({"SS": st.lists(st.text(max_size=3), min_size=1, max_size=3, unique=True)}),
    st.fixed_dictionaries({"NS": st.lists(numbers, min_size=1, max_size=3, unique_by=Decimal)}),
    st.fixed_dictionaries({"BS": st.lists(binaries, min_size=1, max_size=3, unique=True)}),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"L": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"M": st.dictionaries(st.text(max_size=3), inner, max_size=3)}),
    ),
    max_leaves=8,
)
items = st.dictionaries(st.text(min_size=1, max_size=3), values, max_size=3)


def respelt(value: Any, choose: random.Random) -> Any:
    """Return the same value in another form."""
    ((tag, content),) = value.items()
    if tag == "N":
        return {tag: respelt_number(content, choose)}
    if tag == "NS":
        content = [respelt_number(member, choose) for member in content]
    if tag in ("SS", "NS", "BS"):
        return {tag: choose.sample(content, len(content))}
    if tag == "L":
        return {tag: [respelt(member, choose) for member in content]}
    return {tag: respelt_item(content, choose)} if tag == "M" else value


def respelt_number(text: str, choose: random.Random) -> str:
    number = Decimal(text)
    short = number.normalize(Context(prec=200))
    return choose.choice([text, f"{number:f}", f"{short:e}", f"{short:E}"])


def respelt_item(item: Any, choose: random.Random) -> Any:
    names = choose.sample(list(item), len(item))
    return {name: respelt(item[name], choose) for name in names}
