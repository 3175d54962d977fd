"""The roles of the workers, the state machine and the schedules in template.yaml: least privilege in every scenario.

The embedded AWS enforces only the worker's role. What the other two roles need is derived from the definition of the
state machine and from the schedules.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from tests.support.deployment_scenarios import (
    BY_HAND,
    BY_ROLE,
    BY_SCHEDULE,
    EXISTING_SOURCE,
    HASHING,
    KEY,
    REPLICAS,
    ROLE,
    SOURCE_KEY,
    WORKERS,
    Parameters,
)
from tests.support.states import substituted
from tests.support.template import ACCOUNT, REGION, properties, resources

IN_THIS_ACCOUNT: Final = {"StringEquals": {"s3:ResourceAccount": ACCOUNT}}
READ: Final = ["dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:Scan"]
FUNCTIONS: Final = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:*"
STATEMENTS: Final = {
    "ReadTheSettingsOfTheFunction": (
        "lambda:GetFunctionConfiguration",
        "<ReplicatorFunction.Arn>",
        None,
    ),
    "ReadTheSettingsOfTaggedFunctions": (
        "lambda:GetFunctionConfiguration",
        FUNCTIONS,
        {"Null": {"aws:ResourceTag/ddbreplica": "false"}},
    ),
    "FindFunctionsByTheirTag": ("lambda:ListTags", FUNCTIONS, None),
    "ReadWhatHasNoResource": (
        [
            "cloudwatch:GetMetricData",
            "cloudwatch:ListMetrics",
            "lambda:GetAccountSettings",
            "lambda:ListEventSourceMappings",
        ],
        "*",
        None,
    ),
    "ReadTheSource": (READ, "<SourceTable.Arn>", None),
    "ReadChangesOfTheSource": (
        [
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ],
        "<SourceTable.Arn>/stream/*",
        None,
    ),
    "ReadAndWriteTheReplica": (
        sorted([*READ, "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem"]),
        "<ReplicaTable.Arn>",
        None,
    ),
    "KeepTheStateOfJobs": (
        ["s3:GetObject", "s3:PutObject"],
        "<QuarantineBucket.Arn>/jobs/ddbreplica/*",
        IN_THIS_ACCOUNT,
    ),
    "RecordVerifications": (
        ["s3:GetObject", "s3:PutObject"],
        "<QuarantineBucket.Arn>/verifications/logfile_replica/*",
        IN_THIS_ACCOUNT,
    ),
    "FindObjects": (
        "s3:ListBucket",
        ["<QuarantineBucket.Arn>", "<OnFailureBucket.Arn>"],
        IN_THIS_ACCOUNT,
    ),
    "QuarantineWhatIsInDoubt": ("s3:PutObject", "<QuarantineBucket.Arn>/quarantine/*", IN_THIS_ACCOUNT),
    "ReprocessObjects": (
        ["s3:DeleteObject", "s3:GetObject"],
        ["<QuarantineBucket.Arn>/quarantine/*", "<OnFailureBucket.Arn>/aws/lambda/*"],
        IN_THIS_ACCOUNT,
    ),
    "MoveObjectsToDone": (
        "s3:PutObject",
        ["<QuarantineBucket.Arn>/done/quarantine/*", "<OnFailureBucket.Arn>/done/aws/lambda/*"],
        IN_THIS_ACCOUNT,
    ),
    "WriteItsOwnLog": (["logs:CreateLogStream", "logs:PutLogEvents"], "<WorkerLogGroup.Arn>", None),
}


def statements(role: str, /, **parameters: str | int) -> list[Mapping[str, Any]]:
    """Return the statements of the role's only inline policy."""
    (policy,) = properties(role, **{**WORKERS, **parameters})["Policies"]
    return list(policy["PolicyDocument"]["Statement"])


def allowed(role: str = "WorkerRole", /, **parameters: str | int) -> dict[str, tuple[Any, Any, Any]]:
    """Return actions, resource and condition by Sid."""
    found = [each for each in statements(role, **parameters) if each["Effect"] == "Allow"]
    return {each["Sid"]: (each["Action"], each["Resource"], each.get("Condition")) for each in found}


# The worker


def test_the_worker_has_only_the_permissions_that_are_used() -> None:
    assert allowed() == STATEMENTS


def test_the_worker_reads_only_the_source_that_is_given_and_its_streams() -> None:
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders"
    actions, _, _ = STATEMENTS["ReadChangesOfTheSource"]
    assert allowed(**EXISTING_SOURCE) == STATEMENTS | {
        "ReadTheSource": (READ, table, None),
        "ReadChangesOfTheSource": (actions, f"{table}/stream/*", None),
    }


@pytest.mark.parametrize("replica", [name for name in REPLICAS if "role" not in name])
def test_the_worker_uses_the_same_replica_as_the_function(replica: str) -> None:
    function = {each["Sid"]: each for each in statements("DDBReplicationRole", **REPLICAS[replica])}
    assert allowed(**REPLICAS[replica]) == STATEMENTS | {
        "ReadAndWriteTheReplica": (
            STATEMENTS["ReadAndWriteTheReplica"][0],
            function["ApplyChangesToTheReplica"]["Resource"],
            None,
        ),
    }


@pytest.mark.parametrize("replica", ["by a role", "by a role in another Region"])
def test_with_another_role_the_worker_may_only_assume_it(replica: str) -> None:
    expected = {sid: each for sid, each in STATEMENTS.items() if sid != "ReadAndWriteTheReplica"}
    assert allowed(**REPLICAS[replica]) == expected | {
        "UseTheReplicaAsItsRole": ("sts:AssumeRole", ROLE, None)
    }


@pytest.mark.parametrize("source", [{}, EXISTING_SOURCE], ids=["created", "existing"])
@pytest.mark.parametrize("replica", REPLICAS)
def test_the_worker_is_denied_writes_to_the_source_as_the_function_is(
    replica: str, source: Parameters
) -> None:
    function, worker = (
        [each for each in statements(role, **source, **REPLICAS[replica]) if each["Effect"] == "Deny"]
        for role in ("DDBReplicationRole", "WorkerRole")
    )
    assert worker == function
    assert [each["Sid"] for each in worker] == ["NeverWriteToTheSource"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"KmsKeyArn": KEY},
        {**EXISTING_SOURCE, **BY_ROLE, "SourceKmsKeyArn": SOURCE_KEY, "KmsKeyArn": KEY},
        *(
            {**EXISTING_SOURCE, **REPLICAS[name], "SourceKmsKeyArn": SOURCE_KEY}
            for name in ("existing", "in another account and Region")
        ),
    ],
)
def test_the_worker_uses_the_kms_keys_of_the_tables_as_the_function_does(parameters: Parameters) -> None:
    sid = "UseTheKeysOfTheTablesThroughDynamoDB"
    (function,) = [each for each in statements("DDBReplicationRole", **parameters) if each["Sid"] == sid]
    (worker,) = [each for each in statements("WorkerRole", **parameters) if each["Sid"] == sid]
    assert worker == function


def test_the_worker_may_use_the_kms_key_of_the_bucket_to_read_and_write() -> None:
    assert allowed(KmsKeyArn=KEY)["UseTheKeyOfTheBucketsThroughS3"] == (
        ["kms:Decrypt", "kms:GenerateDataKey"],
        KEY,
        {"StringLike": {"kms:ViaService": f"s3.{REGION}.*"}},
    )
    assert not any("kms" in str(each) for each in allowed().values())


def test_the_worker_reads_the_secret_of_the_transform_as_the_function_does() -> None:
    sids = {"ReadTheSecretOfTheTransform", "DecryptTheSecretOfTheTransform"}
    function, worker = (
        [each for each in statements(role, **HASHING) if each["Sid"] in sids]
        for role in ("DDBReplicationRole", "WorkerRole")
    )
    assert len(worker) == 2
    assert worker == function


def test_only_lambda_may_assume_the_role_of_the_worker() -> None:
    function, worker = (
        properties(name, **WORKERS)["AssumeRolePolicyDocument"]
        for name in ("DDBReplicationRole", "WorkerRole")
    )
    assert worker == function


def test_the_policy_of_the_bucket_lets_workers_replace_their_states_only() -> None:
    (_, refused) = properties("QuarantineBucketPolicy", **WORKERS)["PolicyDocument"]["Statement"]
    assert refused["Sid"] == "RefuseToOverwriteRecords"
    assert [name for name in refused["Resource"] if "jobs" in name] == []


# The state machine


Need = tuple[str, str]


def needs(definition: Mapping[str, Any]) -> Iterator[Need]:
    """Yield the actions and resources that the states of a definition need."""
    keys = {
        name.removesuffix(".$"): value
        for state in definition["States"].values()
        for name, value in state.get("Parameters", {}).items()
        if name in ("segments.$", "pieces.$")
    }
    for state in definition["States"].values():
        if state["Type"] == "Task":
            assert state["Resource"] == "arn:aws:states:::lambda:invoke"
            yield "lambda:InvokeFunction", state["Parameters"]["FunctionName"]
        if state["Type"] == "Map":
            yield from needs_of_a_map(state, keys)


def needs_of_a_map(state: Mapping[str, Any], keys: Mapping[str, str]) -> Iterator[Need]:
    reader, processor = state["ItemReader"], state["ItemProcessor"]
    assert reader["Resource"] == "arn:aws:states:::s3:getObject"
    (name,) = re.findall(r"^States\.Format\('(.+)', ", keys[reader["Parameters"]["Key.$"].removeprefix("$.")])
    yield "s3:GetObject", f"{reader['Parameters']['Bucket'][:-1]}.Arn>/{name.replace('{}', '*')}"
    assert processor["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    yield "states:StartExecution", "<BulkStateMachine>"
    for action in ("states:DescribeExecution", "states:StopExecution"):
        for separator in ":/":
            execution = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:<BulkStateMachine.Name>{separator}*"
            yield action, execution
    yield from needs(processor)


def granted(found: list[Mapping[str, Any]]) -> Iterator[Need]:
    for each in found:
        assert each["Effect"] == "Allow"
        for action in each["Action"] if isinstance(each["Action"], list) else [each["Action"]]:
            for resource in each["Resource"] if isinstance(each["Resource"], list) else [each["Resource"]]:
                yield action, resource


@pytest.mark.parametrize("replica", REPLICAS)
def test_the_state_machine_may_do_what_its_states_do_and_nothing_else(replica: str) -> None:
    made = resources(**WORKERS, **REPLICAS[replica])
    (inline,) = made["BulkRole"]["Properties"]["Policies"]
    children = made["BulkChildrenPolicy"]["Properties"]
    substitutions = made["BulkStateMachine"]["Properties"]["DefinitionSubstitutions"]

    assert children["Roles"] == ["<BulkRole>"]
    assert {
        *granted(inline["PolicyDocument"]["Statement"]),
        *granted(children["PolicyDocument"]["Statement"]),
    } == set(needs(substituted(**substitutions)))


def test_the_state_machine_reads_only_objects_of_this_account() -> None:
    assert allowed("BulkRole")["ReadTheLinesOfTheMaps"][2] == IN_THIS_ACCOUNT


def test_the_state_machine_may_only_decrypt_with_the_kms_key_of_the_bucket() -> None:
    assert allowed("BulkRole", KmsKeyArn=KEY)["UseTheKeyOfTheBucketThroughS3"] == (
        "kms:Decrypt",
        KEY,
        {"StringLike": {"kms:ViaService": f"s3.{REGION}.*"}},
    )


def test_only_state_machines_of_this_account_may_assume_the_role() -> None:
    assert properties("BulkRole", **WORKERS)["AssumeRolePolicyDocument"]["Statement"] == [
        {
            "Sid": "LetStateMachinesRunAsThisRole",
            "Effect": "Allow",
            "Principal": {"Service": "states.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
                "ArnLike": {"aws:SourceArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:*"},
            },
        },
    ]


# The schedules


def test_the_schedules_may_start_their_targets_and_nothing_else() -> None:
    made = resources(**BY_SCHEDULE)
    targets = {
        each["Properties"]["Target"]["Arn"]
        for each in made.values()
        if each["Type"] == "AWS::Scheduler::Schedule"
    }
    assert targets == {"<BulkStateMachine>"}
    (policy,) = made["ScheduleRole"]["Properties"]["Policies"]
    assert set(granted(policy["PolicyDocument"]["Statement"])) == {
        ("states:StartExecution", target) for target in targets
    }


def test_only_schedules_of_this_account_may_assume_the_role() -> None:
    """EventBridge Scheduler passes the ARN of a schedule's group, never that of the schedule."""
    assert properties("ScheduleRole", **WORKERS)["AssumeRolePolicyDocument"]["Statement"] == [
        {
            "Sid": "LetSchedulesRunAsThisRole",
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {
                    "aws:SourceAccount": ACCOUNT,
                    "aws:SourceArn": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/default",
                },
            },
        },
    ]


def test_without_a_schedule_there_is_no_role_for_one() -> None:
    assert "ScheduleRole" not in resources(**BY_HAND)
