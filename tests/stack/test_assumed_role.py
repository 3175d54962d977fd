"""The role of the replica's account, enforced: it suffices, and without any of its actions nothing is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from demo import traffic
from demo.deploy import deploy, deploy_replica
from demo.embedded import embedded_aws
from demo.pair import Pair
from tests.support.cli import run
from tests.support.deployment_scenarios import KEY
from tests.support.enforced import Deployed, Role, actions, over_http
from tests.support.template import REPLICA_TEMPLATE, properties

OTHER_REGION: Final = "eu-west-1"
HERE, THERE = "000000000000", "222222222222"
EXTERNAL_ID: Final = "orders-2026"
ACTIONS: Final = ("BatchWriteItem", "DeleteItem", "DescribeTable", "PutItem")
NOT_TRIED: Final = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*")
"""The embedded AWS notes a table's KMS key, and asks it for nothing: these are what AWS documents."""


@dataclass(frozen=True, slots=True)
class Assuming(Deployed):
    """The function in one account with its role, and the replica in another account with the role to assume."""

    far_role: Role

    @contextmanager
    def with_external_id(self, external_id: str) -> Iterator[None]:
        """Set the function's external ID during a block. Its execution environments are replaced before and after."""
        self.configure(REPLICA_EXTERNAL_ID=external_id)
        try:
            yield
        finally:
            self.configure(REPLICA_EXTERNAL_ID=EXTERNAL_ID)

    @contextmanager
    def without_any_session(self, action: str) -> Iterator[None]:
        """Remove an action from the function's own role, and end its execution environments with their sessions."""
        with self.role.without(action):
            self.configure(POWERTOOLS_LOG_LEVEL="DEBUG")
            yield

    def configure(self, **variables: str) -> None:
        name = self.stack.outputs["FunctionName"]
        present: Any = self.aws.lambda_.get_function_configuration(FunctionName=name)["Environment"]
        self.aws.lambda_.update_function_configuration(
            FunctionName=name, Environment={"Variables": present["Variables"] | variables}
        )


@pytest.fixture(scope="module")
def deployed() -> Iterator[Assuming]:
    with embedded_aws(enforce_roles=True) as aws:
        there = replace(aws, region=OTHER_REGION, account=THERE)
        far = deploy_replica(there, TrustedAccountId=HERE, ExternalId=EXTERNAL_ID)
        role_arn = far.outputs["ReplicaRoleArn"]
        stack = deploy(
            aws,
            CreateReplicaTable="false",
            ReplicaRegion=OTHER_REGION,
            ReplicaRoleArn=role_arn,
            ReplicaExternalId=EXTERNAL_ID,
        )
        pair = Pair(aws.dynamodb, stack.source, stack.replica, there.dynamodb)
        traffic.drop_source_index(pair)
        # The embedded AWS uses plain HTTP, which the template's bucket policies deny.
        bucket_policy = aws.s3.get_bucket_policy(Bucket=stack.quarantine_bucket)["Policy"]
        aws.s3.put_bucket_policy(Bucket=stack.quarantine_bucket, Policy=over_http(bucket_policy))
        role = Role(aws.iam, stack.outputs["FunctionRoleArn"].rpartition("/")[2])
        far_role = Role(there.iam, role_arn.rpartition("/")[2])
        yield Assuming(aws, stack, pair, role, bucket_policy, far_role)


@pytest.fixture
def profiles(deployed: Assuming, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set the credentials of this account in the environment, and of the other account as the profile `far`."""
    for name, value in deployed.aws.credentials.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "credentials").write_text(
        f"[far]\naws_access_key_id = {THERE}\naws_secret_access_key = {deployed.aws.secret}\nregion = {OTHER_REGION}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("profiles")
def test_the_role_suffices_and_verify_reports_equal_tables(deployed: Assuming) -> None:
    poison = deployed.write_batch("enough")

    deployed.deliver()
    deployed.settle(poison)

    assert deployed.errors() == []
    assert deployed.quarantined() == {"enough#poison"}
    assert {"enough#put"} == deployed.pair.items(deployed.pair.replica).keys()
    place = ("--stack-name", deployed.stack.name, "--endpoint-url", deployed.aws.endpoint_url)
    verified = run("verify", "--grace", "0", "--replica-profile", "far", *place)
    assert verified.exit_code == 0, verified.output


def test_the_function_s_own_account_has_no_such_table(deployed: Assuming) -> None:
    assert deployed.aws.dynamodb.list_tables()["TableNames"] == [deployed.stack.source]


def test_each_action_of_the_role_is_removed_by_a_test_or_listed_as_not_tried() -> None:
    parameters = {"TrustedAccountId": HERE, "ExternalId": EXTERNAL_ID, "KmsKeyArn": KEY}
    (policy,) = properties("ReplicaWriterRole", REPLICA_TEMPLATE, **parameters)["Policies"]
    granted = [action for each in policy["PolicyDocument"]["Statement"] for action in actions(each)]

    assert sorted(granted) == sorted([*(f"dynamodb:{action}" for action in ACTIONS), *NOT_TRIED])


@pytest.mark.parametrize("action", ACTIONS)
def test_without_an_action_of_the_role_the_batch_fails_and_is_not_lost(
    deployed: Assuming, action: str
) -> None:
    poison = deployed.write_batch(action)

    error = deployed.error_while(deployed.far_role.without(f"dynamodb:{action}"), poison)
    deployed.settle(poison)

    assert "ReplicaError: The replica table refuses every request: AccessDeniedException" in error
    assert f"is not authorized to perform: dynamodb:{action}" in error
    assert f":assumed-role/{deployed.far_role.name}/{deployed.stack.outputs['FunctionName']} " in error
    assert f"{action}#put" in deployed.pair.items(deployed.pair.replica)


def refused(deployed: Assuming, error: str) -> bool:
    return (
        "ReplicaError: The replica table refuses every request: AccessDenied: REPLICA_ROLE_ARN" in error
        and f"role/{deployed.far_role.name} cannot be assumed: " in error
        and "is not authorized to perform: sts:AssumeRole" in error
        and "no record of the batch was checkpointed" in error
    )


def test_with_a_wrong_external_id_the_batch_fails_and_is_not_lost(deployed: Assuming) -> None:
    poison = deployed.write_batch("wrong id")

    error = deployed.error_while(deployed.with_external_id("orders-2025"), poison)
    deployed.settle(poison)

    assert refused(deployed, error), error
    assert "wrong id#put" in deployed.pair.items(deployed.pair.replica)


def test_a_function_that_may_not_assume_the_role_fails_and_loses_nothing(deployed: Assuming) -> None:
    poison = deployed.write_batch("not allowed")

    error = deployed.error_while(deployed.without_any_session("sts:AssumeRole"), poison)
    deployed.settle(poison)

    assert refused(deployed, error), error
    assert "not allowed#put" in deployed.pair.items(deployed.pair.replica)
