"""Every Region that botocore knows is accepted wherever a Region can be given, by itself or in an ARN."""

import re

import pytest

from ddbreplica.aws.arn import region_of
from ddbreplica.errors import SettingsError
from ddbreplica.settings import Settings
from tests.support.regions import REGIONS, Region
from tests.support.template import REPLICA_TEMPLATE, ROOT, TEMPLATE, load, refusals

EXAMPLES = sorted(ROOT.glob("examples/*/template.yaml"))
ids = [region.name for region in REGIONS]


def arns(region: Region) -> dict[str, str]:
    """Return an ARN for each parameter of a template that accepts one."""
    partition, name = region
    return {
        "SourceStreamArn": f"arn:{partition}:dynamodb:{name}:111122223333:table/orders/stream/2026-11-21T22:49:28.430",
        "SourceKmsKeyArn": f"arn:{partition}:kms:{name}:111122223333:key/00000000-0000-0000-0000-00000000000b",
        "ReplicaKmsKeyArn": f"arn:{partition}:kms:{name}:111122223333:key/mrk-0000000000000000000000000000000c",
        "KmsKeyArn": f"arn:{partition}:kms:{name}:111122223333:key/00000000-0000-0000-0000-00000000000a",
        "TransformSecretArn": f"arn:{partition}:secretsmanager:{name}:111122223333:secret:replica/hash-AbCdEf",
        "AlarmTopicArn": f"arn:{partition}:sns:{name}:111122223333:ops",
        "ReplicaRoleArn": f"arn:{partition}:iam::444455556666:role/orders-writer",
        "ReplicatorRoleArn": f"arn:{partition}:iam::111122223333:role/replicator",
        "WorkerRoleArn": f"arn:{partition}:iam::111122223333:role/worker",
        "CutOffRoleArn": f"arn:{partition}:iam::111122223333:role/replicator",
        "PermissionsBoundaryArn": f"arn:{partition}:iam::aws:policy/PowerUserAccess",
    }


def test_the_regions_of_all_partitions_are_known() -> None:
    known = {
        "eu-west-1",
        "cn-northwest-1",
        "eusc-de-east-1",
        "us-gov-west-1",
        "us-iso-east-1",
        "us-isob-west-1",
        "eu-isoe-west-1",
        "us-isof-south-1",
    }

    assert known <= set(ids)
    assert len(REGIONS) >= 45


@pytest.mark.parametrize("region", REGIONS, ids=ids)
def test_a_replica_may_be_in_any_region(region: Region) -> None:
    assert refusals(CreateReplicaTable="false", ReplicaRegion=region.name) == []
    assert Settings.from_env(
        {"REPLICA_TABLE_NAME": "copy", "QUARANTINE_BUCKET": "kept", "REPLICA_REGION": region.name}
    ).replica_region == (region.name)


@pytest.mark.parametrize(
    "template", [TEMPLATE, REPLICA_TEMPLATE, *EXAMPLES], ids=lambda path: path.parent.name
)
@pytest.mark.parametrize("region", REGIONS, ids=ids)
def test_an_arn_may_be_of_any_region(region: Region, template: object) -> None:
    parameters = load(template)["Parameters"]  # type: ignore[arg-type]
    patterns = {
        name: each["AllowedPattern"]
        for name, each in parameters.items()
        if "arn:" in each.get("AllowedPattern", "")
    }

    assert patterns
    for name, pattern in patterns.items():
        assert re.fullmatch(pattern, arns(region)[name]), name


@pytest.mark.parametrize("region", REGIONS, ids=ids)
def test_a_table_arn_may_have_any_region(region: Region) -> None:
    table = f"arn:{region.partition}:dynamodb:{region.name}:111122223333:table/copy"
    settings = Settings.from_env({"REPLICA_TABLE_NAME": table, "QUARANTINE_BUCKET": "kept"})

    assert settings.table == "copy"
    assert region_of(table) == region.name


@pytest.mark.parametrize(
    "value", ["Oregon", "us-west-2b", "aws-global", "us west 2", "us-west-2\n", "EU-WEST-1"]
)
def test_an_invalid_region_is_refused(value: str) -> None:
    assert refusals(CreateReplicaTable="false", ReplicaRegion=value) == [
        "ReplicaRegion must be empty or a Region such as eu-west-1."
    ]
    with pytest.raises(SettingsError, match="REPLICA_REGION is '"):
        Settings.from_env(
            {"REPLICA_TABLE_NAME": "copy", "QUARANTINE_BUCKET": "kept", "REPLICA_REGION": value}
        )
