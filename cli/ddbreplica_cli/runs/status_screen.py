"""Format a status as a JSON document or as text. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from ddbreplica.aws.request import Known, Unknown
from ddbreplica.bucket.verification_record import EVENTUAL, NOT_EQUAL, VerificationRecord, time_text
from ddbreplica.inspect.facts import (
    COUNTED_BY_FUNCTION,
    Depth,
    Facts,
    Figures,
    LastVerification,
    TableFacts,
)
from ddbreplica.inspect.health import (
    AS_FAR_AS_SEEN,
    RECENTLY,
    REPLICATING,
    Finding,
    Severity,
    counted,
    label,
    trend,
    trend_text,
    verdict,
)
from ddbreplica.inspect.written import WRITTEN
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.records.text import duration, lines

T = TypeVar("T")

_COUNTS = {
    "writes_applied": "WritesApplied",
    "deletes_applied": "DeletesApplied",
    "records_failed": "FailedInvokeEventCount",
    "records_quarantined": "RecordsQuarantined",
    "writes_suspect": "WritesSuspect",
    "records_given_up": "OnFailureDestinationDeliveredEventCount",
    "records_dropped": "DroppedEventCount",
    "function_errors": "Errors",
    "function_throttles": "Throttles",
}
"""The names in the JSON document, and the CloudWatch metrics that are summed over the last hour."""

_INDEX_STATES = {"unknown": "of unknown state"}

# By name, since other variables may be secret, such as REPLICA_EXTERNAL_ID.
_FUNCTION_SETTINGS = ("REPLICATE_TTL_DELETES",)


def document(facts: Facts, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the status as a JSON document. An unknown value is null, and `unknown` contains the reason.

    A count is also null if the function ran and emitted no metrics, and `last_verification` if there was none.
    """
    return {
        "verdict": verdict(facts, findings),
        "findings": [
            {"severity": finding.severity.value, "fact": finding.fact, "try": finding.hint}
            for finding in findings
        ],
        "source": _or_none(facts.source, _table_document),
        "replica": _or_none(facts.replica, _table_document),
        "mappings": _or_none(facts.mappings, lambda found: [_mapping_document(one) for one in found]),
        "figures": _or_none(facts.figures, _figures_document),
        "lag_seconds": _or_none(facts.figures, lag_seconds),
        "lag_trend": _or_none(facts.figures, trend),
        "last_hour": _or_none(facts.figures, _last_hour),
        "quarantine": _or_none(facts.quarantine, asdict),
        "on_failure": _or_none(facts.on_failure, asdict),
        "last_verification": _or_none(
            facts.verification, lambda last: last and _verification_document(last, facts)
        ),
        "unknown": {what: unknown.why for what, unknown in facts.unknowns.items()},
    }


def screen(facts: Facts, findings: Sequence[Finding], jobs: Iterable[tuple[str, str]] = ()) -> str:
    """Return the status as text: the values, the problems with what to try and, on the last line, the verdict.

    `jobs` are the rows for the jobs.
    """
    rows = [f"{name:<12}{value}" for name, value in (*_rows(facts), *jobs)]
    return lines([*rows, "", *_found(findings), loud(verdict(facts, findings))])


def loud(word: str) -> str:
    """Return a verdict as text, in capitals if an operator must act."""
    return word if word in (REPLICATING, AS_FAR_AS_SEEN) else word.upper()


def _rows(facts: Facts) -> Iterator[tuple[str, str]]:
    yield "source", _text(facts.source, _table_text)
    yield "replica", _text(facts.replica, _table_text)
    yield "stream", _text(facts.source, _stream_text)
    yield "mapping", _text(facts.mappings, lambda _: _mapping_text(facts.mapping))
    if facts.mapping and facts.mapping.patterns != ():
        yield "filter", _filter_text(facts.mapping)
    if isinstance(facts.figures, Figures):
        yield "metrics", _figures_text(facts.figures)
    yield "lag", _text(facts.figures, _lag_text)
    if isinstance(facts.figures, Figures):
        yield "last hour", _applied_text(facts.figures)
        yield "", _records_text(facts.figures)
        yield "", _failures_text(facts.figures)
        yield "throttled", _throttled_text(facts.figures)
    yield "verified", _text(facts.verification, verification_text)
    if isinstance(facts.verification, LastVerification):
        yield "", _written_text(facts.verification)
    yield "quarantine", _text(facts.quarantine, _depth_text)
    yield "on failure", _text(facts.on_failure, _depth_text)
    if facts.mapping:
        yield "settings", _pairs(facts.mapping.settings)
        if own := _function_settings(facts.mapping):
            yield "", _pairs(own)


def _found(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        kind = "note" if finding.severity is Severity.NOTE else "problem"
        yield f"{kind}: {finding.fact}."
        yield f"  Try: {finding.hint}."
    if findings:
        yield ""


def _table_text(table: TableFacts) -> str:
    capacity = (
        "on-demand capacity"
        if table.capacity is None
        else f"{table.capacity[0]} read and {table.capacity[1]} write capacity units"
    )
    indexes = "".join(
        f", index {name} {_INDEX_STATES.get(state, state)}" for name, state in table.indexes.items()
    )
    return f"{table.name}, {table.state}, about {table.items:,} items, {capacity}{indexes}"


def _stream_text(source: TableFacts) -> str:
    return "off" if source.view is None else f"{source.view}, created at {label(source.stream_arn or '')}"


def _mapping_text(mapping: MappingState | None) -> str:
    if mapping is None:
        return "none"
    result = f", last result: {mapping.last_result}" if mapping.last_result else ""
    return f"{mapping.uuid}, {mapping.state}, function {mapping.function_name}{result}"


def _filter_text(mapping: MappingState) -> str:
    return (
        "unknown: it is encrypted with a KMS key"
        if mapping.patterns is None
        else " or ".join(mapping.patterns)
    )


def lag_seconds(figures: Figures) -> float | None:
    """Return the lag, or None if the function was not invoked in the last 5 minutes."""
    age = figures.most("IteratorAge", since=RECENTLY)
    return None if age is None else age / 1000


def _lag_text(figures: Figures) -> str:
    lag = lag_seconds(figures)
    most = figures.most("IteratorAge")
    in_an_hour = "" if most is None else f"; maximum in the last hour: {duration(most / 1000)}"
    now = (
        "idle, no invocation in the last 5 minutes"
        if lag is None
        else f"{duration(lag)}, {trend_text(figures)}"
    )
    return now + in_an_hour


def _figures_text(figures: Figures) -> str:
    period = f"from {figures.begin:%H:%M} to {figures.taken_at:%H:%M} UTC"
    if figures.latest is None:
        return f"{period}, no data"
    own = f"; those of the function since {figures.counts_from:%H:%M}" if figures.are_counts_partial else ""
    return f"{period}, latest at {figures.latest:%H:%M}{own}"


def _figures_document(figures: Figures) -> dict[str, Any]:
    moments = {
        "from": figures.begin,
        "to": figures.taken_at,
        "latest": figures.latest,
        "counts_from": figures.counts_from,
    }
    return {name: moment and moment.isoformat() for name, moment in moments.items()}


def _last_hour(figures: Figures) -> dict[str, Any]:
    counts = {name: _counted(figures, metric) for name, metric in _COUNTS.items()}
    return {**counts, "throttled": dict(figures.throttled())}


def _counted(figures: Figures, metric: str) -> int | None:
    return figures.count(metric) if metric in COUNTED_BY_FUNCTION else figures.total(metric)


def _applied_text(figures: Figures) -> str:
    writes, deletes = figures.count("WritesApplied"), figures.count("DeletesApplied")
    if writes is None or deletes is None:
        applied = "writes and deletes unknown: the function ran and emitted no metrics"
    else:
        applied = f"{writes:,} writes and {deletes:,} deletes applied"
    return f"{applied}; {figures.total('FailedInvokeEventCount'):,} records retried"


def _records_text(figures: Figures) -> str:
    return (
        f"records quarantined: {_count_text(figures.count('RecordsQuarantined'))},"
        f" sent to the on-failure bucket: {figures.total('OnFailureDestinationDeliveredEventCount'):,},"
        f" dropped: {figures.total('DroppedEventCount'):,}"
    )


def _failures_text(figures: Figures) -> str:
    return (
        f"in-doubt writes: {_count_text(figures.count('WritesSuspect'))},"
        f" failed invocations: {figures.total('Errors'):,}"
    )


def _count_text(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _throttled_text(figures: Figures) -> str:
    throttled = [f"{count:,} writes of {_target(name)}" for name, count in figures.throttled().items()]
    return ", ".join(throttled) or "no writes in the last hour"


def _target(metric: str) -> str:
    index = metric.partition(" ")[2]
    return f"the index {index}" if index else "the replica"


def verification_text(last: LastVerification | None) -> str:
    """Return the verdict of the last verification, its age, and the items that it compared."""
    if last is None:
        return "never: there is no record of a complete verification"
    record = last.record
    begin, end = record.began, record.ended
    until = f"{end:%H:%M}" if begin.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    reads = ", with eventually consistent reads" if record.consistency == EVENTUAL else ""
    return (
        f"{verdict_text(record)} {duration(last.age)} ago, from {begin:%Y-%m-%d %H:%M} to {until} UTC{reads};"
        f" {record.source_items:,} items in the source and {record.replica_items:,} in the replica"
    )


def verdict_text(record: VerificationRecord) -> str:
    """Return the verdict of a verification, in capitals if the tables differed, as `verify` prints it."""
    return record.verdict.upper() if record.verdict == NOT_EQUAL else record.verdict


def _written_text(last: LastVerification) -> str:
    if last.written is None:
        return f"of an earlier table of the name {' and '.join(last.recreated)}"
    units = _text(last.written, lambda units: f"{units:,} write capacity units ({WRITTEN})")
    return f"written to the source since: {units}"


def _verification_document(last: LastVerification, facts: Facts) -> dict[str, Any]:
    return {
        **last.record.document(),
        "object": last.place,
        "age_seconds": last.age,
        "recreated": list(last.recreated),
        "transform_differs": facts.transform_differs,
        "last_conclusive": last.conclusive
        and {"verdict": last.conclusive.verdict, "began": time_text(last.conclusive.began)},
        "written_since": {
            "metric": WRITTEN,
            "write_capacity_units": None if isinstance(last.written, Unknown) else last.written,
        },
    }


def _depth_text(depth: Depth) -> str:
    oldest = "" if depth.oldest is None else f", the oldest {duration(depth.oldest)} old"
    return f"{counted(depth)}{oldest}, {depth.place}"


def _function_settings(mapping: MappingState) -> Mapping[str, str]:
    return {name: mapping.environment[name] for name in _FUNCTION_SETTINGS if name in mapping.environment}


def _pairs(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in settings.items())


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _text(figure: Known[T], show: Callable[[T], str]) -> str:
    return f"unknown: {figure.why}" if isinstance(figure, Unknown) else show(figure)


def _or_none(figure: Known[T], show: Callable[[T], Any]) -> Any:
    return None if isinstance(figure, Unknown) else show(figure)


def _table_document(table: TableFacts) -> dict[str, Any]:
    read, write = table.capacity or (None, None)
    return {
        "table": table.name,
        "arn": table.arn,
        "state": table.state,
        "items": table.items,
        "read_units": read,
        "write_units": write,
        "indexes": dict(table.indexes),
        "stream": table.stream_arn if table.view else None,
        "view": table.view,
        "ttl": None if isinstance(table.ttl, Unknown) else table.ttl,
    }


def _mapping_document(mapping: MappingState) -> dict[str, Any]:
    return {
        "uuid": mapping.uuid,
        "state": mapping.state,
        "state_reason": mapping.state_reason,
        "last_result": mapping.last_result,
        "stream": mapping.stream_arn,
        "starting_position": mapping.starting_position,
        "modified_at": mapping.modified_at.isoformat(),
        "function": mapping.function_arn,
        "filter": None if mapping.patterns is None else list(mapping.patterns),
        "settings": {**mapping.settings, **_function_settings(mapping)},
    }
