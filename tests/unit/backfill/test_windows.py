"""windows: exports in any order are read in one order, and a time that none of them has is refused."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from ddbreplica.backfill.export import Export
from ddbreplica.backfill.windows import in_order
from ddbreplica.errors import TaskError

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)


def at(hour: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hour)


def window(since: float, until: float, *, items: int = 1, name: str = "") -> Export:
    """Return an incremental export between two hours of the day."""
    url = f"s3://bucket/{name or f'{since}-{until}'}/"
    return Export(url, "arn", at(until), {f"{url}file": items}, at(since))


def full(hour: float, *, items: int = 1) -> Export:
    """Return a full export of an hour of the day."""
    url = f"s3://bucket/full-{hour}/"
    return Export(url, "arn", at(hour), {f"{url}file": items})


def why(*exports: Export) -> tuple[str, str]:
    """Return fact and hint of the error."""
    with pytest.raises(TaskError) as refused:
        in_order(exports)
    return refused.value.fact, refused.value.hint


def test_one_full_export_has_all_items_and_its_own_name() -> None:
    exports = in_order([full(5, items=7)])

    assert (exports.since, exports.until, exports.items, exports.changed) == (None, at(5), 7, 0)
    assert exports.name == "s3://bucket/full-5/"


def test_one_window_has_what_changed_in_it() -> None:
    exports = in_order([window(3, 5, items=7)])

    assert (exports.since, exports.until, exports.items, exports.changed) == (at(3), at(5), 7, 7)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_windows_in_any_order_are_read_by_time(order: Sequence[int]) -> None:
    by_time = window(1, 6, items=1), window(2, 3, items=2), window(2, 4, items=3), window(6, 7, items=4)

    exports = in_order([by_time[index] for index in order])

    assert exports.each == by_time
    assert (exports.since, exports.until, exports.items) == (at(1), at(7), 10)
    assert exports.name == " and ".join(export.url for export in by_time)


def test_exports_of_the_same_window_are_read_by_name() -> None:
    exports = [window(1, 2, name="a"), window(1, 2, name="b")]

    assert in_order(exports[::-1]).each == tuple(exports)


def test_the_newest_state_may_be_of_a_window_that_began_early() -> None:
    assert in_order([window(1, 9), window(2, 3)]).until == at(9)


@pytest.mark.parametrize("begins", [4, 5])
def test_windows_may_overlap_or_adjoin(begins: int) -> None:
    assert in_order([window(begins, 9), window(1, 5)]).until == at(9)


@pytest.mark.hazard(number=12)
@pytest.mark.parametrize("others", [(), (window(2, 3),)])
def test_a_gap_between_two_windows_is_refused_with_its_times(others: Sequence[Export]) -> None:
    assert why(window(6.5, 9), *others, window(1, 5)) == (
        "no export has the changes from 2026-11-22 05:00:00 UTC to 2026-11-22 06:30:00 UTC; they would be missed.",
        "add --from-export with an incremental export that contains these times.",
    )


def test_a_full_export_is_read_first_and_has_what_was_before() -> None:
    windows = window(1, 2), window(4, 6), window(6, 8)

    exports = in_order([*windows, full(5, items=40)])

    assert exports.each == (full(5, items=40), *windows)
    assert (exports.since, exports.until) == (None, at(8))
    assert (exports.items, exports.changed) == (43, 3)


def test_the_newest_state_may_be_the_one_of_a_full_export() -> None:
    assert in_order([full(5), window(1, 4)]).until == at(5)


@pytest.mark.hazard(number=12)
def test_a_gap_after_a_full_export_is_refused() -> None:
    assert why(full(5), window(6, 8))[0] == (
        "no export has the changes from 2026-11-22 05:00:00 UTC to 2026-11-22 06:00:00 UTC; they would be missed."
    )


def test_two_full_exports_are_refused() -> None:
    assert why(full(7), window(4, 8), full(5)) == (
        "s3://bucket/full-5/ and s3://bucket/full-7/ are both full exports.",
        "give one full export, and incremental exports from its time on.",
    )


def test_two_exports_that_list_the_same_file_are_refused() -> None:
    one = window(1, 2, name="a")
    other = Export("s3://bucket/b/", "arn", at(3), {"s3://bucket/b/file": 1, **one.files}, at(2))

    assert why(other, one) == (
        "s3://bucket/b/ and s3://bucket/a/ both list s3://bucket/a/file, so one of their manifests is damaged.",
        "export the changes again.",
    )
