"""comparison: what its segments share: suspects and their limit, the archive, the filter, and the order of scans."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, cast

import pytest

from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.verify.compare.comparison import Comparison, InStep
from ddbreplica.verify.compare.pairing import REPLICA, SOURCE
from ddbreplica.verify.difference import Swept
from ddbreplica.verify.keyset import KeySet
from tests.support.scanned import item, key

A, B, C = key(1), key(2), key(3)
ONLY_A = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": ["0001"]}}}}'])
NOT_IN_STEP = (
    "The two scans do not return the items in the same order. The rest of the tables is compared item by item, which"
    " takes about ten times the read capacity units."
)

Make = Callable[..., Comparison]


@pytest.fixture
def suspects() -> Iterator[KeySet]:
    with closing(KeySet()) as keys:
        yield keys


@pytest.fixture
def advanced() -> list[int]:
    return []


@pytest.fixture
def comparison(suspects: KeySet, advanced: list[int]) -> Make:
    def make(**options: Any) -> Comparison:
        in_step, limit = InStep(lambda *_: None), options.pop("max_suspects", 10)
        return Comparison(cast("Any", ()), suspects, advanced.append, in_step, max_suspects=limit, **options)

    return make


def listed(keys: KeySet) -> list[Key]:
    return [each for chunk in keys.chunks(100) for each in chunk]


def test_suspected_differences_are_collected_and_reported(comparison: Make, suspects: KeySet) -> None:
    reported: list[Any] = []
    made = comparison(suspected=reported.append)

    made.suspect([B, A])
    made.suspect([])
    made.suspect([A])

    assert listed(suspects) == [A, B]
    assert reported == [[B, A], [A]]


def test_too_many_suspected_differences_halt_it(comparison: Make) -> None:
    made = comparison(max_suspects=2)

    made.suspect([A])
    assert not made.halted.is_set()

    made.suspect([B])
    assert made.halted.is_set()


def test_what_only_an_archive_has_is_counted_and_reported(comparison: Make) -> None:
    reported: list[Any] = []
    made, counts = comparison(archived=reported.append), Swept(archived=4)

    made.archive([A, B], counts)
    made.archive([], counts)

    assert counts == Swept(archived=6)
    assert reported == [[A, B]]


def test_without_an_archive_every_unequal_item_is_suspected(comparison: Make, suspects: KeySet) -> None:
    counts = Swept()

    comparison().unequal([A, B], {A: item(1)}, counts)

    assert (listed(suspects), counts) == ([A, B], Swept())


def test_an_archive_may_have_what_the_source_lacks(comparison: Make, suspects: KeySet) -> None:
    reported: list[Any] = []
    made, counts = comparison(is_archive=True, archived=reported.append), Swept()

    made.unequal([A, B, C], {A: item(1)}, counts)

    assert (listed(suspects), reported, counts) == ([A], [[B, C]], Swept(archived=2))


def test_the_filter_excludes_items(comparison: Make) -> None:
    items = {A: item(1), B: item(2)}

    assert comparison().inside(items) == items
    assert comparison(key_filter=ONLY_A).inside(items) == {A: item(1)}


def test_the_items_of_each_side_are_counted(comparison: Make, advanced: list[int]) -> None:
    made, counts = comparison(), Swept()

    for _ in range(2):
        made.count(SOURCE, counts, compared=10, outside=2)
        made.count(REPLICA, counts, compared=30, outside=4)
    made.count(REPLICA, counts, compared=5)

    assert counts == Swept(source_items=20, replica_items=65, source_outside=4, replica_outside=8)
    assert advanced == [12, 34, 12, 34, 5]


def test_scans_whose_look_ups_find_equal_partners_are_not_in_step() -> None:
    noted: list[str] = []
    in_step = InStep(noted.append)

    in_step.looked_up(equal=501, of=999)
    assert noted == [], "too few look-ups to tell"

    in_step.looked_up(equal=0, of=1)
    assert noted == [NOT_IN_STEP]

    in_step.looked_up(equal=1000, of=1000)
    assert noted == [NOT_IN_STEP], "once"
    assert in_step.is_lost


def test_the_latest_thousand_look_ups_tell_whether_the_scans_are_in_step() -> None:
    noted: list[str] = []
    in_step = InStep(noted.append)

    in_step.looked_up(equal=500, of=1000)
    in_step.looked_up(equal=0, of=500)
    in_step.looked_up(equal=500, of=500)
    assert (noted, in_step.is_lost) == ([], False)

    in_step.looked_up(equal=1, of=1)
    assert (noted, in_step.is_lost) == ([NOT_IN_STEP], True)
