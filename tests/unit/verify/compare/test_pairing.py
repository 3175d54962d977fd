"""pairing: items wait for their partner in the order of their scan, and those that a pair passes have none."""

from collections.abc import Mapping

import pytest

from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.model import Image, Key
from ddbreplica.verify.compare.pairing import REPLICA, SOURCE, Met, Pairing
from tests.support.scanned import item, key

SIDES = pytest.mark.parametrize("side", [SOURCE, REPLICA])


def shown(*numbers: int, value: object = 0) -> dict[Key, Image]:
    """Return items with these numbers, as a page shows them."""
    return {key(number): item(number, value) for number in numbers}


def keys(*numbers: int) -> tuple[Key, ...]:
    return tuple(map(key, numbers))


def paired(*pages: tuple[int, Mapping[Key, Image]]) -> Pairing:
    """Return a pairing that was shown these pages, in which each item has 100 bytes."""
    pairing = Pairing()
    for side, items in pages:
        pairing.add(side, items, 100.0 * len(items))
    return pairing


def test_at_first_nothing_waits() -> None:
    pairing = Pairing()

    assert (pairing.is_empty, pairing.size, pairing.keys) == (True, 0.0, ())


@SIDES
def test_an_item_waits_until_its_partner_is_shown(side: int) -> None:
    pairing = Pairing()

    assert pairing.add(side, shown(1, 2), 200.0) == Met()
    assert (pairing.is_empty, pairing.size, pairing.keys) == (False, 200.0, keys(1, 2))

    assert pairing.add(1 - side, shown(1), 70.0) == Met(pairs=1)
    assert (pairing.is_empty, pairing.size, pairing.keys) == (False, 100.0, keys(2))

    assert pairing.add(1 - side, shown(2), 70.0) == Met(pairs=1)
    assert (pairing.is_empty, pairing.size, pairing.keys) == (True, 0.0, ())


def test_the_items_of_the_source_are_listed_first() -> None:
    assert paired((REPLICA, shown(3)), (SOURCE, shown(1, 2))).keys == keys(1, 2, 3)


@SIDES
def test_all_pairs_that_differ_are_returned(side: int) -> None:
    pairing = paired((side, shown(1, 2, 3)))

    met = pairing.add(1 - side, {**shown(1, value=5), **shown(2), **shown(3, value=5)}, 300.0)

    assert met == Met(pairs=3, unequal=[key(1), key(3)])


@SIDES
def test_equal_numbers_that_are_written_differently_are_no_difference(side: int) -> None:
    assert paired((side, shown(1, value="1"))).add(1 - side, shown(1, value="1.0"), 100.0) == Met(pairs=1)


@SIDES
def test_a_pair_passes_all_items_of_both_sides_that_wait_before_it(side: int) -> None:
    pairing = paired((side, shown(1, 2, 3, 4, 5)))

    met = pairing.add(1 - side, shown(7, 3, 8, 4), 400.0)

    assert met.pairs == 2
    assert (met.passed[side], met.passed[1 - side]) == (shown(1, 2), shown(7, 8))
    assert (pairing.keys, pairing.size) == (keys(5), 100.0)


@SIDES
def test_an_item_that_is_shown_again_waits_once_in_its_newer_state(side: int) -> None:
    pairing = paired((side, shown(1, 2, 3)))

    pairing.add(side, shown(1, value=5), 70.0)

    assert (pairing.keys, pairing.size) == (keys(2, 3, 1), 270.0)
    assert pairing.rest(side) == {**shown(2, 3), **shown(1, value=5)}


def test_a_page_without_items_has_no_bytes() -> None:
    pairing = Pairing()

    assert pairing.add(SOURCE, {}, 70.0) == Met()
    assert pairing.size == 0.0


def test_the_side_with_fewer_bytes_is_read_next() -> None:
    assert Pairing().next_side == SOURCE
    assert paired((SOURCE, shown(1))).next_side == REPLICA
    assert paired((SOURCE, shown(1)), (REPLICA, shown(2))).next_side == SOURCE
    assert paired((REPLICA, shown(2))).next_side == SOURCE


@SIDES
def test_a_side_of_whose_items_most_have_no_equal_partner_is_read_next(side: int) -> None:
    pairing = Pairing()

    pairing.learn(side, equal=5, of=10)
    assert pairing.next_side == side
    pairing.learn(side, equal=6, of=10)
    assert pairing.next_side == 1 - side


def test_after_a_pair_no_side_is_behind() -> None:
    pairing = paired((SOURCE, shown(1, 2)))
    pairing.learn(SOURCE, equal=0, of=10)

    pairing.add(REPLICA, shown(1), 100.0)

    assert pairing.next_side == REPLICA


@SIDES
def test_the_rest_of_a_side_is_taken_out(side: int) -> None:
    pairing = paired((side, shown(1, 2)), (1 - side, shown(3)))

    assert pairing.rest(side) == shown(1, 2)
    assert (pairing.keys, pairing.size) == (keys(3), 100.0)
    assert pairing.rest(side) == {}


@SIDES
def test_the_oldest_items_of_the_larger_side_overflow(side: int) -> None:
    pairing = paired((side, shown(*range(MAX_KEYS + 2))), (1 - side, shown(900)))

    assert pairing.overflow() == (side, shown(*range(MAX_KEYS)))
    assert pairing.size == 300.0
    assert pairing.overflow() == (side, shown(MAX_KEYS, MAX_KEYS + 1))
    assert (pairing.size, pairing.keys) == (100.0, keys(900))


def test_of_two_sides_of_one_size_the_source_overflows() -> None:
    assert paired((SOURCE, shown(1)), (REPLICA, shown(2))).overflow() == (SOURCE, shown(1))


@SIDES
def test_the_side_that_is_behind_overflows_while_it_has_items(side: int) -> None:
    pairing = paired((side, shown(1)), (1 - side, shown(2, 3)))
    pairing.learn(side, equal=0, of=10)

    assert pairing.overflow() == (side, shown(1))
    assert pairing.overflow() == (1 - side, shown(2, 3))
