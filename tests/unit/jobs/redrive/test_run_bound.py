"""Redrive by schedule: an in-doubt write that was recorded is reconciled within 30 minutes, on a simulated clock.

The function's write gets no response, and lands as late as AWS accepts its time stamp, over what was written since. The
schedule starts a redrive every five minutes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from ddbreplica.aws.clock import EXPIRY_SECONDS, MAX_AHEAD_SECONDS, Skew
from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.deadline import Deadline
from ddbreplica.jobs.redrive.journal import RedriveJournal
from ddbreplica.model import SUSPECT, Image, Key, Quarantined, Refusal, State, Write
from tests.support.fake_replica import TIMED_OUT, FakeReplica, Request
from tests.support.fake_s3 import NAME
from tests.support.records import put
from tests.support.redrive_pair import RedrivePair
from tests.support.redriven import item, key

BOUND = 1800.0
INTERVAL = 300.0
"""The default of RedriveScheduleExpression."""

TIMEOUT = 60.0
"""The default timeout of the function. It records its in-doubt writes before it ends."""

INVOCATION = 900.0
"""The timeout of the worker."""


@dataclass
class World:
    """The pair, the writes that land later, and the next time at which the schedule starts a redrive."""

    pair: RedrivePair
    next_redrive: float
    late: list[tuple[float, str, State]] = field(default_factory=list)

    @property
    def now(self) -> float:
        return self.pair.clock.aws

    def until(self, time: float) -> None:
        """Let time pass. What lands and what the schedule starts happens in order."""
        while True:
            landing = min((at for at, _, _ in self.late), default=time)
            at = min(landing, self.next_redrive, time)
            self.pair.clock.pass_by(max(0.0, at - self.now))
            self.land()
            if self.now >= self.next_redrive:
                self.next_redrive += INTERVAL
                self.pair.redrive(timeout=INVOCATION)
            elif self.now >= time:
                return

    def land(self) -> None:
        """Apply the writes whose time has come."""
        for each in sorted((each for each in self.late if each[0] <= self.now), key=lambda each: each[0]):
            self.late.remove(each)
            self.write(each[1], each[2])

    def write(self, name: str, state: State) -> None:
        if state is None:
            self.pair.world.replica.items.pop(key(name), None)
        else:
            self.pair.world.replica.items[key(name)] = dict(state)

    def change(self, name: str, state: Image) -> None:
        """Change an item of the source; the function writes it, and gets the response."""
        self.pair.world.source.put(state)
        self.write(name, state)

    def record(self, name: str, *, ahead: float | None) -> None:
        """Quarantine an in-doubt write as the function does, whose clock is so far ahead."""
        skew = Skew()
        skew.ahead = ahead
        record = Quarantined(0, "1", key(name), put(1, name), "a write is in doubt", SUSPECT)
        Quarantine(NAME, table="copy", connect=self.pair.s3.connect, skew=skew).keep(
            (), (record,), before=None, puts_applied=0, request_id="request", deadline=Deadline(lambda: 60)
        )

    def is_right(self, name: str) -> bool:
        return self.pair.world.replica.items.get(key(name)) == self.pair.world.source.items.get(key(name))


def world_of(*names: str, first: float = 0.0, ahead_by: float = 0.0) -> World:
    """Return tables with these items, which are equal. The first redrive is after `first` seconds."""
    pair = RedrivePair(*names, ahead_by=ahead_by)
    world = World(pair, pair.clock.aws + first)
    for name in names:
        world.write(name, item(name))
    return world


def version(name: str, number: int) -> Image:
    return {**item(name), "v": {"N": str(number)}}


def write_in_doubt(world: World, name: str, *, ahead: float, lands_after: float, old: State) -> None:
    """Send a write without a response. AWS accepts it until 15 minutes after its time stamp."""
    assert lands_after <= EXPIRY_SECONDS + ahead
    world.late.append((world.now + lands_after, name, old))


@pytest.mark.parametrize("ahead", [0.0, 60.0, MAX_AHEAD_SECONDS])
@pytest.mark.parametrize("phase", range(0, 300, 20))
@pytest.mark.parametrize("old", [version("a", 0), None], ids=["put", "delete"])
def test_a_write_that_lands_as_late_as_it_can_is_reconciled_in_time(
    ahead: float, phase: int, old: State
) -> None:
    world = world_of("a", first=phase)
    began = world.now
    write_in_doubt(world, "a", ahead=ahead, lands_after=EXPIRY_SECONDS + ahead, old=old)
    world.until(began + TIMEOUT)
    world.change("a", version("a", 2))
    world.record("a", ahead=ahead)

    world.until(began + EXPIRY_SECONDS + ahead)
    assert not world.is_right("a")
    world.until(began + BOUND)

    assert world.is_right("a")
    assert world.pair.waiting == []


@pytest.mark.parametrize("phase", range(0, 300, 20))
def test_a_writer_that_saw_no_response_is_reconciled_within_forty_minutes(phase: int) -> None:
    """Its clock may be up to 15 minutes ahead: AWS accepts no time stamp that is further in the future."""
    world = world_of("a", first=phase)
    began = world.now
    write_in_doubt(world, "a", ahead=900, lands_after=1800, old=version("a", 0))
    world.until(began + TIMEOUT)
    world.record("a", ahead=None)
    world.until(began + 1800)
    assert not world.is_right("a")

    world.until(began + 2400)

    assert world.is_right("a")


@pytest.mark.parametrize("seed", range(20))
def test_any_writes_are_reconciled_in_time_and_stay_right(seed: int) -> None:
    """Items change before and after, clocks differ, and each write in doubt lands at any time or never."""
    random = Random(seed)  # noqa: S311
    names = [f"n{number}" for number in range(40)]
    world = world_of(*names, first=random.uniform(0, 300))
    due = dict(plan_of(random, world, names))
    for number, at in enumerate(sorted({*due.values(), *(world.now + 60 * each for each in range(120))})):
        world.until(at)
        for name in (name for name, until in due.items() if until <= world.now):
            assert world.is_right(name), (name, world.now)
        changed = random.choice(names)
        # A write that got its response is never older than one that did not.
        world.change(changed, version(changed, number + 1000))

    assert world.late == []
    assert world.pair.waiting == []


def plan_of(random: Random, world: World, names: list[str]) -> Iterator[tuple[str, float]]:
    """Let one write of each item get no response, and return from when each item has to be right."""
    for name in names:
        world.until(world.now + random.uniform(0, 30))
        ahead = random.uniform(-600, MAX_AHEAD_SECONDS)
        if random.random() < 0.8:
            latest = EXPIRY_SECONDS + ahead
            lands_after = random.choice([latest, random.uniform(0, latest)])
            write_in_doubt(world, name, ahead=ahead, lands_after=lands_after, old=version(name, 1))
        yield name, world.now + BOUND
        world.until(world.now + random.uniform(0, TIMEOUT))
        world.record(name, ahead=max(0.0, ahead))


def test_a_backlog_takes_longer_and_the_oldest_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddbreplica.redrive.objects.PIECE", 10)
    names = [f"n{number:03}" for number in range(200)]
    world = world_of(*names, first=INTERVAL)
    reconciled: list[str] = []

    def slow(keys: Sequence[Key]) -> None:
        world.pair.clock.pass_by(30)
        reconciled.extend(each[0][2] for each in keys)

    world.pair.world.reconciled = slow
    for name in names:
        world.write(name, version(name, 1))
        world.pair.doubt(name, age=5000 - int(name[1:]))

    world.until(world.now + 2 * INTERVAL)
    assert 0 < len(reconciled) < len(names)
    world.until(world.now + 4 * INTERVAL)

    assert reconciled == names
    assert all(map(world.is_right, names))


@pytest.mark.hazard(number=19)
@pytest.mark.parametrize("phase", [1.0, 150.0, 299.0])
@pytest.mark.parametrize("ahead_by", [0.0, MAX_AHEAD_SECONDS])
def test_keys_of_a_killed_redrive_are_reconciled_within_thirty_minutes_of_its_deadline(
    phase: float, ahead_by: float
) -> None:
    """Its own write lands as late as AWS accepts it, after another process has moved the object."""
    world = world_of("a", ahead_by=ahead_by)
    world.pair.doubt("a")
    deadline = world.now + INVOCATION
    _kill_while_it_writes(world, "a", lands_after=EXPIRY_SECONDS + ahead_by)
    for name in world.pair.s3.names:
        world.pair.s3.store(name, None)
    world.change("a", version("a", 5))
    world.next_redrive = world.now + phase

    world.until(deadline + BOUND)

    assert world.late == []
    assert world.is_right("a")
    assert world.pair.waiting == []


class Killed(BaseException):
    """The worker was killed."""


def _kill_while_it_writes(world: World, name: str, *, lands_after: float) -> None:
    def send(_: Request) -> Sequence[Write] | Refusal:
        world.late.append((world.now + lands_after, name, version(name, 0)))
        raise Killed

    replica = world.pair.world.replica
    world.pair.world.replica = FakeReplica(script=send)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RedriveJournal, "mark_in_doubt", lambda *_: None)
        patch.setattr(RedriveJournal, "leave", lambda _: None)
        with pytest.raises(Killed):
            world.pair.redrive(timeout=INVOCATION)
    world.pair.world.replica = replica


def test_a_redrive_whose_own_write_gets_no_response_records_it_too() -> None:
    world = world_of("a", first=1.0)
    world.pair.doubt("a")
    world.pair.world.replica = FakeReplica(script=lambda _: TIMED_OUT)
    world.until(world.now + 2)
    began = world.now
    world.pair.world.replica = FakeReplica()
    world.write("a", version("a", 0))
    write_in_doubt(world, "a", ahead=0, lands_after=EXPIRY_SECONDS - 1, old=version("a", 0))

    world.until(began + BOUND)

    assert world.is_right("a")
