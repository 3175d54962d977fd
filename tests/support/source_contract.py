"""The tests that every Source passes: the fake, and the real one on moto and DynamoDB Local."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import pytest

from ddbreplica.model import Image, Key, Refusal, RefusalKind, Source, State
from ddbreplica.records.compare import same
from ddbreplica.records.decode import key_of
from tests.support.contract import EVERY_TYPE, KEYS


def item(sort: str, **attributes: Mapping[str, object]) -> Image:
    return {**KEYS, "sort": {"N": sort}, **attributes}


def key(sort: str) -> Key:
    return key_of(item(sort))


class SourceContract(ABC):
    """The suite. Each implementation has a subclass, with an empty table of key `contract.SCHEMA`."""

    @abstractmethod
    def put(self, item: Image) -> None:
        """Write an item to the table."""

    @abstractmethod
    def missing(self) -> Source:
        """Return a source whose table does not exist."""

    @pytest.fixture
    @abstractmethod
    def source(self) -> Source:
        """A source with an empty table."""

    def read(self, source: Source, *keys: Key) -> Mapping[Key, State]:
        answer = source.read_batch(keys)
        assert not isinstance(answer, Refusal)
        return answer

    def test_an_item_of_every_type_is_read_as_dynamodb_json(self, source: Source) -> None:
        self.put(item("7", **EVERY_TYPE))

        state = self.read(source, key("7"))[key("7")]

        assert same(state, item("7", **EVERY_TYPE))
        assert state is not None
        assert state["l"] == EVERY_TYPE["l"]

    def test_a_key_without_an_item_has_the_state_none(self, source: Source) -> None:
        self.put(item("1"))

        assert self.read(source, key("1"), key("2")) == {key("1"): item("1"), key("2"): None}

    @pytest.mark.parametrize("spelling", ["10", "10.0", "1E1", "1e+1", "+10", "0010"])
    def test_number_keys_in_different_forms_are_the_same_key(self, source: Source, spelling: str) -> None:
        self.put(item("10", v={"S": "ten"}))

        assert self.read(source, key(spelling)) == {key("10"): item("10", v={"S": "ten"})}

    @pytest.mark.parametrize("number", ["1" + "0" * 125, "-1E-130", "12345678901234567890123456789012345678"])
    def test_the_smallest_and_largest_number_keys_are_found(self, source: Source, number: str) -> None:
        self.put(item(number, v={"S": "far"}))

        state = self.read(source, key(number))[key(number)]

        assert state is not None
        assert state["v"] == {"S": "far"}

    def test_a_hundred_keys_go_in_one_request(self, source: Source) -> None:
        for number in range(50):
            self.put(item(str(number)))

        states = self.read(source, *(key(str(number)) for number in range(100)))

        assert states == {key(str(n)): item(str(n)) if n < 50 else None for n in range(100)}

    def test_a_missing_table_is_a_fault(self, source: Source) -> None:
        answer = self.missing().read_batch([key("1")])

        assert isinstance(answer, Refusal)
        assert (answer.kind, answer.code) == (RefusalKind.FAULT, "ResourceNotFoundException")
