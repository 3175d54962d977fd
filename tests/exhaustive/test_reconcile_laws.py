"""After `reconcile` the replica equals the source, despite any failures and for any number of keys."""

import random
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbreplica.model import Image, Key, State
from ddbreplica.reconcile.algorithm import ReconcileContext, Reconciled, reconcile
from ddbreplica.reconcile.journal_format import BACKFILL, COMMANDS
from tests.support.clock import Clock
from tests.support.fake_journal import FakeJournal
from tests.support.fake_replica import FakeReplica
from tests.support.fake_source import FakeSource
from tests.support.journals import JOB
from tests.support.weather import KEYS, Weather, item, key

TROUBLES = ("none", "throttled", "unprocessed", "lost", "killed")


@pytest.mark.parametrize("command", [*COMMANDS, JOB])
@settings(max_examples=60, deadline=None)
@given(
    chance=st.randoms(use_true_random=False),
    troubles=st.lists(st.sampled_from(TROUBLES), max_size=15),
    changes=st.integers(0, 60),
)
def test_any_number_of_keys_converges_despite_any_failures(
    chance: random.Random, troubles: list[str], changes: int, command: str
) -> None:
    weather = Weather(chance, troubles, changes, command)

    while not weather.reconcile(map(key, range(KEYS)), is_page=command in (BACKFILL, JOB)):
        pass
    weather.run_again()
    while keys := weather.unfinished():
        weather.reconcile(keys)

    weather.drain()
    assert weather.replica.items == weather.source.items


class Traffic:
    """A source that one thread writes to, and a replica that a second thread updates, until `is_over`."""

    def __init__(self) -> None:
        self.source = FakeSource(*(item(number, 1) for number in range(KEYS)))
        self.items: dict[Key, Any] = {}
        self.is_over = threading.Event()
        self._stream: deque[tuple[Key, State]] = deque()

    def change(self) -> None:
        for value in range(2, 5000):
            number = random.randrange(KEYS)  # noqa: S311
            if value % 3:
                self.source.put(item(number, value))
            else:
                self.source.items.pop(key(number), None)
            self._stream.append((key(number), self.source.items.get(key(number))))
        self.is_over.set()

    def deliver(self) -> None:
        while self._stream or not self.is_over.is_set():
            if self._stream:
                changed, state = self._stream.popleft()
                if state is None:
                    self.items.pop(changed, None)
                else:
                    self.items[changed] = dict(state)

    def reconcile(self, keys: Sequence[Key], seen: Mapping[Key, Image]) -> Reconciled:
        """Reconcile repeatedly, and once more at the end, always with the items of the first scan."""
        replica = FakeReplica()
        replica.items = self.items
        pair = ReconcileContext(self.source, replica, FakeJournal(lambda: 0))
        while not self.is_over.is_set():
            reconcile(keys, pair, deadline=Clock(1e6).deadline(), seen=seen)
        return reconcile(keys, pair, deadline=Clock(1e6).deadline(), seen=seen)


def test_reconcilers_in_threads_converge_with_writer_and_stream_in_threads() -> None:
    traffic = Traffic()
    parts = [[key(number) for number in range(start, KEYS, 3)] for start in range(3)]
    seen = {key(number): item(number, 1) for number in range(KEYS)}

    with ThreadPoolExecutor(5) as pool:
        others = [pool.submit(traffic.change), pool.submit(traffic.deliver)]
        reconciled = [pool.submit(traffic.reconcile, part, seen) for part in parts]

    assert [other.result() for other in others] == [None, None]
    assert [set(outcome.result().confirmed) for outcome in reconciled] == [set(part) for part in parts]
    assert traffic.items == traffic.source.items
