"""Read metrics from CloudWatch, a value a minute."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from ddbreplica.aws.refusal import RefusedError
from ddbreplica.aws.request import ask, ask_pages
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.model import Refusal, RefusalKind

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

Series: TypeAlias = Sequence[tuple[datetime, float]]
"""The values of a metric, at most one per minute. `datetime` is the start of the minute."""

_MINUTE = 60
_INCOMPLETE = frozenset({"Forbidden", "InternalError"})


def of_function(name: str, mapping: MappingState, *, stat: str = "Sum") -> "MetricDataQueryTypeDef":
    """Return the query for a metric that Lambda emits for the mapping's function."""
    return query(name, "AWS/Lambda", {"FunctionName": mapping.function_name}, stat=stat)


def of_mapping(name: str, mapping: MappingState) -> "MetricDataQueryTypeDef":
    """Return the query for a metric that Lambda emits for the mapping."""
    return query(name, "AWS/Lambda", {"EventSourceMappingUUID": mapping.uuid})


def own_namespace(mapping: MappingState) -> str:
    """Return the namespace of the metrics that the mapping's function emits itself."""
    return mapping.environment.get("POWERTOOLS_METRICS_NAMESPACE") or "ddbreplica"


def own_dimensions(mapping: MappingState, replica: str) -> Mapping[str, str]:
    """Return the dimensions of these metrics. `replica` is the name of the replica table."""
    return {
        "service": mapping.environment.get("POWERTOOLS_SERVICE_NAME") or "ddbreplica",
        "ReplicaTable": replica,
        "FunctionName": mapping.function_name,
    }


def query(
    name: str,
    namespace: str,
    dimensions: Mapping[str, str],
    *,
    stat: str = "Sum",
    label: str | None = None,
) -> "MetricDataQueryTypeDef":
    """Return the query for a metric, whose series gets the label, or the metric's name."""
    metric: Any = {"Namespace": namespace, "MetricName": name, "Dimensions": _dimensions(dimensions)}
    return {
        "Id": "to be numbered",
        "Label": label or name,
        "MetricStat": {"Metric": metric, "Period": _MINUTE, "Stat": stat},
    }


def read_series(
    client: "CloudWatchClient", queries: Iterable["MetricDataQueryTypeDef"], *, begin: datetime, end: datetime
) -> dict[str, Series]:
    """Return the series of each query by its label, from `begin` until before `end`. Raises TaskError if refused."""
    wanted: Sequence[Any] = [{**each, "Id": f"q{number}"} for number, each in enumerate(queries)]
    found: dict[str, list[tuple[datetime, float]]] = {each["Label"]: [] for each in wanted}
    names = {each["Id"]: each["Label"] for each in wanted}
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=wanted, StartTime=begin, EndTime=end
    )
    for name, points in ask_pages(pages, lambda page: _points(page, names)):
        found[name] += points
    return dict(found)


def has_reported(client: "CloudWatchClient", dimensions: Mapping[str, str]) -> bool:
    """Return whether Lambda has emitted a metric with these dimensions. Raises TaskError if refused.

    CloudWatch lists metrics for two weeks.
    """
    wanted = _dimensions(dimensions)
    return ask(lambda: bool(client.list_metrics(Namespace="AWS/Lambda", Dimensions=wanted)["Metrics"]))


def _dimensions(dimensions: Mapping[str, str]) -> Any:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]


def complete(result: Any, name: str) -> Any:
    """Return a metric's result of GetMetricData. Raises RefusedError if CloudWatch did not return its values."""
    # The status is inside a response that otherwise looks like one without values.
    if (status := result["StatusCode"]) in _INCOMPLETE:
        refusal = Refusal(RefusalKind.TRANSIENT, status, f"CloudWatch did not return {name}")
        raise RefusedError(refusal)
    return result


def _points(page: Any, names: Mapping[str, str]) -> Sequence[tuple[str, Series]]:
    found = (
        (names[result["Id"]], complete(result, names[result["Id"]])) for result in page["MetricDataResults"]
    )
    return [
        (name, tuple(zip(result["Timestamps"], map(float, result["Values"]), strict=True)))
        for name, result in found
    ]
