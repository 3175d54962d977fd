"""Compute the names of a run's resources, and the tag that proves that the run created them.

A name is no proof: two runs may have the same suffix, and the account may contain a resource with such a name.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import TagTypeDef

SUFFIX: Final = re.compile("[a-z0-9]{6,12}")
TAG: Final = "ddbreplica-e2e"
"""The key of the tag; its value is the run's suffix and nonce."""

_PREFIX: Final = "ddbreplica-e2e-"
_SEPARATOR: Final = "."


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a run. If the nonce is None, they cover all runs with this suffix, for a removal."""

    suffix: str = field(default_factory=lambda: secrets.token_hex(4))
    nonce: str | None = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def stack(self) -> str:
        """Return the stack's name, the prefix of its resources' names."""
        return _PREFIX + self.suffix

    @property
    def source(self) -> str:
        """Return the source table's name."""
        return f"{self.stack}-source"

    @property
    def replica(self) -> str:
        """Return the replica table's name."""
        return f"{self.stack}-replica"

    @property
    def code_buckets(self) -> str:
        """Return the prefix of the code buckets of all runs with this suffix."""
        return f"{self.stack}-code-"

    @property
    def code_bucket(self) -> str:
        """Return the name of the bucket that SAM CLI uploads the function to, unique to this run."""
        return f"{self.code_buckets}{self.nonce}"

    @property
    def tag(self) -> str:
        """Return the value of the tag that all resources of the run have."""
        return f"{self.suffix}{_SEPARATOR}{self.nonce}"

    def cover(self, name: str) -> bool:
        """Return whether a name looks like one of this run."""
        return self.stack in name

    def own(self, tags: "Iterable[TagTypeDef]") -> bool:
        """Return whether these tags prove that the run created the resource."""
        values = [tag["Value"] for tag in tags if tag["Key"] == TAG]
        return any(value == self.tag or (self.nonce is None and self._is_like(value)) for value in values)

    def _is_like(self, tag: str) -> bool:
        return tag.startswith(self.suffix + _SEPARATOR)
