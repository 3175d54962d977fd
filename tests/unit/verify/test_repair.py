"""repair: the outcome for each difference."""

from collections.abc import Sequence
from contextlib import closing

import pytest

from ddbreplica.model import Key, Refusal, RefusalKind
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.verify.difference import Difference, DifferenceKind
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.repair import PIECE, foretell, leave, repairing, settle


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


@pytest.mark.hazard(number=14)
def test_only_confirmed_differences_are_repaired() -> None:
    reconciled: list[Sequence[Key]] = []

    def reconcile(keys: Sequence[Key]) -> Reconciled:
        reconciled.append(keys)
        return Reconciled(confirmed=list(keys))

    repaired = list(repairing(reconcile, lambda _: ())(ALL))

    assert reconciled == [[key("missing"), key("different"), key("extra")]]
    assert [said for _, said in repaired] == ["repaired"] * 3 + [None] * 3


def test_without_confirmed_differences_nothing_is_reconciled() -> None:
    def reconcile(_: Sequence[Key]) -> Reconciled:
        raise AssertionError

    inconclusive = difference(DifferenceKind.INCONCLUSIVE)

    assert list(repairing(reconcile, lambda _: ())([inconclusive])) == [(inconclusive, None)]


def test_repaired_keys_are_compared_again() -> None:
    looked_at: list[Sequence[Key]] = []

    def look(keys: Sequence[Key]) -> Sequence[Difference]:
        looked_at.append(keys)
        return [Difference(DifferenceKind.DIFFERENT, key("missing"))]

    repaired = repairing(lambda keys: Reconciled(confirmed=list(keys)), look)(ALL[:2])

    assert [said for _, said in repaired] == ["was written, and is different again", "repaired"]
    assert looked_at == [[key("missing"), key("different")]]


def test_an_item_that_expires_after_its_repair_counts_as_repaired() -> None:
    repaired = repairing(
        lambda keys: Reconciled(confirmed=list(keys)),
        lambda keys: [Difference(DifferenceKind.ARCHIVED, keys[0])],
    )(ALL[:1])

    assert [said for _, said in repaired] == ["repaired"]


def test_keys_that_were_not_repaired_have_a_reason_and_are_not_compared_again() -> None:
    looked_at: list[Sequence[Key]] = []
    refused = Refusal(RefusalKind.REJECTED, "ValidationException", "too large")
    reconciled = Reconciled(
        changing=[key("a")],
        in_doubt=[key("b")],
        refused=[(key("c"), refused)],
        confirmed=[key("d")],
        undecided=[key("e")],
    )

    def look(keys: Sequence[Key]) -> Sequence[Difference]:
        looked_at.append(keys)
        return ()

    repaired = repairing(lambda _: reconciled, look)(
        [Difference(DifferenceKind.MISSING, key(pk)) for pk in "abcde"]
    )

    assert [said for _, said in repaired] == [
        "the source changed in every round",
        "an in-doubt write may still change the replica",
        "refused: ValidationException: too large",
        "repaired",
        "undecided: the item no longer exists in the source: it was deleted or has expired",
    ]
    assert looked_at == [[key("d")]]


def test_differences_are_repaired_in_pieces() -> None:
    sizes: list[int] = []

    def repair_step(differences: Sequence[Difference]) -> list[tuple[Difference, str | None]]:
        sizes.append(len(differences))
        return list(leave(differences))

    with closing(KeySet()) as suspects:
        suspects.add(key(f"{number:04}") for number in range(250))
        settled = settle(
            suspects,
            look=lambda keys: (Difference(DifferenceKind.MISSING, key) for key in keys),
            repair_step=repair_step,
        )

        assert [each.key for each, _ in settled] == [key(f"{number:04}") for number in range(250)]
    assert sizes == [PIECE, PIECE, 50]
