"""batch: each change of a batch with the replica's image, and poison where a rule does not take a value."""

import copy
from dataclasses import replace

import pytest

from ddbreplica.errors import TransformError
from ddbreplica.records.decode import Decoded, decode
from ddbreplica.transform.batch import transformed
from ddbreplica.transform.deployed import Deployed
from ddbreplica.transform.parse import parse
from ddbreplica.transform.secret import Secret, SecretId
from tests.support.records import batch, delete, put, record

SECRET = Secret(SecretId("arn", "1"), b"secret")
A_MAP = {"M": {"street": {"S": "canary"}}}


def decoded(*records: object) -> Decoded:
    return decode(batch(*records), replicate_ttl_deletes=True)


def by(rules: str, *records: object) -> Decoded:
    return transformed(decoded(*records), Deployed(parse(rules)), None)


def test_each_image_is_that_of_the_replica_and_everything_else_as_it_was() -> None:
    before = decoded(put(1, "a", mail={"S": "x"}, note={"S": "y"}), delete(2, "b"))

    after = transformed(before, Deployed(parse('{"hash": ["mail"], "drop": ["note"]}')), SECRET)

    assert [change.image for change in after.changes] == [
        {"PK": {"S": "a"}, "mail": {"S": SECRET.hash(b'{"S":"x"}')}},
        None,
    ]
    assert [replace(change, image=None) for change in after.changes] == [
        replace(change, image=None) for change in before.changes
    ]
    assert (after.received, after.poison, after.oldest_created_at) == (2, (), before.oldest_created_at)


def test_a_record_that_cannot_be_transformed_is_poison_as_it_came() -> None:
    one = put(2, "b", address=A_MAP)
    came = copy.deepcopy(one)
    after = by('{"concat": {"c": [{"attribute": "address"}]}}', put(1, "a"), one, put(3, "c", v={"X": "?"}))

    assert [change.position for change in after.changes] == [0]
    malformed, untransformable = after.poison
    assert malformed.error_code == "MalformedRecord"
    assert (untransformable.position, untransformable.sequence_number) == (1, "2")
    assert untransformable.key == (("PK", "S", "b"),)
    assert untransformable.record == came
    assert untransformable.error_code == "Untransformable"
    assert untransformable.reason == (
        "cannot be transformed: attribute 'address' has type M; concat takes S, N"
    )


def test_a_batch_without_changes_remains_as_it_is() -> None:
    before = decoded(put(1, "a", v={"X": "?"}))

    assert transformed(before, Deployed(parse('{"drop": ["PK"]}')), None) is before


@pytest.mark.parametrize("one", [put(1, "a"), delete(1, "a")], ids=["a put", "a delete"])
def test_a_transform_that_changes_a_key_attribute_is_refused(one: object) -> None:
    with pytest.raises(TransformError, match='drops the key attribute "PK"'):
        by('{"drop": ["PK"]}', one)


def test_the_key_attributes_are_those_of_the_records() -> None:
    keys = {"tenant": {"S": "t"}, "id": {"N": "1"}}

    (change,) = by('{"keep": []}', record(1, "INSERT", keys, {**keys, "mail": {"S": "x"}})).changes

    assert change.image == keys
