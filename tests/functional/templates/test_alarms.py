"""The alarms of template.yaml: their metrics exist, and their descriptions name the command to run."""

from typing import Any, Final

import pytest

from tests.support.deployment_scenarios import BY_HAND, BY_SCHEDULE, KEY, REPLICAS, WORKERS
from tests.support.emitted import (
    EMITTED,
    EMITTED_BY_WORKERS,
    FUNCTION,
    MACHINE,
    MAPPING,
    OWN,
    REPLICA,
    REPLICA_INDEX,
)
from tests.support.template import properties, resources


def alarms(**parameters: str | int) -> dict[str, dict[str, Any]]:
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in resources(**parameters).items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def composites(**parameters: str | int) -> dict[str, dict[str, Any]]:
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in resources(**parameters).items()
        if resource["Type"] == "AWS::CloudWatch::CompositeAlarm"
    }


def composite(**parameters: str | int) -> dict[str, Any]:
    return composites(**parameters)["ReplicationUnhealthyAlarm"]


def watched(alarm: dict[str, Any]) -> tuple[str, str, dict[str, str]]:
    """Return the namespace, metric and dimensions that an alarm watches, plainly or in an expression."""
    metrics = [
        metric["MetricStat"]["Metric"] for metric in alarm.get("Metrics", []) if "MetricStat" in metric
    ]
    (metric,) = metrics or [alarm]
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
    return metric["Namespace"], metric["MetricName"], dimensions


MINUTES: Final = 60_000
ABOVE: Final = "GreaterThanThreshold"
AT_LEAST: Final = "GreaterThanOrEqualToThreshold"
BELOW: Final = "LessThanThreshold"
# Metric, dimensions, statistic, comparison, threshold, period, datapoints to alarm, periods, missing data.
ALARMS: Final = {
    "ReplicaLateAlarm": (
        "IteratorAge",
        FUNCTION,
        "Maximum",
        AT_LEAST,
        15 * MINUTES,
        300,
        1,
        1,
        "notBreaching",
    ),
    "ReplicaCriticallyLateAlarm": (
        *("IteratorAge", FUNCTION, "Maximum", AT_LEAST, 360 * MINUTES, 300, 1, 1, "notBreaching"),
    ),
    "RecordsRetriedAlarm": ("FailedInvokeEventCount", MAPPING, "Sum", ABOVE, 0, 60, 5, 5, "notBreaching"),
    "MappingStalledAlarm": ("PolledEventCount", MAPPING, "SampleCount", BELOW, 1, 300, 3, 3, "breaching"),
    "RecordsGivenUpAlarm": (
        *("OnFailureDestinationDeliveredEventCount", MAPPING, "Sum", ABOVE, 0, 300, 1, 1, "notBreaching"),
    ),
    "RecordsDroppedAlarm": ("DroppedEventCount", MAPPING, "Sum", ABOVE, 0, 300, 1, 1, "notBreaching"),
    "DestinationBrokenAlarm": (
        *("DestinationDeliveryFailures", FUNCTION, "Sum", ABOVE, 0, 300, 1, 1, "notBreaching"),
    ),
    "RecordsQuarantinedAlarm": ("RecordsQuarantined", OWN, "Sum", ABOVE, 0, 300, 1, 1, "notBreaching"),
    "FunctionFailsAlarm": ("Errors", FUNCTION, "Sum", ABOVE, 0, 300, 2, 3, "notBreaching"),
    "FunctionThrottledAlarm": ("Throttles", FUNCTION, "Sum", ABOVE, 0, 300, 2, 3, "notBreaching"),
    "FunctionSlowAlarm": ("Duration", FUNCTION, "Maximum", AT_LEAST, 60, 300, 2, 3, "notBreaching"),
    "ReplicaTableThrottledAlarm": (
        "WriteThrottleEvents",
        REPLICA,
        "Sum",
        ABOVE,
        0,
        300,
        2,
        3,
        "notBreaching",
    ),
    "ReplicaIndexThrottledAlarm": (
        *("WriteThrottleEvents", REPLICA_INDEX, "Sum", ABOVE, 0, 300, 2, 3, "notBreaching"),
    ),
}


OF_WORKERS: Final = {
    "ReplicaUnequalAlarm": ("ReplicaUnequal", OWN, "Maximum", ABOVE, 0, 300, 1, 1, "ignore"),
    "VerificationOverdueAlarm": (
        *("HoursSinceVerification", OWN, "Minimum", ABOVE, 48, 3600, 1, 1, "breaching"),
    ),
}
"""The alarms that only stacks with workers have. BulkJobFailedAlarm has three metrics."""

EVERY: Final = [*ALARMS, *OF_WORKERS, "BulkJobFailedAlarm"]


def test_every_alarm_is_listed_here() -> None:
    assert sorted(alarms()) == sorted(ALARMS)
    assert sorted(alarms(**BY_SCHEDULE)) == sorted(EVERY)


@pytest.mark.parametrize("parameters", [WORKERS, BY_HAND])
def test_a_verification_can_only_be_overdue_if_one_is_scheduled(parameters: dict[str, Any]) -> None:
    assert alarms(**BY_SCHEDULE).keys() - alarms(**parameters).keys() == {"VerificationOverdueAlarm"}


def test_a_verification_is_overdue_after_the_hours_of_its_parameter() -> None:
    found = alarms(**BY_SCHEDULE, VerificationOverdueHours=200)["VerificationOverdueAlarm"]
    assert found["Threshold"] == 200


def test_the_alarm_for_jobs_counts_every_end_but_success() -> None:
    found = alarms(**WORKERS)["BulkJobFailedAlarm"]
    total, *counted = found["Metrics"]
    assert total["Expression"] == "FILL(failed, 0) + FILL(timed_out, 0) + FILL(aborted, 0)"
    assert {each["Id"]: each["MetricStat"]["Metric"]["MetricName"] for each in counted} == {
        "failed": "ExecutionsFailed",
        "timed_out": "ExecutionsTimedOut",
        "aborted": "ExecutionsAborted",
    }
    assert [each["MetricStat"]["Metric"]["Namespace"] for each in counted] == ["AWS/States"] * 3
    assert [
        {dimension["Name"]: dimension["Value"] for dimension in each["MetricStat"]["Metric"]["Dimensions"]}
        for each in counted
    ] == [MACHINE] * 3
    assert [each["Id"] for each in found["Metrics"] if each["ReturnData"]] == ["ended"]
    assert (found["Threshold"], found["ComparisonOperator"]) == (0, ABOVE)
    assert found["TreatMissingData"] == "notBreaching"


@pytest.mark.parametrize("name", ALARMS | OF_WORKERS)
def test_an_alarm_has_its_metric_threshold_and_periods(name: str) -> None:
    alarm = alarms(**BY_SCHEDULE)[name]
    (sampled,) = [each["MetricStat"] for each in alarm.get("Metrics", []) if "MetricStat" in each] or [alarm]
    _, metric, dimensions = watched(alarm)
    assert (
        metric,
        dimensions,
        sampled.get("Statistic") or sampled["Stat"],
        alarm["ComparisonOperator"],
        alarm["Threshold"],
        sampled["Period"],
        alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]),
        alarm["EvaluationPeriods"],
        alarm["TreatMissingData"],
    ) == (ALARMS | OF_WORKERS)[name]


@pytest.mark.parametrize("name", ALARMS | OF_WORKERS)
def test_an_alarm_watches_a_metric_that_is_emitted(name: str) -> None:
    assert watched(alarms(**BY_SCHEDULE)[name]) in [*EMITTED, *EMITTED_BY_WORKERS]


@pytest.mark.parametrize(
    ("replica", "missing"),
    [
        ("created", set()),
        ("existing", {"ReplicaIndexThrottledAlarm"}),
        ("in this Region by name", {"ReplicaIndexThrottledAlarm"}),
        ("in another Region", {"ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"}),
        ("in this account by ID", {"ReplicaIndexThrottledAlarm"}),
        ("in another account", {"ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"}),
        ("in another account and Region", {"ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"}),
        ("by a role", {"ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"}),
        ("by a role in another Region", {"ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"}),
    ],
)
def test_the_alarms_of_the_replica_are_created_only_with_its_metrics(replica: str, missing: set[str]) -> None:
    assert set(alarms(**REPLICAS[replica])) == set(ALARMS) - missing


@pytest.mark.parametrize("workers", [{}, BY_HAND, BY_SCHEDULE], ids=["none", "by hand", "by schedule"])
@pytest.mark.parametrize("replica", REPLICAS)
def test_replication_is_unhealthy_while_any_alarm_is_in_alarm_state(
    replica: str, workers: dict[str, Any]
) -> None:
    parameters = {**REPLICAS[replica], **workers}
    rule = composite(**parameters)["AlarmRule"]
    assert sorted(rule.split(" OR ")) == sorted(f'ALARM("<{name}>")' for name in alarms(**parameters))


def test_the_alarm_over_all_alarms_names_the_command_and_does_not_notify() -> None:
    found = composite(AlarmEmail="ops@example.com")
    assert found.keys() == {"AlarmDescription", "AlarmRule"}
    assert "`ddbreplica status --stack-name ddbreplica`" in found["AlarmDescription"]


def test_without_an_index_there_is_no_alarm_for_one() -> None:
    assert set(alarms(CreateIndex="false")) == set(ALARMS) - {"ReplicaIndexThrottledAlarm"}


def test_the_alarm_for_a_slow_function_uses_the_function_s_timeout() -> None:
    share, _ = alarms(Timeout=120)["FunctionSlowAlarm"]["Metrics"]
    assert share["Expression"] == "100 * duration / (120 * 1000)"


@pytest.mark.parametrize("name", EVERY)
def test_an_alarm_describes_what_happened_and_what_to_run(name: str) -> None:
    description = alarms(**BY_SCHEDULE)[name]["AlarmDescription"]
    happened, *commands = description.split("`")[:-1]
    assert description.endswith(". See docs/runbook.md.")
    assert ". " in happened or "; " in happened
    assert commands[::2]
    for command in commands[::2]:
        assert command.startswith(("aws ", "ddbreplica redrive ", "ddbreplica status ", "ddbreplica verify "))


SILENT: Final = ("MappingStalledAlarm", "ReplicationUnhealthyAlarm")
"""Alarms that send no notification, because other alarms send one about the same problem."""


@pytest.mark.parametrize(
    ("parameters", "actions"),
    [
        ({}, []),
        ({"AlarmEmail": "ops@example.com"}, ["<AlarmTopic>"]),
        (
            {"AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"},
            ["arn:aws:sns:eu-west-1:111122223333:ops"],
        ),
    ],
)
def test_every_other_alarm_notifies_the_given_target_when_it_starts_and_ends(
    parameters: dict[str, str], actions: list[str]
) -> None:
    notifying = alarms(**BY_SCHEDULE, **parameters) | composites(**BY_SCHEDULE, **parameters)
    for name in SILENT:
        silent = notifying.pop(name)
        assert not silent.keys() & {"AlarmActions", "OKActions", "InsufficientDataActions"}
    assert {
        (name, tuple(alarm["AlarmActions"]), tuple(alarm["OKActions"])) for name, alarm in notifying.items()
    } == {
        (name, tuple(actions), tuple(actions))
        for name in {*EVERY, "MappingStillStalledAlarm"}.difference(SILENT)
    }


def test_a_new_stack_has_time_to_poll_before_its_mapping_counts_as_stalled() -> None:
    """Missing data sets MappingStalledAlarm off at once, and a new stack has no data for some minutes."""
    still = composites()["MappingStillStalledAlarm"]
    stalled, suppressor = still["AlarmRule"], still["ActionsSuppressor"]

    assert stalled == 'ALARM("<MappingStalledAlarm>")'
    assert still["ActionsSuppressorWaitPeriod"] == 20 * 60
    # A suppressor that is in alarm state whenever the mapping stalls would silence the alarm. This one is in alarm
    # state only while Lambda retries batches.
    assert suppressor == "<RecordsRetriedAlarm>"
    assert alarms()["RecordsRetriedAlarm"]["TreatMissingData"] == "notBreaching"
    assert still["ActionsSuppressorExtensionPeriod"] <= 60
    assert "`ddbreplica status --stack-name ddbreplica`" in still["AlarmDescription"]


def test_a_topic_is_created_only_for_an_email_address_and_cloudwatch_can_publish_to_it() -> None:
    assert "AlarmTopic" not in resources()
    assert properties("AlarmTopic", AlarmEmail="ops@example.com") == {
        "Subscription": [{"Protocol": "email", "Endpoint": "ops@example.com"}],
    }


def test_the_topic_is_encrypted_only_with_a_kms_key_that_cloudwatch_may_use() -> None:
    assert properties("AlarmTopic", AlarmEmail="ops@example.com", KmsKeyArn=KEY)["KmsMasterKeyId"] == KEY
