"""Find the event source mapping that replicates a source table to the replica.

https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ddbreplica.aws.arn import function_of, region_of
from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import asked
from ddbreplica.aws.request import ask, ask_pages
from ddbreplica.dynamodb.connection import Connection, Side
from ddbreplica.errors import TaskError
from ddbreplica.model import Refusal

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

from ddbreplica.mapping.event_source_mapping import TAG, MappingState, replica_of

_SETTINGS = (
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "ParallelizationFactor",
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "FunctionResponseTypes",
)
_FUNCTION_SETTINGS = ("Timeout", "MemorySize", "Runtime")


def latest_stream(connection: Connection) -> str | None:
    """Return the ARN of the source's present or last stream; None if it never had one."""
    client, name = connection.source.dynamodb(), connection.source.name
    refused = partial(explain, doing=f"the table {name} cannot be described")
    return ask(lambda: client.describe_table(TableName=name)["Table"].get("LatestStreamArn"), refused=refused)


def find_mapping(connection: Connection, stream_arn: str | None) -> MappingState | None:
    """Return the mapping that replicates this stream to the replica; None if there is none.

    Raises TaskError if there are two: they may write an old image over a newer one.
    """
    found = [
        mapping for mapping in find_mappings(connection, stream_arn or "") if mapping.stream_arn == stream_arn
    ]
    if len(found) > 1:
        raise TaskError(
            f"{len(found)} event source mappings replicate this stream to the replica:"
            f" {', '.join(m.uuid for m in found)}.",
            hint="run `ddbreplica status`, wait until it shows no lag, and delete all of these mappings but one.",
        )
    return found[0] if found else None


def find_mappings(connection: Connection, arn: str) -> tuple[MappingState, ...]:
    """Return all mappings that replicate any stream of a table to the replica, in any state.

    `arn` is the ARN of the table or of one of its streams. Mappings that read its streams for another purpose or
    another replica are left out. So are functions without this project's tag; their settings are not read, because
    they may hold a secret.
    """
    table_arn = arn.partition("/stream/")[0]
    if not table_arn:
        return ()
    replica = _place(connection.replica.name, connection.replica.dynamodb().meta.region_name)
    client = connection.functions
    found = (
        state_of(client, one) for one in _reading(client, table_arn) if _has_tag(client, one["FunctionArn"])
    )
    in_region = tuple(mapping for mapping in found if _target(mapping, client.meta.region_name) == replica)
    # To tell accounts apart takes a request to the replica, which not every user may make.
    return in_region if len(in_region) < 2 else _of_account(in_region, connection.replica)


def functions_without_tag(connection: Connection, arn: str) -> tuple[str, ...]:
    """Return the ARNs of the functions without this project's tag that read a stream of a table.

    `arn` is that of `find_mappings`. What these functions do is unknown.
    """
    client = connection.functions
    reading = {one["FunctionArn"] for one in _reading(client, arn.partition("/stream/")[0])}
    return tuple(sorted(function for function in reading if not _has_tag(client, function)))


def _reading(client: "LambdaClient", table_arn: str) -> Iterator[Any]:
    return (one for one in list_mappings(client) if one["EventSourceArn"].startswith(f"{table_arn}/stream/"))


def _of_account(mappings: Iterable[MappingState], replica: Side) -> tuple[MappingState, ...]:
    """Return the mappings that write to this table, of several to tables of the same name and Region."""
    client = replica.dynamodb()
    refused = partial(explain, doing=f"the table {replica.name} cannot be described")
    arn = ask(lambda: client.describe_table(TableName=replica.name)["Table"]["TableArn"], refused=refused)
    return tuple(mapping for mapping in mappings if replica_of(mapping) == arn)


def list_mappings(client: "LambdaClient", *, function: str | None = None) -> Iterator[Any]:
    """Return the mappings of a function, or of the Region, that read a DynamoDB stream, as Lambda lists them."""
    # A request with a stream's ARN would miss the mappings of earlier streams, whose ARNs are not known.
    of: Any = {"FunctionName": function} if function else {}
    pages = client.get_paginator("list_event_source_mappings").paginate(**of)
    refused = partial(explain, doing="the event source mappings cannot be listed")
    return ask_pages(pages, _listed, refused=refused)


def _listed(page: Any) -> Sequence[Any]:
    found = [one for one in page["EventSourceMappings"] if ":dynamodb:" in one.get("EventSourceArn", "")]
    for one in found:
        _state(one, {})  # raises if a field that is needed is missing
    return found


def _has_tag(client: "LambdaClient", arn: str) -> bool:
    """Return whether a function has this project's tag; a function that was deleted does not."""
    # A version or an alias has no tags of its own.
    tags = asked(lambda: client.list_tags(Resource=function_of(arn))["Tags"])
    if isinstance(tags, Refusal) and tags.code != "ResourceNotFoundException":
        raise explain(tags, doing=f"the tags of the function {arn} cannot be read")
    return TAG in tags if not isinstance(tags, Refusal) else False


def state_of(client: "LambdaClient", listed: Any) -> MappingState:
    """Return the state of a listed mapping and its function. Raises TaskError if the function cannot be read."""
    return _state(listed, _function(client, listed["FunctionArn"]))


def environment_of(client: "LambdaClient", arn: str) -> Mapping[str, str]:
    """Return the present variables of a function. Raises TaskError if they cannot be read, or if it was deleted."""
    function = _function(client, arn)
    if not function:
        raise TaskError(f"the function {arn} was deleted meanwhile.", hint="run `ddbreplica status`.")
    variables: Mapping[str, str] = function.get("Environment", {}).get("Variables", {})
    return variables


def _function(client: "LambdaClient", arn: str) -> Mapping[str, Any]:
    """Return the function's configuration; nothing if the function was deleted and its mapping was not."""
    configuration: Any = asked(lambda: _configuration(client, arn))
    if isinstance(configuration, Refusal):
        if configuration.code == "ResourceNotFoundException":
            return {}
        raise explain(configuration, doing=f"the settings of the function {arn} cannot be read")
    unreadable = configuration.get("Environment", {}).get("Error")
    if unreadable:
        raise TaskError(
            f"the settings of the function {arn} cannot be read: {unreadable.get('Message', '')}",
            hint="use credentials that may use the function's KMS key (--profile).",
        )
    return dict(configuration)


def _configuration(client: "LambdaClient", arn: str) -> Any:
    configuration = client.get_function_configuration(FunctionName=arn)
    _ = configuration["FunctionName"]  # raises if the response is empty
    updated = configuration.get("LastModified")
    return {**configuration, "LastModified": datetime.fromisoformat(updated) if updated else None}


def _state(mapping: Any, function: Mapping[str, Any]) -> MappingState:
    name = function.get("FunctionName") or mapping["FunctionArn"].split(":")[6]
    logging = function.get("LoggingConfig", {})
    function_settings = {name: function[name] for name in _FUNCTION_SETTINGS if name in function}
    return MappingState(
        uuid=mapping["UUID"],
        stream_arn=mapping["EventSourceArn"],
        state=mapping.get("State", "unknown"),
        state_reason=mapping.get("StateTransitionReason", ""),
        last_result=mapping.get("LastProcessingResult", ""),
        starting_position=mapping.get("StartingPosition", "unknown"),
        modified_at=mapping["LastModified"],
        on_failure=mapping.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
        counts_events="EventCount" in mapping.get("MetricsConfig", {}).get("Metrics", ()),
        patterns=_patterns(mapping),
        function_arn=mapping["FunctionArn"],
        function_name=name,
        log_group=logging.get("LogGroup") or f"/aws/lambda/{name}",
        settings={name: mapping[name] for name in _SETTINGS if name in mapping} | function_settings,
        environment=function.get("Environment", {}).get("Variables", {}),
        updated_at=function.get("LastModified"),
        update_status=function.get("LastUpdateStatus", "Successful"),
        log_level=logging.get("ApplicationLogLevel", "INFO") if logging.get("LogFormat") == "JSON" else None,
    )


def _patterns(mapping: Any) -> tuple[str, ...] | None:
    criteria = mapping.get("FilterCriteria")
    if mapping.get("FilterCriteriaError") or (mapping.get("KMSKeyArn") and criteria is None):
        return None  # a listing omits a filter that a customer managed KMS key encrypts
    return tuple(each.get("Pattern", "") for each in (criteria or {}).get("Filters", ()))


def _target(mapping: MappingState, region: str) -> tuple[str, str] | None:
    """Return the Region and name of the table that the function writes to."""
    table = mapping.environment.get("REPLICA_TABLE_NAME")
    return _place(table, mapping.environment.get("REPLICA_REGION") or region) if table else None


def _place(table: str, region: str) -> tuple[str, str]:
    """Return the Region and name of a table; `table` is its name, or its ARN, which contains the Region."""
    return region_of(table) or region, table.rpartition("/")[2]
