"""The deployment scenarios of template.yaml as parameters, and the parameters that are the same in all of them."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from tests.support.template import ACCOUNT, REGION

Parameters: TypeAlias = dict[str, str | int]

OTHER_ACCOUNT: Final = "444455556666"
OTHER_REGION: Final = "us-west-2"
STREAM: Final = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders/stream/2026-11-21T22:49:28.430"
ROLE: Final = f"arn:aws:iam::{OTHER_ACCOUNT}:role/orders-writer"
BOUNDARY: Final = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
KEY: Final = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-00000000000a"
SOURCE_KEY: Final = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-00000000000b"
REPLICA_KEY: Final = f"arn:aws:kms:{OTHER_REGION}:{OTHER_ACCOUNT}:key/00000000-0000-0000-0000-00000000000c"

EXISTING_SOURCE: Final[Parameters] = {"SourceStreamArn": STREAM}
EXISTING_REPLICA: Final[Parameters] = {"CreateReplicaTable": "false"}
IN_REGION: Final[Parameters] = {"CreateReplicaTable": "false", "ReplicaRegion": OTHER_REGION}
IN_ACCOUNT: Final[Parameters] = {"CreateReplicaTable": "false", "ReplicaAccountId": OTHER_ACCOUNT}
BY_ROLE: Final[Parameters] = {"CreateReplicaTable": "false", "ReplicaRoleArn": ROLE}

REPLICAS: Final[Mapping[str, Parameters]] = {
    "created": {},
    "existing": EXISTING_REPLICA,
    "in this Region by name": IN_REGION | {"ReplicaRegion": REGION},
    "in another Region": IN_REGION,
    "in this account by ID": IN_ACCOUNT | {"ReplicaAccountId": ACCOUNT},
    "in another account": IN_ACCOUNT,
    "in another account and Region": {**IN_ACCOUNT, **IN_REGION},
    "by a role": BY_ROLE,
    "by a role in another Region": {**BY_ROLE, **IN_REGION, "ReplicaExternalId": "orders-2026"},
}

SECRET: Final = f"arn:aws:secretsmanager:{OTHER_REGION}:{OTHER_ACCOUNT}:secret:replica/hash-AbCdEf"
HASHING: Final[Parameters] = {
    "Transform": '{"hash":["mail"]}',
    "TransformSecretArn": SECRET,
    "TransformSecretVersion": "11111111-90ab-cdef-fedc-ba9876543210",
}
WORKERS: Final[Parameters] = {"Workers": "true"}
BY_HAND: Final[Parameters] = {**WORKERS, "RedriveScheduleExpression": "none"}
BY_SCHEDULE: Final[Parameters] = {**WORKERS, "VerifyScheduleExpression": "rate(1 day)"}

ON_DEMAND: Final[Parameters] = {"BillingMode": "PAY_PER_REQUEST"}
EVERYTHING: Final[Parameters] = {
    "SourceTableName": "orders",
    "ReplicaTableName": "orders-copy",
    "PartitionKeyName": "customer",
    "SortKeyName": "placed_at",
    "SortKeyType": "N",
    "BillingMode": "PAY_PER_REQUEST",
    "TableDeletionPolicy": "Retain",
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
    "KeyFilter": '{"customer": {"S": [{"prefix": "tenant-1#"}]}}',
    **HASHING,
    "Tracing": "Active",
    "LogRetentionInDays": 30,
    "DoneRetentionInDays": 30,
    "KmsKeyArn": KEY,
    "PermissionsBoundaryArn": BOUNDARY,
    "AlarmEmail": "ops@example.com",
    "EndpointUrl": "http://127.0.0.1:4566",
}
