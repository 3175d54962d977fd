"""An exception of botocore → a Refusal. Every AWS error code that we know is classified here, once.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    TokenRetrievalError,
)

from ddbreplica.model import Kind, Refusal

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
        # permission, or a proxy in between
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
_UNUSABLE_SETTINGS = (
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    TokenRetrievalError,
)


class RefusedError(BotoCoreError):
    """A refusal that was classified where it was met, on its way up through botocore."""

    fmt = "{refusal.code}: {refusal.message}"

    def __init__(self, refusal: Refusal) -> None:
        """Take what `refusal_of` is to return."""
        super().__init__(refusal=refusal)
        self.refusal = refusal


def refusal_of(error: BotoCoreError | ClientError) -> Refusal:
    """Classify an error. What is not known is transient: it is tried again and reported, never dropped.

    Throttling, 5xx, TransactionConflictException and ReplicatedWriteConflictException are transient too, and
    need no list. A request that timed out may still be carried out, long after; one that was answered, or whose
    connection broke, is taken to be over.
    """
    if isinstance(error, RefusedError):
        return error.refusal
    if isinstance(error, ClientError):
        code = error.response["Error"].get("Code", "Unknown")
        return Refusal(_kind_of(code), code, error.response["Error"].get("Message", ""))
    kind = Kind.FAULT if isinstance(error, _UNUSABLE_SETTINGS) else Kind.TRANSIENT
    return Refusal(kind, type(error).__name__, str(error), timed_out=isinstance(error, ReadTimeoutError))


def _kind_of(code: str) -> Kind:
    if code in _FAULTS or code.startswith(_FAULT_PREFIX):
        return Kind.FAULT
    return Kind.REJECTED if code in _REJECTED else Kind.TRANSIENT
