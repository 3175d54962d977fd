"""pages: runs that are killed anywhere, and run again, end with equal tables and forget nothing."""

from contextlib import suppress
from random import Random

import pytest

from tests.unit.backfill.test_pages import PAGE, Killed, World, item, key, letting_go


@pytest.mark.parametrize("seed", range(150))
def test_after_any_kill_another_run_makes_the_tables_equal(seed: int) -> None:
    random = Random(seed)  # noqa: S311
    world = World()
    kills = 0

    def kill() -> None:
        if random.random() < 0.01:
            raise Killed

    world.kill = kill
    while kills < 12:
        try:
            world.run()
            break
        except Killed:
            kills += 1
            number = random.randrange(40)
            world.source.put(item(number, value=kills))
            # What the stream brings, for better or worse: only what was the source's state when it was written.
            world.replica.items[key(number)] = item(number, value=kills)
    world.kill = lambda: None
    backfill = world.run()

    assert world.is_equal
    assert backfill.left == {}
    assert max(world.listed.values()) <= 1 + kills
    assert sum(world.listed.values()) <= 40 + kills * PAGE


@pytest.mark.parametrize("seed", range(100))
def test_after_any_kill_damage_is_still_reported(seed: int) -> None:
    random = Random(seed)  # noqa: S311
    world = World()
    world.damaged = {"part 1": "lacks an item"}

    def kill() -> None:
        if random.random() < 0.02:
            raise Killed

    world.kill = kill
    for _ in range(10):
        with suppress(Killed):
            assert world.run().damaged == world.damaged
    world.kill = lambda: None

    assert world.run().damaged == world.damaged
    assert world.is_equal


@pytest.mark.parametrize("seed", range(20))
def test_after_any_kill_each_undecided_key_is_listed(seed: int) -> None:
    world = letting_go()
    random = Random(seed)  # noqa: S311

    def kill() -> None:
        if random.random() < 0.02:
            raise Killed

    world.kill = kill
    for _ in range(12):
        with suppress(Killed):
            world.run()
    world.kill = lambda: None
    world.run()

    assert world.source.items.items() <= world.replica.items.items()
    assert world.replica.items.keys() - world.source.items.keys() == set(world.undecided)
