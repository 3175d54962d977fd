"""The tables, the buckets and the log group of template.yaml."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.deployment_scenarios import EXISTING_REPLICA, EXISTING_SOURCE, IN_REGION, KEY, ON_DEMAND
from tests.support.template import decide, load, properties, resources


@pytest.mark.parametrize(("table", "name"), [("SourceTable", "logfile"), ("ReplicaTable", "logfile_replica")])
def test_the_default_tables_are_those_of_the_workshop(table: str, name: str) -> None:
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


def test_an_existing_table_is_not_created() -> None:
    assert "SourceTable" not in resources(**EXISTING_SOURCE)
    assert "ReplicaTable" in resources(**EXISTING_SOURCE)
    assert "SourceTable" in resources(**EXISTING_REPLICA)
    assert "ReplicaTable" not in resources(**EXISTING_REPLICA)
    assert "ReplicaTable" not in resources(**IN_REGION)


@pytest.mark.parametrize("table", ["SourceTable", "ReplicaTable"])
def test_a_table_has_the_key_and_the_index_in_the_parameters(table: str) -> None:
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
def test_a_table_is_encrypted_with_the_given_kms_key(table: str) -> None:
    assert properties(table, KmsKeyArn=KEY)["SSESpecification"] == {
        "SSEEnabled": True,
        "SSEType": "KMS",
        "KMSMasterKeyId": KEY,
    }


def test_only_the_source_has_a_stream_and_it_carries_new_images() -> None:
    assert properties("SourceTable")["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert "StreamSpecification" not in properties("ReplicaTable")


@pytest.mark.parametrize("table", ["SourceTable", "ReplicaTable"])
def test_an_on_demand_table_and_its_index_have_no_provisioned_throughput(table: str) -> None:
    created = properties(table, **ON_DEMAND)
    assert created["BillingMode"] == "PAY_PER_REQUEST"
    assert "ProvisionedThroughput" not in created
    assert "ProvisionedThroughput" not in created["GlobalSecondaryIndexes"][0]


@pytest.mark.parametrize("policy", ["RetainExceptOnCreate", "Retain", "Delete"])
@pytest.mark.parametrize("table", ["SourceTable", "ReplicaTable"])
def test_a_table_has_the_given_deletion_policy_and_is_kept_when_replaced(table: str, policy: str) -> None:
    created = resources(TableDeletionPolicy=policy)[table]
    assert (created["DeletionPolicy"], created["UpdateReplacePolicy"]) == (policy, "Retain")


@pytest.mark.parametrize("table", ["SourceTable", "ReplicaTable"])
def test_deletion_protection_covers_both_tables(table: str) -> None:
    protected = properties(table, DeletionProtection="true", AlarmEmail="ops@example.com")
    assert protected["DeletionProtectionEnabled"] == "true"


VERIFICATIONS = {
    "Id": "ExpireVerifications",
    "Status": "Enabled",
    "Prefix": "verifications/",
    "ExpirationInDays": 400,
    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
}


@pytest.mark.parametrize(
    ("bucket", "beside"), [("QuarantineBucket", [VERIFICATIONS]), ("OnFailureBucket", [])]
)
def test_a_bucket_is_private_and_expires_only_reprocessed_records_and_verifications(
    bucket: str, beside: list[Any]
) -> None:
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
                *beside,
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
def test_reprocessed_records_and_noncurrent_versions_are_kept_for_the_given_days(bucket: str) -> None:
    rules = properties(bucket, DoneRetentionInDays=7)["LifecycleConfiguration"]["Rules"]
    done, old = (rule for rule in rules if rule["Id"] in ("ExpireWhatIsDone", "ExpireOldVersions"))

    assert done["ExpirationInDays"] == old["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7


def test_records_that_are_not_reprocessed_never_expire() -> None:
    for bucket, beside in (("QuarantineBucket", ["verifications/"]), ("OnFailureBucket", [])):
        rules = properties(bucket)["LifecycleConfiguration"]["Rules"]
        assert [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule] == ["done/", *beside]


@pytest.mark.parametrize("bucket", ["QuarantineBucket", "OnFailureBucket"])
def test_a_bucket_is_encrypted_with_the_given_kms_key(bucket: str) -> None:
    assert properties(bucket, KmsKeyArn=KEY)["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {
            "BucketKeyEnabled": True,
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
        },
    ]


@pytest.mark.parametrize("bucket", ["QuarantineBucket", "OnFailureBucket"])
def test_a_bucket_and_its_policy_are_kept_when_the_stack_is_deleted(bucket: str) -> None:
    created = resources()
    for kept in (created[bucket], created[f"{bucket}Policy"]):
        assert (kept["DeletionPolicy"], kept["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_template_does_not_use_the_transform_that_refuses_retain_except_on_create() -> None:
    """The transform AWS::LanguageExtensions does not accept RetainExceptOnCreate."""
    assert load()["Transform"] == "AWS::Serverless-2016-10-31"


def referenced(node: Any) -> Iterator[str]:
    """Yield the logical IDs to which a part of a template refers with Ref."""
    if isinstance(node, dict):
        yield from ([node["Ref"]] if "Ref" in node else ())
        for value in node.values():
            yield from referenced(value)
    if isinstance(node, list):
        for value in node:
            yield from referenced(value)


@pytest.mark.parametrize("index", ["true", "false"])
def test_the_replica_table_is_created_after_the_source_table(index: str) -> None:
    """DynamoDB limits how many tables with indexes it creates at the same time, so AWS recommends a dependency."""
    both = decide(CreateIndex=index)["Resources"]
    assert "SourceTable" in referenced(both["ReplicaTable"])
    assert "ReplicaTable" not in referenced(both["SourceTable"])


def test_the_replica_of_an_existing_source_depends_on_no_table() -> None:
    """CloudFormation refuses a reference to a resource whose condition is false."""
    created = decide(**EXISTING_SOURCE)["Resources"]
    assert "SourceTable" not in created
    assert "SourceTable" not in referenced(created["ReplicaTable"])


@pytest.mark.parametrize("bucket", ["QuarantineBucket", "OnFailureBucket"])
def test_the_policy_of_a_bucket_denies_plain_http(bucket: str) -> None:
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


def test_the_policy_of_the_quarantine_bucket_denies_overwriting_a_record_to_everyone() -> None:
    """The statement does not cover done/, because a copy cannot send the required header."""
    assert properties("QuarantineBucketPolicy")["PolicyDocument"]["Statement"][1:] == [
        {
            "Sid": "RefuseToOverwriteRecords",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": ["<QuarantineBucket.Arn>/quarantine/*", "<QuarantineBucket.Arn>/verifications/*"],
            "Condition": {"Null": {"s3:if-none-match": "true"}},
        },
    ]
    assert properties("OnFailureBucketPolicy")["PolicyDocument"]["Statement"][1:] == []


def test_the_policy_is_changed_after_the_code_that_complies_with_it() -> None:
    assert resources()["QuarantineBucketPolicy"]["DependsOn"] == "ReplicatorFunction"


def test_the_log_has_the_given_retention_and_kms_key() -> None:
    assert properties("ReplicatorLogGroup", LogRetentionInDays=30) == {"RetentionInDays": 30}
    assert properties("ReplicatorLogGroup", KmsKeyArn=KEY)["KmsKeyId"] == KEY
