"""The steps of the run on a real account, on the embedded AWS. Tests simulate what that lacks."""

import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from rich.console import Console

from demo import traffic
from demo.deploy import spare
from demo.embedded import ROOT, EmbeddedAws, embedded_aws
from demo.errors import DidNotHoldError
from demo.pair import Item
from tests.e2e import alarms, consent, data, on_failure, provocation, story, trouble, workers
from tests.e2e.account import Account
from tests.e2e.deployment import Deployed, create, deploy, make_code_bucket, redeploy, stack_resources
from tests.e2e.errors import NotOwnedError, RefusedError
from tests.e2e.names import TAG, Names
from tests.e2e.programs import SAM
from tests.e2e.provocation import Provocation
from tests.e2e.removal import remove
from tests.e2e.report import OUT_OF_REACH, Claim, Report
from tests.e2e.run import Pace, Run
from tests.e2e.update import update_under_writes
from tests.support.build import SET_SAM_UP, python313
from tests.support.on_failure import DiscardedBatch, on_failure_object
from tests.support.template import load

RUNTIME = python313()

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(
        not SAM.exists() or RUNTIME is None,
        reason=f"needs SAM CLI and Python 3.13, the function's runtime: {SET_SAM_UP}",
    ),
]

PACE = Pace(rows=160, look=0.3, grace=0.5, stop=20, resources=180, data=90, alarms=20, metrics=20)
ALARMS = frozenset(
    {
        "DestinationBrokenAlarm",
        "FunctionFailsAlarm",
        "FunctionSlowAlarm",
        "FunctionThrottledAlarm",
        "MappingStalledAlarm",
        "RecordsDroppedAlarm",
        "RecordsGivenUpAlarm",
        "RecordsQuarantinedAlarm",
        "RecordsRetriedAlarm",
        "ReplicaCriticallyLateAlarm",
        "ReplicaIndexThrottledAlarm",
        "ReplicaLateAlarm",
        "ReplicaTableThrottledAlarm",
    }
)
COMPOSITES = frozenset({"MappingStillStalledAlarm", "ReplicationUnhealthyAlarm"})


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    """The embedded AWS. The environment of this process has its endpoint and credentials."""
    with embedded_aws() as running, pytest.MonkeyPatch.context() as patch:
        set_environment(running, patch)
        yield running


@pytest.fixture(autouse=True)
def _environment(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the embedded AWS's endpoint and credentials in the environment of each test."""
    set_environment(aws, monkeypatch)


def set_environment(aws: EmbeddedAws, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("AWS_PROFILE", raising=False)
    for name, value in {**aws.env, "AWS_ENDPOINT_URL": aws.endpoint_url}.items():
        patch.setenv(name, value)
    patch.setenv("PATH", f"{RUNTIME}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(scope="module")
def run(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("e2e")
    write_template(home / "template.json", spare(load()), code=ROOT / "src")
    return Run(Console(file=io.StringIO()), pace=PACE, template=home / "template.json", reports=home)


def write_template(path: Path, template: dict[str, Any], *, code: Path) -> None:
    resources = template["Resources"]
    for name in ("ReplicatorFunction", "WorkerFunction"):
        resources[name]["Properties"]["CodeUri"] = str(code)
    machine = resources["BulkStateMachine"]["Properties"]
    machine["DefinitionUri"] = str(ROOT / machine["DefinitionUri"])
    about = template["Metadata"]["AWS::ServerlessRepo::Application"]
    about |= {name: str(ROOT / about[name]) for name in ("LicenseUrl", "ReadmeUrl")}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(template))


@pytest.fixture(scope="module")
def whole(run: Run) -> Deployed:
    """The deployed stack with rows."""
    deployed = deploy(run)
    for each in deployed.resources:
        if each["ResourceType"] == "AWS::S3::Bucket":
            tag_bucket(run.account, each["PhysicalResourceId"], run.names)
    data.load(deployed)
    return deployed


def tag_bucket(account: Account, bucket: str, names: Names) -> None:
    """Tag a bucket as CloudFormation does; the embedded AWS tags all resources of a stack except buckets."""
    account.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": TAG, "Value": names.tag}]})


@pytest.fixture
def deployed(whole: Deployed) -> Deployed:
    """The stack, with a report of this test only."""
    return replace(whole, run=replace(whole.run, report=Report()))


def outcomes(deployed: Deployed) -> dict[str, str]:
    report = deployed.run.report
    return {claim.name: report.outcome(claim) for claim in Claim if report.outcome(claim) != "not tried"}


def fired(deployed: Deployed) -> list[str]:
    found = [each for each in deployed.run.report.findings if each.claim is Claim.FIRED]
    return sorted(each.evidence.split(":")[0] for each in found if each.held)


@contextmanager
def firing(deployed: Deployed, *names: str) -> Iterator[None]:
    """Let these alarms fire and end repeatedly, since the embedded AWS evaluates no alarms."""
    stop = Event()
    chosen = [alarms.of_stack(deployed)[name]["AlarmName"] for name in names]

    def go() -> None:
        while not stop.wait(0.6):
            for state in ("OK", "ALARM"):
                for name in chosen:
                    deployed.run.account.cloudwatch.set_alarm_state(
                        AlarmName=name, StateValue=state, StateReason="by hand"
                    )

    thread = Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def state(deployed: Deployed) -> Mapping[str, Any]:
    """Return all settings that a failure may change."""
    account = deployed.run.account
    mapping = account.functions.get_event_source_mapping(UUID=deployed.mapping)
    replica = account.dynamodb.describe_table(TableName=deployed.pair.replica)["Table"]
    function = account.functions.get_function(FunctionName=deployed.function)
    return {
        "environment": function["Configuration"]["Environment"],
        "concurrency": function.get("Concurrency", {}),
        "mapping": [mapping["State"], mapping["MaximumRetryAttempts"], mapping["ParallelizationFactor"]],
        "writes": replica["ProvisionedThroughput"]["WriteCapacityUnits"],
        "index": replica["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["WriteCapacityUnits"],
        "policy": account.s3.get_bucket_policy(Bucket=deployed.outputs["OnFailureBucketName"])["Policy"],
    }


def test_the_stack_its_tables_and_its_buckets_have_the_runs_name(deployed: Deployed) -> None:
    names = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in deployed.resources}

    kept = ("SourceTable", "ReplicaTable", "QuarantineBucket", "OnFailureBucket", "ReplicatorLogGroup")
    assert all(deployed.run.names.cover(names[name]) for name in kept)
    assert names["SourceTable"] == f"{deployed.run.names.stack}-source"
    assert set(alarms.of_stack(deployed)) == ALARMS


def test_changes_of_the_source_are_replicated(deployed: Deployed) -> None:
    before, keys = deployed.pair.items(deployed.pair.source), deployed.keys()

    data.change(deployed)
    changed = {key: traffic.touched(item) for key, item in before.items() if key in keys[:20]}
    untouched = {key: item for key, item in before.items() if key in keys[40:]}
    assert deployed.pair.items(deployed.pair.replica) == changed | untouched

    data.change_in_parallel(deployed)

    assert outcomes(deployed) == {"REPLICATED": "confirmed", "ORDERED": "confirmed"}
    assert "Equal after 20 updates and 20 deletes." in [f.evidence for f in deployed.run.report.findings]
    assert state(deployed)["mapping"] == ["Enabled", -1, 1]


def test_an_update_during_writes_counts_records_delivered_again(deployed: Deployed) -> None:
    update_under_writes(deployed, redeploy)

    function = deployed.run.account.functions.get_function_configuration(FunctionName=deployed.function)
    (finding,) = deployed.run.report.findings
    assert (finding.claim, finding.held) == (Claim.UPDATED, True)
    assert finding.evidence.endswith(
        "changes were written, and 0 of them were delivered again; BatchSize is 100."
    )
    assert function["MemorySize"] == 512


def test_an_update_that_delivers_more_than_a_batch_again_does_not_hold(deployed: Deployed) -> None:
    log = deployed.run.account.logs
    group = deployed.outputs["LogGroupName"]
    log.create_log_stream(logGroupName=group, logStreamName="by-hand")

    def deliver_again(*_: object, **__: object) -> None:
        line = json.dumps({"message": "batch applied", "RecordsReceived": 101})
        log.put_log_events(
            logGroupName=group,
            logStreamName="by-hand",
            logEvents=[{"timestamp": int(time.time() * 1000), "message": line}],
        )
        time.sleep(1)  # for a write or two

    update_under_writes(deployed, deliver_again)

    assert outcomes(deployed) == {"UPDATED": "DID NOT HOLD"}


def test_an_item_that_the_replica_rejects_is_quarantined_and_corrected(deployed: Deployed) -> None:
    with firing(deployed, "RecordsQuarantinedAlarm"):
        data.quarantine(deployed)

    assert outcomes(deployed) == {"QUARANTINED": "confirmed", "FIRED": "confirmed", "REPLICATED": "confirmed"}
    assert fired(deployed) == ["RecordsQuarantinedAlarm"]


@pytest.mark.parametrize("stopping", [trouble.misdirected, trouble.stalled, trouble.not_invoked])
def test_a_failure_stops_replication_until_it_ends(
    deployed: Deployed, stopping: Callable[[Deployed], AbstractContextManager[None]]
) -> None:
    before, pair, key = state(deployed), deployed.pair, deployed.keys()[0]

    with stopping(deployed):
        assert state(deployed) != before
        held = pair.item(pair.replica, key)
        traffic.update(pair, [key])
        time.sleep(1)
        assert pair.item(pair.replica, key) == held

    assert state(deployed) == before
    deployed.wait_until_equal()
    assert pair.item(pair.replica, key) != held


@pytest.mark.parametrize(
    ("altering", "what", "to"),
    [
        (trouble.short_of_capacity, "writes", 1),
        (trouble.short_of_capacity, "index", 1),
        (provocation.GIVEN_UP.trouble, "mapping", ["Enabled", 1, 1]),
    ],
)
def test_a_failure_without_effect_on_the_embedded_aws_is_set_and_reverted(
    deployed: Deployed,
    altering: Callable[[Deployed], AbstractContextManager[None]],
    what: str,
    to: object,
) -> None:
    before = state(deployed)

    with altering(deployed):
        during = state(deployed)

    assert during[what] == to
    assert state(deployed) == before


def test_a_failure_is_reverted_after_an_exception(deployed: Deployed) -> None:
    before = state(deployed)

    with pytest.raises(ZeroDivisionError), provocation.DROPPED.trouble(deployed):
        raise ZeroDivisionError

    assert state(deployed) == before


def test_the_on_failure_bucket_rejects_the_functions_role_during_the_block(deployed: Deployed) -> None:
    before = state(deployed)["policy"]

    with provocation.DROPPED.trouble(deployed):
        statements = json.loads(state(deployed)["policy"])["Statement"]

    assert statements[:-1] == json.loads(before)["Statement"]
    assert statements[-1] == {
        "Sid": "RefuseObjects",
        "Effect": "Deny",
        "Principal": {"AWS": deployed.outputs["FunctionRoleArn"]},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{deployed.outputs['OnFailureBucketName']}/*",
    }
    assert state(deployed)["policy"] == before


# Without the failing function, from which the embedded AWS recovers slowly; the test above covers it.
@pytest.mark.parametrize(
    "waiting",
    [each for each in provocation.WAITING if each.trouble is not trouble.misdirected],
    ids=lambda each: each.trouble.__name__,
)
def test_changes_wait_until_a_failure_ends(deployed: Deployed, waiting: Provocation) -> None:
    with firing(deployed, *waiting.alarms):
        provocation.wait_out(deployed, waiting)

    assert outcomes(deployed) == {"FIRED": "confirmed", "WAITED": "confirmed"}
    assert fired(deployed) == sorted(waiting.alarms)


def test_an_alarm_that_does_not_fire_is_reported_and_the_run_continues(deployed: Deployed) -> None:
    hasty = replace(deployed, run=replace(deployed.run, pace=replace(PACE, alarms=1.5)))

    since = alarms.moments(deployed)
    with firing(deployed, "FunctionFailsAlarm"):
        alarms.wait_for(hasty, ["FunctionFailsAlarm", "ReplicaLateAlarm"], since=since)

    assert fired(hasty) == ["FunctionFailsAlarm"]
    assert outcomes(hasty) == {"FIRED": "DID NOT HOLD"}


def test_an_alarm_that_fired_before_must_fire_again(deployed: Deployed) -> None:
    hasty = replace(deployed, run=replace(deployed.run, pace=replace(PACE, alarms=0.5)))
    name = alarms.of_stack(deployed)["ReplicaLateAlarm"]["AlarmName"]
    deployed.run.account.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="before")

    alarms.wait_for(hasty, ["ReplicaLateAlarm"], since=alarms.moments(deployed))

    assert outcomes(hasty) == {"FIRED": "DID NOT HOLD"}


def item(key: str, value: str) -> Item:
    return {"PK": {"S": key}, "value": {"N": value}}


def handmade(deployed: Deployed, *items: Item) -> tuple[str, str]:
    """Return the name and body of an object with a change of each item; an item with only a key is deleted."""
    records = [
        {
            "eventSourceARN": deployed.outputs["SourceStreamArn"],
            "dynamodb": {
                "Keys": {"PK": changed["PK"]},
                **({"NewImage": changed} if len(changed) > 1 else {}),
                "SequenceNumber": str(place),
                "ApproximateCreationDateTime": 1.79e9,
            },
        }
        for place, changed in enumerate(items)
    ]
    discarded = DiscardedBatch(records, "shardId-1", "RetryAttemptsExhausted", "request", 2, "Unhandled")
    return on_failure_object(discarded, now=1.79e9, name=str(uuid4()))


def losing(*, kept: bool) -> Callable[[Deployed], AbstractContextManager[None]]:
    """Discard changes as Lambda does, with or without an object; the embedded AWS never discards."""

    @contextmanager
    def lose(deployed: Deployed) -> Iterator[None]:
        before = deployed.pair.items(deployed.pair.source)
        yield
        deployed.wait_until_equal()
        after = deployed.pair.items(deployed.pair.source)
        for key in [key for key in before if before[key] != after[key]]:
            deployed.pair.dynamodb.delete_item(TableName=deployed.pair.replica, Key={"PK": {"S": key}})
            if kept:
                name, body = handmade(deployed, after[key])
                bucket = deployed.outputs["OnFailureBucketName"]
                deployed.run.account.s3.put_object(Bucket=bucket, Key=name, Body=body)

    return lose


def test_discarded_records_are_found_in_the_bucket_and_repaired(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provocation, "GIVEN_UP", replace(provocation.GIVEN_UP, trouble=losing(kept=True)))

    with firing(deployed, "RecordsGivenUpAlarm"):
        provocation.discard(deployed)

    assert outcomes(deployed) == {"KEPT": "confirmed", "REPAIRED": "confirmed", "FIRED": "confirmed"}


def test_discarded_records_missing_from_the_bucket_do_not_hold(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provocation, "GIVEN_UP", replace(provocation.GIVEN_UP, trouble=losing(kept=False)))
    hasty = replace(deployed, run=replace(deployed.run, pace=replace(PACE, data=2)))

    with (
        firing(deployed, "RecordsGivenUpAlarm"),
        pytest.raises(DidNotHoldError, match="the on-failure bucket has the source's image of each"),
    ):
        provocation.discard(hasty)

    assert outcomes(hasty) == {"FIRED": "confirmed"}
    provocation.repair(deployed, set(deployed.differing() or ()))


def test_dropped_records_are_found_by_verify_and_repaired(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provocation, "DROPPED", replace(provocation.DROPPED, trouble=losing(kept=False)))

    with firing(deployed, "DestinationBrokenAlarm", "RecordsDroppedAlarm"):
        provocation.drop(deployed)

    assert outcomes(deployed) == {"DROPPED": "confirmed", "REPAIRED": "confirmed", "FIRED": "confirmed"}


def test_the_records_of_an_on_failure_object_are_read(deployed: Deployed) -> None:
    name, body = handmade(deployed, item("a", "1"), {"PK": {"S": "gone"}}, item("a", "2"))

    assert on_failure.read(name, body.encode()) == on_failure.DiscardedBatch(
        "RetryAttemptsExhausted", {"a": {"PK": {"S": "a"}, "value": {"N": "2"}}, "gone": None}
    )


@pytest.mark.parametrize(
    ("alter", "fault"),
    [
        (lambda body: body | {"payload": json.loads(body["payload"])}, "TypeError"),
        (lambda body: {name: body[name] for name in body if name != "DDBStreamBatchInfo"}, "KeyError"),
        (lambda body: body | {"payload": "records"}, "JSONDecodeError"),
        (lambda body: body | {"requestContext": {"condition": "Other"}}, "its condition is Other"),
        (
            lambda body: body | {"DDBStreamBatchInfo": body["DDBStreamBatchInfo"] | {"batchSize": 3}},
            "its batchSize is 3, but it has 2 records",
        ),
        (
            lambda body: (
                body | {"DDBStreamBatchInfo": body["DDBStreamBatchInfo"] | {"endSequenceNumber": "9"}}
            ),
            "its sequence numbers are not those",
        ),
        (
            lambda body: body | {"DDBStreamBatchInfo": body["DDBStreamBatchInfo"] | {"streamArn": "arn"}},
            "its records are from a different stream",
        ),
    ],
)
def test_an_on_failure_object_with_unexpected_content_does_not_hold(
    deployed: Deployed, alter: Callable[[Any], Any], fault: str
) -> None:
    name, body = handmade(deployed, item("a", "1"), item("b", "1"))

    with pytest.raises(DidNotHoldError, match=fault):
        on_failure.read(name, json.dumps(alter(json.loads(body))).encode())


def test_an_on_failure_object_with_an_unexpected_name_does_not_hold(deployed: Deployed) -> None:
    name, body = handmade(deployed, item("a", "1"))

    with pytest.raises(DidNotHoldError, match="its name differs"):
        on_failure.read(name.replace("aws/lambda/", "aws/lambda/2026/"), body.encode())


def emit(deployed: Deployed, *names: str) -> None:
    """Store data of these alarms' metrics, since the embedded AWS has none."""
    for name in names:
        for stat in alarms._statistics(alarms.of_stack(deployed)[name]):
            metric = stat["Metric"]
            datum: Any = {"MetricName": metric["MetricName"], "Dimensions": metric["Dimensions"], "Value": 0}
            datum["Timestamp"] = datetime.now(UTC)
            deployed.run.account.cloudwatch.put_metric_data(Namespace=metric["Namespace"], MetricData=[datum])


def test_metrics_are_reported_for_each_alarm(deployed: Deployed) -> None:
    hasty = replace(deployed, run=replace(deployed.run, pace=replace(PACE, metrics=1)))
    emit(deployed, *(ALARMS - {"MappingStalledAlarm", "RecordsGivenUpAlarm", "RecordsDroppedAlarm"}))

    alarms.check_metrics(hasty, provoked={"RecordsGivenUpAlarm"})

    found = {each.evidence.split(":")[0]: each.held for each in hasty.run.report.findings}
    assert [name for name, held in found.items() if not held] == [
        "MappingStalledAlarm",
        "RecordsGivenUpAlarm",
    ]
    assert ALARMS - found.keys() == {"RecordsDroppedAlarm"}


def test_metrics_that_all_have_data_are_confirmed(deployed: Deployed) -> None:
    emit(deployed, *ALARMS)

    alarms.check_metrics(deployed, provoked=ALARMS)

    assert outcomes(deployed) == {"MEASURED": "confirmed"}
    assert len(deployed.run.report.findings) == 13


def test_each_alarm_is_provoked_or_listed_as_out_of_reach() -> None:
    by_workers = {"ReplicaUnequalAlarm", "BulkJobFailedAlarm"}
    of_workers = {*by_workers, "VerificationOverdueAlarm"}
    provoked = story._provoked(*provocation.WAITING) | {"RecordsQuarantinedAlarm"} | by_workers
    out_of_reach = {text.partition(" ")[0] for text in OUT_OF_REACH if "Alarm fires" in text}
    of_template = {name for name in load()["Resources"] if name.endswith("Alarm")}

    assert provoked | out_of_reach == of_template == ALARMS | COMPOSITES | of_workers
    assert not provoked & out_of_reach
    assert of_template >= alarms.EMITTED_ON_TROUBLE


def python_m_e2e(*arguments: str, stdin: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.e2e", *arguments]
    return subprocess.run(  # noqa: S603
        command, cwd=ROOT, stdin=stdin, capture_output=True, text=True, check=False, timeout=120
    )


def suffix_of(shown: str) -> str:
    """Return the suffix of the run with this output."""
    found = re.search(r"the stack ddbreplica-e2e-([a-z0-9]+)", shown)
    assert found
    return found[1]


def test_without_a_terminal_and_the_accounts_number_nothing_is_created(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("YES", "ACCOUNT", "QUICK", "KEEP"):
        monkeypatch.setenv(name, "1")

    ended = python_m_e2e(stdin=subprocess.DEVNULL)

    assert (ended.returncode, ended.stderr) == (
        2,
        """Error: consent is required, and stdin is not a terminal.
Try: add --account 000000000000 if this is the right account.
""",
    )
    assert names_of(aws, suffix_of(ended.stdout)) == []


_OF_WORKERS = (
    "HasWorkers",
    "HasSchedule",
    "VerifiesBySchedule",
    "RedrivesBySchedule",
    "WatchesVerifications",
)


def test_the_announcement_shows_the_account_and_all_resources(aws: EmbeddedAws) -> None:
    client = aws._session.client("iam", endpoint_url=aws.endpoint_url)
    client.create_account_alias(AccountAlias="sandbox")
    try:
        shown = " ".join(python_m_e2e(stdin=subprocess.DEVNULL).stdout.split())
    finally:
        client.delete_account_alias(AccountAlias="sandbox")

    assert "account 000000000000 (alias: sandbox) Region us-east-1" in shown
    assert f"endpoint {aws.endpoint_url} identity arn:aws:iam::000000000000:root" in shown
    resources = load()["Resources"].values()
    of_workers = [each for each in resources if each.get("Condition") in _OF_WORKERS]
    kinds = Counter(each["Type"] for each in resources if each not in of_workers)
    assert kinds.pop("AWS::CloudWatch::Alarm") + kinds.pop("AWS::CloudWatch::CompositeAlarm") == 15
    assert kinds.pop("AWS::SNS::Topic") == 1  # only with an e-mail address, which the run does not set
    said = {
        "AWS::DynamoDB::Table": (2, "two tables"),
        "AWS::Serverless::Function": (1, "a function with its event source mapping"),
        "AWS::Logs::LogGroup": (1, "and log group"),
        "AWS::IAM::Role": (1, "an IAM role that the function assumes"),
        "AWS::S3::Bucket": (2, "two buckets"),
        "AWS::S3::BucketPolicy": (2, "with their policies"),
        "AWS::CloudWatch::Dashboard": (1, "a dashboard and fifteen alarms"),
    }
    assert kinds == {kind: count for kind, (count, _) in said.items()}
    of_jobs = {
        "AWS::Serverless::Function": (1, "later also workers: a second function"),
        "AWS::Logs::LogGroup": (1, "with its log group"),
        "AWS::Serverless::StateMachine": (1, "a state machine"),
        "AWS::Scheduler::Schedule": (2, "two schedules"),
        "AWS::CloudWatch::Alarm": (3, "three alarms"),
        "AWS::IAM::Role": (3, "and the roles of these"),
        "AWS::IAM::Policy": (1, "and the roles of these"),
    }
    assert Counter(each["Type"] for each in of_workers) == {
        kind: count for kind, (count, _) in of_jobs.items()
    }
    assert [words for _, words in (*said.values(), *of_jobs.values()) if words not in shown] == []


@pytest.mark.parametrize("answer", [b"yes\n", b"111122223333\n", b"0000\n"])
def test_any_input_but_the_accounts_number_creates_nothing(aws: EmbeddedAws, answer: bytes) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    try:
        ended = python_m_e2e(stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)

    assert (ended.returncode, ended.stderr) == (
        2,
        f"""Error: the credentials are for the account 000000000000, not {answer.decode().strip()}; nothing was created.
Try: check AWS_PROFILE, or enter the number of this account.
""",
    )
    assert names_of(aws, suffix_of(ended.stdout)) == []


def test_a_number_that_is_not_the_credentials_account_creates_nothing(aws: EmbeddedAws) -> None:
    ended = python_m_e2e("--account", "111122223333", stdin=subprocess.DEVNULL)

    assert ended.returncode == 2
    assert "the credentials are for the account 000000000000, not 111122223333" in ended.stderr
    assert names_of(aws, suffix_of(ended.stdout)) == []


@pytest.mark.parametrize("option", ["--yes", "--suffix"])
def test_there_is_no_option_for_yes_or_for_a_suffix(aws: EmbeddedAws, option: str) -> None:
    ended = python_m_e2e(option, stdin=subprocess.DEVNULL)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"No such option '{option}'" in ended.stderr


def test_existing_resources_are_refused(aws: EmbeddedAws, deployed: Deployed) -> None:
    names = deployed.run.names

    with pytest.raises(RefusedError) as refused:
        consent.refuse_what_exists(deployed.run)

    things = [f"stack {names.stack}", f"table {names.source}", f"table {names.replica}"]
    assert refused.value.fact == f"these already exist: {', '.join(things)}, bucket {names.code_bucket}."


def test_a_suffix_that_no_run_has_is_a_usage_error(aws: EmbeddedAws) -> None:
    ended = python_m_e2e("--remove", "Upper_Case", stdin=subprocess.DEVNULL)

    assert ended.returncode == 2
    assert "'Upper_Case' is not of the form [a-z0-9]{6,12}." in ended.stderr


def test_a_deployment_that_fails_is_removed_and_reported(run: Run, whole: Deployed, tmp_path: Path) -> None:
    failing = Run(Console(file=io.StringIO()), pace=PACE, reports=tmp_path)
    # The embedded AWS rejects the unchanged template because of its alarm on an expression.
    write_template(
        failing.home / "build" / "template.yaml", load(), code=run.home / "build" / "ReplicatorFunction"
    )

    def deploy_what_is_refused(_: Run) -> None:
        make_code_bucket(failing)
        create(failing)

    assert story.carry_out(failing, deploy_what_is_refused, keep=False) is False

    assert "`sam deploy` ended with 1" in failing.report.ended
    assert failing.report.outcome(Claim.REMOVED) == "confirmed"
    assert left(failing) == []


def test_a_run_that_fails_ends_with_exit_code_1_and_a_report(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.defpath)  # where SAM CLI does not find the runtime's Python

    ended = python_m_e2e("--account", "000000000000", stdin=subprocess.DEVNULL)
    home = ROOT / "build" / "e2e" / suffix_of(ended.stdout)
    report = json.loads((home / "report.json").read_text())
    shutil.rmtree(home)

    assert ended.returncode == 1
    assert "`sam build` ended with 1" in report["ended"]
    assert (report["claims"]["deployed"]["outcome"], report["left_behind"]) == ("not tried", [])


def names_of(aws: EmbeddedAws, suffix: str) -> list[str]:
    """Return the names of resources in the account that have this suffix."""
    stacks = [each["StackName"] for each in aws.cloudformation.list_stacks()["StackSummaries"]]
    return [name for name in (*stacks, *buckets(aws)) if suffix in name]


def left(run: Run) -> list[str]:
    """Return the account's resources with the run's name, except for its stack."""
    account = run.account
    names = [bucket["Name"] for bucket in account.s3.list_buckets()["Buckets"]]
    names += account.dynamodb.list_tables()["TableNames"]
    names += [group["logGroupName"] for group in account.logs.describe_log_groups()["logGroups"]]
    return [name for name in names if run.names.cover(name)]


def buckets(aws: EmbeddedAws) -> list[str]:
    return [bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]]


def test_only_resources_with_the_runs_tag_are_removed(aws: EmbeddedAws, tmp_path: Path) -> None:
    run = Run(Console(file=io.StringIO()), pace=PACE, reports=tmp_path)
    second = Run(Console(file=io.StringIO()), names=Names(run.names.suffix), pace=PACE, reports=tmp_path)
    make_code_bucket(second)
    foreign_stack(aws, second.names, tags=[{"Key": TAG, "Value": second.names.tag}])
    tag_bucket(second.account, f"{second.names.stack}-foreign", second.names)
    aws.s3.create_bucket(Bucket=run.names.code_bucket)  # with the run's name, and without its tag

    remove(run)

    marked = "(not touched: it does not have this run's tag)"
    assert sorted(run.report.left_behind) == sorted(
        [
            f"stack {run.names.stack} {marked}",
            f"table {run.names.source} {marked}",
            f"bucket {run.names.stack}-foreign {marked}",
            f"bucket {run.names.code_bucket} {marked}",
            f"bucket {second.names.code_bucket} {marked}",
        ]
    )
    assert_untouched(aws, run.names)
    aws.s3.delete_bucket(Bucket=run.names.code_bucket)
    remove(second)
    assert (left(run), second.report.left_behind) == ([], [])


def test_an_existing_bucket_with_the_code_buckets_name_is_not_used(aws: EmbeddedAws, tmp_path: Path) -> None:
    run = Run(Console(file=io.StringIO()), pace=PACE, reports=tmp_path)
    aws.s3.create_bucket(Bucket=run.names.code_bucket)

    assert story.carry_out(run, make_code_bucket, keep=False) is False

    assert run.names.code_bucket in buckets(aws)
    assert "already exists, and this run did not create it" in run.report.ended
    aws.s3.delete_bucket(Bucket=run.names.code_bucket)


def foreign_stack(aws: EmbeddedAws, names: Names, *, tags: Any = ()) -> None:
    """A stack with the run's name that the run did not create: a retained table, and a bucket that is not empty."""
    key = {"AttributeName": "PK"}
    table = {
        "TableName": names.source,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{**key, "AttributeType": "S"}],
        "KeySchema": [{**key, "KeyType": "HASH"}],
    }
    bucket = {"BucketName": f"{names.stack}-foreign"}
    resources = {
        "SourceTable": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": table},
        "Bucket": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": bucket},
    }
    aws.cloudformation.create_stack(
        StackName=names.stack, TemplateBody=json.dumps({"Resources": resources}), Tags=tags
    )
    aws.cloudformation.get_waiter("stack_create_complete").wait(
        StackName=names.stack, WaiterConfig={"Delay": 1}
    )
    aws.dynamodb.put_item(TableName=names.source, Item={"PK": {"S": "precious"}})
    aws.s3.put_object(Bucket=bucket["BucketName"], Key="precious", Body=b"1")


def assert_untouched(aws: EmbeddedAws, names: Names) -> None:
    (stack,) = aws.cloudformation.describe_stacks(StackName=names.stack)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert aws.cloudformation.list_change_sets(StackName=names.stack)["Summaries"] == []
    resources = aws.cloudformation.list_stack_resources(StackName=names.stack)["StackResourceSummaries"]
    assert len(resources) == 2
    assert aws.dynamodb.scan(TableName=names.source)["Items"] == [{"PK": {"S": "precious"}}]
    assert aws.s3.get_object(Bucket=f"{names.stack}-foreign", Key="precious")["Body"].read() == b"1"


def remove_foreign(aws: EmbeddedAws, names: Names) -> None:
    aws.cloudformation.delete_stack(StackName=names.stack)
    aws.dynamodb.delete_table(TableName=names.source)
    aws.s3.delete_object(Bucket=f"{names.stack}-foreign", Key="precious")
    aws.s3.delete_bucket(Bucket=f"{names.stack}-foreign")


@pytest.mark.parametrize(
    ("hidden", "reason"),
    [
        (False, "already exists, and this run did not create it."),
        (True, "was created in the meantime, and not by this run."),
    ],
    ids=["seen", "while SAM CLI prepares"],
)
def test_a_foreign_stack_created_after_the_check_is_not_touched(
    aws: EmbeddedAws,
    run: Run,
    whole: Deployed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hidden: bool,
    reason: str,
) -> None:
    late = Run(Console(file=io.StringIO()), pace=PACE, reports=tmp_path)
    shutil.copytree(run.home / "build", late.home / "build")
    consent.refuse_what_exists(late)

    def appear_and_deploy(_: Run) -> None:
        make_code_bucket(late)
        foreign_stack(aws, late.names)
        if hidden:
            monkeypatch.setattr(Account, "has_stack", lambda *_: False)
        try:
            create(late)
        finally:
            monkeypatch.undo()
            set_environment(aws, monkeypatch)

    assert story.carry_out(late, appear_and_deploy, keep=False) is False

    assert late.report.ended == f"The run ended early: the stack {late.names.stack} {reason}"
    assert_untouched(aws, late.names)
    assert late.names.code_bucket not in buckets(aws)
    assert late.report.outcome(Claim.REMOVED) == "DID NOT HOLD"
    remove_foreign(aws, late.names)


def test_a_second_run_with_the_same_suffix_touches_nothing_of_the_first(
    aws: EmbeddedAws, run: Run, whole: Deployed, tmp_path: Path
) -> None:
    second = Run(Console(file=io.StringIO()), names=Names(run.names.suffix), pace=PACE, reports=tmp_path)
    shutil.copytree(run.home / "build", second.home / "build")
    before = left(run)

    def deploy_beside(_: Run) -> None:
        make_code_bucket(second)
        create(second)

    assert story.carry_out(second, deploy_beside, keep=False) is False
    make_code_bucket(second)
    with pytest.raises(NotOwnedError, match="this run did not create the stack"):
        redeploy(second, MemorySize=256)
    remove(second)

    assert "already exists, and this run did not create it" in second.report.ended
    assert (left(run), run.account.has_stack(run.names.stack)) == (before, True)
    assert aws.cloudformation.describe_stacks(StackName=run.names.stack)["Stacks"][0]["StackStatus"] in (
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
    )
    whole.wait_until_equal()


def test_keep_leaves_the_stack_and_reports_it(aws: EmbeddedAws, tmp_path: Path) -> None:
    run = Run(Console(file=io.StringIO()), pace=PACE, reports=tmp_path)

    assert story.carry_out(run, lambda _: None, keep=True) is True

    how = f".venv/bin/python -m tests.e2e --remove {run.names.suffix} --region us-east-1"
    assert f"AWS_ENDPOINT_URL={aws.endpoint_url} {how}" in (run.home / "report.md").read_text()
    assert run.report.outcome(Claim.REMOVED) == "not tried"


def test_an_interrupted_removal_does_not_report_that_nothing_is_left(
    aws: EmbeddedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(Console(file=io.StringIO()), pace=PACE, reports=tmp_path)

    def interrupted(_: Run) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(story, "remove", interrupted)
    with pytest.raises(KeyboardInterrupt):
        story.carry_out(run, lambda _: None, keep=False)

    report = (run.home / "report.md").read_text()
    assert "- unknown: KeyboardInterrupt ended the removal; run " in report
    assert f"-m tests.e2e --remove {run.names.suffix} --region us-east-1" in report


def test_a_table_left_by_its_stack_is_reported_and_removed(aws: EmbeddedAws, tmp_path: Path) -> None:
    run = Run(Console(file=io.StringIO()), pace=PACE, reports=tmp_path)
    foreign_stack(aws, run.names, tags=[{"Key": TAG, "Value": run.names.tag}])
    tag_bucket(run.account, f"{run.names.stack}-foreign", run.names)

    remove(run)

    assert run.report.outcome(Claim.TABLES_DELETED) == "DID NOT HOLD"
    assert run.report.outcome(Claim.REMOVED) == "confirmed"
    assert left(run) == []


def test_resources_that_cannot_be_removed_are_reported(aws: EmbeddedAws, tmp_path: Path) -> None:
    run = Run(Console(file=io.StringIO()), pace=PACE, reports=tmp_path)
    stranger = f"{run.names.stack}-not-made-by-the-run"
    aws.s3.create_bucket(Bucket=stranger)

    remove(run)

    assert run.report.left_behind == [f"bucket {stranger} (not touched: it does not have this run's tag)"]
    aws.s3.delete_bucket(Bucket=stranger)
    assert run.report.outcome(Claim.REMOVED) == "DID NOT HOLD"


@pytest.fixture(scope="module")
def with_workers(whole: Deployed) -> Deployed:
    """The stack, to which workers are added. The tests that use it must be the last ones."""
    return workers.turn_on(whole)


@pytest.fixture
def working(with_workers: Deployed) -> Deployed:
    """The stack with workers, with a report of this test only."""
    return replace(with_workers, run=replace(with_workers.run, report=Report()))


def test_workers_find_a_difference_and_repair_it(working: Deployed) -> None:
    with firing(working, "ReplicaUnequalAlarm"):
        workers.verify(working)

    assert outcomes(working) == {
        "VERIFIED_BY_WORKERS": "confirmed",
        "REPAIRED_BY_WORKERS": "confirmed",
        "FIRED": "confirmed",
    }


def test_workers_that_find_more_than_was_removed_do_not_hold(working: Deployed) -> None:
    other = working.keys()[1]
    working.pair.dynamodb.delete_item(TableName=working.pair.replica, Key={"PK": {"S": other}})

    with pytest.raises(DidNotHoldError, match="must report only"):
        workers.verify(working)

    provocation.repair(working, set(working.differing() or ()))


def test_workers_copy_what_the_replica_lacks(working: Deployed) -> None:
    workers.copy(working)

    assert outcomes(working) == {"COPIED_BY_WORKERS": "confirmed"}


def test_a_job_is_stopped_and_resumed(working: Deployed) -> None:
    with firing(working, "BulkJobFailedAlarm"):
        workers.stop(working)

    assert outcomes(working) == {"STOPPED": "confirmed", "FIRED": "confirmed"}


def test_schedules_start_a_redrive_and_a_verification(working: Deployed) -> None:
    scheduled = workers.schedule(working)

    assert outcomes(working) == {"SCHEDULED": "confirmed"}
    assert "VerificationOverdueAlarm" in alarms.of_stack(scheduled)


def test_nothing_is_left_when_the_run_is_interrupted(run: Run, with_workers: Deployed) -> None:
    """Must be the last test, since it removes the stack of the others."""
    assert len(left(run)) == 7
    created = {resource["LogicalResourceId"] for resource in stack_resources(run)}
    assert {"ReplicatorFunction", "WorkerFunction", "BulkStateMachine", "WorkerLogGroup"} <= created

    def interrupted(_: Run) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        story.carry_out(run, interrupted, keep=True)

    # A worker that still runs creates its log group again on the embedded AWS. On AWS its role must not.
    assert [name for name in left(run) if not name.endswith("/WorkerLogGroup")] == []
    assert run.account.has_stack(run.names.stack) is False
    assert "The run was interrupted by KeyboardInterrupt." in (run.home / "report.md").read_text()
    assert run.report.outcome(Claim.TABLES_DELETED) == "confirmed"
    assert run.report.outcome(Claim.REMOVED) == "confirmed"
