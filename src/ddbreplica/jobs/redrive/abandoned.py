"""Take over the jobs that nobody resumed for an hour, so that the keys which their workers left open are reconciled.

A job is resumed if a worker saves one of its states. What a takeover itself saves does not count.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from ddbreplica.aws.clock import Clock
from ddbreplica.bucket.bucket import Bucket
from ddbreplica.driver import Note
from ddbreplica.errors import TaskError
from ddbreplica.jobs.objects import PLAN, JobObjects
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.journal import LeftOpen, Quarantining
from ddbreplica.jobs.takeover import take_over
from ddbreplica.model import Key

HOUR: Final = 3600.0


class Jobs(Protocol):
    """The jobs of a stack, as the bucket lists them."""

    def names(self) -> Iterator[str]:
        """Yield the names of all jobs."""
        ...

    def saved_at(self, job: str) -> float | None:
        """Return when a state of the job was saved last, by S3's clock; None if it has no state."""
        ...


@dataclass(frozen=True, slots=True)
class BucketJobs:
    """The jobs in a quarantine bucket."""

    bucket: Bucket
    stack: str

    def names(self) -> Iterator[str]:
        """Yield the names of all jobs."""
        return self.bucket.folders(f"jobs/{self.stack}/")

    def saved_at(self, job: str) -> float | None:
        """Return when a state of the job was saved last, by S3's clock; None if it has no state."""
        states = self.bucket.list(f"jobs/{self.stack}/{job}/states/")
        return max((listed.stored_at.timestamp() for listed in states), default=None)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of a job: when to look again, and when its states were saved last at the end of a takeover."""

    look_at: float
    taken_over_at: float | None = None
    is_settled: bool = False


class AbandonedJobs:
    """The jobs of a stack, and what the redrives know of them."""

    def __init__(self, content: Any, jobs: Jobs, *, clock: Clock, note: Note) -> None:
        """Continue from a document."""
        known: Mapping[str, Any] = content if isinstance(content, dict) else {}
        self._seen = {job: _Seen(*members) for job, members in known.items()}
        self._jobs = jobs
        self._clock = clock
        self._note = note
        self._handed_over = 0

    def document(self) -> dict[str, Any]:
        """Return what is known as JSON values."""
        return {job: [seen.look_at, seen.taken_over_at, seen.is_settled] for job, seen in self._seen.items()}

    def take_over(
        self,
        objects_of: Callable[[str], JobObjects],
        accepts: Callable[[Plan], bool],
        quarantine: Callable[[Plan], Quarantining],
        check: Callable[[], None],
    ) -> int:
        """Hand over the open keys of abandoned jobs that are due, and return their number.

        `accepts` returns whether a plan is one of the present tables. A job that cannot be taken over is noted, and
        tried again in an hour. `check` may raise.
        """
        names = list(self._jobs.names())
        self._seen = {job: seen for job, seen in self._seen.items() if job in names}
        before = self._handed_over
        for job in names:
            check()
            if self._seen.get(job, _Seen(0.0)).look_at <= self._now and self._is_abandoned(job):
                self._take_over(objects_of(job), accepts, quarantine, check)
        return self._handed_over - before

    def _is_abandoned(self, job: str) -> bool:
        """Return whether a job has to be taken over; if not, note when to look again."""
        saved_at, seen = self._jobs.saved_at(job), self._seen.get(job, _Seen(0.0))
        is_resumed = saved_at is not None and (seen.taken_over_at is None or saved_at > seen.taken_over_at)
        if is_resumed and saved_at is not None and self._now < saved_at + HOUR:
            self._seen[job] = _Seen(saved_at + HOUR)
            return False
        if saved_at is None or (seen.is_settled and not is_resumed):
            self._seen[job] = _Seen(self._now + HOUR, seen.taken_over_at, is_settled=seen.is_settled)
            return False
        return True

    def _take_over(
        self,
        objects: JobObjects,
        accepts: Callable[[Plan], bool],
        quarantine: Callable[[Plan], Quarantining],
        check: Callable[[], None],
    ) -> None:
        """Take a job over, and note when to look again. It is settled if none of its keys has to wait."""
        seen = _Seen(self._now)
        try:
            left = self._left(objects, accepts, quarantine, check)
            seen = _Seen(left.until if left.keys else self._now + HOUR, is_settled=not left.keys)
        except TaskError as error:
            self._note(f"the job {objects.job} cannot be taken over: {error.fact}")
            seen = _Seen(self._now + HOUR)
        finally:
            # Listed again, also if the time is over: the states that the takeover has saved are not resumed.
            self._seen[objects.job] = replace(seen, taken_over_at=self._jobs.saved_at(objects.job))

    def _left(
        self,
        objects: JobObjects,
        accepts: Callable[[Plan], bool],
        quarantine: Callable[[Plan], Quarantining],
        check: Callable[[], None],
    ) -> LeftOpen:
        body = objects.read(PLAN)
        plan = Plan.read(body) if body else None
        if plan is None:
            return LeftOpen(0, 0.0)
        if not accepts(plan):
            self._note(
                f"the job {objects.job} is of other tables, or of tables that were recreated since: the keys that its"
                " workers left open, if any, are not reconciled"
            )
            return LeftOpen(0, 0.0)
        hand_over = quarantine(plan)

        def counted(keys: Sequence[Key]) -> None:
            hand_over(keys)
            self._handed_over += len(keys)

        return take_over(objects, plan, clock=self._clock, quarantine=counted, check=check)

    @property
    def _now(self) -> float:
        return self._clock.moment.timestamp()
