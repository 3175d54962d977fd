"""look: both tables are read by key, and compared."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from ddbreplica.dynamodb.rate import Rate
from ddbreplica.model import Image, Items, Key
from ddbreplica.records.compare import AttributeDifference, fingerprint
from ddbreplica.transform.view import seen_as_untransformable
from ddbreplica.verify.confirm.look import CHANGED_SINCE, Look
from ddbreplica.verify.confirm.seen import Seen, Sight
from ddbreplica.verify.difference import Difference, DifferenceKind
from tests.support.simulated_pair import key

KEY = key("a")


def item(number: str) -> Image:
    return {"PK": {"S": "a"}, "v": {"N": number}}


@dataclass
class Table:
    """A table whose reads return these items one after the other. `order` holds the reads of both tables."""

    name: str
    order: list[str]
    reads: Sequence[Mapping[Key, Image]]
    asked: list[Sequence[Key]] = field(default_factory=list)
    rate: Rate = field(default_factory=lambda: Rate(None))

    def get(self, keys: Sequence[Key]) -> Items:
        self.order.append(self.name)
        self.asked.append(keys)
        return self.reads[min(len(self.asked), len(self.reads)) - 1]


def look_at(
    source: Sequence[Mapping[Key, Image]], replica: Mapping[Key, Image], *, is_archive: bool = False
) -> tuple[Look, list[str]]:
    order: list[str] = []
    return Look(Table("source", order, source), Table("replica", order, [replica]), is_archive), order


def test_a_look_reads_the_source_the_replica_and_the_source_again() -> None:
    look, order = look_at([{KEY: item("1")}, {KEY: item("2")}], {KEY: item("3")})

    assert look([KEY, key("b")]) == {
        KEY: Sight(
            source=fingerprint(item("2")),
            replica=fingerprint(item("3")),
            source_changed=True,
            is_equal=False,
            is_archived=False,
        ),
        key("b"): Sight(fingerprint(None), fingerprint(None), False, is_equal=True, is_archived=False),
    }
    assert order == ["source", "replica", "source"]


def test_an_item_that_cannot_be_transformed_is_different_whatever_the_replica_has() -> None:
    unfit = seen_as_untransformable({"PK": {"S": "a"}}, "attribute 'v' has type BOOL")
    reason = "the source's item cannot be transformed: attribute 'v' has type BOOL"
    for held in ({}, {KEY: item("1")}, {KEY: {"PK": {"S": "a"}}}):
        look, _ = look_at([{KEY: unfit}], held)
        sight = look([KEY])[KEY]
        seen = Seen()
        seen.add(sight)

        assert sight.is_suspect
        assert list(look.differences({KEY: seen}, threads=1)) == [
            Difference(DifferenceKind.DIFFERENT, KEY, reason=reason)
        ]


def test_numbers_are_compared_by_value() -> None:
    look, _ = look_at([{KEY: item("1")}], {KEY: item("1.0")})

    assert look([KEY])[KEY].is_equal


def test_an_archive_may_have_more_items() -> None:
    look, _ = look_at([{}], {KEY: item("1")}, is_archive=True)

    assert look([KEY])[KEY].is_archived


def seen(source: Image | None, replica: Image | None) -> Mapping[Key, Seen]:
    return {KEY: Seen(source=fingerprint(source), replica=fingerprint(replica))}


@pytest.mark.parametrize(
    ("source", "replica", "difference"),
    [
        (item("1"), None, Difference(DifferenceKind.MISSING, KEY)),
        (None, item("1"), Difference(DifferenceKind.EXTRA, KEY)),
        (
            item("1"),
            item("2"),
            Difference(DifferenceKind.DIFFERENT, KEY, (AttributeDifference("v", {"N": "1"}, {"N": "2"}),)),
        ),
    ],
)
def test_a_confirmed_key_is_read_again_for_its_attributes_the_source_last(
    source: Image | None, replica: Image | None, difference: Difference
) -> None:
    look, order = look_at([{KEY: source} if source else {}], {KEY: replica} if replica else {})

    assert list(look.differences(seen(source, replica), threads=1)) == [difference]
    assert order == ["replica", "source"]


@pytest.mark.hazard(number=13)
def test_a_confirmed_key_that_is_equal_by_now_is_no_difference() -> None:
    look, _ = look_at([{KEY: item("1")}], {KEY: item("1.0")})

    assert list(look.differences(seen(item("1"), item("2")), threads=1)) == []


@pytest.mark.hazard(number=13)
@pytest.mark.parametrize(("source", "replica"), [("3", "2"), ("1", "3")])
def test_a_confirmed_key_that_has_changed_since_is_inconclusive(source: str, replica: str) -> None:
    look, _ = look_at([{KEY: item(source)}], {KEY: item(replica)})

    assert list(look.differences(seen(item("1"), item("2")), threads=1)) == [
        Difference(DifferenceKind.INCONCLUSIVE, KEY, reason=CHANGED_SINCE)
    ]


def test_a_replica_that_has_the_state_of_the_watch_only_now_has_changed_since() -> None:
    look, _ = look_at([{KEY: item("3")}], {KEY: item("1")})

    assert [each.finding for each in look.differences(seen(item("1"), item("2")), threads=1)] == [
        DifferenceKind.INCONCLUSIVE
    ]


def test_an_item_of_an_archive_that_has_expired_since_is_archived() -> None:
    look, _ = look_at([{}], {KEY: item("2")}, is_archive=True)

    assert list(look.differences(seen(item("1"), item("2")), threads=1)) == [
        Difference(DifferenceKind.ARCHIVED, KEY)
    ]


def test_confirmed_keys_are_read_in_pieces_of_a_hundred() -> None:
    keys = [key(f"{number:03}") for number in range(201)]
    items = {each: item("1") for each in keys}
    look, order = look_at([items], {})
    different = Seen(source=fingerprint(item("1")), replica=fingerprint(None))

    found = look.differences(dict.fromkeys(keys, different), threads=1)

    assert next(found).key == keys[0]
    assert len(order) == 2, "later keys are read when they are asked for"
    assert [each.key for each in found] == keys[1:]
    assert isinstance(look.source, Table)
    assert [len(asked) for asked in look.source.asked] == [100, 100, 1]


def test_in_several_threads_confirmed_keys_are_read_at_once_and_yielded_in_order() -> None:
    keys = [key(f"{number:03}") for number in range(550)]
    # Each thread waits until another one reads the replica too; there are six pieces.
    barrier = threading.Barrier(2, timeout=10)

    class Waiting(Table):
        """A table of which two threads read at once."""

        def get(self, keys: Sequence[Key]) -> Items:
            barrier.wait()
            return super().get(keys)

    order: list[str] = []
    source = Table("source", order, [{each: item("1") for each in keys}])
    look = Look(source, Waiting("replica", order, [{}]), is_archive=False)
    different = Seen(source=fingerprint(item("1")), replica=fingerprint(None))

    found = look.differences(dict.fromkeys(keys, different), threads=2)

    assert next(found).key == keys[0]
    assert sorted(order) == ["replica"] * 2 + ["source"] * 2
    assert [each.key for each in found] == keys[1:]
    assert [len(asked) for asked in source.asked].count(100) == 5


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_of_one_piece_ends_the_reading(threads: int) -> None:
    class Refusing(Table):
        """A table that cannot be read."""

        def get(self, keys: Sequence[Key]) -> Items:
            raise KeyboardInterrupt

    order: list[str] = []
    look = Look(Table("source", order, [{}]), Refusing("replica", order, []), is_archive=False)

    with pytest.raises(KeyboardInterrupt):
        list(look.differences({key(f"{number:04}"): Seen() for number in range(1000)}, threads=threads))

    assert not order
