"""How far the segments and the pieces of a verification have come, as their states have it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ddbreplica.errors import JobEndedError
from ddbreplica.jobs.objects import PIECE, SEGMENT, SUSPECTS, JobObjects
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.progress import all_done, undamaged
from ddbreplica.jobs.state.fenced_state import saved_in
from ddbreplica.jobs.state.journal import NOTHING_LEFT, LeftOpen, left_open, progress_of
from ddbreplica.model import Key
from ddbreplica.records.decode import attributes_of, key_of
from ddbreplica.verify.compare.checkpoint import SegmentState


@dataclass(slots=True)
class SegmentProgress:
    """How far a segment has come.

    `parts` are the objects with the suspected differences, of which there are `suspects`, some of them perhaps twice.
    `archived` are the first keys that only the archive has. If `stopped_early`, items of the segment were not compared,
    since there were too many suspected differences. `failure` is why the last worker gave up; it is empty if none did.
    """

    state: SegmentState
    parts: list[str] = field(default_factory=list)
    suspects: int = 0
    archived: list[Key] = field(default_factory=list)
    is_done: bool = False
    stopped_early: bool = False
    failure: str = ""

    def document(self) -> dict[str, Any]:
        """Return the progress as JSON values."""
        return {
            "segment": self.state.document(),
            "parts": list(self.parts),
            "suspects": self.suspects,
            "archived": [attributes_of(key) for key in self.archived],
            "done": self.is_done,
            "stopped_early": self.stopped_early,
            "failure": self.failure,
        }

    @classmethod
    def read(cls, number: int, content: Any) -> "SegmentProgress":
        """Return the progress that was saved, or that of a segment that has not begun if `content` is None."""
        if content is None:
            return cls(SegmentState(number))
        return undamaged(
            lambda: cls(
                SegmentState.read(number, content["segment"]),
                [*map(str, content["parts"])],
                int(content["suspects"]),
                [key_of(key) for key in content["archived"]],
                is_done=content["done"] is True,
                stopped_early=content["stopped_early"] is True,
                failure=str(content["failure"]),
            ),
            f"segment {number:,}",
        )


@dataclass(slots=True)
class PieceProgress:
    """How far the confirmation of a piece has come.

    `parts` are the objects with what was decided. `tries` counts the invocations that ended without a decision,
    `waits` how often a repair waited for in-doubt writes, and `yields` how often it began later for the replicator.
    `by_looks` and `lag` are those of the confirmation. `failure` is why the last worker gave up. `open` are the keys of
    a repair that may still be written if no worker has the piece now; the state has them beside the progress.
    """

    parts: list[str] = field(default_factory=list)
    tries: int = 0
    waits: int = 0
    yields: int = 0
    by_looks: bool = False
    lag: float | None = None
    is_done: bool = False
    failure: str = ""
    open: LeftOpen = NOTHING_LEFT

    def document(self) -> dict[str, Any]:
        """Return the progress as JSON values."""
        return {
            "parts": list(self.parts),
            "tries": self.tries,
            "waits": self.waits,
            "yields": self.yields,
            "by_looks": self.by_looks,
            "lag_seconds": self.lag,
            "done": self.is_done,
            "failure": self.failure,
        }

    @classmethod
    def read(cls, number: int, content: Any) -> "PieceProgress":
        """Return the progress that was saved, or that of a piece that has not begun if `content` is None."""
        if content is None:
            return cls()
        return undamaged(
            lambda: cls(
                [*map(str, content["parts"])],
                int(content["tries"]),
                int(content["waits"]),
                int(content.get("yields", 0)),
                by_looks=content["by_looks"] is True,
                lag=None if content["lag_seconds"] is None else float(content["lag_seconds"]),
                is_done=content["done"] is True,
                failure=str(content["failure"]),
            ),
            f"piece {number:,}",
        )


@dataclass(frozen=True, slots=True)
class Suspects:
    """The suspected differences of all segments, divided into pieces.

    A piece is the names of the objects with its keys. `sizes` are the numbers of keys of the pieces. If not `are_all`,
    there were too many, and some were left out.
    """

    pieces: Sequence[Sequence[str]]
    sizes: Sequence[int]
    are_all: bool

    @property
    def count(self) -> int:
        """The number of all suspected differences."""
        return sum(self.sizes)

    def document(self) -> dict[str, Any]:
        """Return the suspects as JSON values."""
        return {
            "pieces": [list(each) for each in self.pieces],
            "sizes": list(self.sizes),
            "all": self.are_all,
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Suspects":
        """Return the suspects that were stored."""
        return undamaged(
            lambda: cls(
                [[*map(str, each)] for each in document["pieces"]],
                [*map(int, document["sizes"])],
                are_all=document["all"] is True,
            ),
            "the suspected differences",
        )


def segment_progress(objects: JobObjects, plan: Plan, number: int) -> SegmentProgress:
    """Return how far a segment has come. Its state stays its owner's."""
    saved = saved_in(objects.store, objects.state(SEGMENT, number), plan=plan.digest)
    return SegmentProgress.read(number, saved.content)


def piece_progress(objects: JobObjects, plan: Plan, number: int) -> PieceProgress:
    """Return how far a piece has come. Its state stays its owner's."""
    saved = saved_in(objects.store, objects.state(PIECE, number), plan=plan.digest)
    if not repairs(plan):
        return PieceProgress.read(number, saved.content)
    progress = PieceProgress.read(number, progress_of(saved.content))
    progress.open = left_open(saved)
    return progress


def repairs(plan: Plan) -> bool:
    """Return whether the job repairs differences, so that the states of its pieces have open keys."""
    return plan.options.get("repair") is True


def suspects_of(objects: JobObjects) -> Suspects:
    """Return the suspected differences. Raises TaskError if they were not gathered."""
    body = objects.read(SUSPECTS)
    if body is None:
        raise JobEndedError(
            "the suspected differences were not gathered.", hint="start the job again, which resumes it."
        )
    return Suspects.read(json.loads(body))


def segments_done(objects: JobObjects, plan: Plan, check: Callable[[], None]) -> Sequence[SegmentProgress]:
    """Return the progress of all segments, in order. Raises TaskError that names those that are not done.

    `check` is called now and then; it may raise.
    """
    read = partial(segment_progress, objects, plan)
    return all_done(read, plan.segments, check, "segments were not compared")


def pieces_done(
    objects: JobObjects, plan: Plan, suspects: Suspects, check: Callable[[], None]
) -> Sequence[PieceProgress]:
    """Return the progress of all pieces, in order. Raises as `segments_done` does."""
    read = partial(piece_progress, objects, plan)
    undone = "suspected differences were not confirmed, of pieces"
    return all_done(read, len(suspects.pieces), check, undone)
