"""secret: hash under one version of a secret, and show its value nowhere."""

import hashlib
import hmac

import pytest

from ddbreplica.errors import TransformError
from ddbreplica.transform.secret import Secret

CANARY = b"canary-of-the-secret"


def test_a_message_is_hashed_with_hmac_sha_256() -> None:
    expected = hmac.new(CANARY, b"message", hashlib.sha256).hexdigest()

    assert Secret("arn", "1", CANARY).hash(b"message") == expected


def test_no_representation_contains_the_value() -> None:
    shown = f"{Secret('the-arn', 'the-version', CANARY)!r}"

    assert "the-arn" in shown
    assert "the-version" in shown
    assert "canary" not in shown


@pytest.mark.parametrize(
    ("secret", "part"),
    [(("", "1", b"x"), "arn"), (("arn", "", b"x"), "version"), (("arn", "1", b""), "value")],
)
def test_an_empty_part_is_refused(secret: tuple[str, str, bytes], part: str) -> None:
    with pytest.raises(TransformError) as refused:
        Secret(*secret)

    assert refused.value.fact == f'The {part} of the secret for "hash" is empty.'
    assert refused.value.hint == (
        "Allowed: the ARN of a secret, a version of it, and a value of one byte or more."
    )
