"""Calls that may have a request under way: what a state has to know before it says that none is."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from ddbreplica.errors import ReplicatorError, TaskError


class UnderWay:
    """Calls that may have a request under way: those that have begun, and have not ended in order."""

    def __init__(self) -> None:
        """None has begun."""
        self._calls = 0
        self._lock = Lock()

    @property
    def is_none(self) -> bool:
        """Whether it is certain that no request is under way."""
        return self._calls == 0

    @contextmanager
    def call(self) -> Iterator[None]:
        """A call that ends in order if the block does, or raises what `reconcile` and its journal raise.

        Anything else, such as a second Ctrl-C, may be raised while a response is waited for.
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
