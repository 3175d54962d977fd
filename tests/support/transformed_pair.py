"""A pair of tables whose function has a transform, which is changed once while a job is at work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from ddbreplica.model import Image, State
from ddbreplica.transform.deployed import Deployed
from ddbreplica.transform.parse import rules_of
from ddbreplica.transform.view import AS_IT_IS, View
from tests.support.scanned import item
from tests.support.transforms import SECRET, Document, expected
from tests.support.written_pair import WrittenPair

KEY: Final = ("PK",)
UPDATE_SECONDS: Final = 90.0
"""How long an invocation with the earlier transform may be under way after a change, at most."""

_OLD_SECONDS: Final = 60.0

_NAMES: Final = ({"S": "Ann"}, {"S": "Bob"}, {"N": "-0.0"}, {"B": "AQ=="}, {"NULL": True}, {"BOOL": True})
"""Of these, `hash` and `concat` can take none of the last, and `concat` not the one before NULL."""


def various(random: Random, number: int) -> Image:
    """Return an item, which a rule may not be able to transform."""
    name = random.choices(_NAMES, (8, 8, 3, 3, 1, 1))[0]
    value = random.choice([f"{random.randrange(9)}", f"{random.randrange(9)}.0"])
    other: Mapping[str, Any] = random.choice([{}, {"other": {"S": "canary"}}])
    return {**item(number, value), "name": name, **other}


def a_transform(random: Random) -> Document:
    """Return a transform with some of the members; one in ten has none."""
    if random.random() < 0.1:
        return {}
    rules: Mapping[str, Any] = {
        "hash": ["name"],
        "concat": {"index": ["w#", {"attribute": random.choice(["PK", "name", "value"])}]},
        "set": {"copied": {"N": "1.0"}},
        "keep": ["name", "value"],
        "drop": ["other"],
        "rename": {"value": "number"},
    }
    without = random.choice(["keep", "drop"])
    return {name: rule for name, rule in rules.items() if name != without and random.random() < 0.6}


def view_of(document: Document) -> View:
    """Return how commands see the source through a transform."""
    if not document:
        return AS_IT_IS
    return Deployed(rules_of(document), SECRET.id).view(KEY, SECRET)


@dataclass
class TransformedPair(WrittenPair):
    """The pair. The transform is that of the first document until so many things have happened."""

    documents: tuple[Document, Document] = ({}, {})
    change_after: int | None = None
    changed_at: float | None = None
    views: tuple[View, View] = field(init=False)
    old_writes: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.views = (view_of(self.documents[0]), view_of(self.documents[1]))
        self.function_view = lambda: self.views[self.present]
        self.held = self._held

    @property
    def present(self) -> int:
        """The number of the present document."""
        return int(self.changed_at is not None)

    def _held(self, image: Image) -> State:
        return expected(self.documents[self.present], image, KEY)

    def happen(self) -> None:
        if self.change_after is not None and self.changed_at is None:
            self.change_after -= 1
            if self.change_after < 0:
                self.changed_at = self.clock.aws
        super().happen()

    def view_of_invocation(self) -> View:
        if self.changed_at is not None and self.clock.aws < self.changed_at + _OLD_SECONDS:
            number = self.random.randrange(2)
            self.old_writes += not number
            return self.views[number]
        return super().view_of_invocation()

    @property
    def updated_at(self) -> datetime | None:
        return None if self.changed_at is None else datetime.fromtimestamp(self.changed_at, UTC)

    def update_seconds_left(self) -> float:
        if self.changed_at is None:
            return 0.0
        return max(0.0, self.changed_at + UPDATE_SECONDS - self.clock.aws)
