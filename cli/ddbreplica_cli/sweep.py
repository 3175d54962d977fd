"""Two tables → the keys under which they may differ: one pass over each, in parallel segments, page by page.

Every read is consistent, but no two reads are of one moment, so that what is found here is only suspected.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock

from ddbreplica.model import Key
from ddbreplica_cli.compare import Item, same
from ddbreplica_cli.progress import Advance
from ddbreplica_cli.tables import Page, TableReader

MAX_SUSPECTS = 10_000
"""Where the pass ends early: so many differences tell enough, and all of them might not fit into memory."""


@dataclass(slots=True)
class Swept:
    """What a sweep has seen so far. `suspects` are key attributes by key."""

    source_items: int = 0
    replica_items: int = 0
    suspects: dict[Key, Item] = field(default_factory=dict)
    stopped_early: bool = False


class Sweep:
    """One sweep. `swept` is right at any moment, so that an end at any moment can be told."""

    def __init__(
        self,
        source: TableReader,
        replica: TableReader,
        *,
        segments: int,
        advance: Advance,
        max_suspects: int = MAX_SUSPECTS,
    ) -> None:
        """`advance` is told of every item looked at, on either side."""
        self.swept = Swept()
        self._source = source
        self._replica = replica
        self._segments = segments
        self._advance = advance
        self._max_suspects = max_suspects
        self._halted = Event()
        self._lock = Lock()

    def run(self) -> None:
        """Look at every item of the source and every key of the replica, unless there are too many suspects.

        When it returns or raises, no request is under way. Raises what reading raises.
        """
        self._in_segments(self._missing_or_different)
        self._in_segments(self._extra)

    def _in_segments(self, look: Callable[[int], None]) -> None:
        with ThreadPoolExecutor(self._segments, thread_name_prefix="sweep") as pool:
            for future in [pool.submit(self._halting, look, segment) for segment in range(self._segments)]:
                future.result()

    def _halting(self, look: Callable[[int], None], segment: int) -> None:
        try:
            look(segment)
        except BaseException:
            self._halted.set()
            raise

    def _missing_or_different(self, segment: int) -> None:
        for page in self._source.scan(segment, of=self._segments):
            if self._halted.is_set():
                return
            self._note(page, self._unlike(page), is_source=True)

    def _unlike(self, page: Page) -> dict[Key, Item]:
        expected = self._source.by_key(page)
        keys = {key: self._source.key_attributes(item) for key, item in expected.items()}
        found = self._replica.get(list(keys.values()))
        return {key: keys[key] for key, item in expected.items() if not same(item, found.get(key))}

    def _extra(self, segment: int) -> None:
        for page in self._replica.scan(segment, of=self._segments, keys_only=True):
            if self._halted.is_set():
                return
            keys = self._replica.by_key(page)
            found = self._source.get(list(keys.values()), keys_only=True)
            self._note(page, {key: keys[key] for key in keys.keys() - found.keys()}, is_source=False)

    def _note(self, page: Page, suspects: dict[Key, Item], *, is_source: bool) -> None:
        with self._lock:
            if is_source:
                self.swept.source_items += len(page)
            else:
                self.swept.replica_items += len(page)
            self.swept.suspects.update(suspects)
            if len(self.swept.suspects) >= self._max_suspects:
                self.swept.stopped_early = True
                self._halted.set()
        self._advance(len(page))
