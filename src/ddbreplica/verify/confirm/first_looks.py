"""Look once at each of many keys, and keep those that still look different."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from threading import Lock

from ddbreplica.driver import Advance
from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.model import Key
from ddbreplica.verify.confirm.look import Look
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.threads import IsOver, run

_CHUNK = 10_000


@dataclass(slots=True)
class Survivors:
    """The keys that still look different, and those that only the archive has; both on disk. `close` removes them."""

    suspects: KeySet = field(default_factory=KeySet)
    archived: KeySet = field(default_factory=KeySet)

    def close(self) -> None:
        """Delete the keys."""
        self.suspects.close()
        self.archived.close()


def look_once(keys: KeySet, *, look: Look, threads: int, into: Survivors, advance: Advance) -> None:
    """Look at every key, in several threads, and add what is not equal to `into`. Raises the errors of reading."""
    chunks, lock = keys.chunks(MAX_KEYS), Lock()

    def work(is_over: IsOver) -> None:
        while not is_over():
            with lock:  # SQLite's cursor serves one thread at a time
                chunk = next(chunks, ())
            if not chunk:
                return
            sights = look(chunk)
            with lock:
                into.suspects.add(key for key, sight in sights.items() if sight.is_suspect)
                into.archived.add(key for key, sight in sights.items() if sight.is_archived)
            advance(len(chunk))

    run([work] * threads)


def choose(keys: KeySet, count: int, random: Random) -> Sequence[Key]:
    """Return a random choice of this many keys, or all if there are not more."""
    numbers = frozenset(random.sample(range(len(keys)), min(count, len(keys))))
    every = (key for chunk in keys.chunks(_CHUNK) for key in chunk)
    return [key for number, key in enumerate(every) if number in numbers]
