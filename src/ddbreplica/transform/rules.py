"""The rules of a transform as values, and the error for rules that are not allowed. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

from ddbreplica.errors import TransformError
from ddbreplica.model import Image
from ddbreplica.records.compare import canonical
from ddbreplica.transform.secret import SecretId


@dataclass(frozen=True, slots=True)
class Attribute:
    """A part of a `concat` that is the value of an attribute of the source."""

    name: str


Part: TypeAlias = str | Attribute
"""A part of a `concat`: a text, or an attribute's value."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes an item of the replica out of an item of the source, in the order in which it is applied.

    `keep` is None if attributes are dropped by name or not at all. Key attributes always remain.
    """

    hashed: frozenset[str] = frozenset()
    concat: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    constants: Image = field(default_factory=dict)
    keep: frozenset[str] | None = None
    drop: frozenset[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names that `rename`, `concat` and `set` give to attributes of the replica."""
        return (*self.rename.values(), *self.concat, *self.constants)

    def digest(self, secret: SecretId | None = None) -> str:
        """Return a hash that is equal for rules that mean the same under the same version of the secret."""
        meaning = {
            "hash": sorted(self.hashed),
            "secret": [secret.arn, secret.version] if secret and self.hashed else None,
            "concat": {target: [*map(_part, parts)] for target, parts in self.concat.items()},
            "set": canonical(self.constants),
            "keep": None if self.keep is None else sorted(self.keep),
            "drop": sorted(self.drop),
            "rename": dict(self.rename),
        }
        return sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def _part(part: Part) -> object:
    return part if isinstance(part, str) else {"attribute": part.name}


def refused(fact: str, *, allowed: str) -> TransformError:
    """Return the error for rules that are not allowed; `fact` follows "The transform"."""
    return TransformError(f"The transform {fact}.", hint=f"Allowed: {allowed}.")
