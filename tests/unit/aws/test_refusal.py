"""refusal: the class of every known AWS error code and botocore exception."""

import ssl
from http.client import RemoteDisconnected
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    EndpointResolutionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    InvalidEndpointConfigurationError,
    InvalidProxiesConfigError,
    InvalidRetryModeError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
    TokenRetrievalError,
    UnknownServiceError,
)
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError as Urllib3ConnectTimeoutError
from urllib3.exceptions import NewConnectionError, ProxyError
from urllib3.exceptions import SSLError as Urllib3SSLError

from ddbreplica.aws.refusal import RefusedError, _causes, asked, is_from_aws, refusal_of
from ddbreplica.model import Refusal, RefusalKind


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
        "ConditionalCheckFailedException",  # no write has a condition
        "SlowDown",
        "ConditionalRequestConflict",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "SomethingNobodyHasSeenYet",
    ],
)
def test_a_passing_or_unknown_error_is_transient(code: str) -> None:
    refusal = refusal_of(answered(code))

    assert (refusal.kind, refusal.code, refusal.message) == (RefusalKind.TRANSIENT, code, "why")
    assert not refusal.in_doubt


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
def test_an_error_of_an_item_is_rejected(code: str) -> None:
    assert refusal_of(answered(code)).kind is RefusalKind.REJECTED


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
def test_an_error_of_the_deployment_is_a_fault(code: str) -> None:
    assert refusal_of(answered(code)).kind is RefusalKind.FAULT


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
    assert refusal_of(error).kind is RefusalKind.FAULT


CONNECTION = HTTPConnection("x")


def behind_a_proxy(cause: Exception) -> ProxyConnectionError:
    """Wrap an error as urllib3 and botocore do."""
    return ProxyConnectionError(
        proxy_url='"https://x"', error=ProxyError("Unable to connect to proxy", cause)
    )


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://x"),
        ConnectTimeoutError(endpoint_url="https://x"),
        behind_a_proxy(NewConnectionError(CONNECTION, "refused")),
        behind_a_proxy(Urllib3ConnectTimeoutError("timed out")),
        behind_a_proxy(OSError("Tunnel connection failed: 403 Forbidden")),
    ],
)
def test_a_request_that_was_not_sent_is_transient(error: BotoCoreError) -> None:
    refusal = refusal_of(error)

    assert (refusal.kind, refusal.code, refusal.in_doubt) == (
        RefusalKind.TRANSIENT,
        type(error).__name__,
        False,
    )
    assert '"https://x"' in refusal.message


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="https://x"),
        ConnectionClosedError(endpoint_url="https://x"),
        ResponseStreamingError(error="cut"),
        HTTPClientError(error="anything"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        FlexibleChecksumError(error_msg="other content"),
        behind_a_proxy(RemoteDisconnected("Remote end closed connection without response")),
        behind_a_proxy(ConnectionResetError(104, "Connection reset by peer")),
        behind_a_proxy(OSError(113, "No route to host")),
        SSLError(endpoint_url="https://x", error=Urllib3SSLError(ssl.SSLError(1, "bad record mac"))),
    ],
)
def test_a_request_without_a_whole_response_is_transient_and_in_doubt(error: BotoCoreError) -> None:
    refusal = refusal_of(error)

    assert (refusal.kind, refusal.code, refusal.in_doubt) == (
        RefusalKind.TRANSIENT,
        type(error).__name__,
        True,
    )


def response(headers: dict[str, str], *, status: int = 504, code: str = "504") -> ClientError:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "PutItem")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("status", "code"), [(504, "504"), (403, "403"), (413, "413"), (400, "ValidationException")]
)
def test_a_response_without_aws_request_id_leaves_the_request_in_doubt(status: int, code: str) -> None:
    refusal = refusal_of(response({"server": "nginx"}, status=status, code=code))

    assert (refusal.kind, refusal.code, refusal.in_doubt) == (RefusalKind.TRANSIENT, "ForeignResponse", True)
    assert f"HTTP {status}" in refusal.message


@pytest.mark.parametrize("mark", ["x-amzn-requestid", "x-amz-request-id"])
@pytest.mark.parametrize(
    ("status", "code", "kind"), [(503, "503", RefusalKind.TRANSIENT), (413, "413", RefusalKind.REJECTED)]
)
def test_a_page_of_aws_without_json_ends_the_request(
    mark: str, status: int, code: str, kind: RefusalKind
) -> None:
    refusal = refusal_of(response({mark: "R1"}, status=status, code=code))

    assert (refusal.kind, refusal.code, refusal.in_doubt) == (kind, code, False)


@pytest.mark.parametrize("code", ["403", "503"])
def test_the_text_of_a_page_without_an_error_code_is_not_repeated(code: str) -> None:
    error = response({"x-amzn-requestid": "R1"}, status=int(code), code=code)
    error.response["Error"]["Message"] = "<html>what was sent"

    assert refusal_of(error).message == {"403": "Forbidden", "503": "Service Unavailable"}[code]


@pytest.mark.parametrize(
    ("mark", "is_mark"), [("", False), (" \t", False), ("\r\n  ", False), (" R1 ", True)]
)
def test_a_request_id_of_white_space_does_not_count(mark: str, is_mark: bool) -> None:
    assert is_from_aws({"x-amzn-requestid": mark}) is is_mark
    assert is_from_aws({"x-amz-request-id": mark}) is is_mark


@pytest.mark.parametrize(
    "error",
    [
        ConfigParseError(path="~/.aws/config"),
        EndpointResolutionError(msg="AccountIdEndpointMode is required but no AccountID was provided"),
        InvalidEndpointConfigurationError(msg="why"),
        InvalidProxiesConfigError(error="why"),
        InvalidRetryModeError(provided_retry_mode="often", valid_modes="standard"),
        ProfileNotFound(profile="none"),
        UnknownServiceError(service_name="x", known_service_names="y"),
    ],
)
def test_a_configuration_error_of_botocore_is_a_fault(error: BotoCoreError) -> None:
    refusal = refusal_of(error)

    assert (refusal.kind, refusal.in_doubt) == (RefusalKind.FAULT, False)
    assert refusal.message == str(error)


def wrapped(cause: Exception) -> SSLError:
    """Wrap an error as urllib3 and botocore do."""
    return SSLError(endpoint_url="https://x", error=Urllib3SSLError(cause))


@pytest.mark.parametrize(
    ("cause", "kind"),  # a wrong certificate is found before anything is sent; TLS may break at any time
    [
        (FileNotFoundError(2, "No such file or directory"), RefusalKind.FAULT),
        (IsADirectoryError(21, "Is a directory"), RefusalKind.FAULT),
        (PermissionError(13, "Permission denied"), RefusalKind.FAULT),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), RefusalKind.FAULT),
        (ssl.SSLEOFError(8, "UNEXPECTED_EOF_WHILE_READING"), RefusalKind.TRANSIENT),
        (ConnectionResetError(104, "Connection reset by peer"), RefusalKind.TRANSIENT),
    ],
)
def test_unusable_certificates_are_a_fault_and_broken_tls_is_in_doubt(
    cause: Exception, kind: RefusalKind
) -> None:
    refusal = refusal_of(wrapped(cause))

    assert (refusal.kind, refusal.in_doubt) == (kind, kind is RefusalKind.TRANSIENT)


def test_a_bundle_without_certificates_is_a_fault(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("garbage")
    with pytest.raises(ssl.SSLError) as raised:
        ssl.create_default_context(cafile=str(bundle))

    assert refusal_of(wrapped(raised.value)).kind is RefusalKind.FAULT


@pytest.mark.parametrize(
    "stumble",
    [AttributeError("x"), KeyError("x"), RecursionError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")],
)
def test_any_exception_while_a_response_is_read_is_a_refusal(stumble: Exception) -> None:
    def call() -> None:
        raise stumble

    refusal = asked(call)

    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.code, refusal.in_doubt) == (
        RefusalKind.TRANSIENT,
        "UnreadableResponse",
        True,
    )
    assert refusal.message == f"the response cannot be read: {type(stumble).__name__}"


def test_the_result_of_a_call_is_returned_and_an_interruption_is_not_caught() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert asked(lambda: 7) == 7
    with pytest.raises(KeyboardInterrupt):
        asked(interrupted)


def test_a_response_without_a_code_is_transient() -> None:
    refusal = refusal_of(ClientError({"Error": {}}, "PutItem"))

    assert (refusal.kind, refusal.code, refusal.message) == (RefusalKind.TRANSIENT, "Unknown", "")


@pytest.mark.parametrize("response", [{}, {"Error": {"Code": 7}}])
def test_an_error_of_an_undocumented_shape_leaves_the_request_in_doubt(response: Any) -> None:
    refusal = refusal_of(ClientError(response, "PutItem"))

    assert (refusal.kind, refusal.code, refusal.in_doubt) == (
        RefusalKind.TRANSIENT,
        "UnreadableResponse",
        True,
    )
    assert refusal.message == "the response cannot be read"


def test_causes_that_refer_to_each_other_are_read_once() -> None:
    first, second = ConnectionResetError("first"), ConnectionResetError("second")
    first.__context__, second.__context__ = second, first

    assert list(islice(_causes(first), 10)) == [first, second]


def test_a_cause_that_occurs_twice_hides_no_other_cause() -> None:
    twice = ConnectionResetError(104, "Connection reset by peer")
    unusable = ssl.SSLCertVerificationError(1, "certificate verify failed")

    assert refusal_of(wrapped(ValueError(unusable, twice, twice))).kind is RefusalKind.FAULT


def test_a_refusal_that_was_already_classified_is_kept() -> None:
    refusal = Refusal(RefusalKind.FAULT, "Code", "why")
    error = RefusedError(refusal)

    assert refusal_of(error) is refusal
    assert str(error) == "Code: why"
