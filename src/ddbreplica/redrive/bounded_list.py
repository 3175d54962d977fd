"""Keep the first of any number of values for a result, and count the others. Pure."""

from typing import Generic, TypeVar

from ddbreplica.records.text import printable

T = TypeVar("T")

LISTED = 10_000
"""The most values that are listed. Others are only counted, since a bucket may hold any number of objects."""

ROOM = 4 * 1024 * 1024
"""The most characters that these print. An escaped character prints up to twelve; a name may hold any character."""


class BoundedList(Generic[T]):
    """The first of any number of values, and the number of all."""

    def __init__(self) -> None:
        """Start empty."""
        self.first: list[T] = []
        self.count = 0
        self._room = ROOM

    def add(self, value: T, *texts: str) -> None:
        """Add a value, which prints these texts. After the first value without room, no other is listed."""
        self.count += 1
        if self.count > LISTED or self.more > 1:
            return
        self._room -= sum(len(printable(text)) for text in texts)
        if self._room >= 0:
            self.first.append(value)

    @property
    def more(self) -> int:
        """The number of values that are not listed."""
        return self.count - len(self.first)
