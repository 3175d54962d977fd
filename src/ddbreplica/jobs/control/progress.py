"""Read from Amazon S3 how far a job has come, at the price of the states that changed since the last time."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ddbreplica.bucket.bucket import Bucket, Listed
from ddbreplica.jobs.backfill import progress as of_backfill
from ddbreplica.jobs.objects import PIECE, SEGMENT, SUSPECTS, JobObjects
from ddbreplica.jobs.plan import BACKFILL, Plan
from ddbreplica.jobs.state.journal import NOTHING_LEFT, LeftOpen, all_left_open
from ddbreplica.jobs.verify import progress as of_verification
from ddbreplica.jobs.verify.progress import Suspects, piece_progress

_THREADS: Final = 10

# S3's listing has times in whole seconds: an object that was listed in the second of its last change may change again.
_SETTLED_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Part:
    """A segment or a piece. `items` are those that were compared, copied or confirmed.

    A verification counts the items of both tables. `excluded` are those that the filter excludes. `failure` is why a
    worker gave up. `open` are keys that may still be written if no worker has the part now.
    """

    items: int
    is_done: bool
    failure: str = ""
    open: LeftOpen = NOTHING_LEFT
    excluded: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step of a job has come. `parts` are those that have begun, of `all_parts`.

    `about` is the estimated number of items.
    """

    what: str
    parts: Mapping[int, Part]
    all_parts: int
    about: int

    @property
    def items(self) -> int:
        """The items of all parts."""
        return sum(part.items for part in self.parts.values())

    @property
    def excluded(self) -> int:
        """The items of all parts that the filter excludes."""
        return sum(part.excluded for part in self.parts.values())

    @property
    def done(self) -> int:
        """The parts that are done."""
        return sum(part.is_done for part in self.parts.values())

    @property
    def failures(self) -> Mapping[int, str]:
        """Why workers gave up, by the parts that are not done since."""
        return {
            number: part.failure
            for number, part in sorted(self.parts.items())
            if part.failure and not part.is_done
        }

    @property
    def open(self) -> LeftOpen:
        """The keys of all parts that are open."""
        return all_left_open(part.open for part in self.parts.values())

    @property
    def is_done(self) -> bool:
        """Whether all parts are done."""
        return self.done == self.all_parts

    def text(self) -> str:
        """Return the parts as text, such as `3 of 8 segments done, 1 failed`."""
        failed = f", {len(self.failures):,} failed" if self.failures else ""
        return f"{self.done:,} of {self.all_parts:,} {self.what}s done{failed}"


@dataclass(slots=True)
class _Watched:
    """The states of one kind: what was read of each, and when the version that was read was stored."""

    bucket: Bucket
    prefix: str
    read: Callable[[int], Part]
    parts: dict[int, Part] = field(default_factory=dict)
    seen: dict[int, datetime] = field(default_factory=dict)

    def update(self) -> Mapping[int, Part]:
        """Read the states that are new or have changed."""
        changed = list(self._changed())
        with ThreadPoolExecutor(_THREADS) as pool:
            for number, part in zip(changed, pool.map(self.read, changed), strict=True):
                self.parts[number] = part
        return dict(self.parts)

    def _changed(self) -> Iterator[int]:
        for listed in self.bucket.list(self.prefix):
            number = self._number(listed)
            if number is None or (number in self.parts and self.parts[number].is_done):
                continue
            if self.seen.get(number) != listed.stored_at:
                yield number
            if listed.age >= _SETTLED_SECONDS:
                self.seen[number] = listed.stored_at

    def _number(self, listed: Listed) -> int | None:
        text = listed.name.removeprefix(self.prefix).removesuffix(".json")
        return int(text) if text.isdecimal() else None


class ProgressReader:
    """Reads the progress of one job again and again."""

    def __init__(self, bucket: Bucket, objects: JobObjects, plan: Plan) -> None:
        """Send no request yet."""
        self._objects = objects
        self._plan = plan
        self._segments = _Watched(bucket, _prefix(objects, SEGMENT), self._segment)
        self._pieces = _Watched(bucket, _prefix(objects, PIECE), self._piece)
        self._suspects: Suspects | None = None

    def segments(self) -> Progress:
        """Return how far the comparison has come."""
        about: int = self._plan.estimate["items"]
        return Progress(SEGMENT, self._segments.update(), self._plan.segments, about)

    def pieces(self) -> Progress | None:
        """Return how far the confirmation has come; None if the suspected differences were not gathered yet."""
        if self._suspects is None and (body := self._objects.read(SUSPECTS)) is not None:
            self._suspects = Suspects.read(json.loads(body))
        if self._suspects is None:
            return None
        return Progress(PIECE, self._pieces.update(), len(self._suspects.sizes), self._suspects.count)

    def _segment(self, number: int) -> Part:
        if self._plan.what == BACKFILL:
            copied = of_backfill.segment_progress(self._objects, self._plan, number)
            return Part(copied.copied, copied.is_done, copied.failure, copied.open, copied.outside)
        compared = of_verification.segment_progress(self._objects, self._plan, number)
        counts = compared.state.counts
        items = counts.source_items + counts.replica_items
        return Part(items, compared.is_done, compared.failure, excluded=counts.compared - items)

    def _piece(self, number: int) -> Part:
        found = piece_progress(self._objects, self._plan, number)
        sizes = self._suspects.sizes if self._suspects else ()
        # What was decided of a piece so far is in objects of their own, which are not read for a figure.
        confirmed = sum(sizes[number : number + 1]) if found.is_done else 0
        return Part(confirmed, found.is_done, found.failure, found.open)


def _prefix(objects: JobObjects, kind: str) -> str:
    return objects.name(f"states/{kind}-")
