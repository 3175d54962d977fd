"""refusal: every AWS error code that we know, classified."""

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    TokenRetrievalError,
)

from ddbreplica.model import Kind, Refusal
from ddbreplica.refusal import RefusedError, refusal_of


def answered(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "why"}}, "PutItem")


@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "InternalServerError",
        "InternalFailure",
        "ServiceUnavailable",
        "ReplicatedWriteConflictException",
        "TransactionConflictException",
        "LimitExceededException",
        "ResourceInUseException",
        "ConditionalCheckFailedException",  # a mirror sends no condition: whatever this is, it is no item's fault
        "SlowDown",
        "ConditionalRequestConflict",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "503",
        "SomethingNobodyHasSeenYet",
    ],
)
def test_what_may_pass_and_what_is_unknown_is_transient(code: str) -> None:
    refusal = refusal_of(answered(code))

    assert (refusal.kind, refusal.code, refusal.message) == (Kind.TRANSIENT, code, "why")
    assert not refusal.timed_out


@pytest.mark.parametrize(
    "code",
    [
        "ValidationError",
        "ValidationException",
        "SerializationException",
        "ItemCollectionSizeLimitExceededException",
        "413",
        "RequestEntityTooLarge",
    ],
)
def test_what_is_wrong_with_an_item_is_rejected(code: str) -> None:
    assert refusal_of(answered(code)).kind is Kind.REJECTED


@pytest.mark.parametrize(
    "code",
    [
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AccountProblem",
        "AllAccessDisabled",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "ExpiredTokenException",
        "IllegalLocationConstraintException",
        "InaccessibleEncryptionKeyException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidBucketName",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "KMS.DisabledException",
        "KMS.KMSInvalidStateException",
        "KMSAccessDeniedException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NoSuchBucket",
        "NotSignedUp",
        "OptInRequired",
        "RegionDisabledException",
        "PermanentRedirect",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "ResourceNotFoundException",
        "SignatureDoesNotMatch",
        "SubscriptionRequiredException",
        "TableNotFoundException",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    ],
)
def test_what_no_record_can_help_is_a_fault(code: str) -> None:
    assert refusal_of(answered(code)).kind is Kind.FAULT


@pytest.mark.parametrize(
    "error",
    [
        CredentialRetrievalError(provider="sso", error_msg="why"),
        NoCredentialsError(),
        NoRegionError(),
        ParamValidationError(report="bucket"),
        PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        TokenRetrievalError(provider="sso", error_msg="why"),
    ],
)
def test_missing_credentials_and_unusable_names_are_a_fault(error: BotoCoreError) -> None:
    assert refusal_of(error).kind is Kind.FAULT


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://x"),
        ConnectTimeoutError(endpoint_url="https://x"),
        ConnectionClosedError(endpoint_url="https://x"),
    ],
)
def test_a_dead_connection_is_transient(error: BotoCoreError) -> None:
    refusal = refusal_of(error)

    assert (refusal.kind, refusal.code, refusal.timed_out) == (Kind.TRANSIENT, type(error).__name__, False)
    assert '"https://x"' in refusal.message


def test_a_request_without_an_answer_is_transient_and_timed_out() -> None:
    refusal = refusal_of(ReadTimeoutError(endpoint_url="https://x"))

    assert (refusal.kind, refusal.code, refusal.timed_out) == (Kind.TRANSIENT, "ReadTimeoutError", True)


def test_an_answer_without_a_code_is_transient() -> None:
    refusal = refusal_of(ClientError({"Error": {}}, "PutItem"))

    assert (refusal.kind, refusal.code, refusal.message) == (Kind.TRANSIENT, "Unknown", "")


def test_what_was_classified_where_it_was_met_stays_so() -> None:
    refusal = Refusal(Kind.FAULT, "Code", "why")
    error = RefusedError(refusal)

    assert refusal_of(error) is refusal
    assert str(error) == "Code: why"
