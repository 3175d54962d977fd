"""Combinations of the parameters of replica.yaml that contain every pair of choices."""

from collections.abc import Mapping
from typing import Final

from tests.support.deployment_scenarios import BOUNDARY, KEY, ON_DEMAND, OTHER_ACCOUNT, Parameters
from tests.support.pairwise import pairwise

REPLICATOR: Final = f"arn:aws:iam::{OTHER_ACCOUNT}:role/ddbreplica-DDBReplicationRole-1"
BY_POLICY: Final[Parameters] = {"ReplicatorRoleArn": REPLICATOR}
BY_ACCOUNT: Final[Parameters] = {"TrustedAccountId": OTHER_ACCOUNT, "ExternalId": "orders-2026"}
BY_ONE_ROLE: Final[Parameters] = {"ReplicatorRoleArn": REPLICATOR, "ExternalId": "orders-2026"}
WORKER: Final = f"arn:aws:iam::{OTHER_ACCOUNT}:role/ddbreplica-WorkerRole-1"
BY_WORKERS: Final[Parameters] = {"WorkerRoleArn": WORKER}
COMPUTED: Final[Parameters] = {
    "IndexPartitionKeyName": "tenant",
    "IndexSortKeyName": "placed_at",
    "IndexSortKeyType": "N",
}
CHOICES: Final[Mapping[str, Mapping[str, Parameters]]] = {
    "writer": {"none": {}, "policy": BY_POLICY, "account": BY_ACCOUNT, "role": BY_ONE_ROLE},
    "workers": {"none": {}, "given": BY_WORKERS},
    "failover": {"before": {}, "after": {"CutOffRoleArn": REPLICATOR}},
    "key": {"one": {}, "two": {"PartitionKeyType": "B", "SortKeyName": "SK", "SortKeyType": "N"}},
    "index": {
        "with": {},
        "without": {"CreateIndex": "false"},
        "computed": COMPUTED,
        "of the table's key": {**COMPUTED, "IndexSortKeyName": "PK"},
    },
    "stream": {"without": {}, "with": {"EnableStream": "true"}},
    "encryption": {"AWS's": {}, "own": {"KmsKeyArn": KEY}},
    "boundary": {"none": {}, "bound": {"PermissionsBoundaryArn": BOUNDARY}},
    "billing": {"provisioned": {}, "on demand": ON_DEMAND},
    "alarms": {
        "without target": {},
        "mailed": {"AlarmEmail": "ops@example.com", "DeletionProtection": "true"},
        "published": {"AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"},
    },
}


ROWS: Final = pairwise({name: list(options) for name, options in CHOICES.items()})
