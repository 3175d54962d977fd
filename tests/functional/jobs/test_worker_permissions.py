"""The role of the worker in template.yaml allows the calls of the worker, and nothing that it does not call."""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any, Final

import pytest
from botocore.exceptions import ReadTimeoutError

from ddbreplica.model import INTERRUPTED
from tests.functional.jobs.test_worker import BACKFILL, PLAN, answer_concurrency, invoke, run
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables
from tests.support.kept_records import ON_FAILURE, QUARANTINE, KeptRecords
from tests.support.permissions import Permission, recorded
from tests.support.records import delete, put
from tests.support.template import properties

NAMES: Final = {
    "<SourceTable.Arn>": f"dynamodb:table/{SOURCE}",
    "<ReplicaTable.Arn>": f"dynamodb:table/{REPLICA}",
    "<QuarantineBucket.Arn>": f"s3:{QUARANTINE}",
    "<OnFailureBucket.Arn>": f"s3:{ON_FAILURE}",
    "<ReplicatorFunction.Arn>": "lambda:function:ddbreplica",
    "/jobs/ddbreplica/": "/jobs/orders/",
}
"""What the resources of the template are here. The stack of the job is `orders`."""

NOT_CALLED: Final = {"logs:CreateLogStream", "logs:PutLogEvents"}
"""Lambda writes the log with the worker's role."""


@pytest.fixture
def silence() -> None:
    """Read the streams of moto, since the role has the permissions for it."""


def granted() -> Iterator[Permission]:
    (policy,) = properties("WorkerRole", Workers="true")["Policies"]
    allowing = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    for statement, action in ((each, action) for each in allowing for action in all_of(each["Action"])):
        if action not in NOT_CALLED:
            yield from (Permission(action, named(resource)) for resource in all_of(statement["Resource"]))


def named(resource: str) -> str:
    for placeholder, name in NAMES.items():
        resource = resource.replace(placeholder, name)
    return re.sub("^arn:[^:]+:([^:]+):[^:]*:[^:]*:", r"\1:", resource)


def all_of(one_or_more: Any) -> list[str]:
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]


def covers(grant: Permission, need: Permission) -> bool:
    return grant.action == need.action and fnmatchcase(need.resource, grant.resource)


def time_out(aws: Misbehaviour) -> list[Exception]:
    """Return a list, whose errors are those of the next writes."""
    faults: list[Exception] = []

    def raise_next(**_: Any) -> None:
        if faults:
            raise faults.pop()

    aws.on("before-send.dynamodb.PutItem", raise_next)
    return faults


REPAIR: Final = {**PLAN, "options": {"grace": 0, "repair": True}}


def tasks(job: str, plan: Mapping[str, Any]) -> Iterator[Any]:
    """Do the tasks of another job."""
    yield invoke("plan", job=job, **plan)
    yield invoke("work", job=job, line={"segments": [0]})
    yield (gathered := invoke("gather", job=job))
    for number in range(gathered["pieces"]):
        yield invoke("confirm", job=job, line={"pieces": [number]})
    yield invoke("report", job=job)


def test_the_worker_needs_what_its_role_allows_and_nothing_else(
    tables: Tables, kept_records: KeptRecords, aws: Misbehaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")  # moto answers for no such endpoint
    answer_concurrency(aws)
    # Without metrics the worker waits for none.
    aws.on(
        "before-call.cloudwatch.ListMetrics", lambda **_: (SimpleNamespace(status_code=200), {"Metrics": []})
    )
    aws.refuse("BatchWriteItem", "ValidationException")  # so that each write is tried alone as well
    faults = time_out(aws)
    tables.put_both("same")
    for name in ("missing", "interrupted", "discarded"):
        tables.put(SOURCE, name)
    tables.put(REPLICA, "deleted")
    kept_records.quarantine(put(1, "interrupted"), code=INTERRUPTED)
    kept_records.discard(put(2, "discarded"), delete(3, "deleted"))
    grants = list(granted())

    with recorded() as needed:
        assert invoke("redrive") == {"failed": ""}
        tables.put(SOURCE, "in doubt")
        kept_records.discard(put(4, "in doubt"))
        faults.append(ReadTimeoutError(endpoint_url="x"))
        assert invoke("redrive") == {"failed": ""}
        report = run(kept_records, {**PLAN, "options": {}})
        invoke("report")  # again, as after a response that was lost
        for number, plan in enumerate((REPAIR, BACKFILL), 2):
            assert {each["failed"] for each in tasks(f"job-{number}", plan)} == {""}

    assert report["verdict"] == "inconclusive"
    assert {need for need in needed if not any(covers(grant, need) for grant in grants)} == set()
    assert {grant for grant in grants if not any(covers(grant, need) for need in needed)} == set()
