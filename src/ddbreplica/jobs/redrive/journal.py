"""The journal of a scheduled redrive: each of its open keys is in an object, or in the state of the redrives.

A key is opened for an object, which stays until the key is reconciled or in doubt. A key in doubt gets a new object.
So the state only has to tell the next redrive what a killed one may have been writing, and which keys in doubt could
not be quarantined.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.model import SUSPECT, Key
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal

_LEFT = "a write of redrive got no response, and its key could not be quarantined at once"


class RedriveJournal:
    """The keys that this redrive has opened. Every method may be called from several threads."""

    def __init__(self, state: StateJournal, quarantining: QuarantiningJournal) -> None:
        """Take the state's journal, also wrapped into one that quarantines keys in doubt."""
        self._state = state
        self._quarantining = quarantining
        self._unrecorded: set[Key] = set()
        self.quarantine = quarantining.quarantine
        """Where keys that were not reconciled are kept."""

    @property
    def progress(self) -> Any:
        """The JSON value that was noted last, by this or an earlier redrive; None if there is none."""
        return self._state.progress

    def note(self, progress: Any) -> None:
        """Note a JSON value, which the next save stores."""
        self._state.note(progress)

    def record_left(self) -> None:
        """Quarantine the keys that the last redrive left in doubt. Raises TaskError if one cannot be quarantined."""
        left = self._state.open_keys()
        self.quarantine.keep(dict.fromkeys(left, (SUSPECT, _LEFT)))
        self._state.confirm(left)

    def hand_over(self, *, continues: Callable[[], bool]) -> int:
        """Quarantine keys of a killed redrive whose writes can no longer land, and return their number.

        They are still in objects, unless another process has moved these.
        """
        return self._state.hand_over(self._quarantining.hand_over, continues=continues)

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys, durably. Return those that are not held back."""
        return self._state.intend(keys)

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys, which are reconciled or in an object."""
        self._state.confirm(keys)

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        """Hold keys back in this run, and quarantine them. Raises TaskError if they cannot be quarantined."""
        self._unrecorded.update(keys)
        self._quarantining.mark_in_doubt(keys)
        self._unrecorded.difference_update(keys)

    def leave(self) -> None:
        """Save that no request is under way. Only keys in doubt that could not be quarantined stay open."""
        self._state.confirm([key for key in self._state.open_keys() if key not in self._unrecorded])
        self._state.rest()
