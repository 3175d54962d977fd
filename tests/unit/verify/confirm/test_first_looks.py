"""first_looks: one look at each of many keys."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from ddbreplica.model import Items, Key
from ddbreplica.verify.confirm.first_looks import Survivors, choose, look_once
from ddbreplica.verify.confirm.look import Look
from ddbreplica.verify.keyset import KeySet
from tests.support.simulated_pair import Clock, Item, Pair, Still, key

EQUAL, DIFFERENT, EXTRA = Still(1, 1), Still(1, 2), Still(None, 2)


@pytest.fixture
def keys() -> Iterator[KeySet]:
    with closing(KeySet()) as made:
        yield made


@pytest.fixture
def survivors() -> Iterator[Survivors]:
    with closing(Survivors()) as made:
        yield made


def all_of(keys: KeySet) -> list[Key]:
    return [each for chunk in keys.chunks(100) for each in chunk]


@pytest.mark.parametrize("threads", [1, 3])
def test_only_keys_that_look_different_survive(keys: KeySet, survivors: Survivors, threads: int) -> None:
    kinds = (EQUAL, DIFFERENT, EXTRA)
    items: dict[Key, Item] = {key(f"{number:03}"): kinds[number % 3] for number in range(250)}
    pair = Pair(items)
    keys.add(items)
    counted: list[int] = []

    look = Look(pair.source, pair.replica, is_archive=True)
    look_once(keys, look=look, threads=threads, into=survivors, advance=counted.append)

    assert all_of(survivors.suspects) == [each for each, item in items.items() if item is DIFFERENT]
    assert all_of(survivors.archived) == [each for each, item in items.items() if item is EXTRA]
    assert sorted(counted) == [50, 100, 100]
    assert sorted(len(asked) for asked in pair.source.gets) == [50, 50, 100, 100, 100, 100]


def test_keys_are_read_in_several_threads_at_once(keys: KeySet, survivors: Survivors) -> None:
    barrier = threading.Barrier(2, timeout=10)
    pair = Pair({})

    class Waiting:
        rate = pair.source.rate

        def get(self, keys: Sequence[Key]) -> Items:
            barrier.wait()
            return {}

    keys.add(key(f"{number:03}") for number in range(200))

    look_once(keys, look=Look(Waiting(), Waiting(), False), threads=2, into=survivors, advance=lambda _: None)

    assert not survivors.suspects


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_of_one_thread_ends_all(
    keys: KeySet, survivors: Survivors, error: type[BaseException]
) -> None:
    keys.add(key(f"{number:05}") for number in range(20_000))
    pair = Pair({})
    read: list[int] = []

    class Failing:
        rate = pair.source.rate

        def get(self, keys: Sequence[Key]) -> Items:
            read.append(len(keys))
            if len(read) > 5:
                raise error
            return {}

    with pytest.raises(error):
        look_once(
            keys, look=Look(Failing(), Failing(), False), threads=4, into=survivors, advance=lambda _: None
        )

    assert len(read) < 20
    assert threading.active_count() == 1


def test_a_choice_is_random_and_has_the_wanted_number_of_keys(keys: KeySet) -> None:
    every = [key(f"{number:02}") for number in range(50)]
    keys.add(every)

    choices = [choose(keys, 10, Clock(seed).timer.random) for seed in range(40)]

    assert {len(set(chosen)) for chosen in choices} == {10}
    assert {each for chosen in choices for each in chosen} == set(every)
    assert choose(keys, 50, Clock().timer.random) == choose(keys, 1000, Clock().timer.random) == every
