"""Combinations of the parameters of template.yaml that contain every pair of choices."""

from collections.abc import Mapping
from typing import Final

from tests.support.deployment_scenarios import (
    BOUNDARY,
    BY_HAND,
    BY_SCHEDULE,
    EXISTING_SOURCE,
    HASHING,
    IN_ACCOUNT,
    KEY,
    ON_DEMAND,
    REPLICA_KEY,
    REPLICAS,
    SOURCE_KEY,
    WORKERS,
    Parameters,
)
from tests.support.pairwise import pairwise

CHOICES: Final[Mapping[str, Mapping[str, Parameters]]] = {
    "source": {
        "created": {},
        "existing": EXISTING_SOURCE,
        "existing with a key": {**EXISTING_SOURCE, "SourceKmsKeyArn": SOURCE_KEY},
    },
    "replica": {
        **{name: place for name, place in REPLICAS.items() if not name.startswith("in this")},
        "in another account with a key": {**IN_ACCOUNT, "ReplicaKmsKeyArn": REPLICA_KEY},
    },
    "key": {"one": {}, "two": {"PartitionKeyType": "B", "SortKeyName": "SK", "SortKeyType": "N"}},
    "index": {"with": {}, "without": {"CreateIndex": "false"}},
    "filter": {"none": {}, "on keys": {"KeyFilter": '{"PK": {"S": [{"prefix": "a#"}]}}'}},
    "transform": {"none": {}, "dropping": {"Transform": '{"drop":["mail"]}'}, "hashing": HASHING},
    "expiry": {"replicated": {}, "archived": {"ReplicateTtlDeletes": "false"}},
    "encryption": {"AWS's": {}, "own": {"KmsKeyArn": KEY}},
    "boundary": {"none": {}, "bound": {"PermissionsBoundaryArn": BOUNDARY}},
    "billing": {"provisioned": {}, "on demand": ON_DEMAND},
    "function": {
        "plain": {},
        "tuned": {
            "Tracing": "Active",
            "ReservedConcurrency": "5",
            "EndpointUrl": "http://127.0.0.1:4566",
            "BatchSize": 10000,
        },
    },
    "workers": {
        "none": {},
        "by hand": {**BY_HAND, "WorkerConcurrency": 1000},
        "redriving": WORKERS,
        "verifying": {**BY_SCHEDULE, "VerificationOverdueHours": 24, "MaxVerificationUnits": 10**9},
    },
    "alarms": {
        "without target": {},
        "mailed": {"AlarmEmail": "ops@example.com", "DeletionProtection": "true"},
        "published": {"AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"},
    },
}


ROWS: Final = pairwise({name: list(options) for name, options in CHOICES.items()})


def parameters_of(row: Mapping[str, str]) -> Parameters:
    return {name: value for choice, option in row.items() for name, value in CHOICES[choice][option].items()}
