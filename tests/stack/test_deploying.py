"""Deployments as docs/deployment.md describes them: settings that last, failures, and what is left of a stack."""

import json
import re
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from demo.command import Finished
from demo.embedded import embedded_aws
from demo.pair import wait_until
from tests.support.guide import blocks, commands, messages
from tests.support.orders import create_orders
from tests.support.runbook import AWS_CLI, SET_AWS_CLI_UP
from tests.support.sam import BUILT, Project, project
from tests.support.template import defaults, load

PROD = (
    *("BillingMode=PAY_PER_REQUEST", "DeletionProtection=true", "TableDeletionPolicy=Retain"),
    "AlarmEmail=ops@example.com",
)

ORDER = {"customer": {"S": "customer-1"}, "placed_at": {"N": "1"}}

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not AWS_CLI.exists(), reason=f"needs the AWS CLI: {SET_AWS_CLI_UP}"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with embedded_aws() as aws:
        yield project(aws, tmp_path_factory.mktemp("deploying"))


@pytest.fixture(scope="module")
def first(built: Project) -> Project:
    """The first deployment, with the file as it is in the repository."""
    deployed = built.deploy()
    assert deployed.exit_code == 0, deployed.output
    return built


@pytest.fixture(scope="module")
def configured(first: Project) -> Project:
    """The config-env `logs` of the page, added to the file and deployed."""
    (lines,) = blocks("Set parameters", "toml")
    first.config.write_text(f"{first.config.read_text()}\n{lines}")
    deployed = first.deploy("--config-env", "logs")
    assert deployed.exit_code == 0, deployed.output
    return first


def test_the_first_deployment_has_the_defaults_of_the_template(first: Project) -> None:
    assert first.parameters("ddbreplica") == {name: str(value) for name, value in defaults().items()}
    assert {"logfile", "logfile_replica"} <= first.tables()


def test_an_unchanged_template_is_no_change(first: Project) -> None:
    again = first.deploy()
    accepted = first.deploy("--no-fail-on-empty-changeset")

    assert again.exit_code == 1
    assert "No changes to deploy" in again.output
    assert accepted.exit_code == 0, accepted.output


class TestConfigured:
    def test_the_stack_has_the_listed_parameters_and_the_defaults_of_the_others(
        self, configured: Project
    ) -> None:
        listed = dict(pair.split("=") for pair in configured.configured("logs")["parameter_overrides"])
        expected = {name: str(value) for name, value in defaults().items()} | listed

        assert listed == {
            "SourceTableName": "logs",
            "ReplicaTableName": "logs_copy",
            "MemorySize": "512",
        }
        assert configured.parameters("logs-replica") == expected
        assert {"logs", "logs_copy"} <= configured.tables()

    def test_a_second_plain_deployment_keeps_them(self, configured: Project) -> None:
        before = configured.parameters("logs-replica")
        once = configured.deploy("--config-env", "logs", "--parameter-overrides", "BatchSize=50")
        assert once.exit_code == 0, once.output

        plain = configured.deploy("--config-env", "logs", "--no-fail-on-empty-changeset")

        assert plain.exit_code == 0, plain.output
        # What no list names keeps the value that the stack has.
        assert configured.parameters("logs-replica") == before | {"BatchSize": "50"}

    def test_the_list_replaces_what_was_set_once(self, configured: Project) -> None:
        once = configured.deploy("--config-env", "logs", "--parameter-overrides", "MemorySize=1024")
        set_once = configured.parameters("logs-replica")["MemorySize"]
        plain = configured.deploy("--config-env", "logs")

        assert (once.exit_code, set_once) == (0, "1024"), once.output
        assert (plain.exit_code, configured.parameters("logs-replica")["MemorySize"]) == (0, "512")

    def test_a_line_that_is_deleted_changes_nothing(self, configured: Project) -> None:
        text = configured.config.read_text()
        configured.config.write_text(text.replace('  "MemorySize=512",\n', ""))

        plain = configured.deploy("--config-env", "logs", "--no-fail-on-empty-changeset")

        configured.config.write_text(text)
        assert plain.exit_code == 0, plain.output
        assert configured.parameters("logs-replica")["MemorySize"] == "512"

    def test_a_stack_that_is_deleted_leaves_the_code_of_the_others(self, configured: Project) -> None:
        before = code(configured)
        printed = configured.shell(commands("Remove")[0].replace("orders-replica", "logs-replica"))

        deleted = configured.sam("delete", "--config-env", "logs", "--no-prompts", "--region", "us-east-1")

        assert deleted.exit_code == 0, deleted.output
        assert before["ddbreplica"] == code(configured)["ddbreplica"] != set()
        # What the page says is retained: the tables and both buckets.
        assert {"logs", "logs_copy"} <= configured.tables()
        buckets = {bucket["Name"] for bucket in configured.aws.s3.list_buckets()["Buckets"]}
        assert set(printed.output.split()) == {name for name in buckets if name.startswith("logs-replica-")}
        delete_table, remove_bucket = commands("Remove")[3:5]
        # The embedded AWS takes the template's text "false" for true.
        configured.aws.dynamodb.update_table(TableName="logs_copy", DeletionProtectionEnabled=False)
        assert configured.shell(delete_table.replace("orders_copy", "logs_copy")).exit_code == 0
        for bucket in printed.output.split():
            executed = configured.shell(remove_bucket.replace("BUCKET", bucket))
            assert executed.exit_code == 0, executed.output


def code(built: Project) -> dict[str, set[str]]:
    """Return the objects of the managed bucket, by their prefix."""
    (bucket,) = [each["Name"] for each in built.aws.s3.list_buckets()["Buckets"] if "samcli" in each["Name"]]
    found: dict[str, set[str]] = {}
    for each in built.aws.s3.list_objects_v2(Bucket=bucket)["Contents"]:
        prefix, _, name = each["Key"].partition("/")
        found.setdefault(prefix, set()).add(name)
    return found


def failing(built: Project, stack: str, *parameters: str) -> Finished:
    """Deploy a template with one alarm that the embedded AWS refuses, and that comes after the tables."""
    template = json.loads((built.path / "template.yaml").read_text())
    name, refused = next(
        (name, each) for name, each in load()["Resources"].items() if "Metrics" in each.get("Properties", {})
    )
    template["Resources"][name] = refused
    template["Resources"]["ReplicatorFunction"]["Properties"]["CodeUri"] = f"{BUILT}/ReplicatorFunction"
    del template["Metadata"]
    (built.path / "failing.json").write_text(json.dumps(template))
    names = (f"SourceTableName={stack}", f"ReplicaTableName={stack}_copy")
    return built.deploy(
        *("--template-file", "failing.json", "--stack-name", stack),
        *("--parameter-overrides", *names, *parameters),
    )


class TestFailing:
    def test_a_stack_that_fails_at_first_is_deleted_and_deployed_again(self, first: Project) -> None:
        failed = failing(first, "failing")
        (message, _) = messages("The stack is in ROLLBACK_COMPLETE")
        reasons = first.shell(commands("When a deployment fails")[0].replace("orders-replica", "failing"))

        assert failed.exit_code == 1
        assert message in failed.output
        assert first.status("failing") == "ROLLBACK_COMPLETE"
        assert re.search(r"^FunctionSlowAlarm\t\S.+", reasons.output, re.MULTILINE), reasons.output
        assert not {"failing", "failing_copy"} & first.tables()

        deleted = first.sam("delete", "--stack-name", "failing", "--no-prompts", "--region", "us-east-1")
        assert deleted.exit_code == 0, deleted.output
        names = ("SourceTableName=failing", "ReplicaTableName=failing_copy")
        again = first.deploy("--stack-name", "failing", "--parameter-overrides", *names)
        assert again.exit_code == 0, again.output
        assert first.status("failing") == "CREATE_COMPLETE"

    def test_the_tables_of_prod_remain_and_are_protected(self, first: Project) -> None:
        failed = failing(first, "productive", *PROD)
        (message,) = messages("Tables of `prod` remain after a failed deployment")

        assert failed.exit_code == 1
        assert "DELETE_SKIPPED" in failed.output
        assert first.status("productive") == "ROLLBACK_COMPLETE"
        assert {"productive", "productive_copy"} <= first.tables()
        with pytest.raises(ClientError) as refused:
            first.aws.dynamodb.delete_table(TableName="productive_copy")
        # In other words than AWS's, which the page quotes.
        assert "protected against deletion" in str(refused.value)
        assert "protected against deletion" in message

        for table in ("productive", "productive_copy"):
            scan, *others = commands("Tables of `prod` remain after a failed deployment")
            assert '"Items": []' in first.shell(scan.replace("orders_copy", table)).output
            for command in others:
                executed = first.shell(command.replace("orders_copy", table))
                assert executed.exit_code == 0, executed.output
        assert not {"productive", "productive_copy"} & first.tables()

    def test_prod_is_refused_as_it_is(self, first: Project) -> None:
        refused = first.deploy("--config-env", "prod")

        assert refused.exit_code == 1
        for part in messages("A parameter is refused")[0].split("…"):
            assert part.strip() in refused.output

    def test_without_credentials(self, first: Project) -> None:
        credentials = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        env = {name: value for name, value in first.env.items() if name not in credentials}

        refused = first.deploy(env={**env, "HOME": str(first.path), "AWS_EC2_METADATA_DISABLED": "true"})

        assert refused.exit_code == 1
        assert messages("No credentials, or expired ones")[0] in refused.output

    def test_without_a_region(self, first: Project) -> None:
        regions = {"AWS_REGION", "AWS_DEFAULT_REGION"}

        refused = first.deploy(env={name: value for name, value in first.env.items() if name not in regions})

        assert refused.exit_code == 1
        assert messages("No Region")[0] in refused.output

    def test_a_stream_without_new_images_deploys_and_the_function_fails(self, first: Project) -> None:
        dynamodb = first.aws.dynamodb
        for table in ("keys", "keys_copy"):
            dynamodb.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        view = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
        described = dynamodb.update_table(TableName="keys", StreamSpecification=view)  # type: ignore[arg-type]
        stream = described["TableDescription"]["LatestStreamArn"]

        deployed = first.deploy(
            *("--stack-name", "keys", "--parameter-overrides", f"SourceStreamArn={stream}"),
            *("ReplicaTableName=keys_copy", "CreateReplicaTable=false"),
        )
        dynamodb.put_item(TableName="keys", Item={"PK": {"S": "1"}})

        assert deployed.exit_code == 0, deployed.output
        (message,) = messages("The stream has no new images")
        group = first.outputs("keys")["LogGroupName"]
        wait_until(lambda: message in log(first, group), "The function's log shows the reason")


def log(built: Project, group: str) -> str:
    events = built.aws.logs.filter_log_events(logGroupName=group)["events"]
    return "\n".join(event["message"] for event in events)


def test_the_stack_of_your_own_tables_is_created_beside_the_first_one(first: Project) -> None:
    toml = blocks("Your own tables", "toml")[0]
    dynamodb = first.aws.dynamodb
    create_orders(dynamodb)
    dynamodb.put_item(TableName="orders", Item=ORDER)
    turn_on, wait, describe, build, *others = commands("Your own tables")
    assert build == "sam build"
    for command in (turn_on, wait):
        executed = first.shell(command)
        assert executed.exit_code == 0, executed.output
    stream = first.shell(describe).output.strip()
    first.config.write_text(f"{first.config.read_text()}\n{toml.replace('STREAM_ARN', stream)}")
    before = first.parameters("ddbreplica")

    for command in others:
        executed = first.shell(command)
        assert executed.exit_code == 0, executed.output

    assert [command.split()[:2] for command in others] == [
        ["sam", "deploy"],
        ["ddbreplica", "backfill"],
        ["ddbreplica", "verify"],
    ]
    assert first.outputs("orders-replica")["SourceTableName"] == "orders"
    assert first.parameters("ddbreplica") == before
    assert dynamodb.scan(TableName="orders_copy")["Items"] == [ORDER]
