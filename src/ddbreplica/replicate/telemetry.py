"""Write one log line and one set of metrics for each invocation, without any content of an item."""

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TextIO

from ddbreplica.bucket.quarantine import QuarantineResult
from ddbreplica.errors import SettingsError
from ddbreplica.model import Failure
from ddbreplica.records.decode import Decoded
from ddbreplica.replicate.redact import redact
from ddbreplica.replicate.write import Outcome

_unusable: Exception | None = None
try:
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
except Exception as error:  # noqa: BLE001  raised later, since Settings explains a wrong variable of Powertools better
    _unusable = error

MAX_CODES = 20
"""The most error codes for which the log line has a message. DynamoDB has fewer; a proxy may send any number."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one invocation.

    `counts` are by metric name. `lag` is the age of the oldest record when it was applied, in seconds, or None if
    nothing was applied or no record has a time. `refusals` counts the error codes, and `messages` has the message of
    the first error with each code.
    """

    counts: Mapping[str, int]
    lag: float | None
    refusals: Mapping[str, int]
    messages: Mapping[str, str]


def summarise(decoded: Decoded, outcome: Outcome, kept: QuarantineResult, *, now: float) -> Summary:
    """Return the figures of an invocation. `now` is when its writes had ended, in seconds since the epoch."""
    deletes = sum(write.is_delete for write in outcome.applied)
    oldest = decoded.oldest_created_at
    met = tuple(_met(decoded, outcome, kept))
    return Summary(
        counts={
            "RecordsReceived": decoded.received,
            "RecordsCoalesced": sum(len(write.earlier) for write in outcome.applied),
            "WritesApplied": len(outcome.applied) - deletes,
            "DeletesApplied": deletes,
            "WritesRetried": outcome.retried,
            "WritesFailed": len(outcome.failures),
            # Not in RecordsQuarantined: each of these records is also applied, reported or poison.
            "WritesSuspect": kept.in_doubt,
            "InDoubtLost": len(outcome.in_doubt) - kept.in_doubt,
            "RecordsQuarantined": kept.poison,
            "TtlDeletesSkipped": decoded.ttl_deletes_skipped,
        },
        lag=max(0.0, now - oldest) if oldest is not None and outcome.applied else None,
        refusals=Counter(code for code, _ in met),
        messages={code: redact(message) for code, message in islice(_first_of_each(met), MAX_CODES)},
    )


def _met(decoded: Decoded, outcome: Outcome, kept: QuarantineResult) -> Iterator[tuple[str, str]]:
    """Yield the code and the message of each refusal."""
    for record in (*decoded.poison, *outcome.poison, *outcome.in_doubt):
        yield record.error_code, record.reason
    for failure in (*outcome.failures, *kept.failures):
        yield failure.refusal.code, failure.refusal.message


def _first_of_each(met: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for code, message in met:
        if code not in seen:
            seen.add(code)
            yield code, message


class _Stdout(logging.StreamHandler[TextIO]):
    """A log handler for stdout. It raises an error to its caller; logging would print the error to stderr instead."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  as logging has it
        raise  # noqa: PLE0704  logging calls this method while it handles an error


class Telemetry:
    """Writes the log line to CloudWatch Logs, and the metrics in the log's embedded metric format."""

    def __init__(
        self, *, service: str, namespace: str, function: str, table: str, level: str = "INFO"
    ) -> None:
        """Set up Powertools. `service`, `function` and `table` are dimensions of the metrics.

        Raises SettingsError if Powertools cannot be set up.
        """
        # Two functions of one account and Region may write to replicas of the same name in other Regions or accounts.
        # By the table alone their metrics would be added up.
        self._dimensions = {"ReplicaTable": table, "FunctionName": function}
        self._table = table
        self._namespace = namespace
        self._service = service
        try:
            if _unusable is not None:
                raise _unusable  # noqa: TRY301
            # In ASCII and on one line, whatever the encoding of stdout and POWERTOOLS_DEV are.
            as_json = partial(json.dumps, default=str, separators=(",", ":"))
            self._logger = Logger(
                service=service, level=level, logger_handler=_Stdout(), json_serializer=as_json
            )
        except Exception as error:
            raise SettingsError(
                f"The log line and the metrics cannot be set up: {type(error).__name__}: {str(error).rstrip('.')}.",
                hint="Check the function's environment variables whose names begin with POWERTOOLS_ or PYTHON.",
            ) from error

    def publish(
        self,
        decoded: Decoded,
        outcome: Outcome,
        kept: QuarantineResult,
        *,
        ended_at: float,
        reported: Failure | None,
        request_id: str,
    ) -> None:
        """Write the log line and the metrics of an invocation. Never raises, since the batch was already applied.

        `ended_at` is when the writes had ended, and `reported` the first record that Lambda delivers again.
        """
        with _never_raising(request_id):
            summary = summarise(decoded, outcome, kept, now=ended_at)
            # Separately, so that a log line that fails does not take the metrics, and the alarms on them, with it.
            with _never_raising(request_id):
                self._log(summary, reported, request_id)
            self._emit(summary.counts, lag=summary.lag)

    def publish_lost(self, in_doubt: int) -> None:
        """Count in-doubt writes whose records could not be kept, of an invocation that fails. Never raises."""
        if in_doubt:
            with suppress(Exception):  # the invocation fails with an error that says more
                self._emit({"InDoubtLost": in_doubt}, lag=None)

    def _log(self, summary: Summary, reported: Failure | None, request_id: str) -> None:
        log = self._logger.warning if summary.refusals else self._logger.info
        log(
            "batch applied" if reported is None else "batch applied up to a failure",
            extra={
                "function_request_id": request_id,
                "replica_table": self._table,
                "reported_sequence_number": reported.sequence_number if reported else None,
                "refusals": summary.refusals,
                "refusal_messages": summary.messages,
                "lag_seconds": summary.lag,
                **summary.counts,
            },
        )

    def _emit(self, counts: Mapping[str, int], *, lag: float | None) -> None:
        # A new set for each invocation: figures that could not be written would otherwise be added to the next ones.
        metrics = EphemeralMetrics(service=self._service, namespace=self._namespace)
        for name, value in self._dimensions.items():
            metrics.add_dimension(name=name, value=value)
        for name, count in counts.items():
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
        if lag is not None:
            metrics.add_metric(name="ReplicationLag", unit=MetricUnit.Milliseconds, value=lag * 1000)
        metrics.flush_metrics()


@contextmanager
def _never_raising(request_id: str) -> Iterator[None]:
    """Suppress any error of telemetry, and try to write one line about it to stderr.

    The line has only the type of the error, since its text may contain values of items.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001  Lambda would deliver the batch again for hours, although it was applied
        with suppress(Exception):
            print(  # noqa: T201
                f"The log line or the metrics of the request {request_id} could not be written"
                f" ({type(error).__name__}); its batch was processed all the same.",
                file=sys.stderr,
                flush=True,
            )
