"""Add up what the workers of a verification have stored, and write its report and its record."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ddbreplica.bucket import verifications
from ddbreplica.bucket.store import create_once
from ddbreplica.bucket.verification_record import BY_LOOKS, BY_STREAM, body_of
from ddbreplica.jobs.job import Checked, Job
from ddbreplica.jobs.objects import REPORT, document_bytes
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.journal import all_left_open
from ddbreplica.jobs.verify.options import verify_options
from ddbreplica.jobs.verify.progress import (
    PieceProgress,
    SegmentProgress,
    Suspects,
    pieces_done,
    repairs,
    segments_done,
    suspects_of,
)
from ddbreplica.verify.difference import CERTAIN, total
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.result.findings import Findings, read_difference
from ddbreplica.verify.result.record import record_of
from ddbreplica.verify.result.verdict import INCONCLUSIVE, NOT_EQUAL, Verified


def report(job: Job, plan: Plan) -> Verified:
    """Write the report and the record of a verification, and return its result.

    Raises TaskError if a segment or a piece is not done, or if a table was recreated since the job was planned.
    """
    job.ending.check()
    segments = segments_done(job.objects, plan, job.ending.check)
    suspects = suspects_of(job.objects)
    pieces = pieces_done(job.objects, plan, suspects, job.ending.check)
    # After the last look: the items of a table that was recreated meanwhile are not those that were compared.
    checked = Checked.now(job, plan)
    result = _result(job, plan, checked, segments, suspects, pieces)
    _record(job, plan, checked, result)
    # Last of the objects, since a job with a report has ended.
    document = {**result.document(), **(_attention(pieces) if repairs(plan) else {})}
    job.objects.create(REPORT, document_bytes(document))
    job.pair.metrics.publish(metrics_of(result), note=job.note)
    return result


def _attention(pieces: Sequence[PieceProgress]) -> Mapping[str, Any]:
    """Return what requires attention after a repair, as JSON values."""
    left = all_left_open(each.open for each in pieces)
    sentence = (
        f"in-doubt writes may still change {left.keys:,} items of the replica until {left.moment}; their keys are put"
        " into the quarantine bucket after that time, and a redrive repairs them."
    )
    return {"left_open_until": left.moment, "attention": [sentence] if left.keys else []}


def metrics_of(result: Verified) -> Mapping[str, float]:
    """Return the metrics of a verification. An inconclusive one says nothing about the replica, and is not complete."""
    unrepaired = result.findings.unrepaired
    metrics = {
        "ItemsCompared": result.swept.source_items + result.swept.replica_items,
        "ItemsUnequal": sum(unrepaired[kind] for kind in CERTAIN),
    }
    if result.verdict != INCONCLUSIVE:
        metrics["ReplicaUnequal"] = int(result.verdict == NOT_EQUAL)
        # One that stopped early may have found differences, but has not looked at all items.
        if not result.stopped_early:
            metrics["VerificationCompleted"] = 1
    return metrics


def _result(
    job: Job,
    plan: Plan,
    checked: Checked,
    segments: Sequence[SegmentProgress],
    suspects: Suspects,
    pieces: Sequence[PieceProgress],
) -> Verified:
    source, replica = checked.tables
    preflight, options = checked.preflight, verify_options(plan.options, segments=plan.segments)
    return Verified(
        source.side.name,
        replica.side.name,
        options.looked_at(preflight.key_filter, is_archive=preflight.is_archive),
        total(each.state.counts for each in segments),
        _findings(job, options, segments, pieces),
        options.repair,
        job.seconds_since(plan.began),
        began=plan.began,
        stopped_early=any(each.stopped_early for each in segments) or not suspects.are_all,
        confirmed_by=_confirmed_by(pieces),
        in_doubt=sum(each.open.keys for each in pieces),
        lag=max((each.lag for each in pieces if each.lag is not None), default=None),
        transform=plan.transform,
    )


def _findings(
    job: Job, options: VerifyOptions, segments: Sequence[SegmentProgress], pieces: Sequence[PieceProgress]
) -> Findings:
    findings = Findings(options.limit, without_values=options.no_values)
    for segment in segments:
        findings.archive(segment.archived)
    for piece in pieces:
        for document in job.objects.lines(piece.parts):
            findings.add(read_difference(document), document.get("repair"))
    return findings


def _confirmed_by(pieces: Sequence[PieceProgress]) -> str | None:
    if not pieces:
        return None
    return BY_LOOKS if any(each.by_looks for each in pieces) else BY_STREAM


def _record(job: Job, plan: Plan, checked: Checked, result: Verified) -> None:
    """Record a verification of all items. One that is recorded again has the same name, and changes nothing."""
    if result.stopped_early:
        return
    preflight = checked.preflight
    record = record_of(
        result,
        checked.tables,
        verify_options(plan.options, segments=plan.segments),
        key_filter=preflight.key_filter,
        is_archive=preflight.is_archive,
        ended=job.pair.clock.moment,
    )
    versioned = replace(record, version=verifications.version())
    create_once(job.objects.store, versioned.name, body_of(versioned))
