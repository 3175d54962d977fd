"""Simulate the responses of Lambda for a deployed stack, since moto runs no event source mapping."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from tests.support.cli import Misbehaviour

UUID = "11111111-2222-3333-4444-555555555555"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:replicator"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def mapping(stream_arn: str, **changes: Any) -> dict[str, Any]:
    """Return a mapping of the template, as ListEventSourceMappings describes it."""
    return {
        "UUID": UUID,
        "EventSourceArn": stream_arn,
        "FunctionArn": FUNCTION,
        "State": "Enabled",
        "StateTransitionReason": "USER_INITIATED",
        "LastProcessingResult": "OK",
        "LastModified": LONG_AGO,
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "MaximumRetryAttempts": -1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::given-up"}},
        "MetricsConfig": {"Metrics": ["EventCount"]},
        **changes,
    }


def function(**environment: str) -> dict[str, Any]:
    """Return the function as GetFunctionConfiguration describes it, with these additional variables."""
    variables = {
        "REPLICA_TABLE_NAME": "logfile_replica",
        "QUARANTINE_BUCKET": "kept",
        "REPLICATE_TTL_DELETES": "true",
        **environment,
    }
    return {
        "FunctionName": "replicator",
        "FunctionArn": FUNCTION,
        "Runtime": "python3.13",
        "Timeout": 60,
        "MemorySize": 256,
        "Environment": {"Variables": variables},
        "LoggingConfig": {"LogGroup": "/log"},
    }


def answer_lambda(
    aws: Misbehaviour,
    mappings: list[dict[str, Any]],
    functions: Mapping[str, dict[str, Any]] | None = None,
    *,
    untagged: Collection[str] = (),
) -> None:
    """Make Lambda return these mappings, one per page, and these functions by their ARNs.

    All functions have the tag `ddbreplica`, except for those in `untagged`.
    """
    known = {FUNCTION: function()} if functions is None else functions

    def list_mappings(params: Any, **_: Any) -> Any:
        place = int(params["query_string"].get("Marker", 0))
        more = {"NextMarker": str(place + 1)} if place + 1 < len(mappings) else {}
        return _ok({"EventSourceMappings": mappings[place : place + 1], **more})

    def get_function(params: Any, **_: Any) -> Any:
        found = [described for arn, described in known.items() if f"/{_quoted(arn)}/" in params["url_path"]]
        return _ok(found[0]) if found else _missing()

    aws.on("before-call.lambda.ListEventSourceMappings", list_mappings)

    def list_tags(params: Any, **_: Any) -> Any:
        arn = params["url_path"].rpartition("/")[2].replace("%3A", ":")
        if not any(known_arn == arn or known_arn.startswith(f"{arn}:") for known_arn in known):
            return _missing()
        return _ok(
            {"Tags": {"team": "x"} if arn in untagged else {"team": "x", "ddbreplica": "logfile_replica"}}
        )

    aws.on("before-call.lambda.GetFunctionConfiguration", get_function)
    aws.on("before-call.lambda.ListTags", list_tags)


def answer_tags(aws: Misbehaviour, replicas: Mapping[str, str]) -> None:
    """Make the tagging API return these functions by their ARNs, one per page, with their replicas as tags."""
    found = [
        {"ResourceARN": arn, "Tags": [{"Key": "team", "Value": "x"}, {"Key": "ddbreplica", "Value": replica}]}
        for arn, replica in replicas.items()
    ]

    def get_resources(params: Any, **_: Any) -> Any:
        asked = json.loads(params["body"])
        assert asked["TagFilters"] == [{"Key": "ddbreplica"}]
        assert asked["ResourceTypeFilters"] == ["lambda:function"]
        place = int(asked.get("PaginationToken") or 0)
        more = str(place + 1) if place + 1 < len(found) else ""
        return _ok({"ResourceTagMappingList": found[place : place + 1], "PaginationToken": more})

    aws.on("before-call.resource-groups-tagging-api.GetResources", get_resources)


def _quoted(arn: str) -> str:
    return arn.replace(":", "%3A")


def _ok(answer: Any) -> Any:
    return SimpleNamespace(status_code=200), answer


def _missing() -> Any:
    error = {"Code": "ResourceNotFoundException", "Message": "Function not found"}
    return SimpleNamespace(status_code=404), {"Error": error}
