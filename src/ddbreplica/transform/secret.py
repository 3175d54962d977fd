"""The secret under which values are hashed. It is passed in: this package reads nothing from AWS. Pure."""

import hmac
from dataclasses import dataclass, field

from ddbreplica.errors import TransformError


@dataclass(frozen=True, slots=True)
class SecretId:
    """One version of a secret. A version never changes its value."""

    arn: str
    version: str


@dataclass(frozen=True, slots=True)
class Secret:
    """The value of one version of a secret. It is in no representation of it."""

    id: SecretId
    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raise TransformError if the value is empty."""
        if not self.value:
            raise TransformError(
                f'The secret {self.id.arn} for "hash" is empty.', hint="Allowed: a value of one byte or more."
            )

    def hash(self, message: bytes) -> str:
        """Return the HMAC-SHA-256 of the message in hexadecimal digits."""
        return hmac.digest(self.value, message, "sha256").hex()
