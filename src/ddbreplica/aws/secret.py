"""Read one version of a secret from AWS Secrets Manager, by the Parameters utility of Powertools for AWS Lambda."""

from typing import Any

import boto3
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from aws_lambda_powertools.utilities.parameters.secrets import SecretsProvider
from botocore.config import Config

from ddbreplica.aws.arn import region_of
from ddbreplica.aws.refusal import asked
from ddbreplica.errors import TransformError
from ddbreplica.model import Refusal
from ddbreplica.transform.secret import Secret, SecretId

CLIENT_CONFIG = Config(
    # Two attempts of at most 4 s each. If both fail, Lambda delivers the batch again.
    retries={"mode": "standard", "total_max_attempts": 2},
    connect_timeout=1,
    read_timeout=2,
)
"""The configuration of the function's client."""


def client_of(secret: SecretId) -> Any:
    """Return the function's client of Secrets Manager, in the Region of the secret's ARN."""
    return boto3.client("secretsmanager", region_name=region_of(secret.arn), config=CLIENT_CONFIG)


def read_secret(secret: SecretId, client: Any) -> Secret:
    """Return the value of a version of a secret: a text as its bytes in UTF-8, a binary as its bytes.

    `client` is a boto3 client of Secrets Manager in the Region of the secret's ARN. Raises TransformError, with the
    error code of AWS as its `code`, if the value cannot be read or is empty.
    """
    value = asked(lambda: _value(secret, client))
    # Outside of any `except`: no traceback of this error goes on to an object that holds the response.
    if isinstance(value, Refusal):
        raise TransformError(
            f"The version {secret.version} of the secret {secret.arn} cannot be read:"
            f" {value.code}: {value.message.rstrip('.')}.",
            hint="Check the ARN and the version, and that the identity that reads the secret may call"
            " secretsmanager:GetSecretValue for it, and kms:Decrypt for its KMS key if that is customer managed.",
            code=value.code,
        )
    return Secret(secret, value)


def _value(secret: SecretId, client: Any) -> bytes:
    try:
        # Never cached or renewed by Powertools: a version does not change, and the caller keeps the value.
        value = SecretsProvider(boto3_client=client).get(secret.arn, max_age=0, VersionId=secret.version)
    except GetParameterError as error:
        # Powertools turns each error of boto3 into a text. What `asked` has to classify is its cause.
        raise (error.__context__ or error) from None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise TypeError  # botocore returns whatever the member is
