"""rescan: a scan of a page's range decides only about keys that it shows with one image, and only where it is cheap."""

from typing import Any

import pytest

from ddbreplica.model import Image, Key
from ddbreplica.reconcile.rescan import Rescan, unambiguous
from ddbreplica.records.decode import key_of

PAGE = 4096


def item(name: str, value: int = 1, size: int = 0) -> dict[str, Any]:
    return {"PK": {"S": name}, "v": {"N": str(value)}, "s": {"S": "x" * size}}


def key(name: str) -> Key:
    return key_of({"PK": {"S": name}})


def shown(*items: Image) -> list[tuple[Key, Image]]:
    return [(key_of({"PK": one["PK"]}), one) for one in items]


def never() -> Any:
    raise AssertionError("the range is scanned")


@pytest.mark.parametrize(
    ("units", "states", "costs_less"),
    [
        (23.0, [item("a", size=460)] * 200, True),
        (23.0, [item("a", size=460)] * 24, True),
        # A filter lets only a few items of the page pass.
        (23.0, [item("a", size=460)] * 23, False),
        (23.0, [], False),
        # Nothing is saved if each item takes whole units.
        (200.0, [item("a", size=399_900)] * 2, False),
        (3.0, [item("a", size=5000)] * 2, True),
        (4.0, [item("a", size=5000)] * 2, False),
        # A key that had no item takes one unit.
        (1.0, [None, None], True),
        (2.0, [None, None], False),
    ],
)
def test_the_price_of_the_page_is_compared_with_reading_the_keys(
    units: float, states: list[Any], costs_less: bool
) -> None:
    assert Rescan(units, never).costs_less(states) == costs_less


def test_the_range_is_scanned_when_its_images_are_needed() -> None:
    scans: list[None] = []

    def scan() -> Any:
        scans.append(None)
        return shown(item("a"), item("b"), item("another"))

    rescan = Rescan(1.0, scan)

    assert not scans
    assert rescan.images({key("a"), key("b"), key("behind the end")}) == {
        key("a"): item("a"),
        key("b"): item("b"),
    }
    assert len(scans) == 1


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ([], {}),
        ([1], {key("a"): item("a", 1)}),
        ([1, 1], {key("a"): item("a", 1)}),
        ([1, 2], {}),
        ([2, 1], {}),
        ([1, 2, 1], {}),
        ([1, 1, 2], {}),
    ],
)
def test_an_item_that_is_shown_with_two_images_has_none(values: list[int], image: dict[Key, Image]) -> None:
    other = item("b", 9)

    items = [item("a", value) for value in values]

    assert unambiguous(shown(*items, other)) == {**image, key("b"): other}
    assert unambiguous(shown(other, *items)) == {**image, key("b"): other}
