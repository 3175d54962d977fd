"""template.yaml and samconfig.toml: what a deployment makes of them, and that nobody can misread them."""

import dataclasses
import json
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import pytest
from cfnlint.api import lint, lint_file  # type: ignore[import-untyped]
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from ddbreplica.settings import Settings
from tests.support.mapping import MappingSettings
from tests.support.template import ACCOUNT, REGION, TEMPLATE, deploy, expand, load, refusals, resources

ON_DEMAND: Final[dict[str, str | int]] = {"BillingMode": "PAY_PER_REQUEST"}
EVERYTHING: Final[dict[str, str | int]] = {
    "SourceTableName": "orders",
    "ReplicaTableName": "orders-copy",
    "BillingMode": "PAY_PER_REQUEST",
    "TableDeletionPolicy": "Delete",
    "DeletionProtection": "true",
    "MemorySize": 512,
    "Timeout": 120,
    "ReservedConcurrency": "5",
    "BatchSize": 1000,
    "MaximumBatchingWindowInSeconds": 2,
    "ParallelizationFactor": 4,
    "MaximumRetryAttempts": 50,
    "MaximumRecordAgeInSeconds": 3600,
    "ReplicateTtlDeletes": "false",
    "Tracing": "Active",
    "LogRetentionInDays": 30,
    "AlarmEmail": "ops@example.com",
    "EndpointUrl": "http://127.0.0.1:4566",
}
COMBINATIONS: Final = [
    pytest.param({}, id="defaults"),
    pytest.param(ON_DEMAND, id="on-demand"),
    pytest.param(EVERYTHING, id="everything"),
    pytest.param({"AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"}, id="own-topic"),
]

# The metrics that AWS and the function emit, with the dimensions that they carry.
FUNCTION: Final = {"FunctionName": "<ReplicatorFunction>"}
MAPPING: Final = {"EventSourceMappingUUID": "<ReplicatorFunctionStream>"}
REPLICA: Final = {"TableName": "<ReplicaTable>"}
REPLICA_INDEX: Final = {"TableName": "<ReplicaTable>", "GlobalSecondaryIndexName": "GSI_1"}
STREAM: Final = {
    "TableName": "<SourceTable>",
    "StreamLabel": "<SourceTable label>",
    "Operation": "GetRecords",
}
OWN: Final = {"service": "ddbreplica", "ReplicaTable": "<ReplicaTable>"}
EMITTED: Final = [
    ("AWS/Lambda", "ConcurrentExecutions", FUNCTION),
    ("AWS/Lambda", "DestinationDeliveryFailures", FUNCTION),
    ("AWS/Lambda", "Duration", FUNCTION),
    ("AWS/Lambda", "Errors", FUNCTION),
    ("AWS/Lambda", "Invocations", FUNCTION),
    ("AWS/Lambda", "IteratorAge", FUNCTION),
    ("AWS/Lambda", "Throttles", FUNCTION),
    ("AWS/Lambda", "DroppedEventCount", MAPPING),
    ("AWS/Lambda", "FailedInvokeEventCount", MAPPING),
    ("AWS/Lambda", "InvokedEventCount", MAPPING),
    ("AWS/Lambda", "OnFailureDestinationDeliveredEventCount", MAPPING),
    ("AWS/Lambda", "PolledEventCount", MAPPING),
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits", REPLICA),
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits", REPLICA_INDEX),
    ("AWS/DynamoDB", "ProvisionedWriteCapacityUnits", REPLICA),
    ("AWS/DynamoDB", "ProvisionedWriteCapacityUnits", REPLICA_INDEX),
    ("AWS/DynamoDB", "WriteThrottleEvents", REPLICA),
    ("AWS/DynamoDB", "WriteThrottleEvents", REPLICA_INDEX),
    ("AWS/DynamoDB", "ReturnedBytes", STREAM),
    ("AWS/DynamoDB", "ReturnedRecordsCount", STREAM),
    ("ddbreplica", "DeletesApplied", OWN),
    ("ddbreplica", "RecordsCoalesced", OWN),
    ("ddbreplica", "RecordsQuarantined", OWN),
    ("ddbreplica", "RecordsReceived", OWN),
    ("ddbreplica", "ReplicationLag", OWN),
    ("ddbreplica", "TtlDeletesSkipped", OWN),
    ("ddbreplica", "WritesApplied", OWN),
    ("ddbreplica", "WritesFailed", OWN),
    ("ddbreplica", "WritesRetried", OWN),
    ("ddbreplica", "WritesSuspect", OWN),
]


def properties(logical_id: str, **parameters: str | int) -> dict[str, Any]:
    found: dict[str, Any] = resources(**parameters)[logical_id]["Properties"]
    return found


def alarms(**parameters: str | int) -> dict[str, dict[str, Any]]:
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in resources(**parameters).items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def watched(alarm: dict[str, Any]) -> tuple[str, str, dict[str, str]]:
    """Return the namespace, metric and dimensions that an alarm watches, plainly or in an expression."""
    metrics = [
        metric["MetricStat"]["Metric"] for metric in alarm.get("Metrics", []) if "MetricStat" in metric
    ]
    (metric,) = metrics or [alarm]
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
    return metric["Namespace"], metric["MetricName"], dimensions


def dashboard() -> dict[str, Any]:
    body: dict[str, Any] = json.loads(properties("Dashboard")["DashboardBody"])
    return body


def plotted() -> Iterator[tuple[str, str, dict[str, str]]]:
    for widget in dashboard()["widgets"]:
        for line in widget["properties"].get("metrics", []):
            if isinstance(line[0], str):
                namespace, metric, *dimensions = (part for part in line if isinstance(part, str))
                yield namespace, metric, dict(zip(dimensions[::2], dimensions[1::2], strict=True))


# Lint


def complaints(matches: list[Any]) -> list[str]:
    return [f"{match.rule.id} line {match.linenumber}: {match.message}" for match in matches]


def test_the_template_is_free_of_lint() -> None:
    assert complaints(lint_file(TEMPLATE)) == []


@pytest.mark.parametrize("parameters", COMBINATIONS)
def test_the_expanded_template_is_free_of_lint(parameters: dict[str, str | int]) -> None:
    """Limits of what SAM generates, such as the mapping's, are checked only here."""
    assert complaints(lint(json.dumps(expand(**parameters)), config=ManualArgs(regions=[REGION]))) == []


# Parameters

PARAMETERS: Final = {
    "SourceTableName": ("String", "logfile"),
    "ReplicaTableName": ("String", "logfile_replica"),
    "BillingMode": ("String", "PROVISIONED"),
    "TableDeletionPolicy": ("String", "RetainExceptOnCreate"),
    "DeletionProtection": ("String", "false"),
    "ReplicateTtlDeletes": ("String", "true"),
    "WriteMode": ("String", "mirror"),
    "MemorySize": ("Number", 256),
    "Timeout": ("Number", 60),
    "ReservedConcurrency": ("String", "none"),
    "Tracing": ("String", "PassThrough"),
    "LogRetentionInDays": ("Number", 14),
    "EndpointUrl": ("String", ""),
    "BatchSize": ("Number", 100),
    "MaximumBatchingWindowInSeconds": ("Number", 0),
    "ParallelizationFactor": ("Number", 1),
    "MaximumRetryAttempts": ("Number", -1),
    "MaximumRecordAgeInSeconds": ("Number", 79200),
    "AlarmEmail": ("String", ""),
    "AlarmTopicArn": ("String", ""),
}


def test_every_parameter_has_its_type_and_default() -> None:
    declared = load()["Parameters"]
    assert {name: (each["Type"], each["Default"]) for name, each in declared.items()} == PARAMETERS


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_says_what_it_is_for_and_what_it_accepts(name: str) -> None:
    parameter = load()["Parameters"][name]
    assert parameter["Description"].endswith(".")
    assert parameter["ConstraintDescription"].startswith("must be ")
    assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)


@pytest.mark.parametrize("name", ["ReservedConcurrency", "EndpointUrl", "AlarmEmail", "AlarmTopicArn"])
def test_an_optional_parameter_says_so_first(name: str) -> None:
    assert load()["Parameters"][name]["Description"].startswith("Optional ")


def test_every_parameter_stands_in_one_group_and_has_a_label() -> None:
    interface = load()["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)
    assert sorted(interface["ParameterLabels"]) == sorted(PARAMETERS)


@pytest.mark.parametrize("parameters", COMBINATIONS)
def test_a_sensible_combination_is_accepted(parameters: dict[str, str | int]) -> None:
    assert refusals(**parameters) == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"SourceTableName": "REPLACE-ME!"},
            "SourceTableName must be 3 to 255 letters, digits, underscores, hyphens or dots.",
        ),
        ({"Timeout": 29}, "Timeout must be 30 to 900."),
        ({"WriteMode": "guarded"}, "WriteMode must be mirror; guarded is not available in this version."),
        ({"ReservedConcurrency": "0"}, "ReservedConcurrency must be none or a whole number from 1."),
        (
            {"MaximumRecordAgeInSeconds": 86400},
            "MaximumRecordAgeInSeconds must be 60 to 82800; the stream itself drops a record after 86400.",
        ),
        ({"EndpointUrl": "localhost:8000"}, "EndpointUrl must be empty or begin with http:// or https://."),
        ({"AlarmEmail": "ops"}, "AlarmEmail must be empty or one e-mail address."),
        (
            {"AlarmTopicArn": "arn:aws:sqs:eu-west-1:111122223333:ops"},
            "AlarmTopicArn must be empty or the ARN of a standard SNS topic.",
        ),
        ({"ReplicaTableName": "logfile"}, "SourceTableName and ReplicaTableName must differ."),
        (
            {"AlarmEmail": "ops@example.com", "AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"},
            "Give AlarmEmail or AlarmTopicArn, not both.",
        ),
        (
            {"DeletionProtection": "true"},
            "With DeletionProtection=true, give AlarmEmail or AlarmTopicArn; somebody must hear the alarms.",
        ),
    ],
)
def test_a_mistaken_parameter_is_refused(parameters: dict[str, str | int], message: str) -> None:
    assert refusals(**parameters) == [message]


# Tables


@pytest.mark.parametrize(("table", "name"), [("SourceTable", "logfile"), ("ReplicaTable", "logfile_replica")])
def test_a_table_is_the_one_of_the_workshop(table: str, name: str) -> None:
    created = properties(table)
    created.pop("StreamSpecification", None)
    assert created == {
        "TableName": name,
        "DeletionProtectionEnabled": "false",
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 5},
        "AttributeDefinitions": [
            {"AttributeName": "PK", "AttributeType": "S"},
            {"AttributeName": "GSI_1_PK", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "GSI_1",
                "KeySchema": [{"AttributeName": "GSI_1_PK", "KeyType": "HASH"}],
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": ["bytessent", "requestid", "host"],
                },
                "ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 5},
            },
        ],
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }


def test_only_the_source_has_a_stream_and_it_carries_new_images() -> None:
    assert properties("SourceTable")["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert "StreamSpecification" not in properties("ReplicaTable")


@pytest.mark.parametrize("table", ["SourceTable", "ReplicaTable"])
def test_an_on_demand_table_has_no_throughput_and_neither_has_its_index(table: str) -> None:
    created = properties(table, **ON_DEMAND)
    assert created["BillingMode"] == "PAY_PER_REQUEST"
    assert "ProvisionedThroughput" not in created
    assert "ProvisionedThroughput" not in created["GlobalSecondaryIndexes"][0]


@pytest.mark.parametrize("policy", ["RetainExceptOnCreate", "Retain", "Delete"])
@pytest.mark.parametrize("table", ["SourceTable", "ReplicaTable"])
def test_a_table_outlives_the_stack_as_the_parameter_says_and_any_replacement(
    table: str, policy: str
) -> None:
    created = resources(TableDeletionPolicy=policy)[table]
    assert (created["DeletionPolicy"], created["UpdateReplacePolicy"]) == (policy, "Retain")


@pytest.mark.parametrize("table", ["SourceTable", "ReplicaTable"])
def test_deletion_protection_covers_both_tables(table: str) -> None:
    protected = properties(table, DeletionProtection="true", AlarmEmail="ops@example.com")
    assert protected["DeletionProtectionEnabled"] == "true"


# Buckets and log


@pytest.mark.parametrize("bucket", ["QuarantineBucket", "OnFailureBucket"])
def test_a_bucket_is_private_and_deletes_only_what_is_done(bucket: str) -> None:
    assert properties(bucket) == {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            ],
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "LifecycleConfiguration": {
            "Rules": [
                {"Id": "ExpireWhatIsDone", "Status": "Enabled", "Prefix": "done/", "ExpirationInDays": 90},
                {
                    "Id": "AbortIncompleteUploads",
                    "Status": "Enabled",
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                },
            ],
        },
    }


@pytest.mark.parametrize("bucket", ["QuarantineBucket", "OnFailureBucket"])
def test_a_bucket_and_its_policy_outlive_the_stack(bucket: str) -> None:
    created = resources()
    for kept in (created[bucket], created[f"{bucket}Policy"]):
        assert (kept["DeletionPolicy"], kept["UpdateReplacePolicy"]) == ("Retain", "Retain")


@pytest.mark.parametrize("bucket", ["QuarantineBucket", "OnFailureBucket"])
def test_a_bucket_refuses_plain_http_by_a_policy_of_its_own(bucket: str) -> None:
    policy = properties(f"{bucket}Policy")
    assert policy["Bucket"] == f"<{bucket}>"
    assert policy["PolicyDocument"]["Statement"] == [
        {
            "Sid": "RefusePlainHttp",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"<{bucket}.Arn>", f"<{bucket}.Arn>/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    ]


def test_the_log_is_kept_for_the_days_asked_for() -> None:
    assert properties("ReplicatorLogGroup", LogRetentionInDays=30) == {"RetentionInDays": 30}


# Role

IN_THIS_ACCOUNT: Final = {"StringEquals": {"s3:ResourceAccount": ACCOUNT}}
STATEMENTS: Final = {
    "ReadChangesOfTheSource": (
        [
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ],
        "<SourceTable.StreamArn>",
        None,
    ),
    "ApplyChangesToTheReplica": (
        ["dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:PutItem"],
        "<ReplicaTable.Arn>",
        None,
    ),
    "QuarantineWhatCanNeverBeWritten": (
        "s3:PutObject",
        "<QuarantineBucket.Arn>/quarantine/*",
        IN_THIS_ACCOUNT,
    ),
    "KeepWhatLambdaGivesUp": ("s3:PutObject", "<OnFailureBucket.Arn>/*", IN_THIS_ACCOUNT),
    "LetLambdaFindTheOnFailureBucket": ("s3:ListBucket", "<OnFailureBucket.Arn>", IN_THIS_ACCOUNT),
    "WriteItsOwnLog": (["logs:CreateLogStream", "logs:PutLogEvents"], "<ReplicatorLogGroup.Arn>", None),
}
TRACES: Final = {
    "SendTracesWhichHaveNoResource": (["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*", None),
}


@pytest.mark.parametrize(
    ("tracing", "expected"), [("PassThrough", STATEMENTS), ("Active", STATEMENTS | TRACES)]
)
def test_the_role_allows_just_what_is_used(tracing: str, expected: dict[str, Any]) -> None:
    role = properties("DDBReplicationRole", Tracing=tracing)
    (policy,) = role["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    assert {each["Effect"] for each in statements} == {"Allow"}
    assert {
        each["Sid"]: (each["Action"], each["Resource"], each.get("Condition")) for each in statements
    } == expected


def test_only_lambda_may_take_the_role_and_no_other_policy_is_attached() -> None:
    created = resources(**EVERYTHING)
    assert created["DDBReplicationRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"] == [
        {
            "Sid": "LetLambdaRunAsThisRole",
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    ]
    assert "ManagedPolicyArns" not in created["DDBReplicationRole"]["Properties"]
    assert [each["Type"] for each in created.values() if each["Type"].startswith("AWS::IAM::")] == [
        "AWS::IAM::Role"
    ]


# Function and mapping


def test_the_function_is_configured_as_documented() -> None:
    assert properties("ReplicatorFunction") == {
        "Description": "Applies the changes of the source table to the replica",
        "Code": {"S3Bucket": "bucket", "S3Key": "bundle.zip"},
        "Handler": "ddbreplica.handler.lambda_handler",
        "Runtime": "python3.13",
        "Architectures": ["arm64"],
        "Role": "<DDBReplicationRole.Arn>",
        "MemorySize": 256,
        "Timeout": 60,
        "TracingConfig": {"Mode": "PassThrough"},
        "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "<ReplicatorLogGroup>"},
        "Environment": {
            "Variables": {
                "REPLICA_TABLE_NAME": "<ReplicaTable>",
                "QUARANTINE_BUCKET": "<QuarantineBucket>",
                "REPLICATE_TTL_DELETES": "true",
                "WRITE_MODE": "mirror",
                "POWERTOOLS_SERVICE_NAME": "ddbreplica",
                "POWERTOOLS_METRICS_NAMESPACE": "ddbreplica",
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        },
        "Tags": [
            {"Key": "lambda:createdBy", "Value": "SAM"},
            {"Key": "ddbreplica", "Value": "<ReplicaTable>"},
        ],
    }


def test_the_function_follows_its_parameters() -> None:
    function = properties("ReplicatorFunction", **EVERYTHING)
    assert function["MemorySize"] == 512
    assert function["Timeout"] == 120
    assert function["ReservedConcurrentExecutions"] == "5"
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["Environment"]["Variables"]["REPLICATE_TTL_DELETES"] == "false"


def test_an_endpoint_reaches_the_function_only_where_one_is_given() -> None:
    given = properties("ReplicatorFunction", EndpointUrl="http://127.0.0.1:4566")["Environment"]["Variables"]
    left_out = properties("ReplicatorFunction")["Environment"]["Variables"]
    assert given["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert "AWS_ENDPOINT_URL" not in left_out


def test_every_setting_has_one_name_in_the_function_its_environment_and_the_template() -> None:
    fields = {field.name for field in dataclasses.fields(Settings)}
    variables = set(properties("ReplicatorFunction")["Environment"]["Variables"])
    # Where the replica stands is not yet a parameter; the log level is read by Powertools itself.
    assert {name.upper() for name in fields} - variables == {"REPLICA_REGION", "REPLICA_ROLE_ARN"}
    assert variables - {name.upper() for name in fields} == {"POWERTOOLS_LOG_LEVEL"}
    in_template = {name: name.title().replace("_", "") for name in variables if "POWERTOOLS" not in name}
    assert set(in_template.values()) <= set(PARAMETERS) | set(resources())


def test_the_template_s_defaults_are_the_settings_defaults() -> None:
    variables = properties("ReplicatorFunction")["Environment"]["Variables"]
    required = {"REPLICA_TABLE_NAME": "logfile_replica", "QUARANTINE_BUCKET": "bucket"}
    assert Settings.from_env(variables | required) == Settings.from_env(required)


def test_the_code_that_ships_is_src() -> None:
    assert load()["Resources"]["ReplicatorFunction"]["Properties"]["CodeUri"] == "src/"


def test_the_mapping_retries_in_order_and_loses_nothing_unseen() -> None:
    assert properties("ReplicatorFunctionStream") == {
        "FunctionName": "<ReplicatorFunction>",
        "EventSourceArn": "<SourceTable.StreamArn>",
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": 79200,
        "DestinationConfig": {"OnFailure": {"Destination": "<OnFailureBucket.Arn>"}},
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }


def test_the_tests_simulate_the_mapping_that_is_deployed() -> None:
    simulated = dataclasses.asdict(MappingSettings())

    assert simulated.pop("report_batch_item_failures")
    assert {name.title().replace("_", ""): value for name, value in simulated.items()}.items() <= properties(
        "ReplicatorFunctionStream"
    ).items()


def test_the_mapping_follows_its_parameters() -> None:
    mapping = properties("ReplicatorFunctionStream", **EVERYTHING)
    assert mapping["BatchSize"] == 1000
    assert mapping["MaximumBatchingWindowInSeconds"] == 2
    assert mapping["ParallelizationFactor"] == 4
    assert mapping["MaximumRetryAttempts"] == 50
    assert mapping["MaximumRecordAgeInSeconds"] == 3600


# Alarms and dashboard

MINUTES: Final = 60_000
ABOVE: Final = "GreaterThanThreshold"
AT_LEAST: Final = "GreaterThanOrEqualToThreshold"
BELOW: Final = "LessThanThreshold"
# Metric, dimensions, statistic, comparison, threshold; period, datapoints to alarm, of how many, if none.
ALARMS: Final = {
    "ReplicaLateAlarm": (
        "IteratorAge",
        FUNCTION,
        "Maximum",
        AT_LEAST,
        15 * MINUTES,
        300,
        1,
        1,
        "notBreaching",
    ),
    "ReplicaCriticallyLateAlarm": (
        *("IteratorAge", FUNCTION, "Maximum", AT_LEAST, 360 * MINUTES, 300, 1, 1, "notBreaching"),
    ),
    "RecordsRetriedAlarm": ("FailedInvokeEventCount", MAPPING, "Sum", ABOVE, 0, 60, 5, 5, "notBreaching"),
    "MappingStalledAlarm": ("PolledEventCount", MAPPING, "SampleCount", BELOW, 1, 300, 3, 3, "breaching"),
    "RecordsGivenUpAlarm": (
        *("OnFailureDestinationDeliveredEventCount", MAPPING, "Sum", ABOVE, 0, 300, 1, 1, "notBreaching"),
    ),
    "RecordsDroppedAlarm": ("DroppedEventCount", MAPPING, "Sum", ABOVE, 0, 300, 1, 1, "notBreaching"),
    "DestinationBrokenAlarm": (
        *("DestinationDeliveryFailures", FUNCTION, "Sum", ABOVE, 0, 300, 1, 1, "notBreaching"),
    ),
    "RecordsQuarantinedAlarm": ("RecordsQuarantined", OWN, "Sum", ABOVE, 0, 300, 1, 1, "notBreaching"),
    "FunctionFailsAlarm": ("Errors", FUNCTION, "Sum", ABOVE, 0, 300, 2, 3, "notBreaching"),
    "FunctionThrottledAlarm": ("Throttles", FUNCTION, "Sum", ABOVE, 0, 300, 2, 3, "notBreaching"),
    "FunctionSlowAlarm": ("Duration", FUNCTION, "Maximum", AT_LEAST, 60, 300, 2, 3, "notBreaching"),
    "ReplicaTableThrottledAlarm": (
        "WriteThrottleEvents",
        REPLICA,
        "Sum",
        ABOVE,
        0,
        300,
        2,
        3,
        "notBreaching",
    ),
    "ReplicaIndexThrottledAlarm": (
        *("WriteThrottleEvents", REPLICA_INDEX, "Sum", ABOVE, 0, 300, 2, 3, "notBreaching"),
    ),
}


def test_there_is_an_alarm_for_everything_that_can_go_wrong() -> None:
    assert sorted(alarms()) == sorted(ALARMS)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_goes_off_when_it_should(name: str) -> None:
    alarm = alarms()[name]
    (sampled,) = [each["MetricStat"] for each in alarm.get("Metrics", []) if "MetricStat" in each] or [alarm]
    _, metric, dimensions = watched(alarm)
    assert (
        metric,
        dimensions,
        sampled.get("Statistic") or sampled["Stat"],
        alarm["ComparisonOperator"],
        alarm["Threshold"],
        sampled["Period"],
        alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]),
        alarm["EvaluationPeriods"],
        alarm["TreatMissingData"],
    ) == ALARMS[name]


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_watches_a_metric_that_somebody_emits(name: str) -> None:
    assert watched(alarms()[name]) in EMITTED


def test_a_slow_function_is_measured_against_its_own_timeout() -> None:
    share, _ = alarms(Timeout=120)["FunctionSlowAlarm"]["Metrics"]
    assert share["Expression"] == "100 * duration / (120 * 1000)"


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_happened_and_what_to_run(name: str) -> None:
    happened, *commands = alarms()[name]["AlarmDescription"].split("`")[:-1]
    assert ". " in happened or "; " in happened
    assert commands[::2]
    for command in commands[::2]:
        assert command.startswith(("aws ", "ddbreplica redrive ", "ddbreplica status ", "ddbreplica verify "))


@pytest.mark.parametrize(
    ("parameters", "actions"),
    [
        ({}, []),
        ({"AlarmEmail": "ops@example.com"}, ["<AlarmTopic>"]),
        (
            {"AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"},
            ["arn:aws:sns:eu-west-1:111122223333:ops"],
        ),
    ],
)
def test_every_alarm_tells_whoever_was_named(parameters: dict[str, str], actions: list[str]) -> None:
    assert {name: alarm["AlarmActions"] for name, alarm in alarms(**parameters).items()} == dict.fromkeys(
        ALARMS,
        actions,
    )


def test_a_topic_is_made_only_for_an_e_mail_address_and_cloudwatch_can_publish_to_it() -> None:
    assert "AlarmTopic" not in resources()
    assert properties("AlarmTopic", AlarmEmail="ops@example.com") == {
        "Subscription": [{"Protocol": "email", "Endpoint": "ops@example.com"}],
    }


def test_the_dashboard_shows_every_metric_that_is_emitted_and_none_that_is_not() -> None:
    shown = list(plotted())
    assert [metric for metric in shown if metric not in EMITTED] == []
    assert [metric for metric in EMITTED if metric not in shown] == []


def test_the_dashboard_opens_with_what_to_look_at_and_shows_every_alarm() -> None:
    guide, states, *_ = dashboard()["widgets"]
    assert guide["type"] == "text"
    assert "ddbreplica verify" in guide["properties"]["markdown"]
    assert sorted(states["properties"]["alarms"]) == sorted(f"<{name}.Arn>" for name in ALARMS)


def test_no_two_widgets_of_the_dashboard_overlap() -> None:
    cells = [
        (x, y)
        for widget in dashboard()["widgets"]
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))


# Outputs


def test_the_outputs_name_what_the_tools_need() -> None:
    outputs = deploy()["Outputs"]
    assert {name: output["Value"] for name, output in outputs.items()} == {
        "SourceTableName": "<SourceTable>",
        "SourceTableArn": "<SourceTable.Arn>",
        "SourceStreamArn": "<SourceTable.StreamArn>",
        "ReplicaTableName": "<ReplicaTable>",
        "ReplicaTableArn": "<ReplicaTable.Arn>",
        "FunctionName": "<ReplicatorFunction>",
        "FunctionArn": "<ReplicatorFunction.Arn>",
        "FunctionRoleArn": "<DDBReplicationRole.Arn>",
        "EventSourceMappingId": "<ReplicatorFunctionStream>",
        "LogGroupName": "<ReplicatorLogGroup>",
        "QuarantineBucketName": "<QuarantineBucket>",
        "OnFailureBucketName": "<OnFailureBucket>",
        "DashboardUrl": (
            "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
            "#dashboards/dashboard/<Dashboard>"
        ),
    }


# samconfig.toml


def overrides(environment: str) -> dict[str, str]:
    config = tomllib.loads((TEMPLATE.parent / "samconfig.toml").read_text("utf-8"))
    pairs = config[environment]["deploy"]["parameters"].get("parameter_overrides", [])
    return dict(pair.split("=", 1) for pair in pairs)


def test_samconfig_has_three_environments_and_none_chooses_a_region() -> None:
    config = tomllib.loads((TEMPLATE.parent / "samconfig.toml").read_text("utf-8"))
    assert config.pop("version") == 0.1
    assert sorted(config) == ["default", "prod", "workshop"]
    for environment in config.values():
        common = {"capabilities": "CAPABILITY_IAM", "resolve_s3": True, "confirm_changeset": True}
        assert common.items() <= environment["deploy"]["parameters"].items()
        assert "region" not in str(environment)
    assert config["default"]["global"]["parameters"]["stack_name"] == "ddbreplica"
    assert config["workshop"]["deploy"]["parameters"]["tags"] == [
        "workshop-design-patterns=targeted-for-cleanup",
    ]


@pytest.mark.parametrize("environment", ["default", "workshop", "prod"])
def test_samconfig_names_only_parameters_that_exist_and_gives_none_an_empty_value(environment: str) -> None:
    named = overrides(environment)
    assert set(named) <= set(PARAMETERS)
    assert all(named.values())


def test_samconfig_s_default_and_workshop_deploy_as_they_stand() -> None:
    assert refusals(**overrides("default")) == []
    assert refusals(**overrides("workshop")) == []
    assert overrides("workshop") == {"TableDeletionPolicy": "Delete"}


def test_samconfig_s_prod_is_refused_until_its_tables_and_alarm_target_are_named() -> None:
    prod = overrides("prod")
    assert refusals(**prod) == [
        "SourceTableName must be 3 to 255 letters, digits, underscores, hyphens or dots.",
        "ReplicaTableName must be 3 to 255 letters, digits, underscores, hyphens or dots.",
        "AlarmEmail must be empty or one e-mail address.",
    ]
    named = prod | {
        "SourceTableName": "orders",
        "ReplicaTableName": "orders-copy",
        "AlarmEmail": "ops@example.com",
    }
    assert refusals(**named) == []
    assert {name: named[name] for name in ("BillingMode", "DeletionProtection", "TableDeletionPolicy")} == {
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtection": "true",
        "TableDeletionPolicy": "Retain",
    }
