"""seen: what looks at a key show."""

import pytest

from ddbreplica.records.compare import fingerprint
from ddbreplica.verify.confirm.seen import Seen, Sight

ABSENT = fingerprint(None)
A, B, C = (fingerprint({"v": {"N": number}}) for number in "123")


def sight(source: bytes, replica: bytes, *, before: bytes | None = None) -> Sight:
    return Sight.of(source if before is None else before, replica, source, is_archive=False)


@pytest.mark.parametrize(
    ("before", "replica", "after", "is_equal"),
    [(A, A, A, True), (A, A, B, True), (B, A, A, True), (A, B, A, False), (A, C, B, False)],
)
def test_the_replica_is_equal_if_it_has_either_state_of_the_source(
    before: bytes, replica: bytes, after: bytes, is_equal: bool
) -> None:
    found = Sight.of(before, replica, after, is_archive=False)

    assert found == Sight(after, replica, before != after, is_equal, is_archived=False)
    assert found.is_suspect is not is_equal


@pytest.mark.parametrize(
    ("before", "replica", "after", "is_archive", "is_archived"),
    [
        (ABSENT, A, ABSENT, True, True),
        (A, B, ABSENT, True, True),
        (ABSENT, A, ABSENT, False, False),
        (ABSENT, ABSENT, ABSENT, True, False),
        (A, B, A, True, False),
        (A, ABSENT, A, True, False),
    ],
)
def test_only_an_archive_may_have_an_item_that_the_source_does_not_have(
    before: bytes, replica: bytes, after: bytes, is_archive: bool, is_archived: bool
) -> None:
    found = Sight.of(before, replica, after, is_archive=is_archive)

    assert found.is_archived is is_archived
    assert found.is_suspect is (not is_archived and replica != after)


def test_the_source_changes_within_a_look_or_from_one_to_the_next() -> None:
    within, between = Seen(), Seen()

    within.add(sight(B, C, before=A))
    between.add(sight(A, C))
    assert (within.source_changed, between.source_changed) == (True, False)

    within.add(sight(B, C))
    between.add(sight(B, C))
    assert (within.source_changed, between.source_changed) == (True, True)
    assert (within.source, within.replica) == (B, C)


def test_two_looks_at_the_same_items_show_no_change() -> None:
    seen = Seen()
    for _ in range(3):
        seen.add(sight(A, B))

    assert (seen.source_changed, seen.replica_changed) == (False, False)


def test_the_replica_changes_from_one_look_to_the_next() -> None:
    seen = Seen()
    for replica in (B, C, C):
        seen.add(sight(A, replica))

    assert (seen.source_changed, seen.replica_changed) == (False, True)


def test_between_two_rounds_a_change_of_the_replica_counts_and_one_of_the_source_does_not() -> None:
    seen = Seen()
    seen.add(sight(A, B))
    seen.begin_round()
    seen.add(sight(B, C))

    assert (seen.source_changed, seen.replica_changed) == (False, True)


def test_a_round_forgets_the_changes_of_the_last_one() -> None:
    seen = Seen(source_changed=True, replica_changed=True, followed=1)
    seen.begin_round()

    assert seen == Seen(followed=1)


@pytest.mark.parametrize(
    ("source", "record", "replica", "changed", "followed"),
    [
        (True, False, True, True, 2),
        (False, True, True, True, 2),
        (True, True, False, True, 1),
        (False, False, True, False, 1),
    ],
)
def test_the_replica_followed_if_both_changed_in_a_round(
    source: bool, record: bool, replica: bool, changed: bool, followed: int
) -> None:
    seen = Seen(source_changed=source, replica_changed=replica, followed=1)
    seen.end_round(has_record=record)

    assert (seen.source_changed, seen.followed) == (changed, followed)
