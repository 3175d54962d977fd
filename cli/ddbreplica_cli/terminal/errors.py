"""Why a command cannot go on, and what to try.

CommandError
├── AttentionError           the work was done, and something requires attention
├── InterruptedByUserError   Ctrl-C or another signal
└── NoTableError             a table that is named is not there
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import botocore.exceptions

from ddbreplica.model import Kind, Refusal

ATTENTION = 1
"""Exit status: the tables are different, or something requires attention."""
FAILED = 2
"""Exit status: a usage error, or it could not be done."""
INCONCLUSIVE = 3
"""Exit status: nothing can be concluded."""

CONFIGURATION = (
    "check the profile in ~/.aws/config and ~/.aws/credentials, and the AWS_… environment variables."
)
"""What to try where AWS's own configuration is at fault."""

_SIGN_IN = "sign in again, or choose other credentials with --profile or the AWS_… environment variables."
_PROVIDER = "sign in again, or check how the profile in ~/.aws/config gets its credentials."
_PERMISSION = "use credentials that may do this (--profile), or have the permission added."
_CLOCK = "set the clock of this machine, and run the same command again."
_SIGNATURE = "check the clock of this machine, then the credentials (--profile)."
_ENDPOINT = "check the network, --region and --endpoint-url (or AWS_ENDPOINT_URL)."
_REGION = "name a Region with --region, or set AWS_REGION."
_THROTTLED = "wait a moment, or raise the table's capacity, and run the same command again."

_LONGEST_CODE, _LONGEST_MESSAGE = 100, 1000

_HINTS: Mapping[str, str] = {
    # what AWS answers
    "AccessDenied": _PERMISSION,
    "AccessDeniedException": _PERMISSION,
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "InvalidClientTokenId": _SIGN_IN,
    "InvalidSignatureException": _SIGNATURE,
    "ProvisionedThroughputExceededException": _THROTTLED,
    "RequestExpired": _CLOCK,
    "RequestInTheFuture": _CLOCK,
    "RequestLimitExceeded": _THROTTLED,
    "RequestTimeTooSkewed": _CLOCK,
    "SignatureDoesNotMatch": _SIGNATURE,
    "ThrottlingException": _THROTTLED,
    "UnrecognizedClientException": _SIGN_IN,
    # what came back says nothing, or leaves something over
    "ForeignResponse": _ENDPOINT,
    "UnreadableResponse": _ENDPOINT,
    "UnprocessedItems": _THROTTLED,
    "UnprocessedKeys": _THROTTLED,
    # botocore's families of exceptions
    "BotoCoreError": CONFIGURATION,
    "ConnectionError": _ENDPOINT,
    "CredentialRetrievalError": _PROVIDER,
    "HTTPClientError": "check the network, HTTPS_PROXY, --region and --endpoint-url (or AWS_ENDPOINT_URL).",
    "InvalidRegionError": _REGION,
    "LoginError": _SIGN_IN,
    "MissingDependencyException": "install the commands with all that they need: pip install 'ddbreplica[cli]'.",
    "NoCredentialsError": "sign in, or choose credentials with --profile or the AWS_… environment variables.",
    "NoRegionError": _REGION,
    "PartialCredentialsError": _SIGN_IN,
    "ProfileNotFound": "choose a profile that ~/.aws/config or ~/.aws/credentials has.",
    "ProxyConnectionError": "check HTTPS_PROXY and the proxy that it names.",
    "SSLError": "check the certificates that are trusted: AWS_CA_BUNDLE, or ca_bundle in the profile.",
    "SSOError": _SIGN_IN,
    "TokenRetrievalError": _SIGN_IN,
    "UnknownRegionError": _REGION,
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
        self.fact = " ".join(fact.split())
        super().__init__(self.fact)
        self.hint = hint
        self.facts = facts or {}

    @property
    def document(self) -> dict[str, Any]:
        """The error for a program."""
        return {**self.facts, "error": self.fact, "try": self.hint}


class AttentionError(CommandError):
    """A command has done its work, and something that it found requires attention."""

    exit_code = ATTENTION


class InterruptedByUserError(CommandError):
    """A signal has ended a command; which one it was decides on the exit status."""

    exit_code = 130


class NoTableError(CommandError):
    """A table that is named is not there."""


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Within the block an error of the operating system that names no file gets this name."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(what)
        raise


def explain(refusal: Refusal, *, doing: str | None = None) -> CommandError:
    """What AWS refused, in words for the one who ran the command; `doing` says what was under way."""
    fact = reason(refusal)
    return CommandError(f"{doing}: {fact}" if doing else fact, hint=hint_for(refusal))


def reason(refusal: Refusal) -> str:
    """Return code and message of a refusal, on one line of bounded length."""
    message = _cut(refusal.message, _LONGEST_MESSAGE) or "no further explanation"
    return f"{_cut(refusal.code, _LONGEST_CODE)}: {message}"


def _cut(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[:longest]}…"


def hint_for(refusal: Refusal) -> str:
    """What to try about a refusal: by its code, by the family of botocore's exception, or else by its kind."""
    family = getattr(getattr(botocore.exceptions, refusal.code, None), "__mro__", ())
    names = (refusal.code, *(each.__name__ for each in family))
    hints = (_HINTS[name] for name in names if name in _HINTS)
    return next(hints, _HINT_BY_KIND[refusal.kind])
