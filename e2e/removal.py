"""A run's stack and buckets → gone. Only what the stack itself names, or the run has made, and bears its name."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from demo.errors import DidNotHoldError
from demo.pair import wait_until
from e2e.account import Account
from e2e.report import Claim
from e2e.run import Run


def remove(run: Run) -> None:
    """Delete everything, and report what could not be; it never raises but for an interrupt."""
    run.begin("Remove everything")
    made = {("AWS::S3::Bucket", bucket) for bucket in run.made}
    with _noted(run, f"stack {run.names.stack}"):
        if run.account.has_stack(run.names.stack):
            made |= _delete_stack(run)
            _check_tables(run, {name for kind, name in made if kind == "AWS::DynamoDB::Table"})
    for kind, name in sorted(made):
        _remove_retained(run, kind, name)
    with _noted(run, "what could not be looked for"):
        run.report.left_behind += _named_alike(run)
    left = run.report.left_behind
    run.found(Claim.REMOVED, f"Left behind: {', '.join(left) or 'nothing'}.", held=not left)


@contextmanager
def _noted(run: Run, what: str) -> Iterator[None]:
    """Note what could not be removed, and why, and go on."""
    try:
        yield
    except (BotoCoreError, ClientError, DidNotHoldError) as error:
        run.report.left_behind.append(f"{what} ({error})")


def _delete_stack(run: Run) -> set[tuple[str, str]]:
    """Return the type and the name of each resource that the stack has ever had."""
    cloudformation, pace = run.account.cloudformation, run.pace
    stack = cloudformation.describe_stacks(StackName=run.names.stack)["Stacks"][0]["StackId"]

    def is_settled() -> bool:
        status = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        return not (status.startswith("UPDATE_") and status.endswith("_IN_PROGRESS"))

    # A run may be interrupted in the middle of an update, during which CloudFormation deletes nothing.
    wait_until(is_settled, "The stack's update ends", every=pace.look, within=pace.resources)
    cloudformation.delete_stack(StackName=stack)
    waiter = cloudformation.get_waiter("stack_delete_complete")
    waiter.wait(StackName=stack, WaiterConfig={"Delay": 5, "MaxAttempts": int(pace.resources / 5)})
    run.say(f"The stack {run.names.stack} is deleted.")
    # By its events: its list of resources forgets those that are kept where a creation fails.
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    events = [event for page in pages for event in page["StackEvents"]]
    return {(event["ResourceType"], event.get("PhysicalResourceId", "")) for event in events}


def _check_tables(run: Run, names: set[str]) -> None:
    kept = sorted(name for name in names if name and run.account.has_table(name))
    if names:
        run.found(Claim.TABLES_DELETED, f"Tables that outlived the stack: {kept or 'none'}.", held=not kept)


def _remove_retained(run: Run, kind: str, name: str) -> None:
    """Remove what the deleted stack has left, if it is of a kind that a stack leaves, and bears the run's name."""
    if kind not in _KINDS or not run.names.cover(name):
        return
    exists, delete = _KINDS[kind]
    with _noted(run, f"{kind} {name}"):
        if exists(run.account, name):
            delete(run.account, name)
            run.say(f"{kind} {name} is deleted.")


def _named_alike(run: Run) -> Iterator[str]:
    """What bears the run's name although everything is deleted."""
    account, names = run.account, run.names
    if account.has_stack(names.stack):
        yield f"stack {names.stack}"
    tables = account.dynamodb.get_paginator("list_tables").paginate()
    yield from (f"table {name}" for page in tables for name in page["TableNames"] if names.cover(name))
    buckets = account.s3.list_buckets()["Buckets"]
    yield from (f"bucket {bucket['Name']}" for bucket in buckets if names.cover(bucket["Name"]))
    groups = account.logs.describe_log_groups(logGroupNamePattern=names.stack)["logGroups"]
    yield from (f"log group {group['logGroupName']}" for group in groups)


def _delete_table(account: Account, name: str) -> None:
    account.dynamodb.delete_table(TableName=name)
    account.dynamodb.get_waiter("table_not_exists").wait(TableName=name)


def _delete_bucket(account: Account, name: str) -> None:
    for page in account.s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for found in page.get("Contents", []):
            account.s3.delete_object(Bucket=name, Key=found["Key"])
    account.s3.delete_bucket(Bucket=name)


def _delete_log_group(account: Account, name: str) -> None:
    account.logs.delete_log_group(logGroupName=name)


_KINDS: Final[Mapping[str, tuple[Callable[[Account, str], bool], Callable[[Account, str], None]]]] = {
    "AWS::DynamoDB::Table": (Account.has_table, _delete_table),
    "AWS::S3::Bucket": (Account.has_bucket, _delete_bucket),
    "AWS::Logs::LogGroup": (Account.has_log_group, _delete_log_group),
}
"""What outlives a stack, or may: whether it is there, and how it is deleted."""
