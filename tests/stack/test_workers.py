"""The workers of the template on the embedded AWS, whose state machine runs them side by side."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ddbreplica.model import INTERRUPTED
from demo.deploy import Package, update
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import wait_until
from tests.support.updated import restore_mapping
from tests.support.workers import Deployed, item, key, package

ITEMS = 4_000
SEGMENTS = 8


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as aws:
        yield aws


@pytest.fixture(scope="module")
def packaged(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package(aws, tmp_path_factory.mktemp("code"), items_of_a_segment=ITEMS // SEGMENTS)


@pytest.fixture(scope="module")
def filled(aws: EmbeddedAws, packaged: Package) -> Deployed:
    """A stack with workers and a replicated table."""
    one = Deployed.by(aws, "filled", packaged, WorkerConcurrency=str(SEGMENTS))
    one.fill(range(ITEMS))
    return one


def test_eight_workers_compare_all_items(filled: Deployed) -> None:
    report = filled.run("verify", "equal")

    assert report["verdict"] == "equal"
    assert (report["source_items"], report["replica_items"]) == (ITEMS, ITEMS)
    states = [name for name in filled.names("jobs/filled/equal/states/") if "segment-" in name]
    assert len(states) == SEGMENTS
    assert filled.records()[-1]["verdict"] == "equal"


def test_a_planted_difference_is_found_and_recorded(filled: Deployed) -> None:
    replica = filled.pair.replica
    filled.aws.dynamodb.delete_item(TableName=replica, Key={"PK": {"S": key(1)}})
    filled.aws.dynamodb.put_item(TableName=replica, Item=item(2) | {"text": {"S": "other"}})
    filled.aws.dynamodb.put_item(TableName=replica, Item=item(ITEMS))

    report = filled.run("verify", "planted", grace=0)

    assert report["verdict"] == "not equal"
    assert (report["missing"], report["different"], report["extra"]) == (1, 1, 1)
    assert {each["key"]["PK"]["S"] for each in report["differences"]} == {key(1), key(2), key(ITEMS)}
    assert filled.records()[-1]["verdict"] == "not equal"


def test_a_schedule_starts_a_verification(aws: EmbeddedAws, packaged: Package) -> None:
    one = Deployed.by(aws, "scheduled", packaged)
    one.fill(range(50))
    soon = datetime.now(UTC) + timedelta(seconds=5)
    stack = update(
        aws,
        "scheduled",
        VerifyScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})",
        RedriveScheduleExpression="rate(1 day)",
    )
    restore_mapping(aws, stack)

    wait_until(lambda: len(one.records()) == 1, "A scheduled verification is recorded", every=0.5)

    (record,) = one.records()
    assert record["verdict"] == "equal"


def test_a_redrive_by_schedule_reconciles_what_is_in_doubt(aws: EmbeddedAws, packaged: Package) -> None:
    one = Deployed.by(aws, "redriven", packaged)
    one.fill(range(10))
    one.aws.dynamodb.delete_item(TableName=one.pair.replica, Key={"PK": {"S": key(1)}})
    name = f"quarantine/{one.stack.replica}/none/none-backfill-1-in-doubt.json"
    record = {"dynamodb": {"Keys": {"PK": {"S": key(1)}}}}
    content = {"schema": 1, "record": record, "reason": "interrupted", "error_code": INTERRUPTED}
    aws.s3.put_object(
        Bucket=one.stack.quarantine_bucket, Key=name, Body=json.dumps(content).encode(), IfNoneMatch="*"
    )
    soon = datetime.now(UTC) + timedelta(seconds=5)
    stack = update(aws, "redriven", RedriveScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})")
    restore_mapping(aws, stack)

    wait_until(lambda: one.names("done/quarantine/") == [f"done/{name}"], "The object is moved", every=0.5)

    assert one.names("quarantine/") == []
    one.pair.wait_until_equal()


def test_a_job_that_cannot_be_planned_fails_with_the_reason(filled: Deployed) -> None:
    end = filled.ended(filled.start("verify", "refused", sample=0.5))

    assert end["status"] == "FAILED"
    assert end["error"] == "JobFailed"
    assert "no option 'sample'" in end["cause"]


def test_a_job_reports_how_long_it_took(filled: Deployed) -> None:
    started = time.monotonic()
    report = filled.run("verify", "warm", grace=0)
    elapsed = time.monotonic() - started

    assert report["source_items"] == ITEMS
    # AWS's time, which the worker takes, has whole seconds.
    assert 0 <= report["seconds"] < elapsed + 1
