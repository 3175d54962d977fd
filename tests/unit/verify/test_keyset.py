"""keyset: a set of keys that may be larger than memory."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from ddbreplica.model import Key
from ddbreplica.records.decode import key_of
from ddbreplica.verify.keyset import KeySet


@pytest.fixture
def keys() -> Iterator[KeySet]:
    with closing(KeySet()) as made:
        yield made


def key(pk: str) -> Key:
    return key_of({"PK": {"S": pk}})


def test_a_key_counts_once(keys: KeySet) -> None:
    keys.add([key("b"), key("a"), key("b")])
    keys.add([key("a")])

    assert len(keys) == 2
    assert list(keys.chunks(10)) == [[key("a"), key("b")]]


def test_all_keys_are_returned_in_chunks(keys: KeySet) -> None:
    keys.add(key(f"{number:04}") for number in range(250))

    chunks = list(keys.chunks(100))

    assert [len(chunk) for chunk in chunks] == [100, 100, 50]
    assert [k for chunk in chunks for k in chunk] == [key(f"{number:04}") for number in range(250)]


def test_keys_are_removed_if_they_are_there(keys: KeySet) -> None:
    keys.add([key("a"), key("b"), key("c")])

    keys.remove([key("b"), key("nowhere"), key("b")])

    assert len(keys) == 2
    assert list(keys.chunks(10)) == [[key("a"), key("c")]]


def test_an_empty_set_has_no_chunks(keys: KeySet) -> None:
    keys.add([])

    assert len(keys) == 0
    assert list(keys.chunks(10)) == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"a": {"S": 'quotes " and \\ and \x00'}},
        {"a": {"S": "é🙂\ud800"}},
        {"a": {"N": "12345678901234567890123456789012345678"}, "b": {"B": "AP8="}},
    ],
)
def test_a_key_is_returned_unchanged(keys: KeySet, attributes: dict[str, dict[str, str]]) -> None:
    keys.add([key_of(attributes)])

    assert list(keys.chunks(1)) == [[key_of(attributes)]]
