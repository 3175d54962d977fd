"""Redrive by schedule: whatever fails or is killed, the tables are equal in the end but for what is in quarantine."""

from collections.abc import Sequence
from contextlib import suppress
from random import Random

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.jobs.redrive.journal import RedriveJournal
from ddbreplica.model import INTERRUPTED, SUSPECT, Key, Refusal, State, Write
from ddbreplica.reconcile.reconciler import _CheckedJournal
from ddbreplica.redrive.scheduled import ScheduledRedriver
from ddbreplica.transform.view import AS_IT_IS, UNTRANSFORMABLE, untransformable
from tests.support.fake_bucket import s3_error
from tests.support.fake_replica import INVALID, TIMED_OUT, FakeReplica, Request
from tests.support.memory_store import Fate
from tests.support.redrive_pair import RedrivePair
from tests.support.redriven import item, key
from tests.support.taken_out import fails_without
from tests.support.transformed_pair import view_of

NAMES = [f"n{number:02}" for number in range(30)]
POISON = frozenset(NAMES[:3])
UNFIT = frozenset(NAMES[3:5])
"""Items that the present transform cannot take."""

HOLD = 930.0
VIEWS = (
    view_of({"set": {"by": {"S": "earlier"}}}),
    view_of({"set": {"by": {"S": "present"}}, "concat": {"joined": ["x#", {"attribute": "part"}]}}),
)
"""The function's transforms, one after the other."""


class Killed(BaseException):
    """The worker was killed."""


class World:
    """The pair of 30 items, three of which the replica refuses, and what goes wrong.

    If `changes`, the function has a transform, which is changed once. The present one cannot take two of the items.
    """

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch, *, changes: bool = False) -> None:
        self.random = Random(seed)  # noqa: S311
        self.views = VIEWS if changes else (AS_IT_IS, AS_IT_IS)
        self.may_change = changes
        self.pair = RedrivePair(*NAMES)
        self.late: list[tuple[float, Write]] = []
        self.trouble = 0.15
        self.replica = FakeReplica(
            script=self.respond, poison=lambda image: image["PK"]["S"] in POISON and "v" in image
        )
        self.pair.world.replica = self.replica
        self.pair.function_view = lambda: self.views[not self.may_change]
        if changes:
            for name in UNFIT:
                self.pair.world.source.put({**item(name), "part": {"BOOL": True}})
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
        if self.may_change and self.random.random() < 0.02:
            self.change_transform()
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
        self.pair.world.source.put({**self.pair.world.source.items[key(name)], **changed})
        self.write(name)

    def seen(self, name: str) -> State:
        """Return what the replica is to hold; None if the source's item cannot be transformed."""
        state = self.pair.function_view().of(self.pair.world.source.items[key(name)])
        return None if untransformable(state) else state

    def write(self, name: str) -> None:
        """Write what the replica is to hold, as the function does."""
        if (state := self.seen(name)) is not None:
            self.replica.items[key(name)] = dict(state)

    def change_transform(self) -> None:
        """Change the transform, and let a backfill with the present one run, while a redrive is about to write."""
        self.may_change = False
        self.pair.clock.pass_by(95)
        for name in NAMES:
            if name not in POISON:
                self.write(name)

    def operator_redrives(self) -> None:
        """Let another process reconcile keys whose holds are over, and move their objects."""
        for name in self.pair.s3.names:
            stored = self.pair.s3.present(name)
            if not (stored and name.startswith("quarantine/") and self.random.random() < 0.5):
                continue
            (found,) = (each for each in NAMES if f'"{each}"'.encode() in (stored.body or b""))
            age = self.pair.clock.aws - stored.at.timestamp()
            if age > HOLD and found not in POISON:
                self.write(found)
                self.pair.s3.store(name, None)

    def land(self) -> None:
        """Apply each write whose time has come, over whatever is there."""
        for each in [each for each in self.late if each[0] <= self.pair.clock.aws]:
            self.late.remove(each)
            self.replica.apply(each[1])


def redriven(seed: int, monkeypatch: pytest.MonkeyPatch, *, changes: bool = False) -> tuple[World, set[str]]:
    """Redrive until nothing goes wrong any more. Return the items that are not what the replica is to hold."""
    world = World(seed, monkeypatch, changes=changes)
    monkeypatch.setattr("ddbreplica.redrive.scheduled.CHUNK_KEYS", 3)
    monkeypatch.setattr("ddbreplica.redrive.objects.PIECE", 4)
    world.begin()

    for _ in range(20):
        world.tick()
    if world.may_change:
        world.change_transform()
    world.trouble = 0.0
    for _ in range(15):
        world.tick()

    assert world.late == []
    return world, {name for name in NAMES if world.replica.items.get(key(name)) != world.seen(name)}


@pytest.mark.parametrize("seed", range(120))
def test_every_key_is_reconciled_or_in_quarantine_as_poison(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, wrong = redriven(seed, monkeypatch)

    assert wrong <= POISON
    assert {name for name, code in world.pair.codes} == wrong
    assert {code for _, code in world.pair.codes} <= {INVALID.code}


@pytest.mark.parametrize("seed", range(60))
def test_no_item_of_an_earlier_transform_remains(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world, wrong = redriven(seed, monkeypatch, changes=True)

    assert wrong <= POISON | UNFIT
    kept = {name for name, code in world.pair.codes}
    assert wrong - UNFIT <= kept <= POISON | UNFIT
    assert {code for _, code in world.pair.codes} <= {INVALID.code, UNTRANSFORMABLE}


def test_without_a_check_before_a_key_is_closed_an_item_of_the_earlier_transform_remains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def in_all_seeds() -> None:
        for seed in range(60):
            _, wrong = redriven(seed, monkeypatch, changes=True)
            assert wrong <= POISON | UNFIT

    # Either of the two checks suffices here.
    monkeypatch.setattr(_CheckedJournal, "confirm", lambda journal, keys: journal._journal.confirm(keys))
    fails_without(
        monkeypatch, ScheduledRedriver._reconcile, "self._tools.check_transform()", "pass", in_all_seeds
    )
