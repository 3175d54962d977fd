"""Add up what the workers of a backfill have copied, and write its report."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from ddbreplica.jobs.backfill.progress import NAMED, SegmentProgress, segments_done
from ddbreplica.jobs.job import Checked, Job
from ddbreplica.jobs.objects import REPORT, document_bytes
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.journal import LeftOpen, all_left_open


def report(job: Job, plan: Plan) -> Mapping[str, Any]:
    """Write the report of a backfill, and return it.

    Raises TaskError if a segment is not done, or if a table was recreated since the job was planned.
    """
    job.ending.check()
    segments = segments_done(job.objects, plan, job.ending.check)
    # After the last write: the items of a table that was recreated meanwhile are not those that were copied.
    checked = Checked.now(job, plan)
    document = _document(job, plan, checked, segments)
    job.objects.create(REPORT, document_bytes(document))
    return document


def _document(
    job: Job, plan: Plan, checked: Checked, segments: Sequence[SegmentProgress]
) -> Mapping[str, Any]:
    open_keys = all_left_open(each.open for each in segments)
    left, undecided = sum(each.left for each in segments), sum(each.undecided for each in segments)
    return {
        "source": checked.tables[0].side.name,
        "replica": checked.tables[1].side.name,
        "began": plan.began,
        "seconds": job.seconds_since(plan.began),
        "items": sum(each.items for each in segments),
        "outside": sum(each.outside for each in segments),
        "left": left,
        "left_items": list(islice(chain.from_iterable(each.left_items for each in segments), NAMED)),
        "undecided": undecided,
        "handed_over": sum(each.handed_over for each in segments),
        "undecided_objects": [
            job.objects.name(part) for part in chain.from_iterable(each.parts for each in segments)
        ],
        "keys_left_open": open_keys.keys,
        "left_open_until": open_keys.moment,
        "attention": list(_attention(left, undecided, open_keys)),
    }


def _attention(left: int, undecided: int, open_keys: LeftOpen) -> Iterator[str]:
    """Yield a sentence for each thing that requires attention."""
    if left:
        yield f"{left:,} items were not copied; their keys are in the quarantine bucket, and a redrive copies them."
    if undecided:
        yield f"{undecided:,} items no longer exist in the source: they were deleted or have expired."
    if open_keys.keys:
        yield (
            f"in-doubt writes may still change {open_keys.keys:,} of these items until {open_keys.moment};"
            " their keys are put into the quarantine bucket after that time."
        )
