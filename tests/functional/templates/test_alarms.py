"""template.yaml's alarms: they look at what is emitted, and say what to do."""

from typing import Any, Final

import pytest

from tests.support.emitted import EMITTED, FUNCTION, MAPPING, OWN, REPLICA, REPLICA_INDEX
from tests.support.placements import KEY, REPLICAS
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
# Metric, dimensions, statistic, comparison, threshold; period, datapoints to alarm, of how many, if none.
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


def test_there_is_an_alarm_for_everything_that_can_go_wrong() -> None:
    assert sorted(alarms()) == sorted(ALARMS)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_goes_off_when_it_should(name: str) -> None:
    alarm = alarms()[name]
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
    ) == ALARMS[name]


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_watches_a_metric_that_somebody_emits(name: str) -> None:
    assert watched(alarms()[name]) in EMITTED


@pytest.mark.parametrize(
    ("replica", "missing"),
    [
        ("made here", set()),
        ("existing", {"ReplicaIndexThrottledAlarm"}),
        ("in this Region by name", {"ReplicaIndexThrottledAlarm"}),
        ("in another Region", {"ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"}),
        ("in this account by number", {"ReplicaIndexThrottledAlarm"}),
        ("in another account", {"ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"}),
        ("in another account and Region", {"ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"}),
        ("by a role", {"ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"}),
        ("by a role in another Region", {"ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"}),
    ],
)
def test_the_alarms_of_the_replica_are_where_its_metrics_are(replica: str, missing: set[str]) -> None:
    assert set(alarms(**REPLICAS[replica])) == set(ALARMS) - missing


@pytest.mark.parametrize("replica", REPLICAS)
def test_replication_is_unhealthy_while_any_alarm_is_on(replica: str) -> None:
    rule = composite(**REPLICAS[replica])["AlarmRule"]
    assert sorted(rule.split(" OR ")) == sorted(f'ALARM("<{name}>")' for name in alarms(**REPLICAS[replica]))


def test_the_alarm_over_all_alarms_says_what_to_run_and_leaves_telling_to_them() -> None:
    found = composite(AlarmEmail="ops@example.com")
    assert found.keys() == {"AlarmDescription", "AlarmRule"}
    assert "`ddbreplica status --stack-name ddbreplica`" in found["AlarmDescription"]


def test_without_an_index_none_is_watched() -> None:
    assert set(alarms(CreateIndex="false")) == set(ALARMS) - {"ReplicaIndexThrottledAlarm"}


def test_a_slow_function_is_measured_against_its_own_timeout() -> None:
    share, _ = alarms(Timeout=120)["FunctionSlowAlarm"]["Metrics"]
    assert share["Expression"] == "100 * duration / (120 * 1000)"


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_happened_and_what_to_run(name: str) -> None:
    happened, *commands = alarms()[name]["AlarmDescription"].split("`")[:-1]
    assert ". " in happened or "; " in happened
    assert commands[::2]
    for command in commands[::2]:
        assert command.startswith(("aws ", "ddbreplica redrive ", "ddbreplica status ", "ddbreplica verify "))


SILENT: Final = ("MappingStalledAlarm", "ReplicationUnhealthyAlarm")
"""Alarms that notify nobody: others do, of the same trouble."""


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
def test_every_alarm_notifies_whoever_was_named_of_its_beginning_and_its_end(
    parameters: dict[str, str], actions: list[str]
) -> None:
    notifying = alarms(**parameters) | composites(**parameters)
    for name in SILENT:
        silent = notifying.pop(name)
        assert not silent.keys() & {"AlarmActions", "OKActions", "InsufficientDataActions"}
    assert {
        (name, tuple(alarm["AlarmActions"]), tuple(alarm["OKActions"])) for name, alarm in notifying.items()
    } == {
        (name, tuple(actions), tuple(actions))
        for name in {*ALARMS, "MappingStillStalledAlarm"}.difference(SILENT)
    }


def test_a_new_stack_has_time_to_poll_before_its_mapping_counts_as_stalled() -> None:
    """Data that is missing puts MappingStalledAlarm on at once, and in a new stack it is missing for some minutes."""
    still = composites()["MappingStillStalledAlarm"]
    stalled, suppressor = still["AlarmRule"], still["ActionsSuppressor"]

    assert stalled == 'ALARM("<MappingStalledAlarm>")'
    assert still["ActionsSuppressorWaitPeriod"] == 20 * 60
    # A suppressor that is on together with the stall would silence it: this one is on only while batches are retried.
    assert suppressor == "<RecordsRetriedAlarm>"
    assert alarms()["RecordsRetriedAlarm"]["TreatMissingData"] == "notBreaching"
    assert still["ActionsSuppressorExtensionPeriod"] <= 60
    assert "`ddbreplica status --stack-name ddbreplica`" in still["AlarmDescription"]


def test_a_topic_is_made_only_for_an_e_mail_address_and_cloudwatch_can_publish_to_it() -> None:
    assert "AlarmTopic" not in resources()
    assert properties("AlarmTopic", AlarmEmail="ops@example.com") == {
        "Subscription": [{"Protocol": "email", "Endpoint": "ops@example.com"}],
    }


def test_the_topic_is_encrypted_only_with_a_key_that_cloudwatch_may_use() -> None:
    assert properties("AlarmTopic", AlarmEmail="ops@example.com", KmsKeyArn=KEY)["KmsMasterKeyId"] == KEY
