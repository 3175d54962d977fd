"""A source in memory that refuses by a script. The contract suite checks that it behaves as the real ones do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ddbreplica.model import Image, Key, Refusal, RefusalKind, State
from ddbreplica.records.decode import key_of

INVALID_KEY = Refusal(
    RefusalKind.REJECTED, "ValidationException", "One or more parameter values are not valid"
)

Request = tuple[Key, ...]
Script = Callable[[Request], Sequence[Key] | Refusal]
"""Returns the result of a request: a refusal, or the keys to leave unprocessed."""


class FakeSource:
    """Holds items in DynamoDB JSON by key. `rejects` decides which keys it refuses as invalid."""

    def __init__(
        self,
        *items: Image,
        script: Script = lambda request: (),
        rejects: Callable[[Key], bool] = lambda key: False,
        key_names: Sequence[str] = ("PK",),
    ) -> None:
        self._key_names = key_names
        self._script = script
        self._rejects = rejects
        self.items: dict[Key, Mapping[str, Any]] = {}
        self.requests: list[Request] = []
        for item in items:
            self.put(item)

    def put(self, item: Image) -> None:
        self.items[key_of({name: item[name] for name in self._key_names})] = item

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
        assert 1 <= len(keys) <= 100
        assert len(set(keys)) == len(keys), "one key twice in a request"
        self.requests.append(tuple(keys))
        answer = self._script(tuple(keys))
        if isinstance(answer, Refusal):
            return answer
        if any(self._rejects(key) for key in keys):
            return INVALID_KEY
        return {key: self.items.get(key) for key in keys if key not in answer}
