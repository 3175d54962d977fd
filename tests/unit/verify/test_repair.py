"""repair: the outcome for each difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Barrier
from typing import cast

import pytest

from ddbreplica.driver import SILENT
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.model import Items, Key, Refusal, RefusalKind
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.verify.confirm.confirm import NOT_WATCHED
from ddbreplica.verify.difference import Difference, DifferenceKind
from ddbreplica.verify.repair import PIECE, Repairs, differing, foretell, leave
from tests.support.scanned import ScannedTable, item
from tests.support.scanned import key as numbered


def key(pk: str) -> Key:
    return (("PK", "S", pk),)


def difference(finding: DifferenceKind) -> Difference:
    return Difference(finding, key(finding.value))


ALL = [difference(finding) for finding in DifferenceKind]


def test_without_repair_differences_have_no_outcome() -> None:
    assert list(leave(ALL)) == [(each, None) for each in ALL]


def test_a_dry_run_returns_what_a_repair_would_do() -> None:
    assert {each.finding: said for each, said in foretell(ALL)} == {
        DifferenceKind.MISSING: "would be put",
        DifferenceKind.DIFFERENT: "would be put",
        DifferenceKind.EXTRA: "would be deleted",
        DifferenceKind.INCONCLUSIVE: None,
        DifferenceKind.ARCHIVED: None,
        DifferenceKind.MOVING: None,
    }


@dataclass
class Pair:
    """What a repair does with two tables: the keys that it reconciles and looks at, and how often it waits."""

    result: Reconciled | None = None
    unequal: list[Mapping[Key, DifferenceKind]] = field(default_factory=list)
    reconciled: list[Sequence[Key]] = field(default_factory=list)
    looked_at: list[Sequence[Key]] = field(default_factory=list)
    pauses: int = 0

    def reconcile(self, keys: Sequence[Key]) -> Reconciled:
        self.reconciled.append(keys)
        return self.result or Reconciled(confirmed=list(keys))

    def look(self, keys: Sequence[Key]) -> Mapping[Key, DifferenceKind]:
        self.looked_at.append(keys)
        return self.unequal.pop(0) if self.unequal else {}

    def pause(self) -> None:
        self.pauses += 1

    def repair(
        self, differences: Sequence[Difference], *, threads: int = 1
    ) -> list[tuple[Difference, str | None]]:
        repairs = Repairs(self.reconcile, self.look, self.pause, threads=threads, progress=SILENT.progress)
        return list(repairs(differences, about=len(differences)))


@pytest.mark.hazard(number=14)
def test_only_confirmed_differences_are_repaired() -> None:
    pair = Pair()

    repaired = pair.repair(ALL)

    assert pair.reconciled == [[key("missing"), key("different"), key("extra")]]
    assert [said for _, said in repaired] == ["repaired"] * 3 + [None] * 3
    assert pair.pauses == 0


def test_without_confirmed_differences_nothing_is_reconciled() -> None:
    pair = Pair()
    not_watched = Difference(DifferenceKind.INCONCLUSIVE, key("a"), reason=NOT_WATCHED)
    differences = [difference(DifferenceKind.INCONCLUSIVE), not_watched]

    assert pair.repair(differences) == [(each, None) for each in differences]
    assert pair.reconciled == pair.looked_at == []


def test_keys_that_were_not_watched_are_repaired_if_a_watched_one_differs() -> None:
    pair = Pair()
    others = [
        Difference(DifferenceKind.INCONCLUSIVE, key(f"{number}"), reason=reason)
        for number, reason in enumerate((NOT_WATCHED, "it is still changing", NOT_WATCHED))
    ]

    repaired = pair.repair([difference(DifferenceKind.MISSING), *others])

    assert [said for _, said in repaired] == ["repaired", "repaired", None, "repaired"]


def test_repaired_keys_are_compared_again_at_once_and_after_one_pause_for_all() -> None:
    late = {key(f"{number:04}"): DifferenceKind.DIFFERENT for number in (3, 150)}
    pair = Pair(unequal=[late, late, {}, {key("0150"): DifferenceKind.EXTRA}])
    differences = [Difference(DifferenceKind.MISSING, key(f"{number:04}")) for number in range(250)]

    repaired = {each.key: said for each, said in pair.repair(differences)}

    assert len(repaired) == 250
    assert repaired.pop(key("0150")) == "was written, and is extra again"
    assert set(repaired.values()) == {"repaired"}
    assert pair.pauses == 1
    assert pair.looked_at[-1] == [key("0003"), key("0150")]


def test_keys_that_were_not_repaired_have_a_reason_and_are_not_compared_again() -> None:
    refused = Refusal(RefusalKind.REJECTED, "ValidationException", "too large")
    reconciled = Reconciled(
        changing=[key("a")],
        in_doubt=[key("b")],
        refused=[(key("c"), refused)],
        confirmed=[key("d")],
        undecided=[key("e")],
    )
    pair = Pair(reconciled)

    repaired = pair.repair([Difference(DifferenceKind.MISSING, key(pk)) for pk in "abcde"])

    assert [said for _, said in repaired] == [
        "the source changed in every round",
        "an in-doubt write may still change the replica",
        "refused: ValidationException: too large",
        "repaired",
        "undecided: the item no longer exists in the source: it was deleted or has expired",
    ]
    assert pair.looked_at == [[key("d")]]


def test_differences_are_repaired_in_pieces_and_in_order() -> None:
    pair = Pair()
    differences = [Difference(DifferenceKind.MISSING, key(f"{number:04}")) for number in range(250)]

    repaired = pair.repair(differences, threads=3)

    assert [each for each, _ in repaired] == differences
    assert sorted(len(keys) for keys in pair.reconciled) == [50, PIECE, PIECE]


def test_pieces_are_repaired_in_several_threads_at_once() -> None:
    both = Barrier(2, timeout=10)

    class Slow(Pair):
        def reconcile(self, keys: Sequence[Key]) -> Reconciled:
            both.wait()  # breaks unless another thread comes here too
            return super().reconcile(keys)

    differences = [Difference(DifferenceKind.MISSING, key(f"{number:04}")) for number in range(2 * PIECE)]

    assert {said for _, said in Slow().repair(differences, threads=2)} == {"repaired"}


class TestDiffering:
    def tables(self, source: dict[int, int], replica: dict[int, int]) -> tuple[ScannedTable, ScannedTable]:
        one, other = (
            ScannedTable({number: item(number, value) for number, value in values.items()}, range(10))
            for values in (source, replica)
        )
        return one, other

    def test_each_kind_of_difference_is_recognized(self) -> None:
        source, replica = self.tables({1: 1, 2: 1, 3: 1}, {1: 1, 2: 2, 4: 1})

        found = differing([*map(numbered, range(1, 6))], source=source.reader, replica=replica.reader)

        assert found == {
            numbered(2): DifferenceKind.DIFFERENT,
            numbered(3): DifferenceKind.MISSING,
            numbered(4): DifferenceKind.EXTRA,
        }

    @pytest.mark.parametrize("replicated", [1, 2])
    def test_an_item_that_equals_either_read_of_the_source_is_equal(self, replicated: int) -> None:
        source, replica = self.tables({1: 1}, {1: replicated})

        class Changing:
            def __init__(self) -> None:
                self.reads = 0

            def get(self, keys: Sequence[Key]) -> Items:
                self.reads += 1
                source.items[1] = item(1, self.reads)
                return source.get(keys)

        reader = cast("TableReader", Changing())

        assert differing([numbered(1)], source=reader, replica=replica.reader) == {}
