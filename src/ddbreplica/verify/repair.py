"""Suspects → real differences, and what becomes of each: left as it is, foretold, or healed and verified again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from ddbreplica.model import Key
from ddbreplica.reconcile.primitive import Reconciled
from ddbreplica.verify.findings import REPAIRED, UNDECIDED
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.recheck import CERTAIN, Difference, Finding

Mended: TypeAlias = tuple[Difference, str | None]
"""A difference, and what was done about it; None is nothing."""

Look: TypeAlias = Callable[[Sequence[Key]], Iterable[Difference]]
Heal: TypeAlias = Callable[[Sequence[Key]], Reconciled]
"""Reconciles keys; none of the result has failed."""
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


def repairing(heal: Heal, look: Look) -> Mend:
    """Heal what certainly differs, and believe it only when it was found equal afterwards."""

    def mend(differences: Sequence[Difference]) -> Iterator[Mended]:
        certain = [d.key for d in differences if d.finding in CERTAIN]
        healed = heal(certain) if certain else Reconciled()
        said = outcomes(healed)
        for again in look(healed.confirmed):
            if again.finding is Finding.ARCHIVED:  # it has expired since
                continue
            said[again.key] = f"was written, and is {again.finding.value} again"
        return ((difference, said.get(difference.key)) for difference in differences)

    return mend


def outcomes(healed: Reconciled) -> dict[Key, str]:
    """Say of each key what became of it."""
    return {
        **dict.fromkeys(healed.confirmed, REPAIRED),
        **dict.fromkeys(healed.changing, "changed at the source each time"),
        **dict.fromkeys(healed.suspects, _IN_DOUBT),
        **dict.fromkeys(healed.undecided, UNDECIDED),
        **{key: f"refused: {why.code}: {why.message}" for key, why in healed.refused},
    }


_IN_DOUBT = "an in-doubt write may still change the replica"
_FORETOLD: Mapping[Finding, str | None] = {
    Finding.MISSING: "would be put",
    Finding.DIFFERENT: "would be put",
    Finding.EXTRA: "would be deleted",
    Finding.INCONCLUSIVE: None,
    Finding.ARCHIVED: None,
}
