"""docs/runbook.md: each section's problem is caused, its commands are executed, and the problem is over.

The commands are read from the page. `ddbreplica`, the AWS CLI and SAM CLI execute them as they are written, with the
stack's outputs in place of the words in capitals.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from demo import traffic
from demo.deploy import TEMPLATE, Package, Stack, deploy, update, upload
from demo.embedded import ROOT, EmbeddedAws, embedded_aws
from demo.pair import Item, Pair, wait_until
from tests.support import cli, incremental, on_failure, records
from tests.support.build import SAM, SET_SAM_UP
from tests.support.cli import Misbehaviour
from tests.support.runbook import AWS_CLI, PAGE, SET_AWS_CLI_UP, Operator, Section, commands, outputs
from tests.support.updated import restore_mapping

pytestmark = [
    pytest.mark.skipif(not SAM.exists(), reason=f"needs SAM CLI: {SET_SAM_UP}"),
    pytest.mark.skipif(not AWS_CLI.exists(), reason=f"needs the AWS CLI: {SET_AWS_CLI_UP}"),
]

NOT_AS_ON_AWS: Final[Mapping[str, str]] = {
    "The lag grows": "the test puts the metric, since the embedded AWS publishes none",
    "Lambda throttles the function": "a deployed concurrency is applied to new functions only",
    "DynamoDB throttles the replica": "the test puts the metric, since the embedded AWS has no limit of capacity",
    "A resource was changed by hand": "demo/ministack_main.py reverts drift, of roles and bucket policies only",
    "Discarded batches": "the test puts the object into the on-failure bucket, which the embedded AWS never does",
    "Dropped changes": "the test writes the files of the exports, since the embedded AWS writes none",
    "The replica was deleted": "the test makes the backup, which AWS makes of a deleted table by itself",
    "Items of an archive need review": "the test puts back the item that expired, since nothing expires here",
}
"""Problems that are caused in another way than on AWS."""

Fill: TypeAlias = Callable[..., None]
TESTED: Final[dict[str, Callable[..., None]]] = {}
STATUS: Final = "ddbreplica status --stack-name ddbreplica"
VERIFY: Final = "ddbreplica verify --stack-name ddbreplica"
REDRIVE: Final = "ddbreplica redrive --stack-name ddbreplica"


def of(heading: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function the test of a section."""

    def register(test: Callable[..., None]) -> Callable[..., None]:
        assert heading not in TESTED
        TESTED[heading] = test
        marked: Callable[..., None] = pytest.mark.parametrize("heading", [heading], ids=[""])(test)
        return marked

    return register


class Site:
    """A stack in the embedded AWS, its tables, and an operator."""

    def __init__(
        self, aws: EmbeddedAws, package: Package, directory: Path, name: str, **parameters: str
    ) -> None:
        self.aws = aws
        tables = {"SourceTableName": name, "ReplicaTableName": f"{name}_replica"}
        self.stack = deploy(aws, name, package, **tables, **parameters)
        self.pair = Pair(aws.dynamodb, self.stack.source, self.stack.replica)
        directory.mkdir()
        bucket, key = package.url.removeprefix(f"{aws.endpoint_url}/").split("/")
        aws.s3.download_file(bucket, key, str(directory / "template.json"))
        shutil.copy(ROOT / "samconfig.toml", directory)
        self.operator = Operator(aws, self.stack, directory)

    def put(self, key: str, **attributes: Any) -> None:
        """Write an item to the source."""
        self.aws.dynamodb.put_item(TableName=self.pair.source, Item={"PK": {"S": key}, **attributes})

    def drop(self, key: str) -> None:
        """Delete an item from the replica only."""
        self.aws.dynamodb.delete_item(TableName=self.pair.replica, Key={"PK": {"S": key}})

    def replicates(self, key: str, **attributes: Any) -> None:
        """Write an item to the source, and wait until it is in the replica."""
        self.put(key, **attributes)
        self.has(key)

    def has(self, key: str, item: Item | None = None) -> None:
        """Wait until the replica has an item as the source has it."""
        expected = item or self.pair.item(self.pair.source, key)
        wait_until(lambda: self.pair.item(self.pair.replica, key) == expected, f"The replica has {key}")

    def emits(self, metric: str, value: int, **dimension: str) -> None:
        """Put a metric of now, as AWS does."""
        ((name, what),) = dimension.items()
        namespace = "AWS/DynamoDB" if name == "TableName" else "AWS/Lambda"
        put = f"aws cloudwatch put-metric-data --namespace {namespace} --metric-name {metric}"
        emitted = self.operator.run(f"{put} --value {value} --dimensions {name}={what}")
        assert emitted.exit_code == 0, emitted.output

    def after_an_update(self) -> None:
        """Set right what the embedded AWS does to the mapping when a stack is updated."""
        described = self.aws.cloudformation.describe_stacks(StackName=self.stack.name)["Stacks"][0]
        new = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
        self.stack = Stack(self.stack.name, self.stack.resources, new)
        self.operator.stack = self.stack
        restore_mapping(self.aws, self.stack)


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as aws:
        yield aws


@pytest.fixture(scope="module")
def package(aws: EmbeddedAws) -> Package:
    return packaged(aws)


def packaged(aws: EmbeddedAws) -> Package:
    """Upload the template as SAM CLI deploys it: without the files that its metadata name."""
    template = yaml_parse(TEMPLATE.read_text())
    del template["Metadata"]
    return upload(aws, template)


@pytest.fixture(scope="module")
def main(aws: EmbeddedAws, package: Package, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A stack with default parameters, whose tables are equal."""
    site = Site(aws, package, tmp_path_factory.mktemp("main") / "checkout", "orders")
    site.replicates("kept")
    return site


SITES: Final = ("main", "late", "archive", "restored", "filtered", "enforced", "working")


@pytest.fixture(scope="module")
def late(aws: EmbeddedAws, package: Package, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A stack that is to have metrics of a lag, which last for five minutes."""
    return Site(aws, package, tmp_path_factory.mktemp("late") / "checkout", "late")


@pytest.fixture(scope="module")
def archive(aws: EmbeddedAws, package: Package, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A stack whose replica keeps what has expired."""
    directory = tmp_path_factory.mktemp("archive") / "checkout"
    return Site(aws, package, directory, "archive", ReplicateTtlDeletes="false")


@pytest.fixture(scope="module")
def restored(aws: EmbeddedAws, package: Package, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A stack whose source was restored from a backup, older than one item of the replica."""
    site = Site(aws, package, tmp_path_factory.mktemp("restored") / "checkout", "restored")
    site.replicates("kept")
    dynamodb = aws.dynamodb
    backup = dynamodb.create_backup(TableName="restored", BackupName="before")["BackupDetails"]["BackupArn"]
    site.replicates("later")
    delete_table(site, "restored")
    dynamodb.restore_table_from_backup(TargetTableName="restored", BackupArn=backup)
    dynamodb.get_waiter("table_exists").wait(TableName="restored")
    return site


@pytest.fixture(scope="module")
def filtered(aws: EmbeddedAws, package: Package, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A stack that replicates the items of one tenant."""
    directory = tmp_path_factory.mktemp("filtered") / "checkout"
    return Site(aws, package, directory, "filtered", KeyFilter=tenant("a"))


def tenant(name: str) -> str:
    """Return the KeyFilter for the items of a tenant."""
    return json.dumps({"PK": {"S": [{"prefix": f"{name}#"}]}})


@pytest.fixture(scope="module")
def enforced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack on an embedded AWS that enforces the function's role."""
    with embedded_aws(enforce_roles=True) as aws:
        site = Site(aws, packaged(aws), tmp_path_factory.mktemp("enforced") / "checkout", "enforced")
        site.replicates("kept")
        yield site


@pytest.fixture(scope="module")
def working(aws: EmbeddedAws, package: Package, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A stack with workers, whose tables are equal."""
    directory = tmp_path_factory.mktemp("working") / "checkout"
    site = Site(aws, package, directory, "working", Workers="true", RedriveScheduleExpression="none")
    site.replicates("kept")
    return site


@pytest.fixture
def section(request: pytest.FixtureRequest, heading: str) -> Iterator[Section]:
    """The section of this heading, with the operator of the site that the test uses."""
    site: Site = next(request.getfixturevalue(name) for name in SITES if name in request.fixturenames)
    section = Section(site.operator, iter(commands()[heading]))
    yield section
    assert list(section.left) == [], "these commands of the section were not executed"


@of("Start here")
def test_start_here(main: Site, section: Section) -> None:
    main.drop("kept")

    section.run(STATUS)
    assert "kept" in section.run(VERIFY, exits=1)
    assert main.stack.outputs["DashboardUrl"] in section.run("aws cloudformation describe-stacks")

    main.replicates("kept", n={"N": "1"})
    section.is_over(VERIFY, STATUS)


@of("Several replicas")
def test_several_replicas(main: Site, archive: Site, section: Section) -> None:
    uuid = archive.stack.outputs["EventSourceMappingId"]
    main.aws.lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)

    shown = section.run("ddbreplica status --all", exits=1)
    assert "--source archive --replica archive_replica" in shown
    section.watch("ddbreplica status --all", until="NOT REPLICATING, at")

    main.aws.lambda_.update_event_source_mapping(UUID=uuid, Enabled=True)
    section.is_over("ddbreplica status --all")


@of("The lag grows")
def test_the_lag_grows(late: Site, section: Section) -> None:
    late.replicates("kept")
    uuid = late.stack.outputs["EventSourceMappingId"]
    late.emits("PolledEventCount", 1, EventSourceMappingUUID=uuid)
    late.emits("IteratorAge", 20 * 60 * 1000, FunctionName=late.stack.outputs["FunctionName"])

    section.watch(STATUS, until="the lag is 20 min")
    assert "RecordsReceived" in section.run("sam logs")
    before = parameters(late)
    section.run("sam deploy")

    late.after_an_update()
    assert parameters(late) == {**before, "BatchSize": "1000"}
    assert late.aws.lambda_.get_event_source_mapping(UUID=uuid)["BatchSize"] == 1000
    late.replicates("kept", n={"N": "1"})


@of("Lambda throttles the function")
def test_lambda_throttles_the_function(main: Site, section: Section) -> None:
    function = main.stack.outputs["FunctionName"]
    main.aws.lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    main.put("throttled")

    assert json.loads(section.run("aws lambda get-function-concurrency"))["ReservedConcurrentExecutions"] == 0
    assert main.pair.item(main.pair.replica, "throttled") is None
    section.run("aws lambda delete-function-concurrency")

    main.has("throttled")
    section.is_over()

    assert "ConcurrentExecutions" in section.run("aws lambda get-account-settings")
    section.run("sam deploy")
    main.after_an_update()
    assert parameters(main)["ReservedConcurrency"] == "10"
    main.replicates("throttled", n={"N": "1"})


@of("DynamoDB throttles the replica")
def test_dynamodb_throttles_the_replica(main: Site, section: Section) -> None:
    assert {billing(main, table) for table in (main.pair.source, main.pair.replica)} == {"PROVISIONED"}
    main.emits("PolledEventCount", 1, EventSourceMappingUUID=main.stack.outputs["EventSourceMappingId"])
    main.emits("WriteThrottleEvents", 7, TableName=main.pair.replica)
    assert "throttled" in section.is_over()

    section.run("sam deploy")
    main.after_an_update()
    assert {billing(main, table) for table in (main.pair.source, main.pair.replica)} == {"PAY_PER_REQUEST"}

    main.aws.dynamodb.update_table(
        TableName=main.pair.replica,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 10, "WriteCapacityUnits": 5},
    )
    section.run("aws dynamodb update-table")
    assert billing(main, main.pair.replica) == "PAY_PER_REQUEST"


def billing(site: Site, table: str) -> str:
    """Return the billing mode of a table."""
    described = site.aws.dynamodb.describe_table(TableName=table)["Table"]
    return described.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")


POLICY: Final = "replicate"


def delete_role_policy(site: Site) -> Mapping[str, Any]:
    """Delete the policy of the function's role, and return the arguments that put it back."""
    which = {"RoleName": site.stack.outputs["FunctionRoleArn"].rpartition("/")[2], "PolicyName": POLICY}
    document = site.aws.iam.get_role_policy(**which)["PolicyDocument"]
    site.aws.iam.delete_role_policy(**which)
    return {**which, "PolicyDocument": json.dumps(document)}


@of("The function fails")
def test_the_function_fails(enforced: Site, section: Section) -> None:
    policy = delete_role_policy(enforced)
    enforced.put("denied")
    wait_until(lambda: "AccessDenied" in enforced.aws.log.read_text(), "The function fails")

    said = section.run("sam logs")

    assert "not authorized to perform: dynamodb:" in said
    enforced.aws.iam.put_role_policy(**policy)
    enforced.has("denied")
    section.is_over()


@of("A resource was changed by hand")
def test_a_resource_was_changed_by_hand(enforced: Site, section: Section) -> None:
    deploys = f"sam deploy --stack-name {enforced.stack.name}"
    section.is_over(deploys)
    enforced.after_an_update()
    bucket = enforced.stack.outputs["OnFailureBucketName"]
    s3 = enforced.aws.s3
    policy, bucket_policy = delete_role_policy(enforced), s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.put_bucket_policy(Bucket=bucket, Policy=bucket_policy.replace("aws:SecureTransport", "aws:username"))
    enforced.put("restored")
    deployed = section.operator.run(deploys)
    assert (deployed.exit_code, "No changes to deploy" in deployed.output) == (1, True)

    section.run("aws cloudformation describe-stacks")
    section.run("aws cloudformation create-change-set")
    section.run("aws cloudformation wait")
    changes = section.run("aws cloudformation describe-change-set")
    assert {name for name in ("DDBReplicationRole", "OnFailureBucketPolicy") if name in changes} == {
        "DDBReplicationRole",
        "OnFailureBucketPolicy",
    }
    before = parameters(enforced)
    section.run("aws cloudformation delete-change-set")
    section.is_over(*section.executed[1:3])
    section.run("aws cloudformation execute-change-set")
    section.run("aws cloudformation wait")

    enforced.after_an_update()
    assert parameters(enforced) == before
    which = {name: policy[name] for name in ("RoleName", "PolicyName")}
    document = enforced.aws.iam.get_role_policy(**which)["PolicyDocument"]
    assert document == json.loads(policy["PolicyDocument"])
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == json.loads(bucket_policy)
    enforced.has("restored")
    section.is_over()


def parameters(site: Site) -> Mapping[str, str]:
    """Return the parameters that the stack has."""
    (stack,) = site.aws.cloudformation.describe_stacks(StackName=site.stack.name)["Stacks"]
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}


@of("The mapping is stopped")
def test_the_mapping_is_stopped(main: Site, section: Section) -> None:
    uuid = main.stack.outputs["EventSourceMappingId"]
    main.aws.lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)
    main.put("stopped")
    main.drop("kept")  # in place of a change that the stream has dropped
    section.is_over(STATUS, exits=1)

    assert json.loads(section.run("aws lambda get-event-source-mapping"))["State"] == "Disabled"
    section.run("aws lambda update-event-source-mapping")
    main.has("stopped")
    section.run(f"{VERIFY} --repair")

    main.has("kept")
    section.is_over()


@of("Dropped changes")
def test_dropped_changes(main: Site, section: Section) -> None:
    main.replicates("gone")
    uuid = main.stack.outputs["EventSourceMappingId"]
    main.aws.lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)
    main.aws.dynamodb.delete_item(TableName=main.pair.source, Key={"PK": {"S": "gone"}})
    main.aws.lambda_.update_event_source_mapping(UUID=uuid, Enabled=True)
    wait_until(lambda: main.pair.item(main.pair.replica, "gone") is None, "The stream has the deletion")
    main.drop("kept")  # these two in place of changes that the stream has dropped
    main.aws.dynamodb.put_item(TableName=main.pair.replica, Item={"PK": {"S": "gone"}})
    main.aws.s3.create_bucket(Bucket="private")

    section.run("ARN=$(aws dynamodb describe-table")
    exported = [
        json.loads(section.run("aws dynamodb export-table-to-point-in-time", EXPORT_BUCKET="private"))
        for _ in range(3)
    ]
    arns = [export["ExportDescription"]["ExportArn"] for export in exported]
    listed = section.run("aws dynamodb list-exports")
    assert all(arn in listed for arn in arns)
    ids = [arn.rpartition("/")[2] for arn in arns]
    write_exports(main, *ids)
    named = dict(zip(("FIRST_ID", "SECOND_ID", "THIRD_ID"), ids, strict=True))
    section.run("ddbreplica backfill --stack-name", EXPORT_BUCKET="private", **named)

    main.has("kept")
    assert main.pair.item(main.pair.replica, "gone") is None
    section.run("aws s3 rm", EXPORT_BUCKET="private")
    section.is_over(VERIFY, STATUS)


def write_exports(site: Site, *ids: str) -> None:
    """Write three exports around an outage of 30 hours, in which an item was changed and another one deleted.

    The outage begins now, since the table is only some seconds old.
    """
    source = site.aws.dynamodb.describe_table(TableName=site.pair.source)["Table"]
    stopped = datetime.now(UTC)
    contents: tuple[tuple[int, int, Sequence[Mapping[str, Any]]], ...] = (
        (-1, 0, []),
        (0, 20, [incremental.updated("kept")]),
        (19, 31, [incremental.deleted("gone")]),
    )
    for id_, (since, until, changes) in zip(ids, contents, strict=True):
        window = incremental.Window(
            id_, stopped + timedelta(hours=since), stopped + timedelta(hours=until), prefix="repair"
        )
        window.store(
            lambda name, body: site.aws.s3.put_object(Bucket="private", Key=name, Body=body),
            changes,
            tableArn=source["TableArn"],
            tableId=source["TableId"],
        )


@of("Records in quarantine")
def test_records_in_quarantine(main: Site, section: Section) -> None:
    bucket, s3 = main.stack.quarantine_bucket, main.aws.s3
    traffic.drop_source_index(main.pair)
    main.put("a", GSI_1_PK={"N": "5"})
    (poison,) = traffic.wait_for_quarantine(s3, bucket)
    unreadable = f"{poison.name.rpartition('/')[0]}/unreadable.json"
    s3.put_object(Bucket=bucket, Key=unreadable, Body=b"[")
    section.is_over(STATUS, exits=1)

    assert poison.name in section.run(f"{REDRIVE} --dry-run")
    main.put("a", GSI_1_PK={"S": "5"})
    assert "unreadable" in section.run(REDRIVE, exits=1)
    main.has("a")
    section.run("aws s3 mv", OBJECT=unreadable)
    assert f"done/{poison.name}" in section.run(f"{REDRIVE} --find", exits=1)
    assert "versions " in section.run(f"{REDRIVE} --purge-done --dry-run")

    section.is_over(REDRIVE, STATUS)


def an_hour_ago(parsed: Any, **_: Any) -> None:
    """Make listed objects an hour older: a write of a younger batch may still land."""
    for listed in parsed.get("Contents", ()):
        listed["LastModified"] -= timedelta(hours=1)


def discard(site: Site, key: str) -> None:
    """Put a batch with a record of this item into the on-failure bucket, as Lambda does."""
    outputs_ = site.stack.outputs
    record = records.put(1, key) | {"eventSourceARN": outputs_["SourceStreamArn"]}
    batch = on_failure.DiscardedBatch([record], "shardId-1", "RetryAttemptsExhausted", "request", 3, None)
    name, body = on_failure.on_failure_object(batch, now=1.7940960e9, name=key)
    uuid = outputs_["EventSourceMappingId"]
    site.aws.s3.put_object(
        Bucket=outputs_["OnFailureBucketName"],
        Key=name.replace(on_failure.MAPPING, uuid),
        Body=body.replace(on_failure.FUNCTION_ARN, outputs_["FunctionArn"]).encode(),
    )


@of("Discarded batches")
def test_discarded_batches(main: Site, section: Section, monkeypatch: pytest.MonkeyPatch) -> None:
    Misbehaviour(monkeypatch).on("after-call.s3.ListObjectsV2", an_hour_ago)
    for name, value in {**main.aws.credentials, "AWS_DEFAULT_REGION": main.aws.region}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(main.operator.directory)

    for beginning in (REDRIVE, "ddbreplica redrive --source"):
        main.drop("kept")
        discard(main, "kept")
        section.is_over(STATUS, exits=1)

        words = section.next(beginning).split()
        redriven = cli.run(*words[1:], "--endpoint-url", main.aws.endpoint_url)

        assert redriven.exit_code == 0, redriven.output
        main.has("kept")
    section.is_over(REDRIVE, STATUS)


@of("Lost records")
def test_lost_records(main: Site, section: Section) -> None:
    main.drop("kept")

    section.run(f"{VERIFY} --repair")

    main.has("kept")
    section.is_over(f"{VERIFY} --repair")


@of("Items of an archive need review")
def test_items_of_an_archive_need_review(archive: Site, section: Section) -> None:
    dynamodb = archive.aws.dynamodb
    traffic.drop_source_index(archive.pair)
    archive.put("a", GSI_1_PK={"N": "5"})
    (poison,) = traffic.wait_for_quarantine(archive.aws.s3, archive.stack.quarantine_bucket)
    dynamodb.delete_item(TableName="archive", Key={"PK": {"S": "a"}})
    archive.replicates("next")
    for key in ("a", "expired"):
        dynamodb.put_item(TableName="archive_replica", Item={"PK": {"S": key}})

    assert "undecided" in section.run(REDRIVE, exits=1)
    section.run("aws dynamodb delete-item")
    section.run("aws s3 mv", OBJECT=poison.name)
    section.run("ddbreplica verify --source")

    assert archive.pair.items("archive_replica").keys() == {"next", "expired"}
    section.is_over(REDRIVE, STATUS)


@of("The replica was deleted")
def test_the_replica_was_deleted(main: Site, section: Section) -> None:
    dynamodb, table = main.aws.dynamodb, main.pair.replica
    arn = dynamodb.create_backup(TableName=table, BackupName="system")["BackupDetails"]["BackupArn"]
    delete_table(main, table)
    main.put("meanwhile")
    section.is_over(STATUS, exits=2)

    assert arn in section.run("aws dynamodb list-backups")
    section.run("aws dynamodb restore-table-from-backup", BACKUP_ARN=arn)
    section.run("aws dynamodb wait")
    section.run("aws dynamodb update-continuous-backups")
    section.run(f"{VERIFY} --repair")
    recovery = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    section.is_over(VERIFY, STATUS)

    delete_table(main, table)
    section.run("aws dynamodb create-table")
    section.run("aws dynamodb wait")
    section.run("ddbreplica backfill --stack-name")
    assert main.pair.item(table, "kept") is None
    section.run("ddbreplica backfill --stack-name")
    section.is_over(VERIFY, STATUS)


def delete_table(site: Site, table: str) -> None:
    """Delete a table, and wait until it is gone."""
    # The embedded AWS takes the template's text "false" for true.
    site.aws.dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    site.aws.dynamodb.delete_table(TableName=table)
    site.aws.dynamodb.get_waiter("table_not_exists").wait(TableName=table, WaiterConfig={"Delay": 1})


@of("The source was restored from a backup")
def test_the_source_was_restored_from_a_backup(restored: Site, section: Section) -> None:
    section.run(f"{VERIFY} --report", exits=1)

    report = (restored.operator.directory / "differences.jsonl").read_text()
    assert [json.loads(line)["key"] for line in report.splitlines()] == [{"PK": {"S": "later"}}]
    restored.put("later")
    section.is_over(VERIFY)


@of("The source has a new stream")
def test_the_source_has_a_new_stream(restored: Site, section: Section) -> None:
    section.is_over(STATUS, exits=1)
    restored.put("unseen")

    section.run("aws dynamodb update-table")
    section.run("aws dynamodb wait")
    table = restored.aws.dynamodb.describe_table(TableName="restored")["Table"]
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    assert table["LatestStreamArn"] != restored.stack.outputs["SourceStreamArn"]
    section.is_over(STATUS, exits=1)
    section.run("sam deploy")
    section.run("STREAM=$(aws dynamodb describe-table")
    section.run("sam deploy")
    restored.after_an_update()
    section.run(f"{VERIFY} --repair")

    assert restored.pair.items("restored").keys() == {"kept", "later", "unseen"}
    restored.replicates("new")
    section.is_over(VERIFY, STATUS)


@of("The key filter was changed")
def test_the_key_filter_was_changed(filtered: Site, section: Section) -> None:
    filtered.put("b#1")
    filtered.replicates("a#1")
    update(filtered.aws, "filtered", KeyFilter=tenant("b"))
    filtered.after_an_update()
    section.is_over(VERIFY, exits=1)

    shown = section.run(f"{VERIFY} --repair")

    assert "replica excluded" in shown
    assert filtered.pair.items("filtered_replica").keys() == {"a#1", "b#1"}
    section.is_over(VERIFY)


@of("Metrics are missing")
def test_metrics_are_missing(main: Site, section: Section) -> None:
    function, log = main.stack.outputs["FunctionName"], main.stack.outputs["LogGroupName"]
    logging: Any = {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": log}
    main.aws.lambda_.update_function_configuration(FunctionName=function, LoggingConfig=logging)
    section.is_over(STATUS, exits=1)

    section.run("aws lambda update-function-configuration")

    section.is_over()


@of("Watch the changes")
def test_watch_the_changes(main: Site, section: Section) -> None:
    main.replicates("watched")

    section.watch("ddbreplica tail", until="watched")


@of("A verification found differences")
def test_a_verification_found_differences(working: Site, section: Section) -> None:
    working.drop("kept")
    section.is_over(f"{VERIFY} --in-aws", exits=1)

    assert "repaired" in section.run(f"{VERIFY} --repair")

    section.is_over(f"{VERIFY} --in-aws")


@of("A job of the workers fails")
def test_a_job_of_the_workers_fails(working: Site, section: Section) -> None:
    job = "verify-of-a-wrong-schedule"
    given = json.dumps({"what": "verify", "options": {"colour": 1}, "job": job})
    machine = working.stack.outputs["BulkStateMachineArn"]
    states = working.aws.stepfunctions
    execution = states.start_execution(stateMachineArn=machine, name=f"{job}_1", input=given)["executionArn"]
    wait_until(
        lambda: states.describe_execution(executionArn=execution)["status"] == "FAILED", f"{job} fails"
    )
    assert job in section.run("ddbreplica jobs show --stack-name ddbreplica")
    shown = section.run("ddbreplica jobs show --stack-name ddbreplica JOB", JOB=job)
    assert "has no option 'colour'" in shown
    assert "colour" in section.run("sam logs")
    assert "equal" in section.run(f"{VERIFY} --in-aws")
    assert "next verify not scheduled" in section.run(STATUS)
    assert json.loads(section.run("aws scheduler list-schedules"))["Schedules"] == []


def test_each_command_of_the_page_belongs_to_the_test_of_its_section() -> None:
    assert commands().keys() == TESTED.keys()
    assert NOT_AS_ON_AWS.keys() <= TESTED.keys()


def test_each_word_in_capitals_is_an_output_of_the_stack(main: Site) -> None:
    assert set(outputs().values()) <= main.stack.outputs.keys()


def test_the_page_lists_the_problems_that_occur_in_another_way_on_aws() -> None:
    listed = re.findall(
        r"^- \*\*(.+?)\.\*\*", PAGE.partition("\n## How this page is tested\n")[2], re.MULTILINE
    )

    assert set(listed) == NOT_AS_ON_AWS.keys()
