"""Deploy template.yaml with SAM CLI and samconfig.toml's `workshop`, under the run's names."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from botocore.exceptions import WaiterError

from demo.pair import Pair, wait_until
from tests.e2e.errors import NotOwnedError, ProgramError
from tests.e2e.names import TAG
from tests.e2e.programs import ddbreplica, sam
from tests.e2e.report import Claim
from tests.e2e.run import ROOT, Run

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import (
        DescribeChangeSetOutputTypeDef,
        StackResourceSummaryTypeDef,
    )

_CONFIG: Final = ROOT / "samconfig.toml"
_ENVIRONMENT: Final = "workshop"

_Ending: TypeAlias = Literal["stack_create_complete", "stack_update_complete"]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A run with its deployed stack."""

    run: Run
    outputs: Mapping[str, str]
    resources: Sequence["StackResourceSummaryTypeDef"]

    @property
    def pair(self) -> Pair:
        """Return the two tables."""
        outputs = self.outputs
        return Pair(self.run.account.dynamodb, outputs["SourceTableName"], outputs["ReplicaTableName"])

    @property
    def function(self) -> str:
        """Return the function's name."""
        return self.outputs["FunctionName"]

    @property
    def mapping(self) -> str:
        """Return the UUID of the event source mapping."""
        return self.outputs["EventSourceMappingId"]

    def keys(self) -> list[str]:
        """Return the sorted partition keys of the source's items."""
        return sorted(self.pair.items(self.pair.source))

    def differing(self) -> list[str] | None:
        """Return the partition keys that `ddbreplica verify` reports, or None if it fails or is inconclusive."""
        options = ("--json", "--limit", str(self.run.pace.rows), "--grace", str(self.run.pace.grace))
        found = json.loads(ddbreplica(self.run, "verify", "--read-rate", "1000", *options).stdout or "{}")
        if found.get("verdict") not in ("equal", "not equal"):
            return None
        return [difference["key"]["PK"]["S"] for difference in found["differences"]]

    def wait_until_equal(self) -> None:
        """Wait until `ddbreplica verify` finds the two tables equal. Raises DidNotHoldError."""
        pace = self.run.pace
        promise = "`ddbreplica verify` reports equal tables (its output is in programs.log)"
        wait_until(lambda: self.differing() == [], promise, every=pace.look, within=pace.data)


def deploy(run: Run) -> Deployed:
    """Build the function and create the stack. Raises ProgramError if either fails."""
    run.begin(f"Deploy {run.template.name} as the stack {run.names.stack}")
    sam(run, "build", "--template-file", str(run.template), "--build-dir", str(run.home / "build"))
    make_code_bucket(run)
    create(run)
    deployed = describe(run)
    run.found(Claim.DEPLOYED, f"The stack has {len(deployed.resources)} resources.")
    return deployed


def describe(run: Run) -> Deployed:
    """Return the run with its stack as it is now."""
    stack = run.account.cloudformation.describe_stacks(StackName=run.names.stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    return Deployed(run, outputs, stack_resources(run))


def create(run: Run) -> None:
    """Create the stack from the build with the settings of `workshop`, and wait for it.

    Raises NotOwnedError, and changes nothing, if a stack with its name exists.
    """
    stack = run.names.stack
    if run.account.has_stack(stack):
        raise NotOwnedError(f"the stack {stack} already exists, and this run did not create it.")
    change_set = _change_set(run)
    # SAM CLI creates a change set of type UPDATE if a stack has appeared in the meantime.
    described = run.account.stack(change_set.stack_id)
    if described is None or described["StackStatus"] != "REVIEW_IN_PROGRESS":
        _discard(run, change_set)
        raise NotOwnedError(f"the stack {stack} was created in the meantime, and not by this run.")
    _execute(run, change_set, "stack_create_complete")


def redeploy(run: Run, **parameters: str | int) -> None:
    """Update the run's stack, and wait for it. Raises NotOwnedError, and changes nothing, if another run created it."""
    change_set = _change_set(run, **parameters)
    described = run.account.stack(change_set.stack_id)
    if described is None or not run.names.own(described.get("Tags", ())):
        _discard(run, change_set)
        raise NotOwnedError(f"this run did not create the stack {run.names.stack}.")
    _execute(run, change_set, "stack_update_complete")


@dataclass(frozen=True, slots=True)
class _ChangeSet:
    """A change set of the run: its ARN, and its stack."""

    arn: str
    stack_id: str


def _change_set(run: Run, **parameters: str | int) -> _ChangeSet:
    """Upload the code and create the change set, as `sam deploy` does, without executing it."""
    names = run.names
    values = {
        "TableDeletionPolicy": "Delete",
        "SourceTableName": names.source,
        "ReplicaTableName": names.replica,
    } | parameters
    sam(
        run,
        *("deploy", "--config-file", str(_CONFIG), "--config-env", _ENVIRONMENT),
        *("--template-file", str(run.home / "build" / "template.yaml"), "--stack-name", names.stack),
        # SAM CLI's own bucket would be left behind.
        *("--no-resolve-s3", "--s3-bucket", names.code_bucket),
        *("--no-confirm-changeset", "--no-execute-changeset"),
        *("--tags", *_configured_tags(), f"{TAG}={names.tag}"),
        *("--parameter-overrides", *(f'{name}="{value}"' for name, value in values.items())),
    )
    for change_set in change_sets(run, names.stack):
        if change_set["ExecutionStatus"] == "AVAILABLE" and names.own(change_set["Tags"]):
            return _ChangeSet(change_set["ChangeSetId"], change_set["StackId"])
    raise ProgramError(f"`sam deploy` created no change set of the stack {names.stack}.")


def _configured_tags() -> Sequence[str]:
    """Return the tags of samconfig.toml, since tags on the command line replace them."""
    settings = tomllib.loads(_CONFIG.read_text(encoding="utf-8"))
    tags: list[str] = settings[_ENVIRONMENT]["deploy"]["parameters"]["tags"]
    return tags


def change_sets(run: Run, stack: str) -> "Iterator[DescribeChangeSetOutputTypeDef]":
    """Yield the change sets of a stack, given by name or id, with their tags."""
    cloudformation = run.account.cloudformation
    for page in cloudformation.get_paginator("list_change_sets").paginate(StackName=stack):
        for summary in page["Summaries"]:
            yield cloudformation.describe_change_set(ChangeSetName=summary["ChangeSetId"])


def _discard(run: Run, change_set: _ChangeSet) -> None:
    run.account.cloudformation.delete_change_set(ChangeSetName=change_set.arn)


def _execute(run: Run, change_set: _ChangeSet, ending: "_Ending") -> None:
    cloudformation, pace = run.account.cloudformation, run.pace
    cloudformation.execute_change_set(ChangeSetName=change_set.arn)
    delay = min(5.0, pace.look)
    waiter: Any = cloudformation.get_waiter(ending)
    try:
        waiter.wait(
            StackName=change_set.stack_id,
            WaiterConfig={"Delay": delay, "MaxAttempts": int(pace.resources / delay)},
        )
    except WaiterError as error:
        raise ProgramError(f"the deployment failed: {_failures(run, change_set.stack_id)}") from error


def _failures(run: Run, stack_id: str) -> str:
    pages = run.account.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    failed = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for page in pages
        for event in page["StackEvents"]
        if event.get("ResourceStatus", "").endswith("_FAILED")
    ]
    return "; ".join(reversed(failed)) or "no event has a reason"


def stack_resources(run: Run) -> list["StackResourceSummaryTypeDef"]:
    """Return the stack's resources."""
    pages = run.account.cloudformation.get_paginator("list_stack_resources").paginate(
        StackName=run.names.stack
    )
    return [resource for page in pages for resource in page["StackResourceSummaries"]]


def make_code_bucket(run: Run) -> None:
    """Create the bucket for the function's code, with the run's tag. Raises NotOwnedError if it exists."""
    s3, name = run.account.s3, run.names.code_bucket
    # Checked first, since in us-east-1 CreateBucket succeeds for a bucket that one owns already.
    if run.account.has_bucket(name):
        raise NotOwnedError(f"the bucket {name} already exists, and this run did not create it.")
    bucket: Any = {"Bucket": name}
    if run.region != "us-east-1":  # us-east-1 is not a LocationConstraint
        bucket["CreateBucketConfiguration"] = {"LocationConstraint": run.region}
    s3.create_bucket(**bucket)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": TAG, "Value": run.names.tag}]})
