"""deployed: the transform of a function, from its environment variables."""

import pytest

from ddbreplica.errors import TransformError
from ddbreplica.model import Image
from ddbreplica.transform.deployed import Deployed, Given, deployed
from ddbreplica.transform.parse import parse
from ddbreplica.transform.secret import Secret, SecretId
from ddbreplica.transform.view import untransformable

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:replica/hash-AbCdEf"
VERSION = "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE"
HASH = '{"hash": ["mail"]}'
SECRET = {"TRANSFORM_SECRET_ARN": ARN, "TRANSFORM_SECRET_VERSION": VERSION}


@pytest.mark.parametrize("env", [{}, {"TRANSFORM": ""}, SECRET], ids=["not set", "empty", "a secret alone"])
def test_without_rules_there_is_no_transform(env: dict[str, str]) -> None:
    assert deployed(env) is None


def test_the_rules_and_the_version_of_the_secret_are_read() -> None:
    assert deployed({"TRANSFORM": HASH, **SECRET}) == Deployed(parse(HASH), SecretId(ARN, VERSION))


def test_a_secret_that_nothing_needs_changes_nothing() -> None:
    drop = '{"drop": ["mail"]}'

    assert deployed({"TRANSFORM": drop, **SECRET}) == deployed({"TRANSFORM": drop})


def test_the_digest_depends_on_the_version_of_the_secret() -> None:
    other = SECRET | {"TRANSFORM_SECRET_VERSION": VERSION[::-1]}
    digests = [found.digest for env in (SECRET, other) if (found := deployed({"TRANSFORM": HASH, **env}))]

    assert len({*digests}) == 2


@pytest.mark.parametrize(
    ("env", "fact"),
    [
        ({"TRANSFORM": "["}, "The transform is not JSON (Expecting value: line 1 column 2 (char 1))."),
        ({"TRANSFORM": HASH}, 'The transform has a "hash" without a secret.'),
        (
            {"TRANSFORM": HASH, "TRANSFORM_SECRET_ARN": ARN},
            "The environment variable TRANSFORM_SECRET_VERSION is not set.",
        ),
        ({"TRANSFORM_SECRET_VERSION": VERSION}, "The environment variable TRANSFORM_SECRET_ARN is not set."),
        (
            SECRET | {"TRANSFORM_SECRET_ARN": "hash"},
            "The environment variable TRANSFORM_SECRET_ARN is 'hash'.",
        ),
        (
            SECRET | {"TRANSFORM_SECRET_VERSION": "AWSCURRENT"},
            "The environment variable TRANSFORM_SECRET_VERSION is 'AWSCURRENT'.",
        ),
    ],
    ids=["rules", "no secret", "no version", "no ARN", "an ARN", "a label"],
)
def test_what_is_not_allowed_is_refused_by_name(env: dict[str, str], fact: str) -> None:
    with pytest.raises(TransformError) as refused:
        deployed(env)

    assert refused.value.fact == fact
    assert refused.value.hint.startswith("Allowed: ")


@pytest.mark.parametrize(
    ("env", "hint"),
    [
        (SECRET | {"TRANSFORM_SECRET_ARN": "hash"}, "the ARN of a secret of AWS Secrets Manager"),
        (
            SECRET | {"TRANSFORM_SECRET_VERSION": "1"},
            "the ID of a version of the secret, of 32 to 64 characters",
        ),
    ],
)
def test_the_refusal_says_what_is_allowed(env: dict[str, str], hint: str) -> None:
    with pytest.raises(TransformError) as refused:
        deployed(env)

    assert refused.value.hint == f"Allowed: {hint}."


def test_the_transform_hashes_with_the_value_of_the_secret() -> None:
    found = deployed({"TRANSFORM": HASH, **SECRET})
    assert found is not None
    secret = Secret(SecretId(ARN, VERSION), b"value")
    item: Image = {"pk": {"S": "1"}, "mail": {"S": "x"}}

    applied = found.for_key(["pk"], secret).apply(item)

    assert applied == {"pk": {"S": "1"}, "mail": {"S": secret.hash(b'{"S":"x"}')}}


def test_a_transform_that_hashes_needs_the_value() -> None:
    found = deployed({"TRANSFORM": HASH, **SECRET})
    assert found is not None

    with pytest.raises(TransformError):
        found.for_key(["pk"], None)


def test_a_transform_that_is_given_has_its_digest_and_none_has_none() -> None:
    found = deployed({"TRANSFORM": HASH, **SECRET})
    assert found is not None

    assert Given(found).digest == found.digest
    assert Given(None).digest is None


def test_the_view_shows_items_as_the_replica_is_to_hold_them() -> None:
    found = deployed({"TRANSFORM": HASH, **SECRET})
    assert found is not None
    secret = Secret(SecretId(ARN, VERSION), b"value")
    view = found.view(["pk"], secret)

    assert view.digest == found.digest
    assert view.of({"pk": {"S": "1"}, "mail": {"S": "x"}}) == {
        "pk": {"S": "1"},
        "mail": {"S": secret.hash(b'{"S":"x"}')},
    }


def test_the_view_shows_of_an_item_that_cannot_be_transformed_the_key_and_the_reason() -> None:
    found = deployed({"TRANSFORM": HASH, **SECRET})
    assert found is not None
    view = found.view(["pk"], Secret(SecretId(ARN, VERSION), b"value"))

    seen = view.of({"pk": {"S": "1"}, "mail": {"M": {}}, "note": {"S": "x"}})

    assert untransformable(seen) == "attribute 'mail' has type M; hash takes S, N, B"
    assert {name: value for name, value in seen.items() if name} == {"pk": {"S": "1"}}
