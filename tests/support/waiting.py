"""Time for a command that is to wait for nothing."""

from ddbreplica.driver import Interrupt, Patience


class NoTime:
    @staticmethod
    def sleep(_: float) -> None:
        """Not at all."""


class Waiting(Interrupt):
    """Whoever sleeps has slept at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._left = 2000

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.1)
        self._left -= 1
        assert self._left, "it goes on for ever"

    def patience(self, seconds: float) -> Patience:
        return Patience(self, seconds=seconds, clock=lambda: self.now)
