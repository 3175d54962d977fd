"""Any number of values → the first of them, which are listed in a result, and how many others there are. Pure."""

from typing import Generic, TypeVar

from ddbreplica.records.text import printable

T = TypeVar("T")

LISTED = 10_000
"""Values that are listed. Others are only counted, since a bucket may hold any number of objects."""

ROOM = 4 * 1024 * 1024
"""Characters of these as they are printed, where one may be twelve: a name holds whatever its writer wants."""


class BoundedList(Generic[T]):
    """The first of any number of values, and how many there are."""

    def __init__(self) -> None:
        """None yet."""
        self.first: list[T] = []
        self.count = 0
        self._room = ROOM

    def add(self, value: T, *texts: str) -> None:
        """Add a value, which is printed with these texts. Once one has no room, no other is listed."""
        self.count += 1
        if self.count > LISTED or self.more > 1:
            return
        self._room -= sum(len(printable(text)) for text in texts)
        if self._room >= 0:
            self.first.append(value)

    @property
    def more(self) -> int:
        """How many are not listed."""
        return self.count - len(self.first)
