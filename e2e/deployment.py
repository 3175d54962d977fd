"""template.yaml and samconfig.toml's `workshop` → a stack under the run's own names, by SAM CLI as users do it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demo.pair import Pair, wait_until
from e2e.programs import ddbreplica, sam
from e2e.report import Claim
from e2e.run import ROOT, Run

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackResourceSummaryTypeDef


@dataclass(frozen=True, slots=True)
class Deployed:
    """A run that has its stack."""

    run: Run
    outputs: Mapping[str, str]
    resources: Sequence["StackResourceSummaryTypeDef"]

    @property
    def pair(self) -> Pair:
        """The two tables."""
        outputs = self.outputs
        return Pair(self.run.account.dynamodb, outputs["SourceTableName"], outputs["ReplicaTableName"])

    @property
    def function(self) -> str:
        """The function's name."""
        return self.outputs["FunctionName"]

    @property
    def mapping(self) -> str:
        """The mapping's UUID."""
        return self.outputs["EventSourceMappingId"]

    def keys(self) -> list[str]:
        """The partition keys of the source's items, in order."""
        return sorted(self.pair.items(self.pair.source))

    def differing(self) -> list[str] | None:
        """The partition keys that `ddbreplica verify` finds to differ. None if it comes to no verdict."""
        options = ("--json", "--limit", str(self.run.pace.rows), "--grace", str(self.run.pace.grace))
        found = json.loads(ddbreplica(self.run, "verify", "--read-rate", "1000", *options).stdout or "{}")
        if found.get("verdict") not in ("equal", "not equal"):
            return None
        return [difference["key"]["PK"]["S"] for difference in found["differences"]]

    def wait_until_equal(self) -> None:
        """Wait until `ddbreplica verify` finds the two tables equal. Raises DidNotHoldError."""
        pace = self.run.pace
        promise = (
            "`ddbreplica verify`, whose words are in programs.log, finds the replica equal to the source"
        )
        wait_until(lambda: self.differing() == [], promise, every=pace.look, within=pace.data)


def deploy(run: Run) -> Deployed:
    """Build the function and create the stack. Raises ProgramError if either fails."""
    run.begin(f"Deploy {run.template.name} as the stack {run.names.stack}")
    sam(run, "build", "--template-file", str(run.template), "--build-dir", str(run.home / "build"))
    _make_code_bucket(run)
    redeploy(run)
    stack = run.account.cloudformation.describe_stacks(StackName=run.names.stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    resources = stack_resources(run)
    run.found(Claim.DEPLOYED, f"The stack has {len(resources)} resources.")
    return Deployed(run, outputs, resources)


def redeploy(run: Run, **parameters: str | int) -> None:
    """Create or update the stack from what was built, with `workshop`'s settings, and wait for it."""
    names = run.names
    values = {
        "TableDeletionPolicy": "Delete",
        "SourceTableName": names.source,
        "ReplicaTableName": names.replica,
    } | parameters
    sam(
        run,
        *("deploy", "--config-file", str(ROOT / "samconfig.toml"), "--config-env", "workshop"),
        *("--template-file", str(run.home / "build" / "template.yaml"), "--stack-name", names.stack),
        # In place of SAM CLI's own bucket, which would stay.
        *("--no-resolve-s3", "--s3-bucket", names.code_bucket, "--no-confirm-changeset"),
        *("--parameter-overrides", *(f"{name}={value}" for name, value in values.items())),
    )


def stack_resources(run: Run) -> list["StackResourceSummaryTypeDef"]:
    """What the stack says are its resources."""
    pages = run.account.cloudformation.get_paginator("list_stack_resources").paginate(
        StackName=run.names.stack
    )
    return [resource for page in pages for resource in page["StackResourceSummaries"]]


def _make_code_bucket(run: Run) -> None:
    bucket: Any = {"Bucket": run.names.code_bucket}
    if run.region != "us-east-1":  # which has no name there
        bucket["CreateBucketConfiguration"] = {"LocationConstraint": run.region}
    # Noted first: a bucket that was made although the answer got lost is removed all the same.
    run.made.append(run.names.code_bucket)
    run.account.s3.create_bucket(**bucket)
