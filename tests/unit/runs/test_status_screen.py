"""status_screen: a status as a JSON document and as text."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ddbreplica.aws.request import Unknown
from ddbreplica.inspect.facts import Depth, Facts, UnseenTable
from ddbreplica.inspect.health import examine
from ddbreplica_cli.runs.status_screen import document, screen
from tests.support.facts import (
    MAPPING,
    NOW,
    OPTIONS,
    REPLICA,
    SOURCE,
    STREAM,
    TABLE,
    facts,
    figures,
    verification,
)
from tests.support.verified import NAME

BUSY = figures(
    IteratorAge=[(40, 12_000), (10, 900), (2, 400)],
    WritesApplied=[(40, 1000), (2, 234)],
    DeletesApplied=[(2, 5)],
    FailedInvokeEventCount=[(40, 25)],
    RecordsQuarantined=[(40, 1)],
    OnFailureDestinationDeliveredEventCount=[(40, 2)],
    Errors=[(40, 3)],
    WriteThrottleEvents=[(40, 70)],
    WriteThrottleEvents_by_GSI_1=[(40, 60)],
)


def shown(seen: Facts) -> list[str]:
    return screen(seen, examine(seen, OPTIONS)).split("\n")


def documented(seen: Facts) -> dict[str, Any]:
    return document(seen, examine(seen, OPTIONS))


def test_the_text_contains_all_values_and_ends_with_the_verdict() -> None:
    depth = Depth("s3://given-up/aws/lambda/11-22/", 0, or_more=False, oldest=None)

    assert shown(facts(figures=BUSY, on_failure=depth, replica=replace(REPLICA, capacity=None))) == [
        "source      logfile, ACTIVE, about 2,000 items, 10 read and 5 write capacity units, index GSI_1 ACTIVE",
        "replica     logfile_replica, ACTIVE, about 2,000 items, on-demand capacity, index GSI_1 ACTIVE",
        "stream      NEW_IMAGE, created at 2026-01-01T00:00:00.000",
        "mapping     11-22, Enabled, function replicator, last result: OK",
        "metrics     from 11:00 to 12:00 UTC, latest at 11:59",
        "lag         0.4 s, steady; maximum in the last hour: 12.0 s",
        "last hour   1,234 writes and 5 deletes applied; 25 records retried",
        "            records quarantined: 1, sent to the on-failure bucket: 2, dropped: 0",
        "            in-doubt writes: 0, failed invocations: 3",
        "throttled   70 writes of the replica, 60 writes of the index GSI_1",
        "verified    never: there is no record of a complete verification",
        "quarantine  0 objects, s3://kept/quarantine/logfile_replica/",
        "on failure  0 objects, s3://given-up/aws/lambda/11-22/",
        "settings    BatchSize 100, FunctionResponseTypes ReportBatchItemFailures",
        "",
        "replicating",
    ]


def test_findings_and_their_hints_are_before_the_verdict() -> None:
    waiting = Depth("s3://kept/", 2, or_more=False, oldest=7200.0)
    seen = facts(quarantine=waiting, replica=replace(REPLICA, indexes={"GSI_1": "CREATING"}))

    lines = shown(seen)

    assert "quarantine  2 objects, the oldest 2.0 h old, s3://kept/" in lines
    assert lines[-6:] == [
        "problem: the quarantine bucket has 2 objects with quarantined records: s3://kept/.",
        "  Try: `ddbreplica redrive --stack-name copy --dry-run`.",
        "note: logfile_replica has indexes that are not ACTIVE: GSI_1 is CREATING.",
        "  Try: wait until they are ACTIVE.",
        "",
        "NEEDS ATTENTION",
    ]


def test_an_unknown_value_has_a_reason() -> None:
    why = Unknown("AccessDenied: no")

    lines = shown(facts(mappings=why, figures=why, quarantine=why, on_failure=why, verification=why))

    assert lines[3:] == [
        "mapping     unknown: AccessDenied: no",
        "lag         unknown: AccessDenied: no",
        "verified    unknown: AccessDenied: no",
        "quarantine  unknown: AccessDenied: no",
        "on failure  unknown: AccessDenied: no",
        "",
        "replicating, as far as can be seen",
    ]


def test_a_table_that_cannot_be_described_has_a_reason() -> None:
    hidden = UnseenTable("AccessDenied: no", "logfile")

    assert shown(facts(source=hidden, replica=hidden))[:3] == [
        "source      unknown: AccessDenied: no",
        "replica     unknown: AccessDenied: no",
        "stream      unknown: AccessDenied: no",
    ]
    made = documented(facts(source=hidden))
    assert (made["source"], made["unknown"]) == (None, {"the source": "AccessDenied: no"})


def test_an_idle_stream_has_no_lag() -> None:
    assert "lag         idle, no invocation in the last 5 minutes" in shown(facts())
    assert "lag         idle, no invocation in the last 5 minutes; maximum in the last hour: 12.0 s" in shown(
        facts(figures=figures(IteratorAge=[(40, 12_000)]))
    )


def test_a_disabled_stream_and_no_mapping_are_shown() -> None:
    lines = shown(facts(source=replace(SOURCE, view=None), mappings=()))

    assert lines[2:4] == ["stream      off", "mapping     none"]
    assert lines[-1] == "NOT REPLICATING"


def test_a_document_contains_all_values() -> None:
    ours = {"REPLICATE_TTL_DELETES": "false", "WRITE_MODE": "mirror"}  # the second is from an earlier release
    mapping = replace(MAPPING, environment={**MAPPING.environment, **ours})

    made = documented(facts(figures=BUSY, mappings=(mapping,)))

    assert made.pop("source") == {
        "table": "logfile",
        "arn": f"{TABLE}logfile",
        "state": "ACTIVE",
        "items": 2000,
        "read_units": 10,
        "write_units": 5,
        "indexes": {"GSI_1": "ACTIVE"},
        "stream": STREAM,
        "view": "NEW_IMAGE",
        "ttl": None,
    }
    assert made.pop("replica")["table"] == "logfile_replica"
    assert made == {
        "verdict": "replicating",
        "findings": [],
        "mappings": [
            {
                "uuid": "11-22",
                "state": "Enabled",
                "state_reason": "USER_INITIATED",
                "last_result": "OK",
                "stream": STREAM,
                "starting_position": "TRIM_HORIZON",
                "modified_at": "2026-01-30T12:00:00+00:00",
                "function": "arn:aws:lambda:us-east-1:123456789012:function:replicator",
                "filter": [],
                "settings": {
                    "BatchSize": 100,
                    "FunctionResponseTypes": ["ReportBatchItemFailures"],
                    "REPLICATE_TTL_DELETES": "false",
                },
            }
        ],
        "figures": {
            "from": "2026-01-31T11:00:00+00:00",
            "to": "2026-01-31T12:00:00+00:00",
            "latest": "2026-01-31T11:59:00+00:00",
            "counts_from": "2026-01-31T11:20:00+00:00",
        },
        "lag_seconds": 0.4,
        "lag_trend": "steady",
        "last_hour": {
            "writes_applied": 1234,
            "deletes_applied": 5,
            "records_failed": 25,
            "records_quarantined": 1,
            "writes_suspect": 0,
            "records_given_up": 2,
            "records_dropped": 0,
            "function_errors": 3,
            "function_throttles": 0,
            "throttled": {"WriteThrottleEvents": 70, "WriteThrottleEvents GSI_1": 60},
        },
        "quarantine": {
            "place": "s3://kept/quarantine/logfile_replica/",
            "objects": 0,
            "or_more": False,
            "oldest": None,
        },
        "on_failure": {
            "place": "s3://given-up/aws/lambda/11-22/",
            "objects": 0,
            "or_more": False,
            "oldest": None,
        },
        "last_verification": None,
        "unknown": {},
    }


def test_the_last_verification_is_shown_with_what_was_written_since() -> None:
    rows = shown(facts(verification=verification()))

    assert rows[rows.index("throttled   no writes in the last hour") + 1 :][:2] == [
        (
            "verified    equal 3.0 h ago, from 2026-01-31 09:00 to 09:04 UTC; 2,000 items in the source and 2,001"
            " in the replica"
        ),
        "            written to the source since: 1,234 write capacity units (ConsumedWriteCapacityUnits)",
    ]
    assert rows[-1] == "replicating"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"verdict": "not equal"}, "verified    NOT EQUAL 3.0 h ago, from 2026-01-31 09:00 to 09:04 UTC; "),
        ({"verdict": "inconclusive"}, "verified    inconclusive 3.0 h ago, "),
        (
            {"consistency": "eventual"},
            "verified    equal 3.0 h ago, from 2026-01-31 09:00 to 09:04 UTC, with eventually consistent reads; ",
        ),
        (
            {"ended": NOW + timedelta(days=1)},
            "verified    equal 3.0 h ago, from 2026-01-31 09:00 to 2026-02-01 12:00 UTC; ",
        ),
        (
            {"began": NOW - timedelta(days=3)},
            "verified    equal 3 days ago, from 2026-01-28 12:00 to 2026-01-31 ",
        ),
        ({"began": NOW + timedelta(seconds=5)}, "verified    equal 0.0 s ago, "),
    ],
)
def test_how_the_last_verification_ended(changes: dict[str, Any], text: str) -> None:
    assert any(row.startswith(text) for row in shown(facts(verification=verification(**changes))))


def test_what_was_written_since_may_be_unknown() -> None:
    last = replace(verification(), written=Unknown("AccessDenied: no"))

    assert "            written to the source since: unknown: AccessDenied: no" in shown(
        facts(verification=last)
    )
    made = documented(facts(verification=last))
    assert made["last_verification"]["written_since"]["write_capacity_units"] is None
    assert made["unknown"] == {"what was written since the last verification": "AccessDenied: no"}
    assert made["verdict"] == "replicating, as far as can be seen"


def test_a_verification_of_earlier_tables_says_so() -> None:
    last = replace(verification(), written=None, recreated=("logfile", "logfile_replica"))

    assert "            of an earlier table of the name logfile and logfile_replica" in shown(
        facts(verification=last)
    )
    made = documented(facts(verification=last))["last_verification"]
    assert made["recreated"] == ["logfile", "logfile_replica"]
    assert made["written_since"]["write_capacity_units"] is None


def test_a_document_contains_the_record_of_the_last_verification() -> None:
    last = verification(moving=7)

    assert documented(facts(verification=last))["last_verification"] == {
        **last.record.document(),
        "object": f"s3://kept/{NAME}",
        "age_seconds": 10800.0 - 0.123456,
        "recreated": [],
        "transform_differs": False,
        "last_conclusive": {"verdict": "equal", "began": "2026-01-31T09:00:00.123456Z"},
        "written_since": {"metric": "ConsumedWriteCapacityUnits", "write_capacity_units": 1234},
    }


def test_a_record_cannot_control_the_terminal() -> None:
    hostile = verification(verdict="not equal", differences={"\x1b[2J": 1})

    assert "\x1b" not in "\n".join(shown(facts(verification=hostile)))


def test_a_document_contains_problems_and_unknown_values() -> None:
    made = documented(
        facts(mappings=(replace(MAPPING, state="Enabling"),), figures=Unknown("no metrics here"))
    )

    assert made["verdict"] == "needs attention"
    assert made["findings"] == [
        {
            "severity": "needs attention",
            "fact": "the event source mapping is Enabling",
            "try": "wait until it is Enabled",
        }
    ]
    assert made["last_hour"] is made["lag_seconds"] is made["figures"] is None
    assert made["unknown"] == {"CloudWatch's metrics": "no metrics here"}


def test_metrics_have_a_period() -> None:
    assert "metrics     from 11:00 to 12:00 UTC, latest at 11:59" in shown(facts())
    assert "metrics     from 11:00 to 12:00 UTC, no data" in shown(
        facts(figures=figures(PolledEventCount=[]))
    )


def test_metrics_of_the_function_may_begin_within_the_hour() -> None:
    updated = figures(
        IteratorAge=[(40, 400), (2, 400)], WritesApplied=[(20, 7)], RecordsQuarantined=[(20, 0)]
    )

    lines = shown(facts(figures=updated))

    assert "metrics     from 11:00 to 12:00 UTC, latest at 11:59; those of the function since 11:40" in lines
    assert "last hour   7 writes and 0 deletes applied; 0 records retried" in lines
    assert documented(facts(figures=updated))["figures"]["counts_from"] == "2026-01-31T11:40:00+00:00"


def test_counts_are_unknown_if_the_function_ran_without_metrics() -> None:
    silent = facts(
        figures=figures(IteratorAge=[(40, 400)], FailedInvokeEventCount=[(40, 25)], Errors=[(40, 3)])
    )

    lines = shown(silent)
    made = documented(silent)

    assert (
        "last hour   writes and deletes unknown: the function ran and emitted no metrics; 25 records retried"
        in lines
    )
    assert "            records quarantined: unknown, sent to the on-failure bucket: 0, dropped: 0" in lines
    assert "            in-doubt writes: unknown, failed invocations: 3" in lines
    hour = made["last_hour"]
    names = ("writes_applied", "deletes_applied", "records_quarantined", "writes_suspect")
    assert [hour[name] for name in names] == [None] * 4
    assert (hour["records_failed"], made["figures"]["counts_from"]) == (25, None)
    assert made["verdict"] == "replicating"


def test_counts_are_zero_if_the_function_did_not_run() -> None:
    assert "last hour   0 writes and 0 deletes applied; 0 records retried" in shown(facts())
    assert documented(facts())["last_hour"]["writes_applied"] == 0


def test_an_index_without_a_state_and_a_flag_are_spelled_out() -> None:
    seen = facts(
        replica=replace(REPLICA, indexes={"GSI_1": "unknown"}),
        mappings=(replace(MAPPING, settings={"BisectBatchOnFunctionError": True}),),
    )

    lines = shown(seen)

    assert lines[1].endswith(", index GSI_1 of unknown state")
    assert "settings    BisectBatchOnFunctionError true" in lines
