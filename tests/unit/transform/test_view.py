"""view: what the replica is to hold for each item of the source."""

from ddbreplica.model import Image
from ddbreplica.records.compare import fingerprint, same
from ddbreplica.transform.deployed import Deployed
from ddbreplica.transform.parse import parse
from ddbreplica.transform.view import AS_IT_IS, untransformable

JOINED = Deployed(parse('{"concat": {"joined": ["x#", {"attribute": "a"}]}, "drop": ["b"]}'))
VIEW = JOINED.view(["pk"], None)
ITEM: Image = {"pk": {"S": "1"}, "a": {"N": "1.0"}, "b": {"S": "secret"}}
UNFIT: Image = {"pk": {"S": "1"}, "a": {"BOOL": True}, "b": {"S": "secret"}}


def test_an_item_is_seen_as_the_replica_is_to_hold_it() -> None:
    seen = {"pk": {"S": "1"}, "a": {"N": "1.0"}, "joined": {"S": "x#1"}}

    assert VIEW.of(ITEM) == seen
    assert VIEW.of_all([ITEM, ITEM]) == [seen, seen]
    assert VIEW.digest == JOINED.digest
    assert untransformable(seen) is None


def test_without_a_transform_items_are_seen_as_they_are() -> None:
    items = [ITEM]

    assert AS_IT_IS.of(ITEM) is ITEM
    assert AS_IT_IS.of_all(items) is items
    assert AS_IT_IS.digest is None


def test_an_item_that_cannot_be_transformed_is_seen_as_its_key_and_the_reason() -> None:
    seen = VIEW.of(UNFIT)

    assert untransformable(seen) == "attribute 'a' has type BOOL; concat takes S, N"
    assert seen.keys() == {"pk", ""}
    assert "secret" not in str(seen)


def test_such_an_item_equals_nothing_that_a_replica_can_hold() -> None:
    seen = VIEW.of(UNFIT)

    for held in (None, {"pk": {"S": "1"}}, UNFIT, ITEM):
        assert not same(seen, held)
        assert fingerprint(seen) != fingerprint(held)
    assert fingerprint(seen) == fingerprint(VIEW.of(UNFIT))


def test_an_absent_item_can_be_transformed() -> None:
    assert untransformable(None) is None
