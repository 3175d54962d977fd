"""The parameters of template.yaml: types, defaults, texts, and the combinations that are refused."""

from typing import Final

import pytest

from tests.support.deployment_scenarios import (
    BY_HAND,
    BY_ROLE,
    BY_SCHEDULE,
    EVERYTHING,
    EXISTING_SOURCE,
    HASHING,
    IN_ACCOUNT,
    IN_REGION,
    KEY,
    OTHER_ACCOUNT,
    OTHER_REGION,
    REPLICA_KEY,
    REPLICAS,
    ROLE,
    SOURCE_KEY,
    STREAM,
    WORKERS,
    Parameters,
)
from tests.support.endpoints import IN_THE_CLEAR, LOCAL
from tests.support.template import load, refusals

ENCRYPTED_OR_LOCAL: Final = (
    "EndpointUrl must be empty, an https:// URL, or an http:// URL of a local host such as"
    " http://host.docker.internal:8000, of at most 128 characters."
)
TRANSFORM: Final = '{"drop":["mail"]}'
NO_TRANSFORM: Final = (
    "Transform must be empty or a JSON object of at most 1500 ASCII characters, as ddbreplica transform check"
    " prints it."
)
NO_VERSION: Final = (
    "TransformSecretVersion must be empty or the ID of a version, which has 32 to 64 letters, digits or"
    " hyphens."
)
PARAMETERS: Final = {
    "SourceTableName": ("String", "logfile"),
    "SourceStreamArn": ("String", ""),
    "SourceKmsKeyArn": ("String", ""),
    "ReplicaTableName": ("String", "logfile_replica"),
    "CreateReplicaTable": ("String", "true"),
    "ReplicaRegion": ("String", ""),
    "ReplicaAccountId": ("String", ""),
    "ReplicaRoleArn": ("String", ""),
    "ReplicaExternalId": ("String", ""),
    "ReplicaKmsKeyArn": ("String", ""),
    "PartitionKeyName": ("String", "PK"),
    "PartitionKeyType": ("String", "S"),
    "SortKeyName": ("String", ""),
    "SortKeyType": ("String", "S"),
    "CreateIndex": ("String", "true"),
    "BillingMode": ("String", "PROVISIONED"),
    "TableDeletionPolicy": ("String", "RetainExceptOnCreate"),
    "DeletionProtection": ("String", "false"),
    "ReplicateTtlDeletes": ("String", "true"),
    "KeyFilter": ("String", ""),
    "Transform": ("String", ""),
    "TransformSecretArn": ("String", ""),
    "TransformSecretVersion": ("String", ""),
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
    "Workers": ("String", "false"),
    "WorkerConcurrency": ("Number", 10),
    "VerifyScheduleExpression": ("String", ""),
    "VerificationOverdueHours": ("Number", 48),
    "MaxVerificationUnits": ("Number", 0),
    "RedriveScheduleExpression": ("String", "rate(5 minutes)"),
    "KmsKeyArn": ("String", ""),
    "PermissionsBoundaryArn": ("String", ""),
    "DoneRetentionInDays": ("Number", 90),
    "AlarmEmail": ("String", ""),
    "AlarmTopicArn": ("String", ""),
}


def test_every_parameter_has_its_type_and_default() -> None:
    declared = load()["Parameters"]
    assert {name: (each["Type"], each["Default"]) for name, each in declared.items()} == PARAMETERS


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_has_a_description_and_a_constraint(name: str) -> None:
    parameter = load()["Parameters"][name]
    assert parameter["Description"].endswith(".")
    assert parameter["ConstraintDescription"].startswith("must be ")
    assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)


def test_exactly_the_descriptions_of_optional_parameters_start_with_optional() -> None:
    declared = load()["Parameters"]
    optional = {name for name, each in declared.items() if each["Description"].startswith("Optional ")}
    assert optional == {name for name, each in declared.items() if each["Default"] in ("", "none")}


def test_every_parameter_is_in_one_group_and_has_a_label() -> None:
    interface = load()["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)
    assert sorted(interface["ParameterLabels"]) == sorted(PARAMETERS)


@pytest.mark.parametrize("replica", REPLICAS)
@pytest.mark.parametrize("source", [{}, EXISTING_SOURCE], ids=["created", "existing"])
def test_every_deployment_scenario_is_accepted(source: Parameters, replica: str) -> None:
    assert refusals(**source, **REPLICAS[replica]) == []


@pytest.mark.parametrize(
    "parameters",
    [
        EVERYTHING,
        {"Transform": TRANSFORM},
        {"Transform": '{"set":{"a":{"S":"\\u0022 \\u005c \\u00fc"}}}'},
        HASHING,
        {**EXISTING_SOURCE, "SourceKmsKeyArn": SOURCE_KEY},
        {**IN_ACCOUNT, "ReplicaKmsKeyArn": REPLICA_KEY},
        {"AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"},
        WORKERS,
        BY_HAND,
        {**BY_HAND, "VerifyScheduleExpression": "none"},
        BY_SCHEDULE,
        {**BY_SCHEDULE, "VerifyScheduleExpression": "cron(0 3 ? * SUN *)"},
    ],
)
def test_a_valid_combination_is_accepted(parameters: Parameters) -> None:
    assert refusals(**parameters) == []


@pytest.mark.parametrize("there", [IN_REGION, IN_ACCOUNT, BY_ROLE])
def test_a_replica_in_another_region_or_account_may_have_the_name_of_its_source(there: Parameters) -> None:
    assert refusals(**there, ReplicaTableName="logfile") == []


DIFFER: Final = (
    "SourceTableName and ReplicaTableName must differ, unless the replica is in another Region or account."
)
WATCHED: Final = (
    "VerifyScheduleExpression requires a RedriveScheduleExpression, because the scheduled redrive reports how old"
    " the last verification is."
)
PROTECTED: Final = (
    "TableDeletionPolicy=Delete and DeletionProtection=true contradict each other; change one of them."
)
CREATED_THERE: Final = (
    "This stack cannot create a replica in another Region or account. Set CreateReplicaTable=false, and "
    "deploy replica.yaml there to create it."
)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"SourceTableName": "REPLACE-ME!"},
            "SourceTableName must be 3 to 255 letters, digits, underscores, hyphens or dots.",
        ),
        (
            {"SourceStreamArn": STREAM.partition("/stream/")[0]},
            "SourceStreamArn must be empty or the ARN of a table's stream (LatestStreamArn of DescribeTable).",
        ),
        (
            {
                **IN_REGION,
                "ReplicaTableName": f"arn:aws:dynamodb:{OTHER_REGION}:{OTHER_ACCOUNT}:table/orders",
            },
            "ReplicaTableName must be 3 to 255 letters, digits, underscores, hyphens or dots.",
        ),
        (
            IN_REGION | {"ReplicaRegion": "Oregon"},
            "ReplicaRegion must be empty or a Region such as eu-west-1.",
        ),
        (
            IN_ACCOUNT | {"ReplicaAccountId": "4444"},
            "ReplicaAccountId must be empty or a 12-digit account ID.",
        ),
        (
            BY_ROLE | {"ReplicaRoleArn": "orders-writer"},
            "ReplicaRoleArn must be empty or the ARN of an IAM role, of at most 256 characters.",
        ),
        (
            BY_ROLE | {"ReplicaExternalId": "?"},
            "ReplicaExternalId must be empty or 2 to 512 letters, digits or characters from +=,.@:/_-.",
        ),
        (
            {"KeyFilter": "tenant-1"},
            'KeyFilter must be empty or a JSON object such as {"PK": {"S": [{"prefix": "tenant-1#"}]}}.',
        ),
        (
            {"KmsKeyArn": "alias/orders"},
            "KmsKeyArn must be empty or the ARN of a KMS key; an alias is not accepted.",
        ),
        (
            {"PermissionsBoundaryArn": ROLE},
            "PermissionsBoundaryArn must be empty or the ARN of a managed policy.",
        ),
        ({"Timeout": 29}, "Timeout must be 30 to 900."),
        ({"ReservedConcurrency": "0"}, "ReservedConcurrency must be none or a whole number from 1 to 99999."),
        (
            {"MaximumRecordAgeInSeconds": 86400},
            "MaximumRecordAgeInSeconds must be 60 to 82800; the stream deletes a record after 86400 seconds.",
        ),
        *(({"EndpointUrl": url}, ENCRYPTED_OR_LOCAL) for url in ("localhost:8000", *IN_THE_CLEAR)),
        ({"AlarmEmail": "ops"}, "AlarmEmail must be empty or one email address."),
        ({"WorkerConcurrency": 0}, "WorkerConcurrency must be 1 to 10000."),
        ({"MaxVerificationUnits": -1}, "MaxVerificationUnits must be 0 or more."),
        (
            {"VerifyScheduleExpression": "daily"},
            "VerifyScheduleExpression must be empty, none, or a schedule expression such as rate(1 day).",
        ),
        (
            {"RedriveScheduleExpression": ""},
            "RedriveScheduleExpression must be none or a schedule expression such as rate(5 minutes).",
        ),
        (
            {"AlarmTopicArn": "arn:aws:sqs:eu-west-1:111122223333:ops"},
            "AlarmTopicArn must be empty or the ARN of a standard SNS topic.",
        ),
        ({"ReplicaTableName": "logfile"}, DIFFER),
        ({**REPLICAS["in this Region by name"], "ReplicaTableName": "logfile"}, DIFFER),
        ({**REPLICAS["in this account by ID"], "ReplicaTableName": "logfile"}, DIFFER),
        (IN_REGION | {"CreateReplicaTable": "true"}, CREATED_THERE),
        (IN_ACCOUNT | {"CreateReplicaTable": "true"}, CREATED_THERE),
        (BY_ROLE | {"CreateReplicaTable": "true"}, CREATED_THERE),
        (
            {**BY_ROLE, **IN_ACCOUNT},
            "Set ReplicaRoleArn or ReplicaAccountId, not both. The ARN of the role contains the account.",
        ),
        (
            IN_ACCOUNT | {"ReplicaExternalId": "orders-2026"},
            "ReplicaExternalId requires ReplicaRoleArn. Set ReplicaRoleArn, or leave ReplicaExternalId empty.",
        ),
        ({"Transform": "drop mail"}, NO_TRANSFORM),
        ({"Transform": '{"drop":["m\u00fcll"]}'}, NO_TRANSFORM),
        ({"Transform": "{" + "x" * 1499 + "}"}, NO_TRANSFORM),
        (
            {**HASHING, "TransformSecretArn": "replica/hash"},
            "TransformSecretArn must be empty or the whole ARN of a secret, with the six characters at its end.",
        ),
        (
            {**HASHING, "TransformSecretVersion": "AWSCURRENT"},
            NO_VERSION,
        ),
        (
            {**HASHING, "TransformSecretVersion": ""},
            "TransformSecretArn requires TransformSecretVersion, since each version has another value.",
        ),
        (
            {**HASHING, "TransformSecretArn": ""},
            "TransformSecretVersion requires TransformSecretArn.",
        ),
        (
            {**HASHING, "Transform": ""},
            "TransformSecretArn requires Transform. Set Transform, or leave TransformSecretArn empty.",
        ),
        (
            {"SourceKmsKeyArn": KEY},
            "SourceKmsKeyArn requires SourceStreamArn. For tables that this stack creates, set KmsKeyArn.",
        ),
        (
            {"ReplicaKmsKeyArn": KEY},
            "ReplicaKmsKeyArn requires CreateReplicaTable=false. For tables that this stack creates, set KmsKeyArn.",
        ),
        (
            BY_ROLE | {"ReplicaKmsKeyArn": KEY},
            "If ReplicaRoleArn is set, that role uses the replica's KMS key. Leave ReplicaKmsKeyArn empty.",
        ),
        ({"SortKeyName": "PK"}, "PartitionKeyName and SortKeyName must differ."),
        ({"VerifyScheduleExpression": "rate(1 day)"}, "VerifyScheduleExpression requires Workers=true."),
        (
            {**BY_SCHEDULE, **BY_HAND},
            WATCHED,
        ),
        (
            {"AlarmEmail": "ops@example.com", "AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"},
            "Set AlarmEmail or AlarmTopicArn, not both.",
        ),
        (
            {"DeletionProtection": "true"},
            "DeletionProtection=true requires alarm notifications. Set AlarmEmail or AlarmTopicArn.",
        ),
        (
            {"DeletionProtection": "true", "TableDeletionPolicy": "Delete", "AlarmEmail": "ops@example.com"},
            PROTECTED,
        ),
    ],
)
def test_an_invalid_parameter_or_combination_is_refused(parameters: Parameters, message: str) -> None:
    assert refusals(**parameters) == [message]


@pytest.mark.parametrize("url", ["https://10.0.0.1", *map(str.lower, LOCAL)])
def test_an_endpoint_may_be_encrypted_or_local(url: str) -> None:
    assert refusals(EndpointUrl=url) == []
