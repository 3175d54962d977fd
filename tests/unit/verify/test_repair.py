"""repair: the outcome for each difference."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from threading import Barrier

import pytest

from ddbreplica.driver import SILENT
from ddbreplica.model import Key, Refusal, RefusalKind
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.verify.difference import NOT_WATCHED, Difference, DifferenceKind
from ddbreplica.verify.repair import PIECE, Repairs, foretell, leave


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


def test_a_dry_run_foretells_that_an_item_that_cannot_be_transformed_is_refused() -> None:
    untransformable = Difference(DifferenceKind.DIFFERENT, key("odd"), reason="it cannot be transformed")
    assert list(foretell([untransformable])) == [(untransformable, "would be refused")]


@dataclass
class Pair:
    """What a repair does with two tables: the keys that it reconciles and looks at, and how often it waits."""

    result: Reconciled | None = None
    unequal: list[Collection[Key]] = field(default_factory=list)
    reconciled: list[Sequence[Key]] = field(default_factory=list)
    looked_at: list[Sequence[Key]] = field(default_factory=list)
    pauses: int = 0

    def reconcile(self, keys: Sequence[Key]) -> Reconciled:
        self.reconciled.append(keys)
        return self.result or Reconciled(confirmed=list(keys))

    def look(self, keys: Sequence[Key]) -> Collection[Key]:
        self.looked_at.append(keys)
        return self.unequal.pop(0) if self.unequal else ()

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
    late = [key("0003"), key("0150")]
    pair = Pair(unequal=[late, late, [], [key("0150")]])
    differences = [Difference(DifferenceKind.MISSING, key(f"{number:04}")) for number in range(250)]

    repaired = {each.key: said for each, said in pair.repair(differences)}

    assert len(repaired) == 250
    assert repaired.pop(key("0150")) == "was written, and differs again"
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
