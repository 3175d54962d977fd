"""watch: looks at random moments."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

import pytest

from ddbreplica.driver import Interrupt
from ddbreplica.model import Items, Key
from ddbreplica.verify.confirm.look import Look
from ddbreplica.verify.confirm.plan import Plan
from ddbreplica.verify.confirm.seen import Seen
from ddbreplica.verify.confirm.watch import KEEP_UP_SECONDS, Watch, Watched
from tests.support.confirmed import Shown
from tests.support.simulated_pair import Item, Pair, Still, Stuck, key

DIFFERENT = Still(1, 2)
PLAN = Plan(looks=8, seconds=5.0)


def keys_of(count: int) -> list[Key]:
    return [key(f"{number:04}") for number in range(count)]


def nothing() -> None:
    """Do nothing."""


@dataclass
class Result:
    pair: Pair
    watched: Watched
    shown: Shown


def watched(
    items: Mapping[Key, Item], plan: Plan = PLAN, *, seed: int = 0, is_archive: bool = False
) -> Result:
    pair, shown = Pair(items, seed=seed), Shown()
    watch = Watch(Look(pair.source, pair.replica, is_archive), pair.clock.timer, 1, shown)
    return Result(pair, watch({each: Seen() for each in items}, plan, nothing), shown)


def moments(pair: Pair, of: Key) -> list[float]:
    """Return when the replica was read, which is once in a look."""
    return [at for asked, at in zip(pair.replica.gets, pair.replica.times, strict=True) if of in asked]


def test_a_key_is_looked_at_as_often_and_for_as_long_as_planned() -> None:
    for seed in range(20):
        result = watched({key("a"): DIFFERENT}, seed=seed)
        looks = moments(result.pair, key("a"))

        assert len(looks) == 8
        assert looks[-1] - looks[0] >= 5
        # From the end of the first look to the beginning of the last one, at two milliseconds a request.
        assert result.watched.unequal[key("a")].seconds == pytest.approx(looks[-1] - looks[0] - 0.006)
        assert result.watched.unequal[key("a")].seconds >= 5


def test_the_moments_of_the_looks_are_random_and_different_for_each_group() -> None:
    items: dict[Key, Item] = dict.fromkeys(keys_of(300), DIFFERENT)
    result = watched(items, Plan(looks=50, seconds=49.0))

    looks = [moments(result.pair, each) for each in (key("0000"), key("0100"), key("0200"))]
    for each in looks:
        pauses = [later - earlier for earlier, later in pairwise(each)]
        assert min(pauses) < 0.25
        assert 1.75 < max(pauses[:-1]) < 2.1
        assert 0.7 < sum(pauses) / len(pauses) < 1.4
        assert len({round(pause, 3) for pause in pauses}) > 40
    assert looks[0] != looks[1] != looks[2]


def test_the_first_and_the_last_look_are_at_random_moments_too() -> None:
    results = [moments(watched({key("a"): DIFFERENT}, seed=seed).pair, key("a")) for seed in range(60)]

    first = [looks[0] for looks in results]
    late = [looks[-1] - looks[0] - 5 for looks in results]
    for each in (first, late):
        assert 0 <= min(each) < 0.2
        assert max(each) > 1.2
    assert max(first) < 2 * PLAN.pause + 0.1


def test_a_key_that_is_equal_at_a_look_leaves_the_watch() -> None:
    class Late(Still):
        """An item that arrives after two seconds."""

        def replica(self, at: float) -> int | None:
            return self.in_source if at > 2 else self.in_replica

    result = watched({key("a"): DIFFERENT, key("b"): Late(1, 2)})

    assert list(result.watched.unequal) == [key("a")]
    assert (result.watched.excused, result.watched.archived) == (1, [])
    assert 1 <= len(moments(result.pair, key("b"))) < 8
    assert moments(result.pair, key("b"))[-1] > 2
    assert result.shown.what == [("watching suspected differences", 16)]
    assert sum(result.shown.advanced) == len(moments(result.pair, key("b"))) + 8


def test_a_group_without_unequal_keys_is_no_longer_read() -> None:
    result = watched({key("a"): Still(1, 1), key("b"): Still(None, None)})

    assert len(result.pair.replica.gets) == 1
    assert result.watched == Watched(unequal={}, archived=[], excused=2)


def test_an_item_that_only_the_archive_has_is_archived() -> None:
    archived = Still(None, 1)
    result = watched({key("a"): archived, key("b"): DIFFERENT, key("c"): archived}, is_archive=True)

    assert (result.watched.archived, result.watched.excused) == ([key("a"), key("c")], 0)
    assert list(result.watched.unequal) == [key("b")]


def test_changes_within_the_watch_are_seen() -> None:
    stuck = Stuck(times=[3.0])
    seen = watched({key("a"): stuck, key("b"): DIFFERENT}).watched.unequal

    assert (seen[key("a")].source_changed, seen[key("b")].source_changed) == (True, False)


def test_a_watch_begins_a_round_of_its_own() -> None:
    pair = Pair({key("a"): DIFFERENT})
    watch = Watch(Look(pair.source, pair.replica, False), pair.clock.timer, 1, Shown())
    before = Seen(source=b"earlier", source_changed=True, replica_changed=True)

    seen = watch({key("a"): before}, PLAN, nothing).unequal[key("a")]

    assert (seen.source_changed, seen.replica_changed) == (False, False)


def test_the_witness_keeps_up_once_a_minute() -> None:
    pair = Pair({key("a"): DIFFERENT})
    kept_up: list[float] = []
    watch = Watch(Look(pair.source, pair.replica, False), pair.clock.timer, 1, Shown())

    watch(
        {key("a"): Seen()},
        Plan(looks=8, seconds=600.0),
        lambda: kept_up.append(pair.clock.time),
    )

    assert 9 <= len(kept_up) <= 14
    assert kept_up[0] == 60
    assert all(60 <= later - earlier < 62 for earlier, later in pairwise([0.0, *kept_up]))


def test_the_witness_keeps_up_also_if_the_looks_take_so_long_that_there_is_no_wait() -> None:
    pair = Pair({key("a"): DIFFERENT}, seconds=30.0)
    kept_up: list[float] = []
    watch = Watch(Look(pair.source, pair.replica, False), pair.clock.timer, 1, Shown())

    watch({key("a"): Seen()}, Plan(looks=8, seconds=0.0), lambda: kept_up.append(pair.clock.time))

    assert len(kept_up) == 7
    assert KEEP_UP_SECONDS == 60


@dataclass
class Threaded:
    """A table that is read by threads, in real time. It notes which groups each thread has read."""

    interrupt: Interrupt
    fails: bool = False

    def __post_init__(self) -> None:
        self.rate = Pair({}).source.rate
        self.read: dict[str, set[Key]] = {}

    def get(self, keys: Sequence[Key]) -> Items:
        self.interrupt.check()
        if self.fails and key("0150") in keys:
            raise LookupError
        self.read.setdefault(threading.current_thread().name, set()).add(keys[0])
        return {}


class FirstAtOnce(Random):
    """The first looks are due at once, and each later one as late as it may be."""

    drawn = 0

    def uniform(self, a: float, b: float) -> float:
        self.drawn += 1
        return a if self.drawn <= 5 else b


def in_real_time(table: Threaded, plan: Plan, *, threads: int = 3) -> Watched:
    pair = Pair({}, seed=0)
    timer = replace(pair.clock.timer, ticks=time.monotonic, sleep=table.interrupt.sleep, random=FirstAtOnce())
    replica = replace(pair.replica, state=lambda _key, _at: 1)
    watch = Watch(Look(table, replica, False), timer, threads, Shown())
    return watch({each: Seen() for each in keys_of(500)}, plan, nothing)


def test_the_groups_are_divided_between_the_threads() -> None:
    table = Threaded(Interrupt())
    result = in_real_time(table, Plan(looks=3, seconds=0.2))

    assert len(result.unequal) == 500
    assert sorted(len(groups) for groups in table.read.values()) == [1, 2, 2]
    assert len(set().union(*table.read.values())) == 5
    assert len(table.read[threading.current_thread().name]) == 2


def test_no_more_threads_run_than_there_are_groups() -> None:
    table = Threaded(Interrupt())
    in_real_time(table, Plan(looks=2, seconds=0.0), threads=50)

    assert len(table.read) <= 5


def test_if_a_thread_fails_the_others_do_not_wait_for_their_next_look() -> None:
    started = time.monotonic()
    with pytest.raises(LookupError):
        in_real_time(Threaded(Interrupt(), fails=True), Plan(looks=8, seconds=3600.0))

    assert time.monotonic() - started < 5
    assert threading.active_count() == 1


def test_an_interrupt_ends_a_long_watch_at_once() -> None:
    interrupt = Interrupt()
    threading.Timer(0.2, interrupt.set).start()
    started = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        in_real_time(Threaded(interrupt), Plan(looks=8, seconds=3600.0))

    assert time.monotonic() - started < 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("confirm")]


def test_the_order_of_groups_is_decided_if_two_are_due_at_the_same_moment() -> None:
    class AtOnce(Random):
        def uniform(self, a: float, b: float) -> float:
            return (a + b) / 2

    pair = Pair(dict.fromkeys(keys_of(200), DIFFERENT))
    timer = replace(pair.clock.timer, random=AtOnce())
    watch = Watch(Look(pair.source, pair.replica, False), timer, 1, Shown())

    result = watch({each: Seen() for each in keys_of(200)}, PLAN, nothing)

    assert len(result.unequal) == 200
