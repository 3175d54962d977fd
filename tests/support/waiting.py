"""A clock for commands that must not wait."""

from ddbreplica.driver import Interrupt, Patience


class NoTime:
    @staticmethod
    def sleep(_: float) -> None:
        """Return immediately."""


class Waiting(Interrupt):
    """A clock whose sleeps return immediately and count as slept."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._left = 2000

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.1)
        self._left -= 1
        assert self._left, "it never ends"

    def patience(self, seconds: float) -> Patience:
        return Patience(self, seconds=seconds, clock=lambda: self.now)
