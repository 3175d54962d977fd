"""How far the segments of a backfill have come, as their states have it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from ddbreplica.jobs.objects import SEGMENT, JobObjects
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.progress import all_done, undamaged
from ddbreplica.jobs.state.fenced_state import saved_in
from ddbreplica.jobs.state.journal import NOTHING_LEFT, LeftOpen, left_open, progress_of, unconfirmed

NAMED: Final = 10
"""The most items that are listed of those that were not copied."""


@dataclass(slots=True, kw_only=True)
class SegmentProgress:
    """How far a segment has come.

    `after` is the position of the scan, and None at its beginning; it is at the end if `is_scanned`. `items` counts
    the keys that were opened, and `outside` those that the filter excludes. `parts` are the objects with the keys that
    need review, which `undecided` counts. `left` counts the items that could not be copied, and `left_items` has the
    first of them, with reasons. `waits` counts how often the segment waited for in-doubt writes. `failure` is why the
    last worker gave up; it is empty if none did. The state has its open keys beside the progress: `open` are those that
    may still be written if no worker has the segment now, and `unconfirmed` counts all, also those in quarantine.
    """

    after: Any = None
    is_scanned: bool = False
    items: int = 0
    outside: int = 0
    undecided: int = 0
    parts: list[str] = field(default_factory=list)
    left: int = 0
    left_items: list[Mapping[str, Any]] = field(default_factory=list)
    waits: int = 0
    is_done: bool = False
    failure: str = ""
    open: LeftOpen = NOTHING_LEFT
    unconfirmed: int = 0

    @property
    def handed_over(self) -> int:
        """The items that were put into quarantine when an attempt of the job was stopped or left."""
        return max(0, self.unconfirmed - self.left) if self.is_done else 0

    @property
    def copied(self) -> int:
        """The items that were copied."""
        return self.items - self.undecided - max(self.left, self.unconfirmed)

    def document(self) -> dict[str, Any]:
        """Return the progress as JSON values."""
        return {
            "after": self.after,
            "scanned": self.is_scanned,
            "items": self.items,
            "outside": self.outside,
            "undecided": self.undecided,
            "parts": list(self.parts),
            "left": self.left,
            "left_items": list(self.left_items),
            "waits": self.waits,
            "done": self.is_done,
            "failure": self.failure,
        }

    @classmethod
    def read(cls, number: int, document: Any) -> "SegmentProgress":
        """Return the progress that was noted, or that of a segment that has not begun if `document` is None."""
        if document is None:
            return cls()
        return undamaged(
            lambda: cls(
                after=document["after"],
                is_scanned=document["scanned"] is True,
                items=int(document["items"]),
                outside=int(document["outside"]),
                undecided=int(document["undecided"]),
                parts=[*map(str, document["parts"])],
                left=int(document["left"]),
                left_items=[*document["left_items"]],
                waits=int(document["waits"]),
                is_done=document["done"] is True,
                failure=str(document["failure"]),
            ),
            f"segment {number:,}",
        )


def copied(report: Mapping[str, Any]) -> int:
    """Return how many items were copied, as a report has it."""
    # A worker of an earlier version does not report what was handed over.
    others = ("left", "undecided", "handed_over")
    return int(report["items"]) - sum(int(report.get(name, 0)) for name in others)


def segment_progress(objects: JobObjects, plan: Plan, number: int) -> SegmentProgress:
    """Return how far a segment has come. Its state stays its owner's."""
    saved = saved_in(objects.store, objects.state(SEGMENT, number), plan=plan.digest)
    progress = SegmentProgress.read(number, progress_of(saved.content))
    progress.open, progress.unconfirmed = left_open(saved), unconfirmed(saved)
    return progress


def segments_done(objects: JobObjects, plan: Plan, check: Callable[[], None]) -> Sequence[SegmentProgress]:
    """Return the progress of all segments, in order. Raises TaskError that names those that are not done.

    `check` is called now and then; it may raise.
    """
    read = partial(segment_progress, objects, plan)
    return all_done(read, plan.segments, check, "segments were not copied")
