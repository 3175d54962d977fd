"""Record what a release leaves behind: its expanded template, its function's code, stored objects and state files.

`recorded/` was written by running this file with the code of commit 6fbf37b; test_upgrade.py starts from it. To record
another release (COMMIT), from this checkout:

    git worktree add --detach ../old COMMIT && make -C ../old setup
    here=$PWD && cd ../old && PYTHONPATH=. .venv/bin/python $here/tests/stack/upgrade/record.py COMMIT

Everything is written by the release's own code, except the object in the on-failure bucket: on AWS, Lambda writes it.
"""

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import boto3

from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.deadline import Deadline
from ddbreplica.model import SUSPECT, Quarantined
from ddbreplica.records.decode import key_of
from demo import traffic
from demo.command import run, started
from demo.deploy import Stack, deploy
from demo.embedded import ROOT, EmbeddedAws, embedded_aws
from demo.pair import Pair, wait_until
from tests.support.on_failure import FUNCTION_ARN, DiscardedBatch, on_failure_object
from tests.support.stream import StreamReader
from tests.support.template import REPLICA_TEMPLATE, expand

RECORDED: Final = Path(__file__).parent / "recorded"
SOURCE: Final = "upgraded"
REPLICA: Final = "upgraded_replica"
ITEMS: Final = 1000
SEGMENTS: Final = "2"
"""The backfill's --segments, and half of its pages are done when it is ended."""

_SLOWLY: Final = ("--rate", "300", "--read-rate", "1000")


def record(commit: str) -> None:
    """Deploy the release on the embedded AWS, use it, and keep what it writes."""
    RECORDED.mkdir(exist_ok=True)
    _keep("template.json", expand())
    (RECORDED / "replica.yaml").write_text(REPLICA_TEMPLATE.read_text())
    _keep_code()
    with embedded_aws() as aws:
        stack = deploy(aws, SOURCE, SourceTableName=SOURCE, ReplicaTableName=REPLICA)
        pair = Pair(aws.dynamodb, stack.source, stack.replica)
        run(aws, "load", "--generate", str(ITEMS), "--source", SOURCE)
        pair.wait_until_equal()
        for name, ending in (("interrupted", signal.SIGINT), ("killed", signal.SIGKILL)):
            _end_half_way(aws, RECORDED / f"{name}.backfill", ending)
        _keep("objects.json", _objects(aws, stack, pair))
        _keep("facts.json", _facts(aws, stack, commit))


def _keep_code() -> None:
    source = ROOT / "src"
    with ZipFile(RECORDED / "code.zip", "w", ZIP_DEFLATED) as archive:
        for path in sorted((source / "ddbreplica").rglob("*.py")):
            archive.writestr(ZipInfo(str(path.relative_to(source))), path.read_bytes(), ZIP_DEFLATED)


def _end_half_way(aws: EmbeddedAws, state: Path, ending: signal.Signals) -> None:
    """Run a backfill, and end it when each of its segments has pages that are done and pages that are not."""
    state.unlink(missing_ok=True)
    options = ("--stack-name", SOURCE, "--segments", SEGMENTS, "--state", str(state), *_SLOWLY)
    with started(aws, "backfill", *options) as command:
        wait_until(lambda: _segments_begun(state) == int(SEGMENTS), "Each segment has a page behind it")
        time.sleep(0.2)  # into the next page
        command.process.send_signal(ending)
        command.finish()
    state.with_name(f"{state.name}.new").unlink(missing_ok=True)


def _segments_begun(state: Path) -> int:
    notes = (
        [line for line in state.read_text().splitlines() if '"note":"segment' in line]
        if state.exists()
        else []
    )
    return len({json.loads(line)["note"] for line in notes})


def _objects(aws: EmbeddedAws, stack: Stack, pair: Pair) -> list[dict[str, str]]:
    """Return a poison record, an in-doubt write, and a batch that Lambda has discarded."""
    keys = sorted(pair.items(pair.source))[:3]
    like = pair.item(pair.source, keys[0])
    assert like is not None
    _, poison, _ = traffic.neighbours_and_poison(like)
    traffic.drop_source_index(pair)
    traffic.update(pair, keys)
    pair.dynamodb.put_item(TableName=pair.source, Item=poison)
    traffic.wait_for_quarantine(aws.s3, stack.quarantine_bucket)
    stream = boto3.client(
        "dynamodbstreams", endpoint_url=aws.endpoint_url, region_name=aws.region, **_signed(aws)
    )
    reader = StreamReader(stream, stack.outputs["SourceStreamArn"])
    reader.read()
    (shard,) = reader.shards
    in_doubt, *discarded = shard.records[-4:-1]
    _keep_in_doubt(aws, stack, in_doubt)
    return [*_quarantined(aws, stack), _discarded(stack, shard.id, discarded)]


def _signed(aws: EmbeddedAws) -> dict[str, Any]:
    return {name.lower(): value for name, value in aws.credentials.items()}


def _keep_in_doubt(aws: EmbeddedAws, stack: Stack, kept: Any) -> None:
    """Store a record as the function does when its write was not answered."""
    data = kept["dynamodb"]
    suspect = Quarantined(
        0, data["SequenceNumber"], key_of(data["Keys"]), kept, "the write timed out", SUSPECT
    )
    Quarantine(stack.quarantine_bucket, table=REPLICA, connect=lambda: aws.s3).keep(
        (), (suspect,), before=None, puts_applied=1, request_id="request", deadline=Deadline(lambda: 60)
    )


def _quarantined(aws: EmbeddedAws, stack: Stack) -> list[dict[str, str]]:
    bucket = stack.quarantine_bucket
    names = [found["Key"] for found in aws.s3.list_objects_v2(Bucket=bucket)["Contents"]]
    bodies = {name: aws.s3.get_object(Bucket=bucket, Key=name)["Body"].read().decode() for name in names}
    return [{"bucket": "QuarantineBucketName", "name": name, "body": body} for name, body in bodies.items()]


def _discarded(stack: Stack, shard: str, records: list[Any]) -> dict[str, str]:
    discarded = DiscardedBatch(records, shard, "RetryAttemptsExhausted", "request", 3, None)
    name, body = on_failure_object(discarded, now=time.time(), name="discarded")
    return {"bucket": "OnFailureBucketName", "name": name, "body": body}


def _facts(aws: EmbeddedAws, stack: Stack, commit: str) -> dict[str, Any]:
    """Return the recorded commit, and the recorded values that differ in each deployment."""
    state = (RECORDED / "interrupted.backfill").read_text().splitlines()
    identity = next(json.loads(line)["value"] for line in state if '"note":"backfill"' in line)
    return {
        "commit": commit,
        "source": identity["source"],
        "replica": identity["replica"],
        "stream": stack.outputs["SourceStreamArn"],
        "function": FUNCTION_ARN,
    }


def _keep(name: str, content: Any) -> None:
    (RECORDED / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    record(commit=sys.argv[1])
