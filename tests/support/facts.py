"""The facts of a healthy replication, which a test changes in one way."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ddbreplica.inspect.facts import Depth, Facts, Figures, LastVerification, TableFacts
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica_cli.terminal.options import Options
from tests.support.verified import CREATED_AT, record

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/"
STREAM = f"{TABLE}logfile/stream/2026-01-01T00:00:00.000"
EARLIER_STREAM = f"{TABLE}logfile/stream/2025-01-01T00:00:00.000"
OPTIONS = Options(None, None, "copy", None, None, None, None, None, as_json=False)

MAPPING = MappingState(
    uuid="11-22",
    stream_arn=STREAM,
    state="Enabled",
    state_reason="USER_INITIATED",
    last_result="OK",
    starting_position="TRIM_HORIZON",
    modified_at=NOW - timedelta(days=1),
    on_failure="arn:aws:s3:::given-up",
    counts_events=True,
    patterns=(),
    function_arn="arn:aws:lambda:us-east-1:123456789012:function:replicator",
    function_name="replicator",
    log_group="/log",
    settings={"BatchSize": 100, "FunctionResponseTypes": ["ReportBatchItemFailures"]},
    environment={"REPLICA_TABLE_NAME": "logfile_replica", "QUARANTINE_BUCKET": "kept"},
    log_level="INFO",
)


def table(name: str, **changes: Any) -> TableFacts:
    facts = TableFacts(
        name=name,
        arn=TABLE + name,
        created_at=CREATED_AT,
        state="ACTIVE",
        key_schema=frozenset({("PK", "S")}),
        items=2000,
        capacity=(10, 5),
        indexes={"GSI_1": "ACTIVE"},
        stream_arn=None,
        view=None,
        ttl=None,
    )
    return replace(facts, **changes)


SOURCE = table("logfile", stream_arn=STREAM, view="NEW_IMAGE")
REPLICA = table("logfile_replica")


def figures(**values: Sequence[tuple[float, float]]) -> Figures:
    """Return metrics as (minutes ago, value). By default the mapping polls the stream."""
    polled = {"PolledEventCount": [(1.0, 0.0)]}
    series = {
        name.replace("_by_", " "): [(NOW - timedelta(minutes=ago), value) for ago, value in points]
        for name, points in (polled | values).items()
    }
    return Figures(NOW, series)


def verification(**changes: Any) -> LastVerification:
    """Return a last verification whose record has these changes, of three hours ago."""
    last = record(**{"patterns": (), **changes})
    conclusive = None if last.verdict == "inconclusive" else last
    return LastVerification(last, f"s3://kept/{last.name}", NOW, (), conclusive, written=1234)


def facts(**changes: Any) -> Facts:
    healthy = Facts(
        source=SOURCE,
        replica=REPLICA,
        mappings=(MAPPING,),
        figures=figures(),
        quarantine=Depth("s3://kept/quarantine/logfile_replica/", 0, or_more=False, oldest=None),
        on_failure=Depth("s3://given-up/aws/lambda/11-22/", 0, or_more=False, oldest=None),
        verification=None,
    )
    return replace(healthy, **changes)
