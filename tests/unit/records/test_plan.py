"""plan: at most one write for each key."""

import json

from ddbreplica.records.decode import decode
from ddbreplica.records.plan import fall_back, plan
from tests.support.records import batch, delete, put, record


def planned(*records: object) -> list[tuple[str, bool, object]]:
    changes = decode(batch(*records), replicate_ttl_deletes=True).changes
    return [(w.change.sequence_number, w.is_delete, json.loads(w.text)) for w in plan(changes)]


def test_each_key_is_written_once_with_its_last_image() -> None:
    assert planned(put(1, "a", v={"N": "1"}), put(2, "b"), put(3, "a", v={"N": "2"})) == [
        ("3", False, {"PK": {"S": "a"}, "v": {"N": "2"}}),
        ("2", False, {"PK": {"S": "b"}}),
    ]


def test_a_delete_after_a_put_wins() -> None:
    assert planned(put(1, "a"), delete(2, "a")) == [("2", True, {"PK": {"S": "a"}})]


def test_a_put_after_a_delete_wins() -> None:
    assert planned(delete(1, "a"), put(2, "a")) == [("2", False, {"PK": {"S": "a"}})]


def test_equal_keys_in_different_forms_are_written_once() -> None:
    one, other = {"n": {"N": "1"}, "b": {"B": "AQ=="}}, {"b": {"B": "AQ=="}, "n": {"N": "1.0"}}

    assert planned(record(1, "INSERT", one, one), record(2, "REMOVE", other)) == [("2", True, other)]


def test_a_write_is_ascii_whatever_the_item_contains() -> None:
    changes = decode(batch(put(1, "ключ", v={"S": "\u2028 é 🙂"})), replicate_ttl_deletes=True).changes
    (write,) = plan(changes)

    assert write.text.isascii()
    assert json.loads(write.text) == {"PK": {"S": "ключ"}, "v": {"S": "\u2028 é 🙂"}}


def test_a_write_falls_back_through_every_earlier_image() -> None:
    changes = decode(batch(put(1, "a"), delete(2, "a"), put(3, "a")), replicate_ttl_deletes=True).changes
    (third,) = plan(changes)

    second = fall_back(third)
    assert second is not None
    first = fall_back(second)
    assert first is not None

    assert (second.change.sequence_number, second.is_delete) == ("2", True)
    assert (first.change.sequence_number, first.is_delete) == ("1", False)
    assert fall_back(first) is None
    assert third.oldest is second.oldest is first.oldest is changes[0]
