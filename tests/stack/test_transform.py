"""A deployed transform: what `transform check` prints is deployed, and the secret is read, denied and shown nowhere."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from ddbreplica_cli.runs.transform.deployable import parameter
from demo.command import run
from demo.deploy import deploy, deploy_replica
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import Item, Pair, wait_until
from tests.support.build import SAM
from tests.support.enforced import ENFORCED, Deployed, Role, over_http
from tests.support.sam import Project, project
from tests.support.transforms import SECRET, Document, expected

pytestmark = pytest.mark.loopback

RULES: Final[Document] = {
    "hash": ["mail"],
    "concat": {"GSI_1_PK": ["mail#", {"attribute": "mail"}]},
    "set": {"masked": {"BOOL": True}},
    "drop": ["note"],
    "rename": {"host": "server", "server": "host"},
}
CANARY: Final = "canary-of-an-item"


def create_secret(aws: EmbeddedAws) -> Mapping[str, str]:
    """Create the secret, and return the parameters of the template that name its version."""
    created = aws.secretsmanager.create_secret(Name="replica/hash", SecretString=SECRET.value.decode())
    return {"TransformSecretArn": created["ARN"], "TransformSecretVersion": created["VersionId"]}


def put(pair: Pair, key: str, **attributes: Any) -> None:
    pair.dynamodb.put_item(TableName=pair.source, Item={"PK": {"S": key}, **attributes})


def transformed(document: Document, pair: Pair) -> dict[str, Any]:
    """Return what the replica is to hold: the transformed items of the source."""
    return {key: expected(document, item, ["PK"]) for key, item in pair.items(pair.source).items()}


def wait_until_transformed(document: Document, pair: Pair) -> None:
    wait_until(lambda: pair.items(pair.replica) == transformed(document, pair), "The replica is f(source)")


@pytest.fixture(scope="module")
def hashing() -> Iterator[Deployed]:
    with embedded_aws(enforce_roles=True) as aws:
        workers = {"Workers": "true", "RedriveScheduleExpression": "none"}
        stack = deploy(aws, "hashing", Transform=parameter(RULES), **create_secret(aws), **workers)
        bucket_policy = aws.s3.get_bucket_policy(Bucket=stack.quarantine_bucket)["Policy"]
        aws.s3.put_bucket_policy(Bucket=stack.quarantine_bucket, Policy=over_http(bucket_policy))
        name = stack.outputs["FunctionRoleArn"].rpartition("/")[2]
        role = Role(aws.iam, name, enforced=(*ENFORCED, "ReadTheSecretOfTheTransform"))
        yield Deployed(aws, stack, Pair(aws.dynamodb, stack.source, stack.replica), role, bucket_policy)


def test_a_denied_secret_fails_the_batch_before_anything_is_written(hashing: Deployed) -> None:
    with hashing.role.without("secretsmanager:GetSecretValue"):
        put(hashing.pair, "a", mail={"S": f"{CANARY}-a"})
        put(hashing.pair, "b", mail={"M": {"x": {"S": CANARY}}})
        wait_until(lambda: hashing.errors() != [], "The invocation fails")
        error = hashing.errors()[-1]
        assert hashing.pair.items(hashing.pair.replica) == {}
        assert hashing.quarantined() == set()
    hashing.pair.dynamodb.delete_item(TableName=hashing.pair.source, Key={"PK": {"S": "b"}})

    wait_until_transformed(RULES, hashing.pair)

    assert "TransformError" in error
    assert "cannot be read: AccessDeniedException" in error


def test_the_replica_is_the_transformed_source(hashing: Deployed) -> None:
    for number in range(30):
        put(
            hashing.pair,
            f"k{number}",
            mail={"N": f"{number}.50"} if number % 2 else {"S": f"{CANARY}-{number}"},
            note={"S": CANARY},
            host={"S": f"h{number}"},
            **({"server": {"S": "s"}} if number % 3 else {}),
        )
    for number in range(10):
        hashing.pair.dynamodb.delete_item(TableName=hashing.pair.source, Key={"PK": {"S": f"k{number}"}})

    wait_until_transformed(RULES, hashing.pair)

    items = hashing.pair.items(hashing.pair.replica)
    assert len(items) == 21
    assert CANARY not in json.dumps(items)
    verified = run(hashing.aws, "verify", "--stack-name", hashing.stack.name, "--grace", "1")
    assert verified.exit_code == 0, verified.output
    assert "canary" not in verified.output


def test_the_workers_verify_it_if_they_may_read_the_secret(hashing: Deployed) -> None:
    verify = ("verify", "--stack-name", hashing.stack.name, "--grace", "1", "--in-aws")
    name = hashing.stack.outputs["WorkerRoleArn"].rpartition("/")[2]
    with Role(hashing.aws.iam, name, enforced=["ReadTheSecretOfTheTransform"]).without(
        "secretsmanager:GetSecretValue"
    ):
        denied = run(hashing.aws, *verify)

    verified = run(hashing.aws, *verify)

    assert denied.exit_code == 2, denied.output
    assert "AccessDeniedException" in denied.output
    assert verified.exit_code == 0, verified.output
    assert "canary" not in denied.output + verified.output


def test_what_cannot_be_transformed_is_quarantined_as_it_came_and_the_previous_item_stays(
    hashing: Deployed,
) -> None:
    put(hashing.pair, "kept", mail={"S": f"{CANARY}-kept"})
    wait_until_transformed(RULES, hashing.pair)
    before = hashing.pair.item(hashing.pair.replica, "kept")

    put(hashing.pair, "kept", mail={"BOOL": True}, note={"S": CANARY})
    wait_until(lambda: "kept" in hashing.quarantined(), "The record is in quarantine")

    assert before is not None
    assert hashing.pair.item(hashing.pair.replica, "kept") == before
    (stored,) = [each for each in objects(hashing) if each["record"]["dynamodb"]["Keys"]["PK"]["S"] == "kept"]
    assert stored["error_code"] == "Untransformable"
    assert stored["reason"] == "cannot be transformed: attribute 'mail' has type BOOL; hash takes S, N, B"
    assert stored["record"]["dynamodb"]["NewImage"]["note"] == {"S": CANARY}


def test_neither_the_secret_nor_a_hashed_value_is_in_a_log_a_metric_or_a_name(hashing: Deployed) -> None:
    group = hashing.stack.outputs["LogGroupName"]
    pages = hashing.aws.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    log = "\n".join(event["message"] for page in pages for event in page["events"])
    names = hashing.aws.s3.list_objects_v2(Bucket=hashing.stack.quarantine_bucket)["Contents"]
    everywhere = f"{log}\n{hashing.aws.log.read_text(errors='replace')}\n{names}"

    assert "Untransformable" in log
    assert "RecordsQuarantined" in log
    assert "canary" not in everywhere


def objects(deployed: Deployed) -> list[Any]:
    bucket = deployed.stack.quarantine_bucket
    found = deployed.aws.s3.list_objects_v2(Bucket=bucket, Prefix="quarantine/").get("Contents", [])
    return [
        json.loads(deployed.aws.s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read())
        for each in found
    ]


INDEXED: Final[Document] = {
    "concat": {"by_tenant": ["tenant#", {"attribute": "tenant"}]},
    "keep": ["total"],
    "set": {"copied": {"BOOL": True}},
}


def test_an_archive_in_another_region_has_an_index_on_a_computed_attribute() -> None:
    with embedded_aws() as aws:
        there = replace(aws, region="eu-west-1")
        index = {"IndexPartitionKeyName": "by_tenant", "IndexSortKeyName": "PK"}
        deploy_replica(there, "there", ReplicaTableName="sums", **index)
        stack = deploy(
            aws,
            "here",
            SourceTableName="orders",
            ReplicaTableName="sums",
            CreateReplicaTable="false",
            ReplicaRegion="eu-west-1",
            ReplicateTtlDeletes="false",
            KeyFilter='{"PK": {"S": [{"prefix": "order#"}]}}',
            Transform=parameter(INDEXED),
        )
        pair = Pair(aws.dynamodb, stack.source, stack.replica, there.dynamodb)
        for number in range(20):
            put(
                pair,
                f"order#{number}",
                tenant={"N": f"{number % 2}.0"},
                total={"N": str(number)},
                note={"S": "n"},
            )
        put(pair, "invoice#1", tenant={"N": "1"})

        inside = {key for key in pair.items(pair.source) if key.startswith("order#")}
        wait_until(
            lambda: (
                pair.items(pair.replica)
                == {key: item for key, item in transformed(INDEXED, pair).items() if key in inside}
            ),
            "The archive is f(source) within the filter",
        )
        found = there.dynamodb.query(
            TableName="sums",
            IndexName="GSI_1",
            KeyConditionExpression="by_tenant = :tenant",
            ExpressionAttributeValues={":tenant": {"S": "tenant#1"}},
        )["Items"]

    assert [item["PK"]["S"] for item in found] == sorted(f"order#{number}" for number in range(1, 20, 2))
    assert {*found[0]} == {"PK", "by_tenant", "total", "copied"}


LONG: Final = {"S": "quo\"ted, it's back\\slashed, naïve 🙂 and ${long} "}


def longest() -> Document:
    """Return a transform whose parameter has 1,500 bytes."""
    rules: dict[str, Any] = {"hash": ["mail"], "drop": ['a "b"'], "set": {"it's": LONG, "filled": {"S": ""}}}
    left = 1500 - len(parameter(rules))
    rules["set"] = {"it's": LONG, "filled": {"S": "x" * left}}
    assert len(parameter(rules)) == 1500
    return rules


@pytest.fixture(scope="module")
def by_sam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with embedded_aws() as aws:
        yield project(aws, tmp_path_factory.mktemp("transform"))


@pytest.mark.skipif(not SAM.exists(), reason="needs SAM CLI: run `make .venv-sam/ready`")
def test_sam_cli_deploys_the_line_that_transform_check_prints(by_sam: Project) -> None:
    rules = longest()
    (by_sam.path / "masked.json").write_text(json.dumps(rules, ensure_ascii=False), "utf-8")
    checked = json.loads(by_sam.shell("ddbreplica transform check masked.json --json").output)
    secret = "".join(f'  "{name}={value}",\n' for name, value in create_secret(by_sam.aws).items())
    text = by_sam.config.read_text()
    by_sam.config.write_text(
        f"{text}\n[masked.global.parameters]\nstack_name = 'masked'\n"
        "[masked.deploy.parameters]\ncapabilities = 'CAPABILITY_IAM'\nresolve_s3 = true\ns3_prefix = 'masked'\n"
        f"parameter_overrides = [\n  {checked['samconfig']}\n{secret}]\n"
    )

    deployed = by_sam.deploy("--config-env", "masked")

    assert deployed.exit_code == 0, deployed.output
    outputs = by_sam.outputs("masked")
    configuration = by_sam.aws.lambda_.get_function_configuration(FunctionName=outputs["FunctionName"])
    assert configuration["Environment"]["Variables"]["TRANSFORM"] == checked["transform"]
    pair = Pair(by_sam.aws.dynamodb, outputs["SourceTableName"], outputs["ReplicaTableName"])
    attributes: Item = {'a "b"': {"S": "dropped"}, "it's": {"S": "the source's own"}, "mail": {"S": "x"}}
    put(pair, "a", **attributes)
    wait_until(lambda: pair.count(pair.replica) == 1, "The item is replicated")
    assert pair.items(pair.replica) == transformed(rules, pair)
    assert pair.items(pair.replica)["a"]["it's"] == LONG
