"""A command's state in memory, in the form of a state file, and a clock that only the test moves."""

from collections.abc import Iterable, Iterator
from email.utils import formatdate

from ddbreplica.aws.clock import Clock


class MemoryLines:
    """Lines on which journals can be opened one after the other. `durable` are the lines that had to be synced."""

    name = "state"

    def __init__(self, content: bytes = b"") -> None:
        self.content = content
        self.appended = 0
        self.durable: list[bytes] = []
        self.is_open = True

    def read(self) -> Iterator[bytes]:
        return iter(self.content.splitlines(keepends=True))

    def append(self, line: bytes, *, durably: bool) -> None:
        self.content += line
        self.appended += len(line)
        if durably:
            self.durable.append(line)

    def replace(self, lines: Iterable[bytes]) -> None:
        self.content, self.appended = b"".join(lines), 0

    def close(self) -> None:
        self.is_open = False

    def remove(self) -> None:
        self.content = b""
        self.close()


class ManualClock(Clock):
    """A machine's clock, which is `ahead_by` seconds ahead of AWS's clock. `pass_by` moves both clocks."""

    def __init__(self, *, aws: float = 1_764_288_000.0, ahead_by: float = 0.0) -> None:
        self.monotonic = 5000.0
        self.aws = aws
        self.ahead_by = ahead_by
        super().__init__(lambda: self.monotonic)

    def pass_by(self, seconds: float) -> None:
        self.monotonic += seconds
        self.aws += seconds

    def respond(self) -> None:
        """Observe the date of a response."""
        self.observe(formatdate(self.aws, usegmt=True), sent_at=self.aws + self.ahead_by)

    def next_run(self) -> "ManualClock":
        """Return the clock of another process on the same machine, which has seen no response yet."""
        another = ManualClock(aws=self.aws, ahead_by=self.ahead_by)
        another.monotonic = self.monotonic
        return another
