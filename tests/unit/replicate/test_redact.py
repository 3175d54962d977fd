"""redact: an error message of AWS is cut before any value that it quotes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbreplica.replicate.redact import MAX_LENGTH, redact
from tests.support.echoes import ECHOES, INVALID

NOT_VALID = "One or more parameter values are not valid. "

WHOLE = (
    f"{INVALID}Type mismatch for Index Key GSI_1_PK Expected: S Actual: N IndexName: GSI_1",
    f"{INVALID}Type mismatch for key PK expected: S actual: N",
    f"{INVALID}Missing the key PK in the item",
    f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes",
    f"{INVALID}An number set  may not be empty",
    f"{INVALID}Null attribute value types must have the value of true",
    f"{NOT_VALID}The AttributeValue for a key attribute cannot contain an empty string value. Key: PK",
    f"{NOT_VALID}A value specified for a secondary index key is not supported. IndexName: GSI_1, IndexKey: GSI_1_PK",
    "The provided key element does not match the schema",
    "Item size has exceeded the maximum allowed size",
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit",
    "Requested resource not found: Table: logfile_replica not found",
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing it.",
    "refused by the replica: Number overflow. Attempting to store a number with magnitude larger than supported range",
    "a write is in doubt and may still land: Read timeout",
    "malformed record: SequenceNumber is missing",
    "cannot be transformed: attribute 'e-mail' has type BOOL; hash takes S, N, B",
    "cannot be transformed: attribute 'total' is not valid for its type N",
    "the response (HTTP 504) has no AWS request id, and was sent by a gateway or proxy",
    'Could not connect to the endpoint URL: "https://dynamodb.eu-west-1.amazonaws.com/"',
    'Read timeout on endpoint URL: "http://127.0.0.1:8000"',
    "the invocation's time was used up before the write was tried",
)


@pytest.mark.parametrize("message", WHOLE)
def test_a_message_without_a_value_is_not_cut(message: str) -> None:
    assert redact(message) == message


@pytest.mark.parametrize(("echo", "shown"), ECHOES)
@given(content=st.text() | st.sampled_from(["canary", "it's", "'] [x]: ", 'URL: "https://x"', "Key: PK"]))
def test_a_value_in_a_message_is_cut_off(echo: str, shown: str, content: str) -> None:
    assert redact(echo.format(*[content] * echo.count("{}"))) == shown


@pytest.mark.parametrize(
    "message",
    [
        "malformed record: attribute 'canary': a value has an unknown type",
        "the attribute 'canary' is too long",
        "malformed record: key attribute 'canary' has type M; a key is S, N or B",
        "cannot be transformed: attribute 'a canary' has type S",
    ],
)
def test_only_a_name_that_a_transform_has_is_shown(message: str) -> None:
    assert "canary" not in redact(message)


def test_the_length_of_a_message_is_limited() -> None:
    assert redact("a" * (MAX_LENGTH + 1)) == "a" * MAX_LENGTH + " …"
    assert redact("a" * MAX_LENGTH) == "a" * MAX_LENGTH


@pytest.mark.parametrize("message", ["", "one\nline", "\x1b[31mred", ":"])
def test_any_message_is_one_line(message: str) -> None:
    assert redact(message).isprintable()
