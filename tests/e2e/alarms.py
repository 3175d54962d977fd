"""Check which alarms of the stack fire, and whether their metrics exist."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from demo.errors import DidNotHoldError
from demo.pair import wait_until
from tests.e2e.deployment import Deployed
from tests.e2e.report import Claim

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricAlarmTypeDef

EMITTED_ON_TROUBLE: Final = frozenset(
    {
        "BulkJobFailedAlarm",
        "DestinationBrokenAlarm",
        "RecordsDroppedAlarm",
        "RecordsGivenUpAlarm",
        "RecordsRetriedAlarm",
        "ReplicaIndexThrottledAlarm",
        "ReplicaTableThrottledAlarm",
    }
)
"""Alarms whose metric may not exist before the failure that they report."""

Moments: TypeAlias = Mapping[str, datetime]

_PERIOD: Final = 300


def of_stack(deployed: Deployed) -> "dict[str, MetricAlarmTypeDef]":
    """Return the current metric alarms of the stack, by logical id."""
    ids = {
        resource["PhysicalResourceId"]: resource["LogicalResourceId"]
        for resource in deployed.resources
        if resource["ResourceType"] == "AWS::CloudWatch::Alarm"
    }
    described = deployed.run.account.cloudwatch.describe_alarms(AlarmNames=list(ids))["MetricAlarms"]
    return {ids[alarm["AlarmName"]]: alarm for alarm in described}


def moments(deployed: Deployed) -> Moments:
    """Return when each alarm last changed, by AWS's clock, which may differ from this machine's."""
    return {name: alarm["StateUpdatedTimestamp"] for name, alarm in of_stack(deployed).items()}


def wait_for(
    deployed: Deployed,
    expected: Collection[str],
    *,
    since: Moments,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Wait until each of these alarms has fired since then, and report each. Call `meanwhile` at each poll."""
    run = deployed.run
    waiting = set(expected)

    def all_fired() -> bool:
        meanwhile()
        for name, alarm in of_stack(deployed).items():
            fired = alarm["StateValue"] == "ALARM" and alarm["StateUpdatedTimestamp"] != since[name]
            if fired and name in waiting:
                waiting.remove(name)
                run.found(Claim.FIRED, f"{name}: {alarm['StateReason']}")
        return not waiting

    with suppress(DidNotHoldError):  # each alarm is reported below, and the run continues
        wait_until(all_fired, "All alarms fire", every=run.pace.look, within=run.pace.alarms)
    for name in sorted(waiting):
        run.found(Claim.FIRED, f"{name} did not fire within {run.pace.alarms:.0f} seconds.", held=False)


def check_metrics(deployed: Deployed, provoked: Collection[str]) -> None:
    """Wait until each alarm's metric has data, and report each. `provoked` are the alarms whose failure was caused."""
    run = deployed.run
    run.begin("Check that each alarm's metric has data")
    silent: set[str] = set()

    def all_there() -> bool:
        silent.clear()
        silent.update(name for name, alarm in of_stack(deployed).items() if not _has_data(deployed, alarm))
        return silent.isdisjoint(_due(silent, provoked))

    with suppress(DidNotHoldError):  # each alarm is reported below, and the run continues
        wait_until(all_there, "All metrics have data", every=run.pace.look, within=run.pace.metrics)
    _report_metrics(deployed, silent, provoked)


def _due(silent: Collection[str], provoked: Collection[str]) -> set[str]:
    """Return the alarms without data whose metric should have data."""
    return {name for name in silent if name not in EMITTED_ON_TROUBLE or name in provoked}


def _report_metrics(deployed: Deployed, silent: Collection[str], provoked: Collection[str]) -> None:
    due = _due(silent, provoked)
    for name in sorted(of_stack(deployed)):
        if name in due:
            deployed.run.found(Claim.MEASURED, f"{name}: its metric has no data.", held=False)
        elif name in silent:
            deployed.run.say(
                f"{name}: its metric is emitted only on a failure, and the run did not cause it."
            )
        else:
            deployed.run.found(Claim.MEASURED, f"{name}: its metric has data.")


def _has_data(deployed: Deployed, alarm: "MetricAlarmTypeDef") -> bool:
    # A wide window, since this machine's clock may differ from AWS's.
    now = datetime.now(UTC)
    queries: list[Any] = [
        {"Id": f"metric{number}", "MetricStat": stat, "ReturnData": True}
        for number, stat in enumerate(_statistics(alarm))
    ]
    answer = deployed.run.account.cloudwatch.get_metric_data(
        MetricDataQueries=queries, StartTime=now - timedelta(hours=6), EndTime=now + timedelta(minutes=5)
    )
    return all(result["Values"] for result in answer["MetricDataResults"])


def _statistics(alarm: "MetricAlarmTypeDef") -> Iterator[Mapping[str, Any]]:
    """Yield the metrics of an alarm, including those of its expression."""
    if "MetricName" in alarm:
        named = ("Namespace", "MetricName", "Dimensions")
        metric = {name: value for name, value in alarm.items() if name in named}
        yield {"Metric": metric, "Period": _PERIOD, "Stat": alarm["Statistic"]}
    for query in alarm.get("Metrics", ()):
        if "MetricStat" in query:
            yield query["MetricStat"]
