"""Visit all states of a model in order of their distance from the first one, up to the first wrong end state."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class Explored:
    """The number of states, and the shortest path to a wrong end state, if there is one."""

    states: int
    failure: tuple[str, ...] = ()


def explored(
    start: W, steps: Callable[[W], Iterable[tuple[str, W]]], is_wrong: Callable[[W], bool]
) -> Explored:
    """Visit the states that the steps lead to. Each step has a label, which is shown in a path."""
    reached: dict[W, tuple[str, W] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        if is_wrong(world):
            return Explored(len(reached), way_to(world, reached))
        for label, following in steps(world):
            step = (label, world)
            if reached.setdefault(following, step) is step:
                waiting.append(following)
    return Explored(len(reached))


def way_to(world: W, reached: Mapping[W, tuple[str, W] | None]) -> tuple[str, ...]:
    """Return the labels of the steps from the first state to this one."""
    way: list[str] = []
    step = reached[world]
    while step is not None:
        way.append(step[0])
        step = reached[step[1]]
    return tuple(reversed(way))
