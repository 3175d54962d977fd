"""A run's suffix → the names of all that it creates, so that nothing of anybody else's is touched."""

import re
import secrets
from dataclasses import dataclass, field
from typing import Final

SUFFIX: Final = re.compile("[a-z0-9]{6,12}")
_PREFIX: Final = "ddbreplica-e2e-"


@dataclass(frozen=True, slots=True)
class Names:
    """What the run calls its own."""

    suffix: str = field(default_factory=lambda: secrets.token_hex(4))

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
    def code_bucket(self) -> str:
        """The name of the bucket that SAM CLI uploads the function to."""
        return f"{self.stack}-code"

    def cover(self, name: str) -> bool:
        """Whether a name says that what it names is this run's."""
        return self.stack in name
