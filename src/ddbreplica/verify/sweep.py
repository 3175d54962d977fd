"""Scan both tables in parallel and collect the keys that look different.

Each read is strongly consistent, but the two tables are not read at the same moment. Therefore the differences found
here are only suspected.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import ceil
from threading import Event, Lock

from ddbreplica.driver import Advance
from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.model import Items, Key
from ddbreplica.records.compare import same
from ddbreplica.verify.difference import Swept
from ddbreplica.verify.keyset import KeySet

MAX_SUSPECTS = 10_000
"""The number of suspected differences at which a sweep stops early, unless all differences are wanted."""


class Sweep:
    """One sweep over both tables. `swept` is correct at any time, so an interrupted sweep can be reported."""

    def __init__(
        self,
        tables: tuple[TableReader, TableReader],
        suspects: KeySet,
        *,
        advance: Advance,
        key_filter: KeyFilter = EVERY_KEY,
        archived: Callable[[Sequence[Key]], None] | None = None,
        max_suspects: int | None = MAX_SUSPECTS,
    ) -> None:
        """Create a sweep that adds suspected differences to `suspects` and reports compared items to `advance`.

        If the replica is an archive, `archived` receives the keys that only the replica has: they do not differ.
        """
        self.swept = Swept()
        self._source, self._replica = tables
        self._suspects = suspects
        self._archived = archived
        self._advance = advance
        self._key_filter = key_filter
        self._max_suspects = max_suspects
        self._halted = Event()
        self._lock = Lock()

    def over_tables(self, *, segments: int, sample: float = 1.0) -> None:
        """Compare all items of the source and all keys of the replica; stop early at `max_suspects`.

        If `sample` is less than 1, compare at most this fraction of each table, in random segments. No request is in
        progress when this returns or raises. Raises the errors of reading.
        """
        total = ceil(segments / sample)
        for look in (self._missing_or_different, self._extra):
            # At random, since fixed segments would never show the other items, however often a sample is taken.
            chosen = random.sample(range(total), segments)
            self._in_threads([partial(look, segment, of=total) for segment in chosen])

    def over_keys(self, keys: KeySet, *, threads: int) -> None:
        """Compare these keys in both tables. Stops early and raises like `over_tables`."""
        chunks = keys.chunks(MAX_KEYS)
        self._in_threads([partial(self._these, chunks)] * threads)

    def _in_threads(self, looks: Sequence[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(len(looks), thread_name_prefix="sweep") as pool:
            for future in [pool.submit(self._halting, look) for look in looks]:
                future.result()

    def _halting(self, look: Callable[[], None]) -> None:
        try:
            look()
        except BaseException:
            self._halted.set()
            raise

    def _missing_or_different(self, segment: int, *, of: int) -> None:
        for page in self._source.scan(segment, of=of):
            if self._halted.is_set():
                return
            inside = self._of_source(page)
            self._note(_unlike(inside, self._replica.get(list(inside))), source=len(inside))

    def _extra(self, segment: int, *, of: int) -> None:
        for page in self._replica.scan(segment, of=of, keys_only=True):
            if self._halted.is_set():
                return
            inside = self._of_replica(page)
            # Keys are enough: the scan of the source has compared the items.
            found = self._source.get(list(inside), keys_only=True)
            self._note_extra([key for key in inside if key not in found], replica=len(inside))

    def _these(self, chunks: Iterator[Sequence[Key]]) -> None:
        while not self._halted.is_set():
            with self._lock:
                # SQLite's cursor serves one thread at a time.
                chunk = next(chunks, ())
            if not chunk:
                return
            theirs = self._of_source(self._source.get(chunk))
            ours = self._of_replica(self._replica.get(chunk))
            self._note(_unlike(theirs, ours), source=len(theirs))
            self._note_extra([key for key in ours if key not in theirs], replica=len(ours))

    def _of_source(self, items: Items) -> Items:
        """Return the items to compare, and count those that the filter excludes."""
        inside, outside = self._parted(items)
        with self._lock:
            self.swept.source_outside += outside
        return inside

    def _of_replica(self, items: Items) -> Items:
        inside, outside = self._parted(items)
        with self._lock:
            self.swept.replica_outside += outside
        return inside

    def _parted(self, items: Items) -> tuple[Items, int]:
        inside = {key: item for key, item in items.items() if self._key_filter.passes(key)}
        self._advance(outside := len(items) - len(inside))
        return inside, outside

    def _note_extra(self, extra: Sequence[Key], *, replica: int) -> None:
        if self._archived is None:
            self._note(extra, replica=replica)
            return
        with self._lock:
            self._archived(extra)
        self._note((), replica=replica)

    def _note(self, suspects: Sequence[Key], *, source: int = 0, replica: int = 0) -> None:
        with self._lock:
            self.swept.source_items += source
            self.swept.replica_items += replica
            self._suspects.add(suspects)
            self.swept.suspects = len(self._suspects)
            if self._max_suspects is not None and self.swept.suspects >= self._max_suspects:
                self.swept.stopped_early = True
                self._halted.set()
        self._advance(source + replica)


def _unlike(page: Items, found: Items) -> Sequence[Key]:
    return [key for key, item in page.items() if not same(item, found.get(key))]
