"""replica.yaml: the replica table as template.yaml creates it, the write access to it, and its alarms."""

from typing import Any, Final

import pytest

from tests.support.deployment_scenarios import BOUNDARY, KEY, ON_DEMAND, OTHER_ACCOUNT, REPLICAS, Parameters
from tests.support.replica_combinations import (
    BY_ACCOUNT,
    BY_ONE_ROLE,
    BY_POLICY,
    BY_WORKERS,
    COMPUTED,
    REPLICATOR,
    WORKER,
)
from tests.support.template import (
    REGION,
    REPLICA_TEMPLATE,
    TEMPLATE,
    deploy,
    load,
    properties,
    refusals,
    resources,
)

OWN: Final = {
    *(
        "EnableStream",
        "ReplicatorRoleArn",
        "WorkerRoleArn",
        "TrustedAccountId",
        "ExternalId",
        "CutOffRoleArn",
        "IndexPartitionKeyName",
        "IndexPartitionKeyType",
        "IndexSortKeyName",
        "IndexSortKeyType",
    ),
}
READ: Final = ["dynamodb:BatchGetItem", "dynamodb:Scan"]
ACTIONS: Final = [
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:DescribeTable",
    "dynamodb:PutItem",
]


def there(logical_id: str, **parameters: str | int) -> dict[str, Any]:
    return properties(logical_id, REPLICA_TEMPLATE, **parameters)


# Parameters


def test_a_parameter_of_both_templates_accepts_the_same_values_in_both() -> None:
    near, far = load(TEMPLATE)["Parameters"], load(REPLICA_TEMPLATE)["Parameters"]
    assert far.keys() - near.keys() == OWN
    for name in far.keys() & near.keys():
        assert {**far[name], "Description": ""} == {**near[name], "Description": ""}


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_parameter_that_only_replica_yaml_has_is_described_and_constrained(name: str) -> None:
    parameter = load(REPLICA_TEMPLATE)["Parameters"][name]
    assert parameter["Description"].endswith(".")
    assert parameter["ConstraintDescription"].startswith("must be ")
    assert {"AllowedPattern", "AllowedValues"} & set(parameter)


def test_every_parameter_is_in_one_group_and_has_a_label() -> None:
    interface = load(REPLICA_TEMPLATE)["Metadata"]["AWS::CloudFormation::Interface"]
    declared = sorted(load(REPLICA_TEMPLATE)["Parameters"])
    assert sorted(name for group in interface["ParameterGroups"] for name in group["Parameters"]) == declared
    assert sorted(interface["ParameterLabels"]) == declared


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {**BY_POLICY, **BY_ACCOUNT},
            "Set ReplicatorRoleArn or TrustedAccountId, not both.",
        ),
        (
            {"ExternalId": "orders-2026"},
            "ExternalId requires ReplicatorRoleArn or TrustedAccountId, which may then assume the new role.",
        ),
        ({"TrustedAccountId": OTHER_ACCOUNT}, "TrustedAccountId requires ExternalId."),
        ({"SortKeyName": "PK"}, "PartitionKeyName and SortKeyName must differ."),
        ({"IndexSortKeyName": "GSI_1_PK"}, "IndexPartitionKeyName and IndexSortKeyName must differ."),
        (
            {"DeletionProtection": "true"},
            "DeletionProtection=true requires alarm notifications. Set AlarmEmail or AlarmTopicArn.",
        ),
        (
            {"DeletionProtection": "true", "TableDeletionPolicy": "Delete", "AlarmEmail": "ops@example.com"},
            "TableDeletionPolicy=Delete and DeletionProtection=true contradict each other; change one of them.",
        ),
    ],
)
def test_an_invalid_combination_is_refused(parameters: Parameters, message: str) -> None:
    assert refusals(REPLICA_TEMPLATE, **parameters) == [message]


# Table


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        ON_DEMAND,
        {"SortKeyName": "SK", "SortKeyType": "N", "CreateIndex": "false", "KmsKeyArn": KEY},
        {"ReplicaTableName": "orders", "AlarmEmail": "ops@example.com", "DeletionProtection": "true"},
    ],
)
def test_the_table_and_its_alarms_are_those_that_the_main_template_creates(parameters: Parameters) -> None:
    near, far = resources(TEMPLATE, **parameters), resources(REPLICA_TEMPLATE, **parameters)
    common = {"ReplicaTable", "ReplicaTableThrottledAlarm", "ReplicaIndexThrottledAlarm", "AlarmTopic"}
    assert far.keys() == near.keys() & common
    after_the_source = near["ReplicaTable"].pop("Metadata")
    assert after_the_source == {"CreatedAfter": "<SourceTable>"}
    assert {name: near[name] for name in far} == far


@pytest.mark.parametrize(
    ("parameters", "key", "defined"),
    [
        (COMPUTED, {"tenant": "HASH", "placed_at": "RANGE"}, {"PK": "S", "tenant": "S", "placed_at": "N"}),
        ({"IndexPartitionKeyName": "tenant"}, {"tenant": "HASH"}, {"PK": "S", "tenant": "S"}),
        ({"IndexSortKeyName": "PK"}, {"GSI_1_PK": "HASH", "PK": "RANGE"}, {"PK": "S", "GSI_1_PK": "S"}),
        (
            {"SortKeyName": "SK", "IndexPartitionKeyName": "SK", "IndexSortKeyName": "PK"},
            {"SK": "HASH", "PK": "RANGE"},
            {"PK": "S", "SK": "S"},
        ),
    ],
    ids=["computed", "without a sort key", "sorted by the table's key", "inverted"],
)
def test_the_index_may_have_another_key_and_then_contains_all_attributes(
    parameters: Parameters, key: dict[str, str], defined: dict[str, str]
) -> None:
    table = there("ReplicaTable", **parameters)
    (index,) = table["GlobalSecondaryIndexes"]
    assert {each["AttributeName"]: each["KeyType"] for each in index["KeySchema"]} == key
    assert index["Projection"] == {"ProjectionType": "ALL"}
    definitions = [(each["AttributeName"], each["AttributeType"]) for each in table["AttributeDefinitions"]]
    assert sorted(definitions) == sorted(defined.items())


def test_the_table_has_a_stream_if_enable_stream_is_true() -> None:
    assert there("ReplicaTable", EnableStream="true")["StreamSpecification"] == {
        "StreamViewType": "NEW_IMAGE"
    }
    assert deploy(REPLICA_TEMPLATE, EnableStream="true")["Outputs"]["ReplicaStreamArn"]["Value"] == (
        "<ReplicaTable.StreamArn>"
    )


# Write access


def test_within_one_account_no_policy_and_no_role_is_created() -> None:
    assert "ResourcePolicy" not in there("ReplicaTable")
    assert "ReplicaWriterRole" not in resources(REPLICA_TEMPLATE)


def test_the_table_s_policy_allows_a_role_of_another_account_to_write() -> None:
    assert there("ReplicaTable", **BY_POLICY)["ResourcePolicy"]["PolicyDocument"]["Statement"] == [
        {
            "Sid": "LetTheReplicatorApplyChanges",
            "Effect": "Allow",
            "Principal": {"AWS": REPLICATOR},
            "Action": ACTIONS,
            "Resource": "arn:aws:dynamodb:eu-west-1:111122223333:table/logfile_replica",
        },
    ]
    assert "ReplicaWriterRole" not in resources(REPLICA_TEMPLATE, **BY_POLICY)


def test_the_table_s_policy_allows_the_workers_to_read_and_write_too() -> None:
    (*kept, added) = there("ReplicaTable", **BY_POLICY, **BY_WORKERS)["ResourcePolicy"]["PolicyDocument"][
        "Statement"
    ]
    assert kept == there("ReplicaTable", **BY_POLICY)["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert added == {
        "Sid": "LetTheWorkersReadAndWrite",
        "Effect": "Allow",
        "Principal": {"AWS": WORKER},
        "Action": sorted({*ACTIONS, *READ}),
        "Resource": "arn:aws:dynamodb:eu-west-1:111122223333:table/logfile_replica",
    }


def test_the_role_is_for_the_workers_too_and_then_reads() -> None:
    plain, more = (
        there("ReplicaWriterRole", **BY_ONE_ROLE, **each) for each in (dict[str, str](), BY_WORKERS)
    )
    (was,), (now,) = (role["AssumeRolePolicyDocument"]["Statement"] for role in (plain, more))
    assert now == {**was, "Principal": {"AWS": [REPLICATOR, WORKER]}}
    (was,), (now, read) = (role["Policies"][0]["PolicyDocument"]["Statement"] for role in (plain, more))
    assert now == was
    assert (read["Action"], read["Resource"]) == (READ, "<ReplicaTable.Arn>")
    assert "ResourcePolicy" not in there("ReplicaTable", **BY_ONE_ROLE, **BY_WORKERS)


def test_the_workers_of_a_trusted_account_need_no_trust_of_their_own() -> None:
    plain, more = (
        there("ReplicaWriterRole", **BY_ACCOUNT, **each) for each in (dict[str, str](), BY_WORKERS)
    )
    assert more["AssumeRolePolicyDocument"] == plain["AssumeRolePolicyDocument"]


@pytest.mark.parametrize("parameters", [{}, BY_POLICY])
def test_a_failover_denies_the_writes_of_the_workers_too(parameters: Parameters) -> None:
    denied = there("ReplicaTable", **parameters, **BY_WORKERS, CutOffRoleArn=REPLICATOR)["ResourcePolicy"][
        "PolicyDocument"
    ]["Statement"][-1]
    assert denied["Principal"] == {"AWS": [REPLICATOR, WORKER]}


@pytest.mark.parametrize(("parameters", "others"), [({}, 0), (BY_ACCOUNT, 0), (BY_POLICY, 1)])
def test_a_failover_denies_writes_and_keeps_the_rest_of_the_policy(
    parameters: Parameters, others: int
) -> None:
    before = there("ReplicaTable", **parameters).get("ResourcePolicy", {"PolicyDocument": {"Statement": []}})
    after = there("ReplicaTable", **parameters, CutOffRoleArn=REPLICATOR)["ResourcePolicy"]

    *kept, denied = after["PolicyDocument"]["Statement"]
    assert len(kept) == others
    assert kept == before["PolicyDocument"]["Statement"]
    assert denied == {
        "Sid": "CutTheReplicatorOffAfterAFailover",
        "Effect": "Deny",
        "Principal": {"AWS": REPLICATOR},
        "Action": [action for action in ACTIONS if action != "dynamodb:DescribeTable"],
        "Resource": "arn:aws:dynamodb:eu-west-1:111122223333:table/logfile_replica",
    }


@pytest.mark.parametrize(
    ("parameters", "principal"),
    [(BY_ACCOUNT, f"arn:aws:iam::{OTHER_ACCOUNT}:root"), (BY_ONE_ROLE, REPLICATOR)],
)
def test_the_role_trusts_one_principal_and_requires_the_external_id(
    parameters: Parameters, principal: str
) -> None:
    role = there("ReplicaWriterRole", **parameters)
    assert role["AssumeRolePolicyDocument"]["Statement"] == [
        {
            "Sid": "LetTheReplicatorWriteAsThisRole",
            "Effect": "Allow",
            "Principal": {"AWS": principal},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "orders-2026"}},
        },
    ]
    assert "ResourcePolicy" not in there("ReplicaTable", **parameters)


def test_the_role_has_the_same_permissions_for_the_table_as_the_function_s_role() -> None:
    (policy,) = there("ReplicaWriterRole", **BY_ACCOUNT)["Policies"]
    (near,) = properties("DDBReplicationRole")["Policies"]
    applies = [
        each for each in near["PolicyDocument"]["Statement"] if each["Sid"] == "ApplyChangesToTheReplica"
    ]
    assert policy["PolicyDocument"]["Statement"] == applies


def test_the_role_may_use_the_table_s_kms_key_only_through_dynamodb() -> None:
    (policy,) = there("ReplicaWriterRole", **BY_ACCOUNT, KmsKeyArn=KEY)["Policies"]
    assert policy["PolicyDocument"]["Statement"][1:] == [
        {
            "Sid": "UseTheKeyOfTheTableThroughDynamoDB",
            "Effect": "Allow",
            "Action": [
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKey*",
                "kms:ReEncrypt*",
            ],
            "Resource": KEY,
            "Condition": {"StringLike": {"kms:ViaService": f"dynamodb.{REGION}.*"}},
        },
    ]


def test_the_role_has_a_permissions_boundary_only_if_one_is_given() -> None:
    bound = there("ReplicaWriterRole", **BY_ACCOUNT, PermissionsBoundaryArn=BOUNDARY)
    assert bound["PermissionsBoundary"] == BOUNDARY
    assert "PermissionsBoundary" not in there("ReplicaWriterRole", **BY_ACCOUNT)


# Alarms and outputs


@pytest.mark.parametrize("replica", ["in another Region", "in another account", "by a role"])
def test_each_alarm_is_in_one_of_the_two_templates(replica: str) -> None:
    near, far = resources(TEMPLATE, **REPLICAS[replica]), resources(REPLICA_TEMPLATE)
    assert near.keys() & far.keys() == set()
    alarms = {name for name in (*near, *far) if name.endswith("Alarm")}
    assert alarms == {name for name in resources(TEMPLATE) if name.endswith("Alarm")}


@pytest.mark.parametrize(
    ("parameters", "role"), [({}, None), (BY_POLICY, None), (BY_ACCOUNT, "<ReplicaWriterRole.Arn>")]
)
def test_the_outputs_have_the_parameter_values_of_the_main_template(
    parameters: Parameters, role: str | None
) -> None:
    outputs = {
        name: each["Value"] for name, each in deploy(REPLICA_TEMPLATE, **parameters)["Outputs"].items()
    }
    expected = {
        "ReplicaTableName": "<ReplicaTable>",
        "ReplicaTableArn": "<ReplicaTable.Arn>",
        "ReplicaRegion": "eu-west-1",
    }
    assert outputs == (expected | {"ReplicaRoleArn": role} if role else expected)
