"""Find the problems of a replication, what to try about each, and a verdict. Pure.

An unknown value is never a problem by itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from ddbreplica.aws.request import Unknown
from ddbreplica.bucket.verification_record import INCONCLUSIVE, NOT_EQUAL, VerificationRecord
from ddbreplica.dynamodb.location import Location
from ddbreplica.errors import SettingsError, TaskError
from ddbreplica.inspect.facts import Depth, Facts, Figures, LastVerification, TableFacts, UnseenTable
from ddbreplica.mapping.event_source_mapping import TAG, MappingState
from ddbreplica.mapping.safeguards import archive_warning
from ddbreplica.model import WRITABLE
from ddbreplica.records.schema import key_schema_text
from ddbreplica.records.text import duration
from ddbreplica.settings import Settings

RECENTLY = timedelta(minutes=5)
STALLED = timedelta(minutes=15)
LAG_WARNING_SECONDS = 900.0

REPLICATING = "replicating"
AS_FAR_AS_SEEN = "replicating, as far as can be seen"

_VIEWS_WITH_NEW_IMAGE = frozenset({"NEW_IMAGE", "NEW_AND_OLD_IMAGES"})
_CHANGING = frozenset({"CREATING", "UPDATING", "DELETING"})
_SETTLING = frozenset({"Creating", "Enabling", "Updating"})
_BLIND = "the alarm RecordsQuarantined cannot go off"
_NO_TREND = "with no trend to be seen"
_STATE_HINTS = {
    "INACCESSIBLE_ENCRYPTION_CREDENTIALS": "restore access to its KMS key; DynamoDB archives the table after 7 days"
}


class Severity(StrEnum):
    """The effect of a finding on the replication, the worst first."""

    STOPPED = "not replicating"
    ATTENTION = "needs attention"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem or a note, and what to try about it."""

    severity: Severity
    fact: str
    hint: str


def verdict(facts: Facts, findings: Sequence[Finding]) -> str:
    """Return the worst severity of the findings. Without a problem, say whether all values could be read."""
    severities = {finding.severity for finding in findings}
    for severity in (Severity.STOPPED, Severity.ATTENTION):
        if severity in severities:
            return severity.value
    return AS_FAR_AS_SEEN if facts.unknowns else REPLICATING


def examine(facts: Facts, options: Location) -> tuple[Finding, ...]:
    """Return the problems, the worst first. Commands in the hints contain the options that name the same tables."""
    return worst_first(_Examination(facts, options).findings())


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings by severity, the worst first; findings of one severity keep their order."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


class _Examination:
    def __init__(self, facts: Facts, options: Location) -> None:
        self._facts = facts
        self._source = facts.source
        self._replica = facts.replica
        self._place = options.place
        self._replica_place = options.replica_place
        self._backfill = f"`ddbreplica backfill{options.tables}`"
        self._verify = f"`ddbreplica verify{options.tables}`"
        self._repair = f"`ddbreplica verify{options.tables} --repair`"
        self._redrive = f"`ddbreplica redrive{options.tables} --dry-run`"
        self._status = f"`ddbreplica status{options.tables}`"
        self._stack = f"the stack {options.stack_name}" if options.stack_name else "its stack"
        self._no_mapping_hint = (
            f'restore the mapping of {self._stack} (docs/runbook.md, "A resource was changed by hand")'
            if options.stack_name
            else "check --source, --replica and --region, or deploy a stack for these tables (docs/deployment.md)"
        )

    def findings(self) -> Iterator[Finding]:
        yield from _of_the_pair(self._source, self._replica)
        for table in (self._source, self._replica):
            yield from _of_state(table)
        yield from self._of_expiry()
        yield from self._of_archive()
        yield from self._of_the_stream()
        yield from self._of_buckets()
        if isinstance(self._facts.verification, LastVerification):
            yield from self._of_verification(self._facts.verification)
        mapping, figures = self._facts.mapping, self._facts.figures
        if mapping is not None and isinstance(figures, Figures):
            yield from self._of_lag(mapping, figures)
            yield from self._of_failures(mapping, figures)

    def _of_expiry(self) -> Iterator[Finding]:
        attribute = None if isinstance(self._replica, Unknown) else self._replica.ttl
        if isinstance(attribute, str):
            yield Finding(
                Severity.ATTENTION,
                f"the replica {self._replica.name} has TTL enabled on the attribute {attribute}, so it deletes items"
                " that the source has",
                f"`aws dynamodb update-time-to-live --table-name {self._replica.name} --time-to-live-specification"
                f" Enabled=false,AttributeName={attribute}{self._replica_place}`, then {self._repair}",
            )

    def _of_archive(self) -> Iterator[Finding]:
        mapping, source = self._facts.mapping, self._source
        is_archive = mapping is not None and not mapping.replicates_ttl_deletes
        if is_archive and isinstance(source, TableFacts) and source.replicas:
            yield Finding(
                Severity.NOTE,
                archive_warning(source.name, source.replicas),
                "do not rely on the archive for items that expire in another Region",
            )

    def _of_the_stream(self) -> Iterator[Finding]:
        source = self._source
        if isinstance(source, TableFacts) and source.view is None:
            yield Finding(
                Severity.STOPPED,
                f"the stream of {source.name} is disabled, so its changes are not recorded",
                f"`{self._enable(source)}`, then {self._status} for the next step",
            )
        elif isinstance(source, TableFacts) and source.view not in _VIEWS_WITH_NEW_IMAGE:
            yield Finding(
                Severity.STOPPED,
                f"the stream of {source.name} has the view type {source.view}, which contains no new images",
                f"`{self._disable(source)}`, then `{self._enable(source)}`, then {self._status} for"
                " the next step",
            )
        elif not isinstance(self._facts.mappings, Unknown):
            yield from self._of_mappings(self._facts.mappings)

    def _of_mappings(self, mappings: Sequence[MappingState]) -> Iterator[Finding]:
        if not self._facts.present:
            yield self._no_mapping(mappings)
        if len(mappings) > 1:
            uuids = ", ".join(mapping.uuid for mapping in mappings)
            yield Finding(
                Severity.ATTENTION,
                f"{len(mappings)} event source mappings write to {self._replica.name}, so old images may overwrite"
                f" newer ones: {uuids}",
                f"`aws lambda delete-event-source-mapping --uuid …{self._place}` for all but one, then {self._repair}",
            )
        for mapping in self._facts.present:
            yield from self._of_state(mapping)
            yield from self._of_settings(mapping)
            yield from _of_filter(mapping)

    def _no_mapping(self, mappings: Sequence[MappingState]) -> Finding:
        if mappings and isinstance(self._source, TableFacts):
            present = self._source.stream_arn or ""
            return Finding(
                Severity.STOPPED,
                f"the mapping {mappings[0].uuid} reads an old stream of {self._source.name},"
                f" {label(mappings[0].stream_arn)}; the present stream is {label(present)}",
                f"deploy {self._stack} with SourceStreamArn={present}"
                f' (docs/runbook.md, "The source has a new stream"), then {self._repair}',
            )
        return Finding(
            Severity.STOPPED,
            f"no event source mapping of a function with the tag {TAG} replicates {self._source.name} to"
            f" {self._replica.name}",
            f"{self._no_mapping_hint}, then {self._repair}",
        )

    def _of_state(self, mapping: MappingState) -> Iterator[Finding]:
        if mapping.state in _SETTLING:
            yield Finding(
                Severity.ATTENTION, f"the event source mapping is {mapping.state}", "wait until it is Enabled"
            )
        elif not mapping.is_enabled:
            yield Finding(
                Severity.STOPPED,
                f"the event source mapping is {mapping.state}{_reason(mapping)}",
                f"`aws lambda update-event-source-mapping --uuid {mapping.uuid} --enabled{self._place}`; if it was"
                f" stopped for more than 24 hours, then {self._repair}",
            )
        elif mapping.has_failed:
            yield Finding(
                Severity.ATTENTION,
                f"the last processing result of the event source mapping is {mapping.last_result}",
                self._log(mapping),
            )
        if not mapping.sees_all:
            yield Finding(
                Severity.NOTE,
                f"the event source mapping started at {mapping.starting_position}; earlier changes were not replicated",
                f"{self._verify}; if they differ, {self._repair}",
            )

    def _of_settings(self, mapping: MappingState) -> Iterator[Finding]:
        try:
            # By the function's own check, so that both refuse the same values.
            settings = Settings.from_env(mapping.environment)
        except SettingsError as error:
            yield Finding(
                Severity.STOPPED,
                f"the function {mapping.function_name} rejects a setting: {error.fact}",
                f"{error.hint} Deploy {self._stack} with the right parameter; if the variable was changed by hand,"
                " correct it in the function's configuration",
            )
        else:
            yield from self._of_metrics(mapping, settings)
        if isinstance(self._facts.transform, Unknown):
            yield Finding(
                Severity.STOPPED,
                f"the function {mapping.function_name} rejects its transform: {self._facts.transform.why.rstrip('.')}",
                f"`ddbreplica transform check` on the file of its rules, then deploy {self._stack} with the line"
                " that it prints",
            )

    def _of_metrics(self, mapping: MappingState, settings: Settings) -> Iterator[Finding]:
        """Yield what keeps the function's metrics from CloudWatch, so that an alarm cannot go off."""
        name = mapping.function_name
        if not settings.emits_metrics:
            yield Finding(
                Severity.ATTENTION,
                f"the function {name} emits no metrics, because POWERTOOLS_METRICS_DISABLED or POWERTOOLS_DEV is set;"
                f" {_BLIND}",
                "remove these environment variables from the function's configuration",
            )
        elif not mapping.keeps_metrics:
            yield Finding(
                Severity.ATTENTION,
                f"the application log level of the function {name} is {mapping.log_level}, so Lambda drops the"
                f" function's metrics; {_BLIND}",
                f"`aws lambda update-function-configuration --function-name {name} --logging-config LogFormat=JSON,"
                f"ApplicationLogLevel=INFO,LogGroup={mapping.log_group}{self._place}`",
            )

    def _of_buckets(self) -> Iterator[Finding]:
        waiting = (
            ("the quarantine bucket", "quarantined records", self._facts.quarantine),
            ("the on-failure bucket", "discarded batches", self._facts.on_failure),
        )
        for bucket, what, depth in waiting:
            if isinstance(depth, Depth) and depth.objects:
                fact = f"{bucket} has {counted(depth)} with {what}: {depth.place}"
                yield Finding(Severity.ATTENTION, fact, self._redrive)

    def _of_verification(self, last: LastVerification) -> Iterator[Finding]:
        record, mapping = last.record, self._facts.mapping
        verification = f"the last verification, which began at {_time(record)}"
        again = f"{self._verify}; if they differ, {self._repair}"
        if last.recreated:
            fact = f"{verification}, was of an earlier table of the name {' and '.join(last.recreated)}"
            yield Finding(Severity.NOTE, fact, again)
            return
        # An inconclusive verification does not show that the differences of an earlier one are gone.
        if (conclusive := last.conclusive) is not None and conclusive.verdict == NOT_EQUAL:
            which = "last" if conclusive == record else "last conclusive"
            fact = f"the {which} verification, which began at {_time(conclusive)}, found differences:"
            yield Finding(Severity.ATTENTION, f"{fact} {_differences(conclusive)}", again)
        if record.verdict == INCONCLUSIVE:
            yield Finding(Severity.NOTE, f"{verification}, was inconclusive", again)
        if mapping is not None and mapping.patterns not in (None, record.patterns):
            fact = f"{verification}, had another key filter than the mapping has now"
            yield Finding(Severity.NOTE, fact, again)
        if self._facts.transform_differs:
            fact = f"{verification}, was of another transform than the function has now"
            copy = f"{self._backfill} if the items were not copied since the change, then {self._verify}"
            yield Finding(Severity.NOTE, fact, copy)

    def _of_lag(self, mapping: MappingState, figures: Figures) -> Iterator[Finding]:
        age = figures.most("IteratorAge", since=RECENTLY)
        if age is not None and age >= LAG_WARNING_SECONDS * 1000:
            yield Finding(
                Severity.ATTENTION,
                f"the lag is {duration(age / 1000)}, {trend_text(figures)}",
                self._log(mapping),
            )
        # A mapping that was created or updated reports nothing for some minutes.
        is_young = mapping.modified_at > figures.taken_at - STALLED
        # A mapping that polls reports zeros while there is nothing to read.
        polled = figures.most("PolledEventCount", since=STALLED)
        if mapping.is_enabled and mapping.counts_events and not is_young and polled is None:
            yield Finding(
                Severity.STOPPED,
                "the event source mapping has not polled the stream for 15 minutes",
                f"`aws lambda get-event-source-mapping --uuid {mapping.uuid}{self._place}`, and look at State and"
                " LastProcessingResult",
            )

    def _of_failures(self, mapping: MappingState, figures: Figures) -> Iterator[Finding]:
        if count := figures.total("DroppedEventCount"):
            fact = f"Lambda discarded {_number(count, 'record')} in the last hour and kept no copy"
            yield Finding(Severity.ATTENTION, fact, self._repair)
        if count := figures.total("DestinationDeliveryFailures"):
            batches = _number(count, "discarded batch", "discarded batches")
            fact = f"Lambda could not send {batches} to the on-failure bucket in the last hour"
            yield Finding(
                Severity.ATTENTION,
                fact,
                f'restore the bucket or the access of the function\'s role to it (docs/runbook.md, "Lost records"),'
                f" then {self._repair}",
            )
        if count := figures.total("Errors", since=RECENTLY):
            invocations = _number(count, "invocation")
            fact = (
                f"{invocations} of the function failed in the last 5 minutes; Lambda retries failed batches"
            )
            yield Finding(Severity.ATTENTION, fact, self._log(mapping))
        if count := figures.total("FailedInvokeEventCount", since=RECENTLY):
            records = _number(count, "record")
            fact = f"{records} could not be applied in the last 5 minutes; Lambda retries failed records"
            yield Finding(Severity.ATTENTION, fact, self._log(mapping))
        if count := figures.total("Throttles", since=RECENTLY):
            fact = f"Lambda throttled {_number(count, 'invocation')} in the last 5 minutes"
            yield Finding(
                Severity.NOTE,
                fact,
                f"`aws lambda get-function-concurrency --function-name {mapping.function_name}{self._place}`; if it"
                f" prints nothing, `aws lambda get-account-settings{self._place}`",
            )
        if throttled := figures.throttled(since=RECENTLY):
            fact = f"the replica throttled {_number(max(throttled.values()), 'write')} in the last 5 minutes"
            yield Finding(
                Severity.NOTE,
                fact,
                "raise the write capacity units of the table and its indexes, or use on-demand capacity"
                ' (docs/runbook.md, "DynamoDB throttles the replica")',
            )

    def _log(self, mapping: MappingState) -> str:
        return f"`aws logs tail {mapping.log_group} --since 1h{self._place}`"

    def _enable(self, source: TableFacts) -> str:
        return self._set_stream(source, "StreamEnabled=true,StreamViewType=NEW_IMAGE")

    def _disable(self, source: TableFacts) -> str:
        return self._set_stream(source, "StreamEnabled=false")

    def _set_stream(self, source: TableFacts, specification: str) -> str:
        return (
            f"aws dynamodb update-table --table-name {source.name} --stream-specification"
            f" {specification}{self._place}"
        )


def trend(figures: Figures) -> str:
    """Compare the lag of the last 5 minutes with that of the 10 minutes before. JSON documents contain the result."""
    now = figures.most("IteratorAge", since=RECENTLY)
    before = figures.most("IteratorAge", since=STALLED, until=RECENTLY)
    if now is None or before is None:
        return _NO_TREND
    # A change of less than one second or one tenth is not a trend.
    slack = max(1000.0, before / 10)
    return "rising" if now > before + slack else "falling" if now < before - slack else "steady"


def trend_text(figures: Figures) -> str:
    """Return the trend of the lag as messages say it."""
    found = trend(figures)
    return "trend unknown" if found == _NO_TREND else found


def counted(depth: Depth) -> str:
    """Return the number of objects, such as `1 object` or `10,000 objects or more`."""
    return f"{_number(depth.objects, 'object')}{' or more' if depth.or_more else ''}"


def _number(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def _time(record: VerificationRecord) -> str:
    return f"{record.began:%Y-%m-%d %H:%M} UTC"


def _differences(record: VerificationRecord) -> str:
    found = [f"{count:,} {finding}" for finding, count in record.differences.items() if count]
    repaired = [f"{record.repaired:,} repaired"] if record.repaired else []
    return ", ".join(found + repaired) or "not counted"


def _of_the_pair(source: TableFacts | UnseenTable, replica: TableFacts | UnseenTable) -> Iterator[Finding]:
    if isinstance(source, Unknown) or isinstance(replica, Unknown):
        return
    if source.arn == replica.arn:
        yield Finding(
            Severity.STOPPED,
            f"source and replica are the same table, {source.arn}",
            "name two tables with --source and --replica",
        )
    if source.key_schema != replica.key_schema:
        yield Finding(
            Severity.STOPPED,
            f"the primary key of the source is {key_schema_text(source.key_schema)}, but that of the replica is"
            f" {key_schema_text(replica.key_schema)}",
            "check --source and --replica, or recreate the replica with the source's key",
        )


def _of_state(table: TableFacts | UnseenTable) -> Iterator[Finding]:
    if isinstance(table, UnseenTable):
        if table.is_missing:
            hint = "recreate the table (docs/runbook.md), or delete the stack if you no longer need it"
            yield Finding(Severity.STOPPED, table.why.rstrip("."), hint)
        return
    changing = [f"{name} is {state}" for name, state in table.indexes.items() if state in _CHANGING]
    if table.state not in WRITABLE:
        yield Finding(
            Severity.STOPPED,
            f"the table {table.name} is {table.state}",
            _STATE_HINTS.get(table.state, "wait until it is ACTIVE"),
        )
    elif changing:
        yield Finding(
            Severity.NOTE,
            f"{table.name} has indexes that are not ACTIVE: {', '.join(changing)}",
            "wait until they are ACTIVE",
        )


def _of_filter(mapping: MappingState) -> Iterator[Finding]:
    try:
        _ = mapping.key_filter
    except TaskError as error:
        severity = Severity.NOTE if mapping.patterns is None else Severity.ATTENTION
        yield Finding(severity, error.fact.rstrip("."), error.hint.rstrip("."))


def label(stream_arn: str) -> str:
    """Return the label of a stream, which is the time when it was created."""
    return stream_arn.rpartition("/")[2]


def _reason(mapping: MappingState) -> str:
    return f" ({mapping.state_reason})" if mapping.state_reason else ""
