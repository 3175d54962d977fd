"""Suspects → real differences, and what becomes of each: left as it is, foretold, or healed and verified again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from ddbreplica.model import Key
from ddbreplica.reconcile import LATE_SECONDS, Reconciled
from ddbreplica_cli.findings import REPAIRED, UNDECIDED
from ddbreplica_cli.keyset import KeySet
from ddbreplica_cli.recheck import CERTAIN, Difference, Finding

Mended: TypeAlias = tuple[Difference, str | None]
"""A difference, and what was done about it; None is nothing."""

Look: TypeAlias = Callable[[Sequence[Key]], Iterable[Difference]]
Mend: TypeAlias = Callable[[Sequence[Difference]], Iterable[Mended]]

CHUNK = 10_000
"""Suspects that share a grace."""
PIECE = 100
"""Differences that are held in memory, whole, and healed together."""


def settle(suspects: KeySet, *, look: Look, mend: Mend) -> Iterator[Mended]:
    """Look at every suspect again, and mend what differs."""
    for chunk in suspects.chunks(CHUNK):
        differences = iter(look(chunk))
        while piece := list(islice(differences, PIECE)):
            yield from mend(piece)


def leave(differences: Sequence[Difference]) -> Iterator[Mended]:
    """Do nothing about them."""
    return ((difference, None) for difference in differences)


def foretell(differences: Sequence[Difference]) -> Iterator[Mended]:
    """Say what a repair would do, going by what was found."""
    return ((difference, _FORETOLD[difference.finding]) for difference in differences)


def repairing(heal: Callable[[Sequence[Key]], Reconciled], look: Look) -> Mend:
    """Heal what certainly differs, and believe it only when it was found equal afterwards."""

    def mend(differences: Sequence[Difference]) -> Iterator[Mended]:
        certain = [d.key for d in differences if d.finding in CERTAIN]
        healed = heal(certain) if certain else Reconciled()
        said = _said(healed)
        for again in look(healed.confirmed):
            if again.finding is Finding.ARCHIVED:  # it has expired since
                continue
            said[again.key] = f"was written, and is {again.finding.value} again"
        return ((difference, said.get(difference.key)) for difference in differences)

    return mend


def _said(healed: Reconciled) -> dict[Key, str]:
    return {
        **dict.fromkeys(healed.confirmed, REPAIRED),
        **dict.fromkeys(healed.changing, "changed at the source each time"),
        **dict.fromkeys(healed.suspects, _LATE),
        **dict.fromkeys(healed.undecided, UNDECIDED),
        **{key: f"refused: {why.code}: {why.message}" for key, why in healed.refused},
    }


_LATE = f"not answered; the write may land within {LATE_SECONDS / 60:.0f} minutes"
_FORETOLD: Mapping[Finding, str | None] = {
    Finding.MISSING: "would be put",
    Finding.DIFFERENT: "would be put",
    Finding.EXTRA: "would be deleted",
    Finding.INCONCLUSIVE: None,
    Finding.ARCHIVED: None,
}
