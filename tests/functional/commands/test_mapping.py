"""Find the event source mapping that replicates a source to its replica, among others."""

from typing import Any

import pytest

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import TaskError
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.lookup import find_mapping, find_mappings, latest_stream
from ddbreplica_cli.terminal.options import Options
from tests.support.account import FUNCTION, UUID, answer_lambda, function, mapping
from tests.support.cli import Misbehaviour, Tables, refusal

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile"
STREAM = f"{TABLE}/stream/2026-01-02T00:00:00.000"
EARLIER = f"{TABLE}/stream/2026-01-01T00:00:00.000"
OTHER = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile2/stream/2026-01-02T00:00:00.000"
OTHER_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:other"


def connection(replica: str | None = None, region: str | None = None) -> Connection:
    return Connection(Options(None, replica, None, region, None, None, None, None, as_json=False))


def uuids(found: tuple[MappingState, ...]) -> list[str]:
    return [one.uuid for one in found]


def test_a_mapping_is_returned_with_its_function(aws: Misbehaviour) -> None:
    answer_lambda(aws, [mapping(STREAM)])

    found = find_mapping(connection(), STREAM)

    assert found is not None
    assert (found.uuid, found.state, found.is_enabled, found.sees_all) == (UUID, "Enabled", True, True)
    assert (found.on_failure, found.counts_events) == ("arn:aws:s3:::given-up", True)
    assert (found.function_arn, found.function_name, found.log_group) == (FUNCTION, "replicator", "/log")
    assert found.environment["QUARANTINE_BUCKET"] == "kept"
    assert found.settings == {
        "BatchSize": 100,
        "MaximumRetryAttempts": -1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "Timeout": 60,
        "MemorySize": 256,
        "Runtime": "python3.13",
    }


def test_every_page_is_read_and_other_mappings_are_left_out(tables: Tables, aws: Misbehaviour) -> None:
    answer_lambda(
        aws,
        [
            mapping(OTHER, UUID="another table"),
            {"UUID": "of a queue", "FunctionArn": FUNCTION},
            mapping(STREAM, UUID="another function", FunctionArn=OTHER_FUNCTION),
            mapping(STREAM, UUID="a function that is gone", FunctionArn=f"{OTHER_FUNCTION}-gone"),
            mapping(EARLIER, UUID="an earlier stream"),
            mapping(STREAM),
        ],
        {FUNCTION: function(), OTHER_FUNCTION: function(REPLICA_TABLE_NAME="elsewhere")},
    )

    assert uuids(find_mappings(connection(), TABLE)) == ["an earlier stream", UUID]
    assert uuids(find_mappings(connection(), STREAM)) == ["an earlier stream", UUID]
    found = find_mapping(connection(), STREAM)
    assert found is not None
    assert found.uuid == UUID


def test_the_settings_of_a_function_without_the_tag_are_not_read(aws: Misbehaviour) -> None:
    version = f"{OTHER_FUNCTION}:7"
    read: list[str] = []
    aws.on(
        "provide-client-params.lambda.GetFunctionConfiguration",
        lambda params, **_: read.append(params["FunctionName"]),
    )
    answer_lambda(
        aws,
        [mapping(STREAM, UUID="a", FunctionArn=version), mapping(STREAM, FunctionArn=f"{FUNCTION}:live")],
        {f"{FUNCTION}:live": function(), version: function()},
        untagged=[OTHER_FUNCTION],
    )

    assert uuids(find_mappings(connection(), STREAM)) == [UUID]
    assert read == [f"{FUNCTION}:live"]


def test_denied_tags_of_a_function_are_an_error(aws: Misbehaviour) -> None:
    answer_lambda(aws, [mapping(STREAM)])
    aws.on("before-call.lambda.ListTags", lambda **_: refusal("AccessDeniedException", "not authorized"))

    with pytest.raises(TaskError, match="AccessDeniedException"):
        find_mappings(connection(), STREAM)


def test_without_a_mapping_of_this_stream_there_is_none(aws: Misbehaviour) -> None:
    answer_lambda(aws, [mapping(EARLIER)])

    assert find_mapping(connection(), STREAM) is None
    assert find_mapping(connection(), None) is None


def test_two_mappings_of_one_stream_are_an_error(tables: Tables, aws: Misbehaviour) -> None:
    answer_lambda(aws, [mapping(STREAM, UUID="a"), mapping(STREAM, UUID="b")])

    with pytest.raises(TaskError) as two:
        find_mapping(connection(), STREAM)

    assert two.value.fact == "2 event source mappings replicate this stream to the replica: a, b."


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"REPLICA_ROLE_ARN": "arn:aws:iam::210987654321:role/far"},
        {"REPLICA_TABLE_NAME": "arn:aws:dynamodb:us-east-1:210987654321:table/logfile_replica"},
    ],
    ids=["by a role", "by its ARN"],
)
def test_a_replica_of_the_same_name_in_another_account_is_a_different_table(
    tables: Tables, aws: Misbehaviour, elsewhere: dict[str, str]
) -> None:
    answer_lambda(
        aws,
        [mapping(STREAM, UUID="far", FunctionArn=OTHER_FUNCTION), mapping(STREAM)],
        {FUNCTION: function(), OTHER_FUNCTION: function(**elsewhere)},
    )

    found = find_mapping(connection(), STREAM)

    assert found is not None
    assert found.uuid == UUID


@pytest.mark.parametrize(
    ("replica", "environment", "expected"),
    [
        ("logfile_replica", {}, True),
        ("logfile_replica", {"REPLICA_REGION": "us-east-1"}, True),
        ("logfile_replica", {"REPLICA_REGION": "eu-west-1"}, False),
        ("arn:aws:dynamodb:us-east-1:123456789012:table/logfile_replica", {}, True),
        ("arn:aws:dynamodb:eu-west-1:123456789012:table/logfile_replica", {}, False),
        (
            "arn:aws:dynamodb:eu-west-1:123456789012:table/logfile_replica",
            {"REPLICA_REGION": "eu-west-1"},
            True,
        ),
        (
            "logfile_replica",
            {"REPLICA_TABLE_NAME": "arn:aws:dynamodb:us-east-1:123456789012:table/logfile_replica"},
            True,
        ),
    ],
)
def test_the_replica_is_recognized_by_name_and_region(
    aws: Misbehaviour, replica: str, environment: dict[str, str], expected: bool
) -> None:
    answer_lambda(aws, [mapping(STREAM)], {FUNCTION: function(**environment)})

    assert (find_mapping(connection(replica), STREAM) is not None) == expected


@pytest.mark.parametrize(
    ("changes", "is_enabled", "sees_all"),
    [
        ({"State": "Disabled"}, False, True),
        ({"State": "Enabling"}, False, True),
        ({"StartingPosition": "LATEST"}, True, False),
    ],
)
def test_whether_a_mapping_is_enabled_and_started_at_trim_horizon(
    aws: Misbehaviour, changes: dict[str, str], is_enabled: bool, sees_all: bool
) -> None:
    answer_lambda(aws, [mapping(STREAM, **changes)])

    found = find_mapping(connection(), STREAM)

    assert found is not None
    assert (found.is_enabled, found.sees_all) == (is_enabled, sees_all)


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("True", True), ("false", False), ("x", False)]
)
def test_an_archive_is_recognized_by_the_functions_environment(
    aws: Misbehaviour, value: str, expected: bool
) -> None:
    answer_lambda(aws, [mapping(STREAM)], {FUNCTION: function(REPLICATE_TTL_DELETES=value)})

    found = find_mapping(connection(), STREAM)

    assert found is not None
    assert found.replicates_ttl_deletes is expected


def test_denied_settings_are_an_error(aws: Misbehaviour) -> None:
    hidden: dict[str, Any] = {**function(), "Environment": {"Error": {"Message": "KMS says no"}}}
    answer_lambda(aws, [mapping(STREAM)], {FUNCTION: hidden})

    with pytest.raises(TaskError) as denied:
        find_mapping(connection(), STREAM)

    assert denied.value.fact == f"the settings of the function {FUNCTION} cannot be read: KMS says no"


def test_the_latest_stream_is_the_one_that_the_table_has(tables: Tables) -> None:
    assert latest_stream(connection()) is None

    tables.client.update_table(
        TableName="logfile", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    )

    arn = latest_stream(connection())
    assert arn is not None
    assert arn.startswith(f"{TABLE}/stream/")
