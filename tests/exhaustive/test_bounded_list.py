"""bounded_list returns the first of any number of values, and the number of the others."""

import os
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from ddbreplica.bucket.bucket import Listed, Version
from ddbreplica.redrive import bounded_list, report
from ddbreplica.redrive.bounded_list import BoundedList
from ddbreplica.redrive.copies import Copies, Copy
from ddbreplica.redrive.objects import BucketPrefix, FoundObject, ObjectOutcome, Redriven, RemainingObject
from ddbreplica_cli.terminal import output

NOW = datetime(2026, 11, 1, tzinfo=UTC)
WIDE = "\U000e0041"
"""A character of four bytes that is printed as twelve characters."""

OBJECTS = 11_000
MOST = 128 * 1024 * 1024
"""The limit in bytes for the memory of a command, without Python and the AWS SDK."""


def test_all_values_that_fit_are_listed() -> None:
    listing: BoundedList[str] = BoundedList()
    for value in "abc":
        listing.add(value, value)

    assert (listing.first, listing.count, listing.more) == (["a", "b", "c"], 3, 0)


def test_the_number_of_listed_values_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_list, "LISTED", 2)
    listing: BoundedList[str] = BoundedList()
    for value in "abc":
        listing.add(value, value)

    assert (listing.first, listing.count, listing.more) == (["a", "b"], 3, 1)


def test_no_value_is_listed_after_one_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_list, "ROOM", 20)
    listing: BoundedList[str] = BoundedList()
    for value in ("short", "x" * 30, "y"):
        listing.add(value, value)

    assert (listing.first, listing.count, listing.more) == (["short"], 3, 2)


def test_the_limit_counts_characters_as_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_list, "ROOM", 13)
    listing: BoundedList[str] = BoundedList()
    listing.add(WIDE, WIDE)

    assert listing.more == 1


def _names() -> Iterator[str]:
    """Yield object names of the maximum length."""
    return (f"{number:024}{WIDE * 250}" for number in range(OBJECTS))


def _of_redrive() -> tuple[Any, str]:
    place = BucketPrefix(Mock(), "aws/lambda/", Mock())
    result = Redriven()
    for name in _names():
        found = FoundObject(place, Listed(name, 1, 0.0, NOW))
        result.stays(RemainingObject(ObjectOutcome.FOREIGN, found, f"contains records of {WIDE * 1000}"))
    return report.document(result), report.text(result)


def _of_a_search() -> tuple[Any, str]:
    place = BucketPrefix(Mock(), "aws/lambda/", Mock())
    result = Copies()
    for name in _names():
        copy = Copy(place, Version(name, "v", is_present=False, size=1, etag="e", stored_at=NOW))
        result.found.add(copy, copy.url)
        result.unread.add((copy, "it is not JSON"), copy.url, "it is not JSON")
    return result.document, result.text


@pytest.mark.parametrize("result", [_of_redrive, _of_a_search])
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
def test_the_memory_of_a_result_is_limited_for_any_names(
    result: Any, monkeypatch: pytest.MonkeyPatch, *, as_json: bool
) -> None:
    with open(os.devnull, "w", encoding="utf-8") as nothing:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", nothing)
        tracemalloc.start()
        try:
            document, text = result()
            output.print_result(document, text, as_json=as_json)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak < MOST
