"""What was seen of a replication → what is wrong with it, what to try, and a verdict. Pure.

Nothing is concluded from a figure that is unknown.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from ddbreplica.aws.request import Unknown
from ddbreplica.dynamodb.location import Location
from ddbreplica.errors import SettingsError, TaskError
from ddbreplica.inspect.facts import Depth, Facts, Figures, TableFacts, UnseenTable
from ddbreplica.mapping.event_source_mapping import TAG, MappingState
from ddbreplica.mapping.safeguards import archive_warning
from ddbreplica.model import WRITABLE
from ddbreplica.records.schema import key_schema_text
from ddbreplica.settings import Settings

RECENTLY = timedelta(minutes=5)
STALLED = timedelta(minutes=15)
LAG_WARNING_SECONDS = 900.0

REPLICATING = "replicating"
AS_FAR_AS_SEEN = "replicating, as far as can be seen"

_VIEWS_WITH_NEW_IMAGE = frozenset({"NEW_IMAGE", "NEW_AND_OLD_IMAGES"})
_CHANGING = frozenset({"CREATING", "UPDATING", "DELETING"})
_SETTLING = frozenset({"Creating", "Enabling", "Updating"})
_BLIND = "the alarm on quarantined records cannot fire"


class Severity(StrEnum):
    """What a finding means for the replica, the worst first."""

    STOPPED = "not replicating"
    ATTENTION = "needs attention"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know, and what to try about it."""

    severity: Severity
    fact: str
    hint: str


def verdict(facts: Facts, findings: Sequence[Finding]) -> str:
    """The worst of the findings; if none is worse than a note, whether all was seen."""
    severities = {finding.severity for finding in findings}
    for severity in (Severity.STOPPED, Severity.ATTENTION):
        if severity in severities:
            return severity.value
    return AS_FAR_AS_SEEN if facts.unknowns else REPLICATING


def examine(facts: Facts, options: Location) -> tuple[Finding, ...]:
    """What is wrong, the worst first. Commands in the hints are given the options that name the same tables."""
    return worst_first(_Examination(facts, options).findings())


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those of one severity stay in their order."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


class _Examination:
    def __init__(self, facts: Facts, options: Location) -> None:
        self._facts = facts
        self._source = facts.source
        self._replica = facts.replica
        self._place = options.place
        self._replica_place = options.replica_place
        self._verify = f"`ddbreplica verify{options.tables}`"
        self._repair = f"`ddbreplica verify{options.tables} --repair`"
        self._redrive = f"`ddbreplica redrive{options.tables} --dry-run`"

    def findings(self) -> Iterator[Finding]:
        yield from _of_the_pair(self._source, self._replica)
        for table in (self._source, self._replica):
            yield from _of_state(table)
        yield from self._of_expiry()
        yield from self._of_archive()
        yield from self._of_the_stream()
        yield from self._of_buckets()
        mapping, figures = self._facts.mapping, self._facts.figures
        if mapping is not None and isinstance(figures, Figures):
            yield from self._of_lag(mapping, figures)
            yield from self._of_failures(mapping, figures)

    def _of_expiry(self) -> Iterator[Finding]:
        attribute = None if isinstance(self._replica, Unknown) else self._replica.ttl
        if isinstance(attribute, str):
            yield Finding(
                Severity.ATTENTION,
                f"{self._replica.name} has a time to live of its own, by {attribute}: it deletes what the source has",
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
                "do not rely on the archive for items that expire",
            )

    def _of_the_stream(self) -> Iterator[Finding]:
        source = self._source
        if isinstance(source, TableFacts) and source.view is None:
            yield Finding(
                Severity.STOPPED,
                f"the stream of {source.name} is off, so that its changes are not recorded",
                f"deploy again (sam deploy), then {self._repair}",
            )
        elif isinstance(source, TableFacts) and source.view not in _VIEWS_WITH_NEW_IMAGE:
            yield Finding(
                Severity.STOPPED,
                f"the stream of {source.name} carries no new images, but {source.view}",
                f"deploy again with NEW_IMAGE, which makes another stream, then {self._repair}",
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
                f"{len(mappings)} mappings write to {self._replica.name}, so that old images may follow newer ones:"
                f" {uuids}",
                f"delete all but one, then {self._repair}",
            )
        for mapping in self._facts.present:
            yield from self._of_state(mapping)
            yield from self._of_settings(mapping)
            yield from _of_filter(mapping)

    def _no_mapping(self, mappings: Sequence[MappingState]) -> Finding:
        fact = (
            f"no mapping of a function with the tag {TAG} brings the stream of {self._source.name} to"
            f" {self._replica.name}"
        )
        if mappings and isinstance(self._source, TableFacts):
            earlier, present = label(mappings[0].stream_arn), label(self._source.stream_arn or "")
            fact = (
                f"the mapping {mappings[0].uuid} reads the stream {earlier} of {self._source.name}, which is"
                f" {present} by now"
            )
        return Finding(Severity.STOPPED, fact, f"deploy again (sam deploy), then {self._repair}")

    def _of_state(self, mapping: MappingState) -> Iterator[Finding]:
        if mapping.state in _SETTLING:
            yield Finding(Severity.ATTENTION, f"the mapping is {mapping.state}", "wait until it is Enabled")
        elif not mapping.is_enabled:
            yield Finding(
                Severity.STOPPED,
                f"the mapping is {mapping.state}{_reason(mapping)}",
                f"`aws lambda update-event-source-mapping --uuid {mapping.uuid} --enabled{self._place}` within"
                f" 24 hours, for which the stream keeps changes; later also {self._repair}",
            )
        elif mapping.last_result.upper().startswith("PROBLEM"):
            yield Finding(
                Severity.ATTENTION,
                f"the mapping's last result is {mapping.last_result}",
                self._log(mapping),
            )
        if not mapping.sees_all:
            yield Finding(
                Severity.NOTE,
                f"the mapping began at {mapping.starting_position}, and was brought no change from before",
                f"{self._verify}; if they differ, {self._repair}",
            )

    def _of_settings(self, mapping: MappingState) -> Iterator[Finding]:
        try:
            settings = Settings.from_env(mapping.environment)
        except SettingsError as error:
            yield Finding(
                Severity.STOPPED,
                f"the function {mapping.function_name} refuses its settings: {error.fact}",
                f"{error.hint} Mend it and deploy again (sam deploy)",
            )
        else:
            yield from self._of_metrics(mapping, settings)

    def _of_metrics(self, mapping: MappingState, settings: Settings) -> Iterator[Finding]:
        """What keeps the function's metrics from CloudWatch, and thereby an alarm from firing."""
        name = mapping.function_name
        if not settings.emits_metrics:
            yield Finding(
                Severity.ATTENTION,
                f"the function {name} emits no metrics, because POWERTOOLS_METRICS_DISABLED or POWERTOOLS_DEV is set:"
                f" {_BLIND}",
                "remove these variables from the function's configuration",
            )
        elif not mapping.keeps_metrics:
            yield Finding(
                Severity.ATTENTION,
                f"the application log level of the function {name} is {mapping.log_level}, at which Lambda drops the"
                f" function's metrics: {_BLIND}",
                f"`aws lambda update-function-configuration --function-name {name} --logging-config LogFormat=JSON,"
                f"ApplicationLogLevel=INFO,LogGroup={mapping.log_group}{self._place}`",
            )

    def _of_buckets(self) -> Iterator[Finding]:
        waiting = (
            ("of records that were not written as they came", self._facts.quarantine),
            ("of records that Lambda gave up", self._facts.on_failure),
        )
        for what, depth in waiting:
            if isinstance(depth, Depth) and depth.objects:
                yield Finding(Severity.ATTENTION, f"{counted(depth)} {what}: {depth.place}", self._redrive)

    def _of_lag(self, mapping: MappingState, figures: Figures) -> Iterator[Finding]:
        age = figures.most("IteratorAge", since=RECENTLY)
        if age is not None and age >= LAG_WARNING_SECONDS * 1000:
            yield Finding(
                Severity.ATTENTION,
                f"the replica is {duration(age / 1000)} behind, {trend(figures)}",
                self._log(mapping),
            )
        is_young = mapping.modified_at > figures.taken_at - STALLED
        # One that polls reports zeros while there is nothing to read.
        polled = figures.most("PolledEventCount", since=STALLED)
        if mapping.is_enabled and mapping.counts_events and not is_young and polled is None:
            yield Finding(
                Severity.STOPPED,
                "the mapping has not polled the stream for 15 minutes",
                f"`aws lambda get-event-source-mapping --uuid {mapping.uuid}{self._place}`",
            )

    def _of_failures(self, mapping: MappingState, figures: Figures) -> Iterator[Finding]:
        if count := figures.total("DroppedEventCount"):
            fact = f"records that Lambda dropped in the last hour, without a copy: {count:,}"
            yield Finding(Severity.ATTENTION, fact, self._repair)
        if count := figures.total("DestinationDeliveryFailures"):
            fact = f"batches that Lambda gave up and could not store in the last hour: {count:,}"
            yield Finding(
                Severity.ATTENTION, fact, f"mend the bucket, or the role's access to it, then {self._repair}"
            )
        if count := figures.total("Errors", since=RECENTLY):
            fact = f"failures of the function in the last 5 minutes: {count:,}; their batches come again"
            yield Finding(Severity.ATTENTION, fact, self._log(mapping))
        if count := figures.total("FailedInvokeEventCount", since=RECENTLY):
            fact = f"records that could not be applied in the last 5 minutes, and come again: {count:,}"
            yield Finding(Severity.ATTENTION, fact, self._log(mapping))
        if count := figures.total("Throttles", since=RECENTLY):
            fact = f"invocations for which Lambda had no concurrency in the last 5 minutes: {count:,}"
            yield Finding(Severity.NOTE, fact, f"`aws lambda get-account-settings{self._place}`")
        if throttled := figures.throttled(since=RECENTLY):
            fact = f"writes that the replica throttled in the last 5 minutes: {max(throttled.values()):,}"
            yield Finding(
                Severity.NOTE, fact, "raise the write capacity of table and index, or go PAY_PER_REQUEST"
            )

    def _log(self, mapping: MappingState) -> str:
        return f"`aws logs tail {mapping.log_group} --since 1h{self._place}`"


def trend(figures: Figures) -> str:
    """How the lag moves: that of the last 5 minutes beside that of the 10 before."""
    now = figures.most("IteratorAge", since=RECENTLY)
    before = figures.most("IteratorAge", since=STALLED, until=RECENTLY)
    if now is None or before is None:
        return "with no trend to be seen"
    # A second, or a tenth, either way is no movement.
    slack = max(1000.0, before / 10)
    return "rising" if now > before + slack else "falling" if now < before - slack else "steady"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 min`, `6.1 h`."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def counted(depth: Depth) -> str:
    """`1 object`, `10,000 objects or more`."""
    noun = "object" if depth.objects == 1 else "objects"
    return f"{depth.objects:,} {noun}{' or more' if depth.or_more else ''}"


def _of_the_pair(source: TableFacts | UnseenTable, replica: TableFacts | UnseenTable) -> Iterator[Finding]:
    if isinstance(source, Unknown) or isinstance(replica, Unknown):
        return
    if source.arn == replica.arn:
        yield Finding(
            Severity.STOPPED,
            f"source and replica are one table, {source.arn}",
            "name two tables with --source and --replica",
        )
    if source.key_schema != replica.key_schema:
        yield Finding(
            Severity.STOPPED,
            f"the source's key is {key_schema_text(source.key_schema)}"
            f" and the replica's is {key_schema_text(replica.key_schema)}",
            "name the right tables, or recreate the replica with the source's key",
        )


def _of_state(table: TableFacts | UnseenTable) -> Iterator[Finding]:
    if isinstance(table, UnseenTable):
        if table.is_missing:
            hint = "make it again, or delete the stack that nobody wants any more"
            yield Finding(Severity.STOPPED, table.why.rstrip("."), hint)
        return
    changing = [f"{name} is {state}" for name, state in table.indexes.items() if state in _CHANGING]
    if table.state not in WRITABLE:
        yield Finding(Severity.STOPPED, f"{table.name} is {table.state}", "wait until it is ACTIVE")
    elif changing:
        yield Finding(
            Severity.NOTE, f"indexes of {table.name}: {', '.join(changing)}", "wait until they are ACTIVE"
        )


def _of_filter(mapping: MappingState) -> Iterator[Finding]:
    try:
        _ = mapping.key_filter
    except TaskError as error:
        severity = Severity.NOTE if mapping.patterns is None else Severity.ATTENTION
        yield Finding(severity, error.fact.rstrip("."), error.hint.rstrip("."))


def label(stream_arn: str) -> str:
    """What tells a table's streams apart: when the stream was made."""
    return stream_arn.rpartition("/")[2]


def _reason(mapping: MappingState) -> str:
    return f" ({mapping.state_reason})" if mapping.state_reason else ""
