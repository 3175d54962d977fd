"""What template.yaml makes to keep data in: tables, buckets, log."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.placements import EXISTING_REPLICA, EXISTING_SOURCE, IN_REGION, KEY, ON_DEMAND
from tests.support.template import decide, load, properties, resources


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


def test_a_table_that_exists_is_not_made() -> None:
    assert "SourceTable" not in resources(**EXISTING_SOURCE)
    assert "ReplicaTable" in resources(**EXISTING_SOURCE)
    assert "SourceTable" in resources(**EXISTING_REPLICA)
    assert "ReplicaTable" not in resources(**EXISTING_REPLICA)
    assert "ReplicaTable" not in resources(**IN_REGION)


@pytest.mark.parametrize("table", ["SourceTable", "ReplicaTable"])
def test_a_table_has_the_key_and_the_index_that_are_asked_for(table: str) -> None:
    created = properties(
        table,
        PartitionKeyName="customer",
        PartitionKeyType="B",
        SortKeyName="placed_at",
        SortKeyType="N",
        CreateIndex="false",
    )
    assert created["AttributeDefinitions"] == [
        {"AttributeName": "customer", "AttributeType": "B"},
        {"AttributeName": "placed_at", "AttributeType": "N"},
    ]
    assert created["KeySchema"] == [
        {"AttributeName": "customer", "KeyType": "HASH"},
        {"AttributeName": "placed_at", "KeyType": "RANGE"},
    ]
    assert "GlobalSecondaryIndexes" not in created


@pytest.mark.parametrize("table", ["SourceTable", "ReplicaTable"])
def test_a_table_is_encrypted_with_the_key_that_is_given(table: str) -> None:
    assert properties(table, KmsKeyArn=KEY)["SSESpecification"] == {
        "SSEEnabled": True,
        "SSEType": "KMS",
        "KMSMasterKeyId": KEY,
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
        "VersioningConfiguration": {"Status": "Enabled"},
        "LifecycleConfiguration": {
            "Rules": [
                {
                    "Id": "ExpireWhatIsDone",
                    "Status": "Enabled",
                    "Prefix": "done/",
                    "ExpirationInDays": 90,
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                },
                {
                    "Id": "ExpireOldVersions",
                    "Status": "Enabled",
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
                    "ExpiredObjectDeleteMarker": True,
                },
                {
                    "Id": "AbortIncompleteUploads",
                    "Status": "Enabled",
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                },
            ],
        },
    }


@pytest.mark.parametrize("bucket", ["QuarantineBucket", "OnFailureBucket"])
def test_what_is_done_and_old_versions_are_kept_for_the_days_asked_for(bucket: str) -> None:
    done, old, _ = properties(bucket, DoneRetentionInDays=7)["LifecycleConfiguration"]["Rules"]

    assert done["ExpirationInDays"] == old["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7


def test_what_waits_never_expires() -> None:
    for bucket in ("QuarantineBucket", "OnFailureBucket"):
        rules = properties(bucket)["LifecycleConfiguration"]["Rules"]
        assert [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule] == ["done/"]


@pytest.mark.parametrize("bucket", ["QuarantineBucket", "OnFailureBucket"])
def test_a_bucket_is_encrypted_with_the_key_that_is_given(bucket: str) -> None:
    assert properties(bucket, KmsKeyArn=KEY)["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {
            "BucketKeyEnabled": True,
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
        },
    ]


@pytest.mark.parametrize("bucket", ["QuarantineBucket", "OnFailureBucket"])
def test_a_bucket_and_its_policy_outlive_the_stack(bucket: str) -> None:
    created = resources()
    for kept in (created[bucket], created[f"{bucket}Policy"]):
        assert (kept["DeletionPolicy"], kept["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_without_the_transform_that_refuses_it_a_resource_is_kept_except_on_create() -> None:
    """AWS::LanguageExtensions refuses RetainExceptOnCreate."""
    assert load()["Transform"] == "AWS::Serverless-2016-10-31"


def referenced(node: Any) -> Iterator[str]:
    """The logical ids that a part of a template refers to by Ref."""
    if isinstance(node, dict):
        yield from ([node["Ref"]] if "Ref" in node else ())
        for value in node.values():
            yield from referenced(value)
    if isinstance(node, list):
        for value in node:
            yield from referenced(value)


@pytest.mark.parametrize("index", ["true", "false"])
def test_the_replica_table_is_created_after_the_source_table(index: str) -> None:
    """DynamoDB limits how many tables with indexes it creates at a time, so AWS asks for a dependency."""
    both = decide(CreateIndex=index)["Resources"]
    assert "SourceTable" in referenced(both["ReplicaTable"])
    assert "ReplicaTable" not in referenced(both["SourceTable"])


def test_the_replica_of_an_existing_source_waits_for_no_table() -> None:
    """CloudFormation refuses a reference to a resource that its condition leaves out."""
    created = decide(**EXISTING_SOURCE)["Resources"]
    assert "SourceTable" not in created
    assert "SourceTable" not in referenced(created["ReplicaTable"])


@pytest.mark.parametrize("bucket", ["QuarantineBucket", "OnFailureBucket"])
def test_a_bucket_refuses_plain_http_by_a_policy_of_its_own(bucket: str) -> None:
    policy = properties(f"{bucket}Policy")
    assert policy["Bucket"] == f"<{bucket}>"
    assert policy["PolicyDocument"]["Statement"][0] == {
        "Sid": "RefusePlainHttp",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"<{bucket}.Arn>", f"<{bucket}.Arn>/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_the_quarantine_bucket_refuses_to_overwrite_a_record_whoever_asks() -> None:
    """Not what redrive copies to done/: a copy cannot meet such a policy."""
    assert properties("QuarantineBucketPolicy")["PolicyDocument"]["Statement"][1:] == [
        {
            "Sid": "RefuseToOverwriteRecords",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": "<QuarantineBucket.Arn>/quarantine/*",
            "Condition": {"Null": {"s3:if-none-match": "true"}},
        },
    ]
    assert properties("OnFailureBucketPolicy")["PolicyDocument"]["Statement"][1:] == []


def test_the_policy_is_changed_after_the_code_that_meets_it() -> None:
    assert resources()["QuarantineBucketPolicy"]["DependsOn"] == "ReplicatorFunction"


def test_the_log_is_kept_for_the_days_asked_for_under_the_key_that_is_given() -> None:
    assert properties("ReplicatorLogGroup", LogRetentionInDays=30) == {"RetentionInDays": 30}
    assert properties("ReplicatorLogGroup", KmsKeyArn=KEY)["KmsKeyId"] == KEY
