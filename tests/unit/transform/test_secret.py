"""secret: hash under one version of a secret, and show its value nowhere."""

import hashlib
import hmac

import pytest

from ddbreplica.errors import TransformError
from ddbreplica.transform.secret import Secret, SecretId

CANARY = b"canary-of-the-secret"


def test_a_message_is_hashed_with_hmac_sha_256() -> None:
    expected = hmac.new(CANARY, b"message", hashlib.sha256).hexdigest()

    assert Secret(SecretId("arn", "1"), CANARY).hash(b"message") == expected


def test_no_representation_contains_the_value() -> None:
    shown = f"{Secret(SecretId('the-arn', 'the-version'), CANARY)!r}"

    assert "the-arn" in shown
    assert "the-version" in shown
    assert "canary" not in shown


def test_an_empty_value_is_refused() -> None:
    with pytest.raises(TransformError) as refused:
        Secret(SecretId("arn", "1"), b"")

    assert refused.value.fact == 'The secret arn for "hash" is empty.'
    assert refused.value.hint == "Allowed: a value of one byte or more."
