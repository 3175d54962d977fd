"""pages: runs that are killed anywhere, and run again, end with equal tables and forget nothing."""

from contextlib import suppress
from random import Random

import pytest

from ddbreplica.records.compare import same
from ddbreplica.records.decode import key_of
from tests.support.transformed_pair import KEY, a_transform, various, view_of
from tests.support.transforms import expected
from tests.unit.backfill.test_pages import PAGE, Killed, World, item, key, letting_go

UNFIT = "Untransformable: attribute "


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


@pytest.mark.parametrize("seed", range(100))
def test_after_any_kill_the_replica_has_what_the_transform_makes(seed: int) -> None:
    """An item that cannot be transformed is not copied, and says why."""
    random = Random(seed)  # noqa: S311
    document, world = a_transform(random), World(items=0)
    world.view = view_of(document)
    for number in range(40):
        world.source.put(various(random, number))
    world.begin()

    def change() -> None:
        image = various(random, random.randrange(40))
        world.source.put(image)
        if (made := expected(document, image, KEY)) is not None:  # else the function quarantines it
            world.replica.items[key_of({"PK": image["PK"]})] = dict(made)

    def kill() -> None:
        if random.random() < 0.02:
            change()
        if random.random() < 0.01:
            raise Killed

    world.kill = kill
    for _ in range(8):
        with suppress(Killed):
            world.run()
    world.kill = lambda: None
    left = world.run().left

    for each, image in world.source.items.items():
        made = expected(document, image, KEY)
        assert made is None or same(made, world.replica.items.get(each))
        assert left.get(each, UNFIT).startswith(UNFIT)
    assert all(expected(document, world.source.items[each], KEY) is None for each in left)
    # How an item that cannot be transformed is seen is never written.
    assert not any("" in held for held in world.replica.items.values())
