"""Show the account and what will be created or removed, and ask for its number as consent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tests.e2e.errors import RefusedError
from tests.e2e.removal import DELETED, own_code_buckets, own_stacks, retained
from tests.e2e.run import Run

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

_COST = "less than 1 US dollar"
"""Three hours of two tables with 20 read and 10 write capacity units each ($0.06 in us-east-1), of eighteen alarms,
fifteen custom metrics and a dashboard ($0.06), and about ten thousand invocations, log lines, requests and state
transitions ($0.10). The rest is for more expensive Regions."""


def announce(run: Run, *, quick: bool) -> None:
    """Show the account and what the run will create."""
    names = run.names
    _show_account(run, f"the run {names.suffix} on a real AWS account")
    run.report.about = f"{_where(run)}; stack {names.stack}."
    duration = "about 70 minutes" if quick else "about three hours"
    run.show(
        f"""
It creates, and later deletes:
  the stack {names.stack} with SAM CLI, from template.yaml: two tables ({names.source}, {names.replica}),
  a function with its event source mapping and log group, an IAM role that the function assumes, two buckets
  with their policies, a dashboard and fifteen alarms; later also workers: a second function with its log group,
  a state machine, two schedules, three alarms and the roles of these;
  the bucket {names.code_bucket} for the function's code.
It deletes only resources with its tag, {names.tag}. It takes {duration} and costs an estimated {_COST}.
"""
    )


def announce_removal(run: Run) -> bool:
    """Show which resources of the runs with this suffix will be deleted. Return False if there are none."""
    _show_account(run, f"the removal of the resources that runs with the suffix {run.names.suffix} created")
    present, deleted = _by_whether_deleted(list(own_stacks(run)))
    found = [
        *(f"the stack {each['StackId']} ({each['StackStatus']}) with all its resources" for each in present),
        *(f"{kind} {name}, left by a deleted stack" for kind, name in retained(run, deleted)),
        *(f"the bucket {name} with the function's code" for name in own_code_buckets(run)),
    ]
    for each in found or ["No resource has the tag of such a run."]:
        run.show(f"  {each}")
    return bool(found)


def _by_whether_deleted(
    stacks: "Sequence[StackTypeDef]",
) -> "tuple[list[StackTypeDef], list[StackTypeDef]]":
    present = [stack for stack in stacks if stack["StackStatus"] != DELETED]
    return present, [stack for stack in stacks if stack["StackStatus"] == DELETED]


def _show_account(run: Run, what: str) -> None:
    account = run.account
    run.show(
        f"""This is {what}.
  account   {account.number} (alias: {account.alias()})
  Region    {run.region}
  endpoint  {account.endpoints()}
  identity  {account.caller["Arn"]}
"""
    )


def _where(run: Run) -> str:
    return f"account {run.account.number}, Region {run.region}, as {run.account.caller['Arn']}"


def refuse_what_exists(run: Run) -> None:
    """Raise RefusedError if a resource with one of the run's names exists."""
    account, names = run.account, run.names
    found = {
        f"stack {names.stack}": account.has_stack(names.stack),
        f"table {names.source}": account.has_table(names.source),
        f"table {names.replica}": account.has_table(names.replica),
        f"bucket {names.code_bucket}": account.has_bucket(names.code_bucket),
    }
    if existing := [what for what, exists in found.items() if exists]:
        raise RefusedError(
            f"these already exist: {', '.join(existing)}.", hint="run it again; each run has new names."
        )


def ask(run: Run, *, account: str | None, is_terminal: bool) -> None:
    """Raise RefusedError unless the account's number is given by the option, or typed."""
    number = run.account.number
    if account is None and not is_terminal:
        raise RefusedError(
            "consent is required, and stdin is not a terminal.",
            hint=f"add --account {number} if this is the right account.",
        )
    answer = account if account is not None else click.prompt("Type the account's number to begin").strip()
    if answer != number:
        raise RefusedError(
            f"the credentials are for the account {number}, not {answer or 'nothing'}; nothing was created.",
            hint="check AWS_PROFILE, or enter the number of this account.",
        )
