"""See the items of the source as the replica is to hold them. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ddbreplica.model import Image, State

UNTRANSFORMABLE: Final = "Untransformable"
"""The error code of a record or a key whose item a rule of the transform cannot take."""

# No attribute has an empty name: such an item equals none of the replica, and DynamoDB would refuse to store it.
_REASON: Final = ""


@dataclass(frozen=True, slots=True)
class View:
    """What the replica is to hold for each item of the source. `digest` is that of the transform; None without one.

    An item that cannot be transformed is seen as its key and the reason. It equals no item of the replica.
    """

    digest: str | None = None
    of_item: Callable[[Image], Image] | None = None

    def of(self, item: Image) -> Image:
        """Return an item as the replica is to hold it."""
        return item if self.of_item is None else self.of_item(item)

    def of_all(self, items: Sequence[Image]) -> Sequence[Image]:
        """Return items as the replica is to hold them."""
        return items if self.of_item is None else [*map(self.of_item, items)]


AS_IT_IS: Final = View()
"""The view without a transform."""


def seen_as_untransformable(key: Image, reason: str) -> Image:
    """Return how an item with this key is seen if it cannot be transformed."""
    return {**key, _REASON: {"S": reason}}


def untransformable(state: State) -> str | None:
    """Return why an item that was seen through a view cannot be transformed; None if it can."""
    return None if state is None or _REASON not in state else str(state[_REASON]["S"])
