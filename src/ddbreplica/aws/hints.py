"""Explain an error of AWS to the person who ran a task, with a hint for what to try."""

from collections.abc import Mapping

import botocore.exceptions

from ddbreplica.errors import TaskError
from ddbreplica.model import Refusal, RefusalKind
from ddbreplica.records.text import cut

CONFIGURATION = (
    "check the profile in ~/.aws/config and ~/.aws/credentials, and the AWS_… environment variables."
)
"""The hint for an error in the AWS configuration of the user."""

_SIGN_IN = "sign in again, or choose other credentials with --profile or the AWS_… environment variables."
_PROVIDER = "sign in again, or check how the profile in ~/.aws/config gets its credentials."
_PERMISSION = "use credentials that may do this (--profile), or have the permission added."
_CLOCK = "set the clock of this machine, and run the same command again."
_SIGNATURE = "check the clock of this machine, then the credentials (--profile)."
_ENDPOINT = "check the network, --region and --endpoint-url (or AWS_ENDPOINT_URL)."
_REGION = "name a Region with --region, or set AWS_REGION."
_THROTTLED = "wait a moment, or raise the table's capacity, and run the same command again."

# A gateway or proxy may send a code and a message of any length.
_LONGEST_CODE, _LONGEST_MESSAGE = 100, 1000

_HINTS: Mapping[str, str] = {
    # error codes of AWS
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
    # responses that cannot be used, or that leave a part of the request unprocessed
    "ForeignResponse": _ENDPOINT,
    "UnreadableResponse": _ENDPOINT,
    "UnprocessedItems": _THROTTLED,
    "UnprocessedKeys": _THROTTLED,
    # exceptions of botocore, which are looked up by the names of their base classes as well
    "BotoCoreError": CONFIGURATION,
    "ConnectionError": _ENDPOINT,
    "CredentialRetrievalError": _PROVIDER,
    "HTTPClientError": "check the network, HTTPS_PROXY, --region and --endpoint-url (or AWS_ENDPOINT_URL).",
    "InvalidRegionError": _REGION,
    "LoginError": _SIGN_IN,
    "MfaTerminalError": "run the command in a terminal, or name a profile that needs no MFA code with --profile.",
    "MissingDependencyException": "install the commands with all their dependencies: pip install 'ddbreplica[cli]'.",
    "NoCredentialsError": "sign in, or choose credentials with --profile or the AWS_… environment variables.",
    "NoRegionError": _REGION,
    "ParamValidationError": "check the names and ARNs that the options contain.",
    "PartialCredentialsError": _SIGN_IN,
    "ProfileNotFound": "choose a profile that is defined in ~/.aws/config or ~/.aws/credentials.",
    "ProxyConnectionError": "check HTTPS_PROXY and the proxy itself.",
    "RefreshWithMFAUnsupportedError": "run the same command again, and enter a new MFA code.",
    "SSLError": "check the trusted certificates: AWS_CA_BUNDLE, or ca_bundle in the profile.",
    "SSOError": _SIGN_IN,
    "TokenRetrievalError": _SIGN_IN,
    "UnknownRegionError": _REGION,
}
_HINT_BY_KIND: Mapping[RefusalKind, str] = {
    RefusalKind.TRANSIENT: "run the same command again.",
    RefusalKind.REJECTED: "check the names of the tables and of the stack.",
    RefusalKind.FAULT: "check the table, the Region and the credentials.",
}


def explain(refusal: Refusal, *, doing: str | None = None) -> TaskError:
    """Return a TaskError for a refusal, with a hint. `doing` says what cannot be done, and begins the message."""
    fact = reason(refusal)
    return TaskError(f"{doing}: {fact}" if doing else fact, hint=hint_for(refusal))


def reason(refusal: Refusal) -> str:
    """Return the code and the message of a refusal on one line of limited length."""
    message = cut(" ".join(refusal.message.split()), _LONGEST_MESSAGE) or "no further explanation"
    return f"{cut(' '.join(refusal.code.split()), _LONGEST_CODE)}: {message}"


def hint_for(refusal: Refusal) -> str:
    """Return what to try about a refusal: by its code, by a base class of botocore's exception, or by its kind."""
    family = getattr(getattr(botocore.exceptions, refusal.code, None), "__mro__", ())
    names = (refusal.code, *(each.__name__ for each in family))
    hints = (_HINTS[name] for name in names if name in _HINTS)
    return next(hints, _HINT_BY_KIND[refusal.kind])
