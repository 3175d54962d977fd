"""Update, delete and add items of the source in a thread, while a block runs."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from threading import Event
from typing import Final

from demo import traffic
from demo.pair import Item, Pair

_PAUSE: Final = 0.01


@dataclass(slots=True)
class Writer:
    """Writes items, and collects their keys by operation."""

    pair: Pair
    updated: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    stop: Event = field(default_factory=Event)

    @property
    def written(self) -> int:
        """Return the number of items updated, deleted and added so far."""
        return len(self.updated) + len(self.deleted) + len(self.added)

    def run(self) -> None:
        """Write until `stop` is set, or each item of the source was used once."""
        turns = cycle((self._update, self._delete, self._add))
        for write, (key, item) in zip(turns, self.pair.items(self.pair.source).items(), strict=False):
            if self.stop.wait(_PAUSE):
                return
            write(key, item)

    def _update(self, key: str, _item: Item) -> None:
        traffic.update(self.pair, [key])
        self.updated.append(key)

    def _delete(self, key: str, _item: Item) -> None:
        traffic.delete(self.pair, [key])
        self.deleted.append(key)

    def _add(self, key: str, item: Item) -> None:
        new = f"{key}-new"
        self.pair.dynamodb.put_item(TableName=self.pair.source, Item={**item, "PK": {"S": new}})
        self.added.append(new)


@contextmanager
def writing(pair: Pair) -> Iterator[Writer]:
    """Run a writer while the block runs. Raises the writer's error, unless the block raised one."""
    writer = Writer(pair)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(writer.run)
        try:
            yield writer
        finally:
            writer.stop.set()
    work.result()
