"""Why a command cannot go on, and what to try.

CommandError
├── AttentionError           the work was done, and something requires attention
├── InterruptedByUserError   Ctrl-C or another signal
└── NoTableError             a table that is named is not there
"""

from collections.abc import Mapping
from typing import Any

from ddbreplica.model import Kind, Refusal

ATTENTION = 1
"""Exit status: the tables are different, or something requires attention."""
FAILED = 2
"""Exit status: a usage error, or it could not be done."""
INCONCLUSIVE = 3
"""Exit status: nothing can be concluded."""

_SIGN_IN = "sign in again, or choose other credentials with --profile or the AWS_… environment variables."
_PERMISSION = "use credentials that may do this (--profile), or have the permission added."
_ENDPOINT = "check the network, --region and --endpoint-url (or AWS_ENDPOINT_URL)."
_REGION = "name a Region with --region, or set AWS_REGION."
_PROFILE = "choose a profile that ~/.aws/config or ~/.aws/credentials has."
_THROTTLED = "wait a moment, or raise the table's capacity, and run the same command again."

_HINTS: Mapping[str, str] = {
    "AccessDenied": _PERMISSION,
    "AccessDeniedException": _PERMISSION,
    "ConfigParseError": "mend the AWS configuration file.",
    "ConnectTimeoutError": _ENDPOINT,
    "CredentialRetrievalError": _SIGN_IN,
    "EndpointConnectionError": _ENDPOINT,
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "InvalidClientTokenId": _SIGN_IN,
    "InvalidRegionError": _REGION,
    "InvalidSignatureException": _SIGN_IN,
    "LoginRefreshRequired": _SIGN_IN,
    "NoCredentialsError": "sign in, or choose credentials with --profile or the AWS_… environment variables.",
    "NoRegionError": _REGION,
    "PartialCredentialsError": _SIGN_IN,
    "ProfileNotFound": _PROFILE,
    "ProvisionedThroughputExceededException": _THROTTLED,
    "ProxyConnectionError": _ENDPOINT,
    "ReadTimeoutError": _ENDPOINT,
    "RequestLimitExceeded": _THROTTLED,
    "SSLError": _ENDPOINT,
    "SSOTokenLoadError": _SIGN_IN,
    "ThrottlingException": _THROTTLED,
    "TokenRetrievalError": _SIGN_IN,
    "UnauthorizedSSOTokenError": _SIGN_IN,
    "UnrecognizedClientException": _SIGN_IN,
    "UnprocessedItems": _THROTTLED,
    "UnprocessedKeys": _THROTTLED,
}
_HINT_BY_KIND: Mapping[Kind, str] = {
    Kind.TRANSIENT: "run the same command again.",
    Kind.REJECTED: "check the names of tables and stack.",
    Kind.FAULT: "check the table, the Region and the credentials.",
}


class CommandError(Exception):
    """A command ends without having done its work. `fact` is what happened, `hint` what to try.

    `facts` is what was done until then; with --json it becomes part of the document.
    """

    exit_code = FAILED

    def __init__(self, fact: str, *, hint: str, facts: Mapping[str, Any] | None = None) -> None:
        """Fact and hint are one sentence each; the hint begins in lower case, since it follows `Try:`."""
        super().__init__(fact)
        self.fact = fact
        self.hint = hint
        self.facts = facts or {}


class AttentionError(CommandError):
    """A command has done its work, and something that it found requires attention."""

    exit_code = ATTENTION


class InterruptedByUserError(CommandError):
    """A signal has ended a command; which one it was decides on the exit status."""

    exit_code = 130


class NoTableError(CommandError):
    """A table that is named is not there."""


def explain(refusal: Refusal, *, doing: str | None = None) -> CommandError:
    """What AWS refused, in words for the one who ran the command; `doing` says what was under way."""
    message = " ".join(refusal.message.split()) or "no further explanation"
    fact = f"{refusal.code}: {message}"
    return CommandError(f"{doing}: {fact}" if doing else fact, hint=hint_for(refusal))


def hint_for(refusal: Refusal) -> str:
    """What to try about a refusal."""
    return _HINTS.get(refusal.code) or _HINT_BY_KIND[refusal.kind]
