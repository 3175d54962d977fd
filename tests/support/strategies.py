"""Hypothesis strategies for values that DynamoDB can store, and for histories of a few keys."""

from base64 import b64encode
from typing import Any

from hypothesis import strategies as st

from tests.support.records import delete, put

text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
binary = st.binary(max_size=12).map(lambda content: b64encode(content).decode())
number = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**20), max_value=10**20).map(
        str
    ),
    st.integers(38, 125).map(lambda zeros: "1" + "0" * zeros),
    st.integers(1, 130).map(lambda places: "0." + "0" * (places - 1) + "1"),
)
scalar: st.SearchStrategy[dict[str, Any]] = st.one_of(
    text.map(lambda value: {"S": value}),
    number.map(lambda value: {"N": value}),
    binary.map(lambda value: {"B": value}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.lists(text, min_size=1, max_size=3, unique=True).map(lambda value: {"SS": value}),
    st.lists(number, min_size=1, max_size=3, unique=True).map(lambda value: {"NS": value}),
    st.lists(binary, min_size=1, max_size=3, unique=True).map(lambda value: {"BS": value}),
)
attribute_value: st.SearchStrategy[dict[str, Any]] = st.recursive(
    scalar,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda value: {"L": value}),
        st.dictionaries(text, inner, max_size=3).map(lambda value: {"M": value}),
    ),
    max_leaves=8,
)
key_value = st.one_of(
    st.text(min_size=1, max_size=8, alphabet=st.characters(exclude_categories=["Cs"])).map(
        lambda v: {"S": v}
    ),
    number.map(lambda v: {"N": v}),
    st.binary(min_size=1, max_size=8).map(lambda v: {"B": b64encode(v).decode()}),
)

POISON = {"N": "666"}
MALFORMED = {"X": "?"}


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Generate puts and deletes of a few keys in stream order, some of them poison, malformed, or of other types."""
    steps = draw(
        st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("ppppdxmo")), min_size=1, max_size=30)
    )
    return [_step(number, key, what) for number, (key, what) in enumerate(steps)]


def _step(number: int, key: str, what: str) -> dict[str, Any]:
    if what == "d":
        return delete(number, key)
    value = {"x": POISON, "m": MALFORMED}.get(what, {"N": str(number)})
    return put(number, key, v=value, number={"BOOL": True} if what == "o" else {"N": f"{number}.0"})
