"""The tests that every Replica passes: the fake, and the real ones on moto and DynamoDB Local."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import pytest

from ddbreplica.model import Image, Refusal, RefusalKind, Replica, Table, Write
from ddbreplica.records.compare import same
from ddbreplica.records.decode import decode, key_of
from ddbreplica.records.plan import plan
from tests.support.records import batch, record

KEYS = {"part": {"B": "AAH/"}, "sort": {"N": "7"}}
SCHEMA = {"part": "B", "sort": "N"}
EVERY_TYPE: Mapping[str, Any] = {
    "s": {"S": 'é 🙂 \u2028 " \\ \x7f'},
    "empty": {"S": ""},
    "n": {"N": "12345678901234567890123456789012345678"},
    "small": {"N": "-0.00000000000000000001"},
    "b": {"B": "AAECAwT/"},
    "empty_b": {"B": ""},
    "bool": {"BOOL": False},
    "null": {"NULL": True},
    "ss": {"SS": ["a", "é"]},
    "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": ["AA==", "/w=="]},
    "l": {"L": [{"B": "/wA="}, {"L": []}, {"M": {"deep": {"BS": ["AQI="]}}}]},
    "m": {"M": {"b": {"B": "AP8="}, "m": {"M": {}}}},
}


def write_of(keys: Image, image: Mapping[str, Any] | None) -> Write:
    name = "REMOVE" if image is None else "MODIFY"
    (write,) = plan(decode(batch(record(1, name, keys, image)), replicate_ttl_deletes=True).changes)
    return write


def put(sort: str = "7", /, **attributes: Any) -> Write:
    keys = {**KEYS, "sort": {"N": sort}}
    return write_of(keys, {**keys, **attributes})


def delete(sort: str = "7") -> Write:
    return write_of({**KEYS, "sort": {"N": sort}}, None)


class ReplicaContract(ABC):
    """The suite. Each implementation has a subclass, with an empty table of key `SCHEMA`."""

    @abstractmethod
    def items(self) -> list[Image]:
        """Return all items of the table in DynamoDB JSON."""

    @abstractmethod
    def missing(self) -> Replica:
        """Return a replica whose table does not exist."""

    @pytest.fixture
    @abstractmethod
    def replica(self) -> Replica:
        """A replica with an empty table."""

    def test_an_item_of_every_type_arrives(self, replica: Replica) -> None:
        assert replica.start_batch([put(**EVERY_TYPE)])() in ((), [])
        (item,) = self.items()
        assert same(item, {**KEYS, **EVERY_TYPE})

    def test_an_item_of_every_type_sent_alone_arrives(self, replica: Replica) -> None:
        assert replica.start_one(put(**EVERY_TYPE))() == ()
        (item,) = self.items()
        assert same(item, {**KEYS, **EVERY_TYPE})

    def test_a_put_replaces_the_whole_item(self, replica: Replica) -> None:
        replica.start_batch([put(old={"S": "1"})])()
        replica.start_batch([put(new={"S": "2"})])()

        assert self.items() == [{**KEYS, "new": {"S": "2"}}]

    def test_repeating_a_write_changes_nothing(self, replica: Replica) -> None:
        for _ in range(2):
            assert replica.start_batch([put(n={"N": "1"})])() in ((), [])
            assert replica.start_one(put(n={"N": "1"}))() == ()

        assert self.items() == [{**KEYS, "n": {"N": "1"}}]

    def test_deletes_find_binary_and_number_keys(self, replica: Replica) -> None:
        replica.start_batch([put("7"), put("8")])()

        assert replica.start_batch([delete("7.0")])() in ((), [])
        assert replica.start_one(delete("8E0"))() == ()
        assert self.items() == []

    def test_deleting_an_absent_item_succeeds(self, replica: Replica) -> None:
        assert replica.start_batch([delete()])() in ((), [])
        assert replica.start_one(delete())() == ()

    def test_puts_and_deletes_go_in_one_request(self, replica: Replica) -> None:
        replica.start_batch([put("1"), put("2")])()

        assert replica.start_batch([delete("1"), put("3")])() in ((), [])
        assert {key_of({"sort": item["sort"]}) for item in self.items()} == {
            (("sort", "N", "2"),),
            (("sort", "N", "3"),),
        }

    def test_twenty_five_writes_go_in_one_request(self, replica: Replica) -> None:
        assert replica.start_batch([put(str(n)) for n in range(25)])() in ((), [])
        assert len(self.items()) == 25

    def test_an_item_too_large_is_rejected_and_nothing_is_written(self, replica: Replica) -> None:
        refusal = replica.start_one(put(big={"S": "x" * 410_000}))()

        assert isinstance(refusal, Refusal)
        assert (refusal.kind, refusal.code) == (RefusalKind.REJECTED, "ValidationException")
        assert self.items() == []

    def test_the_table_is_described(self, replica: Replica) -> None:
        table = replica.describe()

        assert isinstance(table, Table)
        assert table.key_schema == frozenset(SCHEMA.items())
        assert table.status == "ACTIVE"
        assert table.is_writable
        assert table.arn.startswith("arn:")

    def test_a_missing_table_is_a_fault_for_every_request(self, replica: Replica) -> None:
        missing = self.missing()
        results = [missing.describe(), missing.start_batch([put()])(), missing.start_one(put())()]

        for result in results:
            assert isinstance(result, Refusal)
            assert (result.kind, result.code) == (RefusalKind.FAULT, "ResourceNotFoundException")
