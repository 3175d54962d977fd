"""Delete a run's stack and buckets. Only resources with the run's tag are deleted: a name is no proof."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from demo.pair import wait_until
from tests.e2e.account import Account
from tests.e2e.deployment import change_sets
from tests.e2e.report import Claim
from tests.e2e.run import Run

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef, TagTypeDef

T = TypeVar("T")

DELETED: Final = "DELETE_COMPLETE"


def remove(run: Run) -> None:
    """Delete everything that the run created, and report what could not be deleted.

    It raises no subclass of Exception.
    """
    run.begin("Delete everything that the run created")
    stacks = _found(run, "stacks", lambda: own_stacks(run))
    for stack in stacks:
        with _noted(run, f"stack {stack['StackId']}"):
            _delete_stack(run, stack)
    for kind, name in _found(run, "resources that the stacks left", lambda: retained(run, stacks)):
        with _noted(run, f"{kind} {name}"):
            _KINDS[kind].delete(run.account, name)
            run.say(f"{kind} {name} is deleted.")
    for bucket in _found(run, "code buckets", lambda: own_code_buckets(run)):
        with _noted(run, f"bucket {bucket}"):
            delete_bucket(run.account, bucket)
            run.say(f"AWS::S3::Bucket {bucket} is deleted.")
    run.report.left_behind += _found(run, "resources that could not be listed", lambda: _named_alike(run))
    left = run.report.left_behind
    run.found(Claim.REMOVED, f"Left behind: {', '.join(left) or 'nothing'}.", held=not left)
    if left:
        run.say(f"To remove resources of the run that are left, run:\n  {run.how_to_remove}")


@contextmanager
def _noted(run: Run, what: str) -> Iterator[None]:
    """Note what could not be removed, and the reason, and continue."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  whatever it is, the rest is to be removed
        run.report.left_behind.append(f"{what} ({error})")


def _found(run: Run, what: str, look: Callable[[], Iterator[T]]) -> Sequence[T]:
    """Return everything that `look` finds, and note its errors."""
    found: list[T] = []
    with _noted(run, what):
        found.extend(look())
    return found


def own_stacks(run: Run) -> "Iterator[StackTypeDef]":
    """Yield the stacks that the run created, including deleted ones, which may have left resources."""
    account, name = run.account, run.names.stack
    present = account.stack(name)
    if present is not None and _is_own(run, present):
        yield present
    pages = account.cloudformation.get_paginator("list_stacks").paginate(StackStatusFilter=[DELETED])
    ids = [each["StackId"] for page in pages for each in page["StackSummaries"] if each["StackName"] == name]
    deleted = map(account.stack, ids)
    yield from (stack for stack in deleted if stack is not None and run.names.own(stack.get("Tags", ())))


def _is_own(run: Run, stack: "StackTypeDef") -> bool:
    if stack["StackStatus"] == "REVIEW_IN_PROGRESS":  # it has only change sets
        tags = [change_set["Tags"] for change_set in change_sets(run, stack["StackId"])]
        return bool(tags) and all(map(run.names.own, tags))
    return run.names.own(stack.get("Tags", ()))


def own_code_buckets(run: Run) -> Iterator[str]:
    """Yield the code buckets that the run created."""
    for bucket in run.account.s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        if name.startswith(run.names.code_buckets) and run.names.own(run.account.bucket_tags(name)):
            yield name


def _delete_stack(run: Run, stack: "StackTypeDef") -> None:
    cloudformation, pace, stack_id = run.account.cloudformation, run.pace, stack["StackId"]
    if stack["StackStatus"] == DELETED:
        return

    def is_settled() -> bool:
        status = cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
        return not (status.startswith("UPDATE_") and status.endswith("_IN_PROGRESS"))

    # A run may be interrupted during an update, when CloudFormation does not delete the stack.
    wait_until(is_settled, "The stack's update ends", every=pace.look, within=pace.resources)
    tables = [name for kind, name in created(run, stack_id) if kind == "AWS::DynamoDB::Table"]
    cloudformation.delete_stack(StackName=stack_id)
    waiter = cloudformation.get_waiter("stack_delete_complete")
    waiter.wait(StackName=stack_id, WaiterConfig={"Delay": 5, "MaxAttempts": int(pace.resources / 5)})
    run.say(f"The stack {run.names.stack} is deleted.")
    if tables:
        kept = sorted(filter(run.account.has_table, tables))
        run.found(
            Claim.TABLES_DELETED, f"Tables left after the stack's deletion: {kept or 'none'}.", held=not kept
        )


def retained(run: Run, stacks: "Iterable[StackTypeDef]") -> Iterator[tuple[str, str]]:
    """Yield the type and name of each resource that the run's stacks created and left."""
    for stack in stacks:
        for kind, name in sorted(created(run, stack["StackId"])):
            if kind in _KINDS and run.names.cover(name) and _KINDS[kind].is_own(run, name):
                yield kind, name


def created(run: Run, stack_id: str) -> set[tuple[str, str]]:
    """Return the type and name of each resource that the stack created, by its events.

    The stack's list of resources lacks those retained after a failed creation. An event of a failed creation may
    have the name of a resource that existed before.
    """
    pages = run.account.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return {
        (event["ResourceType"], event["PhysicalResourceId"])
        for page in pages
        for event in page["StackEvents"]
        if event.get("ResourceStatus") == "CREATE_COMPLETE" and event.get("PhysicalResourceId")
    }


def _named_alike(run: Run) -> Iterator[str]:
    """Yield the resources that still have one of the run's names, and whether the run created them."""
    account, names = run.account, run.names
    stack = account.stack(names.stack)
    if stack is not None:
        yield f"stack {names.stack}{_whose(is_own=_is_own(run, stack))}"
    for noun, kind in _NOUNS.items():
        for name in filter(names.cover, _KINDS[kind].all(account, names.stack)):
            yield f"{noun} {name}{_whose(is_own=_KINDS[kind].is_own(run, name))}"


def _whose(*, is_own: bool) -> str:
    return "" if is_own else " (not touched: it does not have this run's tag)"


def _all_tables(account: Account, _: str) -> Iterator[str]:
    for page in account.dynamodb.get_paginator("list_tables").paginate():
        yield from page["TableNames"]


def _all_buckets(account: Account, _: str) -> Iterator[str]:
    yield from (bucket["Name"] for bucket in account.s3.list_buckets()["Buckets"])


def _all_log_groups(account: Account, pattern: str) -> Iterator[str]:
    groups = account.logs.describe_log_groups(logGroupNamePattern=pattern)["logGroups"]
    yield from (group["logGroupName"] for group in groups)


def _delete_table(account: Account, name: str) -> None:
    account.dynamodb.delete_table(TableName=name)
    account.dynamodb.get_waiter("table_not_exists").wait(TableName=name)


def delete_bucket(account: Account, name: str) -> None:
    """Delete a bucket with all versions of its objects."""
    for page in account.s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            account.s3.delete_object(Bucket=name, Key=found["Key"], VersionId=found["VersionId"])
    account.s3.delete_bucket(Bucket=name)


def _delete_log_group(account: Account, name: str) -> None:
    account.logs.delete_log_group(logGroupName=name)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How to list, find and delete a resource of a type that may be left by its stack, and its tags."""

    all: Callable[[Account, str], Iterator[str]]
    exists: Callable[[Account, str], bool]
    tags: "Callable[[Account, str], Sequence[TagTypeDef]]"
    delete: Callable[[Account, str], None]

    def is_own(self, run: Run, name: str) -> bool:
        """Return whether it exists and has the run's tag, which CloudFormation adds to all the stack's resources."""
        return self.exists(run.account, name) and run.names.own(self.tags(run.account, name))


_KINDS: Final[Mapping[str, _Kind]] = {
    "AWS::DynamoDB::Table": _Kind(_all_tables, Account.has_table, Account.table_tags, _delete_table),
    "AWS::S3::Bucket": _Kind(_all_buckets, Account.has_bucket, Account.bucket_tags, delete_bucket),
    "AWS::Logs::LogGroup": _Kind(
        _all_log_groups, Account.has_log_group, Account.log_group_tags, _delete_log_group
    ),
}
_NOUNS: Final = {
    "table": "AWS::DynamoDB::Table",
    "bucket": "AWS::S3::Bucket",
    "log group": "AWS::Logs::LogGroup",
}
