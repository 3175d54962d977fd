"""The role of the worker in template.yaml allows the calls of the worker, and nothing that it does not call."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any, Final

import pytest

from tests.functional.jobs.test_worker import PLAN, answer_concurrency, invoke, run
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables
from tests.support.kept_records import QUARANTINE, KeptRecords
from tests.support.permissions import Permission, recorded
from tests.support.template import properties

NAMES: Final = {
    "<SourceTable.Arn>": f"dynamodb:table/{SOURCE}",
    "<ReplicaTable.Arn>": f"dynamodb:table/{REPLICA}",
    "<QuarantineBucket.Arn>": f"s3:{QUARANTINE}",
    "<ReplicatorFunction.Arn>": "lambda:function:ddbreplica",
    "/jobs/ddbreplica/": "/jobs/orders/",
}
"""What the resources of the template are here. The stack of the job is `orders`."""

NOT_CALLED: Final = {"logs:CreateLogStream", "logs:PutLogEvents", "s3:ListBucket"}
"""Lambda writes the log with the worker's role. S3 reports a missing object only to who may list the bucket."""


@pytest.fixture
def silence() -> None:
    """Read the streams of moto, since the role has the permissions for it."""


def granted() -> Iterator[Permission]:
    (policy,) = properties("WorkerRole", Workers="true")["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]:
        for action in each(statement["Action"]):
            if action not in NOT_CALLED:
                yield Permission(action, named(statement["Resource"]))


def named(resource: str) -> str:
    for placeholder, name in NAMES.items():
        resource = resource.replace(placeholder, name)
    return re.sub("^arn:[^:]+:([^:]+):[^:]*:[^:]*:", r"\1:", resource)


def each(one_or_more: Any) -> list[str]:
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]


def covers(grant: Permission, need: Permission) -> bool:
    return grant.action == need.action and fnmatchcase(need.resource, grant.resource)


def test_the_worker_needs_what_its_role_allows_and_nothing_else(
    tables: Tables, kept_records: KeptRecords, aws: Misbehaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")  # moto answers for no such endpoint
    answer_concurrency(aws)
    # Without metrics the worker waits for none.
    aws.on(
        "before-call.cloudwatch.ListMetrics", lambda **_: (SimpleNamespace(status_code=200), {"Metrics": []})
    )
    tables.put_both("same")
    tables.put(SOURCE, "missing")
    grants = list(granted())

    with recorded() as needed:
        report = run(kept_records, {**PLAN, "options": {}})
        invoke("report")  # again, as after a response that was lost

    assert report["verdict"] == "inconclusive"
    assert {need for need in needed if not any(covers(grant, need) for grant in grants)} == set()
    assert {grant for grant in grants if not any(covers(grant, need) for need in needed)} == set()
