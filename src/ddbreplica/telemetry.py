"""What an invocation did → one log line and one set of metrics. No item's content, at any level above DEBUG."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from ddbreplica.decode import Decoded
from ddbreplica.model import Failure
from ddbreplica.quarantine import Kept
from ddbreplica.write import Outcome


@dataclass(frozen=True, slots=True)
class Summary:
    """One invocation in numbers.

    `counts` are by metric name. `lag` is how old the oldest record was when it was applied, in seconds; None if
    nothing was applied or no record says. `refusals` counts the error codes that were met.
    """

    counts: Mapping[str, int]
    lag: float | None
    refusals: Mapping[str, int]


def summarise(decoded: Decoded, outcome: Outcome, kept: Kept, *, now: float) -> Summary:
    """Count what was done. `now` is when the writes had ended, in seconds since the epoch."""
    deletes = sum(write.is_delete for write in outcome.applied)
    oldest = decoded.oldest_created_at
    codes = Counter(record.error_code for record in (*decoded.malformed, *outcome.poison, *outcome.suspects))
    codes.update(failure.refusal.code for failure in (*outcome.failures, *kept.failures))
    return Summary(
        counts={
            "RecordsReceived": decoded.received,
            "RecordsCoalesced": sum(len(write.earlier) for write in outcome.applied),
            "WritesApplied": len(outcome.applied) - deletes,
            "DeletesApplied": deletes,
            "WritesRetried": outcome.retried,
            "WritesFailed": len(outcome.failures),
            "WritesSuspect": kept.suspects,
            "RecordsQuarantined": kept.poison,
            "TtlDeletesSkipped": decoded.ttl_deletes_skipped,
        },
        lag=max(0.0, now - oldest) if oldest is not None and outcome.applied else None,
        refusals=codes,
    )


class Telemetry:
    """Where the numbers go: CloudWatch Logs, and by way of the log (embedded metric format) CloudWatch metrics."""

    def __init__(self, *, service: str, namespace: str, table: str) -> None:
        """`table` is the replica table's name, the metrics' dimension beside `service`."""
        self._logger = Logger(service=service)
        self._metrics = EphemeralMetrics(service=service, namespace=namespace)
        self._table = table

    def publish(self, summary: Summary, *, reported: Failure | None, request_id: str) -> None:
        """Write one line and all metrics. `reported` is the record that Lambda is told of."""
        log = self._logger.warning if summary.refusals else self._logger.info
        log(
            "batch applied" if reported is None else "batch applied up to a failure",
            extra={
                "function_request_id": request_id,
                "replica_table": self._table,
                "reported_sequence_number": reported.sequence_number if reported else None,
                "refusals": summary.refusals,
                "lag_seconds": summary.lag,
                **summary.counts,
            },
        )
        self._metrics.add_dimension(name="ReplicaTable", value=self._table)
        for name, count in summary.counts.items():
            self._metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
        if summary.lag is not None:
            self._metrics.add_metric(
                name="ReplicationLag", unit=MetricUnit.Milliseconds, value=summary.lag * 1000
            )
        self._metrics.flush_metrics()
