"""A transform is changed on a running stack, while earlier invocations and earlier repairs are still under way."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any, Final

import pytest
from click.testing import Result

from ddbreplica.mapping import last_update
from ddbreplica_cli.runs.transform.deployable import parameter
from demo.command import started
from demo.deploy import deploy, update
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import Item, Pair, wait_until
from tests.support.cli import invoke
from tests.support.old_invocation import old_invocation
from tests.support.transforms import SECRET, Document, expected
from tests.support.updated import restore_mapping
from tests.support.workers import Deployed as WithWorkers
from tests.support.workers import package

pytestmark = pytest.mark.loopback

EARLIER: Final[Document] = {
    "concat": {"label": ["tenant#", {"attribute": "tenant"}]},
    "drop": ["note"],
}
LATER: Final[Document] = {
    "hash": ["mail"],
    "set": {"label": {"S": "masked"}},
    "drop": ["note"],
}
NO_SECRET: Final = {"TransformSecretArn": "", "TransformSecretVersion": ""}
HELD, LOST = 250, 120
"""The items of the old invocation, and those that an old repair writes."""


def item(key: str, turn: int = 0) -> Item:
    return {
        "PK": {"S": key},
        "tenant": {"N": f"{turn % 7}.0"},
        "mail": {"S": f"{turn}@example.com"},
        "note": {"S": "n"},
    }


@dataclass(frozen=True, slots=True)
class Changing:
    """A stack whose transform is changed, and the commands that an operator runs."""

    aws: EmbeddedAws
    name: str
    pair: Pair

    def deploy(self, document: Document, **parameters: str) -> None:
        """Deploy another transform."""
        stack = update(self.aws, self.name, Transform=parameter(document) if document else "", **parameters)
        restore_mapping(self.aws, stack)

    def run(self, *arguments: str) -> Result:
        return invoke(*arguments, "--stack-name", self.name, "--endpoint-url", self.aws.endpoint_url)

    def ran(self, *arguments: str) -> Any:
        """Run a command that succeeds, and return its JSON document."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def put(self, *items: Item) -> None:
        for each in items:
            self.pair.dynamodb.put_item(TableName=self.pair.source, Item=each)

    def wait_until_transformed(self, document: Document) -> None:
        def is_transformed() -> bool:
            source = self.pair.items(self.pair.source)
            whole = {
                key: expected(document, each, ["PK"]) if document else each for key, each in source.items()
            }
            return self.pair.items(self.pair.replica) == whole

        wait_until(is_transformed, "The replica is f(source)", every=0.5)

    def wait_until_transformed_but_for(self, document: Document, key: str) -> None:
        source = self.pair.items(self.pair.source)
        whole = {name: expected(document, each, ["PK"]) for name, each in source.items() if name != key}
        wait_until(lambda: self.pair.items(self.pair.replica) == whole, "The replica is f(source)", every=0.5)

    @contextmanager
    def live_writes(self) -> Iterator[None]:
        """Put, change and delete items of the source during a block."""
        stop = Event()

        def write() -> None:
            for turn in count():
                if stop.wait(0.02):
                    return
                key = f"live#{turn % 40}"
                if turn % 5:
                    self.put(item(key, turn))
                else:
                    self.pair.dynamodb.delete_item(TableName=self.pair.source, Key={"PK": {"S": key}})

        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(write)
            try:
                yield
            finally:
                stop.set()
        work.result()

    def variables(self) -> Mapping[str, str]:
        """Return the present variables of the function."""
        (mapping,) = self.aws.lambda_.list_event_source_mappings()["EventSourceMappings"]
        found = self.aws.lambda_.get_function_configuration(FunctionName=mapping["FunctionArn"])
        return found["Environment"]["Variables"]

    def notes(self) -> Sequence[str]:
        """Return the findings of `status` about the last verification."""
        found = json.loads(self.run("status", "--json").stdout)["findings"]
        return [each["fact"] for each in found if "last verification" in each["fact"]]


@pytest.fixture
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as aws:
        yield aws


@pytest.fixture
def operator(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run commands with the credentials of this AWS. A backfill waits 15 seconds after an update, and not 90."""
    for name, value in aws.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(last_update, "MARGIN", timedelta(seconds=-15))


def secret(aws: EmbeddedAws) -> Mapping[str, str]:
    created = aws.secretsmanager.create_secret(Name="hash", SecretString=SECRET.value.decode())
    return {"TransformSecretArn": created["ARN"], "TransformSecretVersion": created["VersionId"]}


@pytest.mark.usefixtures("operator")
def test_a_transform_is_changed_rolled_back_and_removed_under_live_writes(aws: EmbeddedAws) -> None:
    stack = deploy(aws, "changing", Timeout="30", BillingMode="PAY_PER_REQUEST", Transform=parameter(EARLIER))
    one = Changing(aws, "changing", Pair(aws.dynamodb, stack.source, stack.replica))
    held = [item(f"held#{number}", number) for number in range(HELD)]
    lost = [item(f"lost#{number}", number) for number in range(LOST)]
    one.put(*held, *lost)
    one.wait_until_transformed(EARLIER)
    assert one.ran("verify", "--grace", "1", "--read-rate", "1000")["verdict"] == "equal"
    assert one.notes() == []
    one.put({**item("odd"), "tenant": {"BOOL": True}})
    wait_until(lambda: quarantined(one, stack.quarantine_bucket) == 1, "The record is in quarantine")
    for each in lost:
        aws.dynamodb.delete_item(TableName=stack.replica, Key={"PK": each["PK"]})
    repair = ("--repair", "--grace", "1", "--rate", "10", "--read-rate", "1000", "--segments", "1")

    with (
        one.live_writes(),
        started(aws, "verify", "--stack-name", "changing", *repair, directory=aws.home) as old_repair,
    ):
        wait_until(
            lambda: any(is_lost_item(key) for key in one.pair.items(stack.replica)), "The old repair writes"
        )
        with old_invocation(aws, one.variables(), held) as invocation:
            one.deploy(LATER, **secret(aws))
            before, is_old_repair_running = invocation.written, old_repair.is_running
            one.ran("backfill", "--rate", "1000", "--read-rate", "1000")
            assert invocation.finish() == {"batchItemFailures": []}
        repaired = old_repair.finish()
    one.wait_until_transformed(LATER)

    assert is_old_repair_running
    assert invocation.written > before, "the old invocation has written after the change"
    assert repaired.exit_code == 0, repaired.output
    assert "transform was changed meanwhile. Beginning again." in repaired.output
    proof = one.ran("verify", "--grace", "1", "--read-rate", "1000")
    assert (proof["verdict"], proof["different"]) == ("equal", 0)
    assert one.notes() == []
    assert one.ran("redrive")["left"] == []
    assert quarantined(one, stack.quarantine_bucket) == 0

    # Rolled back: the item that the earlier rules do not take stays as it was.
    with one.live_writes():
        one.deploy(EARLIER, **NO_SECRET)
        assert "was of another transform" in one.notes()[0]
        copied = one.run("backfill", "--rate", "1000", "--read-rate", "1000")
    compared = one.run("verify", "--grace", "1", "--read-rate", "1000")
    reason = "attribute 'tenant' has type BOOL; concat takes S, N"
    assert (copied.exit_code, compared.exit_code) == (1, 1)
    assert f"Untransformable: {reason}" in copied.output
    assert f"the source's item cannot be transformed: {reason}" in compared.output
    one.pair.dynamodb.delete_item(TableName=stack.source, Key={"PK": {"S": "odd"}})
    one.wait_until_transformed(EARLIER)
    assert one.ran("verify", "--grace", "1", "--read-rate", "1000")["verdict"] == "equal"
    assert one.notes() == []

    with one.live_writes():
        one.deploy({})
        assert "was of another transform" in one.notes()[0]
        one.ran("backfill", "--rate", "1000", "--read-rate", "1000")
    one.wait_until_transformed({})
    assert one.ran("verify", "--grace", "1", "--read-rate", "1000")["verdict"] == "equal"
    assert one.notes() == []


def is_lost_item(key: str) -> bool:
    return key.startswith("lost#")


def quarantined(one: Changing, bucket: str) -> int:
    return one.aws.s3.list_objects_v2(Bucket=bucket, Prefix="quarantine/")["KeyCount"]


MAIL: Final = "canary-of-a-mail"


@pytest.mark.usefixtures("operator")
def test_workers_refuse_a_job_from_before_the_change_and_show_no_hashed_value(
    aws: EmbeddedAws, tmp_path: Path
) -> None:
    # The workers wait 15 seconds after an update as well.
    code = package(aws, tmp_path, items_of_a_segment=50, margin_of_an_update=-15)
    workers = WithWorkers.by(aws, "workers", code, Timeout="30", Transform=parameter(EARLIER))
    one = Changing(aws, "workers", workers.pair)
    one.put(*({**item(f"item#{number}", number), "mail": {"S": f"{MAIL}-{number}"}} for number in range(100)))
    one.wait_until_transformed(EARLIER)
    for each in one.pair.items(workers.stack.replica):
        aws.dynamodb.delete_item(TableName=workers.stack.replica, Key={"PK": {"S": each}})
    earlier = workers.start("backfill", "earlier", rate=5)
    wait_until(lambda: one.pair.count(workers.stack.replica) > 0, "The job copies")

    one.deploy(LATER, **secret(aws))
    end = workers.ended(earlier)
    copied = workers.run("backfill", "again")
    proof = workers.run("verify", "proof")
    aws.dynamodb.delete_item(TableName=workers.stack.replica, Key={"PK": {"S": "item#1"}})
    found = workers.run("verify", "found", grace=0)

    assert end["status"] == "FAILED"
    assert "the function's transform" in end["cause"]
    assert (copied["items"], copied["left"]) == (100, 0)
    assert (proof["verdict"], proof["source_items"]) == ("equal", 100)
    assert [each["key"]["PK"]["S"] for each in found["differences"]] == ["item#1"]
    one.wait_until_transformed_but_for(LATER, "item#1")
    everywhere = shown_everywhere(workers)
    assert "item#1" in everywhere
    assert proof["transform"] in everywhere
    assert MAIL not in everywhere
    assert SECRET.value.decode() not in everywhere


def shown_everywhere(one: WithWorkers) -> str:
    """Return what is in all log groups, with the metrics, in objects of jobs and in records of verifications."""
    logs = one.aws.logs
    groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
    pages = [
        page
        for name in groups
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name)
    ]
    messages = [event["message"] for page in pages for event in page["events"]]
    names = [name for prefix in ("jobs/", "verifications/") for name in one.names(prefix)]
    bodies = [
        one.aws.s3.get_object(Bucket=one.stack.quarantine_bucket, Key=name)["Body"].read().decode()
        for name in names
    ]
    executions = one.aws.stepfunctions.list_executions(stateMachineArn=one.machine)["executions"]
    histories = [
        str(one.aws.stepfunctions.get_execution_history(executionArn=each["executionArn"])["events"])
        for each in executions
    ]
    assert all([messages, bodies, histories])
    return "\n".join([*messages, *names, *bodies, *histories, one.aws.log.read_text(errors="replace")])
