"""Two tables in memory whose scans return the items in any order, in any pages, while others write."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import cast

from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.model import Image, Items, Key, ScanPage


def key(number: int) -> Key:
    return (("PK", "S", f"{number:04}"),)


def item(number: int, value: object = 0) -> Image:
    return {"PK": {"S": f"{number:04}"}, "value": {"N": str(value)}}


@dataclass
class ScannedTable:
    """A table of numbered items. `before` is called before each request, so that a test can write meanwhile.

    `order` is the order of its scans. `segment_of` says in which of the segments an item lies. With `again`, a scan
    shows items of earlier pages a second time.
    """

    items: dict[int, Image]
    order: Sequence[int]
    segment_of: Callable[[int, int], int] = lambda number, of: number % of
    page: Callable[[], int] = lambda: 10
    again: Callable[[], bool] = lambda: False
    before: Callable[[], None] = lambda: None
    size: float = 100.0
    reads: list[str] = field(default_factory=list)
    looked_up: int = 0

    @property
    def reader(self) -> TableReader:
        return cast("TableReader", self)

    def scan_page(self, segment: int, *, of: int, after: Image | None, consistent: bool) -> ScanPage:
        self.before()
        self.reads.append("scan" if consistent else "eventual scan")
        start = int(after["at"]["N"]) if after else 0
        limit, shown = self.page(), []
        for at in range(start, len(self.order)):
            number = self.order[at]
            numbers = (number, self.order[at // 2]) if self.again() else (number,)
            shown += [
                self.items[each]
                for each in numbers
                if each in self.items and self.segment_of(each, of) == segment
            ]
            if len(shown) >= limit and at + 1 < len(self.order):
                return ScanPage(shown, {"at": {"N": str(at + 1)}}, 1.0, self.size * len(shown))
        return ScanPage(shown, None, 1.0, self.size * len(shown))

    def by_key(self, items: Iterable[Image]) -> dict[Key, Image]:
        return {key(int(each["PK"]["S"])): each for each in items}

    def get(self, keys: Sequence[Key], *, keys_only: bool = False) -> Items:
        self.before()
        self.reads.append("get")
        self.looked_up += len(keys)
        assert 0 < len(keys) <= 100
        numbers = [int(((_, _, text),) and text) for ((_, _, text),) in keys]
        found = {key(number): self.items[number] for number in numbers if number in self.items}
        return {each: {"PK": image["PK"]} for each, image in found.items()} if keys_only else found


@dataclass
class Writers:
    """Others who write both tables between two requests. `kept_still` are the numbers that they have not written."""

    random: Random
    tables: tuple[ScannedTable, ScannedTable]
    numbers: Sequence[int]
    chance: float
    written: set[int] = field(default_factory=set)

    def write(self) -> None:
        while self.random.random() < self.chance:
            number, table = self.random.choice(self.numbers), self.random.choice(self.tables)
            self.written.add(number)
            if self.random.random() < 0.3:
                table.items.pop(number, None)
            else:
                table.items[number] = item(number, self.random.randrange(3))
