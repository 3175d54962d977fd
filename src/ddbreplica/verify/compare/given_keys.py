"""Compare given keys in both tables: those of --keys-from."""

from collections.abc import Sequence
from functools import partial
from threading import Lock

from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.model import Items, Key
from ddbreplica.records.compare import same
from ddbreplica.verify.compare.comparison import Comparison
from ddbreplica.verify.compare.pairing import REPLICA, SOURCE
from ddbreplica.verify.difference import Swept, total
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.threads import IsOver, run


class KeyComparison:
    """The comparison of given keys in both tables. It may be halted, and continued from where it was."""

    def __init__(self, comparison: Comparison, keys: KeySet, *, threads: int) -> None:
        """Compare these keys in so many threads."""
        self.about = 2 * len(keys)
        self.counts = Swept()
        self.is_done = False
        self._shared = comparison
        self._chunks = keys.chunks(MAX_KEYS)
        self._threads = threads
        self._lock = Lock()

    def run(self) -> None:
        """Compare until all keys are done or there are too many suspected differences. Raises like `Merge.run`."""
        self._shared.halted.clear()
        counts = [Swept() for _ in range(self._threads)]
        try:
            run([partial(self._run, each) for each in counts])
        finally:
            self.counts = total([self.counts, *counts])

    def _run(self, counts: Swept, is_over: IsOver) -> None:
        while not (self._shared.halted.is_set() or is_over()):
            with self._lock:
                # SQLite's cursor serves one thread at a time.
                chunk = next(self._chunks, ())
            if not chunk:
                self.is_done = True
                return
            self._compare(chunk, counts)

    def _compare(self, chunk: Sequence[Key], counts: Swept) -> None:
        theirs, ours = (self._get(side, chunk, counts) for side in (SOURCE, REPLICA))
        unequal = [key for key in chunk if not same(theirs.get(key), ours.get(key))]
        self._shared.unequal(unequal, theirs, counts)

    def _get(self, side: int, chunk: Sequence[Key], counts: Swept) -> Items:
        found = self._shared.tables[side].get(chunk)
        inside = self._shared.inside(found)
        self._shared.count(side, counts, compared=len(inside), outside=len(found) - len(inside))
        return inside
