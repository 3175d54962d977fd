"""source_transform: the transform through which a command sees the source is that of the mapping's function."""

import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import TaskError, TransformChangedError
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.source_transform import to_compare, to_write, transform_of
from ddbreplica.transform.deployed import Deployed, Given, deployed
from ddbreplica.transform.same_transform import CHECK_SECONDS, NO_TRANSFORM
from tests.support.redriven import described, mapping
from tests.support.transform_oracle import Oracle

VERSION = "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE"
ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:replica/hash-AbCdEf"
SECRET = {"TRANSFORM_SECRET_ARN": ARN, "TRANSFORM_SECRET_VERSION": VERSION}
DROP = {"drop": ["gone"]}
HASH = {"hash": ["name"]}
SOURCE = described("logfile")
ITEM = {"PK": {"S": "a"}, "name": {"S": "Ann"}, "gone": {"S": "x"}}


@dataclass
class Aws:
    """The function's present configuration, and the requests for it and for secrets."""

    environment: dict[str, str] = field(default_factory=dict)
    now: float = 0.0
    asked: list[Any] = field(default_factory=list)

    def get_function_configuration(self, **request: Any) -> Any:
        self.asked.append(request)
        return {"FunctionName": "ddbreplica", "Environment": {"Variables": self.environment}}

    def get_secret_value(self, **request: Any) -> Any:
        self.asked.append(request)
        return {"SecretString": "canary"}

    def secrets(self, region: str | None) -> "Aws":
        self.asked.append(region)
        return self

    @property
    def connection(self) -> Connection:
        clock = SimpleNamespace(ticks=lambda: self.now)
        return cast("Connection", SimpleNamespace(functions=self, secrets=self.secrets, clock=clock))

    def has(self, rules: Any, **more: str) -> MappingState:
        """Let the function have this transform, and return the mapping as it was read then."""
        self.environment = {"TRANSFORM": json.dumps(rules), **more}
        return replace(mapping(), environment=dict(self.environment))


def given(rules: Any, **more: str) -> Given:
    return Given(deployed({"TRANSFORM": json.dumps(rules), **more}))


NONE = Given(None)


def test_the_functions_transform_is_applied() -> None:
    aws = Aws()

    found = to_write(aws.connection, aws.has(DROP), SOURCE, given=None)

    assert found.view.of(ITEM) == {"PK": {"S": "a"}, "name": {"S": "Ann"}}
    assert aws.asked == []


def test_a_function_without_a_transform_leaves_items_as_they_are() -> None:
    found = to_write(Aws().connection, mapping(), SOURCE, given=None)

    assert found.view.of(ITEM) is ITEM
    assert found.view.digest is None


def test_it_hashes_under_the_version_of_the_secret_in_the_region_of_its_arn() -> None:
    aws = Aws()

    found = to_write(aws.connection, aws.has(HASH, **SECRET), SOURCE, given=None)

    assert found.view.of(ITEM) == Oracle(HASH, key=["PK"], secret=b"canary").expected(ITEM)
    assert aws.asked == ["eu-west-1", {"SecretId": ARN, "VersionId": VERSION}]


def test_each_reading_is_of_the_functions_present_configuration() -> None:
    aws = Aws()
    function = aws.has(DROP)
    found = to_write(aws.connection, function, SOURCE, given=None)
    found.check_now()

    aws.has(HASH, **SECRET)
    with pytest.raises(TransformChangedError):
        found.check_now()
    aws.environment = {}
    with pytest.raises(TransformChangedError):
        found.check_now()
    assert aws.asked == [{"FunctionName": function.function_arn}] * 3


def test_it_is_read_by_the_clock_of_the_connection() -> None:
    aws = Aws()
    found = to_write(aws.connection, aws.has(DROP), SOURCE, given=None)

    for now in (0.0, CHECK_SECONDS - 1, CHECK_SECONDS):
        aws.now = now
        found.check()

    assert len(aws.asked) == 2


def test_a_present_transform_that_is_not_valid_is_an_error() -> None:
    aws = Aws()
    found = to_write(aws.connection, aws.has(DROP), SOURCE, given=None)
    function = aws.has({"mask": []})

    why = "the transform of the function ddbreplica cannot be used: "
    with pytest.raises(TaskError, match=why):
        to_write(aws.connection, function, SOURCE, given=None)
    with pytest.raises(TaskError, match=why) as refused:
        found.check_now()

    assert not isinstance(refused.value, TransformChangedError)


@pytest.mark.parametrize("wanted", [NONE, given({"drop": ["name"]}), given(HASH, **SECRET)])
def test_another_one_that_is_given_is_refused(wanted: Given) -> None:
    aws = Aws()

    with pytest.raises(TaskError) as refused:
        to_write(aws.connection, aws.has(DROP), SOURCE, given=wanted)

    assert refused.value.fact == "--transform does not give the transform of the function ddbreplica."
    assert refused.value.hint == (
        "leave out --transform, since the function's own is read; or deploy the stack with this one first."
    )


def test_one_that_is_given_to_a_function_without_one_is_refused() -> None:
    with pytest.raises(TaskError, match="does not give the transform"):
        to_write(Aws().connection, mapping(), SOURCE, given=given(DROP))


def test_the_same_one_may_be_given() -> None:
    aws = Aws()

    to_write(aws.connection, aws.has(DROP), SOURCE, given=given(DROP)).check_now()
    to_write(aws.connection, mapping(), SOURCE, given=NONE)


def test_without_a_mapping_nothing_is_written_before_it_is_said() -> None:
    with pytest.raises(TaskError) as refused:
        to_write(Aws().connection, None, SOURCE, given=None)

    assert refused.value.fact == (
        "the function's transform is not known, since its configuration cannot be read."
    )
    assert refused.value.hint == (
        "say what it is: --transform FILE, or --transform none if it has no transform."
    )


def test_without_a_mapping_the_given_one_is_applied_and_never_read_again() -> None:
    aws = Aws()

    found = to_write(aws.connection, None, SOURCE, given=given(HASH, **SECRET))
    found.check_now()

    assert found.view.of(ITEM) == Oracle(HASH, key=["PK"], secret=b"canary").expected(ITEM)
    assert to_write(aws.connection, None, SOURCE, given=NONE).view.of(ITEM) is ITEM
    assert len(aws.asked) == 2


def test_a_comparison_without_a_mapping_notes_that_it_compares_as_without_a_transform() -> None:
    notes: list[str] = []

    found = to_compare(Aws().connection, None, SOURCE, given=None, note=notes.append)

    assert found is NO_TRANSFORM
    (note,) = notes
    assert note == (
        "The function's transform is not known, since its configuration cannot be read: items are compared as without a"
        " transform."
    )


def test_a_comparison_is_of_the_functions_transform_or_of_the_given_one() -> None:
    aws, notes = Aws(), list[str]()

    found = [
        to_compare(aws.connection, function, SOURCE, given=option, note=notes.append).view.digest
        for function, option in ((aws.has(DROP), None), (None, given(DROP)), (aws.has(DROP), given(DROP)))
    ]

    transform = given(DROP).transform
    assert transform
    assert (found, notes) == ([transform.digest] * 3, [])
    with pytest.raises(TaskError, match="does not give the transform"):
        to_compare(aws.connection, aws.has(DROP), SOURCE, given=NONE, note=notes.append)


def test_a_transform_that_does_not_fit_the_tables_is_an_error() -> None:
    aws = Aws()

    with pytest.raises(TaskError) as refused:
        to_write(aws.connection, aws.has({"drop": ["PK"]}), SOURCE, given=None)

    assert refused.value.fact.startswith("the transform cannot be applied: ")
    assert "PK" in refused.value.fact
    assert refused.value.hint[0].islower()


def test_the_transform_of_a_function_is_read_from_its_variables() -> None:
    found = transform_of({"TRANSFORM": json.dumps(DROP)}, of="replicator")

    assert isinstance(found, Deployed)
    assert transform_of({}, of="replicator") is None
    with pytest.raises(
        TaskError, match="the transform of the function replicator cannot be used: The transform"
    ) as bad:
        transform_of({"TRANSFORM": "["}, of="replicator")
    assert bad.value.hint.startswith("allowed: ")
