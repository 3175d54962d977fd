"""Workers with a replica in another Region, and in another account whose role they assume, on the embedded AWS."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.deploy import deploy_replica, update
from demo.embedded import EmbeddedAws, embedded_aws
from tests.support.enforced import over_http
from tests.support.workers import Deployed, item, key, package

OTHER_REGION = "eu-west-1"
HERE, THERE = "000000000000", "222222222222"
EXTERNAL_ID = "orders-2026"


def repaired(one: Deployed, job: str) -> Any:
    """Plant a difference in the replica, repair it by a job, and return the report."""
    (far,) = (client for client in [one.pair.replica_client] if client)
    far.put_item(TableName=one.pair.replica, Item=item(1) | {"text": {"S": "other"}})
    report = one.run("verify", job, grace=0, repair=True)
    one.pair.wait_until_equal()
    return report


@pytest.fixture
def aws(request: pytest.FixtureRequest) -> Iterator[EmbeddedAws]:
    with embedded_aws(enforce_roles=getattr(request, "param", False)) as aws:
        yield aws


def test_workers_repair_a_replica_in_another_region(aws: EmbeddedAws, tmp_path: Path) -> None:
    there = replace(aws, region=OTHER_REGION)
    deploy_replica(there, "abroad", ReplicaTableName="abroad_replica", BillingMode="PAY_PER_REQUEST")
    one = Deployed.by(
        aws,
        "abroad",
        package(aws, tmp_path, items_of_a_segment=50),
        there,
        CreateReplicaTable="false",
        ReplicaRegion=OTHER_REGION,
    )
    one.fill(range(100))

    report = repaired(one, "repair")

    assert report["verdict"] == "repaired"
    assert [each["key"]["PK"]["S"] for each in report["differences"]] == [key(1)]
    assert one.run("verify", "proof")["verdict"] == "equal"
    assert "abroad_replica" not in aws.dynamodb.list_tables()["TableNames"]


@pytest.mark.parametrize("aws", [True], indirect=True, ids=["roles enforced"])
def test_workers_assume_the_role_of_another_account_once_it_lets_them_read(
    aws: EmbeddedAws, tmp_path: Path
) -> None:
    there = replace(aws, region=OTHER_REGION, account=THERE)
    names = {"ReplicaTableName": "far_replica", "BillingMode": "PAY_PER_REQUEST"}
    far = deploy_replica(there, "far", TrustedAccountId=HERE, ExternalId=EXTERNAL_ID, **names)
    one = Deployed.by(
        aws,
        "far",
        package(aws, tmp_path, items_of_a_segment=50),
        there,
        CreateReplicaTable="false",
        ReplicaRegion=OTHER_REGION,
        ReplicaRoleArn=far.outputs["ReplicaRoleArn"],
        ReplicaExternalId=EXTERNAL_ID,
    )
    # The embedded AWS uses plain HTTP, which the template's bucket policy denies.
    policy = aws.s3.get_bucket_policy(Bucket=one.stack.quarantine_bucket)["Policy"]
    aws.s3.put_bucket_policy(Bucket=one.stack.quarantine_bucket, Policy=over_http(policy))
    one.fill(range(100))
    plan = {"what": "verify", "options": {}, "scheduled": False, "concurrency": 1, "max_units": 0}

    assert one.invoke("plan", "refused", members=plan).failed == ""
    refused = one.invoke("work", "refused", members={"line": {"segments": [0]}})
    update(there, "far", WorkerRoleArn=one.stack.outputs["WorkerRoleArn"])
    allowed = one.invoke("work", "refused", members={"line": {"segments": [0, 1]}})

    assert "is not authorized to perform: dynamodb:Scan" in refused.failed
    assert allowed.failed == ""
    assert one.invoke("gather", "refused").failed == ""
    assert one.invoke("report", "refused").failed == ""
    assert repaired(one, "repair")["verdict"] == "repaired"
