"""Read the transform of a function from its environment variables. Pure.

The commands read the variables of the function from AWS Lambda, and never from their own environment.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ddbreplica.errors import TransformError
from ddbreplica.model import Image
from ddbreplica.transform.parse import parse
from ddbreplica.transform.rules import Rules
from ddbreplica.transform.secret import Secret, SecretId
from ddbreplica.transform.transform import Transform, UntransformableError
from ddbreplica.transform.view import View, seen_as_untransformable

TRANSFORM = "TRANSFORM"
SECRET_ARN = "TRANSFORM_SECRET_ARN"  # noqa: S105  the name of a variable
SECRET_VERSION = "TRANSFORM_SECRET_VERSION"  # noqa: S105

_ARN = re.compile(r"arn:[^:]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]{1,519}")
_VERSION = re.compile(r"[a-zA-Z0-9-]{32,64}")


@dataclass(frozen=True, slots=True)
class Deployed:
    """The transform of a function, with the version of the secret under which it hashes; None if it hashes nothing."""

    rules: Rules
    secret: SecretId | None = None

    @property
    def digest(self) -> str:
        """A hash that is equal for transforms that make the same items."""
        return self.rules.digest(self.secret)

    def for_key(self, names: Collection[str], secret: Secret | None) -> Transform:
        """Return the transform for tables with these key attributes. Raises TransformError if it changes one."""
        return Transform(self.rules, key=names, hash_with=secret.hash if secret else None)

    def view(self, names: Collection[str], secret: Secret | None) -> View:
        """Return the view of tables with these key attributes. Raises TransformError as `for_key` does."""
        transform = self.for_key(names, secret)

        def of_item(item: Image) -> Image:
            try:
                return transform.apply(item)
            except UntransformableError as error:
                return seen_as_untransformable({name: item[name] for name in names}, str(error))

        return View(self.digest, of_item)


@dataclass(frozen=True, slots=True)
class Given:
    """The transform that the option --transform gives; None is that there is none."""

    transform: Deployed | None

    @property
    def digest(self) -> str | None:
        """The digest of the transform."""
        return self.transform.digest if self.transform else None


def deployed(env: Mapping[str, str]) -> Deployed | None:
    """Return the transform of these variables, or None without one.

    Raises TransformError with the variable and what is allowed.
    """
    text = env.get(TRANSFORM)
    rules = parse(text) if text else None
    secret = _secret(env)
    if rules is None:
        return None
    if rules.hashed and secret is None:
        raise TransformError(
            'The transform has a "hash" without a secret.',
            hint=f"Allowed: a secret and its version in {SECRET_ARN} and {SECRET_VERSION}.",
        )
    return Deployed(rules, secret if rules.hashed else None)


def _secret(env: Mapping[str, str]) -> SecretId | None:
    arn, version = env.get(SECRET_ARN) or "", env.get(SECRET_VERSION) or ""
    if not (arn or version):
        return None
    if not _ARN.fullmatch(arn):
        raise _refused(SECRET_ARN, arn, "the ARN of a secret of AWS Secrets Manager")
    # The ID of a version, and no staging label: a label moves to the next version when the secret is rotated.
    if not _VERSION.fullmatch(version):
        raise _refused(SECRET_VERSION, version, "the ID of a version of the secret, of 32 to 64 characters")
    return SecretId(arn, version)


def _refused(name: str, value: str, allowed: str) -> TransformError:
    what = f"is {value!r}" if value else "is not set"
    return TransformError(f"The environment variable {name} {what}.", hint=f"Allowed: {allowed}.")
