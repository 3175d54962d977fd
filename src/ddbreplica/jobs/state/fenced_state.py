"""The state of a part of a job, which one worker owns at a time. A worker that was replaced can no longer save it.

A worker's first act is to write the state as its own. From then on, every save of the earlier owner fails, since it
has the ETag of the earlier content as its condition. No two contents are equal: each has the serial number of its save
and the nonce of its owner. Therefore an ETag never comes back, with which an earlier owner could save again.

What else a worker writes has a unique name, and counts only if a state lists it.
"""

import json
import math
import secrets
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ddbreplica.bucket.store import ATTEMPTS, Store, unwritten
from ddbreplica.errors import TaskError


@dataclass(frozen=True, slots=True)
class Owner:
    """One invocation of a worker. `deadline` is its end in AWS's time, in seconds since the epoch.

    The nonce is of this invocation alone: AWS Lambda repeats an invocation under the same request id.
    """

    nonce: str
    deadline: float

    @classmethod
    def until(cls, deadline: float) -> "Owner":
        """Return a new owner whose invocation ends at the deadline."""
        return cls(secrets.token_hex(16), deadline)


class SupersededError(Exception):
    """Another worker owns the state now, or the job was removed: stop, and write nothing more."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """What was saved last in a state: a JSON value, and None if nothing was saved.

    `written_until` is the latest deadline of its owners if one of them may be writing; None if the state is at rest.
    """

    content: Any = None
    written_until: float | None = None


@dataclass(frozen=True, slots=True)
class _Document:
    """The content of the object. `latest_deadline` is the latest of all owners so far, the present one included."""

    plan: str
    serial: int
    nonce: str
    latest_deadline: float
    is_at_rest: bool
    content: Any

    @property
    def body(self) -> bytes:
        """The text of the object."""
        members = {
            "schema": 1,
            "plan": self.plan,
            "serial": self.serial,
            "owner": self.nonce,
            "latest_deadline": float(self.latest_deadline),
            "at_rest": self.is_at_rest,
            "content": self.content,
        }
        return json.dumps(members, separators=(",", ":"), allow_nan=False).encode()

    @property
    def saved(self) -> SavedState:
        """What was saved last."""
        return SavedState(self.content, None if self.is_at_rest else self.latest_deadline)

    def taken_by(self, owner: Owner) -> "_Document":
        """Return the same state as an owner's own. It stays at rest until the owner saves, as it did nothing yet."""
        return replace(
            self,
            serial=self.serial + 1,
            nonce=owner.nonce,
            latest_deadline=max(self.latest_deadline, owner.deadline),
        )


_Found: TypeAlias = tuple[_Document, str]
"""A state as it is stored, and its ETag."""


class FencedState:
    """A state that this worker owns. It must not be used from several threads at once."""

    def __init__(self, store: Store, name: str, found: _Found, *, latest_deadline: float) -> None:
        """Take a state as this owner has stored it; `take` calls this."""
        self._store = store
        self._name = name
        self._document, self._etag = found
        self._serial = self._document.serial
        self.latest_deadline = latest_deadline
        """The latest deadline of any earlier owner; 0.0 if there is none."""
        self.was_at_rest = self._document.is_at_rest
        """Whether the last save of the earlier owners was at rest; also true if none has saved."""

    @classmethod
    def take(cls, store: Store, name: str, *, plan: str, owner: Owner) -> "FencedState":
        """Write the state as the owner's own, and return it. It is created if it does not exist.

        `plan` is the digest of the job's plan. Raises SupersededError if yet another worker takes the state at the
        same time, and TaskError if it is the state of another plan, or cannot be written.
        """
        before = _read(store, name, plan=plan)
        for _ in range(ATTEMPTS):
            earlier = before[0] if before else _unowned(plan)
            taken = earlier.taken_by(owner)
            result = (
                store.replace(name, taken.body, etag=before[1]) if before else store.create(name, taken.body)
            )
            now = (taken, result) if isinstance(result, str) else _read(store, name, plan=plan)
            if now and now[0].nonce == owner.nonce:
                return cls(store, name, now, latest_deadline=earlier.latest_deadline)
            # The earlier owner may save meanwhile. But of several new workers only one may continue.
            if _nonce(now) != _nonce(before):
                raise _superseded(name, now)
            before = now
        raise unwritten(f"the state {name}")

    @property
    def content(self) -> Any:
        """The JSON value that was saved last, by this or an earlier owner; None if there is none."""
        return self._document.content

    @property
    def saved(self) -> SavedState:
        """What was saved last, by this or an earlier owner."""
        return self._document.saved

    def save(self, content: Any, *, at_rest: bool = True) -> None:
        """Save a JSON value. The state is `at_rest` if no write to the replica may be under way.

        Raises SupersededError if this worker no longer owns the state. Raises TaskError if the value may not be saved;
        a later save then still decides correctly what was saved.
        """
        # A serial is never used for two contents: a write that got no response may still land, and looks like this one.
        self._serial += 1
        document = replace(self._document, serial=self._serial, is_at_rest=at_rest, content=content)
        for _ in range(ATTEMPTS):
            result = self._store.replace(self._name, document.body, etag=self._etag)
            if isinstance(result, str):
                self._document, self._etag = document, result
                return
            self._document, self._etag = self._read_back()
            if self._document.serial == document.serial:
                return
        raise unwritten(f"the state {self._name}")

    def _read_back(self) -> _Found:
        """Return the state as it is stored, if it is still this worker's."""
        found = _read(self._store, self._name, plan=self._document.plan)
        if found is None or found[0].nonce != self._document.nonce:
            raise _superseded(self._name, found)
        return found


def saved_in(store: Store, name: str, *, plan: str) -> SavedState:
    """Return what was saved last in a state. The state stays its owner's."""
    found = _read(store, name, plan=plan)
    return found[0].saved if found else SavedState()


def _unowned(plan: str) -> _Document:
    """Return a state that no worker has written yet."""
    return _Document(plan, serial=0, nonce="", latest_deadline=0.0, is_at_rest=True, content=None)


def _nonce(found: _Found | None) -> str | None:
    return found[0].nonce if found else None


def _superseded(name: str, found: _Found | None) -> SupersededError:
    return SupersededError(f"{name}: {'another worker owns the state' if found else 'the job was removed'}")


def _read(store: Store, name: str, *, plan: str) -> _Found | None:
    stored = store.read(name)
    if stored is None:
        return None
    try:
        document = _document(json.loads(stored.body))
    except (ValueError, RecursionError) as error:
        raise TaskError(
            f"the object {name} is not the state of a job, or was written by a later version of ddbreplica.",
            hint="resume the job with the version that started it, or start a new job.",
        ) from error
    if document.plan != plan:
        raise TaskError(f"the state {name} belongs to a job with another plan.", hint="start a new job.")
    return document, stored.etag


def _document(members: Any) -> _Document:
    """Return the document with these members. Raises ValueError if they are not as written."""
    match members:
        case {
            "schema": 1,
            "plan": str(plan),
            "serial": int(serial),
            "owner": str(nonce),
            "latest_deadline": float(deadline),
            "at_rest": bool(is_at_rest),
            "content": content,
        } if math.isfinite(deadline):
            return _Document(plan, serial, nonce, deadline, is_at_rest, content)
    raise ValueError(members)
