"""stream_witness: in random histories no change is missed, and each rule of the reading is necessary for that."""

from email.utils import formatdate
from random import Random

import pytest

from ddbreplica.aws.request import Unknown
from ddbreplica.dynamodb import stream
from ddbreplica.dynamodb.stream import Stream
from ddbreplica.model import Key
from ddbreplica.verify.confirm import stream_witness
from tests.support.fake_streams import refused
from tests.support.witnessed import MIDNIGHT, World, key

HISTORIES = 400
ITEMS = 60


class History:
    """A table that is written to while its shards split and requests are throttled.

    The stream shows everything up to 0.9 seconds later, and lists new shards up to 15 seconds later. Empty pages
    precede records: one, or four from the oldest record on. Four precede the end of a closed shard. AWS's time is
    measured up to 4 seconds too early.
    """

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311
        self.world = World()
        self.world.clock.observe(formatdate(MIDNIGHT - self.chance.randint(0, 4)), sent_at=MIDNIGHT)
        self.service = self.world.service
        self.writes: list[tuple[float, Key]] = []
        self._number = 0
        self._delay = self.chance.uniform(0, 0.9)
        self._open = ["a", "b", "c"][: self.chance.randint(1, 3)]
        self.service.shards = {shard: [] for shard in self._open}
        self._busy = self.chance.choice([0.2, 1.0, 5.0])
        self._splits = self.chance.choice([0.0, 0.05, 0.3])
        self._throttled = self.chance.choice([0.0, 0.2])
        self._blank: set[str] = set()
        self.service.hooks.append(self._request)

    def plan(self, seconds: float) -> None:
        """Plan writes and splits for a time that begins now."""
        for what, rate in ((self._write, self._busy), (self._split, self._splits)):
            at = self.chance.expovariate(rate) if rate else seconds
            while at < seconds:
                self.world.at(at, what)
                at += self.chance.expovariate(rate)

    def advance(self, seconds: float) -> None:
        """Let the time pass in small steps, since what is planned happens at the end of a step."""
        for _ in range(int(seconds * 4)):
            self.world.pass_time(0.25)

    def written(self, begin: float, end: float) -> set[Key]:
        return {item for at, item in self.writes if begin <= at < end}

    def _write(self) -> None:
        self._number += 1
        number, item, shard = self._number, self.chance.randrange(ITEMS), self.chance.choice(self._open)
        created = int(MIDNIGHT + self.service.now)
        self.writes.append((self.service.now, key(item)))
        self.service.keys[number] = {"PK": {"S": f"k{item}"}}
        self.world.at(self._delay, lambda: self.world.write(shard, number, created=created))

    def _split(self) -> None:
        parent = self.chance.choice(self._open)
        children = [f"{parent}{child}" for child in range(self.chance.randint(1, 2))]
        self._open = [shard for shard in self._open if shard != parent] + children
        self.world.at(self._delay, lambda: self._end(parent, children))

    def _end(self, parent: str, children: list[str]) -> None:
        self.service.ended.add(parent)
        self.service.parents |= dict.fromkeys(children, parent)
        self.service.blanks_at_end[parent] = self.chance.choice([0, 0, 4])
        self.service.hidden |= set(children)
        # New shards are listed before or after the others.
        new = {child: list[int]() for child in children}
        shards = self.service.shards
        self.service.shards = {**new, **shards} if self.chance.random() < 0.5 else {**shards, **new}
        self.world.at(
            self.chance.choice([0.0, 3.0, 15.0]), lambda: self.service.hidden.difference_update(children)
        )

    def _request(self, request: str) -> None:
        self.world.pass_time(self.chance.uniform(0, 0.1))
        if request == "GetRecords":
            for shard in self.service.shards:
                if shard not in self._blank and self.chance.random() < 0.05:
                    self._blank.add(shard)
                    self.service.blanks[shard] += 1
        if self.chance.random() < self._throttled:
            raise refused("ThrottlingException")


def missed(seed: int) -> set[Key] | None:
    """Watch all items during a history. Return the changes that the witness missed; None if it knows nothing."""
    history = History(seed)
    witness = history.world.witness
    items = frozenset(map(key, range(ITEMS)))
    history.plan(200)
    history.advance(history.chance.uniform(0, 5))
    before = history.service.now
    witness.begin()
    began = history.service.now
    for _ in range(history.chance.randint(0, 3)):
        history.advance(history.chance.uniform(0, 12))
        witness.keep_up(items)
    called = history.service.now
    changed = witness.changed(items)
    if isinstance(changed, Unknown):
        return None
    # What was written before may only count if its record, or its shard, appeared later.
    assert changed <= history.written(before - 16, history.service.now)
    return history.written(began, called) - changed


def not_silent(seed: int) -> set[Key] | None:
    """Return the items that were written during a history, and count as silent; None if that is not known."""
    history = History(seed)
    history.plan(30)
    history.service.blanks.update({shard: history.chance.randint(0, 3) for shard in history.service.shards})
    history.advance(history.chance.uniform(0, 30))
    called = history.service.now
    silent = history.world.witness.silent([key(item) for item in range(ITEMS)])
    return None if isinstance(silent, Unknown) else history.written(0, called) & silent


def test_no_change_is_missed() -> None:
    found = [missed(seed) for seed in range(HISTORIES)]

    assert [seed for seed, each in enumerate(found) if each] == []
    # Most histories can be read.
    assert found.count(None) < HISTORIES / 4


def test_no_item_with_a_change_is_silent() -> None:
    found = [not_silent(seed) for seed in range(HISTORIES)]

    assert [seed for seed, each in enumerate(found) if each] == []
    assert found.count(None) < HISTORIES / 4


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("EMPTY_PAGES", 1),
        ("SETTLING_SECONDS", 0),
        ("MARGIN_SECONDS", 0),
        ("_is_complete", lambda _: True),
    ],
)
def test_without_a_rule_of_the_witness_a_change_is_missed(
    monkeypatch: pytest.MonkeyPatch, rule: str, value: object
) -> None:
    monkeypatch.setattr(stream_witness, rule, value)

    assert any(missed(seed) for seed in range(HISTORIES))


def test_without_a_new_list_of_the_shards_a_change_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stream, "look_soon", lambda _: None)

    assert any(missed(seed) for seed in range(HISTORIES))


def test_if_closed_shards_count_as_open_a_change_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_is_open", lambda _: True)

    assert any(missed(seed) for seed in range(HISTORIES))


def test_without_a_complete_list_a_change_seems_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_witness, "_is_complete", lambda _: True)

    assert any(not_silent(seed) for seed in range(HISTORIES))


def test_with_fewer_empty_pages_a_change_seems_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_witness, "EMPTY_PAGES_FROM_OLDEST", 1)

    assert any(not_silent(seed) for seed in range(HISTORIES))
