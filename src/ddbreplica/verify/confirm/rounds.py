"""Watch suspected differences in rounds: a key whose source item changed in a round is watched again."""

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from ddbreplica.aws.request import Unknown
from ddbreplica.driver import Note
from ddbreplica.model import Key
from ddbreplica.verify.confirm import plan
from ddbreplica.verify.confirm.seen import Seen
from ddbreplica.verify.confirm.watch import Watch
from ddbreplica.verify.confirm.witness import Witness

_BY_LOOKS = (
    "The source's stream cannot be used: {why}. Instead, many looks show whether the source changes, of at most"
    " {most} suspected differences."
)


@dataclass(slots=True)
class Outcome:
    """What the rounds have shown.

    `unequal` keys were unequal at every look, and their source item kept still for a round, or changed in every round.
    `excused` counts the keys that were equal at a look.
    `unseen` keys are those of which the witness could not tell whether they changed, and `left_out` those that were not
    watched to the end because of that.
    """

    unequal: dict[Key, Seen] = field(default_factory=dict)
    archived: list[Key] = field(default_factory=list)
    excused: int = 0
    unseen: list[Key] = field(default_factory=list)
    left_out: list[Key] = field(default_factory=list)


class _NoWitness:
    """The witness where the stream cannot be read: it knows of no change. The looks must then be enough."""

    def begin(self) -> None:
        """Do nothing."""

    def keep_up(self, watched: Container[Key]) -> Unknown | None:
        """Do nothing."""

    def changed(self, watched: Container[Key]) -> frozenset[Key] | Unknown:  # noqa: ARG002
        """Return no key."""
        return frozenset()

    def silent(self, keys: Collection[Key]) -> frozenset[Key] | Unknown:  # noqa: ARG002
        """Return no key."""
        return frozenset()


@dataclass(slots=True)
class Rounds:
    """Watches keys, with the stream as the witness as long as it can be read, and by looks alone from then on.

    `by_looks` is whether the latter was necessary. `suspects` is the number of all suspected differences, watched or
    not. At most `most_by_looks` keys are watched by looks alone.
    """

    watch_once: Watch
    witness: Witness
    rates: plan.Rates
    suspects: int
    note: Note
    most_by_looks: int = plan.MOST_BY_LOOKS
    by_looks: bool = field(default=False, init=False)

    def watch(self, keys: Sequence[Key], seconds: float, *, rounds: int) -> Outcome:
        """Watch keys until each was equal at a look, or kept still for a round, or changed in every round.

        A round lasts at least so many seconds. Raises the errors of reading.
        """
        outcome = Outcome(unseen=[*keys])
        if not self.by_looks:
            watching = plan.with_stream(seconds, keys=len(keys), rates=self.rates)
            why = self._until_settled(outcome, watching, rounds, self.witness)
            if why is None:
                return outcome
            self.by_looks = True
            self.note(_BY_LOOKS.format(why=why.why, most=self.most_by_looks))
        self._choose(outcome, looks := plan.looks_alone(rounds=rounds, suspects=self.suspects))
        watching = plan.by_looks(seconds, keys=len(outcome.unseen), looks=looks, rates=self.rates)
        self._until_settled(outcome, watching, rounds, _NoWitness())
        return outcome

    def _choose(self, outcome: Outcome, looks: int) -> None:
        """Leave out all unseen keys but a random choice, which is small, since each takes many looks."""
        most = min(plan.most_by_looks(self.most_by_looks, looks, self.rates), len(outcome.unseen))
        chosen = self.watch_once.timer.random.sample(outcome.unseen, most)
        outcome.left_out = [key for key in outcome.unseen if key not in frozenset(chosen)]
        outcome.unseen = chosen

    def _until_settled(
        self, outcome: Outcome, watching: plan.Plan, rounds: int, witness: Witness
    ) -> Unknown | None:
        """Watch the unseen keys in rounds. Return why the witness failed, or None."""
        pending = {key: Seen() for key in outcome.unseen}
        number = 0
        while pending:
            number += 1
            watched = frozenset(pending)
            witness.begin()
            # A witness that cannot see anything is asked at once, and not after a watch in vain.
            if number == 1 and (blind := witness.keep_up(watched)) is not None:
                return blind
            result = self.watch_once(pending, watching, partial(witness.keep_up, watched))
            outcome.archived += result.archived
            outcome.excused += result.excused
            outcome.unseen = list(result.unequal)
            changed = witness.changed(watched) if result.unequal else frozenset()
            if isinstance(changed, Unknown):
                return changed
            pending = _next(result.unequal, changed, number, rounds, outcome)
        outcome.unseen = []
        return None


def _next(
    unequal: Mapping[Key, Seen], changed: Container[Key], number: int, rounds: int, outcome: Outcome
) -> dict[Key, Seen]:
    """Add the keys that were watched enough to the outcome. Return the others."""
    again: dict[Key, Seen] = {}
    for key, seen in unequal.items():
        seen.end_round(has_record=key in changed)
        (outcome.unequal if _is_enough(seen, number, rounds) else again)[key] = seen
    return again


def _is_enough(seen: Seen, number: int, rounds: int) -> bool:
    """Return whether a key has been watched enough after so many rounds, in all of which but the last one it changed.

    The replica's change may fall into the next round. So a key of which the replica followed in some of the rounds,
    but not in `rounds` of them, may take twice as many.
    """
    if not seen.source_changed:
        return True
    return number >= rounds and (seen.followed == 0 or seen.followed >= rounds or number >= 2 * rounds)
