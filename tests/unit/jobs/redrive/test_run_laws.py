"""Redrive by schedule: whatever fails or is killed, the tables are equal in the end but for what is in quarantine."""

from collections.abc import Sequence
from contextlib import suppress
from random import Random

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.jobs.redrive.journal import RedriveJournal
from ddbreplica.model import INTERRUPTED, SUSPECT, Key, Refusal, Write
from tests.support.fake_bucket import s3_error
from tests.support.fake_replica import INVALID, TIMED_OUT, FakeReplica, Request
from tests.support.memory_store import Fate
from tests.support.redrive_pair import RedrivePair
from tests.support.redriven import item, key

NAMES = [f"n{number:02}" for number in range(30)]
POISON = frozenset(NAMES[:3])
HOLD = 930.0


class Killed(BaseException):
    """The worker was killed."""


class World:
    """The pair of 30 items, three of which the replica refuses, and what goes wrong."""

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.random = Random(seed)  # noqa: S311
        self.pair = RedrivePair(*NAMES)
        self.late: list[tuple[float, Write]] = []
        self.trouble = 0.15
        self.replica = FakeReplica(
            script=self.respond, poison=lambda image: image["PK"]["S"] in POISON and "v" in image
        )
        self.pair.world.replica = self.replica
        self.pair.world.reconciled = self.before_reconcile
        self.pair.s3.before = lambda *_: self.before_bucket()
        self.pair.s3.before_put = self.before_bucket
        self.pair.store.before_write = self.before_save
        self.is_killed = False
        leave = RedriveJournal.leave

        def leave_unless_killed(journal: RedriveJournal) -> None:
            if not self.is_killed:
                leave(journal)

        # A worker that is killed does nothing more.
        monkeypatch.setattr(RedriveJournal, "leave", leave_unless_killed)

    def goes_wrong(self, share: float = 1.0) -> bool:
        return self.random.random() < self.trouble * share

    def kill(self) -> None:
        self.is_killed = True
        raise Killed

    def respond(self, request: Request) -> Sequence[Write] | Refusal:
        """Write, or send no response to a write that lands at once, later or never."""
        self.land()
        if not self.goes_wrong():
            return ()
        if self.random.random() < 0.7:
            lands = self.pair.clock.aws + self.random.choice([0.0, self.random.uniform(0, 900), 900.0])
            self.late += [(lands, write) for write in request if write.change.key[0][2] not in POISON]
        if self.goes_wrong():
            self.kill()
        return TIMED_OUT

    def before_reconcile(self, _: Sequence[Key]) -> None:
        self.pair.clock.pass_by(self.random.uniform(0, 5))
        if self.goes_wrong(0.3):
            self.kill()
        if self.goes_wrong(0.3):
            self.pair.clock.pass_by(240)

    def before_bucket(self) -> None:
        if self.is_killed:
            raise Killed
        if self.goes_wrong(0.1):
            raise s3_error("AccessDenied")
        if self.goes_wrong(0.1):
            self.kill()

    def before_save(self) -> None:
        if self.is_killed:
            raise Killed
        if self.goes_wrong(0.5):
            self.pair.store.fates.append(self.random.choice([Fate.LOST, Fate.UNSENT, Fate.RACE]))
        if self.goes_wrong(0.2):
            self.kill()

    def begin(self) -> None:
        """Leave old images in the replica, and objects with all their keys: some twice, some in batches."""
        left = [*NAMES, *self.random.sample(NAMES, 10)]
        self.random.shuffle(left)
        while left:
            count = self.random.choice([1, 1, 1, 4, 9])
            names, left = left[:count], left[count:]
            if count > 1:
                self.discard(names)
            else:
                code = self.random.choice([SUSPECT, INTERRUPTED])
                self.pair.doubt(names[0], age=self.random.uniform(0, 3600), code=code)

    def discard(self, names: Sequence[str]) -> None:
        name = self.pair.world.discard(*names, age=self.random.uniform(0, 3600))
        # The name of a batch is of its time, which is the same here.
        stored = self.pair.s3.present(name)
        assert stored
        stored.name = f"{name}-{stored.id}"

    def tick(self) -> None:
        """Start a redrive by the schedule, and let five minutes pass."""
        began = self.pair.clock.aws
        self.is_killed = False
        with suppress(TaskError, Killed):
            self.pair.redrive()
        self.is_killed = False
        self.pair.clock.pass_by(max(0.0, began + 300 - self.pair.clock.aws))
        self.land()
        if self.random.random() < self.trouble:
            self.change()
            self.operator_redrives()

    def change(self) -> None:
        """Change an item at the source; the function writes it, and gets the response."""
        name = self.random.choice([name for name in NAMES if name not in POISON])
        changed = {**item(name), "x": {"S": f"{self.pair.clock.aws}"}}
        self.pair.world.source.put(changed)
        self.replica.items[key(name)] = dict(changed)

    def operator_redrives(self) -> None:
        """Let another process reconcile keys whose holds are over, and move their objects."""
        for name in self.pair.s3.names:
            stored = self.pair.s3.present(name)
            if not (stored and name.startswith("quarantine/") and self.random.random() < 0.5):
                continue
            (found,) = (each for each in NAMES if f'"{each}"'.encode() in (stored.body or b""))
            age = self.pair.clock.aws - stored.at.timestamp()
            if age > HOLD and found not in POISON:
                self.replica.items[key(found)] = dict(self.pair.world.source.items[key(found)])
                self.pair.s3.store(name, None)

    def land(self) -> None:
        """Apply each write whose time has come, over whatever is there."""
        for each in [each for each in self.late if each[0] <= self.pair.clock.aws]:
            self.late.remove(each)
            self.replica.apply(each[1])


@pytest.mark.parametrize("seed", range(120))
def test_every_key_is_reconciled_or_in_quarantine_as_poison(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(seed, monkeypatch)
    monkeypatch.setattr("ddbreplica.redrive.scheduled.CHUNK_KEYS", 3)
    monkeypatch.setattr("ddbreplica.redrive.objects.PIECE", 4)
    world.begin()

    for _ in range(20):
        world.tick()
    world.trouble = 0.0
    for _ in range(15):
        world.tick()

    assert world.late == []
    wrong = {
        name
        for name in NAMES
        if world.replica.items.get(key(name)) != world.pair.world.source.items[key(name)]
    }
    assert wrong <= POISON
    assert {name for name, code in world.pair.codes} == wrong
    assert {code for _, code in world.pair.codes} <= {INVALID.code}
