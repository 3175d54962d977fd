"""Store the progress of a verification in its state file, so that the same command goes on where it ended.

A position is stored only together with the keys that wait for their partner there, and after all suspected
differences that were found before it. A suspected difference is forgotten only together with what was found of it. A
kill may cut the file after any line.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import Any

from ddbreplica.errors import TaskError
from ddbreplica.model import Key
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import DAMAGED, IDENTITY, as_json
from ddbreplica.records.decode import MalformedError, key_of
from ddbreplica.verify.compare.checkpoint import Resumable, SegmentState
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.result.findings import Findings

SAVE_SECONDS = 10.0
"""How often the position of a segment, and what was found of the suspected differences, is stored."""

_OPTIONS, _CHOSEN, _BEGAN, _SETTLED = "options", "chosen", "began", "settled"
_SEGMENT, _SUSPECTS, _DECIDED = "segment", "suspects", "decided"


class SavedProgress:
    """The stored progress of one verification. Without a journal nothing is stored.

    `began` is the time when its first scan began, in any run. `has_resumed` is whether an earlier run has begun it.
    """

    def __init__(self, journal: FileJournal | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read nothing yet."""
        self.began = ""
        self.has_resumed = False
        self._journal = journal
        self._clock = clock
        self._head: Mapping[str, Any] = {}
        self._saved_at: dict[int, float] = {}
        self._new_suspects: list[Key] = []
        self._new_decided: list[Key] = []
        self._decided_at = clock()
        self._group = 0
        self._lock = Lock()

    @property
    def is_begun(self) -> bool:
        """Whether an earlier run has begun a verification."""
        return self._journal is not None and _BEGAN in self._journal.notes

    @property
    def name(self) -> str | None:
        """The name of the state file; None without one."""
        return self._journal.name if self._journal else None

    def begin(
        self, options: Mapping[str, Any], *, began: str, chosen: Sequence[int]
    ) -> Sequence[SegmentState]:
        """Begin or resume the verification of the chosen segments. Return the state of each segment.

        A resumed verification compares the segments that were chosen when it began. Raises TaskError if the state is
        that of other options, or is damaged.
        """
        self.began = began
        if self._journal is None:
            return [SegmentState(number) for number in chosen]
        with self._reading():
            if not self.is_begun:
                # Stored with the first position, so that a run that compares nothing leaves nothing.
                # `began` comes last, since it makes the others count.
                self._head = {_OPTIONS: options, _CHOSEN: list(chosen), _BEGAN: began}
                return [SegmentState(number) for number in chosen]
            notes = self._journal.notes
            self._journal.resume(options, under=_OPTIONS)
            self.has_resumed = True
            self.began = datetime.fromisoformat(notes[_BEGAN]).isoformat()
            if len(set(notes[_CHOSEN])) != len(chosen):
                raise ValueError(notes[_CHOSEN])
            return [_state(number, notes.get(f"{_SEGMENT} {number}")) for number in notes[_CHOSEN]]

    def forget_other(self, transform: str | None) -> bool:
        """Forget the progress if it is of another transform than that with this digest, and return whether it was."""
        options = self._journal.notes.get(_OPTIONS) if self._journal is not None else None
        is_other = isinstance(options, dict) and options.get("transform") != transform
        if is_other:
            self.forget()
        return is_other

    def restore(self, findings: Findings, suspects: KeySet) -> None:
        """Restore what earlier runs have found, and add the suspected differences that they have not decided."""
        if self._journal is None:
            return
        notes = self._journal.notes
        with self._reading():
            if _SETTLED in notes:
                self._group = int(notes[_SETTLED]["group"])
                findings.restore(notes[_SETTLED]["counts"])
            for name in self._names(_SUSPECTS):
                suspects.add([key_of(key) for key in notes[name]])
            for name in self._names(_DECIDED):
                suspects.remove([key_of(key) for key in notes[name]["keys"]])
                findings.restore(notes[name]["counts"])

    def suspected(self, keys: Sequence[Key]) -> None:
        """Note suspected differences, which are stored with the next position."""
        if self._journal is not None:
            with self._lock:
                self._new_suspects += keys

    def save(self, segment: Resumable) -> None:
        """Store the position of a segment, at most once in SAVE_SECONDS. Each thread may save its own segment."""
        now = self._clock()
        if self._journal is not None and now - self._saved_at.setdefault(segment.number, now) >= SAVE_SECONDS:
            self._saved_at[segment.number] = now
            self.save_all([segment])

    def save_all(self, segments: Sequence[Resumable]) -> None:
        """Store the positions of these segments now. None of them may be in a step."""
        if self._journal is None:
            return
        states = [segment.state for segment in segments if segment.has_begun]
        with self._lock:
            if states or self._new_suspects:
                suspects = as_json(self._new_suspects)
                # The suspects first: after a kill only the last notes may be missing, and these are positions.
                self._journal.note_all(
                    {
                        **self._head,
                        **({self._next_name(_SUSPECTS): suspects} if suspects else {}),
                        **{f"{_SEGMENT} {state.number}": state.document() for state in states},
                    }
                )
                self._head, self._new_suspects = {}, []

    def decided(self, key: Key, findings: Findings) -> None:
        """Note that a suspected difference is among the findings now. Store it within SAVE_SECONDS."""
        if self._journal is not None:
            self._new_decided.append(key)
            if self._clock() - self._decided_at >= SAVE_SECONDS:
                self.save_decided(findings)

    def save_decided(self, findings: Findings) -> None:
        """Store the findings together with the keys of those that are new."""
        if self._journal is not None and self._new_decided:
            self._decided_at = self._clock()
            keys = as_json(self._new_decided)
            # In one line, or after a kill some differences would count twice, or not at all.
            self._journal.note(self._next_name(_DECIDED), {"keys": keys, "counts": findings.state_document()})
            self._new_decided = []

    def settled(self, findings: Findings) -> None:
        """Store the findings, and forget the suspected differences, which were all decided."""
        if self._journal is None:
            return
        done = (*self._names(_SUSPECTS), *self._names(_DECIDED))
        self._group += 1
        self._new_decided = []
        # The group in the line of the findings makes the others void, which are emptied only to save space.
        settled = {"group": self._group, "counts": findings.state_document()}
        self._journal.note_all({_SETTLED: settled, **{name: [] for name in done}})

    def forget(self) -> None:
        """Forget the progress, since the verification is complete."""
        if self._journal is not None:
            self._journal.forget(keep=[IDENTITY])

    def _names(self, what: str) -> Sequence[str]:
        """Return the names of the notes of a kind about the suspected differences that are not settled, in order."""
        notes = self._journal.notes if self._journal else ()
        return [name for name in notes if name.startswith(f"{what} {self._group} ")]

    def _next_name(self, what: str) -> str:
        return f"{what} {self._group} {len(self._names(what))}"

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError, MalformedError) as error:
            raise TaskError(
                f"{self.name}: the progress in it was not written by ddbreplica, or is damaged.", hint=DAMAGED
            ) from error


def _state(number: Any, document: Mapping[str, Any] | None) -> SegmentState:
    if type(number) is not int:
        raise TypeError(number)
    return SegmentState(number) if document is None else SegmentState.read(number, document)
