"""health: every problem that a status can report, and the verdict."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ddbreplica.aws.request import Unknown
from ddbreplica.dynamodb.location import Location
from ddbreplica.inspect.facts import Depth, Facts, UnseenTable
from ddbreplica.inspect.health import Severity, counted, examine, trend, verdict
from tests.support.facts import (
    EARLIER_STREAM,
    MAPPING,
    NOW,
    OPTIONS,
    REPLICA,
    SOURCE,
    facts,
    figures,
    table,
    verification,
)
from tests.support.verified import record

STOPPED, ATTENTION, NOTE = Severity.STOPPED, Severity.ATTENTION, Severity.NOTE
REPAIR = "`ddbreplica verify --stack-name copy --repair`"
STATUS = "`ddbreplica status --stack-name copy`"
ENABLE = (
    "`aws dynamodb update-table --table-name logfile --stream-specification"
    " StreamEnabled=true,StreamViewType=NEW_IMAGE`"
)
REDRIVE = "`ddbreplica redrive --stack-name copy --dry-run`"
LOG = "`aws logs tail /log --since 1h`"


def found(seen: Facts) -> list[tuple[Severity, str, str]]:
    return [(finding.severity, finding.fact, finding.hint) for finding in examine(seen, OPTIONS)]


def test_a_healthy_replication_has_no_findings() -> None:
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
            "source and replica are the same table, arn:aws:dynamodb:us-east-1:123456789012:table/logfile",
            "name two tables with --source and --replica",
            id="one table",
        ),
        pytest.param(
            {"replica": replace(REPLICA, key_schema=frozenset({("PK", "S"), ("at", "N")}))},
            STOPPED,
            "the primary key of the source is PK (S), but that of the replica is PK (S), at (N)",
            "check --source and --replica, or recreate the replica with the source's key",
            id="different keys",
        ),
        pytest.param(
            {"replica": replace(REPLICA, state="INACCESSIBLE_ENCRYPTION_CREDENTIALS")},
            STOPPED,
            "the table logfile_replica is INACCESSIBLE_ENCRYPTION_CREDENTIALS",
            "restore access to its KMS key; DynamoDB archives the table after 7 days",
            id="table not usable",
        ),
        pytest.param(
            {"replica": replace(REPLICA, state="CREATING")},
            STOPPED,
            "the table logfile_replica is CREATING",
            "wait until it is ACTIVE",
            id="table not usable yet",
        ),
        pytest.param(
            {"replica": replace(REPLICA, indexes={"GSI_1": "CREATING", "GSI_2": "ACTIVE"})},
            NOTE,
            "logfile_replica has indexes that are not ACTIVE: GSI_1 is CREATING",
            "wait until they are ACTIVE",
            id="index changing",
        ),
        pytest.param(
            {"replica": replace(REPLICA, ttl="expires")},
            ATTENTION,
            "the replica logfile_replica has TTL enabled on the attribute expires, so it deletes items that the source"
            " has",
            "`aws dynamodb update-time-to-live --table-name logfile_replica --time-to-live-specification"
            f" Enabled=false,AttributeName=expires`, then {REPAIR}",
            id="time to live",
        ),
        pytest.param(
            {"source": replace(SOURCE, view=None)},
            STOPPED,
            "the stream of logfile is disabled, so its changes are not recorded",
            f"{ENABLE}, then {STATUS} for the next step",
            id="stream off",
        ),
        pytest.param(
            {"source": replace(SOURCE, view="KEYS_ONLY")},
            STOPPED,
            "the stream of logfile has the view type KEYS_ONLY, which contains no new images",
            "`aws dynamodb update-table --table-name logfile --stream-specification StreamEnabled=false`, then"
            f" {ENABLE}, then {STATUS} for the next step",
            id="stream without new images",
        ),
        pytest.param(
            {"mappings": ()},
            STOPPED,
            "no event source mapping of a function with the tag ddbreplica replicates logfile to logfile_replica",
            'restore the mapping of the stack copy (docs/runbook.md, "A resource was changed by hand"), then'
            f" {REPAIR}",
            id="no mapping",
        ),
        pytest.param(
            mapping(stream_arn=EARLIER_STREAM),
            STOPPED,
            "the mapping 11-22 reads an old stream of logfile, 2025-01-01T00:00:00.000; the present stream is"
            " 2026-01-01T00:00:00.000",
            f'deploy the stack copy with SourceStreamArn={SOURCE.stream_arn} (docs/runbook.md, "The source has a new'
            f' stream"), then {REPAIR}',
            id="earlier stream",
        ),
        pytest.param(
            {"mappings": (MAPPING, replace(MAPPING, uuid="33-44"))},
            ATTENTION,
            "2 event source mappings write to logfile_replica, so old images may overwrite newer ones: 11-22, 33-44",
            f"`aws lambda delete-event-source-mapping --uuid …` for all but one, then {REPAIR}",
            id="two mappings",
        ),
        pytest.param(
            {"mappings": (replace(MAPPING, uuid="33-44", stream_arn=EARLIER_STREAM), MAPPING)},
            ATTENTION,
            "2 event source mappings write to logfile_replica, so old images may overwrite newer ones: 33-44, 11-22",
            f"`aws lambda delete-event-source-mapping --uuid …` for all but one, then {REPAIR}",
            id="one mapping left on an earlier stream",
        ),
        pytest.param(
            mapping(state="Disabled"),
            STOPPED,
            "the event source mapping is Disabled (USER_INITIATED)",
            "`aws lambda update-event-source-mapping --uuid 11-22 --enabled`; if it was stopped for more than 24"
            f" hours, then {REPAIR}",
            id="disabled",
        ),
        pytest.param(
            mapping(state="Enabling"),
            ATTENTION,
            "the event source mapping is Enabling",
            "wait until it is Enabled",
            id="not enabled yet",
        ),
        pytest.param(
            mapping(last_result="PROBLEM: Function call failed"),
            ATTENTION,
            "the last processing result of the event source mapping is PROBLEM: Function call failed",
            LOG,
            id="last result",
        ),
        pytest.param(
            mapping(starting_position="LATEST"),
            NOTE,
            "the event source mapping started at LATEST; earlier changes were not replicated",
            f"`ddbreplica verify --stack-name copy`; if they differ, {REPAIR}",
            id="latest",
        ),
        pytest.param(
            mapping(environment={**MAPPING.environment, "REPLICATE_TTL_DELETES": "maybe"}),
            STOPPED,
            "the function replicator rejects a setting: The environment variable"
            " REPLICATE_TTL_DELETES is 'maybe'.",
            "Allowed: true or false. Deploy the stack copy with the right parameter; if the variable was changed by"
            " hand, correct it in the function's configuration",
            id="settings",
        ),
        *(
            pytest.param(
                mapping(log_level=level),
                ATTENTION,
                f"the application log level of the function replicator is {level}, so Lambda drops the function's"
                " metrics; the alarm RecordsQuarantined cannot go off",
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
                " set; the alarm RecordsQuarantined cannot go off",
                "remove these environment variables from the function's configuration",
                id=variable,
            )
            for variable in ("POWERTOOLS_METRICS_DISABLED", "POWERTOOLS_DEV")
        ),
        pytest.param(
            mapping(environment={**MAPPING.environment, "POWERTOOLS_METRICS_DISABLED": "maybe"}),
            STOPPED,
            "the function replicator rejects a setting: The environment variable POWERTOOLS_METRICS_DISABLED is"
            " 'maybe'.",
            "Allowed: true, false, or another word that Powertools accepts: 1, y, yes, t, on, 0, n, no, f, off."
            " Deploy the stack copy with the right parameter; if the variable was changed by hand, correct it in the"
            " function's configuration",
            id="settings of Powertools",
        ),
        pytest.param(
            {"transform": Unknown("It is not JSON. Allowed: a JSON object.")},
            STOPPED,
            "the function replicator rejects its transform: It is not JSON. Allowed: a JSON object",
            "`ddbreplica transform check` on the file of its rules, then deploy the stack copy with the line that it"
            " prints",
            id="transform",
        ),
        pytest.param(
            {"quarantine": Depth("s3://kept/quarantine/logfile_replica/", 1, or_more=False, oldest=5.0)},
            ATTENTION,
            "the quarantine bucket has 1 object with quarantined records: s3://kept/quarantine/logfile_replica/",
            REDRIVE,
            id="quarantine",
        ),
        pytest.param(
            {"on_failure": Depth("s3://given-up/aws/lambda/11-22/", 10_000, or_more=True, oldest=5.0)},
            ATTENTION,
            "the on-failure bucket has 10,000 objects or more with discarded batches: s3://given-up/aws/lambda/11-22/",
            REDRIVE,
            id="discarded",
        ),
        pytest.param(
            {"figures": figures(IteratorAge=[(2, 900_000)])},
            ATTENTION,
            "the lag is 15 min, trend unknown",
            LOG,
            id="lag",
        ),
        pytest.param(
            {"figures": figures(PolledEventCount=[(16, 5)])},
            STOPPED,
            "the event source mapping has not polled the stream for 15 minutes",
            "`aws lambda get-event-source-mapping --uuid 11-22`, and look at State and LastProcessingResult",
            id="stalled",
        ),
        pytest.param(
            {"figures": figures(DroppedEventCount=[(59, 3), (2, 4)])},
            ATTENTION,
            "Lambda discarded 7 records in the last hour and kept no copy",
            REPAIR,
            id="dropped",
        ),
        pytest.param(
            {"figures": figures(DestinationDeliveryFailures=[(59, 1)])},
            ATTENTION,
            "Lambda could not send 1 discarded batch to the on-failure bucket in the last hour",
            'restore the bucket or the access of the function\'s role to it (docs/runbook.md, "Lost records"), then'
            f" {REPAIR}",
            id="destination broken",
        ),
        pytest.param(
            {"figures": figures(Errors=[(4, 2)])},
            ATTENTION,
            "2 invocations of the function failed in the last 5 minutes; Lambda retries failed batches",
            LOG,
            id="function fails",
        ),
        pytest.param(
            {"figures": figures(FailedInvokeEventCount=[(4, 1200)])},
            ATTENTION,
            "1,200 records could not be applied in the last 5 minutes; Lambda retries failed records",
            LOG,
            id="records retried",
        ),
        pytest.param(
            {"figures": figures(Throttles=[(4, 2)])},
            NOTE,
            "Lambda throttled 2 invocations in the last 5 minutes",
            "`aws lambda get-function-concurrency --function-name replicator`; if it prints nothing,"
            " `aws lambda get-account-settings`",
            id="function throttled",
        ),
        pytest.param(
            {"figures": figures(WriteThrottleEvents=[(4, 9)], WriteThrottleEvents_by_GSI_1=[(4, 7)])},
            NOTE,
            "the replica throttled 9 writes in the last 5 minutes",
            "raise the write capacity units of the table and its indexes, or use on-demand capacity (docs/runbook.md,"
            ' "DynamoDB throttles the replica")',
            id="replica throttled",
        ),
    ],
)
def test_each_problem_has_a_hint(changes: dict[str, Any], severity: Severity, fact: str, hint: str) -> None:
    seen = facts(**changes)

    assert found(seen) == [(severity, fact, hint)]
    assert verdict(seen, examine(seen, OPTIONS)) == ("replicating" if severity is NOTE else severity.value)


LAST = "the last verification, which began at 2026-01-31 09:00 UTC"
COMPARE = f"`ddbreplica verify --stack-name copy`; if they differ, {REPAIR}"


@pytest.mark.parametrize("verdict", ["equal", "repaired"])
def test_a_last_verification_that_found_no_difference_is_not_a_finding(verdict: str) -> None:
    assert found(facts(verification=verification(verdict=verdict, repaired=3))) == []


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"differences": {"missing": 1200, "different": 0, "extra": 1}}, "1,200 missing, 1 extra"),
        ({"differences": {"missing": 3}, "repaired": 2}, "3 missing, 2 repaired"),
        ({"differences": {}}, "not counted"),
    ],
)
def test_a_last_verification_that_found_differences_needs_attention(
    counts: dict[str, Any], text: str
) -> None:
    last = verification(verdict="not equal", **counts)

    assert found(facts(verification=last)) == [(ATTENTION, f"{LAST}, found differences: {text}", COMPARE)]


def test_an_inconclusive_verification_is_a_note() -> None:
    last = verification(verdict="inconclusive")

    assert found(facts(verification=last)) == [(NOTE, f"{LAST}, was inconclusive", COMPARE)]


def test_an_inconclusive_verification_does_not_hide_differences_that_were_found_before() -> None:
    earlier = record(verdict="not equal", differences={"extra": 4}, began=NOW - timedelta(days=2))
    last = replace(verification(verdict="inconclusive"), conclusive=earlier)

    assert found(facts(verification=last)) == [
        (
            ATTENTION,
            "the last conclusive verification, which began at 2026-01-29 12:00 UTC, found differences: 4 extra",
            COMPARE,
        ),
        (NOTE, f"{LAST}, was inconclusive", COMPARE),
    ]
    assert found(facts(verification=replace(last, conclusive=replace(earlier, verdict="equal")))) == [
        (NOTE, f"{LAST}, was inconclusive", COMPARE)
    ]


def test_a_verification_of_earlier_tables_is_a_note_whatever_it_found() -> None:
    last = replace(
        verification(verdict="not equal", patterns=("x",)), recreated=("logfile", "copy"), written=None
    )

    assert found(facts(verification=last)) == [
        (NOTE, f"{LAST}, was of an earlier table of the name logfile and copy", COMPARE)
    ]


def test_a_verification_within_another_filter_is_a_note() -> None:
    last = verification(patterns=("x",))

    assert found(facts(verification=last)) == [
        (NOTE, f"{LAST}, had another key filter than the mapping has now", COMPARE)
    ]
    assert found(facts(verification=verification())) == []
    hidden = facts(verification=last, **mapping(patterns=None))
    assert not any("another key filter" in fact for _, fact, _ in found(hidden))


def test_a_verification_of_another_transform_is_a_note() -> None:
    fact = f"{LAST}, was of another transform than the function has now"
    hint = (
        "`ddbreplica backfill --stack-name copy` if the items were not copied since the change, then"
        " `ddbreplica verify --stack-name copy`"
    )
    last = verification(transform="a")

    assert found(facts(verification=last, transform="a")) == []
    assert found(facts(verification=verification(), transform=None)) == []
    assert found(facts(verification=last, transform="b")) == [(NOTE, fact, hint)]
    assert found(facts(verification=last, transform=None)) == [(NOTE, fact, hint)]
    assert found(facts(verification=verification(), transform="b")) == [(NOTE, fact, hint)]
    assert found(facts(verification=replace(last, recreated=("logfile",)), transform="b")) == [
        (NOTE, f"{LAST}, was of an earlier table of the name logfile", COMPARE)
    ]


def test_a_replica_that_was_never_verified_is_not_a_finding() -> None:
    assert found(facts(verification=None)) == []
    assert verdict(facts(verification=None), ()) == "replicating"


def test_a_table_that_does_not_exist_stops_the_replication() -> None:
    gone = UnseenTable("the table copy does not exist in us-east-1.", "copy", is_missing=True)
    seen = facts(replica=gone)

    assert found(seen) == [
        (
            STOPPED,
            "the table copy does not exist in us-east-1",
            "recreate the table (docs/runbook.md), or delete the stack if you no longer need it",
        )
    ]
    assert seen.unknowns == {}


def test_a_table_that_cannot_be_described_is_unknown_and_the_rest_is_examined() -> None:
    hidden = UnseenTable("AccessDenied: no", "copy")
    trouble = {**mapping(state="Disabled"), "figures": figures(Errors=[(4, 2)])}

    for seen in (facts(source=hidden), facts(replica=hidden)):
        assert found(seen) == []
        assert verdict(seen, ()) == "replicating, as far as can be seen"
    assert list(facts(source=hidden, replica=hidden).unknowns) == ["the source", "the replica"]
    assert [fact for _, fact, _ in found(facts(source=hidden, replica=hidden, **trouble))] == [
        "the event source mapping is Disabled (USER_INITIATED)",
        "2 invocations of the function failed in the last 5 minutes; Lambda retries failed batches",
    ]


def test_without_the_source_each_mapping_may_read_the_present_stream() -> None:
    earlier = replace(MAPPING, uuid="33-44", stream_arn=EARLIER_STREAM)
    seen = facts(source=UnseenTable("AccessDenied: no", "logfile"), mappings=(earlier, MAPPING))

    assert seen.present == (earlier, MAPPING)
    assert seen.mapping == earlier
    assert [fact for _, fact, _ in found(seen)] == [
        "2 event source mappings write to logfile_replica, so old images may overwrite newer ones: 33-44, 11-22"
    ]


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param({"figures": figures(IteratorAge=[(2, 899_999)])}, id="a small lag"),
        pytest.param({"figures": figures(IteratorAge=[(6, 900_000)])}, id="a lag a while ago"),
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
def test_a_harmless_state_is_not_a_finding(quiet: dict[str, Any]) -> None:
    assert found(facts(**quiet)) == []


@pytest.mark.parametrize(
    "unpolled",
    [
        pytest.param({"modified_at": NOW - timedelta(minutes=14)}, id="created just now"),
        pytest.param({"counts_events": False}, id="no metrics"),
    ],
)
def test_a_mapping_that_cannot_have_metrics_yet_is_not_stalled(unpolled: dict[str, Any]) -> None:
    assert found(facts(**mapping(**unpolled), figures=figures(PolledEventCount=[]))) == []


@pytest.mark.parametrize(
    ("replicates", "replicas", "is_noted"),
    [("false", "eu-west-1", True), ("true", "eu-west-1", False), ("false", None, False)],
)
def test_an_archive_of_a_global_table_is_a_note(
    replicates: str, replicas: str | None, is_noted: bool
) -> None:
    environment = {**MAPPING.environment, "REPLICATE_TTL_DELETES": replicates}
    seen = facts(source=replace(SOURCE, replicas=replicas), **mapping(environment=environment))

    assert [severity for severity, _, _ in found(seen)] == ([NOTE] if is_noted else [])


def test_a_filter_on_images_needs_attention() -> None:
    pattern = '{"dynamodb": {"NewImage": {"a": {"S": ["b"]}}}}'

    ((severity, fact, hint),) = found(facts(**mapping(patterns=(pattern,))))

    assert severity is ATTENTION
    assert fact == "the mapping's filter is not supported: it looks at dynamodb.NewImage"
    assert hint.startswith("filter on dynamodb.Keys only")


def test_a_filter_on_keys_is_not_a_finding() -> None:
    assert found(facts(**mapping(patterns=('{"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}}',)))) == []


def test_an_encrypted_filter_is_a_note() -> None:
    ((severity, fact, hint),) = found(facts(**mapping(patterns=None)))

    assert severity is NOTE
    assert (
        fact == "the filter of the mapping 11-22 is encrypted with your KMS key, and Lambda does not show it"
    )
    assert hint.startswith("remove the KMS key (KMSKeyArn) from the mapping")


def test_the_mapping_of_the_present_stream_is_preferred() -> None:
    earlier = replace(MAPPING, uuid="33-44", stream_arn=EARLIER_STREAM)

    assert facts(mappings=(earlier, MAPPING)).mapping == MAPPING
    assert facts(mappings=(earlier,)).mapping == earlier
    assert facts(mappings=()).mapping is None


def test_a_disabled_mapping_is_one_finding() -> None:
    seen = facts(**mapping(state="Disabled"), figures=figures(PolledEventCount=[]))

    assert len(found(seen)) == 1


def test_the_worst_finding_is_first() -> None:
    seen = facts(
        **mapping(state="Disabled"),
        replica=replace(REPLICA, ttl="expires", indexes={"GSI_1": "CREATING"}),
    )

    assert [severity for severity, _, _ in found(seen)] == [STOPPED, ATTENTION, NOTE]
    assert verdict(seen, examine(seen, OPTIONS)) == "not replicating"


def test_unknown_values_are_listed_and_are_not_findings() -> None:
    why = Unknown("AccessDenied: no")
    everything = dict.fromkeys(("mappings", "figures", "quarantine", "on_failure", "verification"), why)
    seen = facts(**everything, replica=replace(REPLICA, ttl=why))

    assert found(seen) == []
    assert verdict(seen, ()) == "replicating, as far as can be seen"
    assert list(seen.unknowns) == [
        "the mapping",
        "CloudWatch's metrics",
        "the quarantine",
        "what Lambda gave up",
        "the last verification",
        "the replica's time to live",
    ]


def test_commands_in_hints_have_the_same_options() -> None:
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
def test_the_trend_compares_the_last_minutes_with_those_before(
    ages: list[tuple[float, float]], expected: str
) -> None:
    assert trend(figures(IteratorAge=ages)) == expected


@pytest.mark.parametrize(
    ("objects", "or_more", "text"),
    [(1, False, "1 object"), (0, False, "0 objects"), (10_000, True, "10,000 objects or more")],
)
def test_a_count_of_objects_says_whether_there_are_more(objects: int, or_more: bool, text: str) -> None:
    assert counted(Depth("s3://kept/", objects, or_more=or_more, oldest=None)) == text
