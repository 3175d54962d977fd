"""A run's suffix and nonce → the names of all that it creates, and the tag that proves that the run has created it.

A name proves nothing: two runs may be given one suffix, and whatever is in the account may be named alike.
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
    """What the run calls its own. Without a nonce (None) it is any run with this suffix: one that is to be removed."""

    suffix: str = field(default_factory=lambda: secrets.token_hex(4))
    nonce: str | None = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def stack(self) -> str:
        """The stack's name, with which the names of all its resources begin."""
        return _PREFIX + self.suffix

    @property
    def source(self) -> str:
        """The source table's name."""
        return f"{self.stack}-source"

    @property
    def replica(self) -> str:
        """The replica table's name."""
        return f"{self.stack}-replica"

    @property
    def code_buckets(self) -> str:
        """What the name of the code bucket of each run with this suffix begins with."""
        return f"{self.stack}-code-"

    @property
    def code_bucket(self) -> str:
        """The name of the bucket that SAM CLI uploads the function to; no other run has one of this name."""
        return f"{self.code_buckets}{self.nonce}"

    @property
    def tag(self) -> str:
        """The value of the tag that all of the run's resources have."""
        return f"{self.suffix}{_SEPARATOR}{self.nonce}"

    def cover(self, name: str) -> bool:
        """Whether a name is like those of this run."""
        return self.stack in name

    def own(self, tags: "Iterable[TagTypeDef]") -> bool:
        """Whether these tags prove that the run has created what has them."""
        values = [tag["Value"] for tag in tags if tag["Key"] == TAG]
        return any(value == self.tag or (self.nonce is None and self._is_like(value)) for value in values)

    def _is_like(self, tag: str) -> bool:
        return tag.startswith(self.suffix + _SEPARATOR)
