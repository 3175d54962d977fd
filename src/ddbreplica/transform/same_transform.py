"""Make sure that what a command does is of the transform that the function has by then.

A command that writes with an earlier transform may write over what the function, or another command, has written with
the present one. So it reads the function's transform before its work, while it writes, and after its last write was
answered. Only then is a cursor, an object or a verdict final.
"""

from collections.abc import Callable
from math import inf
from threading import Lock
from typing import Final, TypeVar

from ddbreplica.errors import TransformChangedError
from ddbreplica.transform.view import AS_IT_IS, View

T = TypeVar("T")

CHECK_SECONDS: Final = 30.0
"""How often a command that writes reads the function's transform. A backfill waits longer than that after a change."""


class SameTransform:
    """The transform that a command began with. Several threads may use it at once."""

    def __init__(self, view: View, read_digest: Callable[[], str | None], ticks: Callable[[], float]) -> None:
        """Take the view that the command began with.

        `read_digest` reads the digest of the function's present transform, and `ticks` are the seconds of a clock.
        """
        self.view = view
        self._read_digest = read_digest
        self._ticks = ticks
        self._next = -inf
        self._lock = Lock()

    def check(self) -> None:
        """Raise TransformChangedError if the function has another transform, which is read once in CHECK_SECONDS.

        Also raises TaskError if it cannot be read.
        """
        with self._lock:
            if self._ticks() >= self._next:
                self.check_now()
                # Not before: after an error, no thread goes on.
                self._next = self._ticks() + CHECK_SECONDS

    def check_now(self) -> None:
        """Raise as `check` does. What was written before this call is then written with the function's transform."""
        if self._read_digest() != self.view.digest:
            raise TransformChangedError(
                "the function's transform was changed meanwhile.", hint="run the same command again."
            )


def fixed(view: View) -> SameTransform:
    """Return a transform that no function can change: one that an option gives, or none."""
    return SameTransform(view, lambda: view.digest, lambda: 0.0)


NO_TRANSFORM: Final = fixed(AS_IT_IS)


def begin_again_once(work: Callable[[], T], note: Callable[[str], object]) -> T:
    """Do some work. If the transform was changed meanwhile, do it once more, with the present one.

    `work` reads the transform at its beginning. If it was changed twice, raises TransformChangedError.
    """
    try:
        return work()
    except TransformChangedError as changed:
        note(f"{changed.fact[0].upper()}{changed.fact[1:]} Beginning again.")
        return work()
