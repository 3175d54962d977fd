"""Find the workers of the function that replicates a pair."""

from functools import partial
from typing import Final

from ddbreplica.aws.arn import function_of
from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import asked
from ddbreplica.aws.request import ask
from ddbreplica.bucket.bucket import Bucket
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import TaskError
from ddbreplica.jobs.control.executions import Executions
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.mapping.event_source_mapping import TAG, MappingState
from ddbreplica.mapping.lookup import find_mappings, latest_stream
from ddbreplica.model import Refusal

STATE_MACHINE: Final = "BulkStateMachine"
"""The logical id of the state machine in template.yaml."""

_STACK_TAG = "aws:cloudformation:stack-name"
_DEPLOY = "deploy the stack with the parameter Workers=true (docs/deployment.md)."


class NoWorkersError(TaskError):
    """The function's stack has no workers."""


def locate(connection: Connection) -> tuple[Workers, MappingState]:
    """Return the workers of the function that replicates the pair, and its mapping.

    Raises TaskError if there are none.
    """
    mapping = _mapping(connection)
    return workers_of(connection, mapping), mapping


def workers_of(connection: Connection, mapping: MappingState) -> Workers:
    """Return the workers of a mapping's function. Raises NoWorkersError if there are none."""
    stack = _stack(connection, mapping)
    machine = resource_of(connection, stack, STATE_MACHINE)
    if machine is None:
        raise NoWorkersError(f"the stack {stack} has no workers.", hint=_DEPLOY)
    if not mapping.quarantine:
        raise NoWorkersError(
            f"the function {mapping.function_name} has no environment variable QUARANTINE_BUCKET.",
            hint=_DEPLOY,
        )
    objects = Bucket(connection.buckets, mapping.quarantine, option="--stack-name")
    return Workers(mapping.function_name, stack, objects, Executions(connection.machines, machine))


def _mapping(connection: Connection) -> MappingState:
    """Return a mapping of the one function that replicates the pair."""
    mappings = find_mappings(connection, latest_stream(connection) or "")
    functions = sorted({mapping.function_name for mapping in mappings})
    if not functions:
        raise TaskError(
            f"no event source mapping of a function with the tag {TAG} replicates the source to the replica.",
            hint="check --source, --replica and --stack-name, or deploy a stack for these tables"
            " (docs/deployment.md).",
        )
    if len(functions) > 1:
        raise TaskError(
            f"several functions replicate the source to the replica: {', '.join(functions)}.",
            hint="run `ddbreplica status`, and delete all of them but one.",
        )
    return mappings[0]


def _stack(connection: Connection, mapping: MappingState) -> str:
    client, function = connection.functions, mapping.function_name
    refused = partial(explain, doing=f"the tags of the function {function} cannot be read")
    tags = ask(
        lambda: dict(client.list_tags(Resource=function_of(mapping.function_arn))["Tags"]), refused=refused
    )
    if _STACK_TAG not in tags:
        raise NoWorkersError(f"the function {function} belongs to no CloudFormation stack.", hint=_DEPLOY)
    return tags[_STACK_TAG]


def resource_of(connection: Connection, stack: str, logical_id: str) -> str | None:
    """Return the name or ARN of a resource of a stack; None if the stack does not have it."""
    client = connection.stacks
    found = asked(
        lambda: client.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)[
            "StackResourceDetail"
        ]["PhysicalResourceId"]
    )
    if not isinstance(found, Refusal):
        return found
    if found.code == "ValidationError":
        return None
    raise explain(found, doing=f"the resources of the stack {stack} cannot be described")
