"""Classify an exception of botocore as transient, rejected or a fault. All known AWS error codes are listed here.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPMessage
from http.client import responses as reasons
from typing import Any, TypeVar

from botocore.exceptions import (
    AwsChunkedWrapperError,
    BotoCoreError,
    CapacityNotAvailableError,
    ChecksumError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    ProxyConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NotSentError
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from ddbreplica.aws.botocore_private import handed_on
from ddbreplica.model import Refusal, RefusalKind

_REJECTED = frozenset(
    {
        "ValidationException",
        "ValidationError",  # the code of STS
        "SerializationException",
        # not transient: it would block its shard until other items of the collection are deleted
        "ItemCollectionSizeLimitExceededException",
        # the request is too large for the service's front end: its items are sent one by one
        "413",
        "RequestEntityTooLarge",
    }
)
_FAULTS = frozenset(
    {
        # the table or the bucket
        "ResourceNotFoundException",
        "TableNotFoundException",
        "NoSuchBucket",
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidBucketName",
        # permission
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AccountProblem",
        "OptInRequired",
        "RegionDisabledException",
        "SubscriptionRequiredException",
        # credentials
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotSignedUp",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
        # the KMS key of the table or the bucket
        "InaccessibleEncryptionKeyException",
    }
)
# Each service has its own form: KMSDisabledException, KMS.DisabledException, KMS.KMSInvalidStateException.
_FAULT_PREFIX = "KMS"
_PASSING = (
    NotSentError,
    HTTPClientError,
    AwsChunkedWrapperError,
    CapacityNotAvailableError,
    ChecksumError,
    FlexibleChecksumError,
    IncompleteReadError,
    MetadataRetrievalError,
)
"""Exceptions of botocore for the network and for garbled responses. All its other exceptions concern settings."""

_SENT = (HTTPClientError, ChecksumError, FlexibleChecksumError, IncompleteReadError)
"""Exceptions after which the service may have received the request.

Behind a proxy there are two more, which botocore reports as a failed connection: see `_may_be_sent`.
"""

_MARKS = ("x-amzn-requestid", "x-amz-request-id")
"""The headers with AWS's request id: that of DynamoDB and most services, and that of S3.

AWS sends it with every status and body, also with a 413 or 503 page without JSON from the front end of a service.
DynamoDB Local and the emulators send the first header with every response. A gateway that copies the header cannot be
recognised.
"""

# A wrong certificate bundle is a fault, although it looks like a broken connection: waiting does not change it.
_UNUSABLE_CERTIFICATES = (
    ssl.SSLCertVerificationError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)

T = TypeVar("T")


class RefusedError(BotoCoreError):
    """A refusal that was classified already, and that is raised through botocore."""

    fmt = "{refusal.code}: {refusal.message}"

    def __init__(self, refusal: Refusal) -> None:
        """Take the refusal that `refusal_of` returns for this error."""
        super().__init__(refusal=refusal)
        self.refusal = refusal


def asked(call: Callable[[], T]) -> T | Refusal:
    """Call AWS and read the response. Return the result, or the refusal.

    No Exception is raised: any error while a response is read is a refusal too, since a response may contain anything.
    """
    try:
        return call()
    except (BotoCoreError, ClientError) as error:
        return refusal_of(error)
    except Exception as error:  # noqa: BLE001  a response may contain anything, and its reader raise anything
        return unreadable(error)


def refusal_of(error: BotoCoreError | ClientError) -> Refusal:
    """Classify an error. An unknown code is transient: its record is tried again and reported, never dropped.

    Throttling, 5xx, TransactionConflictException and ReplicatedWriteConflictException are transient too, and are
    therefore not listed. Only a response from AWS itself ends a request. After any other response, and after a
    connection that broke when a part of the request may have been sent, the request is in doubt.
    """
    if isinstance(error, RefusedError):
        return error.refusal
    if isinstance(error, ClientError):
        return _refusal_of_response(error)
    kind = (
        RefusalKind.TRANSIENT
        if isinstance(error, _PASSING) and not _has_bad_certificates(error)
        else RefusalKind.FAULT
    )
    return Refusal(kind, type(error).__name__, str(error), in_doubt=_may_be_sent(error))


def unreadable(error: Exception | None = None) -> Refusal:
    """Return the refusal for a response that cannot be read. The request is in doubt: it may not have ended."""
    why = f": {type(error).__name__}" if error else ""
    return Refusal(
        RefusalKind.TRANSIENT, "UnreadableResponse", f"the response cannot be read{why}", in_doubt=True
    )


def foreign(status: object) -> Refusal:
    """Return the refusal for a response without AWS's request id. The request is in doubt: it may not have ended."""
    message = f"the response (HTTP {status}) has no AWS request id, and was sent by a gateway or proxy"
    return Refusal(RefusalKind.TRANSIENT, "ForeignResponse", message, in_doubt=True)


def is_from_aws(headers: Mapping[str, Any] | HTTPMessage) -> bool:
    """Return whether a response has AWS's request id. The header names have to be in lower case."""
    return any((headers.get(mark) or "").strip() for mark in _MARKS)


def _refusal_of_response(error: ClientError) -> Refusal:
    metadata = error.response.get("ResponseMetadata", {})
    # botocore always adds the headers; an error that code creates may lack them.
    headers = metadata.get("HTTPHeaders")
    if headers is not None and not is_from_aws(headers):
        return foreign(metadata.get("HTTPStatusCode"))
    parts: Any = error.response.get("Error")  # botocore leaves it out if it finds none
    code = parts.get("Code") or "Unknown" if isinstance(parts, dict) else None
    if not isinstance(code, str):
        return unreadable()
    message = parts.get("Message")
    if code.isdecimal():  # the status of a page without an error code, whose text may contain the request
        message = reasons.get(int(code))
    return Refusal(_kind_of(code), code, str(message or ""))


def _kind_of(code: str) -> RefusalKind:
    if code in _FAULTS or code.startswith(_FAULT_PREFIX):
        return RefusalKind.FAULT
    return RefusalKind.REJECTED if code in _REJECTED else RefusalKind.TRANSIENT


def _may_be_sent(error: BotoCoreError) -> bool:
    """Return whether the service may have received the request.

    When a connection to a proxy breaks, urllib3 reports it like one that was never made. When TLS breaks in the middle
    of a response, botocore reports it like a failed handshake. Neither means that nothing was sent.
    """
    if isinstance(error, SSLError):
        return not _has_bad_certificates(error)
    if isinstance(error, ProxyConnectionError):
        return not any(_says_unconnected(cause) for cause in _causes(error))
    return isinstance(error, _SENT)


def _says_unconnected(cause: BaseException) -> bool:
    """Return whether the proxy could not be reached, or refused to connect to the service."""
    is_unreached = isinstance(cause, NewConnectionError | ConnectTimeoutError)
    return is_unreached or str(cause).startswith("Tunnel connection failed")


def _has_bad_certificates(error: BaseException) -> bool:
    """Return whether the trusted certificates cannot be read, or do not include the issuer of the server's."""
    return any(
        isinstance(cause, _UNUSABLE_CERTIFICATES)
        or getattr(cause, "reason", None) == "NO_CERTIFICATE_OR_CRL_FOUND"
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, which botocore passes on as values and urllib3 as arguments."""
    # Each once, since exceptions may refer to each other in a circle.
    left, seen = [error], set[int]()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        handed = (*each.args, *handed_on(each), each.__cause__, each.__context__)
        left += [cause for cause in handed if isinstance(cause, BaseException)]
