"""Follow a job until it ends, and return its report."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from ddbreplica.driver import Driver, Interrupt
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica.jobs.control.catalog import plan_of
from ddbreplica.jobs.control.executions import ABORTED, SUCCEEDED, Execution
from ddbreplica.jobs.control.names import Started
from ddbreplica.jobs.control.progress import Progress, ProgressReader
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.objects import REPORT
from ddbreplica.jobs.plan import BACKFILL

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 5.0
_GROWTH = 1.2


@dataclass(slots=True)
class Follower:
    """Follows one attempt of a job.

    `again` says how a person follows the job again, and `tables` are the options that name its pair.
    """

    workers: Workers
    started: Started
    driver: Driver
    again: str
    tables: str
    interrupt: Interrupt = field(default_factory=Interrupt)
    pause_seconds: float = FIRST_PAUSE_SECONDS
    noted: set[str] = field(default_factory=set)

    def report(self) -> Mapping[str, Any]:
        """Show the progress until the job has ended, and return its report.

        Raises TaskError if the job failed, and StoppedError if the command is interrupted. The job then runs on.
        """
        self._until_end(self._show_steps)
        body = self.workers.objects(self.started.job).read(REPORT)
        if body is None:
            raise TaskError(f"the job {self.started.job} ended without a report.", hint=self._see)
        report: Mapping[str, Any] = json.loads(body)
        return report

    def end(self) -> None:
        """Wait until a job without a plan has ended. Raises as `report` does."""
        self._until_end(lambda: None)

    def _until_end(self, show: Callable[[], None]) -> None:
        with self.driver.interruptible() as self.interrupt:
            show()
            while self._goes_on():
                pass
        execution = self._execution()
        if execution.status != SUCCEEDED:
            raise self._failed(execution)

    def _show_steps(self) -> None:
        objects = self.workers.objects(self.started.job)
        while (plan := plan_of(objects)) is None:
            if not self._goes_on():
                return
        reader = ProgressReader(self.workers.bucket, objects, plan)
        if plan.what == BACKFILL:
            self._show("copying in AWS", reader.segments)
            return
        self._show("comparing in AWS", reader.segments)
        self._show("confirming in AWS", reader.pieces)

    def _show(self, what: str, read: Callable[[], Progress | None]) -> None:
        """Show a step of the job until it is done, or until the execution has ended."""
        while (first := read()) is None:
            if not self._goes_on():
                return
        if first.is_done:
            return
        seen = [first]
        with self.driver.progress(
            what, about=first.about, earlier=_passed(first), detail=partial(_last_text, seen)
        ) as advance:
            while not seen[-1].is_done and self._goes_on():
                before, now = seen[-1], read() or seen[-1]
                self._note_failures(now)
                seen[:] = [now]
                # A segment that is taken over begins again at what its last worker has saved.
                advance(max(0, _passed(now) - _passed(before)))

    def _note_failures(self, progress: Progress) -> None:
        for number, failure in progress.failures.items():
            text = f"{progress.what} {number:,}: {failure}"
            if text not in self.noted:
                self.noted.add(text)
                self.driver.note(text)

    def _goes_on(self) -> bool:
        """Wait a while, and return whether the execution still runs."""
        if not self._execution().is_running:
            return False
        self.interrupt.sleep(min(LONGEST_PAUSE_SECONDS, self.pause_seconds))
        self.pause_seconds *= _GROWTH
        if self.interrupt.is_set:
            raise StoppedError(
                f"the job {self.started.job} runs on in AWS.",
                hint=f"{self.again} to follow it, or `{self._command('stop')}` to stop it.",
                facts=self.started.document,
            )
        return True

    def _execution(self) -> Execution:
        found = self.workers.executions.find(self.started.attempt)
        if found is None:
            raise TaskError(f"the execution {self.started.attempt} does not exist.", hint=self._see)
        return found

    def _failed(self, execution: Execution) -> TaskError:
        job = self.started.job
        fact = f"the job {job} was stopped." if execution.status == ABORTED else execution.cause
        return TaskError(
            fact or f"the job {job} failed.",
            hint=f"fix the cause, and run the same command again; {self._see}",
            facts=self.started.document,
        )

    @property
    def _see(self) -> str:
        return f"`{self._command('show')}` shows the job."

    def _command(self, what: str) -> str:
        return f"ddbreplica jobs {what} {self.started.job}{self.tables}"


def _passed(progress: Progress) -> int:
    """Return how many of the estimated items need no more work."""
    return progress.items + progress.excluded


def _last_text(seen: Sequence[Progress]) -> str:
    return seen[-1].text()
