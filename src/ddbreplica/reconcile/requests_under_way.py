"""Count the calls that may wait for a response, so that a state file can record when none does."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from ddbreplica.errors import ReplicatorError, TaskError


class UnderWay:
    """The number of calls that may have a request under way: they have begun, and have not ended normally."""

    def __init__(self) -> None:
        """Start with no call."""
        self._calls = 0
        self._lock = Lock()

    @property
    def is_none(self) -> bool:
        """Whether it is certain that no request is under way."""
        return self._calls == 0

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count a call. It ends in order if the block ends, or raises an error of `reconcile` or its journal.

        Any other exception, such as a second Ctrl-C, may be raised while the block waits for a response.
        """
        with self._lock:
            self._calls += 1
        try:
            yield
        except (TaskError, ReplicatorError):
            self._ended()
            raise
        self._ended()

    def _ended(self) -> None:
        with self._lock:
            self._calls -= 1
