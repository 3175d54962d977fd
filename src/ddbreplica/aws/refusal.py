"""An exception of botocore → a Refusal. Every AWS error code that we know is classified here, once.

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
        "ValidationError",  # the same from STS
        "SerializationException",
        "ItemCollectionSizeLimitExceededException",
        # too large for the service's front door: to be taken apart
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
        # the key that encrypts the table or the bucket
        "InaccessibleEncryptionKeyException",
    }
)
_FAULT_PREFIX = (
    "KMS"  # KMSDisabledException, KMS.DisabledException, KMS.KMSInvalidStateException: each service its own
)
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
"""What botocore raises for the network and for what came over it. All else that it raises is about settings."""

_SENT = (HTTPClientError, ChecksumError, FlexibleChecksumError, IncompleteReadError)
"""Those after which the service may have the request.

Behind a proxy there are two more, which botocore takes for a connection that could not be made: see `_may_be_sent`.
"""

_MARKS = ("x-amzn-requestid", "x-amz-request-id")
"""The request id, as DynamoDB and most services send it and as S3 does, whatever the status and the body.

AWS's own 413 and 503 pages from before a service, without JSON, count as AWS's where they bear one. DynamoDB Local
and the emulators send the first with every response. A gateway can copy it: then nobody can tell.
"""

_UNUSABLE_CERTIFICATES = (
    ssl.SSLCertVerificationError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)

T = TypeVar("T")


class RefusedError(BotoCoreError):
    """A refusal that was classified where it was met, on its way up through botocore."""

    fmt = "{refusal.code}: {refusal.message}"

    def __init__(self, refusal: Refusal) -> None:
        """Take what `refusal_of` is to return."""
        super().__init__(refusal=refusal)
        self.refusal = refusal


def asked(call: Callable[[], T]) -> T | Refusal:
    """Make a call of AWS and read its response; return what the call returns, or why there is nothing to return.

    Raises nothing but what ends the process: whatever a response made its reader stumble over is a refusal too.
    """
    try:
        return call()
    except (BotoCoreError, ClientError) as error:
        return refusal_of(error)
    except Exception as error:  # noqa: BLE001  anything at all can lie in a response
        return unreadable(error)


def refusal_of(error: BotoCoreError | ClientError) -> Refusal:
    """Classify an error. What is not known is transient: it is tried again and reported, never dropped.

    Throttling, 5xx, TransactionConflictException and ReplicatedWriteConflictException are transient too, and
    need no list. Only a response of AWS's own ends a request: after any other response, and after a connection
    that broke once the request was on its way, it is in doubt.
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
    """Why a response that cannot be read says nothing, not even that the request is over."""
    why = f": {type(error).__name__}" if error else ""
    return Refusal(
        RefusalKind.TRANSIENT, "UnreadableResponse", f"the response cannot be read{why}", in_doubt=True
    )


def foreign(status: object) -> Refusal:
    """Why a response that lacks AWS's request id says nothing, not even that the request is over."""
    message = f"a response (HTTP {status}) without AWS's request id came from something between here and AWS"
    return Refusal(RefusalKind.TRANSIENT, "ForeignResponse", message, in_doubt=True)


def is_from_aws(headers: Mapping[str, Any] | HTTPMessage) -> bool:
    """Whether a response has AWS's marks. The headers' names are looked up in lower case."""
    return any((headers.get(mark) or "").strip() for mark in _MARKS)


def _refusal_of_response(error: ClientError) -> Refusal:
    metadata = error.response.get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders")  # botocore always adds them
    if headers is not None and not is_from_aws(headers):
        return foreign(metadata.get("HTTPStatusCode"))
    parts: Any = error.response.get("Error")  # which botocore leaves out where it finds none
    code = parts.get("Code") or "Unknown" if isinstance(parts, dict) else None
    if not isinstance(code, str):
        return unreadable()
    message = parts.get("Message")
    if code.isdecimal():  # the status of a page without an error code: its text may be what was sent
        message = reasons.get(int(code))
    return Refusal(_kind_of(code), code, str(message or ""))


def _kind_of(code: str) -> RefusalKind:
    if code in _FAULTS or code.startswith(_FAULT_PREFIX):
        return RefusalKind.FAULT
    return RefusalKind.REJECTED if code in _REJECTED else RefusalKind.TRANSIENT


def _may_be_sent(error: BotoCoreError) -> bool:
    """Whether the service may have the request.

    urllib3 forgets that it was connected to a proxy when the connection breaks, and botocore reports TLS that breaks
    in the middle of a response as it reports a failed handshake. Neither says that nothing was sent.
    """
    if isinstance(error, SSLError):
        return not _has_bad_certificates(error)
    if isinstance(error, ProxyConnectionError):
        return not any(_says_unconnected(cause) for cause in _causes(error))
    return isinstance(error, _SENT)


def _says_unconnected(cause: BaseException) -> bool:
    """Whether the proxy could not be reached, or refused to connect to the service."""
    is_unreached = isinstance(cause, NewConnectionError | ConnectTimeoutError)
    return is_unreached or str(cause).startswith("Tunnel connection failed")


def _has_bad_certificates(error: BaseException) -> bool:
    """Whether the certificates to trust cannot be read, or do not vouch for who answered."""
    return any(
        isinstance(cause, _UNUSABLE_CERTIFICATES)
        or getattr(cause, "reason", None) == "NO_CERTIFICATE_OR_CRL_FOUND"
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it was raised for: botocore hands that on as a value, urllib3 as an argument."""
    left, seen = [error], set[int]()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        handed = (*each.args, *handed_on(each), each.__cause__, each.__context__)
        left += [cause for cause in handed if isinstance(cause, BaseException)]
