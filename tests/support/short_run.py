"""`python -m tests.support.short_run SUFFIX REPORTS [--keep] [--ends]`: an e2e run whose only step is a small stack.

It prints continuously until it is interrupted, or with `--ends` only for a moment.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.e2e.__main__ import conduct
from tests.e2e.deployment import make_code_bucket
from tests.e2e.names import TAG, Names
from tests.e2e.run import Pace, Run

_PACE = Pace(look=0.3, resources=60)
_MINUTE = 60.0


def main() -> int:
    """Run, and return the exit status."""
    suffix, reports = sys.argv[1:3]
    run = Run(Console(highlight=False), names=Names(suffix), pace=_PACE, reports=Path(reports))
    last = 0.1 if "--ends" in sys.argv else _MINUTE

    def steps(run: Run) -> None:
        make_code_bucket(run)
        create_stack(run)
        end = time.monotonic() + last
        while time.monotonic() < end:
            run.say("Working.")
            time.sleep(0.05)

    return conduct(run, steps, keep="--keep" in sys.argv)


def create_stack(run: Run) -> None:
    """Create a stack of the run with a table that its deletion retains."""
    table = {
        "TableName": run.names.source,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}],
    }
    resource: Any = {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": table}
    run.account.cloudformation.create_stack(
        StackName=run.names.stack,
        TemplateBody=json.dumps({"Resources": {"SourceTable": resource}}),
        Tags=[{"Key": TAG, "Value": run.names.tag}],
    )
    waiter = run.account.cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName=run.names.stack, WaiterConfig={"Delay": 1})


if __name__ == "__main__":
    sys.exit(main())
