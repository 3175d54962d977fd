"""A stack of the recorded release is updated to this tree's template and code under writes, and back again.

The recorded release (tests/stack/upgrade/) runs with its own template and its own code. Today's commands process what
it has stored. The embedded AWS replaces resources like CloudFormation, as far as it supports that;
tests/functional/templates/test_upgrade.py checks the same with the resource schemas.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from demo import traffic
from demo.command import Finished, run
from demo.deploy import Package, Stack, deploy, update, upload
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import Pair, wait_until
from demo.writing import writing
from tests.support import cli
from tests.support.build import SAM, SET_SAM_UP
from tests.support.cli import Misbehaviour
from tests.support.recorded import TEMPLATE, Place, StoredObject, closed, code
from tests.support.updated import restore_mapping

NAME = "upgraded"
ITEMS = 1000
"""As many as were recorded: the state files name their keys."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The recorded release as a stack, and what it is updated to."""

    aws: EmbeddedAws
    stack: Stack
    pair: Pair
    recorded: Package
    present: Package

    def update(self, package: Package) -> None:
        """Update the stack while its source is written to, and wait until the replica has everything."""
        with writing(self.pair) as writer:
            wait_until(lambda: writer.written > 20, "The writer is at work")
            update(self.aws, NAME, package)
            at_the_update = writer.written
            restore_mapping(self.aws, self.stack)
            wait_until(lambda: writer.written > at_the_update + 20, "The writer continues")
        self.pair.wait_until_equal()
        assert writer.deleted

    def identities(self) -> Mapping[str, str]:
        """Return the physical id of each resource, and what changes if one is recreated under the same name."""
        cloudformation, outputs = self.aws.cloudformation, self.stack.outputs
        resources = cloudformation.describe_stack_resources(StackName=NAME)["StackResources"]
        physical = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}
        tables = {
            f"{table} of": str(self.aws.dynamodb.describe_table(TableName=table)["Table"]["CreationDateTime"])
            for table in (self.pair.source, self.pair.replica)
        }
        role = self.aws.iam.get_role(RoleName=outputs["FunctionRoleArn"].rpartition("/")[2])["Role"]
        buckets = {
            bucket["Name"]: str(bucket["CreationDate"]) for bucket in self.aws.s3.list_buckets()["Buckets"]
        }
        return {**physical, **tables, "role": role["RoleId"], **buckets}

    def function(self) -> str:
        """Return the hash of the function's code."""
        name = self.stack.outputs["FunctionName"]
        return self.aws.lambda_.get_function_configuration(FunctionName=name)["CodeSha256"]

    def verify(self, *options: str) -> Finished:
        return run(self.aws, "verify", "--stack-name", NAME, "--grace", "1", "--read-rate", "1000", *options)

    def damage(self, *keys: str) -> None:
        """Delete items directly from the replica."""
        for key in keys:
            self.pair.dynamodb.delete_item(TableName=self.pair.replica, Key={"PK": {"S": key}})

    def loaded(self) -> set[str]:
        """Return the keys of the items that existed when the backfill was recorded, and still exist."""
        return {f"request#{number + 1}" for number in range(ITEMS)} & self.pair.items(self.pair.source).keys()

    def missing(self) -> set[str]:
        return self.pair.items(self.pair.source).keys() - self.pair.items(self.pair.replica).keys()


@pytest.fixture(scope="module")
def upgrade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    """The recorded release, deployed and loaded."""
    with embedded_aws() as aws:
        template: dict[str, Any] = json.loads(TEMPLATE.read_text())
        recorded = upload(aws, template, code=code(tmp_path_factory.mktemp("code")), name="recorded")
        stack = deploy(aws, NAME, recorded, SourceTableName=NAME, ReplicaTableName=f"{NAME}_replica")
        pair = Pair(aws.dynamodb, stack.source, stack.replica)
        loaded = run(aws, "load", "--generate", str(ITEMS), "--source", NAME)
        assert loaded.exit_code == 0, loaded.output
        pair.wait_until_equal()
        yield Upgrade(aws, stack, pair, recorded, upload(aws))


@pytest.fixture(scope="module")
def poison(upgrade: Upgrade) -> str:
    """The key of a record that the recorded code has quarantined; the item is fixed at the source."""
    like = upgrade.pair.items(upgrade.pair.source)["request#1"]
    _, refused, fixed = traffic.neighbours_and_poison(like)
    traffic.drop_source_index(upgrade.pair)
    upgrade.pair.dynamodb.put_item(TableName=NAME, Item=refused)
    (found,) = traffic.wait_for_quarantine(upgrade.aws.s3, upgrade.stack.quarantine_bucket)
    upgrade.pair.dynamodb.put_item(TableName=NAME, Item=fixed)
    upgrade.pair.wait_until_equal()
    return found.key


@pytest.fixture(scope="module")
def place(upgrade: Upgrade) -> Place:
    outputs = upgrade.stack.outputs
    return Place.of(
        upgrade.aws.dynamodb,
        source=upgrade.pair.source,
        replica=upgrade.pair.replica,
        function_arn=outputs["FunctionArn"],
    )


@pytest.fixture(scope="module")
def upgraded(upgrade: Upgrade, poison: str) -> Upgrade:
    """The stack, updated to this tree's template and code."""
    before, code_before = upgrade.identities(), upgrade.function()
    upgrade.update(upgrade.present)
    assert before.items() <= upgrade.identities().items()
    assert upgrade.function() != code_before
    return upgrade


def test_the_update_replaces_nothing_and_loses_nothing(upgraded: Upgrade) -> None:
    verified = upgraded.verify()

    assert verified.exit_code == 0, verified.output


@pytest.fixture
def credentials(upgraded: Upgrade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sign the commands in that run in this process."""
    for name, value in {**upgraded.aws.credentials, "AWS_DEFAULT_REGION": upgraded.aws.region}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def an_hour_ago(parsed: Any, **_: Any) -> None:
    """Let S3 return an age of an hour for the recorded objects, so that their writes can no longer land."""
    for listed in parsed.get("Contents", ()):
        listed["LastModified"] -= timedelta(hours=1)


def stored(upgrade: Upgrade, place: Place) -> list[StoredObject]:
    """Put the recorded objects where the recorded release had them."""
    objects = list(place.objects())
    for each in objects:
        upgrade.aws.s3.put_object(
            Bucket=upgrade.stack.outputs[each.bucket], Key=each.name, Body=each.body.encode()
        )
    return objects


@pytest.mark.usefixtures("credentials")
def test_quarantined_records_and_discarded_batches_of_before_are_redriven(
    upgraded: Upgrade, place: Place, poison: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = stored(upgraded, place)
    keys = {poison}.union(*(each.keys for each in objects))
    assert len(keys) >= 4
    upgraded.damage(*keys)
    Misbehaviour(monkeypatch).on("after-call.s3.ListObjectsV2", an_hour_ago)

    redriven = cli.run("redrive", "--stack-name", NAME, "--endpoint-url", upgraded.aws.endpoint_url)

    assert redriven.exit_code == 0, redriven.output
    assert upgraded.missing() == set()
    for output in ("QuarantineBucketName", "OnFailureBucketName"):
        listed = upgraded.aws.s3.list_objects_v2(Bucket=upgraded.stack.outputs[output])["Contents"]
        assert [
            each["Key"] for each in listed if not each["Key"].startswith(("done/", "verifications/"))
        ] == []


def backfill(upgraded: Upgrade, state: Path, *options: str) -> Finished:
    rates = ("--segments", "2", "--read-rate", "1000")
    return run(upgraded.aws, "backfill", "--stack-name", NAME, "--state", str(state), *rates, *options)


def test_a_backfill_that_was_interrupted_before_the_update_is_resumed(
    upgraded: Upgrade, place: Place, tmp_path: Path
) -> None:
    state = place.state("interrupted", tmp_path)
    done, *_ = sorted(upgraded.loaded() & closed("interrupted"))
    left = upgraded.loaded() - closed("interrupted")
    upgraded.damage(done, *left)

    resumed = backfill(upgraded, state)

    assert resumed.exit_code == 0, resumed.output
    assert not state.exists()
    assert upgraded.missing() == {done}  # which shows that it did not start from the beginning
    repaired = upgraded.verify("--repair")
    assert repaired.exit_code == 0, repaired.output
    assert upgraded.missing() == set()


def test_a_backfill_that_was_killed_before_the_update_holds_its_in_doubt_writes(
    upgraded: Upgrade, place: Place, tmp_path: Path
) -> None:
    state = place.state("killed", tmp_path)
    left = upgraded.loaded() - closed("killed")
    upgraded.damage(*left)

    resumed = backfill(upgraded, state, "--no-wait")

    assert resumed.exit_code != 0
    held = upgraded.missing()
    assert held
    assert held < left
    assert f"{len(held):,} items" in resumed.output
    assert state.exists()
    repaired = upgraded.verify("--repair")
    assert repaired.exit_code == 0, repaired.output


CONFIGURATION = """
version = 0.1
[default.deploy.parameters]
stack_name = "configured"
capabilities = "CAPABILITY_IAM"
s3_bucket = "{bucket}"
confirm_changeset = false
parameter_overrides = [
  "SourceTableName=configured",
  "ReplicaTableName=configured_replica",
  "WriteMode=mirror",
  "MemorySize=512",
]
"""


@pytest.mark.skipif(not SAM.exists(), reason=f"needs SAM CLI: {SET_SAM_UP}")
def test_sam_deploy_leaves_out_a_parameter_that_is_gone_and_cloudformation_refuses_it(
    upgrade: Upgrade, tmp_path: Path
) -> None:
    aws, recorded = upgrade.aws, upgrade.recorded
    names = {"SourceTableName": "configured", "ReplicaTableName": "configured_replica"}
    before = deploy(aws, "configured", recorded, WriteMode="mirror", **names)
    with pytest.raises(ClientError, match=r"Parameters: \[WriteMode\] do not exist in the template"):
        aws.cloudformation.update_stack(
            StackName="configured",
            TemplateURL=upgrade.present.url,
            Parameters=[{"ParameterKey": "WriteMode", "UsePreviousValue": True}],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    bucket, key = upgrade.present.url.removeprefix(f"{aws.endpoint_url}/").split("/")
    template = json.load(aws.s3.get_object(Bucket=bucket, Key=key)["Body"])
    del template["Metadata"]  # names files beside the template
    (tmp_path / "template.json").write_text(json.dumps(template))
    (tmp_path / "samconfig.toml").write_text(CONFIGURATION.format(bucket=bucket))

    deployed = subprocess.run(  # noqa: S603
        [SAM, "deploy", "--template-file", "template.json", "--config-file", "samconfig.toml"],
        cwd=tmp_path,
        env={
            **aws.env,
            "AWS_ENDPOINT_URL": aws.endpoint_url,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.5",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert deployed.returncode == 0, deployed.stderr
    stack = aws.cloudformation.describe_stacks(StackName="configured")["Stacks"][0]
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    assert parameters.keys() == upgrade.present.parameters
    assert {**names, "MemorySize": "512"}.items() <= parameters.items()
    function = aws.lambda_.get_function_configuration(FunctionName=before.outputs["FunctionName"])
    assert function["MemorySize"] == 512
    assert "WRITE_MODE" not in function["Environment"]["Variables"]
    restore_mapping(aws, before)
    pair = Pair(aws.dynamodb, before.source, before.replica)
    aws.dynamodb.put_item(TableName=pair.source, Item={"PK": {"S": "1"}})
    pair.wait_until_equal()
    assert pair.items(pair.replica).keys() == {"1"}


def test_the_way_back_replaces_nothing_and_loses_nothing_either(upgraded: Upgrade) -> None:
    before, code_before = upgraded.identities(), upgraded.function()

    upgraded.update(upgraded.recorded)

    assert upgraded.identities().items() <= before.items()
    assert upgraded.function() != code_before
    verified = upgraded.verify()
    assert verified.exit_code == 0, verified.output
