"""SAM CLI builds and deploys workers: it uploads the definition of the state machine and the code of both functions."""

import json
from pathlib import Path

import pytest

from demo.embedded import embedded_aws
from tests.support.sam import project
from tests.support.states import substituted

pytestmark = pytest.mark.loopback

STACK = "ddbreplica"


def test_sam_cli_deploys_workers_and_removes_them_again(tmp_path: Path) -> None:
    with embedded_aws() as aws:
        one = project(aws, tmp_path)

        deployed = one.deploy(
            "--parameter-overrides", "Workers=true", "VerifyScheduleExpression='rate(1 day)'"
        )
        assert deployed.exit_code == 0, deployed.output
        outputs = one.outputs(STACK)
        machine = aws.stepfunctions.describe_state_machine(stateMachineArn=outputs["BulkStateMachineArn"])
        definition = json.loads(machine["definition"])
        worker = aws.lambda_.get_function_configuration(FunctionName=outputs["WorkerFunctionName"])

        removed = one.deploy("--parameter-overrides", "Workers=false", "VerifyScheduleExpression=none")
        assert removed.exit_code == 0, removed.output
        left = one.outputs(STACK)

    assert worker["Handler"] == "ddbreplica.worker.lambda_handler"
    assert definition == substituted(
        Bucket=outputs["QuarantineBucketName"],
        Function=outputs["FunctionName"],
        Stack=STACK,
        WorkerFunction=worker["FunctionArn"],
    )
    assert "BulkStateMachineArn" not in left
    assert left["FunctionArn"] == outputs["FunctionArn"]
