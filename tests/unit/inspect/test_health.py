"""health: every sentence that a status can say, and the verdict."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ddbreplica.aws.request import Unknown
from ddbreplica.dynamodb.location import Location
from ddbreplica.inspect.facts import Depth, Facts, UnseenTable
from ddbreplica.inspect.health import Severity, counted, duration, examine, trend, verdict
from tests.support.facts import EARLIER_STREAM, MAPPING, NOW, OPTIONS, REPLICA, SOURCE, facts, figures, table

STOPPED, ATTENTION, NOTE = Severity.STOPPED, Severity.ATTENTION, Severity.NOTE
REPAIR = "`ddbreplica verify --stack-name copy --repair`"
REDRIVE = "`ddbreplica redrive --stack-name copy --dry-run`"
LOG = "`aws logs tail /log --since 1h`"


def found(seen: Facts) -> list[tuple[Severity, str, str]]:
    return [(finding.severity, finding.fact, finding.hint) for finding in examine(seen, OPTIONS)]


def test_nothing_is_found_where_all_is_well() -> None:
    assert found(facts()) == []
    assert verdict(facts(), ()) == "replicating"


def mapping(**changes: Any) -> dict[str, Any]:
    return {"mappings": (replace(MAPPING, **changes),)}


@pytest.mark.parametrize(
    ("changes", "severity", "fact", "hint"),
    [
        pytest.param(
            {"replica": replace(REPLICA, arn=SOURCE.arn)},
            STOPPED,
            "source and replica are one table, arn:aws:dynamodb:us-east-1:123456789012:table/logfile",
            "name two tables with --source and --replica",
            id="one table",
        ),
        pytest.param(
            {"replica": replace(REPLICA, key_schema=frozenset({("PK", "S"), ("at", "N")}))},
            STOPPED,
            "the source's key is PK (S) and the replica's is PK (S), at (N)",
            "name the right tables, or recreate the replica with the source's key",
            id="another key",
        ),
        pytest.param(
            {"replica": replace(REPLICA, state="INACCESSIBLE_ENCRYPTION_CREDENTIALS")},
            STOPPED,
            "logfile_replica is INACCESSIBLE_ENCRYPTION_CREDENTIALS",
            "wait until it is ACTIVE",
            id="table not usable",
        ),
        pytest.param(
            {"replica": replace(REPLICA, indexes={"GSI_1": "CREATING", "GSI_2": "ACTIVE"})},
            NOTE,
            "indexes of logfile_replica: GSI_1 is CREATING",
            "wait until they are ACTIVE",
            id="index changing",
        ),
        pytest.param(
            {"replica": replace(REPLICA, ttl="expires")},
            ATTENTION,
            "logfile_replica has a time to live of its own, by expires: it deletes what the source has",
            "`aws dynamodb update-time-to-live --table-name logfile_replica --time-to-live-specification"
            f" Enabled=false,AttributeName=expires`, then {REPAIR}",
            id="time to live",
        ),
        pytest.param(
            {"source": replace(SOURCE, view=None)},
            STOPPED,
            "the stream of logfile is off, so that its changes are not recorded",
            f"deploy again (sam deploy), then {REPAIR}",
            id="stream off",
        ),
        pytest.param(
            {"source": replace(SOURCE, view="KEYS_ONLY")},
            STOPPED,
            "the stream of logfile carries no new images, but KEYS_ONLY",
            f"deploy again with NEW_IMAGE, which makes another stream, then {REPAIR}",
            id="stream without new images",
        ),
        pytest.param(
            {"mappings": ()},
            STOPPED,
            "no mapping of a function with the tag ddbreplica brings the stream of logfile to logfile_replica",
            f"deploy again (sam deploy), then {REPAIR}",
            id="no mapping",
        ),
        pytest.param(
            mapping(stream_arn=EARLIER_STREAM),
            STOPPED,
            "the mapping 11-22 reads the stream 2025-01-01T00:00:00.000 of logfile, which is"
            " 2026-01-01T00:00:00.000 by now",
            f"deploy again (sam deploy), then {REPAIR}",
            id="earlier stream",
        ),
        pytest.param(
            {"mappings": (MAPPING, replace(MAPPING, uuid="33-44"))},
            ATTENTION,
            "2 mappings write to logfile_replica, so that old images may follow newer ones: 11-22, 33-44",
            f"delete all but one, then {REPAIR}",
            id="two mappings",
        ),
        pytest.param(
            {"mappings": (replace(MAPPING, uuid="33-44", stream_arn=EARLIER_STREAM), MAPPING)},
            ATTENTION,
            "2 mappings write to logfile_replica, so that old images may follow newer ones: 33-44, 11-22",
            f"delete all but one, then {REPAIR}",
            id="one mapping left on an earlier stream",
        ),
        pytest.param(
            mapping(state="Disabled"),
            STOPPED,
            "the mapping is Disabled (USER_INITIATED)",
            "`aws lambda update-event-source-mapping --uuid 11-22 --enabled` within 24 hours, for which the stream"
            f" keeps changes; later also {REPAIR}",
            id="disabled",
        ),
        pytest.param(
            mapping(state="Enabling"),
            ATTENTION,
            "the mapping is Enabling",
            "wait until it is Enabled",
            id="not enabled yet",
        ),
        pytest.param(
            mapping(last_result="PROBLEM: Function call failed"),
            ATTENTION,
            "the mapping's last result is PROBLEM: Function call failed",
            LOG,
            id="last result",
        ),
        pytest.param(
            mapping(starting_position="LATEST"),
            NOTE,
            "the mapping began at LATEST, and was brought no change from before",
            f"`ddbreplica verify --stack-name copy`; if they differ, {REPAIR}",
            id="latest",
        ),
        pytest.param(
            mapping(environment={**MAPPING.environment, "REPLICATE_TTL_DELETES": "maybe"}),
            STOPPED,
            "the function replicator refuses its settings: The environment variable"
            " REPLICATE_TTL_DELETES is 'maybe'.",
            "Allowed: true or false. Mend it and deploy again (sam deploy)",
            id="settings",
        ),
        *(
            pytest.param(
                mapping(log_level=level),
                ATTENTION,
                f"the application log level of the function replicator is {level}, at which Lambda drops the function's"
                " metrics: the alarm on quarantined records cannot fire",
                "`aws lambda update-function-configuration --function-name replicator --logging-config"
                " LogFormat=JSON,ApplicationLogLevel=INFO,LogGroup=/log`",
                id=f"log level {level}",
            )
            for level in ("WARN", "ERROR", "FATAL")
        ),
        *(
            pytest.param(
                mapping(environment={**MAPPING.environment, variable: "true"}),
                ATTENTION,
                "the function replicator emits no metrics, because POWERTOOLS_METRICS_DISABLED or POWERTOOLS_DEV is"
                " set: the alarm on quarantined records cannot fire",
                "remove these variables from the function's configuration",
                id=variable,
            )
            for variable in ("POWERTOOLS_METRICS_DISABLED", "POWERTOOLS_DEV")
        ),
        pytest.param(
            mapping(environment={**MAPPING.environment, "POWERTOOLS_METRICS_DISABLED": "maybe"}),
            STOPPED,
            "the function replicator refuses its settings: The environment variable POWERTOOLS_METRICS_DISABLED is"
            " 'maybe'.",
            "Allowed: true, false, or another word that Powertools accepts: 1, y, yes, t, on, 0, n, no, f, off."
            " Mend it and deploy again (sam deploy)",
            id="settings of Powertools",
        ),
        pytest.param(
            {"quarantine": Depth("s3://kept/quarantine/logfile_replica/", 1, or_more=False, oldest=5.0)},
            ATTENTION,
            "1 object of records that were not written as they came: s3://kept/quarantine/logfile_replica/",
            REDRIVE,
            id="quarantine",
        ),
        pytest.param(
            {"on_failure": Depth("s3://given-up/aws/lambda/11-22/", 10_000, or_more=True, oldest=5.0)},
            ATTENTION,
            "10,000 objects or more of records that Lambda gave up: s3://given-up/aws/lambda/11-22/",
            REDRIVE,
            id="given up",
        ),
        pytest.param(
            {"figures": figures(IteratorAge=[(2, 900_000)])},
            ATTENTION,
            "the replica is 15 min behind, with no trend to be seen",
            LOG,
            id="late",
        ),
        pytest.param(
            {"figures": figures(PolledEventCount=[(16, 5)])},
            STOPPED,
            "the mapping has not polled the stream for 15 minutes",
            "`aws lambda get-event-source-mapping --uuid 11-22`",
            id="stalled",
        ),
        pytest.param(
            {"figures": figures(DroppedEventCount=[(59, 3), (2, 4)])},
            ATTENTION,
            "records that Lambda dropped in the last hour, without a copy: 7",
            REPAIR,
            id="dropped",
        ),
        pytest.param(
            {"figures": figures(DestinationDeliveryFailures=[(59, 1)])},
            ATTENTION,
            "batches that Lambda gave up and could not store in the last hour: 1",
            f"mend the bucket, or the role's access to it, then {REPAIR}",
            id="destination broken",
        ),
        pytest.param(
            {"figures": figures(Errors=[(4, 2)])},
            ATTENTION,
            "failures of the function in the last 5 minutes: 2; their batches come again",
            LOG,
            id="function fails",
        ),
        pytest.param(
            {"figures": figures(FailedInvokeEventCount=[(4, 1200)])},
            ATTENTION,
            "records that could not be applied in the last 5 minutes, and come again: 1,200",
            LOG,
            id="records retried",
        ),
        pytest.param(
            {"figures": figures(Throttles=[(4, 2)])},
            NOTE,
            "invocations for which Lambda had no concurrency in the last 5 minutes: 2",
            "`aws lambda get-account-settings`",
            id="function throttled",
        ),
        pytest.param(
            {"figures": figures(WriteThrottleEvents=[(4, 9)], WriteThrottleEvents_by_GSI_1=[(4, 7)])},
            NOTE,
            "writes that the replica throttled in the last 5 minutes: 9",
            "raise the write capacity of table and index, or go PAY_PER_REQUEST",
            id="replica throttled",
        ),
    ],
)
def test_each_trouble_is_told_with_what_to_try(
    changes: dict[str, Any], severity: Severity, fact: str, hint: str
) -> None:
    seen = facts(**changes)

    assert found(seen) == [(severity, fact, hint)]
    assert verdict(seen, examine(seen, OPTIONS)) == ("replicating" if severity is NOTE else severity.value)


def test_a_table_that_is_not_there_stops_everything() -> None:
    gone = UnseenTable("the table copy does not exist in us-east-1.", "copy", is_missing=True)
    seen = facts(replica=gone)

    assert found(seen) == [
        (
            STOPPED,
            "the table copy does not exist in us-east-1",
            "make it again, or delete the stack that nobody wants any more",
        )
    ]
    assert seen.unknowns == {}


def test_a_table_that_cannot_be_seen_proves_nothing_and_the_rest_is_examined() -> None:
    hidden = UnseenTable("AccessDenied: no", "copy")
    trouble = {**mapping(state="Disabled"), "figures": figures(Errors=[(4, 2)])}

    for seen in (facts(source=hidden), facts(replica=hidden)):
        assert found(seen) == []
        assert verdict(seen, ()) == "replicating, as far as can be seen"
    assert list(facts(source=hidden, replica=hidden).unknowns) == ["the source", "the replica"]
    assert [fact for _, fact, _ in found(facts(source=hidden, replica=hidden, **trouble))] == [
        "the mapping is Disabled (USER_INITIATED)",
        "failures of the function in the last 5 minutes: 2; their batches come again",
    ]


def test_without_the_source_any_mapping_may_be_of_the_present_stream() -> None:
    earlier = replace(MAPPING, uuid="33-44", stream_arn=EARLIER_STREAM)
    seen = facts(source=UnseenTable("AccessDenied: no", "logfile"), mappings=(earlier, MAPPING))

    assert seen.present == (earlier, MAPPING)
    assert seen.mapping == earlier
    assert [fact for _, fact, _ in found(seen)] == [
        "2 mappings write to logfile_replica, so that old images may follow newer ones: 33-44, 11-22"
    ]


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param({"figures": figures(IteratorAge=[(2, 899_999)])}, id="not so late"),
        pytest.param({"figures": figures(IteratorAge=[(6, 900_000)])}, id="late a while ago"),
        pytest.param(
            {"figures": figures(Errors=[(6, 1)], FailedInvokeEventCount=[(6, 1)], Throttles=[(6, 1)])},
            id="failures a while ago",
        ),
        pytest.param({"source": replace(SOURCE, state="UPDATING")}, id="table updating"),
        pytest.param({"source": replace(SOURCE, ttl="expires")}, id="time to live of the source"),
        pytest.param({"source": replace(SOURCE, view="NEW_AND_OLD_IMAGES")}, id="more images than needed"),
        pytest.param(
            {
                "source": table(
                    "logfile", stream_arn=MAPPING.stream_arn, view="NEW_IMAGE", indexes={"G": "unknown"}
                )
            },
            id="index of no state",
        ),
        pytest.param({"figures": figures(PolledEventCount=[(15, 0)])}, id="polled, and nothing there"),
        *(
            pytest.param(mapping(log_level=level), id=f"log level {level}")
            for level in ("TRACE", "DEBUG", None)
        ),
        pytest.param(
            mapping(environment={**MAPPING.environment, "POWERTOOLS_METRICS_DISABLED": "false"}),
            id="metrics not disabled",
        ),
        pytest.param({"figures": figures(IteratorAge=[(2, 400)])}, id="no counts of the function"),
    ],
)
def test_what_is_no_trouble_is_not_told(quiet: dict[str, Any]) -> None:
    assert found(facts(**quiet)) == []


@pytest.mark.parametrize(
    "unpolled",
    [
        pytest.param({"modified_at": NOW - timedelta(minutes=14)}, id="made just now"),
        pytest.param({"counts_events": False}, id="it does not count"),
    ],
)
def test_a_mapping_that_need_not_have_reported_is_not_stalled(unpolled: dict[str, Any]) -> None:
    assert found(facts(**mapping(**unpolled), figures=figures(PolledEventCount=[]))) == []


@pytest.mark.parametrize(
    ("replicates", "replicas", "is_noted"),
    [("false", "eu-west-1", True), ("true", "eu-west-1", False), ("false", None, False)],
)
def test_an_archive_of_a_global_table_is_noted(replicates: str, replicas: str | None, is_noted: bool) -> None:
    environment = {**MAPPING.environment, "REPLICATE_TTL_DELETES": replicates}
    seen = facts(source=replace(SOURCE, replicas=replicas), **mapping(environment=environment))

    assert [severity for severity, _, _ in found(seen)] == ([NOTE] if is_noted else [])


def test_a_filter_on_images_needs_attention() -> None:
    pattern = '{"dynamodb": {"NewImage": {"a": {"S": ["b"]}}}}'

    ((severity, fact, hint),) = found(facts(**mapping(patterns=(pattern,))))

    assert severity is ATTENTION
    assert fact == "the mapping's filter is not supported: it looks at dynamodb.NewImage"
    assert hint.startswith("filter on dynamodb.Keys only")


def test_a_filter_on_keys_is_no_finding() -> None:
    assert found(facts(**mapping(patterns=('{"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}}',)))) == []


def test_a_filter_that_is_not_shown_is_a_note() -> None:
    ((severity, fact, hint),) = found(facts(**mapping(patterns=None)))

    assert severity is NOTE
    assert (
        fact == "the filter of the mapping 11-22 is encrypted with your KMS key, and Lambda does not show it"
    )
    assert hint.startswith("remove the KMS key (KMSKeyArn) from the mapping")


def test_the_mapping_of_the_present_stream_is_the_one_to_talk_about() -> None:
    earlier = replace(MAPPING, uuid="33-44", stream_arn=EARLIER_STREAM)

    assert facts(mappings=(earlier, MAPPING)).mapping == MAPPING
    assert facts(mappings=(earlier,)).mapping == earlier
    assert facts(mappings=()).mapping is None


def test_a_disabled_mapping_is_told_once() -> None:
    seen = facts(**mapping(state="Disabled"), figures=figures(PolledEventCount=[]))

    assert len(found(seen)) == 1


def test_the_worst_comes_first() -> None:
    seen = facts(
        **mapping(state="Disabled"),
        replica=replace(REPLICA, ttl="expires", indexes={"GSI_1": "CREATING"}),
    )

    assert [severity for severity, _, _ in found(seen)] == [STOPPED, ATTENTION, NOTE]
    assert verdict(seen, examine(seen, OPTIONS)) == "not replicating"


def test_what_is_unknown_proves_nothing_and_is_said() -> None:
    why = Unknown("AccessDenied: no")
    seen = facts(mappings=why, figures=why, quarantine=why, on_failure=why, replica=replace(REPLICA, ttl=why))

    assert found(seen) == []
    assert verdict(seen, ()) == "replicating, as far as can be seen"
    assert list(seen.unknowns) == [
        "the mapping",
        "CloudWatch's metrics",
        "the quarantine",
        "what Lambda gave up",
        "the replica's time to live",
    ]


def test_commands_name_the_same_tables_in_the_same_place() -> None:
    location = Location("a b", "c", None, "eu-west-1", None, "me", None, None)

    (finding,) = examine(facts(**mapping(state="Disabled")), location)

    assert "--uuid 11-22 --enabled --region eu-west-1 --profile me`" in finding.hint
    assert (
        "`ddbreplica verify --source 'a b' --replica c --region eu-west-1 --profile me --repair`"
        in finding.hint
    )


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ([(10, 5000), (2, 7000)], "rising"),
        ([(10, 5000), (2, 3000)], "falling"),
        ([(10, 5000), (2, 5900)], "steady"),
        ([(10, 100_000), (2, 110_000)], "steady"),
        ([(10, 100_000), (2, 111_000)], "rising"),
        ([(16, 5000), (2, 7000)], "with no trend to be seen"),
        ([(10, 5000)], "with no trend to be seen"),
    ],
)
def test_the_trend_compares_now_with_some_minutes_ago(ages: list[tuple[float, float]], expected: str) -> None:
    assert trend(figures(IteratorAge=ages)) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (119, "119.0 s"), (120, "2 min"), (7199, "120 min"), (21960, "6.1 h")],
)
def test_a_duration_is_told_in_one_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("objects", "or_more", "text"),
    [(1, False, "1 object"), (0, False, "0 objects"), (10_000, True, "10,000 objects or more")],
)
def test_objects_are_counted_up_to_a_limit(objects: int, or_more: bool, text: str) -> None:
    assert counted(Depth("s3://kept/", objects, or_more=or_more, oldest=None)) == text
