"""Before anything is made: whose account it is, what will be made there and what it costs, and a typed yes."""

import click

from e2e.errors import RefusedError
from e2e.run import Run

_COST = "less than 1 US dollar"
"""Three hours of two tables with 20 read and 10 write units each ($0.06 in us-east-1), fifteen alarms, ten custom
metrics and a dashboard by the hour ($0.05), and some ten thousand invocations, log lines and requests ($0.05); the
rest is for dearer Regions."""


def announce(run: Run, *, quick: bool) -> None:
    """Say what is about to happen."""
    names = run.names
    who = run.account.identity()
    run.report.about = f"{who}; stack {names.stack}."
    duration = "about 45 minutes" if quick else "two to three hours"
    run.console.print(
        f"""This is the run on a real AWS account: {who}.

It creates there, and deletes again
  the stack {names.stack}, by SAM CLI, from template.yaml: two tables ({names.source}, {names.replica}),
  a function with its role, stream mapping and log group, two buckets, a dashboard and fifteen alarms;
  the bucket {names.code_bucket} for the function's code.
It touches nothing else. It takes {duration} and costs {_COST}, by estimate.
""",
        markup=False,
        soft_wrap=True,
    )


def refuse_what_exists(run: Run) -> None:
    """Raise RefusedError if anything of the run's names is there already."""
    account, names = run.account, run.names
    found = {
        f"stack {names.stack}": account.has_stack(names.stack),
        f"table {names.source}": account.has_table(names.source),
        f"table {names.replica}": account.has_table(names.replica),
        f"bucket {names.code_bucket}": account.has_bucket(names.code_bucket),
    }
    if existing := [what for what, exists in found.items() if exists]:
        raise RefusedError(f"there is already: {', '.join(existing)}.", hint="another --suffix, or none.")


def ask(*, yes: bool, is_terminal: bool) -> None:
    """Raise RefusedError unless somebody types yes, or has said so beforehand."""
    if yes:
        return
    if not is_terminal:
        raise RefusedError("nobody can be asked, since this is no terminal.", hint="--yes, if it is meant.")
    if click.prompt("Type yes to begin", default="no", show_default=False).strip() != "yes":
        raise RefusedError("the answer was not yes; nothing was begun.", hint="type yes, if it is meant.")
