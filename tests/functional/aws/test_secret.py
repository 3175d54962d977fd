"""secret: one version of a secret, from moto's Secrets Manager and with any response. Its value is shown nowhere."""

import json
import traceback
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError
from moto import mock_aws

from ddbreplica.aws.secret import CLIENT_CONFIG, read_secret
from ddbreplica.errors import SettingsError, TransformError
from ddbreplica.transform.secret import Secret, SecretId
from tests.support.wire import response

ID = SecretId(
    "arn:aws:secretsmanager:eu-west-1:111122223333:secret:replica/hash-AbCdEf",
    "11111111-90ab-cdef-fedc-ba9876543210",
)
CANARY = "canary-of-the-secret"
DENIED = "User: arn:aws:sts::111122223333:assumed-role/r/f is not authorized to perform: secretsmanager:GetSecretValue."


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="eu-west-1", config=CLIENT_CONFIG)


def said(client: Any, status: int, body: bytes) -> list[dict[str, Any]]:
    """Let every request of the client have this response, and return the requests that it will make."""
    requests: list[dict[str, Any]] = []

    def answer(request: Any, **_: Any) -> Any:
        requests.append(json.loads(request.body))
        return response(request.url, status, body)

    client.meta.events.register_first("before-send.secrets-manager.GetSecretValue", answer)
    return requests


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ({"SecretString": "pässword"}, "pässword".encode()),
        ({"SecretBinary": b"\x00\xff"}, b"\x00\xff"),
        ({"SecretString": '{"hash": "x"}'}, b'{"hash": "x"}'),
    ],
    ids=["text", "binary", "JSON as text"],
)
def test_the_value_is_that_of_the_version(client: Any, stored: dict[str, Any], value: bytes) -> None:
    created = client.create_secret(Name="replica/hash", **stored)
    client.put_secret_value(SecretId="replica/hash", SecretString="rotated")
    id_ = SecretId(created["ARN"], created["VersionId"])

    assert read_secret(id_, client) == Secret(id_, value)


def test_every_call_reads_that_version_again(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_PARAMETERS_MAX_AGE", "for ever")  # of the cache, which is not used
    requests = said(client, 200, json.dumps({"SecretString": CANARY}).encode())

    read_secret(ID, client)
    read_secret(ID, client)

    assert requests == [{"SecretId": ID.arn, "VersionId": ID.version}] * 2


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "AccessDeniedException", DENIED),
        (400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value."),
        (400, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text."),
        (500, "InternalServiceError", "An error occurred on the server side."),
    ],
)
def test_a_refusal_is_an_error_of_the_settings_with_its_cause(
    client: Any, monkeypatch: pytest.MonkeyPatch, status: int, code: str, message: str
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    said(client, status, json.dumps({"__type": code, "message": message}).encode())

    with pytest.raises(SettingsError) as refused:
        read_secret(ID, client)

    assert refused.value.code == code
    assert refused.value.fact == (
        f"The version {ID.version} of the secret {ID.arn} cannot be read: {code}: {message}"
    )
    assert refused.value.hint == (
        "Check the ARN and the version, and that the identity that reads the secret may call"
        " secretsmanager:GetSecretValue for it, and kms:Decrypt for its KMS key if that is customer managed."
    )


def test_a_service_that_cannot_be_reached_is_such_an_error_too(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    tries = []

    def unreachable(**_: Any) -> None:
        tries.append(1)
        raise ConnectTimeoutError(endpoint_url="https://secretsmanager")

    client.meta.events.register_first("before-send.secrets-manager.GetSecretValue", unreachable)

    with pytest.raises(TransformError) as refused:
        read_secret(ID, client)

    assert refused.value.code == "ConnectTimeoutError"
    assert len(tries) == 2


@pytest.mark.parametrize(
    "body",
    [
        f'{{"SecretString": "{CANARY}"'.encode(),
        f'{{"SecretString": {{"value": "{CANARY}"}}}}'.encode(),
        f'{{"SecretBinary": "{CANARY}="}}'.encode(),
        f'"{CANARY}"'.encode(),
        CANARY.encode() + b"\xff",
        b"{}",
        b'{"SecretString": 3}',
    ],
    ids=["cut", "no text", "no base64", "no object", "no UTF-8", "nothing", "a number"],
)
def test_a_response_that_cannot_be_read_is_shown_nowhere(client: Any, body: bytes) -> None:
    said(client, 200, body)

    with pytest.raises(TransformError) as refused:
        read_secret(ID, client)

    assert refused.value.code == "UnreadableResponse"
    # With the values of local variables, as some tools that report errors show them. The first frame is this test.
    raised = refused.value.with_traceback(refused.tb.tb_next)
    shown = "".join(traceback.TracebackException.from_exception(raised, capture_locals=True).format())
    assert "aws/secret.py" in shown
    assert CANARY not in shown
    assert raised.__context__ is None


def test_an_empty_value_is_refused(client: Any) -> None:
    said(client, 200, b'{"SecretString": ""}')

    with pytest.raises(TransformError, match="is empty"):
        read_secret(ID, client)
