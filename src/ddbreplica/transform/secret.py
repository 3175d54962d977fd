"""The secret under which values are hashed. It is passed in: this package reads nothing from AWS. Pure."""

import hmac
from dataclasses import dataclass, field

from ddbreplica.errors import TransformError


@dataclass(frozen=True, slots=True)
class Secret:
    """One version of a secret. Its value is in no representation of it."""

    arn: str
    version: str
    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raise TransformError if a part is missing."""
        for part in ("arn", "version", "value"):
            if not getattr(self, part):
                raise TransformError(
                    f'The {part} of the secret for "hash" is empty.',
                    hint="Allowed: the ARN of a secret, a version of it, and a value of one byte or more.",
                )

    def hash(self, message: bytes) -> str:
        """Return the HMAC-SHA-256 of the message in hexadecimal digits."""
        return hmac.digest(self.value, message, "sha256").hex()
